"""All that is decided about a pseudo-sequence before a picture is made: shapes and draws, no colours.

A plan is made on the host, maybe in another thread; ``SequenceRenderer`` makes the pictures from it on any device.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from rise_engine.pseudo_sequences.augment import ObjectAugmentation, Recolouring, WeakAugmentation
from rise_engine.pseudo_sequences.bank import CutOut
from rise_engine.pseudo_sequences.geometry import Matrix
from rise_engine.pseudo_sequences.layout import Stamp, Visible


@dataclass(frozen=True, slots=True, eq=False)
class Paste:
    """A cut-out put on top of a view."""

    cut_out: CutOut
    augmentation: ObjectAugmentation
    stamp: Stamp


@dataclass(frozen=True, slots=True, eq=False)
class ViewPlan:
    """One view: ``matrix`` takes the frame there, then come ``pastes`` in their order, then ``brightness``.

    ``layers`` (L, H, W) is the integer map of ``visible``, as a tensor of the host.
    """

    matrix: Matrix
    pastes: tuple[Paste, ...]
    brightness: float
    visible: Visible
    layers: Tensor


@dataclass(frozen=True, slots=True, eq=False)
class SequencePlan:
    """``image`` uint8 (H, W, 3), a tensor of the host; ``reduced`` is the size (h, w) that it is first brought to, and
    from which the views' matrices go; ``size`` (h, w) is that of the views.

    ``again`` moves the strong view once more, which then goes through ``strong``; ``motion`` takes before to after.
    """

    name: str
    image: Tensor
    reduced: tuple[int, int]
    size: tuple[int, int]
    before: ViewPlan
    after: ViewPlan
    again: WeakAugmentation | None
    strong: tuple[Recolouring, ...]
    motion: Matrix
    labelled: bool

    def pinned(self) -> SequencePlan:
        """The same in memory that a GPU copies from without waiting; needs a GPU."""
        views = [replace(view, layers=view.layers.pin_memory()) for view in (self.before, self.after)]
        return replace(self, image=self.image.pin_memory(), before=views[0], after=views[1])


def motion_of(matrix: Matrix) -> Tensor:
    """A map as float (2, 3) on the host."""
    return torch.from_numpy(matrix[:2]).float()
