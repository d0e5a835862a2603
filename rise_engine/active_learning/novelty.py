"""Predicted objects that look unlike everything in the instance bank: by colour and size, without a network."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from rise_engine.errors import RiseError
from rise_engine.project.image_file import read_image
from rise_engine.project.ordering import shuffled
from rise_engine.project.project import Project
from rise_engine.project.records import FrameRecord, Instance, Split
from rise_engine.project.segmentation import to_patch

SHORT_SIDE = 96
"""Frames are looked at with so many pixels along their shorter side."""
BANK_FRAMES = 30
FEWEST = 8
"""With fewer objects in the bank nothing can be said."""
USUAL = 90.0
"""Percent of the bank's objects that have another one as near, in another frame, as what counts as familiar."""
SIZE_WEIGHT = 0.1

Looks = NDArray[np.float64]


def unfamiliar(project: Project, frames: Sequence[FrameRecord], *, min_score: float) -> dict[int, int]:
    """How many predictions of each frame with at least ``min_score`` are unlike anything in the bank.

    An object is familiar when one in the bank is as near in looks as most of the bank's objects are to their nearest
    in another frame. Empty where the bank is too small to tell; frames that cannot be read are left out.
    """
    known = project.frames.annotated(split=Split.TRAIN)
    excluded = project.annotations.bank_excluded()
    groups: list[Looks] = []
    for frame in shuffled(known, "queue")[:BANK_FRAMES]:
        instances = [one for one in project.annotations.of_frame(frame.id) if one.id not in excluded and not one.crowd]
        groups += list(_looks(project, frame, instances))
    if len(groups) < 2 or sum(map(len, groups)) < FEWEST:
        return {}
    bank = np.concatenate(groups)
    usual = float(np.percentile(np.concatenate(list(_nearest_elsewhere(groups))), USUAL))
    found = {}
    for frame in frames:
        shown = [one for one in project.predictions.of_frame(frame.id) if (one.score or 0.0) >= min_score]
        for looks in _looks(project, frame, shown):
            found[frame.id] = int((_distances(looks, bank).min(axis=1) > usual).sum())
    return found


def _nearest_elsewhere(groups: Sequence[Looks]) -> Iterator[NDArray[np.float64]]:
    for place, group in enumerate(groups):
        others = np.concatenate([other for index, other in enumerate(groups) if index != place])
        yield _distances(group, others).min(axis=1)


def _distances(first: Looks, second: Looks) -> NDArray[np.float64]:
    distances: NDArray[np.float64] = np.linalg.norm(first[:, None] - second[None], axis=2)
    return distances


def _looks(project: Project, frame: FrameRecord, instances: Sequence[Instance]) -> Iterator[Looks]:
    """(N, 7): mean and spread of the colour, and the size, of those that are seen at all; nothing without any."""
    if not instances:
        return
    try:
        width, height = project.probe(frame.id)
        pixels = read_image(project.images / frame.name, short_side=SHORT_SIDE).pixels.astype(np.float64) / 255
        rows = ((np.arange(pixels.shape[0]) + 0.5) * height / pixels.shape[0]).astype(np.int64)
        columns = ((np.arange(pixels.shape[1]) + 0.5) * width / pixels.shape[1]).astype(np.int64)
        found = []
        for one in instances:
            top, left, mask = to_patch(one.segmentation, height, width)
            inside = (rows >= top) & (rows < top + mask.shape[0]), (columns >= left) & (columns < left + mask.shape[1])
            seen = mask[np.ix_(rows[inside[0]] - top, columns[inside[1]] - left)]
            colours = pixels[np.ix_(*inside)][seen]
            if len(colours):
                size = SIZE_WEIGHT * np.log(len(colours) / pixels[..., 0].size)
                found.append(np.concatenate([colours.mean(0), colours.std(0), [size]]))
    except RiseError:
        return
    if found:
        yield np.stack(found)
