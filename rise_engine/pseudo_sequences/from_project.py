"""The instance bank and pseudo-sequences of a project, for the trainer, the command line and the window."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING

import numpy as np

from rise_engine.config import RiseConfig
from rise_engine.errors import RiseError
from rise_engine.project.frame import LabelledFrame
from rise_engine.project.project import Project
from rise_engine.project.records import FrameRecord, Split
from rise_engine.pseudo_sequences.bank import InstanceBank

if TYPE_CHECKING:
    from rise_engine.pseudo_sequences.views import PseudoSequence


def bank_frames(project: Project) -> list[FrameRecord]:
    """The frames whose objects may be cut out: labelled or reviewed, and never of the hold-out."""
    return project.frames.annotated(split=Split.TRAIN)


def require_bank_frames(project: Project) -> list[FrameRecord]:
    """As ``bank_frames``; RiseError when there are none."""
    frames = bank_frames(project)
    if not frames:
        raise RiseError(
            f"no frame of {project.path} is labelled: draw the objects of a few frames and mark them done, or import a "
            "COCO file with `rise import`"
        )
    return frames


def full_size_bank(project: Project) -> InstanceBank:
    """Every object that may be pasted, at full size; RiseError when no frame is labelled."""
    frames = require_bank_frames(project)
    config = RiseConfig()
    config.sequence.bank_capacity = max(1, sum(len(project.annotations.of_frame(frame.id)) for frame in frames))
    return fill_bank(project, [frame.id for frame in frames], config, read=project.labelled_frame)


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
    excluded = project.annotations.bank_excluded()
    for frame in frames:
        labelled = read(frame) if read is not None else read_for_training(project, frame, config)
        bank.add_frame(labelled, min_area=config.sequence.min_area, excluded=excluded)
        if len(bank) >= bank.capacity:
            break
    return bank


def read_for_training(
    project: Project, frame: int, config: RiseConfig, *, classes: Mapping[int, int] | None = None
) -> LabelledFrame:
    """A labelled frame at the size that training needs; without ``classes`` all its objects have class 0."""
    return project.labelled_frame(frame, short_side=max(config.loader.short_sides), classes=classes)


def make_frame_sequence(
    project: Project, frame: FrameRecord, config: RiseConfig, *, seed: int, bank: InstanceBank | None = None
) -> PseudoSequence:
    """A pseudo-sequence of one frame with the project's bank, for inspection; it follows from the seed.

    With ``bank`` the project's bank is not read again.
    """
    from rise_engine.pseudo_sequences.sequence import SequenceMaker

    labelled = bank_frames(project)
    source = (
        read_for_training(project, frame.id, config)
        if frame in labelled
        else project.unlabelled_frame(frame.id, short_side=max(config.loader.short_sides))
    )
    if bank is None:
        bank = fill_bank(project, [one.id for one in labelled], config)
    maker = SequenceMaker(config.sequence, config.augment, config.loader)
    return maker.make(source, bank, np.random.default_rng(seed))
