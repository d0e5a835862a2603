"""Novelty of predicted objects: how many differ in colour and size from all objects in the instance bank."""

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
"""Pixels of the shorter side at which frames are read."""
BANK_FRAMES = 30
FEWEST = 8
"""Objects that the bank must have for a comparison."""
FAMILIAR_PERCENTILE = 90.0
"""Percentile of the distances between bank objects and their nearest one in another frame: the limit of familiar."""
SIZE_WEIGHT = 0.1

Features = NDArray[np.float64]
"""(N, 7): mean and spread of the colour, and the size, of N objects."""


def unfamiliar(project: Project, frames: Sequence[FrameRecord], *, min_score: float) -> dict[int, int]:
    """How many predictions of each frame with at least ``min_score`` are unlike anything in the bank.

    An object is familiar when its distance to the nearest bank object is at most ``FAMILIAR_PERCENTILE`` of the
    distances inside the bank. Empty when the bank is too small; frames that cannot be read are left out.
    """
    known = project.frames.annotated(split=Split.TRAIN)
    excluded = project.annotations.bank_excluded()
    groups: list[Features] = []
    for frame in shuffled(known, "queue")[:BANK_FRAMES]:
        instances = [one for one in project.annotations.of_frame(frame.id) if one.id not in excluded and not one.crowd]
        groups += list(_features(project, frame, instances))
    if len(groups) < 2 or sum(map(len, groups)) < FEWEST:
        return {}
    bank = np.concatenate(groups)
    limit = float(np.percentile(np.concatenate(list(_nearest_elsewhere(groups))), FAMILIAR_PERCENTILE))
    found = {}
    for frame in frames:
        shown = [one for one in project.predictions.of_frame(frame.id) if (one.score or 0.0) >= min_score]
        for features in _features(project, frame, shown):
            found[frame.id] = int((_distances(features, bank).min(axis=1) > limit).sum())
    return found


def _nearest_elsewhere(groups: Sequence[Features]) -> Iterator[NDArray[np.float64]]:
    for place, group in enumerate(groups):
        others = np.concatenate([other for index, other in enumerate(groups) if index != place])
        yield _distances(group, others).min(axis=1)


def _distances(first: Features, second: Features) -> NDArray[np.float64]:
    distances: NDArray[np.float64] = np.linalg.norm(first[:, None] - second[None], axis=2)
    return distances


def _features(project: Project, frame: FrameRecord, instances: Sequence[Instance]) -> Iterator[Features]:
    """Yields one array (N, 7) for the objects with a visible pixel; nothing when there is none."""
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
            visible = mask[np.ix_(rows[inside[0]] - top, columns[inside[1]] - left)]
            colours = pixels[np.ix_(*inside)][visible]
            if len(colours):
                size = SIZE_WEIGHT * np.log(len(colours) / pixels[..., 0].size)
                found.append(np.concatenate([colours.mean(0), colours.std(0), [size]]))
    except RiseError:
        return
    if found:
        yield np.stack(found)
