"""The views of a pseudo-sequence, as the network sees them (paper, Sec. 3.2 and Fig. 2)."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True, slots=True)
class View:
    """One view and its known (labelled or pasted) objects.

    ``image`` float (3, H, W) RGB 0..1; ``masks`` bool (N, H, W), the visible part of each object; ``labels`` int64
    (N,), class indices; ``ids`` int64 (N,), the identity shared by the views of one sequence; ``pasted`` bool (N,).
    """

    image: Tensor
    masks: Tensor
    labels: Tensor
    ids: Tensor
    pasted: Tensor


@dataclass(frozen=True, slots=True)
class PseudoSequence:
    """Before (x1), after (x2) and strong (x3) views of one frame.

    ``strong`` float (3, H, W) has the geometry of ``before`` if ``strong_motion`` is None; otherwise ``strong_motion``
    (2, 3) maps ``before`` to ``strong``. ``motion`` float (2, 3) maps a point (x, y, 1) of ``before`` to its place in
    ``after`` (a pixel's centre is its column and row plus 0.5) and warps pseudo-masks, see ``geometry.warp_masks``.
    ``covered`` bool (H, W) marks the pixels of ``after`` that objects pasted into it hide. ``labelled``: every object
    of the frame is known. ``recorded``: the after view is the next frame of a recording after the same ``motion``, and
    objects in it may have moved in an unknown way.
    """

    name: str
    before: View
    after: View
    strong: Tensor
    motion: Tensor
    covered: Tensor
    labelled: bool
    strong_motion: Tensor | None = None
    recorded: bool = False
