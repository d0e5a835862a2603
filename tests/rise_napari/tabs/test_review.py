"""Predictions of a frame are accepted, rejected and edited, one by one and in bulk."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from scipy.ndimage import binary_fill_holes

from rise_engine.project.records import FrameState, Instance, Source
from rise_engine.project.segmentation import from_mask


@pytest.fixture
def predicted(labelled: Any, disc: Any) -> Any:
    """A finished run that predicted three objects in the third and one in the fourth frame; the third is in view."""
    workspace = labelled.workspace
    project = workspace.project
    run = project.runs.start(preset="laptop", recipe="recommended", steps=10, base="none")
    project.runs.finish(run.number, steps=10)
    category = workspace.categories[0].id
    scores = {2: ((0.9, disc(20, 20)), (0.6, disc(40, 60)), (0.35, disc(45, 20, 5))), 3: ((0.8, disc(20, 40)),)}
    for index, found in scores.items():
        frame = workspace.frames[index].id
        instances = [
            Instance(None, frame, category, from_mask(mask), score=score, source=Source.PREDICTED)
            for score, mask in found
        ]
        project.predictions.store(run.number, {frame: instances})
    workspace.predictions_changed.emit(None)
    workspace.show(workspace.frames[2].id)
    return labelled


def test_the_slider_sets_which_predictions_are_shown_and_accepted(predicted: Any, disc: Any) -> None:
    predicted.review.slider.setValue(50)
    assert predicted.review.table.rowCount() == 2
    assert "2 of 3" in predicted.review.pane.score.text()
    layer = predicted.viewer_for_tests.layers["predictions"]
    assert np.array_equal(binary_fill_holes(layer.data), disc(20, 20) | disc(40, 60))
    predicted.review.slider.setValue(30)
    assert predicted.review.table.rowCount() == 3


def test_accepting_all_shown_keeps_scores_marks_the_frame_and_can_be_undone(predicted: Any) -> None:
    workspace = predicted.workspace
    frame = workspace.frame.id
    predicted.review.slider.setValue(50)
    predicted.review.accept_and_go_on()
    accepted = workspace.project.annotations.of_frame(frame)
    assert [one.source for one in accepted] == [Source.ACCEPTED, Source.ACCEPTED]
    assert accepted[0].score == pytest.approx(0.9)
    assert workspace.project.frames.get(frame).state is FrameState.REVIEWED
    workspace.undo()
    assert workspace.project.annotations.of_frame(frame) == []
    assert len(workspace.project.predictions.of_frame(frame)) == 3
    assert workspace.project.frames.get(frame).state is FrameState.UNLABELLED


def test_accepting_shows_the_instance_and_removes_its_prediction(predicted: Any, disc: Any) -> None:
    predicted.review.table.selectRow(0)
    predicted.review.accept_selected()
    assert np.array_equal(predicted.layers.annotations.data > 0, disc(20, 20))
    assert not predicted.viewer_for_tests.layers["predictions"].data[disc(20, 20)].any()


def test_accepting_only_the_selected_has_a_key_and_leaves_the_others(predicted: Any) -> None:
    viewer, review, workspace = predicted.viewer_for_tests, predicted.review, predicted.workspace
    viewer.window.show()
    predicted.tabs.setCurrentWidget(review)
    review.table.selectRow(1)
    QTest.keyClick(review.table, Qt.Key.Key_A, Qt.KeyboardModifier.ShiftModifier)
    assert [round(one.score, 2) for one in workspace.instances()] == [0.6]
    assert [round(one.score, 2) for one in workspace.predictions()] == [0.9, 0.35]
    assert workspace.frame.state is FrameState.UNLABELLED, "two are undecided"
    # Otherwise it stays pressed in the next tests.
    QTest.keyRelease(review.table, Qt.Key.Key_Shift)
    assert "Shift + A" in review.pane.accept_selected.toolTip()


def test_rejecting_drops_only_the_selected(predicted: Any) -> None:
    predicted.review.table.selectRow(1)
    predicted.review.reject_selected()
    assert [round(one.score, 2) for one in predicted.workspace.predictions()] == [0.9, 0.35]
    assert predicted.workspace.instances() == []


def test_a_frame_is_reviewed_when_the_last_of_its_shown_predictions_is_decided(predicted: Any) -> None:
    workspace, review = predicted.workspace, predicted.review
    review.slider.setValue(30)
    review.table.selectRow(0)
    review.accept_selected()
    assert workspace.frame.state is FrameState.UNLABELLED, "two are undecided; training would treat them as background"
    review.table.selectRow(0)
    review.reject_selected()
    review.table.selectRow(0)
    review.reject_selected()
    assert workspace.frame.state is FrameState.REVIEWED
    assert review.accept_all.text().startswith("Mark reviewed, next")
    assert review.accept_all.isEnabled()
    workspace.undo()
    assert workspace.frame.state is FrameState.UNLABELLED
    assert len(workspace.predictions()) == 1


def test_accepting_nothing_does_not_make_a_frame_empty(predicted: Any) -> None:
    workspace = predicted.workspace
    workspace.show(workspace.frames[4].id)
    predicted.review.accept_and_go_on()
    assert workspace.frame.id == workspace.frames[4].id
    assert workspace.frame.state is FrameState.UNLABELLED
    assert "nothing to accept" in predicted.header.message.text()


def test_letters_work_with_a_table_in_focus(predicted: Any) -> None:
    viewer, review = predicted.viewer_for_tests, predicted.review
    viewer.window.show()
    predicted.tabs.setCurrentWidget(review)
    review.table.selectRow(1)
    QTest.keyClick(review.table, Qt.Key.Key_R)
    assert [round(one.score, 2) for one in predicted.workspace.predictions()] == [0.9, 0.35]


def test_undo_finds_a_frame_whose_name_has_the_word_in_it(workbench: Any, folder: Path, disc: Any, stroke: Any) -> None:
    (folder / "frame_3.png").rename(folder / "tote in frame_2.png")
    workspace = workbench.workspace
    workspace.open_path(folder)
    named = next(frame for frame in workspace.frames if frame.name == "tote in frame_2.png")
    workspace.show(named.id)
    stroke(workbench, disc(20, 20))
    workspace.show(workspace.frames[0].id)
    workspace.undo()
    assert workspace.frame.id == named.id
    assert workspace.instances() == []


def test_the_queue_shows_reasons_and_next_shows_another_frame(predicted: Any, qtbot: Any) -> None:
    review = predicted.review
    review.frames.fill()
    qtbot.waitUntil(lambda: review.queue.count() > 0, timeout=10_000)
    assert all(review.queue.item(row).text().count("\n") for row in range(review.queue.count()))
    rows = [review.queue.item(row) for row in range(review.queue.count())]
    assert len({row.sizeHint().height() for row in rows}) == 1, "all rows have the same height"
    assert all(row.text().partition("\n")[2] in row.toolTip() for row in rows)
    before = predicted.workspace.frame.id
    review.go_on()
    assert predicted.workspace.frame.id != before


def test_predictions_are_selected_on_the_image_by_click_and_by_box(predicted: Any, disc: Any) -> None:
    review = predicted.review
    review.slider.setValue(30)
    predicted.prediction_selector._finish([(20.5, 20.5)])
    assert [row.row() for row in review.table.selectionModel().selectedRows()] == [0]
    assert review.pane.accept_selected.text() == "Accept 1"
    predicted.prediction_selector._finish([(30.0, 10.0), (35.0, 40.0), (59.0, 79.0)])
    assert [row.row() for row in review.table.selectionModel().selectedRows()] == [1, 2]
    assert review.pane.reject_selected.text() == "Reject 2"
    review.reject_selected()
    assert [round(one.score, 2) for one in predicted.workspace.predictions()] == [0.9]
    predicted.prediction_selector._finish([(2.0, 2.0)])
    assert not review.pane.accept_selected.isEnabled()


def test_hidden_predictions_can_be_rejected_at_once(predicted: Any) -> None:
    predicted.review.slider.setValue(50)
    assert predicted.review.pane.reject_hidden.text() == "Reject 1 hidden"
    predicted.review.reject_hidden()
    assert [round(one.score, 2) for one in predicted.workspace.predictions()] == [0.9, 0.6]
    predicted.workspace.undo()
    assert len(predicted.workspace.predictions()) == 3


def test_frames_above_the_threshold_are_accepted_together_after_the_count_was_shown(
    predicted: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from qtpy.QtWidgets import QMessageBox

    review, project = predicted.review, predicted.workspace.project
    monkeypatch.setattr(review, "isVisible", lambda: True)
    review.slider.setValue(70)
    assert review.accept_sure.text() == "Accept 1 frame above the threshold: 1 prediction…"
    asked: list[str] = []

    def answer(_parent: Any, _title: str, question: str) -> Any:
        asked.append(question)
        return QMessageBox.StandardButton.Yes

    monkeypatch.setattr(QMessageBox, "question", answer)
    review.accept_sure.ask_and_accept()
    frame = predicted.workspace.frames[3].id
    assert "1 prediction in 1 frame?" in asked[0]
    assert project.frames.get(frame).state is FrameState.REVIEWED
    assert len(project.annotations.of_frame(frame)) == 1
    predicted.workspace.undo()
    assert project.frames.get(frame).state is FrameState.UNLABELLED


def test_editing_accepts_the_prediction_and_selects_it_for_the_brush(predicted: Any, disc: Any) -> None:
    predicted.review.table.selectRow(1)
    predicted.review.edit_selected()
    workspace, layer = predicted.workspace, predicted.layers.annotations
    assert workspace.selected == workspace.instances()[0].id
    assert str(layer.mode) == "paint"
    assert np.array_equal(layer.data == layer.selected_label, disc(40, 60))
    assert workspace.frame.state is not FrameState.REVIEWED
