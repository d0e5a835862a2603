"""The frames of a training: labelled, unlabelled and hold-out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rise_engine.errors import RiseError
from rise_engine.project.ordering import shuffled
from rise_engine.project.project import Project
from rise_engine.project.records import FrameRecord, FrameState, Split

_ONE_IN = 10
CHOOSES_FROM = 12
"""A smaller hold-out has no validation frames: so few would choose by chance, and too few would be left to test."""


@dataclass(frozen=True, slots=True)
class TrainingSplit:
    """Frame ids. A hold-out frame is in neither of the other two."""

    labelled: list[int]
    unlabelled: list[int]
    """Their annotations, if there are any, are never read."""
    holdout: list[int]
    """Annotated frames that never train: validation and test together."""
    validation: list[int] = field(default_factory=list)
    """The hold-out frames that choose the best weights; empty when nothing is chosen. The other ones only test."""

    @property
    def watched(self) -> list[int]:
        """The frames that are measured during the training: the validation frames, or the hold-out without them."""
        return self.validation or self.holdout


def choose_split(
    project: Project,
    *,
    names: Sequence[str] | None = None,
    count: int | None = None,
    fraction: float | None = None,
    holdout_names: Sequence[str] | None = None,
    seed: int = 0,
    frames: Sequence[FrameRecord] | None = None,
) -> TrainingSplit:
    """Choose the frames of a training.

    ``names`` are exactly the labelled frames. ``count`` or ``fraction`` takes a random split of them by the seed; a
    smaller split is part of a larger one. ``holdout_names`` are held out, in addition to the project's hold-out frames.
    Without a hold-out and without ``names``, one in ten labelled frames is held out if there are at least ten. This
    choice does not depend on the seed, and takes only frames with an object, because others cannot be measured.
    All other frames except skipped ones are unlabelled. If there are none, the training frames are used as unlabelled
    frames, without their labels. ``frames`` are the project's frames, if the caller has read them already.
    Raises RiseError for unknown or unlabelled names, names in both lists, and when no labelled frame is left.
    """
    if sum(choice is not None for choice in (names, count, fraction)) > 1:
        raise RiseError("A list, a count and a fraction of labelled frames exclude each other; give only one of them.")
    known = {frame.id: frame for frame in (project.frames.all() if frames is None else frames)}
    marked = {frame.id for frame in known.values() if frame.split is Split.HOLDOUT}
    given = {frame.id for frame in _labelled_by_name(project, holdout_names or (), "hold-out")}
    held_out = marked | given
    if names is not None:
        labelled = _labelled_by_name(project, names, "labelled")
        both = [frame.name for frame in labelled if frame.id in held_out]
        if both:
            raise RiseError(f"The frame {both[0]} is both labelled for training and held out; remove it from one list.")
    else:
        labelled = [frame for frame in known.values() if frame.state.is_annotated and frame.id not in held_out]
        if not held_out and len(labelled) >= _ONE_IN:
            shown = project.annotations.frames_with_objects()
            measurable = [frame for frame in shuffled(labelled, "hold-out") if frame.id in shown]
            held_out = {frame.id for frame in measurable[: len(labelled) // _ONE_IN]}
            labelled = [frame for frame in labelled if frame.id not in held_out]
        labelled = _part(labelled, count, fraction, seed)
    if not labelled:
        raise RiseError(f"The project {project.path} has no labelled frame to train on; annotate one first.")
    chosen = {frame.id for frame in labelled}
    trains = [
        frame.id for frame in known.values() if frame.id not in held_out and frame.state is not FrameState.SKIPPED
    ]
    unlabelled = [frame for frame in trains if frame not in chosen]
    holdout = [frame for frame in known.values() if frame.id in held_out and frame.state.is_annotated]
    return TrainingSplit(
        labelled=[frame for frame in known if frame in chosen],
        unlabelled=unlabelled or trains,
        holdout=[frame.id for frame in holdout],
        validation=_validation(holdout),
    )


def _validation(holdout: Sequence[FrameRecord]) -> list[int]:
    """Half of the hold-out, the same half for every training; none of a hold-out of fewer than a dozen frames."""
    if len(holdout) < CHOOSES_FROM:
        return []
    return sorted(frame.id for frame in shuffled(holdout, "validation")[: len(holdout) // 2])


def read_name_list(path: Path) -> list[str]:
    """Read file names, one per line, relative to the image folder. Raises RiseError when there are none."""
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise RiseError(f"The list {path} cannot be read ({error}); write one file name per line.") from error
    names = [line.strip() for line in text.splitlines() if line.strip()]
    if not names:
        raise RiseError(f"The list {path} is empty; it should contain one file name per line.")
    return names


def _labelled_by_name(project: Project, names: Sequence[str], purpose: str) -> list[FrameRecord]:
    frames = [project.frames.get(name) for name in dict.fromkeys(names)]
    for frame in frames:
        if not frame.state.is_annotated:
            raise RiseError(
                f"The frame {frame.name} is in the {purpose} list, but it is {frame.state}; annotate it, or remove it "
                "from the list."
            )
    return frames


def _part(labelled: list[FrameRecord], count: int | None, fraction: float | None, seed: int) -> list[FrameRecord]:
    if count is None and fraction is None:
        return labelled
    if fraction is not None:
        if not 0 < fraction <= 1:
            raise RiseError(f"The fraction of labelled frames is {fraction}; it must be above 0 and at most 1.")
        count = max(1, round(fraction * len(labelled)))
    assert count is not None
    if not 1 <= count <= len(labelled):
        raise RiseError(
            f"{count} labelled frames were requested, but the project has {len(labelled)}; choose 1 to {len(labelled)}."
        )
    return shuffled(labelled, f"labelled {seed}")[:count]
