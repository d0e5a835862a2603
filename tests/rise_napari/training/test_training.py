"""A replayed training in a real viewer: shown, stopped, failed, resumed."""

from __future__ import annotations

import gc
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.ndimage import binary_fill_holes

from rise_engine.config import RiseConfig
from rise_engine.project.segmentation import to_mask
from rise_engine.training import events
from rise_napari.training.session import Job, RunState, TrainingSession, coalesce


def test_only_the_last_preview_of_a_batch_is_kept(script: Any, disc: Any) -> None:
    batches = script("a", [disc(20, 20)], steps=3)
    kept = coalesce([event for batch in batches for event in batch])
    assert [event.step for event in kept if isinstance(event, events.Preview)] == [3]
    assert [event.step for event in kept if isinstance(event, events.Losses)] == [1, 2, 3]


def test_a_training_is_shown_in_header_curves_and_layers_and_can_be_stopped(
    labelled: Any, trainer: Any, script: Any, disc: Any, qtbot: Any, folder: Path
) -> None:
    states: list[RunState] = []
    training = labelled.workspace.training
    training.state_changed.connect(lambda: states.append(training.state))
    trainer.batches = script("frame_0.png", [disc(20, 20), disc(40, 60)])
    assert "2 labelled, 0 hold-out, 5 unlabelled" in labelled.train.settings.frames.counts.text()
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
    assert not train.next_actions.remedy.isHidden()
    assert "activation checkpointing" in train.next_actions.remedy.text()
    train.next_actions.remedy.click()
    assert labelled.workspace.training.running
    assert trainer.job.config.model.checkpointing
    assert train.next_actions.remedy.isHidden()
    trainer.alive = False
    qtbot.waitUntil(lambda: labelled.workspace.training.state is RunState.FAILED, timeout=10_000)


def test_a_killed_training_resumes_from_its_checkpoint(labelled: Any, trainer: Any, qtbot: Any, tmp_path: Path) -> None:
    project = labelled.workspace.project
    run = project.runs.start(preset="laptop", recipe="recommended", steps=50, base="none")
    (run.folder / "training_state").mkdir()
    (run.folder / "training_state" / "state.safetensors").write_bytes(b"")
    started = events.Started(0, run.number, str(run.folder), 50, 2, 5, 0, "cpu", 4)
    trainer.batches = [[started], [events.Failed(7, "crash", "The training process ended unexpectedly.", "Resume.")]]
    labelled.train.start_training()
    qtbot.waitUntil(lambda: labelled.workspace.training.state is RunState.FAILED, timeout=10_000)
    assert not trainer.job.resume
    assert "last checkpoint" in labelled.train.next_actions.remedy.text()
    labelled.train.next_actions.remedy.click()
    assert trainer.job.resume
    trainer.alive = False
    qtbot.waitUntil(lambda: not labelled.workspace.training.running, timeout=10_000)


def test_an_interrupted_run_is_offered_when_the_project_is_opened_again(labelled: Any, trainer: Any) -> None:
    project = labelled.workspace.project
    assert labelled.train.next_actions.resume.isHidden()
    run = project.runs.start(preset="laptop", recipe="recommended", steps=50, base="none")
    (run.folder / "training_state").mkdir()
    (run.folder / "training_state" / "state.safetensors").write_bytes(b"")
    config = RiseConfig.preset("laptop").with_settings(["schedule.seed=5"])
    record = {"config": config.model_dump(mode="json"), "labelled": ["frame_0.png"], "holdout": []}
    (run.folder / "config.json").write_text(json.dumps(record))
    labelled.train.refresh()
    assert "run 1" in labelled.train.next_actions.resume.text()
    labelled.train.next_actions.resume.click()
    assert trainer.job.resume
    assert trainer.job.config.schedule.seed == 5
    assert len(trainer.job.split.labelled) == 1


def test_a_worse_model_is_used_only_after_confirmation(labelled: Any, trainer: Any, qtbot: Any) -> None:
    project = labelled.workspace.project
    for _ in range(2):
        run = project.runs.start(preset="laptop", recipe="recommended", steps=50, base="none")
        project.runs.finish(run.number, steps=50, current=run.number == 1)
    verdict = "Run 2 reached AP 40.0 on the hold-out, less than run 1 (45.0), which stays in use."
    trainer.batches = [
        [events.Started(0, 2, str(run.folder), 50, 2, 5, 1, "cpu", 4), events.ToBeat(0, 1, 45.0, 70.0)],
        [events.HoldoutScore(50, 40.0, 60.0, best=True)],
        [events.Finished(50, 2, str(run.folder), stopped=False, current=False, verdict=verdict)],
    ]
    labelled.train.start_training()
    qtbot.waitUntil(lambda: labelled.workspace.training.state is RunState.FINISHED, timeout=10_000)
    assert "model in use: 45.0 (run 1)" in labelled.train.report.text()
    assert "less than run 1" in labelled.train.report.text()
    assert labelled.train.model.runs.currentData() == 1
    labelled.train.next_actions.use_new.click()
    assert project.runs.get().number == 2
    assert labelled.train.model.runs.currentData() == 2
    assert labelled.train.next_actions.use_new.isHidden()


