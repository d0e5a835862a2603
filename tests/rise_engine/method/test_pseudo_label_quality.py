"""Pseudo-labels against a known truth, worked out by hand."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from rise_engine.config import PseudoLabelConfig, RiseConfig
from rise_engine.method.pseudo_label_quality import best_threshold, measure_frame, summarise
from rise_engine.prediction.load import LoadedModel
from rise_engine.project.project import Project
from rise_engine.project.records import Instance
from rise_engine.project.segmentation import from_mask
from rise_engine.training.events import Losses, PseudoLabelScore, event_from_record
from rise_engine.training.holdout_quality import measure_pseudo_labels
from rise_engine.training.metrics_log import MetricsLog

CANVAS = (32, 64)
LEFT, RIGHT, NOWHERE = (0, 8, 0, 4), (0, 8, 8, 16), (0, 8, 5, 7)


@dataclass
class Output:
    """A teacher of rectangles (y0, y1, x0, x1) in cells of four pixels."""

    scores: list[float]
    rectangles: list[tuple[int, int, int, int]]
    inside: float = 4.0

    @property
    def class_logits(self) -> Tensor:
        return torch.logit(torch.tensor(self.scores))[None, :, None]

    @property
    def boxes(self) -> Tensor:
        return torch.full((1, len(self.scores), 4), 0.5)

    def masks(self, image: int, queries: Tensor) -> Tensor:
        logits = torch.full((len(queries), 8, 16), -4.0)
        for row, query in enumerate(queries.tolist()):
            y0, y1, x0, x1 = self.rectangles[query]
            logits[row, y0:y1, x0:x1] = self.inside
        return logits


def truth() -> Tensor:
    masks = torch.zeros(2, *CANVAS, dtype=torch.bool)
    masks[0, :, :16] = True
    masks[1, :, 32:] = True
    return masks


def judge(output: Output, **settings: object):  # type: ignore[no-untyped-def]
    config = PseudoLabelConfig(strategy="threshold", threshold_start=0.5, threshold_peak=0.5).model_copy(
        update=settings
    )
    return measure_frame(
        output,  # type: ignore[arg-type]
        0,
        image_size=CANVAS,
        canvas=CANVAS,
        masks=truth(),
        labels=torch.zeros(2, dtype=torch.int64),
        config=config,
        step=0,
        steps=10,
    )


def test_precision_recall_and_the_ideal_threshold_by_hand() -> None:
    frame = judge(Output([0.9, 0.8, 0.4, 0.2], [LEFT, NOWHERE, RIGHT, NOWHERE]))
    assert frame.correct.tolist() == [True, False, True, False]
    assert frame.kept.tolist() == [True, True, False, False]
    assert frame.found.tolist() == [True, False]
    assert frame.best_scores.tolist() == pytest.approx([0.9, 0.4])
    assert frame.ideal_threshold == pytest.approx(0.8)
    told = summarise([frame])
    assert (told.frames, told.kept, told.precision, told.recall) == (1, 2.0, 0.5, 0.5)
    # from 0.9 up: precision 1, recall 1/2, F1 2/3; from 0.4 up: 2/3 and 1, F1 4/5
    assert told.best_threshold == pytest.approx(0.4)


def test_several_predictions_of_one_object_are_all_right_and_find_it_once() -> None:
    frame = judge(Output([0.9, 0.7], [LEFT, LEFT]))
    told = summarise([frame])
    assert (told.precision, told.recall) == (1.0, 0.5)
    assert frame.ideal_threshold == 0.0


def test_spread_is_over_the_frames() -> None:
    frames = [judge(Output([score], [NOWHERE])) for score in (0.2, 0.6)]
    told = summarise(frames)
    assert (told.ideal_threshold, told.ideal_threshold_spread) == (pytest.approx(0.4), pytest.approx(0.2))
    assert told.best_threshold is None and best_threshold(frames) is None
    assert told.recall == 0.0 and told.ideal_mask_threshold is None


def test_a_mask_too_large_for_a_low_threshold_has_a_high_ideal_one() -> None:
    @dataclass
    class Soft(Output):
        def masks(self, image: int, queries: Tensor) -> Tensor:
            logits = super().masks(image, queries)
            logits[:, :, 4:6] = float(np.log(0.62 / 0.38))  # a halo of 0.62 beside an object of 0.98
            return logits

    frame = judge(Soft([0.9], [LEFT]))
    assert 0.62 < frame.mask_thresholds[0] < 0.98


def test_nothing_kept_has_no_precision_and_survives_as_json(tmp_path: Path) -> None:
    told = PseudoLabelScore(3, **asdict(summarise([judge(Output([0.3], [LEFT]))])))
    assert told.precision is None and told.recall == 0.0
    with MetricsLog(tmp_path) as log:
        log.write(told)
        nan = float("nan")
        log.write(Losses(4, nan, nan, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1e-4, nan, skipped=1))
    first, second = (tmp_path / "metrics.jsonl").read_text().splitlines()
    assert event_from_record(json.loads(first)) == told
    assert isinstance(event_from_record(json.loads(first)), PseudoLabelScore)
    assert json.loads(second)["total"] is None and json.loads(second)["skipped"] == 1


def test_the_hold_out_is_judged_by_all_looks_of_the_teacher(tmp_path: Path) -> None:
    """Both looks see the left object at 0.9, the second one alone the right object: 0.9 / 2 is no pseudo-label."""
    (tmp_path / "totes").mkdir()
    Image.new("RGB", (80, 60)).save(tmp_path / "totes" / "a.png")
    project = Project.create(tmp_path / "totes.rise", tmp_path / "totes")
    project.scan()
    frame = project.frames.all()[0].id
    category = project.annotations.add_category("object").id
    for x in (0, 40):
        mask = np.zeros((60, 80), bool)
        mask[:, x : x + 40] = True
        project.annotations.add(frame, [Instance(None, frame, category, from_mask(mask))])
    config = RiseConfig.preset("laptop").with_settings(
        [
            "loader.predict_short_side=96",
            "pseudo_labels.teacher_mirror=false",
            "pseudo_labels.teacher_scales=[1.0, 1.5]",
        ]
    )
    looks = []

    class Network:
        def __call__(self, images: Tensor, padding_mask: Tensor | None = None) -> Halves:
            looks.append(tuple(images.shape[-2:]))
            return Halves((images.shape[-2], images.shape[-1]), [0.9, 0.9 if len(looks) % 2 == 0 else 0.001])

    loaded = LoadedModel(Network(), config, ("object",), torch.device("cpu"))  # type: ignore[arg-type]
    score = measure_pseudo_labels(loaded, project, [frame], step=0)
    assert looks == [(96, 128), (160, 192)]
    assert (score.kept, score.precision, score.recall) == (1, 1, 0.5)


@dataclass
class Halves:
    """The left and the right half of a picture (h, w), as two queries with these scores."""

    size: tuple[int, int]
    scores: list[float]

    @property
    def class_logits(self) -> Tensor:
        return torch.logit(torch.tensor(self.scores))[None, :, None]

    @property
    def boxes(self) -> Tensor:
        return torch.tensor([[[0.25, 0.5, 0.5, 1.0], [0.75, 0.5, 0.5, 1.0]]])

    @property
    def embeddings(self) -> Tensor:
        return torch.zeros(1, 2, 4)

    def masks(self, image: int, queries: Tensor) -> Tensor:
        height, width = self.size[0] // 4, self.size[1] // 4
        logits = torch.full((2, height, width), -4.0)
        logits[0, :, : width // 2] = logits[1, :, width // 2 :] = 4.0
        return logits[queries]
