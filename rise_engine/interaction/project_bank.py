"""The instance bank of a project, the same for the trainer, the command line and the window."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from rise_engine.config import RiseConfig
from rise_engine.interaction.bank import InstanceBank
from rise_engine.project.frame import LabelledFrame
from rise_engine.project.project import Project
from rise_engine.project.records import FrameRecord, FrameState, Split


def bank_frames(project: Project) -> list[FrameRecord]:
    """The frames whose objects may be cut out: labelled or reviewed, and never of the hold-out."""
    states = (FrameState.LABELLED, FrameState.REVIEWED)
    return [frame for frame in project.frames(split=Split.TRAIN) if frame.state in states]


def fill_bank(
    project: Project,
    frames: Iterable[int],
    config: RiseConfig,
    *,
    read: Callable[[int], LabelledFrame] | None = None,
) -> InstanceBank:
    """A bank with the objects of the frames, in their order, until it is full; excluded annotations stay out.

    Frames are read at training size, or with ``read``.
    """
    bank = InstanceBank(config.sequence.bank_capacity)
    excluded = project.bank_excluded()
    for frame in frames:
        labelled = read(frame) if read is not None else read_for_training(project, frame, config)
        bank.add_frame(labelled, min_area=config.sequence.min_area, excluded=excluded)
        if len(bank) >= bank.capacity:
            break
    return bank


def read_for_training(project: Project, frame: int, config: RiseConfig) -> LabelledFrame:
    """A labelled frame no larger than training needs it."""
    return project.labelled_frame(
        frame, short_side=max(config.loader.short_sides), class_agnostic=config.class_agnostic
    )
