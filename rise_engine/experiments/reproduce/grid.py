"""Grid of trainings: runs jobs one by one on a copy of the project; an interrupted grid continues where it stopped."""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from filelock import FileLock, Timeout

from rise_engine.config import RiseConfig
from rise_engine.errors import RiseError
from rise_engine.experiments.reproduce.cell import Cell
from rise_engine.experiments.reproduce.grid_project import TEST_LIST, held_out, open_copy
from rise_engine.experiments.reproduce.grid_records import GridRecords
from rise_engine.experiments.reproduce.job import Job, Result, identity_of
from rise_engine.experiments.reproduce.pace import Pace
from rise_engine.formats.ocid import whole_sequences
from rise_engine.prediction.load import load_model
from rise_engine.project.project import Project
from rise_engine.project.records import RunRecord
from rise_engine.project.run_folder import RunFolder
from rise_engine.project.splits import TrainingSplit, choose_split
from rise_engine.project.wording import duration
from rise_engine.training.checkpoint import load_state
from rise_engine.training.events import Finished, Started, event_from_record
from rise_engine.training.holdout import score_holdout
from rise_engine.training.trainer import Trainer

SEEDS_APART = 1000
"""The k-th training of subset s has the seed s + 1000 k."""

Follow = Callable[[Trainer, Callable[[float], str]], Finished]
"""Runs a training to its end; the second argument makes a short text from its remaining seconds."""
Say = Callable[[str], object]


class InterruptedGridError(Exception):
    """The current training was stopped; its state is saved."""


