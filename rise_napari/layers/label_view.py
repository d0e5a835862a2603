"""Converts the instances of a frame to a label image for napari, and a brush stroke to changes of instances.

A label image has room for one instance per pixel, but stored masks may overlap. So a stroke is the difference between
the shown and the painted image: pixels that gained a label join its instance, pixels that lost a label leave its
instance, and pixels hidden under other instances stay unchanged. The painted result is exactly what is shown
afterwards: instances that would cover painted pixels lose them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rise_engine.project.segmentation import mask_region
from rise_napari.layers.mask_patch import Mask, MaskPatch, Region

LabelImage = NDArray[np.uint16]
"""Labels (H, W). napari uploads 16-bit labels unchanged, but maps 32-bit labels pixel by pixel in every update."""


@dataclass(frozen=True, slots=True)
class Change:
    """The change of one instance by a stroke: its new ``patch``, or None when no pixel is left."""

    label: int
    instance: int | None
    """The id of the annotation; None for a new instance."""
    patch: MaskPatch | None


class LabelView:
    """The label image of one frame, ``shown`` uint16 (H, W), and the label of each annotation.

    Later instances cover earlier ones. Labels start at 1. ``labels`` (id -> label) of an earlier view of the frame
    makes annotations keep their labels.
    """

    def __init__(
        self,
        size: tuple[int, int],
        masks: Iterable[tuple[int, Mask | MaskPatch]],
        *,
        labels: Mapping[int, int] | None = None,
    ) -> None:
        self.size = size
        known = dict(labels or {})
        taken = set(known.values())
        self._patches: dict[int, MaskPatch] = {}
        self._labels: dict[int, int] = {}
        for instance, mask in masks:
            label = known.get(instance) or next(n for n in range(1, len(taken) + 2) if n not in taken)
            taken.add(label)
            self._labels[instance] = label
            self._patches[label] = mask if isinstance(mask, MaskPatch) else MaskPatch.of(mask)
        self._reserved = max(taken, default=0)
        self.shown = self._compose((slice(0, size[0]), slice(0, size[1])))

    @property
    def labels(self) -> dict[int, int]:
        """Annotation id -> label."""
        return dict(self._labels)

    def instance_at(self, label: int) -> int | None:
        """The id of the annotation with this label; None without one."""
        return next((instance for instance, known in self._labels.items() if known == label), None)

    def free_label(self, data: LabelImage) -> int:
        """A label that no instance of this frame has or had, and that does not occur in ``data``."""
        return max(self._reserved, int(data.max(initial=0))) + 1

    def changes(self, data: LabelImage) -> list[Change]:
        """The changes of instances between the shown image and the painted ``data`` (H, W)."""
        region = self._changed_region(data)
        if region is None:
            return []
        before, after = self.shown[region], data[region]
        changed = before != after
        covering = self._covering(region, after, changed)
        changes = []
        for label in sorted({*np.unique(before[changed]).tolist(), *np.unique(after[changed]).tolist(), *covering}):
            if label == 0:
                continue
            known = self._patches.get(label)
            # Only the region of the object and the stroke, because frames are large.
            around = region if known is None or not known.mask.size else _around(region, known.region)
            mask = np.zeros(_shape(around), np.bool_)
            if known is not None:
                mask[_inside(around, known.region)] = known.mask
            part = mask[_inside(around, region)]
            part |= changed & (after == label)
            part &= ~(changed & (before == label))
            if label in covering:
                part &= ~covering[label]
            patch = MaskPatch.of(mask, at=(around[0].start, around[1].start))
            if known is not None or patch.mask.size:
                changes.append(Change(label, self.instance_at(label), patch if patch.mask.size else None))
        return changes

    def adopt(self, change: Change, instance: int | None) -> None:
        """Applies a stored change; ``instance`` is the id of the annotation, None when it was deleted."""
        self._reserved = max(self._reserved, change.label)
        if change.patch is None or instance is None:
            self._patches.pop(change.label, None)
            self._labels = {known: label for known, label in self._labels.items() if label != change.label}
        else:
            self._patches[change.label] = change.patch
            self._labels[instance] = change.label

    def settle(self, data: LabelImage) -> bool:
        """Updates the shown image; False when it differs from ``data``, because a hidden instance became visible."""
        region = self._changed_region(data)
        if region is None:
            return True
        self.shown[region] = self._compose(region)
        return bool(np.array_equal(self.shown[region], data[region]))

    def _changed_region(self, data: LabelImage) -> Region | None:
        return mask_region(data != self.shown)

    def _covering(self, region: Region, after: LabelImage, changed: Mask) -> dict[int, Mask]:
        """For each instance, its hidden pixels inside the region that would cover the painted ones.

        When three instances overlap, painting the lowest one over the highest one would otherwise show the middle one.
        """
        order = {label: place for place, label in enumerate(self._patches, start=1)}
        painted = changed & (after != 0)
        height = np.full(after.shape, len(order) + 1)
        for label in np.unique(after[painted]).tolist():
            height[after == label] = order.get(label, len(order) + 1)
        found = {}
        for label, patch in self._patches.items():
            rows, columns = region
            top, bottom = max(rows.start, patch.row), min(rows.stop, patch.row + patch.mask.shape[0])
            left, right = max(columns.start, patch.column), min(columns.stop, patch.column + patch.mask.shape[1])
            if top >= bottom or left >= right:
                continue
            inside = slice(top - rows.start, bottom - rows.start), slice(left - columns.start, right - columns.start)
            own = patch.mask[top - patch.row : bottom - patch.row, left - patch.column : right - patch.column]
            hiding = own & painted[inside] & (height[inside] < order[label])
            if hiding.any():
                found[label] = np.zeros(after.shape, np.bool_)
                found[label][inside] = hiding
        return found

    def _compose(self, region: Region) -> LabelImage:
        """The label image inside a region, with later patches on top."""
        rows, columns = region
        image = np.zeros((rows.stop - rows.start, columns.stop - columns.start), np.uint16)
        for label, patch in self._patches.items():
            height, width = patch.mask.shape
            top, bottom = max(rows.start, patch.row), min(rows.stop, patch.row + height)
            left, right = max(columns.start, patch.column), min(columns.stop, patch.column + width)
            if top < bottom and left < right:
                mask = patch.mask[top - patch.row : bottom - patch.row, left - patch.column : right - patch.column]
                target = image[top - rows.start : bottom - rows.start, left - columns.start : right - columns.start]
                np.copyto(target, label, where=mask)
        return image


def _around(first: Region, second: Region) -> Region:
    """The smallest region that contains both."""
    rows, columns = (slice(min(a.start, b.start), max(a.stop, b.stop)) for a, b in zip(first, second, strict=True))
    return rows, columns


def _inside(outer: Region, inner: Region) -> Region:
    """The position of a region inside a region that contains it."""
    rows, columns = (slice(b.start - a.start, b.stop - a.start) for a, b in zip(outer, inner, strict=True))
    return rows, columns


def _shape(region: Region) -> tuple[int, int]:
    return region[0].stop - region[0].start, region[1].stop - region[1].start
