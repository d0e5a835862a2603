"""From a folder of images to a COCO file and an ONNX model, with the mouse, the keys and a real training."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication, QFileDialog, QWidget

from rise_engine.project.records import FrameState
from rise_engine.project.segmentation import to_mask
from rise_engine.synthetic import write_sample_folder
from rise_napari.training.session import RunState
from rise_napari.widget import Workbench
from rise_napari.workspace import Workspace

SIZE = (120, 160)
STROKES = ((35, 45), (80, 110))
TINY = (
    "model.hidden_dim=32, model.num_queries=20, model.encoder_layers=1, model.decoder_layers=1, "
    "model.feedforward_dim=64, loader.short_sides=[64], loader.crop=96, loader.predict_short_side=64, "
    "schedule.unsupervised_after=2, schedule.preview_every=2"
)


def click(button: QWidget) -> None:
    assert button.isEnabled(), button.text()
    QTest.mouseClick(button, Qt.MouseButton.LeftButton)
    QApplication.processEvents()


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_from_a_folder_to_coco_and_onnx(
    make_napari_viewer_proxy: Callable[..., Any],
    make_hand: Callable[..., Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    qtbot: Any,
) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    from qtpy.QtCore import QSettings

    from rise_napari.tabs.project import recent_projects

    kept = QSettings(str(tmp_path / "settings.ini"), QSettings.Format.IniFormat)
    monkeypatch.setattr(recent_projects, "settings", lambda: kept)
    folder = tmp_path / "totes"
    write_sample_folder(folder, count=5, seed=3, size=SIZE)

    viewer = make_napari_viewer_proxy(show=True)
    bench = Workbench(viewer, Workspace())
    viewer.window.add_dock_widget(bench, name="RISE")
    viewer.window.resize(1500, 900)
    workspace = bench.workspace
    said: list[tuple[str, str]] = []
    workspace.message.connect(lambda level, sentence: said.append((level, sentence)))

    # a folder
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_: str(folder))
    click(bench.project.open_folder)
    assert workspace.frame is not None
    qtbot.wait(200)
    viewer.reset_view()
    qtbot.wait(100)

    # three frames, two strokes each
    hand = make_hand(viewer)
    bench.tabs.setCurrentWidget(bench.annotate)
    for count in range(3):
        frame = workspace.frame
        for row, column in STROKES:
            hand.key(Qt.Key.Key_N)
            hand.drag([(row, column), (row + 2, column + 8), (row - 2, column - 8)])
        qtbot.waitUntil(lambda frame=frame: len(workspace.project.annotations.of_frame(frame.id)) == 2, timeout=5000)
        for (row, column), instance in zip(STROKES, workspace.project.annotations.of_frame(frame.id), strict=True):
            assert to_mask(instance.segmentation, *SIZE)[row, column]
        hand.key(Qt.Key.Key_G)
        assert workspace.project.frames.get(frame.id).state is FrameState.LABELLED
        assert workspace.count(FrameState.LABELLED) == count + 1

    # a stroke too many, taken back
    unlabelled = workspace.frame
    hand.key(Qt.Key.Key_N)
    hand.drag([(30, 30), (40, 50)])
    qtbot.waitUntil(lambda: len(workspace.instances()) == 1, timeout=5000)
    hand.key(Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    qtbot.waitUntil(lambda: not workspace.instances(), timeout=5000)
    assert workspace.project.frames.get(unlabelled.id).state is FrameState.UNLABELLED

    # what the learner will see
    bench.tabs.setCurrentWidget(bench.bank)
    qtbot.waitUntil(lambda: bench.bank.cut_outs.list.count() == 6, timeout=60_000)
    qtbot.waitUntil(lambda: bench.bank.preview.words.text().startswith("before |"), timeout=120_000)

    # a training
    bench.tabs.setCurrentWidget(bench.train)
    bench.train.settings.budget.setCurrentIndex(bench.train.settings.budget.count() - 1)
    bench.train.settings.steps.setValue(6)
    bench.train.settings.device.setCurrentText("cpu")
    bench.train.settings.advanced.weights.setEditText("none")
    bench.train.settings.advanced.more.setText(TINY)
    click(bench.train.start)
    qtbot.waitUntil(lambda: not workspace.training.running, timeout=600_000)
    assert workspace.training.state is RunState.FINISHED, said
    assert len(bench.curves.losses) >= 3
    assert all(np.isfinite(event.total) for event in bench.curves.losses)

    # a review: six steps teach nothing, so anything may be predicted
    bench.tabs.setCurrentWidget(bench.review)
    monkeypatch.setattr("rise_napari.tabs.review.tab.STORED_SCORE", 0.001)
    click(bench.review.predict)
    qtbot.waitUntil(lambda: not bench.review.progress.isVisible(), timeout=120_000)
    workspace.show(unlabelled.id)
    bench.review.slider.setMinimum(0)
    bench.review.slider.setValue(0)
    found = len(bench.review.shown_predictions())
    if found:
        hand.key(Qt.Key.Key_A)
        assert len(workspace.project.annotations.of_frame(unlabelled.id)) == found
        assert workspace.project.frames.get(unlabelled.id).state is FrameState.REVIEWED

    # two files
    bench.tabs.setCurrentWidget(bench.export)
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (str(tmp_path / "annotations.json"), ""))
    click(bench.export.coco)
    qtbot.waitUntil(lambda: bench.export.coco_open.isVisible(), timeout=60_000)
    written = json.loads((tmp_path / "annotations.json").read_text())
    assert len(written["annotations"]) == 6 + found
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (str(tmp_path / "model.onnx"), ""))
    click(bench.export.onnx)
    qtbot.waitUntil(lambda: bench.export.onnx.isEnabled(), timeout=300_000)
    assert bench.export.onnx_open.isVisible(), said
    session = onnxruntime.InferenceSession(str(tmp_path / "model.onnx"), providers=["CPUExecutionProvider"])
    assert [output.name for output in session.get_outputs()] == ["scores", "labels", "boxes", "mask_logits"]
    assert not [sentence for level, sentence in said if level == "error"], said
    bench.shut_down()
