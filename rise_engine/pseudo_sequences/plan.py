"""The plan of a pseudo-sequence: all random decisions and shapes, before any pixel is computed.

A plan is made on the CPU, possibly in another thread. ``SequenceRenderer`` computes the images from it on any device.
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
    """One view: ``matrix`` maps the frame to it, then ``pastes`` are applied in order, then ``brightness``.

    ``layers`` (L, H, W) is the integer map of ``visible``, as a tensor on the CPU.
    """

    matrix: Matrix
    pastes: tuple[Paste, ...]
    brightness: float
    visible: Visible
    layers: Tensor


@dataclass(frozen=True, slots=True, eq=False)
class SequencePlan:
    """``image`` uint8 (H, W, 3), a tensor on the CPU; ``reduced`` is the size (h, w) that it is resized to first,
    and that the views' matrices start from; ``size`` (h, w) is that of the views.

    ``reweaken`` is the second weak augmentation of the strong view, before ``strong``; ``motion`` maps before to after.
    """

    name: str
    image: Tensor
    reduced: tuple[int, int]
    size: tuple[int, int]
    before: ViewPlan
    after: ViewPlan
    reweaken: WeakAugmentation | None
    strong: tuple[Recolouring, ...]
    motion: Matrix
    labelled: bool

    def pinned(self) -> SequencePlan:
        """The same plan in pinned memory, which a GPU copies from asynchronously; needs a GPU."""
        views = [replace(view, layers=view.layers.pin_memory()) for view in (self.before, self.after)]
        return replace(self, image=self.image.pin_memory(), before=views[0], after=views[1])


def motion_of(matrix: Matrix) -> Tensor:
    """A map as float (2, 3) on the CPU."""
    return torch.from_numpy(matrix[:2]).float()
