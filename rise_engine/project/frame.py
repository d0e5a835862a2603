"""The frames that a training reads: labelled ones with targets, unlabelled ones without a field for targets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rise_engine.errors import RiseError
from rise_engine.project.image_file import read_image
from rise_engine.project.records import FrameRecord, Instance
from rise_engine.project.segmentation import to_mask
from rise_engine.project.upright import imported_polygons, size_conflict


@dataclass(frozen=True, slots=True)
class LabelledFrame:
    """An annotated frame with its targets.

    ``image`` uint8 (H, W, 3) RGB; ``masks`` bool (N, H, W), overlaps allowed; ``categories`` int64 (N,), class
    indices from 0; ``name`` is the file name relative to the image folder; ``instances`` are the annotations' ids in
    the order of the masks, empty for a frame of no project.
    """

    name: str
    image: NDArray[np.uint8]
    masks: NDArray[np.bool_]
    categories: NDArray[np.int64]
    instances: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class UnlabelledFrame:
    """A frame without targets. It has no field for them, so that none can reach the learner."""

    name: str
    image: NDArray[np.uint8]


def labelled_frame(
    root: Path,
    record: FrameRecord,
    instances: Sequence[Instance],
    classes: Mapping[int, int],
    *,
    made_for: tuple[int, int] | None,
    short_side: int | None,
) -> LabelledFrame:
    """The frame with its masks at the size of the returned image; ``classes`` maps category ids to class indices.

    Objects of other categories are left out. ``made_for`` is the (width, height) of the image that imported annotations
    were made on. Raises RiseError that names the frame when the file or a mask is broken.
    """
    picture = read_image(root / record.name, short_side=short_side)
    words = size_conflict(made_for, (picture.width, picture.height), imported_polygons(instances))
    if words is not None:
        raise RiseError(f"{record.name}: {words}")
    height, width = picture.pixels.shape[:2]
    masks: list[NDArray[np.bool_]] = []
    categories: list[int] = []
    ids: list[int] = []
    for instance in instances:
        if instance.crowd or instance.category not in classes:
            continue
        try:
            full = to_mask(instance.segmentation, picture.height, picture.width)
        except RiseError as error:
            raise RiseError(f"{record.name}: {error}") from error
        mask = resized_mask(full, height, width)
        if mask.any():
            masks.append(mask)
            categories.append(classes[instance.category])
            ids.append(instance.id or 0)
    stacked = np.stack(masks) if masks else np.zeros((0, height, width), dtype=bool)
    return LabelledFrame(record.name, picture.pixels, stacked, np.asarray(categories, dtype=np.int64), tuple(ids))


def unlabelled_frame(root: Path, record: FrameRecord, *, short_side: int | None) -> UnlabelledFrame:
    """The frame's image without its annotations."""
    return UnlabelledFrame(record.name, read_image(root / record.name, short_side=short_side).pixels)


def resized_mask(mask: NDArray[np.bool_], height: int, width: int) -> NDArray[np.bool_]:
    """The mask at the pixel centres of a grid of another size."""
    if mask.shape == (height, width):
        return np.ascontiguousarray(mask)
    rows = ((np.arange(height) + 0.5) * mask.shape[0] / height).astype(np.intp)
    columns = ((np.arange(width) + 0.5) * mask.shape[1] / width).astype(np.intp)
    # Decoded masks are stored column by column.
    return np.ascontiguousarray(mask.T[columns][:, rows].T)
