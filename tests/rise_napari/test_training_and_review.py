"""A replayed training, the review of predictions, and the way out, on a real viewer."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from scipy.ndimage import binary_fill_holes

from rise_engine.config import RiseConfig
from rise_engine.learning import events
from rise_engine.project.records import FrameState, Instance, Source
from rise_engine.project.segmentation import from_mask, to_mask
from rise_napari.training_session import Job, RunState, TrainingSession, coalesce


@pytest.fixture
def labelled(opened: Any, disc: Any, stroke: Any) -> Any:
    """Two labelled frames, the first in view."""
    stroke(opened, disc(20, 20))
    opened.annotate.mark_done()
    stroke(opened, disc(20, 24))
    opened.workspace.show(opened.workspace.frames[0].id)
    return opened


# -- training ------------------------------------------------------------------------------------------------------


def test_only_the_last_preview_of_a_batch_is_kept(script: Any, disc: Any) -> None:
    batches = script("a", [disc(20, 20)], steps=3)
    kept = coalesce([event for batch in batches for event in batch])
    assert [event.step for event in kept if isinstance(event, events.Preview)] == [3]
    assert [event.step for event in kept if isinstance(event, events.Losses)] == [1, 2, 3]


def test_a_training_is_told_in_header_curves_and_layers_and_can_be_stopped(
    labelled: Any, trainer: Any, script: Any, disc: Any, qtbot: Any, folder: Path
) -> None:
    states: list[RunState] = []
    training = labelled.workspace.training
    training.state_changed.connect(lambda: states.append(training.state))
    trainer.batches = script("frame_0.png", [disc(20, 20), disc(40, 60)])
    assert "2 labelled, 0 hold-out, 5 unlabelled" in labelled.train.data.text()
    labelled.train.start_training()
    assert training.state is RunState.STARTING
    assert not labelled.train.start.isEnabled()
    qtbot.waitUntil(lambda: training.progress is not None and training.progress.step == 4, timeout=10_000)
    assert trainer.job.project == folder.parent / "totes.rise"
    assert trainer.job.config.preset_name == "laptop"
    assert len(trainer.job.split.labelled) == 2
    assert trainer.job.minutes == 10
    assert ("watch", "frame_0.png") in trainer.asked
    assert labelled.header.state.text() == "Training"
    assert [event.step for event in labelled.curves.losses] == [1, 2, 3, 4]
    assert len(labelled.curves.thresholds) == 4
    layers = labelled.viewer_for_tests.layers
    assert np.array_equal(binary_fill_holes(layers["predictions"].data), disc(20, 20) | disc(40, 60))
    assert np.array_equal(binary_fill_holes(layers["pseudo-labels"].data), disc(20, 20))
    assert not layers["predictions"].editable
    assert layers.selection.active.name == "annotations", "the trainer never takes the tool away"
    labelled.workspace.show(labelled.workspace.frames[3].id)
    assert ("watch", "frame_3.png") in trainer.asked
    assert not layers["predictions"].data.any(), "live predictions of another frame are not shown here"
    training.pause()
    assert trainer.paused
    assert training.state is RunState.PAUSING, "it is not paused before the step in hand is done"
    assert labelled.train.pause.text() == "Resume"
    qtbot.waitUntil(lambda: training.state is RunState.PAUSED, timeout=10_000)
    training.resume()
    training.stop()
    assert training.state is RunState.STOPPING
    assert labelled.train.stop.text() == "Stopping…"
    qtbot.waitUntil(lambda: training.state is RunState.FINISHED, timeout=10_000)
    assert states == [
        RunState.STARTING,
        RunState.TRAINING,
        RunState.PAUSING,
        RunState.PAUSED,
        RunState.TRAINING,
        RunState.STOPPING,
        RunState.FINISHED,
    ]
    assert labelled.train.start.isEnabled()
    assert "Stopped" in labelled.train.report.text()


def test_a_failure_says_what_happened_and_what_to_do(labelled: Any, trainer: Any, qtbot: Any) -> None:
    trainer.batches = [[events.Failed(0, "memory", "The GPU's memory is full.", "Choose a smaller crop.")]]
    train = labelled.train
    train.start_training()
    qtbot.waitUntil(lambda: labelled.workspace.training.state is RunState.FAILED, timeout=10_000)
    assert "memory is full" in labelled.header.message.text()
    assert "smaller crop" in train.report.text()
    assert train.start.isEnabled()
    assert not train.fix.isHidden()
    assert "less kept in memory" in train.fix.text()
    train.fix.click()
    assert labelled.workspace.training.running
    assert trainer.job.config.model.checkpointing
    assert train.fix.isHidden()
    trainer.alive = False
    qtbot.waitUntil(lambda: labelled.workspace.training.state is RunState.FAILED, timeout=10_000)


def test_a_killed_training_goes_on_from_its_checkpoint(labelled: Any, trainer: Any, qtbot: Any, tmp_path: Path) -> None:
    project = labelled.workspace.project
    run = project.start_run(preset="laptop", recipe="recommended", steps=50, base="none")
    (run.folder / "training_state").mkdir()
    (run.folder / "training_state" / "state.safetensors").write_bytes(b"")
    started = events.Started(0, run.number, str(run.folder), 50, 2, 5, 0, "cpu", 4)
    trainer.batches = [[started], [events.Failed(7, "crash", "The training process ended unexpectedly.", "Resume.")]]
    labelled.train.start_training()
    qtbot.waitUntil(lambda: labelled.workspace.training.state is RunState.FAILED, timeout=10_000)
    assert not trainer.job.resume
    assert "last checkpoint" in labelled.train.fix.text()
    labelled.train.fix.click()
    assert trainer.job.resume
    trainer.alive = False
    qtbot.waitUntil(lambda: not labelled.workspace.training.running, timeout=10_000)


def test_an_interrupted_run_is_offered_when_the_project_is_opened_again(labelled: Any, trainer: Any) -> None:
    project = labelled.workspace.project
    assert labelled.train.go_on.isHidden()
    run = project.start_run(preset="laptop", recipe="recommended", steps=50, base="none")
    (run.folder / "training_state").mkdir()
    (run.folder / "training_state" / "state.safetensors").write_bytes(b"")
    config = RiseConfig.preset("laptop").with_settings(["schedule.seed=5"])
    record = {"config": config.model_dump(mode="json"), "labelled": ["frame_0.png"], "holdout": []}
    (run.folder / "config.json").write_text(json.dumps(record))
    labelled.train.refresh()
    assert "run 1" in labelled.train.go_on.text()
    labelled.train.go_on.click()
    assert trainer.job.resume
    assert trainer.job.config.schedule.seed == 5
    assert len(trainer.job.split.labelled) == 1


def test_a_worse_model_waits_until_the_person_says_so(labelled: Any, trainer: Any, qtbot: Any) -> None:
    project = labelled.workspace.project
    for _ in range(2):
        run = project.start_run(preset="laptop", recipe="recommended", steps=50, base="none")
        project.finish_run(run.number, steps=50, current=run.number == 1)
    verdict = "Run 2 reached AP 40.0 on the hold-out, less than run 1 (45.0), which goes on predicting."
    trainer.batches = [
        [events.Started(0, 2, str(run.folder), 50, 2, 5, 1, "cpu", 4), events.ToBeat(0, 1, 45.0, 70.0)],
        [events.HoldoutScore(50, 40.0, 60.0, best=True)],
        [events.Finished(50, 2, str(run.folder), stopped=False, current=False, verdict=verdict)],
    ]
    labelled.train.start_training()
    qtbot.waitUntil(lambda: labelled.workspace.training.state is RunState.FINISHED, timeout=10_000)
    assert "to beat: 45.0 of run 1" in labelled.train.report.text()
    assert "less than run 1" in labelled.train.report.text()
    assert labelled.train.model.runs.currentData() == 1
    labelled.train.use_anyway.click()
    assert project.run().number == 2
    assert labelled.train.model.runs.currentData() == 2
    assert labelled.train.use_anyway.isHidden()


def test_training_again_is_short_and_starts_from_the_model_in_use(labelled: Any, trainer: Any) -> None:
    labelled.train.budget.setCurrentIndex(2)
    labelled.train.train_again()
    assert trainer.job.config.weights == "last"
    assert trainer.job.minutes == 5
    assert labelled.workspace.training.running


def test_the_live_score_hides_predictions_and_leaves_the_annotations_alone(
    labelled: Any, trainer: Any, script: Any, disc: Any, stroke: Any, qtbot: Any
) -> None:
    trainer.batches = script("frame_0.png", [disc(20, 20)])
    labelled.train.start_training()
    qtbot.waitUntil(lambda: not trainer.batches, timeout=10_000)
    qtbot.waitUntil(lambda: "1 of 1" in labelled.train.live_counts.text(), timeout=10_000)
    before = labelled.layers.annotations.data.copy()
    labelled.train.live_score.setValue(95)
    assert "0 of 1" in labelled.train.live_counts.text()
    assert not labelled.viewer_for_tests.layers["predictions"].data.any()
    assert np.array_equal(labelled.layers.annotations.data, before)
    labelled.train.live_score.setValue(50)
    assert labelled.viewer_for_tests.layers["predictions"].data.any()


def test_the_frames_that_teach_are_listed_before_the_start(labelled: Any) -> None:
    names = [labelled.train.frames.names.item(row).text().strip() for row in range(labelled.train.frames.names.count())]
    assert names == ["labelled: teaches (2)", "frame_0.png", "frame_1.png", "hold-out: measures, never teaches (0)"]
    labelled.train.frames.names.itemClicked.emit(labelled.train.frames.names.item(2))
    assert labelled.workspace.frame.name == "frame_1.png"


def test_a_trainer_that_vanishes_without_a_word_has_failed(labelled: Any, trainer: Any, qtbot: Any) -> None:
    labelled.train.start_training()
    trainer.alive = False
    qtbot.waitUntil(lambda: labelled.workspace.training.state is RunState.FAILED, timeout=10_000)


def test_annotating_goes_on_while_training(
    labelled: Any, trainer: Any, script: Any, disc: Any, stroke: Any, qtbot: Any
) -> None:
    trainer.batches = script("frame_0.png", [disc(40, 60)], steps=6)
    labelled.train.start_training()
    qtbot.waitUntil(lambda: labelled.workspace.training.preview is not None, timeout=10_000)
    stroke(labelled, disc(48, 20, 6))
    qtbot.waitUntil(lambda: not trainer.batches, timeout=10_000)
    stored = labelled.workspace.instances()
    assert len(stored) == 2
    assert np.array_equal(to_mask(stored[1].segmentation, 60, 80), disc(48, 20, 6))


def test_a_wrong_setting_is_told_and_nothing_starts(labelled: Any, trainer: Any) -> None:
    labelled.train.more.setText("loss.nonsense=3")
    labelled.train.start_training()
    assert "loss.nonsense" in labelled.header.message.text()
    assert not trainer.alive


def test_settings_may_hold_lists(labelled: Any) -> None:
    labelled.train.more.setText("loader.short_sides=[64, 80], loss.unsupervised=0.25")
    config = labelled.train.config()
    assert config.loader.short_sides == (64, 80)
    assert config.loss.unsupervised == 0.25


def test_nothing_labelled_means_no_start(opened: Any) -> None:
    assert not opened.train.start.isEnabled()
    assert "nothing to learn from" in opened.train.hint.text()


def test_napari_asked_to_close_can_say_what_still_runs(
    workbench: Any, monkeypatch: pytest.MonkeyPatch, qtbot: Any
) -> None:
    from rise_napari import background

    asked: list[Any] = []
    create = background.create_worker

    def watch(work: Any, **options: Any) -> Any:
        asked.append(work)
        return create(work, **options)

    monkeypatch.setattr(background, "create_worker", watch)
    seen: list[int] = []
    background.stream_beside(workbench.workspace, lambda: iter([1, 2]), each=seen.append, name="RISE is training")
    qtbot.waitUntil(lambda: seen == [1, 2], timeout=10_000)
    assert f"{asked[0]}" == "RISE is training"


def test_closing_ends_the_training(trainer: Any, tmp_path: Path) -> None:
    session = TrainingSession(trainer)
    session.start(Job(tmp_path, RiseConfig(), None), watch=None)
    trainer.stop = lambda: setattr(trainer, "alive", False)
    session.close()
    assert not trainer.alive


def test_curves_are_saved_as_numbers_and_as_a_picture(workbench: Any, script: Any, disc: Any, tmp_path: Path) -> None:
    for batch in script("a", [disc(20, 20)], steps=3):
        workbench.curves.follow(batch)
    workbench.curves.save_csv(tmp_path / "curves.csv")
    rows = list(csv.DictReader((tmp_path / "curves.csv").read_text().splitlines()))
    assert [row["step"] for row in rows] == ["1", "2", "3"]
    assert float(rows[1]["total"]) == 2.0
    assert float(rows[1]["gamma_cls"]) == 0.5
    workbench.curves.follow([events.HoldoutScore(3, 41.5, 60.0, best=True)])
    told = workbench.curves.describe_step(2)
    assert "total 2," in told
    assert "class threshold 0.5" in told
    assert "mask AP 41.5" in told
    workbench.curves.save_png(tmp_path / "curves.png")
    assert (tmp_path / "curves.png").stat().st_size > 1000


# -- review --------------------------------------------------------------------------------------------------------


@pytest.fixture
def predicted(labelled: Any, disc: Any) -> Any:
    """A finished run that predicted three objects in the third and one in the fourth frame; the third is in view."""
    workspace = labelled.workspace
    project = workspace.project
    run = project.start_run(preset="laptop", recipe="recommended", steps=10, base="none")
    project.finish_run(run.number, steps=10)
    category = workspace.categories[0].id
    scores = {2: ((0.9, disc(20, 20)), (0.6, disc(40, 60)), (0.35, disc(45, 20, 5))), 3: ((0.8, disc(20, 40)),)}
    for index, found in scores.items():
        frame = workspace.frames[index].id
        instances = [
            Instance(None, frame, category, from_mask(mask), score=score, source=Source.PREDICTED)
            for score, mask in found
        ]
        project.store_predictions(run.number, {frame: instances})
    workspace.predictions_changed.emit(None)
    workspace.show(workspace.frames[2].id)
    return labelled


def test_the_slider_says_what_is_shown_and_would_be_accepted(predicted: Any, disc: Any) -> None:
    predicted.review.slider.setValue(50)
    assert predicted.review.table.rowCount() == 2
    assert "2 of 3" in predicted.review.score.text()
    layer = predicted.viewer_for_tests.layers["predictions"]
    assert np.array_equal(binary_fill_holes(layer.data), disc(20, 20) | disc(40, 60))
    predicted.review.slider.setValue(30)
    assert predicted.review.table.rowCount() == 3


def test_accepting_all_shown_keeps_scores_marks_the_frame_and_can_be_undone(predicted: Any) -> None:
    workspace = predicted.workspace
    frame = workspace.frame.id
    predicted.review.slider.setValue(50)
    predicted.review.accept_and_go_on()
    accepted = workspace.project.instances(frame)
    assert [one.source for one in accepted] == [Source.ACCEPTED, Source.ACCEPTED]
    assert accepted[0].score == pytest.approx(0.9)
    assert workspace.project.frame(frame).state is FrameState.REVIEWED
    workspace.undo()
    assert workspace.project.instances(frame) == []
    assert len(workspace.project.predictions(frame)) == 3
    assert workspace.project.frame(frame).state is FrameState.UNLABELLED


def test_accepting_shows_the_instance_and_takes_its_prediction_away(predicted: Any, disc: Any) -> None:
    predicted.review.table.selectRow(0)
    predicted.review.accept_selected()
    assert np.array_equal(predicted.layers.annotations.data > 0, disc(20, 20))
    assert not predicted.viewer_for_tests.layers["predictions"].data[disc(20, 20)].any()


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
    assert workspace.frame.state is FrameState.UNLABELLED, "two are undecided, and would be learnt as background"
    review.table.selectRow(0)
    review.reject_selected()
    review.table.selectRow(0)
    review.reject_selected()
    assert workspace.frame.state is FrameState.REVIEWED
    assert review.accept_all.text().startswith("Reviewed, next")
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


def test_the_queue_gives_reasons_and_next_goes_on(predicted: Any, qtbot: Any) -> None:
    review = predicted.review
    review.frames.fill()
    qtbot.waitUntil(lambda: review.queue.count() > 0, timeout=10_000)
    assert all(review.queue.item(row).text().count("\n") for row in range(review.queue.count()))
    before = predicted.workspace.frame.id
    review.go_on()
    assert predicted.workspace.frame.id != before


def test_predictions_are_taken_on_the_picture_by_click_and_by_box(predicted: Any, disc: Any) -> None:
    review = predicted.review
    review.slider.setValue(30)
    predicted.picker._finish([(20.5, 20.5)])
    assert [row.row() for row in review.table.selectionModel().selectedRows()] == [0]
    assert review.accept_chosen.text() == "Accept 1"
    predicted.picker._finish([(30.0, 10.0), (35.0, 40.0), (59.0, 79.0)])
    assert [row.row() for row in review.table.selectionModel().selectedRows()] == [1, 2]
    assert review.reject_chosen.text() == "Reject 2"
    review.reject_selected()
    assert [round(one.score, 2) for one in predicted.workspace.predictions()] == [0.9]
    predicted.picker._finish([(2.0, 2.0)])
    assert not review.accept_chosen.isEnabled()


def test_what_the_slider_hides_can_be_rejected_at_once(predicted: Any) -> None:
    predicted.review.slider.setValue(50)
    assert predicted.review.reject_hidden.text() == "Reject the 1 hidden"
    predicted.review.reject_below()
    assert [round(one.score, 2) for one in predicted.workspace.predictions()] == [0.9, 0.6]
    predicted.workspace.undo()
    assert len(predicted.workspace.predictions()) == 3


def test_sure_frames_are_accepted_in_one_go_after_the_count_was_shown(
    predicted: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from qtpy.QtWidgets import QMessageBox

    review, project = predicted.review, predicted.workspace.project
    monkeypatch.setattr(review, "isVisible", lambda: True)
    review.slider.setValue(70)
    assert review.accept_sure.text() == "Accept 1 sure frame: 1 in all…"
    asked: list[str] = []

    def answer(_parent: Any, _title: str, question: str) -> Any:
        asked.append(question)
        return QMessageBox.StandardButton.Yes

    monkeypatch.setattr(QMessageBox, "question", answer)
    review.accept_sure_frames()
    frame = predicted.workspace.frames[3].id
    assert "1 predictions in 1 frames" in asked[0]
    assert project.frame(frame).state is FrameState.REVIEWED
    assert len(project.instances(frame)) == 1
    predicted.workspace.undo()
    assert project.frame(frame).state is FrameState.UNLABELLED


def test_mending_takes_the_prediction_in_hand(predicted: Any, disc: Any) -> None:
    predicted.review.table.selectRow(1)
    predicted.review.edit_selected()
    workspace, layer = predicted.workspace, predicted.layers.annotations
    assert workspace.selected == workspace.instances()[0].id
    assert str(layer.mode) == "paint"
    assert np.array_equal(layer.data == layer.selected_label, disc(40, 60))
    assert workspace.frame.state is not FrameState.REVIEWED


# -- export --------------------------------------------------------------------------------------------------------


def test_coco_out_is_what_was_drawn(labelled: Any, disc: Any, tmp_path: Path, qtbot: Any) -> None:
    target = tmp_path / "out.json"
    labelled.export.export_coco(target)
    qtbot.waitUntil(lambda: labelled.export.exported, timeout=10_000)
    written = json.loads(target.read_text())
    names = {image["id"]: image["file_name"] for image in written["images"]}
    found = {names[one["image_id"]]: one for one in written["annotations"]}
    assert set(found) == {"frame_0.png", "frame_1.png"}
    assert np.array_equal(to_mask(found["frame_1.png"]["segmentation"], 60, 80), disc(20, 24))
    assert str(target) in labelled.export.coco_where.text()


def test_the_report_says_where_it_is(labelled: Any, tmp_path: Path) -> None:
    labelled.export.export_report(tmp_path / "report.md")
    assert "| labelled | 2 |" in (tmp_path / "report.md").read_text()
    assert str(tmp_path / "report.md") in labelled.export.report_where.text()
    assert not labelled.export.report_open.isHidden()


def test_coco_in_labels_the_frames(labelled: Any, tmp_path: Path, qtbot: Any, disc: Any) -> None:
    mask = disc(30, 30)
    content = {
        "images": [{"id": 5, "file_name": "frame_4.png", "width": 80, "height": 60}],
        "categories": [{"id": 3, "name": "cup"}],
        "annotations": [
            {
                "id": 1,
                "image_id": 5,
                "category_id": 3,
                "segmentation": from_mask(mask),
                "iscrowd": 0,
                "area": 197,
                "bbox": [22, 22, 17, 17],
            }
        ],
    }
    source = tmp_path / "in.json"
    source.write_text(json.dumps(content))
    labelled.project.import_coco(source)
    qtbot.waitUntil(lambda: labelled.header.message.text().startswith("Imported 1 "), timeout=20_000)
    frame = next(one for one in labelled.workspace.frames if one.name == "frame_4.png")
    assert frame.state is FrameState.LABELLED
    labelled.workspace.show(frame.id)
    assert np.array_equal(labelled.layers.annotations.data > 0, mask)
    (tmp_path / "bad.json").write_text("{}")
    labelled.project.import_coco(tmp_path / "bad.json")
    qtbot.waitUntil(lambda: "holds no" in labelled.header.message.text() or "has no" in labelled.header.message.text())
    assert "bad.json" in labelled.header.message.text()
