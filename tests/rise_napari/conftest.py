"""A small folder of frames, a trainer that replays events, and the window on a real viewer."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("NAPARI_ASYNC", "0")

import numpy as np
import pytest
from PIL import Image
from qtpy.QtCore import QPoint, QPointF, Qt
from qtpy.QtGui import QMouseEvent
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication, QWidget

from rise_engine.project.records import PredictedInstance
from rise_engine.project.segmentation import from_mask
from rise_engine.training import events
from rise_engine.training.events import Event

SIZE = (60, 80)


def make_disc(row: int, column: int, radius: int = 8, size: tuple[int, int] = SIZE) -> np.ndarray:
    """A round mask, bool (H, W)."""
    rows, columns = np.ogrid[: size[0], : size[1]]
    return (rows - row) ** 2 + (columns - column) ** 2 <= radius**2


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Six frames of one size with two discs each, and one of another size."""
    images = tmp_path / "totes"
    images.mkdir()
    rng = np.random.default_rng(0)
    for index in range(6):
        picture = rng.integers(20, 60, (*SIZE, 3)).astype(np.uint8)
        picture[make_disc(20, 20 + 4 * index)] = (200, 40, 40)
        picture[make_disc(40, 60 - 4 * index)] = (40, 200, 40)
        Image.fromarray(picture).save(images / f"frame_{index}.png")
    Image.fromarray(np.full((90, 50, 3), 90, np.uint8)).save(images / "tall.png")
    return images


class FakeTrainer:
    """Replays a list of batches, one each time it is asked, and obeys like the real one."""

    def __init__(self, batches: list[list[Event]]) -> None:
        self.batches = list(batches)
        self.asked: list[Any] = []
        self.alive = False
        self.paused = self._told_paused = False
        self.job: Any = None
        self._stopping = False
        self._step = 0

    def __call__(self, job: Any) -> FakeTrainer:
        self.job = job
        self._stopping = False
        return self

    def start(self) -> None:
        self.alive = True

    def events(self) -> list[Event]:
        if self._stopping and self.alive:
            self.alive = False
            return [events.Finished(self._step, run=1, folder="runs/0001-laptop", stopped=True)]
        if self.paused:
            told = [] if self._told_paused else [events.Paused(self._step)]
            self._told_paused = True
            return told
        if not self.batches:
            return []
        batch = self.batches.pop(0)
        self._step = batch[-1].step
        if isinstance(batch[-1], events.Finished | events.Failed):
            self.alive = False
        return batch

    def watch(self, frame: str | None) -> None:
        self.asked.append(("watch", frame))

    def pause(self) -> None:
        self.paused, self._told_paused = True, False

    def resume(self) -> None:
        self.paused = False

    def stop(self) -> None:
        self.asked.append("stop")
        self._stopping = True

    def kill(self) -> None:
        self.asked.append("kill")
        self.alive = False


def prediction(mask: np.ndarray, score: float = 0.9) -> PredictedInstance:
    """A prediction with this mask."""
    return PredictedInstance(rle=from_mask(mask), box=(0.0, 0.0, 1.0, 1.0), label=0, score=score)


def losses(step: int, total: float) -> events.Losses:
    """A loss event."""
    return events.Losses(step, total, total / 2, 0.1, total / 4, 0.1, 0.1, 0.1, 0.1, 0.1, 1e-4, 1.0)


def thresholds(step: int) -> events.Thresholds:
    """A threshold event."""
    return events.Thresholds(
        step,
        gamma_cls=0.5,
        quantile_level=0.9,
        quantile_cut=0.62,
        gamma_mask=0.5,
        predictions=100,
        after_gamma=12,
        after_quantile=8,
        after_matching=5,
        lowest_kept=0.6,
        mean_kept=0.7,
        highest_kept=0.9,
        bank_size=4,
        association_accuracy=None,
    )


def make_script(frame: str, masks: list[np.ndarray], *, steps: int = 4) -> list[list[Event]]:
    """What a short training tells."""
    started = events.Started(0, 1, "runs/0001-laptop", steps, 2, 5, 0, "cpu", 4, "Starter weights.")
    batches: list[list[Event]] = [[started]]
    for step in range(1, steps + 1):
        batches.append(
            [
                losses(step, 4.0 / step),
                thresholds(step),
                events.Progress(step, steps, 0.5, 0.5 * (steps - step)),
                events.Preview(step, frame, [prediction(mask) for mask in masks], [prediction(masks[0])]),
            ]
        )
    return batches


@pytest.fixture
def trainer() -> FakeTrainer:
    """A trainer whose script a test fills in."""
    return FakeTrainer([])


