"""A replayed training, the review of predictions, and the way out, on a real viewer."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rise_engine.learning import events
from rise_engine.project.records import FrameState, Instance, Source
from rise_engine.project.segmentation import from_mask, to_mask
from rise_napari.training_session import RunState, TrainingSession, coalesce


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
    path, config, split, minutes = trainer.arguments
    assert path == folder.parent / "totes.rise"
    assert config.preset_name == "laptop"
    assert len(split.labelled) == 2
    assert minutes == 10
    assert ("watch", "frame_0.png") in trainer.asked
    assert labelled.header.state.text() == "Training"
    assert [event.step for event in labelled.curves.losses] == [1, 2, 3, 4]
    assert len(labelled.curves.thresholds) == 4
    layers = labelled.viewer_for_tests.layers
    assert np.array_equal(layers["predictions"].data > 0, disc(20, 20) | disc(40, 60))
    assert np.array_equal(layers["pseudo-labels"].data > 0, disc(20, 20))
    assert not layers["predictions"].editable
    assert layers.selection.active.name == "annotations", "the trainer never takes the tool away"
    labelled.workspace.show(labelled.workspace.frames[3].id)
    assert ("watch", "frame_3.png") in trainer.asked
    assert not layers["predictions"].data.any(), "live predictions of another frame are not shown here"
    training.pause()
    assert trainer.paused
    assert labelled.train.pause.text() == "Resume"
    training.resume()
    training.stop()
    assert training.state is RunState.STOPPING
    assert labelled.train.stop.text() == "Stopping…"
    qtbot.waitUntil(lambda: training.state is RunState.FINISHED, timeout=10_000)
    assert states == [
        RunState.STARTING,
        RunState.TRAINING,
        RunState.PAUSED,
        RunState.TRAINING,
        RunState.STOPPING,
        RunState.FINISHED,
    ]
    assert labelled.train.start.isEnabled()
    assert "Stopped" in labelled.train.report.text()


def test_a_failure_says_what_happened_and_what_to_do(labelled: Any, trainer: Any, qtbot: Any) -> None:
    trainer.batches = [[events.Failed(0, "memory", "The GPU's memory is full.", "Choose a smaller crop.")]]
    labelled.train.start_training()
    qtbot.waitUntil(lambda: labelled.workspace.training.state is RunState.FAILED, timeout=10_000)
    assert "memory is full" in labelled.header.message.text()
    assert "smaller crop" in labelled.train.report.text()
    assert labelled.train.start.isEnabled()


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


def test_closing_ends_the_training(trainer: Any, tmp_path: Path) -> None:
    from rise_engine.config import RiseConfig

    session = TrainingSession(trainer)
    session.start(tmp_path, RiseConfig(), None, minutes=None, watch=None)
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
    assert np.array_equal(layer.data > 0, disc(20, 20) | disc(40, 60))
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


def test_the_queue_gives_reasons_and_next_goes_on(predicted: Any, qtbot: Any) -> None:
    review = predicted.review
    review._fill_queue()
    qtbot.waitUntil(lambda: review.queue.count() > 0, timeout=10_000)
    assert all(review.queue.item(row).text().count("\n") for row in range(review.queue.count()))
    before = predicted.workspace.frame.id
    review.go_on()
    assert predicted.workspace.frame.id != before


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
    frame = next(one for one in labelled.workspace.frames if one.name == "frame_4.png")
    assert frame.state is FrameState.LABELLED
    labelled.workspace.show(frame.id)
    assert np.array_equal(labelled.layers.annotations.data > 0, mask)
    (tmp_path / "bad.json").write_text("{}")
    labelled.project.import_coco(tmp_path / "bad.json")
    assert "bad.json" in labelled.header.message.text()
