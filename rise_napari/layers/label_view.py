"""A frame's instances as one label per pixel, and strokes on that picture as changes of single instances.

A label picture has room for one instance per pixel, the store keeps overlaps. So a stroke is read as a difference to
the picture that was shown: pixels that came to a label join its instance, pixels that left a label leave its
instance, and whatever an instance has hidden under others stays as it was. What was painted is what is seen
afterwards: everything that would lie on it there gives way.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rise_engine.project.segmentation import Segmentation, mask_region, to_patch

Mask = NDArray[np.bool_]
Region = tuple[slice, slice]
"""Rows and columns of a frame."""
Labelling = NDArray[np.uint16]
"""Labels (H, W). napari shows 16 bits as they are, and would map 32 pixel by pixel for each look."""


@dataclass(frozen=True, slots=True)
class Piece:
    """An instance's mask inside its box: ``mask`` bool (h, w) with its top left pixel at ``row``, ``column``."""

    row: int
    column: int
    mask: Mask

    @classmethod
    def of(cls, mask: Mask, *, at: tuple[int, int] = (0, 0)) -> Piece:
        """The piece of a mask whose top left pixel lies ``at`` a row and column of the frame."""
        region = mask_region(mask)
        if region is None:
            return cls(0, 0, np.zeros((0, 0), np.bool_))
        return cls(at[0] + region[0].start, at[1] + region[1].start, mask[region].copy())

    @classmethod
    def decoded(cls, segmentation: Segmentation, size: tuple[int, int]) -> Piece:
        """The piece of a stored mask on a frame of that size; the frame around it is never decoded."""
        return cls(*to_patch(segmentation, *size))

    @property
    def region(self) -> Region:
        """Where the piece lies in the frame."""
        height, width = self.mask.shape
        return slice(self.row, self.row + height), slice(self.column, self.column + width)

    def whole(self, size: tuple[int, int]) -> Mask:
        """The mask (H, W) on a frame of that size."""
        mask = np.zeros(size, np.bool_)
        mask[self.region] = self.mask
        return mask


@dataclass(frozen=True, slots=True)
class Change:
    """What a stroke did to one label: its new ``piece``, None when nothing is left of it."""

    label: int
    instance: int | None
    """The annotation's id; None for a label that has none yet."""
    piece: Piece | None


