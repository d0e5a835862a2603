"""Disagreement between the predictions of a frame and of its strong view."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from rise_engine.active_learning.ranking import rank_frames
from rise_engine.active_learning.uncertainty import StrongViewDisagreement, disagreement
from rise_engine.config import RiseConfig
from rise_engine.model import build_segmenter
from rise_engine.prediction.load import LoadedModel
from rise_engine.prediction.store import predict_into_store
from rise_engine.project.project import Project
from rise_engine.project.records import PredictedInstance

LEFT, RIGHT = [0.0, 0.0, 10.0, 10.0], [20.0, 0.0, 30.0, 10.0]


def disagreement_of(first: list[list[float]], a: list[float], second: list[list[float]], b: list[float]) -> float:
    boxes = [np.array(side, dtype=np.float64).reshape(-1, 4) for side in (first, second)]
    return disagreement(boxes[0], np.array(a, dtype=np.float64), boxes[1], np.array(b, dtype=np.float64))


def test_disagreement_is_one_minus_the_weighted_box_iou() -> None:
    assert disagreement_of([LEFT], [0.9], [LEFT], [0.5]) == 0.0
    assert disagreement_of([LEFT], [0.9], [RIGHT], [0.9]) == 1.0
    assert disagreement_of([], [], [], []) == 0.0
    assert disagreement_of([LEFT], [0.4], [], []) == 1.0
    # Both sets have the left one, only the first has the right one: 0.5 of 0.8 + 0.5 + 0.7 points.
    assert disagreement_of([LEFT, RIGHT], [0.8, 0.5], [LEFT], [0.7]) == pytest.approx(0.25)
    # Half the box is covered, so each half agrees by one half.
    assert disagreement_of([LEFT], [0.6], [[0.0, 0.0, 5.0, 10.0]], [0.6]) == pytest.approx(0.5)


def test_the_disagreement_is_stored_and_reaches_the_queue(tmp_path: Path) -> None:
    folder = tmp_path / "totes"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for name in ("a.png", "b.png"):
        Image.fromarray(rng.integers(0, 255, (64, 96, 3), dtype=np.uint8)).save(folder / name)
    config = RiseConfig.preset("laptop").with_settings(
        [
            "model.hidden_dim=32",
            "model.encoder_layers=1",
            "model.decoder_layers=1",
            "model.num_queries=8",
            "model.num_heads=4",
            "model.feedforward_dim=32",
            "loader.predict_short_side=64",
        ]
    )
    torch.manual_seed(0)
    loaded = LoadedModel(build_segmenter(config.model).eval(), config, ("object",), torch.device("cpu"))
    with Project.create(tmp_path / "totes.rise", folder) as project:
        project.scan()
        ids = [frame.id for frame in project.frames.all()]
        run = project.runs.start(preset="laptop", recipe="recommended", steps=1, base="none").number
        measure = StrongViewDisagreement(loaded, project, min_score=0.0)
        list(predict_into_store(loaded, project, run, ids[:1], min_score=0.0, measure_disagreement=measure))
        stored = project.predictions.latest_disagreement()
        assert set(stored) == {ids[0]}
        assert 0.0 <= stored[ids[0]] <= 1.0
        entry = next(entry for entry in rank_frames(project) if entry.frame.id == ids[0])
        assert entry.disagreement == stored[ids[0]]


def test_boxes_of_the_mirrored_view_are_mirrored_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "totes"
    folder.mkdir()
    Image.new("RGB", (96, 64), (90, 120, 30)).save(folder / "a.png")
    with Project.create(tmp_path / "totes.rise", folder) as project:
        project.scan()
        image = project.image(1)
        found = [PredictedInstance({}, (0.0, 0.0, 32.0, 64.0), 0, 0.9)]
        views: list[np.ndarray] = []

        def predict(_loaded: object, pixels: np.ndarray, *, min_score: float) -> list[PredictedInstance]:
            views.append(pixels)
            return [PredictedInstance({}, (64.0, 0.0, 96.0, 64.0), 0, 0.9)]

        monkeypatch.setattr("rise_engine.active_learning.uncertainty.predict", predict)
        assert StrongViewDisagreement(None, project)(1, image, found) == 0.0  # type: ignore[arg-type]
        assert (views[0][..., 0] == views[0][..., 1]).all(), "the strong view is grey"
        assert views[0].mean() < image.mean()
