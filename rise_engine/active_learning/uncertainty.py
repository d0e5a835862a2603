"""Sensitivity of a frame's predictions: how much they change in a strong view (grey, dark, low contrast, mirrored)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from kornia.color import rgb_to_grayscale
from numpy.typing import NDArray
from pycocotools import mask as rle_codec

from rise_engine.active_learning.appearance import store_appearances
from rise_engine.prediction.load import LoadedModel
from rise_engine.prediction.predict import predict
from rise_engine.prediction.store import STORED_SCORE
from rise_engine.project.project import Project
from rise_engine.project.records import PredictedInstance
from rise_engine.pseudo_sequences.augment import adjust

BRIGHTNESS, CONTRAST = 0.7, 0.8
LONGER_SIDE = 640
"""Pixels of the strong view's longer side: the network's input is smaller, and larger views only cost time."""


class StrongViewDisagreement:
    """Measures the disagreement of a frame's predictions with those in a strong view of the frame.

    It also stores the appearance of the frames, because their images are already decoded here.
    """

    def __init__(self, loaded: LoadedModel, project: Project, *, min_score: float = STORED_SCORE) -> None:
        self._loaded = loaded
        self._project = project
        self._min_score = min_score

    def __call__(self, frame: int, image: NDArray[np.uint8], found: Sequence[PredictedInstance]) -> float:
        """The disagreement, 0 to 1, between the predictions ``found`` on the image and those in its strong view."""
        store_appearances(self._project, {frame: image})
        height, width = image.shape[:2]
        step = max(1, -(-max(height, width) // LONGER_SIDE))
        small = torch.from_numpy(np.ascontiguousarray(image[::step, ::step].transpose(2, 0, 1))).float() / 255
        # The same strong view for every frame: frames should differ by their content, not by the augmentation.
        strong = adjust(rgb_to_grayscale(small).expand_as(small), brightness=BRIGHTNESS, contrast=CONTRAST).flip(-1)
        pixels = (strong * 255).round().to(torch.uint8).permute(1, 2, 0).numpy()
        again = predict(self._loaded, np.ascontiguousarray(pixels), min_score=self._min_score)
        mirrored = _boxes(again) * step
        mirrored[:, [0, 2]] = pixels.shape[1] * step - mirrored[:, [2, 0]]
        return disagreement(_boxes(found), _scores(found), mirrored, _scores(again))


def disagreement(
    boxes: NDArray[np.float64],
    scores: NDArray[np.float64],
    others: NDArray[np.float64],
    other_scores: NDArray[np.float64],
) -> float:
    """1 - agreement of two sets of predictions of one frame, 0 to 1.

    ``boxes`` (N, 4) and ``others`` (M, 4) are half-open xyxy of the same frame. The agreement is the mean, over all
    predictions and weighted by score, of the best box IoU in the other set. Two empty sets agree.
    """
    total = scores.sum() + other_scores.sum()
    if total == 0:
        return 0.0
    if not len(boxes) or not len(others):
        return 1.0
    iou = rle_codec.iou(_xywh(boxes), _xywh(others), [0] * len(others))
    agreed = float(scores @ iou.max(axis=1) + other_scores @ iou.max(axis=0))
    return float(np.clip(1 - agreed / total, 0.0, 1.0))


def _boxes(found: Sequence[PredictedInstance]) -> NDArray[np.float64]:
    return np.array([one.box for one in found], dtype=np.float64).reshape(-1, 4)


def _scores(found: Sequence[PredictedInstance]) -> NDArray[np.float64]:
    return np.array([one.score for one in found], dtype=np.float64)


def _xywh(boxes: NDArray[np.float64]) -> Any:
    return np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], axis=1)
