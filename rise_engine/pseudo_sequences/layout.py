"""Objects placed in a view, and the part of each object that stays visible (paper, Sec. 3.2).

This works on shapes only, on the CPU. A place for an object depends on what it would hide, and reading that from a GPU
would stall it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from rise_engine.pseudo_sequences.augment import ObjectAugmentation
from rise_engine.pseudo_sequences.bank import CutOut
from rise_engine.pseudo_sequences.geometry import Matrix, apply, translation
from rise_engine.pseudo_sequences.instance_map import InstanceMap, Layers, layer_type, moved_layers
from rise_engine.pseudo_sequences.placement import allowed

MARGIN = 1
"""Pixels around a cut-out within which its alpha falls to zero."""


@dataclass(frozen=True, slots=True, eq=False)
class Stamp:
    """The shape of an object at one place of a view, entirely inside it.

    ``mask`` bool (h, w), the pixels that belong to the object; ``left`` and ``top`` place its corner; ``matrix`` maps
    the cut-out, with its margin, to the stamp.
    """

    mask: NDArray[np.bool_]
    left: int
    top: int
    matrix: Matrix

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) in pixels."""
        return self.mask.shape[0], self.mask.shape[1]

    @property
    def place(self) -> tuple[slice, slice]:
        """The rows and columns of the view that it spans."""
        height, width = self.mask.shape
        return slice(self.top, self.top + height), slice(self.left, self.left + width)

    def moved_to(self, left: int, top: int) -> Stamp:
        """The same stamp with its corner elsewhere."""
        return replace(self, left=left, top=top)


class ObjectPatch:
    """A cut-out with its own augmentation, to be stamped at any pose: a map from the cut-out to the view.

    Coordinates begin at the corner of a margin of ``MARGIN`` pixels around the cut-out.
    """

    def __init__(self, cut_out: CutOut, augmentation: ObjectAugmentation) -> None:
        self.cut_out = cut_out
        self.augmentation = augmentation
        self._layer = np.pad(cut_out.mask, MARGIN).astype(np.uint8)[None]
        self._outline = _outline(cut_out.mask) + MARGIN

    def extent(self, pose: Matrix) -> tuple[float, float, float, float]:
        """The box (x0, y0, x1, y1) of the object at ``pose``."""
        points = apply(pose, self._outline)
        (x0, y0), (x1, y1) = points.min(axis=0), points.max(axis=0)
        return float(x0), float(y0), float(x1), float(y1)

    def at_origin(self, pose: Matrix) -> Matrix:
        """``pose`` shifted so that the object's box begins at (0, 0)."""
        x0, y0, _, _ = self.extent(pose)
        return translation(-x0, -y0) @ pose

    def stamp(self, pose: Matrix, size: tuple[int, int]) -> Stamp | None:
        """The part of the object inside a view of ``size`` (h, w), or None when all of it is outside."""
        x0, y0, x1, y1 = self.extent(pose)
        left, top = max(0, math.floor(x0)), max(0, math.floor(y0))
        right, bottom = min(size[1], math.ceil(x1)), min(size[0], math.ceil(y1))
        if left >= right or top >= bottom:
            return None
        matrix = translation(-left, -top) @ pose
        layers = moved_layers(self._layer, matrix, (bottom - top, right - left))
        return Stamp(layers[0] > 0, left, top, matrix)


@dataclass(frozen=True, slots=True, eq=False)
class Visible:
    """The K sufficiently visible objects of a finished view, and the integer map that holds them.

    ``numbers`` int64 (K,) are their values in ``layers``, ``layer_of`` int64 (K,) are their layers; ``labels`` and
    ``ids`` int64 (K,) and ``pasted`` bool (K,) are as in a ``View``. The frame itself has ``own`` objects, with the
    numbers up to ``own``.
    """

    layers: Layers
    numbers: NDArray[np.int64]
    layer_of: NDArray[np.int64]
    labels: NDArray[np.int64]
    ids: NDArray[np.int64]
    pasted: NDArray[np.bool_]
    own: int


class Layout:
    """A view under construction: the visible part of each known object.

    ``objects`` are the frame's own objects in the view, with ``labels`` int64 (N,) and the identities 0..N-1. ``room``
    is the largest number of objects that will be pasted.
    """

    def __init__(self, objects: InstanceMap, labels: NDArray[np.int64], *, room: int) -> None:
        self._own = len(objects)
        self._layers: Layers = objects.layers.astype(layer_type(self._own + room))
        self.size: tuple[int, int] = (self._layers.shape[1], self._layers.shape[2])
        # An object's number is its row here; row 0 is the background.
        self._areas = _counts(self._layers, self._own)
        self._full_areas = self._areas.copy()
        self._layer_of = [0, *objects.layer_of.tolist()]
        self._labels = [0, *labels.tolist()]
        self._ids = [0, *range(self._own)]

    def allows(self, stamp: Stamp, max_overlap: float, *, pasted_only: bool = False) -> bool:
        """Whether ``stamp`` leaves enough of every known object, or of every pasted one (Sec. 3.2 and App. F)."""
        first = self._own + 1 if pasted_only else 1
        lost = self._below(stamp)
        return allowed(lost[first:], self._areas[first:], max_overlap=max_overlap)

    def paste(self, stamp: Stamp, *, label: int, identity: int) -> None:
        """Put ``stamp`` on top; it hides what is below."""
        self._areas -= self._below(stamp)
        region = self._layers[:, *stamp.place]
        region[:, stamp.mask] = 0
        region[0, stamp.mask] = len(self._areas)
        area = np.count_nonzero(stamp.mask)
        self._areas = np.append(self._areas, area)
        self._full_areas = np.append(self._full_areas, area)
        self._layer_of.append(0)
        self._labels.append(label)
        self._ids.append(identity)

    def visible(self, *, min_visible: float, min_area: int) -> Visible:
        """The objects with ``min_area`` visible pixels or more, and the share ``min_visible`` of their full area."""
        enough = (self._areas >= max(min_area, 1)) & (self._areas >= min_visible * self._full_areas)
        enough[0] = False
        numbers = np.flatnonzero(enough)
        return Visible(
            layers=self._layers,
            numbers=numbers,
            layer_of=np.asarray(self._layer_of)[numbers],
            labels=np.asarray(self._labels)[numbers],
            ids=np.asarray(self._ids)[numbers],
            pasted=numbers > self._own,
            own=self._own,
        )

    def _below(self, stamp: Stamp) -> NDArray[np.int64]:
        """The number of visible pixels of each number below the stamp."""
        lost = _counts(self._layers[:, *stamp.place][:, stamp.mask], len(self._areas) - 1)
        lost[0] = 0
        return lost


def _counts(numbers: Layers, largest: int) -> NDArray[np.int64]:
    return np.bincount(numbers.ravel(), minlength=largest + 1)


def _outline(mask: NDArray[np.bool_]) -> NDArray[np.float64]:
    """The corners of each row's first and last pixel, (P, 2): their box at any pose is that of the whole mask."""
    rows = np.flatnonzero(mask.any(axis=1))
    first = mask[rows].argmax(axis=1)
    last = mask.shape[1] - mask[rows, ::-1].argmax(axis=1)
    x = np.concatenate([first, last, first, last])
    y = np.concatenate([rows, rows, rows + 1, rows + 1])
    return np.stack([x, y], axis=1).astype(np.float64)
