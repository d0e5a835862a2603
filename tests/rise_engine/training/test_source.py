"""Scenes of a project's steps: the same whoever plans them, and when."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from rise_engine.config import RiseConfig
from rise_engine.errors import RiseError
from rise_engine.project.project import Project
from rise_engine.project.records import Instance
from rise_engine.project.segmentation import from_mask
from rise_engine.project.splits import TrainingSplit
from rise_engine.pseudo_sequences.views import PseudoSequence
from rise_engine.training.data.prefetch import PlanPrefetcher
from rise_engine.training.data.source import SequenceSource

SETTINGS = (
    "loader.short_sides=[64, 72]",
    "loader.crop=80",
    "loader.labelled_per_step=3",
    "loader.unlabelled_per_step=2",
    "sequence.min_area=8",
)


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    """Six frames of noise; the first three have an object each, and overlapping ones."""
    images = tmp_path / "images"
    images.mkdir()
    rng = np.random.default_rng(0)
    for index in range(6):
        Image.fromarray(rng.integers(0, 256, (96, 120, 3), dtype=np.uint8)).save(images / f"{index}.png")
    with Project.create(tmp_path / "p.rise", images) as project:
        project.scan()
        category = project.annotations.add_category("object").id
        for index, frame in enumerate(project.frames.all()[:3]):
            masks = np.zeros((2, 96, 120), bool)
            masks[0, 10:50, 20 : 60 + 5 * index] = masks[1, 40:80, 50:90] = True
            project.annotations.add(frame.id, [Instance(None, frame.id, category, from_mask(mask)) for mask in masks])
        yield project


def source(project: Project, *settings: str) -> SequenceSource:
    frames = [frame.id for frame in project.frames.all()]
    config = RiseConfig.preset("laptop").with_settings([*SETTINGS, *settings])
    made = SequenceSource(project, TrainingSplit(frames[:3], frames[3:], []), config)
    made.fill_bank()
    return made


def assert_equal(ours: list[PseudoSequence | None], theirs: list[PseudoSequence | None]) -> None:
    for one, other in zip(ours, theirs, strict=True):
        assert (one is None) == (other is None)
        if one is None or other is None:
            continue
        assert one.name == other.name
        assert torch.equal(one.strong, other.strong) and torch.equal(one.covered, other.covered)
        for a, b in ((one.before, other.before), (one.after, other.after)):
            for part in ("image", "masks", "labels", "ids", "pasted"):
                assert torch.equal(getattr(a, part), getattr(b, part)), part


def sequence_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("sequences")]


def test_planned_ahead_scenes_are_the_same(project: Project) -> None:
    plain, ahead = source(project, "loader.workers=0"), source(project, "loader.workers=2")
    # In order, again, with a jump, and with some places that another process has.
    for step, mine in ((0, None), (1, None), (1, None), (2, [True, False, True]), (7, None), (3, None)):
        assert_equal(ahead.sequences(step, "labelled", mine), plain.sequences(step, "labelled", mine))
        assert_equal(ahead.sequences(step, "unlabelled"), plain.sequences(step, "unlabelled"))
    assert sequence_threads()
    ahead.close()
    assert not sequence_threads()
    assert_equal(ahead.sequences(4, "labelled"), plain.sequences(4, "labelled"))


def test_nothing_runs_beside_a_training_that_wants_no_help(project: Project) -> None:
    for settings in (("loader.workers=0",), ("loader.workers=2", "sequence.bank_admit=segmented")):
        scenes = source(project, *settings)
        scenes.sequences(0, "labelled")
        assert not sequence_threads()


def test_a_new_bank_is_used_at_once(project: Project) -> None:
    ahead, plain = source(project, "loader.workers=1"), source(project, "loader.workers=0")
    ahead.sequences(0, "unlabelled")
    for scenes in (ahead, plain):
        references = scenes.bank_references()
        scenes.bank = type(scenes.bank)(2)
        scenes.restore_bank(references[:2])
    assert len(ahead.bank) == 2
    assert_equal(ahead.sequences(1, "unlabelled"), plain.sequences(1, "unlabelled"))
    ahead.close()


def test_a_bank_that_does_not_hold_every_object_moves_on_with_the_labelled_frames(project: Project) -> None:
    """Six objects in three frames, four in the bank, a frame a step: those of the step's frame and of the one after."""
    settings = ("loader.labelled_per_step=1", "sequence.bank_capacity=4")
    plain, ahead = source(project, *settings, "loader.workers=0"), source(project, *settings, "loader.workers=2")
    order = [plain.sequences(step, "labelled")[0].name for step in range(7)]
    for step in range(6):
        assert [cut_out.frame for cut_out in plain._bank_of(step)] == [order[step]] * 2 + [
            order[step + 1] if order[step + 1] != order[step] else order[step + 2]
        ] * 2
        assert_equal(ahead.sequences(step, "unlabelled"), plain.sequences(step, "unlabelled"))
    fixed = source(project, "loader.labelled_per_step=1", "sequence.bank_capacity=7")
    assert fixed._bank_of(5) is fixed.bank and len(fixed.bank) == 6
    ahead.close()


