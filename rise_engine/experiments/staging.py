"""A project's instance bank and pseudo-sequences, made to be looked at."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from rise_engine.config import RiseConfig
from rise_engine.errors import RiseError
from rise_engine.interaction.bank import InstanceBank
from rise_engine.interaction.preview import render_sequence
from rise_engine.interaction.sequence import SequenceMaker
from rise_engine.project.project import Project
from rise_engine.project.records import FrameRecord, FrameState, Split

LABELLED = (FrameState.LABELLED, FrameState.REVIEWED)


def trained_frames(project: Project) -> list[FrameRecord]:
    """The labelled and reviewed frames that training may use; RiseError when there are none."""
    frames = [frame for frame in project.frames(split=Split.TRAIN) if frame.state in LABELLED]
    if not frames:
        raise RiseError(
            f"no frame of {project.path} is labelled: draw the objects of a few frames and mark them done, or import a "
            "COCO file with `rise import`"
        )
    return frames


def bank_of(project: Project, config: RiseConfig, *, whole: bool = False) -> InstanceBank:
    """The cut-outs of the labelled frames, at training size, or at full size and all of them when ``whole``."""
    frames = trained_frames(project)
    capacity = sum(len(project.instances(frame.id)) for frame in frames) if whole else config.sequence.bank_capacity
    made = InstanceBank(max(1, capacity))
    excluded = project.bank_excluded()
    for frame in frames:
        short_side = None if whole else max(config.loader.short_sides)
        labelled = project.labelled_frame(frame.id, short_side=short_side, class_agnostic=config.class_agnostic)
        # A frame that is read has no crowds, so its positions count the other instances.
        objects = [instance.id for instance in project.instances(frame.id) if not instance.crowd]
        left_out = {position for position, number in enumerate(objects) if number in excluded}
        made.add_frame(labelled, min_area=config.sequence.min_area, excluded=left_out)
    return made


def sequence_picture(project: Project, frame: FrameRecord, config: RiseConfig, seed: int) -> NDArray[np.uint8]:
    """Before | after | strong of one frame, labelled or not, uint8 (H, W, 3)."""
    short_side = max(config.loader.short_sides)
    still = (
        project.labelled_frame(frame.id, short_side=short_side, class_agnostic=config.class_agnostic)
        if frame.state in LABELLED
        else project.unlabelled_frame(frame.id, short_side=short_side)
    )
    maker = SequenceMaker(config.sequence, config.augment, config.loader)
    return render_sequence(maker.make(still, bank_of(project, config), np.random.default_rng(seed)))
