"""Predicting many frames: read ahead, passed together where they fit, and equal to one frame at a time."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from rise_engine.config import RiseConfig
from rise_engine.errors import RiseError
from rise_engine.model import build_segmenter
from rise_engine.prediction.load import LoadedModel
from rise_engine.prediction.predict import predict, predict_frames
from rise_engine.prediction.read_ahead import batches_by_key, read_ahead
from rise_engine.prediction.store import predict_into_store, remaining_frames
from rise_engine.project.project import Project

SIZES = [(64, 96)] * 3 + [(96, 64)] + [(64, 96)] * 2 + [(64, 80)]
"""Height and width of the frames; the last one is padded to the width of the first."""


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    folder = tmp_path / "totes"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for number, size in enumerate(SIZES):
        Image.fromarray(rng.integers(0, 255, (*size, 3), dtype=np.uint8)).save(folder / f"{number}.png")
    with Project.create(tmp_path / "totes.rise", folder) as made:
        made.scan()
        yield made


@pytest.fixture
def loaded() -> LoadedModel:
    settings = ["hidden_dim=32", "encoder_layers=1", "decoder_layers=1", "num_queries=8", "num_heads=4"]
    config = RiseConfig.preset("laptop").with_settings(
        [f"model.{each}" for each in settings] + ["loader.predict_short_side=64"]
    )
    torch.manual_seed(0)
    return LoadedModel(build_segmenter(config.model).eval(), config, ("object",), torch.device("cpu"))


def frame_ids(project: Project) -> list[int]:
    return [frame.id for frame in project.frames.all()]


def test_frames_that_pass_together_get_what_each_gets_alone(project: Project, loaded: LoadedModel) -> None:
    passes: list[tuple[int, ...]] = []
    model = loaded.model

    def counted(images: Tensor, padding_mask: Tensor | None = None) -> object:
        passes.append(tuple(images.shape))
        return model(images, padding_mask)

    watched = LoadedModel(counted, loaded.config, loaded.class_names, loaded.device)  # type: ignore[arg-type]
    ids = frame_ids(project)
    together = list(predict_frames(watched, project, ids, batch=2, min_score=0.0))
    assert [shape[0] for shape in passes] == [2, 1, 1, 2, 1]
    assert [frame for frame, _ in together] == ids
    for frame, found in together:
        alone = predict(loaded, project.image(frame), min_score=0.0)
        assert alone
        assert len(found) == len(alone)
        for one, other in zip(found, alone, strict=True):
            assert one.score == pytest.approx(other.score, abs=1e-5)
            assert one.box == pytest.approx(other.box, abs=1)
            assert one.label == other.label


def test_a_pass_that_does_not_fit_into_memory_is_halved(project: Project, loaded: LoadedModel) -> None:
    def small_device(images: Tensor, padding_mask: Tensor | None = None) -> object:
        if len(images) > 1:
            raise torch.OutOfMemoryError("no room for two")
        return loaded.model(images, padding_mask)

    watched = LoadedModel(small_device, loaded.config, loaded.class_names, loaded.device)  # type: ignore[arg-type]
    ids = frame_ids(project)[:3]
    found = dict(predict_frames(watched, project, ids, batch=3, min_score=0.0))
    assert {frame: len(each) for frame, each in found.items()} == {
        frame: len(predict(loaded, project.image(frame), min_score=0.0)) for frame in ids
    }


def test_pictures_are_read_ahead_in_a_thread_but_not_all_at_once(project: Project) -> None:
    threads: list[str] = []
    prepared = threading.Semaphore(0)

    def prepare(image: np.ndarray) -> tuple[int, ...]:
        threads.append(threading.current_thread().name)
        prepared.release()
        return image.shape

    stream = read_ahead(project, frame_ids(project), prepare, ahead=2)
    assert next(stream)[1] == (64, 96, 3)
    for _ in range(3):  # the first and the two ahead are read while nobody asks for more
        assert prepared.acquire(timeout=30)
    assert len(threads) == 3
    assert threading.current_thread().name not in threads
    assert [shape for _, shape in stream] == [(*size, 3) for size in SIZES[1:]]


def test_an_unreadable_frame_comes_up_in_its_turn(project: Project) -> None:
    ids = frame_ids(project)
    (project.images / "1.png").write_bytes(b"broken")
    stream = read_ahead(project, ids, np.shape)
    assert next(stream)[0] == ids[0]
    with pytest.raises(RiseError, match=r"1\.png"):
        next(stream)
    left_out: list[RiseError] = []
    assert [frame for frame, _ in read_ahead(project, ids, np.shape, unreadable=left_out)] == [ids[0], *ids[2:]]
    assert len(left_out) == 1


def test_groups_keep_the_order() -> None:
    assert list(batches_by_key([1, 1, 1, 2, 1], key=lambda item: item, limit=2)) == [[1, 1], [1], [2], [1]]
    assert list(batches_by_key([], key=lambda item: item, limit=2)) == []


def test_an_interrupted_prediction_goes_on_where_it_stopped(
    project: Project, loaded: LoadedModel, tmp_path: Path
) -> None:
    ids = frame_ids(project)
    run = project.runs.start(preset="laptop", recipe="recommended", steps=1, base="none").number
    weights = tmp_path / "weights.safetensors"
    weights.write_bytes(b"first")
    assert remaining_frames(project, run, weights, ids) == ids
    predicting = predict_into_store(loaded, project, run, ids, batch=2)
    next(predicting)
    next(predicting)
    predicting.close()  # what Ctrl-C does
    assert remaining_frames(project, run, weights, ids) == ids[2:]
    assert remaining_frames(project, run, weights, ids, again=True) == ids
    assert remaining_frames(project, run, weights, ids) == ids  # asked again, and not done yet
    list(predict_into_store(loaded, project, run, ids))
    assert remaining_frames(project, run, weights, ids) == []
    state = weights.stat()
    os.utime(weights, ns=(state.st_atime_ns, state.st_mtime_ns + 1_000_000))
    assert remaining_frames(project, run, weights, ids) == ids  # the run was trained on