def test_training_again_is_short_and_starts_from_the_current_model(labelled: Any, trainer: Any) -> None:
    labelled.train.settings.budget.setCurrentIndex(2)
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
    qtbot.waitUntil(lambda: "1 of 1" in labelled.train.live.counts.text(), timeout=10_000)
    before = labelled.layers.annotations.data.copy()
    labelled.train.live.score.setValue(95)
    assert "0 of 1" in labelled.train.live.counts.text()
    assert not labelled.viewer_for_tests.layers["predictions"].data.any()
    assert np.array_equal(labelled.layers.annotations.data, before)
    labelled.train.live.score.setValue(50)
    assert labelled.viewer_for_tests.layers["predictions"].data.any()


def test_the_training_frames_are_listed_before_the_start(labelled: Any) -> None:
    names = [
        labelled.train.settings.frames.names.item(row).text().strip()
        for row in range(labelled.train.settings.frames.names.count())
    ]
    assert names == ["Labelled, for training (2)", "frame_0.png", "frame_1.png", "Hold-out, for measuring only (0)"]
    labelled.train.settings.frames.names.itemClicked.emit(labelled.train.settings.frames.names.item(2))
    assert labelled.workspace.frame.name == "frame_1.png"


def test_a_training_that_ends_without_a_message_has_failed(labelled: Any, trainer: Any, qtbot: Any) -> None:
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


def test_a_wrong_setting_is_reported_and_nothing_starts(labelled: Any, trainer: Any) -> None:
    labelled.train.settings.advanced.more.setText("loss.nonsense=3")
    labelled.train.start_training()
    assert "loss.nonsense" in labelled.header.message.text()
    assert not trainer.alive


def test_settings_may_hold_lists(labelled: Any) -> None:
    labelled.train.settings.advanced.more.setText("loader.short_sides=[64, 80], loss.unsupervised=0.25")
    config = labelled.train.config()
    assert config.loader.short_sides == (64, 80)
    assert config.loss.unsupervised == 0.25


def test_without_labelled_frames_nothing_starts(opened: Any) -> None:
    assert not opened.train.start.isEnabled()
    assert "nothing to learn from" in opened.train.hint.text()


def test_napari_names_the_running_task_when_it_closes(
    workbench: Any, monkeypatch: pytest.MonkeyPatch, qtbot: Any
) -> None:
    from rise_napari.engine import background

    asked: list[Any] = []
    create = background.create_worker

    def watch(work: Any, **options: Any) -> Any:
        asked.append(work)
        return create(work, **options)

    monkeypatch.setattr(background, "create_worker", watch)
    seen: list[int] = []
    background.stream_in_background(
        workbench.workspace, lambda: iter([1, 2]), each=seen.append, name="RISE is training"
    )
    qtbot.waitUntil(lambda: seen == [1, 2], timeout=10_000)
    assert f"{asked[0]}" == "RISE is training"


def test_a_training_pauses_the_garbage_collector_and_its_end_resumes_it(
    labelled: Any, trainer: Any, script: Any, disc: Any, qtbot: Any
) -> None:
    before = gc.get_freeze_count()
    trainer.batches = script("frame_0.png", [disc(20, 20)])
    labelled.train.start_training()
    assert gc.get_freeze_count() > before + 10_000
    labelled.workspace.training.stop()
    qtbot.waitUntil(lambda: not labelled.workspace.training.running, timeout=10_000)
    assert gc.get_freeze_count() == 0
    labelled.train.start_training()
    assert gc.get_freeze_count() > 10_000
    labelled.shut_down()
    assert gc.get_freeze_count() == 0


def test_closing_ends_the_training(trainer: Any, tmp_path: Path) -> None:
    session = TrainingSession(trainer)
    session.start(Job(tmp_path, RiseConfig(), None), watch=None)
    trainer.stop = lambda: setattr(trainer, "alive", False)
    session.close()
    assert not trainer.alive