class LabelView:
    """The picture of one frame, ``shown`` uint16 (H, W), and which label stands for which annotation.

    Later instances cover earlier ones. Labels start at 1; an annotation keeps its label from one view of the frame to
    the next when ``labels`` (id -> label) of the earlier view is given.
    """

    def __init__(
        self,
        size: tuple[int, int],
        masks: Iterable[tuple[int, Mask | Piece]],
        *,
        labels: Mapping[int, int] | None = None,
    ) -> None:
        self.size = size
        known = dict(labels or {})
        taken = set(known.values())
        self._pieces: dict[int, Piece] = {}
        self._labels: dict[int, int] = {}
        for instance, mask in masks:
            label = known.get(instance) or next(n for n in range(1, len(taken) + 2) if n not in taken)
            taken.add(label)
            self._labels[instance] = label
            self._pieces[label] = mask if isinstance(mask, Piece) else Piece.of(mask)
        self._reserved = max(taken, default=0)
        self.shown = self._compose((slice(0, size[0]), slice(0, size[1])))

    @property
    def labels(self) -> dict[int, int]:
        """Annotation id -> label."""
        return dict(self._labels)

    def instance_at(self, label: int) -> int | None:
        """The annotation behind a label."""
        return next((instance for instance, known in self._labels.items() if known == label), None)

    def free_label(self, data: Labelling) -> int:
        """A label that no instance of this frame has or had, and that is not in ``data``."""
        return max(self._reserved, int(data.max(initial=0))) + 1

    def changes(self, data: Labelling) -> list[Change]:
        """What happened to each instance on the way from the shown picture to ``data`` (H, W)."""
        region = self._moved_region(data)
        if region is None:
            return []
        before, after = self.shown[region], data[region]
        moved = before != after
        above = self._above(region, after, moved)
        changes = []
        for label in sorted({*np.unique(before[moved]).tolist(), *np.unique(after[moved]).tolist(), *above}):
            if label == 0:
                continue
            known = self._pieces.get(label)
            # Both the object and the stroke lie in there, and frames are large.
            around = region if known is None or not known.mask.size else _around(region, known.region)
            mask = np.zeros(_shape(around), np.bool_)
            if known is not None:
                mask[_inside(around, known.region)] = known.mask
            part = mask[_inside(around, region)]
            part |= moved & (after == label)
            part &= ~(moved & (before == label))
            if label in above:
                part &= ~above[label]
            piece = Piece.of(mask, at=(around[0].start, around[1].start))
            if known is not None or piece.mask.size:
                changes.append(Change(label, self.instance_at(label), piece if piece.mask.size else None))
        return changes

    def adopt(self, change: Change, instance: int | None) -> None:
        """Takes over a change that reached the store; ``instance`` is the annotation's id, None once deleted."""
        self._reserved = max(self._reserved, change.label)
        if change.piece is None or instance is None:
            self._pieces.pop(change.label, None)
            self._labels = {known: label for known, label in self._labels.items() if label != change.label}
        else:
            self._pieces[change.label] = change.piece
            self._labels[instance] = change.label

    def settle(self, data: Labelling) -> bool:
        """Composes the picture again; False when ``data`` must be shown anew, since something hidden came to light."""
        region = self._moved_region(data)
        if region is None:
            return True
        self.shown[region] = self._compose(region)
        return bool(np.array_equal(self.shown[region], data[region]))

    def _moved_region(self, data: Labelling) -> Region | None:
        return mask_region(data != self.shown)

    def _above(self, region: Region, after: Labelling, moved: Mask) -> dict[int, Mask]:
        """For each instance, its pixels (inside the region) that would lie on what was just painted.

        Where three overlap, painting the lowest takes the highest away and would otherwise bring the middle one to
        light instead of the one painted.
        """
        order = {label: place for place, label in enumerate(self._pieces, start=1)}
        painted = moved & (after != 0)
        height = np.full(after.shape, len(order) + 1)
        for label in np.unique(after[painted]).tolist():
            height[after == label] = order.get(label, len(order) + 1)
        found = {}
        for label, piece in self._pieces.items():
            rows, columns = region
            top, bottom = max(rows.start, piece.row), min(rows.stop, piece.row + piece.mask.shape[0])
            left, right = max(columns.start, piece.column), min(columns.stop, piece.column + piece.mask.shape[1])
            if top >= bottom or left >= right:
                continue
            inside = slice(top - rows.start, bottom - rows.start), slice(left - columns.start, right - columns.start)
            own = piece.mask[top - piece.row : bottom - piece.row, left - piece.column : right - piece.column]
            hiding = own & painted[inside] & (height[inside] < order[label])
            if hiding.any():
                found[label] = np.zeros(after.shape, np.bool_)
                found[label][inside] = hiding
        return found

    def _compose(self, region: Region) -> Labelling:
        """The picture inside a region, from all pieces, the later on top."""
        rows, columns = region
        picture = np.zeros((rows.stop - rows.start, columns.stop - columns.start), np.uint16)
        for label, piece in self._pieces.items():
            height, width = piece.mask.shape
            top, bottom = max(rows.start, piece.row), min(rows.stop, piece.row + height)
            left, right = max(columns.start, piece.column), min(columns.stop, piece.column + width)
            if top < bottom and left < right:
                mask = piece.mask[top - piece.row : bottom - piece.row, left - piece.column : right - piece.column]
                target = picture[top - rows.start : bottom - rows.start, left - columns.start : right - columns.start]
                np.copyto(target, label, where=mask)
        return picture


def _around(first: Region, second: Region) -> Region:
    """The smallest region that holds both."""
    rows, columns = (slice(min(a.start, b.start), max(a.stop, b.stop)) for a, b in zip(first, second, strict=True))
    return rows, columns


def _inside(outer: Region, inner: Region) -> Region:
    """Where a region lies in another that holds it, counted from that one's top left pixel."""
    rows, columns = (slice(b.start - a.start, b.stop - a.start) for a, b in zip(outer, inner, strict=True))
    return rows, columns


def _shape(region: Region) -> tuple[int, int]:
    return region[0].stop - region[0].start, region[1].stop - region[1].start