class Grid:
    """Trains jobs one after the other on a copy of the project in ``folder``, and records the results.

    The copy has the annotations from the start of the grid, so all trainings have the same. Several processes may work
    on one grid; each job is trained by one of them.
    """

    def __init__(self, project: Project, folder: Path) -> None:
        """Raises RiseError when the project has no hold-out to evaluate on, and when the grid is of another project."""
        self.folder = folder
        self.project = open_copy(project, folder)
        try:
            self.holdout, self.measured = held_out(self.project, folder / TEST_LIST)
        except RiseError:
            self.project.close()
            raise
        apart = set(self.holdout)
        self.available = sum(frame.id not in apart for frame in self.project.frames.annotated())
        self._records = GridRecords(folder)
        self._pace = Pace(self.project, self._records, self.split)

    def jobs(self, cells: Sequence[Cell], config: RiseConfig, *, subsets: int = 1, seeds: int = 1) -> list[Job]:
        """The jobs of the cells: every cell once, then again with the next subset and seed, without duplicates.

        Each of ``subsets`` is a new random split of the labelled frames; each of ``seeds`` is a new training with the
        same split. Raises RiseError when the project has too few labelled frames and for an invalid setting.
        """
        jobs: dict[tuple[str, str], Job] = {}
        for again in range(seeds):
            for subset in range(subsets):
                for cell in cells:
                    job = self._job(cell, config, subset, subset + SEEDS_APART * again)
                    jobs.setdefault((cell.method, job.identity), job)
        return list(jobs.values())

    def _job(self, cell: Cell, config: RiseConfig, subset: int, seed: int) -> Job:
        labelled = cell.amount.frames(self.available)
        if labelled > self.available:
            raise RiseError(
                f"{labelled} labelled frames were requested, but the project has {self.available} outside the "
                "hold-out: request fewer, or choose another --out if you have labelled more since this grid began."
            )
        own = cell.settings + (cell.for_paper if config.recipe_name == "paper" else ())
        try:
            settings = config.with_settings([*own, f"schedule.seed={seed}"])
        except ValueError as error:
            raise RiseError(str(error)) from error
        return Job(cell, labelled, subset, settings)

    def result(self, job: Job) -> Result | None:
        """The result of a job; None when it is not finished."""
        record = self._records.find(job.identity)
        if record is None:
            return None
        folder = self.project.runs.folder / record["run"]
        return Result(record["scores"], record["frames"], record["seconds"], folder)

    def begun(self, job: Job) -> RunRecord | None:
        """The unfinished run of a job with a saved state; None without one."""
        return next((run for run in self._runs_of(job) if run.files.checkpoint.is_file()), None)

    def seconds(self, jobs: Sequence[Job]) -> float:
        """Estimated duration of the unfinished jobs; a few steps are timed when no job of the kind is finished."""
        return sum(self._pace.seconds(job) for job in jobs if self.result(job) is None)

    def run(self, jobs: Sequence[Job], *, follow: Follow, say: Say) -> None:
        """Trains the unfinished jobs; skips jobs that another process is training.

        Raises ``InterruptedGridError`` when a training was stopped before its end.
        """
        for place, job in enumerate(jobs, start=1):
            if self.result(job) is not None:
                continue
            name = hashlib.sha256(job.identity.encode()).hexdigest()[:16]
            path = self.folder / "locks" / f"{name}.lock"
            path.parent.mkdir(parents=True, exist_ok=True)
            lock = FileLock(path)
            try:
                lock.acquire(timeout=0)
            except Timeout:
                say(f"[{place}/{len(jobs)}] {job}: another process is training it")
                continue
            try:
                self._records.reload()
                if self.result(job) is None:
                    later = jobs[place:]
                    say(f"[{place}/{len(jobs)}] {job}; about {duration(self.seconds([job, *later]))} in all")
                    self._train(job, later, follow, say)
            finally:
                lock.release()

    def split(self, job: Job) -> TrainingSplit:
        """The job's frames; a larger number of labelled frames includes the smaller ones of the same subset.

        OCID uses whole sequences, close to the requested number, because the frames of a sequence are similar. When
        the data set has a test part, the other hold-out frames are used during training.
        """
        tests = set(self.measured)
        watching = [frame for frame in self.holdout if frame not in tests] or self.holdout
        if self.project.setting("dataset") == "ocid":
            names = whole_sequences(self.project, count=job.labelled, seed=job.subset)
            split = choose_split(self.project, names=names)
        else:
            split = choose_split(self.project, count=job.labelled, seed=job.subset)
        return TrainingSplit(split.labelled, split.unlabelled, watching)

    def _train(self, job: Job, later: Sequence[Job], follow: Follow, say: Say) -> None:
        waiting = self.seconds(later)
        began = time.monotonic()
        trainer = self._resumed_trainer(job, say) or Trainer(self.project, job.config, self.split(job), rival=False)
        finished = follow(trainer, lambda left: f"; about {duration(left + waiting)} in all")
        if finished.stopped:
            raise InterruptedGridError
        folder = Path(finished.folder)
        scores = self._measure(folder, job)
        steps = job.config.schedule.steps
        learnt = steps - _began_at(folder)
        seconds = (time.monotonic() - began) * steps / learnt if learnt else self._pace.seconds(job)
        record = {
            "method": job.cell.method,
            "labelled": job.labelled,
            "subset": job.subset,
            "seed": job.seed,
            "scores": scores,
            "frames": len(self.measured),
            "seconds": round(seconds, 1),
            "run": folder.name,
        }
        self._records.add(job.record, record)
        # The optimiser's state and the second weights file are several times larger than the result.
        shutil.rmtree(RunFolder(folder).checkpoint.parent, ignore_errors=True)
        RunFolder(folder).best_weights.unlink(missing_ok=True)

    def _resumed_trainer(self, job: Job, say: Say) -> Trainer | None:
        """A trainer that resumes the job's unfinished run; None when there is none or it cannot be resumed."""
        run = self._resumable_run(job)
        if run is None:
            return None
        trainer = Trainer(self.project, job.config, self.split(job), resume=True, run=run.number, rival=False)
        learner = trainer.learner
        try:
            # Only a test whether the state fits; the trainer reads it again.
            load_state(run.folder, model=learner.model, teacher=learner.averaged, optimiser=learner.optimiser)
        except RiseError:
            say(f"{run.files.checkpoint} is damaged or of another version: this training begins anew.")
            self.project.runs.delete(run.number)
            return None
        return trainer

    def _resumable_run(self, job: Job) -> RunRecord | None:
        """The job's run with a saved state; runs without one are deleted."""
        for run in self._runs_of(job):
            if run.files.checkpoint.is_file():
                return run
            self.project.runs.delete(run.number)
        return None

    def _runs_of(self, job: Job) -> list[RunRecord]:
        """The job's runs without a result, the latest first."""
        done = {record["run"] for record in self._records.all()}
        wanted = {self.project.frames.get(frame).name for frame in self.split(job).labelled}
        runs = []
        for run in reversed(self.project.runs.all()):
            if run.folder.name in done:
                continue
            try:
                description = json.loads(run.files.config.read_text(encoding="utf-8"))
                about = {"labelled": job.labelled, "subset": job.subset, "config": description["config"]}
                about["config"]["model"]["num_classes"] = job.config.model.num_classes
                same = identity_of(about) == job.identity and set(description["labelled"]) == wanted
            except (OSError, ValueError, KeyError, TypeError):
                continue
            if same:
                runs.append(run)
        return runs

    def _measure(self, folder: Path, job: Job) -> dict[str, float]:
        """Mask AP of the weights of the last step, which are not selected by a hold-out score."""
        loaded = load_model(RunFolder(folder).weights, device=job.config.device)
        mask = score_holdout(loaded, self.project, self.measured)
        return {"AP": mask.ap, "AP50": mask.ap50, "AP75": mask.ap75}


def _began_at(folder: Path) -> int:
    """The step at which the run was last begun or resumed."""
    lines = RunFolder(folder).metrics.read_text(encoding="utf-8").splitlines()
    starts = [record for record in map(json.loads, lines) if record["event"] == Started.__name__]
    return event_from_record(starts[-1]).step if starts else 0
