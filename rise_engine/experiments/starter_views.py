"""Training views of the starter: crops of rendered frames at the sizes that networks predict at."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.utils.data import IterableDataset, get_worker_info

from rise_engine.config import AugmentConfig
from rise_engine.errors import RiseError
from rise_engine.experiments.starter_frames import frame_paths, read_frame
from rise_engine.pseudo_sequences.augment import strong_augmentation

SHORT_SIDES = (256, 448)
"""Between these is the short side of a view, in pixels, in steps of 32."""
LONGEST_SIDE = 640
CROPPED = 0.5
"""Share of the frames that are cropped."""
SMALLEST_CROP = 0.45
"""A crop keeps at least this share of each side, unless the frame has too many objects."""
MOST_OBJECTS = 80
"""A view with more objects is cropped further: the network has 100 queries."""
SMALLEST_TARGET = 24
"""Visible pixels below which an object is no target."""
RECOLOURED = 0.3
"""Share of the views that are strongly augmented."""
RELIST_AFTER = 400
"""Views after which the folder is listed again, because frames may be rendered while the starter trains."""

View = tuple[Tensor, Tensor]
"""An image float (3, H, W) 0..1 and masks bool (N, H, W)."""


def training_views(
    folder: Path, shares: Mapping[str, float], augment: AugmentConfig, *, seed: int, first: int = 0, step: int = 1
) -> Iterator[View]:
    """Endless views ``first``, ``first + step``, ... of the frames in ``folder``; view n follows from ``seed`` and n.

    ``shares`` is the relative frequency of each kind of frame. Raises ``RiseError`` if the folder has no frame of them.
    """
    number = first
    while True:
        listed = {kind: frame_paths(folder, kind) for kind, share in shares.items() if share > 0}
        kinds = [kind for kind, paths in listed.items() if paths]
        if not kinds:
            raise RiseError(f"{folder} has no frames of the kinds {', '.join(shares)}: render some first.")
        weights = np.array([shares[kind] for kind in kinds])
        for _ in range(RELIST_AFTER):
            rng = np.random.default_rng([seed, number])
            number += step
            paths = listed[kinds[int(rng.choice(len(kinds), p=weights / weights.sum()))]]
            view = training_view(*read_frame(paths[int(rng.integers(len(paths)))]), rng, augment)
            if view is not None:
                yield view


class ViewStream(IterableDataset[View]):
    """``training_views`` for a data loader: each of its worker processes makes every n-th view."""

    def __init__(
        self, folder: Path, shares: Mapping[str, float], augment: AugmentConfig, *, seed: int, first: int
    ) -> None:
        self._folder, self._shares, self._augment = folder, dict(shares), augment
        self._seed, self._first = seed, first

    def __iter__(self) -> Iterator[View]:
        worker = get_worker_info()
        number, count = (0, 1) if worker is None else (worker.id, worker.num_workers)
        return training_views(
            self._folder, self._shares, self._augment, seed=self._seed, first=self._first + number, step=count
        )


def training_view(
    image: NDArray[np.uint8], labels: NDArray[np.int32], rng: np.random.Generator, augment: AugmentConfig
) -> View | None:
    """One view of a frame uint8 (H, W, 3) with its instance map (H, W); None if it shows no object."""
    top, left, height, width = crop_window(labels, rng)
    image = image[top : top + height, left : left + width]
    labels = labels[top : top + height, left : left + width]
    size = view_size((height, width), rng)
    pixels = np.array(Image.fromarray(image).resize((size[1], size[0]), Image.Resampling.BILINEAR, reducing_gap=3.0))
    resized = np.array(Image.fromarray(labels).resize((size[1], size[0]), Image.Resampling.NEAREST))
    counts = np.bincount(resized.ravel())
    kept = [number for number in range(1, len(counts)) if counts[number] >= SMALLEST_TARGET]
    if not kept:
        return None
    masks = torch.from_numpy(resized[None] == np.array(kept)[:, None, None])
    picture = torch.from_numpy(pixels).permute(2, 0, 1).float() / 255
    if rng.random() < RECOLOURED:
        picture = strong_augmentation(picture, rng, augment)
    if rng.random() < 0.5:
        picture, masks = picture.flip(-1), masks.flip(-1)
    if rng.random() < 0.2:
        picture, masks = picture.flip(-2), masks.flip(-2)
    return picture, masks


def crop_window(labels: NDArray[np.int32], rng: np.random.Generator) -> tuple[int, int, int, int]:
    """Top, left, height and width of the part of a frame that a view shows."""
    height, width = labels.shape
    share = rng.uniform(SMALLEST_CROP, 1.0) if rng.random() < CROPPED else 1.0
    while True:
        h, w = round(height * share), round(width * share)
        top, left = int(rng.integers(0, height - h + 1)), int(rng.integers(0, width - w + 1))
        if len(np.unique(labels[top : top + h, left : left + w])) <= MOST_OBJECTS or share < 0.1:
            return top, left, h, w
        share *= 0.8


def view_size(size: tuple[int, int], rng: np.random.Generator) -> tuple[int, int]:
    """The size (height, width) at which a crop of ``size`` is taught."""
    low, high = SHORT_SIDES
    # Small views are more frequent, because the cost of a view grows with its area.
    short = 32 * round((low + (high - low) * rng.random() ** 2) / 32)
    scale = min(short / min(size), LONGEST_SIDE / max(size))
    return round(size[0] * scale), round(size[1] * scale)
