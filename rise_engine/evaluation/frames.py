"""Which frames an evaluation measures on: those whose annotations are complete."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rise_engine.errors import RiseError
from rise_engine.project.records import FrameState, RunRecord, Split
from rise_engine.project.wording import number_of

if TYPE_CHECKING:
    from rise_engine.project.project import Project


@dataclass(frozen=True, slots=True)
class EvaluationFrames:
    """Frame ids to measure on, and how many of the asked frames are not measured."""

    frames: list[int]
    unannotated: int
    skipped: int
    validation: int = 0
    """Left out because the best weights were chosen on them."""
    optimistic: int = 0
    """Measured although the best weights were chosen on them."""

    @property
    def notes(self) -> list[str]:
        """Sentences about the choice: what is not measured, and whether the result is optimistic."""
        counts = [
            f"{number_of(self.unannotated, 'frame')} without annotations" if self.unannotated else "",
            number_of(self.skipped, "skipped frame") if self.skipped else "",
            f"{number_of(self.validation, 'validation frame')} that chose the weights" if self.validation else "",
        ]
        notes = [f"Not measured: {', '.join(filter(None, counts))}."] if any(counts) else []
        if self.optimistic:
            notes.append(f"The weights were chosen on {self.optimistic} of these frames, so the AP is optimistic.")
        return notes


def frames_to_evaluate(project: Project, listed: Sequence[int] | None = None) -> list[int]:
    """The frames asked for: the listed ones, or the hold-out. Raises RiseError when there are none."""
    if listed is None:
        listed = [frame.id for frame in project.frames.all(split=Split.HOLDOUT)]
    if not listed:
        raise RiseError(
            f"{project.path} has no hold-out to evaluate on: mark frames as hold-out, or list annotated frames with "
            "--frames FILE."
        )
    return list(dict.fromkeys(listed))


def evaluation_frames(
    project: Project,
    asked: Sequence[int],
    *,
    annotated: Collection[int] | None = None,
    chose_weights: Collection[int] = (),
    keep_validation: bool = False,
) -> EvaluationFrames:
    """The frames among ``asked`` whose annotations are complete and which are not skipped.

    A frame is annotated when it is labelled or reviewed, also without any object; ``annotated`` gives the ids instead
    where the ground truth is in a file. Frames that ``chose_weights`` are left out where others remain, unless
    ``keep_validation``. Raises RiseError when there is no frame to measure on.
    """
    states = {frame.id: frame.state for frame in project.frames.all()}
    skipped = {frame for frame in asked if states[frame] is FrameState.SKIPPED}
    if annotated is None:
        annotated = {frame for frame, state in states.items() if state.is_annotated}
    chosen = [frame for frame in asked if frame not in skipped and frame in annotated]
    if not chosen:
        raise RiseError(
            f"None of the {number_of(len(asked), 'frame')} to evaluate on is annotated: annotate the hold-out, or list "
            "annotated frames with --frames FILE."
        )
    unannotated = len(asked) - len(skipped) - len(chosen)
    test = [frame for frame in chosen if frame not in chose_weights]
    if test and not keep_validation:
        return EvaluationFrames(test, unannotated, len(skipped), validation=len(chosen) - len(test))
    return EvaluationFrames(chosen, unannotated, len(skipped), optimistic=len(chosen) - len(test))


def validation_frames_of(project: Project, run: RunRecord) -> set[int]:
    """The frames on which the weights of a run were chosen; none when its last weights predict.

    A run from before there were validation frames chose its weights on its whole hold-out. Raises RiseError when the
    run's file cannot be read.
    """
    if not run.files.best_weights.is_file():
        return set()
    try:
        record = json.loads(run.files.config.read_text(encoding="utf-8"))
        names = set(record.get("validation", record.get("holdout", ())))
    except (OSError, ValueError, AttributeError, TypeError, RecursionError) as error:
        raise RiseError(
            f"The settings in {run.files.config} cannot be read: train again, or choose another run."
        ) from error
    return {frame.id for frame in project.frames.all() if frame.name in names}
