"""Frames, masks and live predictions are prefetched in background threads."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from qtpy.QtWidgets import QApplication, QOpenGLWidget

from rise_engine.project.project import Project
from rise_engine.project.records import Instance
from rise_engine.project.segmentation import from_mask
from rise_engine.training import events
from rise_napari.layers.frame_stack import FrameStack
from rise_napari.layers.mask_patch import MaskPatch
from rise_napari.layers.project_layers import ProjectLayers
from rise_napari.training.session import Job, TrainingSession


@pytest.fixture
def project(folder: Path) -> Iterator[Project]:
    with Project.create(folder.parent / "ahead.rise", folder) as made:
        made.scan()
        yield made


class Beside:
    """Hears which frames were read ahead, of what size, and in which thread."""

    def __init__(self) -> None:
        self.told: list[tuple[int, tuple[int, int]]] = []
        self.threads: set[int] = set()

    def __call__(self, project: Project, frame_id: int, size: tuple[int, int]) -> None:
        project.annotations.of_frame(frame_id)
        self.told.append((frame_id, size))
        self.threads.add(threading.get_ident())


def test_neighbouring_frames_are_prefetched_with_their_masks(project: Project, folder: Path) -> None:
    beside, frames = Beside(), project.frames.all()
    stack = FrameStack(project, frames, first=5, on_problem=pytest.fail, prefetch=beside)
    stack.prefetch_neighbours()
    stack._executor.shutdown(wait=True)
    assert sorted(beside.told) == sorted([(frames[6].id, (90, 50)), (frames[4].id, (60, 80))])
    assert threading.get_ident() not in beside.threads
    (folder / "frame_4.png").unlink()
    assert stack.read(4).shape == (60, 80, 3), "it is read from memory"


def test_frames_that_are_no_longer_neighbours_are_not_read(project: Project) -> None:
    beside, frames = Beside(), project.frames.all()
    begun, held = threading.Event(), threading.Event()

    def wait(project: Project, frame_id: int, size: tuple[int, int]) -> None:
        begun.set()
        held.wait(10)
        beside(project, frame_id, size)

    stack = FrameStack(project, frames, first=0, on_problem=pytest.fail, prefetch=wait)
    stack.prefetch_neighbours()
    assert begun.wait(10)
    for index in (2, 5):
        stack.show(index)
        stack.prefetch_neighbours()
    held.set()
    stack._executor.shutdown(wait=True)
    assert {number for number, _ in beside.told} == {frames[place].id for place in (1, 4, 6)}


def prefetch(layers: ProjectLayers) -> None:
    """Waits until the frame in view is drawn, and its neighbours are read."""
    QApplication.processEvents()
    layers._stack._executor.submit(lambda: None).result(10)


def test_prefetching_waits_until_the_current_frame_is_drawn(labelled: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []
    monkeypatch.setattr(FrameStack, "prefetch_neighbours", lambda stack: done.append(f"ahead of {stack.current}"))
    labelled.viewer_for_tests.show()
    prefetch(labelled.layers)
    labelled.window().findChild(QOpenGLWidget).aboutToCompose.connect(lambda: done.append("drawn"))
    done.clear()
    for place in (1, 2):
        labelled.workspace.show(labelled.workspace.frames[place].id)
    assert done == []
    QApplication.processEvents()
    assert "drawn" in done
    assert done[-1] == "ahead of 2", "and only of the frame that the person stopped at"
    assert done.count(done[-1]) == 1


def test_the_next_frame_is_shown_without_decoding_a_mask(
    labelled: Any, disc: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace, layers = labelled.workspace, labelled.layers
    array = layers.annotations.data
    prefetch(layers)
    monkeypatch.setattr(MaskPatch, "decoded", lambda *_: pytest.fail("decoded on the window's thread"))
    workspace.show(workspace.frames[1].id)
    assert np.array_equal(layers.annotations.data > 0, disc(20, 24))
    assert layers.annotations.data is array, "the pixels are exchanged, not the array"
    workspace.show(workspace.frames[0].id)
    assert np.array_equal(layers.annotations.data > 0, disc(20, 20))


def test_a_change_by_another_program_after_prefetching_is_shown(labelled: Any, disc: Any) -> None:
    workspace = labelled.workspace
    prefetch(labelled.layers)
    second = workspace.frames[1].id
    with Project.open(workspace.project.path) as other:
        category = other.annotations.categories()[0].id
        other.annotations.add(second, [Instance(None, second, category, from_mask(disc(45, 60)))])
    workspace.show(second)
    assert np.array_equal(labelled.layers.annotations.data > 0, disc(20, 24) | disc(45, 60))


def test_a_frame_of_another_size_gets_an_array_of_its_own(labelled: Any, folder: Path) -> None:
    layers, workspace = labelled.layers, labelled.workspace
    array = layers.annotations.data
    workspace.show(workspace.frames[6].id)
    assert layers.annotations.data.shape == np.asarray(Image.open(folder / "tall.png")).shape[:2]
    workspace.show(workspace.frames[0].id)
    assert layers.annotations.data.shape == array.shape
    assert layers.annotations.data.any()


def test_events_are_prefetched_in_the_thread_of_the_pump(trainer: Any, tmp_path: Path) -> None:
    session = TrainingSession(trainer)
    arrived: list[tuple[int, list[events.Event]]] = []
    session.events_arriving.connect(lambda batch: arrived.append((threading.get_ident(), batch)))
    trainer.batches = [[events.Progress(1, 2, 0.5, 1.0)], [events.Finished(2, run=1, folder="runs/1", stopped=False)]]
    session.start(Job(tmp_path, None, None), watch=None)
    batches: list[list[events.Event]] = []
    pump = threading.Thread(target=lambda: batches.extend(session.pump()))
    pump.start()
    pump.join(30)
    assert [batch for _, batch in arrived] == [batch for batch in batches if batch]
    assert {number for number, _ in arrived} == {pump.ident}
