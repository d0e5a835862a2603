"""The training loop: a generator of events that also decides when the last and the best weights are saved."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path

import torch

from rise_engine.config import RiseConfig
from rise_engine.errors import RiseError
from rise_engine.method.teacher import predicting
from rise_engine.model import build_segmenter
from rise_engine.model.device import choose_device, half_precision_pays
from rise_engine.prediction.load import LoadedModel, read_run_config
from rise_engine.project.interrupted import latest_training
from rise_engine.project.project import Project
from rise_engine.project.records import RunRecord
from rise_engine.project.run_folder import RunFolder
from rise_engine.project.splits import TrainingSplit, choose_split
from rise_engine.pseudo_sequences.views import PseudoSequence
from rise_engine.training import events
from rise_engine.training.checkpoint import (
    TrainingState,
    load_state,
    save_description,
    save_prediction_weights,
    save_state,
)
from rise_engine.training.data.classes import class_names
from rise_engine.training.data.source import SequenceSource
from rise_engine.training.distributed import RankError, Ranks
from rise_engine.training.events import Event
from rise_engine.training.holdout import measure_holdout, require_own_sizes, score_to_beat, takes_over
from rise_engine.training.initial_weights import build_initial
from rise_engine.training.live_preview import preview_frame
from rise_engine.training.metrics_log import MetricsLog
from rise_engine.training.step import TrainingStep
from rise_engine.training.step_outcome import StepOutcome, losses_event, thresholds_event

TIMED_STEPS = 3
"""Full steps that are timed, without changing a weight, to find how many fit into a number of minutes."""


class Trainer:
    """Trains a network on a project. Stop iterating ``run()`` to pause; call ``stop()`` to end and save.

    ``source`` makes the pseudo-sequences of each step, ``learner`` learns from them.
    """

    def __init__(
        self,
        project: Project,
        config: RiseConfig,
        split: TrainingSplit | None = None,
        *,
        minutes: float | None = None,
        resume: bool = False,
        run: int | None = None,
        rival: bool = True,
        ranks: Ranks | None = None,
    ) -> None:
        """``split`` defaults to ``choose_split(project)``. With ``minutes``, ``schedule.steps`` is what fits into them.

        ``resume`` continues ``run``, by default the project's latest one of the same preset. Without a ``rival`` the
        current run is not measured first, and the new one replaces it in any case. ``ranks`` are the processes that
        train together; all but the first need the project for reading only.
        Raises ``RiseError`` without labelled frames, or when the device or the weights are not available.
        """
        self.project = project
        self.split = split if split is not None else choose_split(project, seed=config.schedule.seed)
        if not self.split.labelled:
            raise RiseError(
                f"no labelled frame to learn from in {project.path}: draw the objects of a few frames and mark them "
                "done, or import a COCO file"
            )
        if config.loader.unlabelled_pool == "all":
            everyone = sorted({*self.split.labelled, *self.split.unlabelled})
            self.split = replace(self.split, unlabelled=everyone)
        require_own_sizes(project, self.split.holdout)
        self._ranks = ranks or Ranks()
        device = choose_device(self._ranks.device(config.device))
        self._resumed = self._run_to_resume(run, config) if resume else None
        # A resumed network keeps its classes, also if other ones were annotated since.
        self.class_names = (
            class_names(project, self.split.labelled, class_agnostic=config.class_agnostic)
            if self._resumed is None
            else list(read_run_config(self._resumed.folder)[1])
        )
        self.config = config.model_copy(deep=True)
        self.config.model.num_classes = len(self.class_names)
        self._minutes, self._rival = minutes, rival
        self._watched: str | None = None
        self._preview_due = self._stopping = False
        torch.manual_seed(config.schedule.seed)
        # Other processes receive the weights of the first one, and a resumed run has its own: neither needs a file.
        model, self._origin = (
            build_initial(project, self.config)
            if self._ranks.first and self._resumed is None
            else (build_segmenter(self.config.model), "weights of its last checkpoint")
        )
        self.learner = TrainingStep(model, self.config, device=device, ranks=self._ranks)
        self.source = SequenceSource(project, self.split, self.config, class_names=self.class_names, device=device)
        self._number = self._step = self._skipped = 0
        self._reached: float | None = None
        self._notices: list[str] = []
        if config.optimiser.bf16 and not half_precision_pays(device):
            self._notices.append(
                f"This device ({device.type}) has no native bfloat16: optimiser.bf16=false would train faster."
            )

    def watch(self, frame: str | None) -> None:
        """Sets the frame to predict every ``schedule.preview_every`` steps, by its file name; None for none."""
        self._watched = frame
        self._preview_due = frame is not None

    def stop(self) -> None:
        """Ends the run after the current step and saves it."""
        self._stopping = True

    def run(self) -> Iterator[Event]:
        """Trains to the end of the schedule. The last event is ``Finished`` or ``Failed``.

        With several processes the first one measures and writes, while the others wait for it at the next step.
        """
        self._check_processes()
        if self._resumed is not None:
            folder, state = self._reopen(self._resumed)
            self._ranks.check_equal("checkpoint", [str(folder.name), asdict(state)])
        else:
            if self.config.sequence.bank_admit == "all":
                self.source.fill_bank()
                self._ranks.check_equal("objects in the instance bank", self.source.bank_references())
            if self._minutes is not None:
                self.config.schedule.steps = max(1, int(self._minutes * 60 / self.seconds_a_step()))
            folder, state = self._new_run(), TrainingState(0, self.config.schedule.steps)
        if not self._ranks.first:
            yield from self._train(folder, state)
            return
        with MetricsLog(folder, keep_until=None if self._resumed is None else state.step) as log:
            for event in self._train(folder, state):
                log.write(event)
                yield event

    def _check_processes(self) -> None:
        """RiseError unless all processes have the same settings and frames, and each has a frame of every step."""
        if self._ranks.alone:
            return
        self._ranks.check_equal(
            "settings", [self.config.model_dump(mode="json"), self.class_names, self._resumed is not None]
        )
        self._ranks.check_equal("frames", asdict(self.split))
        for unlabelled in {0, 0 if self.config.schedule.supervised_only else self.source.count("unlabelled")}:
            labelled = self.source.count("labelled")
            micro_batches = self.learner.micro_batches(labelled, unlabelled)
            self._ranks.check_frames(labelled=labelled, unlabelled=unlabelled, micro_batches=micro_batches)

    def _new_run(self) -> Path:
        if not self._ranks.first:
            self._number, folder = self._ranks.gather(None)[0]
            return Path(folder)
        run = self.project.runs.start(
            preset=self.config.preset_name,
            recipe=self.config.recipe_name,
            steps=self.config.schedule.steps,
            base=self.config.weights,
        )
        self._number = run.number
        names = {frame.id: frame.name for frame in self.project.frames.all()}
        save_description(
            run.files.config,
            self.config,
            self.class_names,
            labelled=[names[frame] for frame in self.split.labelled],
            unlabelled=len(self.split.unlabelled),
            holdout=[names[frame] for frame in self.split.holdout],
            validation=[names[frame] for frame in self.split.validation],
        )
        self._ranks.gather([run.number, str(run.folder)])
        return run.folder

    def _run_to_resume(self, number: int | None, config: RiseConfig) -> RunRecord:
        if number is not None:
            return self.project.runs.get(number)
        latest = latest_training(self.project, config.preset_name)
        if latest is None:
            raise RiseError(f"{self.project.path} has no run of preset {config.preset_name} to resume")
        return latest

    def _reopen(self, run: RunRecord) -> tuple[Path, TrainingState]:
        self._number, folder = run.number, run.folder
        learner = self.learner
        state = load_state(folder, model=learner.model, teacher=learner.averaged, optimiser=learner.optimiser)
        self.config.schedule.steps = state.steps
        if self.config.sequence.bank_admit == "all":
            self.source.fill_bank()
        else:
            self.source.restore_bank(state.annotations)
        deleted = len(state.annotations) - len(self.source.bank)
        if deleted > 0:
            self._notices.append(
                f"The instance bank is smaller than it was, by {deleted}: annotations were deleted since."
            )
        return folder, state

    def seconds_a_step(self) -> float:
        """The duration of a step of the whole method on this machine, measured on steps that change no weight."""
        after = self.config.schedule.burn_in
        took = []
        for _ in range(TIMED_STEPS):
            began = time.monotonic()
            self.learner.gradients(after, *self.sequences(after))
            took.append(time.monotonic() - began)
        self.learner.optimiser.zero_grad(set_to_none=True)
        return max(self._ranks.gather(min(took)))

    def sequences(self, step: int) -> tuple[list[PseudoSequence | None], list[PseudoSequence | None]]:
        """The labelled and the unlabelled pseudo-sequences of a step; None where another process has the frame."""
        schedule = self.config.schedule
        due = not schedule.supervised_only and step >= schedule.burn_in
        labelled, unlabelled = self.source.count("labelled"), self.source.count("unlabelled") if due else 0
        count = self.learner.micro_batches(labelled, unlabelled)
        return (
            self.source.sequences(step, "labelled", self._ranks.owned(labelled, count)),
            self.source.sequences(step, "unlabelled", self._ranks.owned(unlabelled, count)) if due else [],
        )

    def _train(self, folder: Path, state: TrainingState) -> Iterator[Event]:
        step = state.step
        yield events.Started(
            step,
            run=self._number,
            folder=str(folder),
            steps=self.config.schedule.steps,
            labelled=len(self.split.labelled),
            unlabelled=0 if self.config.schedule.supervised_only else len(self.split.unlabelled),
            holdout=len(self.split.holdout),
            device=str(self.learner.device),
            bank_size=len(self.source.bank),
            message=self._origin,
        )
        try:
            yield from self._loop(folder, state)
        except RankError as error:
            hint = "Start it again with --resume, which continues from the last checkpoint."
            yield events.Failed(step, kind="crash", message=f"The training stopped: {error}", hint=hint)
        except torch.OutOfMemoryError as error:
            self._ranks.report_failure(f"the memory of {self.learner.device} is full")
            yield events.Failed(
                step,
                kind="memory",
                message=f"The memory of {self.learner.device} is full: {str(error).splitlines()[0]}",
                hint="Set model.checkpointing=true, or use a smaller loader.crop, or device cpu.",
            )
        except RiseError as error:
            self._ranks.report_failure(str(error))
            saved = " What was trained is saved and can be resumed." if RunFolder(folder).checkpoint.is_file() else ""
            yield events.Failed(step, kind="data", message=str(error), hint=f"Fix it, then train again.{saved}")
        finally:
            self.source.close()

    def _loop(self, folder: Path, state: TrainingState) -> Iterator[Event]:
        self._skipped, self._reached = state.skipped, state.best_ap
        for sentence in self._notices:
            yield events.Notice(state.step, sentence)
        to_beat = self._to_beat()
        if to_beat is not None:
            yield to_beat
        self._step = state.step
        try:
            yield from self._steps(folder)
        except (RiseError, torch.OutOfMemoryError):
            if self._ranks.first and self._step > state.step:
                yield self._checkpoint(folder)
            raise
        current, verdict = takes_over(self._reached, to_beat, run=self._number)
        if self._ranks.first:
            yield self._checkpoint(folder)
            self.project.runs.finish(self._number, steps=self._step, current=current)
        # The other processes wait here until everything is saved.
        self._ranks.gather(None)
        yield events.Finished(
            self._step,
            run=self._number,
            folder=str(folder),
            stopped=self._step < self.config.schedule.steps,
            current=current,
            verdict=verdict,
            skipped=self._skipped,
        )

    def _steps(self, folder: Path) -> Iterator[Event]:
        """The remaining steps of the schedule, and what is due after each."""
        schedule = self.config.schedule
        pace: float | None = None
        saved_at = time.monotonic()
        while self._step < schedule.steps and not self._ranks.any(self._stopping):
            began = time.monotonic()
            yield from self._learn(self._step)
            self._step += 1
            took = time.monotonic() - began
            pace = took if pace is None else 0.95 * pace + 0.05 * took
            left = (schedule.steps - self._step) * pace
            yield events.Progress(self._step, schedule.steps, seconds_per_step=pace, seconds_left=left)
            if not self._ranks.first:
                continue
            if self._watched is not None and (self._preview_due or self._step % schedule.preview_every == 0):
                yield self._preview(self._step)
            if self.split.holdout and (self._step % schedule.holdout_every == 0 or self._step == schedule.steps):
                yield from self._measure(folder)
            if time.monotonic() - saved_at >= schedule.checkpoint_seconds:
                yield self._checkpoint(folder)
                saved_at = time.monotonic()

    def _measure(self, folder: Path) -> Iterator[Event]:
        """The scores on the watched frames; validation frames choose the best weights, others choose nothing."""
        chooses = bool(self.split.validation)
        for event in measure_holdout(
            self.learner.teacher,
            self._predictor(),
            self.project,
            self.split.watched,
            step=self._step,
            to_exceed=self._reached if chooses else math.inf,
        ):
            if isinstance(event, events.HoldoutScore):
                if event.best:
                    self._save_weights(RunFolder(folder).best_weights)
                if event.best or not chooses:
                    self._reached = event.ap
            yield event

    def _to_beat(self) -> events.ToBeat | None:
        if not self._rival or not self._ranks.first:
            return None
        return score_to_beat(
            self.project,
            self.split.watched,
            class_agnostic=self.config.class_agnostic,
            device=self.config.device,
            besides=self._number,
        )

    def _learn(self, step: int) -> Iterator[Event]:
        labelled, unlabelled = self.sequences(step)
        outcome = self.learner.learn(step, labelled, unlabelled)
        if self.config.sequence.bank_admit == "segmented":
            self._admit(outcome)
        for sentence in [*self.learner.memory.take_notices(), *self.source.take_notices()]:
            yield events.Notice(step + 1, sentence)
        if not outcome.applied:
            self._skipped += 1
            yield events.Notice(
                step + 1, f"Step {step + 1} had non-finite gradients and was skipped ({self._skipped} so far)."
            )
        yield losses_event(outcome, step + 1, skipped=self._skipped)
        if outcome.cascades:
            yield thresholds_event(outcome, step + 1, bank_size=len(self.source.bank))

    def _admit(self, outcome: StepOutcome) -> None:
        for _, (name, indices) in sorted(outcome.segmented.items()):
            self.source.admit(name, indices)

    def _predictor(self) -> LoadedModel:
        return LoadedModel(self.learner.teacher, self.config, tuple(self.class_names), self.learner.device)

    def _preview(self, step: int) -> Event:
        self._preview_due = False
        try:
            frame = self.project.frames.get(str(self._watched))
            image = self.project.image(frame.id)
        except RiseError as error:
            # A damaged frame must not end the training on the others.
            self._watched = None
            return events.Notice(step, str(error))
        with predicting(self.learner.teacher):
            return preview_frame(self._predictor(), frame.name, image, step=step)

    def _checkpoint(self, folder: Path) -> Event:
        learner, steps = self.learner, self.config.schedule.steps
        save_state(
            folder,
            TrainingState(self._step, steps, self._reached, self.source.bank_references(), self._skipped),
            model=learner.model,
            teacher=learner.averaged,
            optimiser=learner.optimiser,
        )
        path = RunFolder(folder).weights
        self._save_weights(path)
        return events.Checkpoint(self._step, path=str(path))

    def _save_weights(self, path: Path) -> None:
        save_prediction_weights(path, self.learner.teacher, self.config, self.class_names)
