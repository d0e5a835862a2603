"""The pseudo-sequences of every training step; frames, bank and random numbers follow from the seed."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import Literal, NamedTuple

import numpy as np
import torch

from rise_engine.config import RiseConfig
from rise_engine.errors import RiseError
from rise_engine.project.frame import LabelledFrame, UnlabelledFrame
from rise_engine.project.project import Project
from rise_engine.project.splits import TrainingSplit
from rise_engine.pseudo_sequences.bank import CutOut, InstanceBank
from rise_engine.pseudo_sequences.from_project import read_for_training
from rise_engine.pseudo_sequences.plan import SequencePlan
from rise_engine.pseudo_sequences.recording import with_next_frame
from rise_engine.pseudo_sequences.sequence import SequenceMaker
from rise_engine.pseudo_sequences.source_frame import SourceFrame
from rise_engine.pseudo_sequences.views import PseudoSequence
from rise_engine.training.data.classes import class_indices
from rise_engine.training.data.frame_stream import FrameStream
from rise_engine.training.data.prefetch import PlanPrefetcher
from rise_engine.training.data.recordings import next_frames

Kind = Literal["labelled", "unlabelled"]

KEPT_IN_MEMORY = 64
"""Decoded frames kept at training size; few enough for any machine."""

STEPS_AHEAD = 2
"""Steps planned ahead: the next one, and one more in case that its frames are slow to read."""


class _Wanted(NamedTuple):
    """One frame of a step. With the seed and the bank it determines a pseudo-sequence."""

    step: int
    kind: Kind
    place: int
    frame: int


class SequenceSource:
    """Pseudo-sequences are seeded by (seed, step, frame): neither speed nor a restart changes them.

    ``loader.workers`` threads read frames and plan sequences while the network is trained. Images are rendered on
    ``device`` if that is CUDA, else on the CPU. With ``bank_admit`` at ``segmented`` nothing is planned ahead, because
    the bank follows from what the network segments. With ``all``, a bank that is too small for all labelled objects
    moves along the labelled frames: at each step it has the cut-outs of the step's frames and of those after them.
    """

    def __init__(
        self,
        project: Project,
        split: TrainingSplit,
        config: RiseConfig,
        *,
        class_names: Sequence[str] = ("object",),
        device: torch.device | None = None,
    ) -> None:
        self._project = project
        self._split = split
        self._config = config
        self._class_names = class_names
        self.bank = InstanceBank(config.sequence.bank_capacity)
        # Other devices than CUDA lack some of the operators for rendering.
        self._pinned = device is not None and device.type == "cuda"
        self._maker = SequenceMaker(
            config.sequence, config.augment, config.loader, device=device if self._pinned else None
        )
        workers = 0 if config.sequence.bank_admit == "segmented" else config.loader.workers
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="sequences") if workers else None
        self._plans: dict[Kind, PlanPrefetcher[_Wanted, SequencePlan]] = {
            "labelled": PlanPrefetcher(self._plan, self._pool),
            "unlabelled": PlanPrefetcher(self._plan, self._pool),
        }
        seed = config.schedule.seed
        self._streams = {
            "labelled": FrameStream(split.labelled, seed, salt=1),
            "unlabelled": FrameStream(split.unlabelled, seed, salt=2),
        }
        self._ids = {record.name: record.id for record in project.frames.all()}
        self._excluded = project.annotations.bank_excluded()
        self._next = self._next_frames()
        self._unreadable: set[int] = set()
        self._notices: list[str] = []
        self._labelled_source = lru_cache(maxsize=KEPT_IN_MEMORY)(self._read_labelled)
        self._unlabelled_frame = lru_cache(maxsize=KEPT_IN_MEMORY)(self._read_unlabelled)
        # As many frames as may be in the bank, those without an object aside.
        self._cut_outs = lru_cache(maxsize=KEPT_IN_MEMORY + config.sequence.bank_capacity)(self._cut)
        self._moved_bank = lru_cache(maxsize=1 + STEPS_AHEAD)(self._move_bank)

    def count(self, kind: Kind) -> int:
        """How many frames of one kind a step has; 0 when there are no such frames."""
        if not self._streams[kind].frames:
            return 0
        loader = self._config.loader
        return loader.labelled_per_step if kind == "labelled" else loader.unlabelled_per_step

    def sequences(self, step: int, kind: Kind, owned: Sequence[bool] | None = None) -> list[PseudoSequence | None]:
        """The step's pseudo-sequences of one kind; None for frames that this process does not own.

        ``owned`` has one entry per frame of the step; by default all are owned.
        """
        everyone = range(self.count(kind))
        places = [place for place in everyone if owned is None or owned[place]]
        ahead = 0 if self._pool is None else STEPS_AHEAD
        wanted, *soon = (self._wanted(later, kind, places) for later in range(step, step + ahead + 1))
        plans = self._plans[kind].take(wanted, soon=[one for later in soon for one in later])
        made: list[PseudoSequence | None] = [None] * len(everyone)
        for (_, _, place, frame_id), plan in zip(wanted, plans, strict=True):
            sequence = self._maker.render(plan)
            following = self._following(frame_id) if kind == "unlabelled" else None
            if following is not None:
                rng = self._rng(_Wanted(step, kind, place, frame_id))
                sequence = with_next_frame(sequence, self._maker.make(following, None, rng))
            made[place] = sequence
        return made

    def close(self) -> None:
        """Ends the threads after their current work and releases the frames; sequences are then made on demand."""
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)
        self._pool = None
        for kind in self._plans:
            self._plans[kind] = PlanPrefetcher(self._plan, None)
        self.release_frames()

    def release_frames(self) -> None:
        """Drops the decoded frames and cut-outs in memory; they are read again when they are needed."""
        for cached in (self._labelled_source, self._unlabelled_frame, self._cut_outs, self._moved_bank):
            cached.cache_clear()

    def frames_of(self, step: int, kind: Kind) -> list[int]:
        """The ids of a step's frames of one kind, in order."""
        return self._streams[kind].take(step, self.count(kind))

    def _wanted(self, step: int, kind: Kind, places: Sequence[int]) -> list[_Wanted]:
        frames = self.frames_of(step, kind)
        return [_Wanted(step, kind, place, frames[place]) for place in places]

    def _plan(self, wanted: _Wanted) -> SequencePlan:
        source = (
            self._labelled_source(wanted.frame)
            if wanted.kind == "labelled"
            else SourceFrame.of(self._this_or_next(wanted.frame))
        )
        plan = self._maker.plan(source, self._bank_of(wanted.step), self._rng(wanted))
        return plan.pinned() if self._pinned else plan

    def _rng(self, wanted: _Wanted) -> np.random.Generator:
        seed = self._config.schedule.seed
        return np.random.default_rng([seed, wanted.step, wanted.frame, wanted.place, int(wanted.kind == "labelled")])

    def fill_bank(self) -> None:
        """Fills the bank with the objects of the labelled frames, in the order of training, up to its capacity."""
        self._forget_plans()
        self.bank = self._moved_bank(0)

    def bank_references(self) -> list[tuple[str, int]]:
        """The instances in the bank, oldest first, as frame name and annotation id."""
        return [(item.frame, item.annotation) for item in self.bank if item.annotation is not None]

    def restore_bank(self, references: list[tuple[str, int]]) -> None:
        """Restores the named instances, oldest first, for an exact resume; deleted ones are left out."""
        self._forget_plans()
        for name, annotation in references:
            frame = self._labelled_frame(self._ids[name])
            if annotation in frame.instances:
                self._add(frame, frame.instances.index(annotation))

    def admit(self, name: str, indices: list[int]) -> None:
        """Adds the instances of a labelled frame that the network has segmented (paper, Sec. 3.1).

        Instances that the user excluded from the bank are not added.
        """
        frame = self._labelled_frame(self._ids[name])
        for index in indices:
            if frame.instances[index] not in self._excluded:
                self._add(frame, index)

    def take_notices(self) -> list[str]:
        """One sentence for each frame that could not be read since the last call."""
        notices, self._notices = self._notices, []
        return notices

    def _bank_of(self, step: int) -> InstanceBank:
        """The bank of a step."""
        fixed = self._config.sequence.bank_admit == "segmented" or len(self.bank) < self.bank.capacity
        return self.bank if fixed else self._moved_bank(step)

    def _move_bank(self, step: int) -> InstanceBank:
        """A bank with the cut-outs of the labelled frames from the step's first one on, each frame once."""
        bank = InstanceBank(self._config.sequence.bank_capacity)
        stream, first = self._streams["labelled"], step * self.count("labelled")
        seen: set[int] = set()
        # Two epochs have every frame, wherever in an epoch the step is.
        for position in range(first, first + 2 * len(stream.frames)):
            frame = stream.at(position)
            if frame not in seen:
                seen.add(frame)
                for cut_out in self._cut_outs(frame):
                    bank.add(cut_out)
            if len(bank) >= bank.capacity or len(seen) == len(stream.frames):
                break
        return bank

    def _cut(self, frame_id: int) -> tuple[CutOut, ...]:
        frame = self._labelled_frame(frame_id)
        cut_outs = InstanceBank(max(1, len(frame.masks)))
        cut_outs.add_frame(frame, min_area=self._config.sequence.min_area, excluded=self._excluded)
        return tuple(cut_outs)

    def _this_or_next(self, frame_id: int) -> UnlabelledFrame:
        """The unlabelled frame, or the next readable one: a single damaged image must not end a training."""
        if (frame := self._if_readable(frame_id)) is not None:
            return frame
        frames = self._split.unlabelled
        first = frames.index(frame_id) + 1
        for candidate in [*frames[first:], *frames[: first - 1]]:
            if (frame := self._if_readable(candidate)) is not None:
                return frame
        raise RiseError(
            f"none of the {len(frames)} unlabelled frames of {self._project.path} can be read; "
            "`rise check` shows the reasons"
        )

    def _if_readable(self, frame_id: int) -> UnlabelledFrame | None:
        if frame_id in self._unreadable:
            return None
        try:
            return self._unlabelled_frame(frame_id)
        except RiseError as error:
            self._unreadable.add(frame_id)
            self._notices.append(f"{error} The training continues without it.")
            return None

    def _following(self, frame_id: int) -> UnlabelledFrame | None:
        """The next frame of its recording; None without one, or if one of the two cannot be read."""
        if frame_id not in self._next or frame_id in self._unreadable:
            return None
        return self._if_readable(self._next[frame_id])

    def _next_frames(self) -> dict[int, int]:
        """The next frame of each frame in its recording; never a hold-out or skipped frame."""
        config = self._config.sequence
        if config.next_frame == "off" or not config.enabled:
            return {}
        trains = {*self._split.labelled, *self._split.unlabelled}
        return next_frames([frame for frame in self._project.frames.all() if frame.id in trains], config.next_frame)

    def _add(self, frame: LabelledFrame, index: int) -> None:
        self.bank.add_instance(frame, index, min_area=self._config.sequence.min_area)

    def _forget_plans(self) -> None:
        for plans in self._plans.values():
            plans.forget()

    def _labelled_frame(self, frame_id: int) -> LabelledFrame:
        return self._labelled_source(frame_id).as_labelled()

    def _read_labelled(self, frame_id: int) -> SourceFrame:
        classes = class_indices(self._project, self._class_names, class_agnostic=self._config.class_agnostic)
        return SourceFrame.of(read_for_training(self._project, frame_id, self._config, classes=classes))

    def _read_unlabelled(self, frame_id: int) -> UnlabelledFrame:
        return self._project.unlabelled_frame(frame_id, short_side=max(self._config.loader.short_sides))
