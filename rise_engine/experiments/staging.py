"""A project's instance bank and pseudo-sequences, made to be looked at."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from rise_engine.config import RiseConfig
from rise_engine.errors import RiseError
from rise_engine.interaction.bank import InstanceBank
from rise_engine.interaction.preview import render_sequence
from rise_engine.interaction.project_bank import bank_frames, fill_bank
from rise_engine.interaction.sequence import SequenceMaker
from rise_engine.project.project import Project
from rise_engine.project.records import FrameRecord, FrameState


def trained_frames(project: Project) -> list[FrameRecord]:
    """The labelled and reviewed frames that training may use; RiseError when there are none."""
    frames = bank_frames(project)
    if not frames:
        raise RiseError(
            f"no frame of {project.path} is labelled: draw the objects of a few frames and mark them done, or import a "
            "COCO file with `rise import`"
        )
    return frames


def bank_of(project: Project, config: RiseConfig, *, whole: bool = False) -> InstanceBank:
    """The cut-outs of the labelled frames, at training size, or at full size and all of them when ``whole``."""
    frames = [frame.id for frame in trained_frames(project)]
    if not whole:
        return fill_bank(project, frames, config)
    config = config.model_copy(deep=True)
    config.sequence.bank_capacity = max(1, sum(len(project.instances(frame)) for frame in frames))
    return fill_bank(project, frames, config, read=project.labelled_frame)


def sequence_picture(project: Project, frame: FrameRecord, config: RiseConfig, seed: int) -> NDArray[np.uint8]:
    """Before | after | strong of one frame, labelled or not, uint8 (H, W, 3)."""
    short_side = max(config.loader.short_sides)
    still = (
        project.labelled_frame(frame.id, short_side=short_side, class_agnostic=config.class_agnostic)
        if frame.state in (FrameState.LABELLED, FrameState.REVIEWED)
        else project.unlabelled_frame(frame.id, short_side=short_side)
    )
    maker = SequenceMaker(config.sequence, config.augment, config.loader)
    return render_sequence(maker.make(still, bank_of(project, config), np.random.default_rng(seed)))
