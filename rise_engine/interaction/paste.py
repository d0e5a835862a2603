"""Objects pasted onto a scene, and what stays visible of everything in it (paper, Sec. 3.2)."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from rise_engine.interaction.augment import ObjectAugmentation, adjust
from rise_engine.interaction.bank import CutOut
from rise_engine.interaction.geometry import Matrix, apply, translation, warp
from rise_engine.interaction.placement import allowed, pixel_counts
from rise_engine.interaction.scene import Scene


@dataclass(frozen=True, slots=True, eq=False)
class Stamp:
    """An object rendered for one place of a scene.

    ``colours`` float (3, h, w) and ``alpha`` float (h, w), both 0..1; ``left`` and ``top`` place its corner. It lies
    wholly inside the scene.
    """

    colours: Tensor
    alpha: Tensor
    left: int
    top: int

    @property
    def mask(self) -> Tensor:
        """The pixels that belong to the object, bool (h, w)."""
        return self.alpha > 0.5

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) in pixels."""
        return self.alpha.shape[0], self.alpha.shape[1]

    def moved_to(self, left: int, top: int) -> Stamp:
        """The same stamp with its corner elsewhere."""
        return replace(self, left=left, top=top)


class ObjectPatch:
    """A cut-out with its own colours, ready to be rendered at any pose (a map from patch to scene coordinates)."""

    def __init__(self, cut_out: CutOut, augmentation: ObjectAugmentation) -> None:
        colours = torch.from_numpy(cut_out.image.transpose(2, 0, 1).astype(np.float32) / 255)
        colours = adjust(colours, brightness=augmentation.brightness, contrast=augmentation.contrast)
        alpha = torch.from_numpy(cut_out.mask.astype(np.float32))[None]
        # One pixel of margin lets the alpha fall to zero at the crop's edge without darkening the colours there.
        self._values = torch.cat([F.pad(colours[None], (1, 1, 1, 1), "replicate")[0], F.pad(alpha, (1, 1, 1, 1))])
        self._outline = _outline(cut_out.mask) + 1

    def extent(self, pose: Matrix) -> tuple[float, float, float, float]:
        """The box (x0, y0, x1, y1) of the object at ``pose``."""
        points = apply(pose, self._outline)
        (x0, y0), (x1, y1) = points.min(axis=0), points.max(axis=0)
        return float(x0), float(y0), float(x1), float(y1)

    def at_origin(self, pose: Matrix) -> Matrix:
        """``pose`` shifted so that the object's box begins at (0, 0)."""
        x0, y0, _, _ = self.extent(pose)
        return translation(-x0, -y0) @ pose

    def render(self, pose: Matrix, size: tuple[int, int]) -> Stamp | None:
        """The part of the object inside a scene of ``size`` (h, w), or None when all of it is outside."""
        x0, y0, x1, y1 = self.extent(pose)
        left, top = max(0, math.floor(x0)), max(0, math.floor(y0))
        right, bottom = min(size[1], math.ceil(x1)), min(size[0], math.ceil(y1))
        if left >= right or top >= bottom:
            return None
        values = warp(self._values, translation(-left, -top) @ pose, (bottom - top, right - left))
        return Stamp(values[:3], values[3], left, top)


class Canvas:
    """A scene under construction: the picture, and of each known object what is still visible.

    ``image`` float (3, H, W) 0..1, changed in place; ``masks`` bool (N, H, W) and ``labels`` int64 (N,) of the frame's
    own objects, which get the identities 0..N-1; ``room`` is how many objects may be pasted.
    """

    def __init__(self, image: Tensor, masks: Tensor, labels: Tensor, *, room: int) -> None:
        self.image = image
        height, width = image.shape[-2:]
        self.size = (height, width)
        self._count = len(masks)
        self._own = len(masks)
        self._masks = torch.cat([masks, masks.new_zeros((room, height, width))])
        self._full_areas = pixel_counts(self._masks)
        self._areas = self._full_areas.clone()
        self._labels = torch.cat([labels, labels.new_zeros(room)])
        self._ids = torch.arange(len(self._masks))

    def allows(self, stamp: Stamp, max_overlap: float, *, pasted_only: bool = False) -> bool:
        """Whether ``stamp`` leaves enough of every known object, or of every pasted one (Sec. 3.2 and App. F)."""
        first = self._own if pasted_only else 0
        visible, areas = self._masks[first : self._count], self._areas[first : self._count]
        return allowed(visible, areas, stamp.mask, left=stamp.left, top=stamp.top, max_overlap=max_overlap)

    def paste(self, stamp: Stamp, *, label: int, identity: int) -> None:
        """Put ``stamp`` on top; it hides what lies beneath."""
        mask, (height, width) = stamp.mask, stamp.size
        rows, columns = slice(stamp.top, stamp.top + height), slice(stamp.left, stamp.left + width)
        self.image[:, rows, columns].lerp_(stamp.colours, stamp.alpha)
        index = self._count
        beneath = self._masks[:index, rows, columns]
        self._areas[:index] -= pixel_counts(beneath & mask)
        beneath &= ~mask
        self._masks[index, rows, columns] = mask
        self._full_areas[index] = self._areas[index] = mask.sum()
        self._labels[index] = label
        self._ids[index] = identity
        self._count += 1

    def covered(self) -> Tensor:
        """The pixels that pasted objects hide, bool (H, W)."""
        return self._masks[self._own : self._count].any(dim=0)

    def scene(self, *, brightness: float, min_visible: float, min_area: int) -> Scene:
        """The finished view, with the objects of which enough is left to be seen.

        ``min_visible`` is a share of what the object would show with nothing on top of it, ``min_area`` in pixels.
        """
        areas, full = self._areas[: self._count], self._full_areas[: self._count]
        keep = torch.nonzero((areas >= max(min_area, 1)) & (areas >= min_visible * full.double()))[:, 0]
        return Scene(
            image=(self.image * brightness).clamp_(0, 1),
            masks=self._masks[keep],
            labels=self._labels[keep],
            ids=self._ids[keep],
            pasted=keep >= self._own,
        )


def _outline(mask: NDArray[np.bool_]) -> NDArray[np.float64]:
    """The corners of each row's first and last pixel, (P, 2): their box at any pose is that of the whole mask."""
    rows = np.flatnonzero(mask.any(axis=1))
    first = mask[rows].argmax(axis=1)
    last = mask.shape[1] - mask[rows, ::-1].argmax(axis=1)
    x = np.concatenate([first, last, first, last])
    y = np.concatenate([rows, rows, rows + 1, rows + 1])
    return np.stack([x, y], axis=1).astype(np.float64)