@pytest.fixture
def workbench(
    make_napari_viewer_proxy: Callable[..., Any],
    trainer: FakeTrainer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    qtbot: Any,
) -> Iterator[Any]:
    """The window, docked into a viewer, without a project."""
    from qtpy.QtCore import QSettings

    from rise_napari.tabs.project import recent_projects
    from rise_napari.ui import header
    from rise_napari.widget import Workbench
    from rise_napari.workspace import Workspace

    # On a busy machine a test takes longer than a person: what was told stays, until a test wants it otherwise.
    monkeypatch.setattr(header, "STALE_SECONDS", 3600.0)

    kept = QSettings(str(tmp_path / "settings.ini"), QSettings.Format.IniFormat)
    monkeypatch.setattr(recent_projects, "settings", lambda: kept)
    viewer = make_napari_viewer_proxy()
    bench = Workbench(viewer, Workspace(trainer))
    viewer.window.add_dock_widget(bench, name="RISE")
    bench.viewer_for_tests = viewer
    yield bench
    bench.shut_down()


@pytest.fixture
def opened(workbench: Any, folder: Path) -> Any:
    """The window with the folder open on its first frame."""
    assert workbench.workspace.open_path(folder)
    return workbench


def draw_stroke(bench: Any, mask: np.ndarray, *, new: bool = True) -> None:
    """Draws a mask with the label in hand, as one recorded edit of napari's layer, and waits for the commit."""
    if new:
        bench.workspace.new_instance_requested.emit()
    layer = bench.layers.annotations
    layer.data_setitem(np.nonzero(mask), layer.selected_label)
    bench.layers.commit()


@pytest.fixture
def labelled(opened: Any) -> Any:
    """Two labelled frames, the first in view."""
    draw_stroke(opened, make_disc(20, 20))
    opened.annotate.mark_done()
    draw_stroke(opened, make_disc(20, 24))
    opened.workspace.show(opened.workspace.frames[0].id)
    return opened


class Hand:
    """A person's mouse and keyboard on the picture."""

    def __init__(self, viewer: Any) -> None:
        self._viewer = viewer
        widgets = [widget for top in QApplication.topLevelWidgets() for widget in top.findChildren(QWidget)]
        self._canvas = next(widget for widget in widgets if type(widget).__name__.startswith("CanvasBackend"))

    def key(self, key: Qt.Key, modifier: Qt.KeyboardModifier = Qt.KeyboardModifier.NoModifier) -> None:
        QTest.keyClick(self._canvas, key, modifier)
        QApplication.processEvents()

    def drag(self, path: list[tuple[float, float]]) -> None:
        """Presses at the first (row, column) of the frame, moves through the others, and lets go."""
        places = [self._place(point) for point in path]
        QTest.mouseMove(self._canvas, places[0])
        self._send(QMouseEvent.Type.MouseMove, places[0], Qt.MouseButton.NoButton, Qt.MouseButton.NoButton)
        self._send(QMouseEvent.Type.MouseButtonPress, places[0], Qt.MouseButton.LeftButton, Qt.MouseButton.LeftButton)
        for place in places[1:]:
            self._send(QMouseEvent.Type.MouseMove, place, Qt.MouseButton.NoButton, Qt.MouseButton.LeftButton)
        self._send(QMouseEvent.Type.MouseButtonRelease, places[-1], Qt.MouseButton.LeftButton, Qt.MouseButton.NoButton)

    def _send(self, kind: Any, place: QPoint, button: Qt.MouseButton, held: Qt.MouseButton) -> None:
        screen = QPointF(self._canvas.mapToGlobal(place))
        event = QMouseEvent(kind, QPointF(place), screen, button, held, Qt.KeyboardModifier.NoModifier)
        QApplication.sendEvent(self._canvas, event)
        QApplication.processEvents()

    def _place(self, point: tuple[float, float]) -> QPoint:
        camera = self._viewer.camera
        row, column = (point[axis] - camera.center[axis + 1] for axis in (0, 1))
        middle = self._canvas.width() / 2, self._canvas.height() / 2
        return QPoint(round(middle[0] + column * camera.zoom), round(middle[1] + row * camera.zoom))


@pytest.fixture
def make_hand() -> Callable[..., Hand]:
    """A mouse and a keyboard for a viewer that is shown."""
    return Hand


@pytest.fixture
def disc() -> Callable[..., np.ndarray]:
    """Makes a round mask."""
    return make_disc


@pytest.fixture
def stroke() -> Callable[..., None]:
    """Draws on the annotation layer."""
    return draw_stroke


@pytest.fixture
def script() -> Callable[..., list[list[Event]]]:
    """Writes the events of a training."""
    return make_script
