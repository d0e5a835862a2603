"""Which frames an evaluation measures on: those whose annotations are complete."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rise_engine.errors import RiseError
from rise_engine.project.records import FrameState, Split
from rise_engine.project.wording import number_of

if TYPE_CHECKING:
    from rise_engine.project.project import Project


@dataclass(frozen=True, slots=True)
class EvaluationFrames:
    """Frame ids to measure on, and how many of the asked frames cannot be measured."""

    frames: list[int]
    unannotated: int
    skipped: int

    @property
    def excluded_in_words(self) -> str:
        """``Not measured: 4 frames without annotations, 1 skipped frame.``, empty when all are measured."""
        counts = [
            f"{number_of(self.unannotated, 'frame')} without annotations" if self.unannotated else "",
            number_of(self.skipped, "skipped frame") if self.skipped else "",
        ]
        return f"Not measured: {', '.join(filter(None, counts))}." if any(counts) else ""


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
    project: Project, asked: Sequence[int], *, annotated: Collection[int] | None = None
) -> EvaluationFrames:
    """The frames among ``asked`` whose annotations are complete and which are not skipped.

    A frame is annotated when it is labelled or reviewed, also without any object; ``annotated`` gives the ids instead
    where the ground truth is in a file. Raises RiseError when there is no frame to measure on.
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
    return EvaluationFrames(chosen, len(asked) - len(skipped) - len(chosen), len(skipped))
