"""Killed at any moment, nothing that was done is lost and nothing is left half done.

A few rounds each; ``make faults`` does a hundred.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from rise_engine.config import RiseConfig
from rise_engine.formats.coco import export_coco
from rise_engine.project.project import Project
from rise_engine.project.records import FrameState, Instance
from rise_engine.project.segmentation import area_of, from_mask
from rise_engine.synthetic import write_sample_folder
from rise_engine.training.events import Losses
from rise_engine.training.trainer import Trainer

ROUNDS = int(os.environ.get("RISE_FAULT_ROUNDS", "1"))
VICTIM = Path(__file__).with_name("victim.py")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(300 + 30 * ROUNDS),
    pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork and kill -9"),
]

TINY = [
    "weights=none",
    "device=cpu",
    "model.hidden_dim=32",
    "model.encoder_layers=1",
    "model.decoder_layers=1",
    "model.num_queries=6",
    "model.num_heads=4",
    "model.feedforward_dim=32",
    "loader.short_sides=[64]",
    "loader.crop=96",
    "loader.predict_short_side=64",
    "loader.predict_long_side=96",
    "schedule.steps=8",
    "schedule.unsupervised_after=1",
    "schedule.checkpoint_seconds=0.000001",
]


class Victim:
    """A process that does things in children of its own, to be killed in the middle."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, str(VICTIM)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self._hear() == "ready"

    def do(self, *, after: int, pause: float, **order: Any) -> list[Any]:
        """Starts something, kills it ``pause`` seconds after it said ``after`` things, returns all that it said."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        number = self._hear()
        said: list[Any] = []
        while len(said) < after and not _is_end(said):
            said.append(self._hear())
        if not _is_end(said):
            time.sleep(pause)
            os.kill(number, signal.SIGKILL)
            while not _is_end(said):
                said.append(self._hear())
        end = said.pop()
        assert end["ended"] in (0, -signal.SIGKILL), "it failed before it was killed"
        return said

    def close(self) -> None:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(timeout=60)
        self._process.stdout.close()

    def _hear(self) -> Any:
        assert self._process.stdout is not None
        return json.loads(self._process.stdout.readline())


def _is_end(said: list[Any]) -> bool:
    return bool(said) and isinstance(said[-1], dict)


@pytest.fixture(scope="module")
def victim() -> Iterator[Victim]:
    started = Victim()
    yield started
    started.close()


@pytest.fixture
def project_path(tmp_path: Path) -> Path:
    """Thirty small pictures, the first with two squares."""
    folder = tmp_path / "totes"
    folder.mkdir()
    for number in range(30):
        Image.fromarray(np.full((60, 80, 3), 8 * number, dtype=np.uint8)).save(folder / f"tote{number}.png")
    with Project.create(tmp_path / "totes.rise", folder) as project:
        project.scan()
        return project.path


def _assert_whole(path: Path, check: Callable[[Project], None]) -> None:
    with Project.open(path, exclusive=True) as project:
        assert not project.read_only
        assert project.store.read("PRAGMA integrity_check")[0][0] == "ok"
        check(project)


def test_every_stroke_that_was_saved_is_there(victim: Victim, project_path: Path) -> None:
    rng = np.random.default_rng(int(time.time()))
    known: dict[int, int] = {}
    for _ in range(3 * ROUNDS):
        for number, area in victim.do(
            action="paint",
            project=str(project_path),
            after=int(rng.integers(1, 40)),
            pause=float(rng.uniform(0, 0.05)),
        ):
            known[number] = area

        def check(project: Project) -> None:
            frame = project.frames.all()[0].id
            stored = {one.id: area_of(one.segmentation, 60, 80) for one in project.annotations.of_frame(frame)}
            expected = {number: area for number, area in known.items() if area}
            # What it did last may have been saved without a word about it.
            newest = max(known)
            assert {n: a for n, a in stored.items() if n not in (newest, newest + 1)} == {
                n: a for n, a in expected.items() if n != newest
            }
            known.clear()
            known.update({n: a for n, a in stored.items() if n is not None} or {newest: 0})
            # The journal agrees with the rows: everything can be taken back, and done again.
            before = project.annotations.of_frame(frame)
            for _ in range(5):
                project.journal.undo()
            for _ in range(5):
                project.journal.redo()
            assert project.annotations.of_frame(frame) == before

        _assert_whole(project_path, check)


def test_an_import_is_there_whole_or_not_at_all(victim: Victim, project_path: Path, tmp_path: Path) -> None:
    square = [[5, 5, 30, 5, 30, 30, 5, 30]]
    images = [{"id": n, "file_name": f"tote{n}.png", "width": 80, "height": 60} for n in range(30)]
    annotations = [
        {"id": n, "image_id": n % 30, "category_id": 1, "segmentation": square, "area": 625, "bbox": [5, 5, 25, 25]}
        for n in range(1500)
    ]
    file = tmp_path / "many.json"
    categories = [{"id": 1, "name": "object"}]
    file.write_text(json.dumps({"images": images, "annotations": annotations, "categories": categories}))
    rng = np.random.default_rng(int(time.time()))

    def check(project: Project) -> None:
        count = sum(len(project.annotations.of_frame(frame.id)) for frame in project.frames.all())
        assert count in (0, 1500)
        labelled = project.frames.counts()[FrameState.LABELLED]
        assert labelled == (30 if count else 0)
        if count:
            project.journal.undo()

    for _ in range(3 * ROUNDS):
        victim.do(
            action="import",
            project=str(project_path),
            file=str(file),
            after=int(rng.integers(0, 3)),
            pause=float(rng.uniform(0, 0.4)),
        )
        _assert_whole(project_path, check)


def test_an_exported_file_is_the_old_one_or_the_new_one(victim: Victim, project_path: Path, tmp_path: Path) -> None:
    with Project.open(project_path) as project:
        category = project.annotations.add_category("object").id
        mask = np.zeros((60, 80), dtype=bool)
        mask[5:50, 10:70] = True
        for frame in project.frames.all():
            project.annotations.add(frame.id, [Instance(None, frame.id, category, from_mask(mask))] * 20)
        file = tmp_path / "out.json"
        whole = []
        for masks in ("rle", "polygons"):
            export_coco(project, file, masks=masks)  # type: ignore[arg-type]
            whole.append(file.read_bytes())
    rng = np.random.default_rng(int(time.time()))
    for _ in range(3 * ROUNDS):
        victim.do(
            action="export",
            project=str(project_path),
            file=str(file),
            after=int(rng.integers(0, 4)),
            pause=float(rng.uniform(0, 0.1)),
        )
        assert file.read_bytes() in whole
    with Project.open(project_path) as project:
        export_coco(project, file, masks="rle")
    assert file.read_bytes() == whole[0]


def test_a_training_goes_on_as_if_nobody_had_killed_it(victim: Victim, tmp_path: Path) -> None:
    frames = write_sample_folder(tmp_path / "totes", count=4, seed=3, size=(48, 64))
    paths = []
    for name in ("whole", "killed"):
        with Project.create(tmp_path / f"{name}.rise", tmp_path / "totes") as project:
            project.scan()
            category = project.annotations.add_category("object").id
            for record, frame in zip(project.frames.all()[:2], frames, strict=False):
                shapes = [Instance(None, record.id, category, from_mask(mask)) for mask in frame.masks]
                project.annotations.add(record.id, shapes)
            paths.append(project.path)
    whole, killed = paths
    torch.set_num_threads(1)
    with Project.open(whole) as project:
        events = list(Trainer(project, RiseConfig.preset("laptop").with_settings(TINY)).run())
    expected = {event.step: event.total for event in events if isinstance(event, Losses)}
    assert sorted(expected) == list(range(1, 9))

    rng = np.random.default_rng(int(time.time()))
    for trial in range(ROUNDS):
        resume = False
        # Each life gets a step or so further; the last one is left alone.
        for life in range(20):
            order = {"action": "train", "project": str(killed), "settings": TINY, "resume": resume}
            patience = int(rng.integers(1, 4)) if life < 19 else 100
            said = victim.do(after=patience, pause=float(rng.uniform(0, 0.1)), **order)
            for step, loss in said:
                assert loss == expected[step], f"step {step} of trial {trial} differs after {life} kills"
            _assert_whole(killed, lambda project: None)
            with Project.open(killed) as project:
                run = project.runs.all()[-1]
                resume = (run.folder / "training_state/state.safetensors").is_file() and run.finished is None
                if run.finished is not None:
                    break
        with Project.open(killed) as project:
            folder = project.runs.get().folder
        # Its curves too are those of one training: each step once, in order.
        records = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
        curve = [(record["step"], record["total"]) for record in records if record["event"] == "Losses"]
        assert curve == sorted(expected.items())
