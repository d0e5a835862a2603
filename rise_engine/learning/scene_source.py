"""The pseudo-sequences of every training step: which frames, from which bank, all following from the seed."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Literal

import numpy as np

from rise_engine.config import RiseConfig
from rise_engine.interaction.bank import InstanceBank
from rise_engine.interaction.recording import with_next_frame
from rise_engine.interaction.scene import PseudoSequence
from rise_engine.interaction.sequence import SequenceMaker
from rise_engine.interaction.staging import fill_bank, read_for_training
from rise_engine.learning.frame_stream import FrameStream
from rise_engine.project.frame import LabelledFrame, UnlabelledFrame
from rise_engine.project.project import Project
from rise_engine.project.recordings import next_frames
from rise_engine.project.splits import TrainingSplit

Kind = Literal["labelled", "unlabelled"]

KEPT_IN_MEMORY = 64
"""Decoded frames kept, at training size; few enough to matter on no machine."""


class SceneSource:
    """Scenes are seeded by (seed, step, frame): neither the pace nor a restart changes them."""

    def __init__(self, project: Project, split: TrainingSplit, config: RiseConfig) -> None:
        self._project = project
        self._split = split
        self._config = config
        self.bank = InstanceBank(config.sequence.bank_capacity)
        self._maker = SequenceMaker(config.sequence, config.augment, config.loader)
        seed = config.schedule.seed
        self._streams = {
            "labelled": FrameStream(split.labelled, seed, salt=1),
            "unlabelled": FrameStream(split.unlabelled, seed, salt=2),
        }
        self._next = self._next_frames()
        self._labelled_frame = lru_cache(maxsize=KEPT_IN_MEMORY)(self._read_labelled)
        self._unlabelled_frame = lru_cache(maxsize=KEPT_IN_MEMORY)(self._read_unlabelled)

    def count(self, kind: Kind) -> int:
        """How many frames of one kind a step has; 0 when there are no such frames."""
        if not self._streams[kind].frames:
            return 0
        loader = self._config.loader
        return loader.labelled_per_step if kind == "labelled" else loader.unlabelled_per_step

    def sequences(self, step: int, kind: Kind, mine: Sequence[bool] | None = None) -> list[PseudoSequence | None]:
        """The step's pseudo-sequences of one kind; None in the places that are not ``mine`` but another process'."""
        labelled = kind == "labelled"
        made: list[PseudoSequence | None] = []
        for place, frame_id in enumerate(self._streams[kind].take(step, self.count(kind))):
            if mine is not None and not mine[place]:
                made.append(None)
                continue
            draws = [self._config.schedule.seed, step, frame_id, place, int(labelled)]
            frame = self._labelled_frame(frame_id) if labelled else self._unlabelled_frame(frame_id)
            sequence = self._maker.make(frame, self.bank, np.random.default_rng(draws))
            if not labelled and frame_id in self._next:
                following = self._unlabelled_frame(self._next[frame_id])
                bare = self._maker.make(following, None, np.random.default_rng(draws))
                sequence = with_next_frame(sequence, bare)
            made.append(sequence)
        return made

    def fill_bank(self) -> None:
        """Puts the labelled frames' objects into the bank, as many as it holds, in the order they are learnt from."""
        order = [self._streams["labelled"].at(position) for position in range(len(self._split.labelled))]
        self.bank = fill_bank(self._project, order, self._config, read=self._labelled_frame)

    def bank_references(self) -> list[tuple[str, int]]:
        """The instances in the bank, oldest first, as frame name and position there."""
        return [(item.frame, item.instance) for item in self.bank if item.instance is not None]

    def restore_bank(self, references: list[tuple[str, int]]) -> None:
        """Puts the named instances back, oldest first, for an exact resume."""
        ids = {record.name: record.id for record in self._project.frames()}
        for name, index in references:
            self._add(self._labelled_frame(ids[name]), index)

    def admit(self, name: str, indices: list[int]) -> None:
        """Adds the instances of a labelled frame that the network has segmented (paper, Sec. 3.1)."""
        frame = self._labelled_frame(self._project.frame(name).id)
        for index in indices:
            self._add(frame, index)

    def _next_frames(self) -> dict[int, int]:
        """The frame that follows each one in its recording; never a hold-out or skipped one."""
        config = self._config.sequence
        if config.next_frame == "off" or not config.enabled:
            return {}
        trains = {*self._split.labelled, *self._split.unlabelled}
        return next_frames([frame for frame in self._project.frames() if frame.id in trains], config.next_frame)

    def _add(self, frame: LabelledFrame, index: int) -> None:
        self.bank.add_instance(frame, index, min_area=self._config.sequence.min_area)

    def _read_labelled(self, frame_id: int) -> LabelledFrame:
        return read_for_training(self._project, frame_id, self._config)

    def _read_unlabelled(self, frame_id: int) -> UnlabelledFrame:
        return self._project.unlabelled_frame(frame_id, short_side=max(self._config.loader.short_sides))
