"""Suggest a mask for a box or a click: from the model's predictions and from the colours of the image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pycocotools import mask as coco_mask
from scipy import ndimage
from skimage.color import rgb2lab

from rise_engine.annotation.graph_cut import Field, Mask, segment
from rise_engine.project.records import PredictedInstance

Box = tuple[float, float, float, float]
"""Half-open xyxy in pixels."""

SIDE = 72
"""Pixels of the longer side of the resized region around the prompt."""
MARGIN = 0.25
"""Margin of the region around the box, as a share of the box's longer side."""
SAME_BOX = 0.75
"""A candidate matches a box from this box IoU."""
SCORE_WEIGHT = 0.05
"""Weight of the score: of two candidates with equal IoU, the one with the higher score is chosen."""
HALF_AS_GOOD = 0.5
"""Candidates under a click need this share of the best score to be considered as the smallest one."""
CLICK_SHARE = 0.2
"""Region around a click without a candidate, as a share of the frame's shorter side."""
BOX_LOG_ODDS, CANDIDATE_LOG_ODDS = 2.0, 3.5
"""Log-odds of the initial mask, comparable to the colour terms."""
ROUNDNESS = 2.5
"""Exponent of the initial superellipse in a box: between an ellipse (2) and the box (infinity)."""
NEARLY_EQUAL = 0.95
SMALLEST = 12
"""Minimum area of a suggestion in pixels."""


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A mask bool (H, W) and its source in words; ``score`` and ``candidate`` (index) for a mask of the model."""

    mask: Mask
    words: str
    score: float | None = None
    candidate: int | None = None


def suggest_in_box(
    image: NDArray[np.uint8], box: Box, candidates: Sequence[PredictedInstance], *, taken: Mask | None = None
) -> list[Suggestion]:
    """Masks for the object in ``box`` on ``image`` uint8 (H, W, 3), the most probable first.

    ``taken`` bool (H, W) are pixels of other objects.
    """
    overlaps = [_iou(box, candidate.box) for candidate in candidates]
    fitting = [index for index, overlap in enumerate(overlaps) if overlap >= SAME_BOX]
    best = max(fitting, key=lambda index: overlaps[index] + SCORE_WEIGHT * candidates[index].score, default=None)
    return _distinct(
        [
            *([] if best is None else _from_candidate(image, candidates[best], best, box, taken)),
            Suggestion(_cut_out(image, box, _ellipse, taken), "from its colours"),
        ]
    )


def suggest_at(
    image: NDArray[np.uint8],
    point: tuple[float, float],
    candidates: Sequence[PredictedInstance],
    *,
    taken: Mask | None = None,
    side: float | None = None,
) -> list[Suggestion]:
    """Masks for the object at ``point`` (row, column), the most probable first.

    ``side`` is the usual length of an object in pixels.
    """
    row, column = int(point[0]), int(point[1])
    under = []
    for index, candidate in enumerate(candidates):
        x0, y0, x1, y1 = candidate.box
        if x0 <= column < x1 and y0 <= row < y1:
            mask = _decoded(candidate)
            if mask[row, column]:
                under.append((index, candidate.score, int(mask.sum())))
    best_score = max((score for _, score, _ in under), default=0.0)
    good = [one for one in under if one[1] >= HALF_AS_GOOD * best_score]
    # The best one first, then the smallest of the good ones: the click may mean a part of an object.
    order = [max(under, key=lambda one: one[1]), min(good, key=lambda one: one[2])] if under else []
    suggestions = []
    for index in dict.fromkeys(one[0] for one in order):
        suggestions += _from_candidate(image, candidates[index], index, candidates[index].box, taken)
    half = (side or CLICK_SHARE * min(image.shape[:2])) / 2
    height, width = image.shape[:2]
    around = (
        max(0.0, point[1] - half),
        max(0.0, point[0] - half),
        min(float(width), point[1] + half),
        min(float(height), point[0] + half),
    )
    found = Suggestion(_cut_out(image, around, _ellipse, taken), "from its colours")
    if found.mask[row, column]:
        suggestions.append(found)
    return _distinct(suggestions)


def _from_candidate(
    image: NDArray[np.uint8], candidate: PredictedInstance, index: int, box: Box, taken: Mask | None
) -> list[Suggestion]:
    """The candidate refined along the edges of the image, and the unchanged candidate."""
    mask = _decoded(candidate)

    def guess(window: tuple[slice, slice], size: tuple[int, int], _box: Box) -> tuple[Field, Mask]:
        share = np.asarray(_resized(mask[window].astype(np.float32), size, Image.Resampling.BOX), np.float64)
        return CANDIDATE_LOG_ODDS * (2 * ndimage.gaussian_filter(share, 2.0) - 1), np.zeros(size, np.bool_)

    refined = _cut_out(image, box, guess, taken)
    words = f"the model's, {candidate.score:.2f}"
    return [
        Suggestion(refined, f"{words}, along the edges", candidate.score, index),
        Suggestion(mask, words, candidate.score, index),
    ]


def _ellipse(window: tuple[slice, slice], size: tuple[int, int], box: Box) -> tuple[Field, Mask]:
    """Log-odds of a rounded box, and the forbidden pixels outside the box."""
    rows, columns = window
    y = rows.start + (np.arange(size[0]) + 0.5) * (rows.stop - rows.start) / size[0]
    x = columns.start + (np.arange(size[1]) + 0.5) * (columns.stop - columns.start) / size[1]
    u = (np.abs(2 * x - box[0] - box[2]) / (box[2] - box[0]))[None]
    v = (np.abs(2 * y - box[1] - box[3]) / (box[3] - box[1]))[:, None]
    away = u**ROUNDNESS + v**ROUNDNESS
    # Slightly smaller than the object, so that the background's colours have no pixels of the object.
    return BOX_LOG_ODDS * np.clip(0.9 - away, -2, 1), (u >= 1) | (v >= 1)


def _cut_out(image: NDArray[np.uint8], box: Box, guess: object, taken: Mask | None) -> Mask:
    """Segments the object of ``box``, bool (H, W), on a resized copy of its surroundings; may be empty."""
    height, width = image.shape[:2]
    whole = np.zeros((height, width), np.bool_)
    if box[2] - box[0] < 2 or box[3] - box[1] < 2:
        return whole
    margin = MARGIN * max(box[2] - box[0], box[3] - box[1])
    rows = slice(max(0, int(box[1] - margin)), min(height, int(np.ceil(box[3] + margin))))
    columns = slice(max(0, int(box[0] - margin)), min(width, int(np.ceil(box[2] + margin))))
    window = rows, columns
    region = image[window]
    scale = min(1.0, SIDE / max(region.shape[:2]))
    size = max(4, round(region.shape[0] * scale)), max(4, round(region.shape[1] * scale))
    small = np.asarray(Image.fromarray(region).resize(size[::-1], Image.Resampling.BOX))
    odds, forbidden = guess(window, size, box)  # type: ignore[operator]
    if taken is not None:
        forbidden = forbidden | (_resized(taken[window].astype(np.float32), size, Image.Resampling.BOX) > 0.5)
    inside = segment(rgb2lab(small), odds, forbidden)
    if inside is None:
        return whole
    share = ndimage.gaussian_filter(inside.astype(np.float32), 0.7)
    found = _resized(share, region.shape[:2], Image.Resampling.BILINEAR) > 0.5
    if taken is not None:
        found &= ~taken[window]
    whole[window] = _largest_part(found)
    return whole


def _resized(values: NDArray[np.float32], size: tuple[int, ...], how: Image.Resampling) -> NDArray[np.float32]:
    return np.asarray(Image.fromarray(values).resize((size[1], size[0]), how))


def _largest_part(mask: Mask) -> Mask:
    parts, count = ndimage.label(mask)
    if count > 1:
        mask = parts == 1 + np.argmax(np.bincount(parts.ravel())[1:])
    filled: Mask = ndimage.binary_fill_holes(mask)
    return filled


def _decoded(candidate: PredictedInstance) -> Mask:
    return np.asarray(coco_mask.decode(candidate.rle)).astype(bool)


def _iou(first: Box, second: Box) -> float:
    width = min(first[2], second[2]) - max(first[0], second[0])
    height = min(first[3], second[3]) - max(first[1], second[1])
    shared = max(0.0, width) * max(0.0, height)
    areas = sum((box[2] - box[0]) * (box[3] - box[1]) for box in (first, second))
    return shared / (areas - shared) if areas > shared else 0.0


def _distinct(suggestions: Sequence[Suggestion]) -> list[Suggestion]:
    """Without suggestions that are too small or almost equal to an earlier one."""
    kept: list[Suggestion] = []
    for one in suggestions:
        area = int(one.mask.sum())
        same = any((one.mask & known.mask).sum() > NEARLY_EQUAL * (one.mask | known.mask).sum() for known in kept)
        if area >= SMALLEST and not same:
            kept.append(one)
    return kept