def test_what_a_person_keeps_out_of_the_bank_is_not_admitted_either(project: Project) -> None:
    frame = project.frames.all()[0]
    kept_out, allowed = (instance.id for instance in project.annotations.of_frame(frame.id))
    assert kept_out is not None
    project.annotations.set_bank_excluded(kept_out, True)
    scenes = source(project, "sequence.bank_admit=segmented")
    scenes.restore_bank([])
    scenes.bank = type(scenes.bank)(5)
    scenes.admit(frame.name, [0, 1])
    assert scenes.bank_references() == [(frame.name, allowed)]


def test_a_labelled_frame_that_is_broken_is_told_at_its_own_step(project: Project) -> None:
    settings = ("loader.workers=2", "loader.labelled_per_step=1", "sequence.bank_capacity=1")
    scenes = source(project, *settings)
    order = [scenes.sequences(step, "labelled")[0].name for step in range(3)]
    fresh = source(project, *settings)
    (project.images / order[1]).write_bytes(b"no picture")
    assert fresh.sequences(0, "labelled")[0].name == order[0]
    with pytest.raises(RiseError, match=order[1]):
        fresh.sequences(1, "labelled")
    scenes.close()
    fresh.close()


@pytest.mark.parametrize("workers", [0, 2])
def test_an_unlabelled_frame_that_is_broken_is_left_out_and_told_once(project: Project, workers: int) -> None:
    settings = (f"loader.workers={workers}", "loader.unlabelled_per_step=1")
    scenes = source(project, *settings)
    order = [scenes.sequences(step, "unlabelled")[0].name for step in range(3)]
    (project.images / order[1]).write_bytes(b"no picture")
    fresh = source(project, *settings)
    seen, told = [], []
    for step in range(6):
        seen.append(fresh.sequences(step, "unlabelled")[0].name)
        told += fresh.take_notices()
    assert [seen[0], seen[2]] == [order[0], order[2]], "the others keep their places"
    assert set(seen) == {order[0], order[2]}
    assert len(told) == 1 and order[1] in told[0] and "continues without it" in told[0]
    again = source(project, *settings)
    assert [again.sequences(step, "unlabelled")[0].name for step in range(6)] == seen
    for name in (order[0], order[2]):
        (project.images / name).unlink()
    # What was read is still in the memory of the first two.
    with pytest.raises(RiseError, match="none of the 3 unlabelled frames"):
        source(project, *settings).sequences(0, "unlabelled")
    for each in (scenes, fresh, again):
        each.close()


def test_cached_labelled_frames_keep_their_overlaps(project: Project) -> None:
    frame = project.frames.all()[0]
    scenes = source(project)
    read = project.labelled_frame(frame.id, short_side=72)
    assert (read.masks[0] & read.masks[1]).any()
    np.testing.assert_array_equal(scenes._labelled_frame(frame.id).masks, read.masks)
    assert scenes._labelled_frame(frame.id).instances == read.instances


def test_only_what_is_wanted_soon_is_planned_ahead() -> None:
    begun: list[int] = []
    gate = threading.Event()

    def plan(key: int) -> int:
        begun.append(key)
        assert gate.wait(10)
        return -key

    with ThreadPoolExecutor(1) as pool:
        ahead = PlanPrefetcher(plan, pool)
        gate.set()
        assert ahead.take([1], soon=[2, 3]) == [-1]
        assert ahead.take([2], soon=[3, 4]) == [-2]
        assert ahead.take([4]) == [-4]
        gate.clear()
        ahead.take([], soon=[5, 6, 7])
        ahead.forget()
        gate.set()
    # None was made twice, and of those forgotten only the one in hand was finished.
    assert begun == [1, 2, 3, 4, 5] or begun == [1, 2, 3, 4]
