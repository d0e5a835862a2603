"""From a folder of images to a COCO file and an ONNX model, with the mouse, the keys and a real training."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from qtpy.QtCore import QSettings, Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication, QFileDialog, QWidget

from rise_engine.project.records import FrameRecord, FrameState
from rise_engine.project.segmentation import to_mask
from rise_engine.synthetic import write_sample_folder
from rise_napari.tabs.project import recent_projects
from rise_napari.tabs.review import predict_bar
from rise_napari.training.session import RunState
from rise_napari.widget import Workbench
from rise_napari.workspace import Workspace

SIZE = (120, 160)
FRAMES, LABELLED, STEPS = 5, 3, 6
STROKES = ((35, 45), (80, 110))
LOWEST_SCORE = 0.001
"""Every query of a new network has a score near 0.01, so predictions above this exist after any training."""
TINY = (
    "model.hidden_dim=32, model.num_queries=20, model.encoder_layers=1, model.decoder_layers=1, "
    "model.feedforward_dim=64, loader.short_sides=[64], loader.crop=96, loader.predict_short_side=64, "
    "schedule.unsupervised_after=2, schedule.preview_every=2"
)


def click(button: QWidget) -> None:
    assert button.isEnabled(), button.text()
    QTest.mouseClick(button, Qt.MouseButton.LeftButton)
    QApplication.processEvents()


@pytest.fixture
def bench(
    make_napari_viewer_proxy: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Any]:
    """The window with a real trainer, on a viewer that is shown. ``errors`` collects its error messages."""
    kept = QSettings(str(tmp_path / "settings.ini"), QSettings.Format.IniFormat)
    monkeypatch.setattr(recent_projects, "settings", lambda: kept)
    viewer = make_napari_viewer_proxy(show=True)
    bench = Workbench(viewer, Workspace())
    viewer.window.add_dock_widget(bench, name="RISE")
    viewer.window.resize(1500, 900)
    bench.viewer_for_tests = viewer
    bench.errors = []
    bench.workspace.message.connect(lambda level, text: bench.errors.append(text) if level == "error" else None)
    yield bench
    bench.shut_down()


def open_folder(bench: Any, folder: Path, monkeypatch: pytest.MonkeyPatch, qtbot: Any) -> None:
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_: str(folder))
    click(bench.project.open_folder)
    assert bench.workspace.frame is not None
    qtbot.wait(200)
    bench.viewer_for_tests.reset_view()
    qtbot.wait(100)


def draw_frames(bench: Any, hand: Any, qtbot: Any) -> None:
    """Draws two strokes into each of three frames and marks them as done."""
    workspace = bench.workspace
    annotations = workspace.project.annotations
    bench.tabs.setCurrentWidget(bench.annotate)
    for count in range(LABELLED):
        frame = workspace.frame
        for row, column in STROKES:
            hand.key(Qt.Key.Key_N)
            hand.drag([(row, column), (row + 2, column + 8), (row - 2, column - 8)])
        qtbot.waitUntil(lambda frame=frame: len(annotations.of_frame(frame.id)) == len(STROKES), timeout=5000)
        for (row, column), instance in zip(STROKES, annotations.of_frame(frame.id), strict=True):
            assert to_mask(instance.segmentation, *SIZE)[row, column]
        hand.key(Qt.Key.Key_G)
        assert workspace.project.frames.get(frame.id).state is FrameState.LABELLED
        assert workspace.count(FrameState.LABELLED) == count + 1


def draw_and_undo(bench: Any, hand: Any, qtbot: Any) -> None:
    workspace, frame = bench.workspace, bench.workspace.frame
    hand.key(Qt.Key.Key_N)
    hand.drag([(30, 30), (40, 50)])
    qtbot.waitUntil(lambda: len(workspace.instances()) == 1, timeout=5000)
    hand.key(Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    qtbot.waitUntil(lambda: not workspace.instances(), timeout=5000)
    assert workspace.project.frames.get(frame.id).state is FrameState.UNLABELLED


def show_bank(bench: Any, qtbot: Any) -> None:
    bench.tabs.setCurrentWidget(bench.bank)
    cut_outs = LABELLED * len(STROKES)
    qtbot.waitUntil(lambda: bench.bank.cut_outs.list.count() == cut_outs, timeout=60_000)
    qtbot.waitUntil(lambda: bench.bank.preview.words.text().startswith("before |"), timeout=120_000)


def train(bench: Any, qtbot: Any) -> None:
    bench.tabs.setCurrentWidget(bench.train)
    settings = bench.train.settings
    settings.budget.setCurrentIndex(settings.budget.count() - 1)
    settings.steps.setValue(STEPS)
    settings.device.setCurrentText("cpu")
    settings.advanced.weights.setEditText("none")
    settings.advanced.more.setText(TINY)
    click(bench.train.start)
    qtbot.waitUntil(lambda: not bench.workspace.training.running, timeout=600_000)
    assert bench.workspace.training.state is RunState.FINISHED, bench.errors
    assert len(bench.curves.losses) >= STEPS // 2
    assert all(np.isfinite(event.total) for event in bench.curves.losses)


def review(bench: Any, hand: Any, frame: FrameRecord, monkeypatch: pytest.MonkeyPatch, qtbot: Any) -> int:
    """Accepts every prediction of a frame, however bad six steps of training left it; returns how many."""
    workspace = bench.workspace
    bench.tabs.setCurrentWidget(bench.review)
    monkeypatch.setattr(predict_bar, "STORED_SCORE", LOWEST_SCORE)
    click(bench.review.predict)
    qtbot.waitUntil(lambda: not bench.review.prediction.running, timeout=120_000)
    workspace.show(frame.id)
    bench.review.slider.setMinimum(0)
    bench.review.slider.setValue(0)
    found = len(bench.review.shown_predictions())
    assert found > 0
    hand.key(Qt.Key.Key_A)
    assert len(workspace.project.annotations.of_frame(frame.id)) == found
    assert workspace.project.frames.get(frame.id).state is FrameState.REVIEWED
    return found


def export_coco(bench: Any, path: Path, monkeypatch: pytest.MonkeyPatch, qtbot: Any) -> dict[str, Any]:
    bench.tabs.setCurrentWidget(bench.export)
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (str(path), ""))
    click(bench.export.coco)
    qtbot.waitUntil(lambda: bench.export.coco_open.isVisible(), timeout=60_000)
    return dict(json.loads(path.read_text()))


def export_onnx(bench: Any, path: Path, monkeypatch: pytest.MonkeyPatch, qtbot: Any) -> None:
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (str(path), ""))
    click(bench.export.onnx)
    qtbot.waitUntil(lambda: bench.export.onnx.isEnabled(), timeout=300_000)
    assert bench.export.onnx_open.isVisible(), bench.errors


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_from_a_folder_to_coco_and_onnx(
    bench: Any, make_hand: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, qtbot: Any
) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    folder = tmp_path / "totes"
    write_sample_folder(folder, count=FRAMES, seed=3, size=SIZE)
    open_folder(bench, folder, monkeypatch, qtbot)
    hand = make_hand(bench.viewer_for_tests)
    draw_frames(bench, hand, qtbot)
    unlabelled = bench.workspace.frame
    draw_and_undo(bench, hand, qtbot)
    show_bank(bench, qtbot)
    train(bench, qtbot)
    found = review(bench, hand, unlabelled, monkeypatch, qtbot)
    written = export_coco(bench, tmp_path / "annotations.json", monkeypatch, qtbot)
    assert len(written["annotations"]) == LABELLED * len(STROKES) + found
    export_onnx(bench, tmp_path / "model.onnx", monkeypatch, qtbot)
    session = onnxruntime.InferenceSession(str(tmp_path / "model.onnx"), providers=["CPUExecutionProvider"])
    assert [output.name for output in session.get_outputs()] == ["scores", "labels", "boxes", "mask_logits"]
    assert not bench.errors
