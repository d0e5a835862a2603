"""The pseudo-sequences of every training step: which frames, from which bank, all following from the seed."""

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
from rise_engine.project.recordings import next_frames
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

Kind = Literal["labelled", "unlabelled"]

KEPT_IN_MEMORY = 64
"""Decoded frames kept, at training size; few enough to matter on no machine."""

STEPS_AHEAD = 2
"""Steps planned before they are asked for: one to learn from next, one in case that its frames are slow to read."""


class _Wanted(NamedTuple):
    """One frame of a step: all that its scene follows from, beside the seed and the bank."""

    step: int
    kind: Kind
    place: int
    frame: int


class SequenceSource:
    """Scenes are seeded by (seed, step, frame): neither the pace nor a restart changes them.

    ``loader.workers`` threads read frames and plan scenes while the network learns; the pictures are made on
    ``device`` where that is a GPU of CUDA, else on the CPU. A bank that changes with what the network segments cannot
    be planned from ahead. One that all labelled objects are admitted to, and does not hold them all, moves on with the
    labelled frames: at each step it has the cut-outs of the step's frames and of those after them.
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
        # Elsewhere than on a GPU of CUDA not every operator that scenes need is there.
        self._pinned = device is not None and device.type == "cuda"
        self._maker = SequenceMaker(
            config.sequence, config.augment, config.loader, device=device if self._pinned else None
        )
        workers = 0 if config.sequence.bank_admit == "segmented" else config.loader.workers
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="scenes") if workers else None
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
        self._untold: list[str] = []
        self._labelled_still = lru_cache(maxsize=KEPT_IN_MEMORY)(self._read_labelled)
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

    def sequences(self, step: int, kind: Kind, mine: Sequence[bool] | None = None) -> list[PseudoSequence | None]:
        """The step's pseudo-sequences of one kind; None in the places that are not ``mine`` but another process'."""
        everyone = range(self.count(kind))
        places = [place for place in everyone if mine is None or mine[place]]
        ahead = 0 if self._pool is None else STEPS_AHEAD
        wanted, *soon = (self._wanted(later, kind, places) for later in range(step, step + ahead + 1))
        plans = self._plans[kind].take(wanted, soon=[one for later in soon for one in later])
        made: list[PseudoSequence | None] = [None] * len(everyone)
        for (_, _, place, frame_id), plan in zip(wanted, plans, strict=True):
            sequence = self._maker.render(plan)
            following = self._following(frame_id) if kind == "unlabelled" else None
            if following is not None:
                draws = self._draws(_Wanted(step, kind, place, frame_id))
                sequence = with_next_frame(sequence, self._maker.make(following, None, draws))
            made[place] = sequence
        return made

    def close(self) -> None:
        """Ends the threads; what they are at is finished first. Scenes are then made when they are asked for."""
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)
        self._pool = None
        for kind in self._plans:
            self._plans[kind] = PlanPrefetcher(self._plan, None)

    def _wanted(self, step: int, kind: Kind, places: Sequence[int]) -> list[_Wanted]:
        frames = self._streams[kind].take(step, self.count(kind))
        return [_Wanted(step, kind, place, frames[place]) for place in places]

    def _plan(self, wanted: _Wanted) -> SequencePlan:
        still = (
            self._labelled_still(wanted.frame)
            if wanted.kind == "labelled"
            else SourceFrame.of(self._this_or_next(wanted.frame))
        )
        plan = self._maker.plan(still, self._bank_of(wanted.step), self._draws(wanted))
        return plan.pinned() if self._pinned else plan

    def _draws(self, wanted: _Wanted) -> np.random.Generator:
        seed = self._config.schedule.seed
        return np.random.default_rng([seed, wanted.step, wanted.frame, wanted.place, int(wanted.kind == "labelled")])

    def fill_bank(self) -> None:
        """Puts the labelled frames' objects into the bank, as many as it holds, in the order they are learnt from."""
        self._forget_plans()
        self.bank = self._moved_bank(0)

    def bank_references(self) -> list[tuple[str, int]]:
        """The instances in the bank, oldest first, as frame name and annotation id."""
        return [(item.frame, item.annotation) for item in self.bank if item.annotation is not None]

    def restore_bank(self, references: list[tuple[str, int]]) -> None:
        """Puts the named instances back, oldest first, for an exact resume; deleted ones are left out."""
        self._forget_plans()
        for name, annotation in references:
            frame = self._labelled_frame(self._ids[name])
            if annotation in frame.instances:
                self._add(frame, frame.instances.index(annotation))

    def admit(self, name: str, indices: list[int]) -> None:
        """Adds the instances of a labelled frame that the network has segmented (paper, Sec. 3.1).

        Those that a person keeps out of the bank stay out.
        """
        frame = self._labelled_frame(self._ids[name])
        for index in indices:
            if frame.instances[index] not in self._excluded:
                self._add(frame, index)

    def news(self) -> list[str]:
        """Which frames could not be read since this was last asked, a sentence each."""
        told, self._untold = self._untold, []
        return told

    def _bank_of(self, step: int) -> InstanceBank:
        """The bank that a step's scenes are made from."""
        fixed = self._config.sequence.bank_admit == "segmented" or len(self.bank) < self.bank.capacity
        return self.bank if fixed else self._moved_bank(step)

    def _move_bank(self, step: int) -> InstanceBank:
        """The cut-outs of the labelled frames from the step's first one on, as many as the bank holds, each once."""
        bank = InstanceBank(self._config.sequence.bank_capacity)
        stream, first = self._streams["labelled"], step * self.count("labelled")
        seen: set[int] = set()
        # Two rounds have every frame, wherever in a round the step is.
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
        own = InstanceBank(max(1, len(frame.masks)))
        own.add_frame(frame, min_area=self._config.sequence.min_area, excluded=self._excluded)
        return tuple(own)

    def _this_or_next(self, frame_id: int) -> UnlabelledFrame:
        """The unlabelled frame, or where it cannot be read the next one that can: one photo must not end a training."""
        if (frame := self._if_readable(frame_id)) is not None:
            return frame
        frames = self._split.unlabelled
        first = frames.index(frame_id) + 1
        for candidate in [*frames[first:], *frames[: first - 1]]:
            if (frame := self._if_readable(candidate)) is not None:
                return frame
        raise RiseError(
            f"none of the {len(frames)} unlabelled frames of {self._project.path} can be read; `rise check` tells why"
        )

    def _if_readable(self, frame_id: int) -> UnlabelledFrame | None:
        if frame_id in self._unreadable:
            return None
        try:
            return self._unlabelled_frame(frame_id)
        except RiseError as error:
            self._unreadable.add(frame_id)
            self._untold.append(f"{error} The training goes on without it.")
            return None

    def _following(self, frame_id: int) -> UnlabelledFrame | None:
        """The next frame of its recording; None where there is none, or either of them cannot be read."""
        if frame_id not in self._next or frame_id in self._unreadable:
            return None
        return self._if_readable(self._next[frame_id])

    def _next_frames(self) -> dict[int, int]:
        """The frame that follows each one in its recording; never a hold-out or skipped one."""
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
        return self._labelled_still(frame_id).as_labelled()

    def _read_labelled(self, frame_id: int) -> SourceFrame:
        classes = class_indices(self._project, self._class_names, class_agnostic=self._config.class_agnostic)
        return SourceFrame.of(read_for_training(self._project, frame_id, self._config, classes=classes))

    def _read_unlabelled(self, frame_id: int) -> UnlabelledFrame:
        return self._project.unlabelled_frame(frame_id, short_side=max(self._config.loader.short_sides))
