"""Quality of the pseudo-labels on annotated frames, and the thresholds that would be ideal there (paper, Fig. 4)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rise_engine.config import PseudoLabelConfig
from rise_engine.method.losses import sample_masks
from rise_engine.method.pseudo_labels import make_pseudo_labels, mask_iou
from rise_engine.model.segmenter import SegmenterOutput

RIGHT_IOU = 0.5
"""A prediction is correct when its mask has at least this IoU with an annotated object of its class."""
MASK_THRESHOLDS = torch.arange(1, 20) / 20
"""Candidates for the ideal mask threshold."""


@dataclass(frozen=True, slots=True)
class FrameQuality:
    """One frame's Q predictions against its G annotated objects.

    ``scores`` float (Q,) and ``correct`` bool (Q,) of all predictions; ``kept`` bool (Q,), those that are
    pseudo-labels; ``best_scores`` float (G,), the best score of a correct prediction of each object, 0 without any;
    ``found`` bool (G,), whether a pseudo-label shows it; ``mask_thresholds``, for each object with a correct prediction
    the threshold at which its best mask has the highest IoU. The others are the thresholds of the step.
    """

    scores: NDArray[np.float64]
    correct: NDArray[np.bool_]
    kept: NDArray[np.bool_]
    best_scores: NDArray[np.float64]
    found: NDArray[np.bool_]
    mask_thresholds: list[float]
    gamma_cls: float
    gamma_mask: float

    @property
    def ideal_threshold(self) -> float:
        """The highest score of a wrong prediction: all above it are correct. 0 when none is wrong."""
        return float(self.scores[~self.correct].max(initial=0.0))


@dataclass(frozen=True, slots=True)
class PseudoLabelQuality:
    """Quality of the pseudo-labels of several frames, at one step of the schedule.

    ``kept`` is the number of pseudo-labels per frame, ``precision`` the share of them that are correct (None without
    any), ``recall`` the share of annotated objects that a pseudo-label shows. ``ideal_threshold`` is the highest score
    of a wrong prediction in a frame, as mean and standard deviation (``_spread``) over the frames; ``best_threshold``
    the class threshold with the highest F1, None when no prediction is correct; ``ideal_mask_threshold`` the mask
    threshold with the highest IoU, as mean and standard deviation over the objects found.
    """

    frames: int
    kept: float
    precision: float | None
    recall: float | None
    gamma_cls: float
    ideal_threshold: float | None
    ideal_threshold_spread: float | None
    best_threshold: float | None
    gamma_mask: float
    ideal_mask_threshold: float | None
    ideal_mask_threshold_spread: float | None


@torch.no_grad()
def measure_frame(
    output: SegmenterOutput,
    image_index: int,
    *,
    image_size: tuple[int, int],
    canvas: tuple[int, int],
    masks: Tensor,
    labels: Tensor,
    config: PseudoLabelConfig,
    step: int,
    steps: int,
    image: Tensor | None = None,
) -> FrameQuality:
    """Compares one image of an output, at a step of the schedule, with its objects: ``masks`` bool (G, *canvas) and
    ``labels`` int64 (G,).

    Sizes are (height, width), ``image_size`` without padding. ``image`` is that of ``make_pseudo_labels``. Predictions
    are compared at the resolution of the network's masks, before the masks move to edges.
    """
    pseudo = make_pseudo_labels(
        output, image_index, image_size=image_size, canvas=canvas, config=config, step=step, steps=steps, image=image
    )
    scores, classes = output.class_logits[image_index].float().sigmoid().max(1)
    probabilities = output.masks(image_index, torch.arange(len(scores), device=scores.device)).float().sigmoid()
    size = (probabilities.shape[1], probabilities.shape[2])
    truth = sample_masks(masks.to(scores.device), size=size) > 0
    same = classes[:, None] == labels.to(classes.device)[None, :]
    iou = mask_iou(probabilities > pseudo.counts.gamma_mask, truth) * same
    covers = iou >= RIGHT_IOU
    kept = torch.zeros(len(scores), dtype=torch.bool, device=scores.device)
    kept[pseudo.queries] = True
    best_scores = (scores[:, None] * covers).amax(0) if len(scores) else scores.new_zeros(len(labels))
    thresholds = [
        _best_mask_threshold(probabilities[int(iou[:, index].argmax())], truth[index])
        for index in range(len(labels))
        if bool(covers[:, index].any())
    ]
    return FrameQuality(
        scores=scores.cpu().double().numpy(),
        correct=covers.any(1).cpu().numpy(),
        kept=kept.cpu().numpy(),
        best_scores=best_scores.cpu().double().numpy(),
        found=covers[kept].any(0).cpu().numpy(),
        mask_thresholds=thresholds,
        gamma_cls=pseudo.counts.gamma_cls,
        gamma_mask=pseudo.counts.gamma_mask,
    )


def _best_mask_threshold(probability: Tensor, truth: Tensor) -> float:
    candidates = MASK_THRESHOLDS.to(probability.device)
    iou = mask_iou(probability[None] > candidates[:, None, None], truth[None])[:, 0]
    best = candidates[iou == iou.max()]
    return float(best[len(best) // 2])


def summarise(frames: Sequence[FrameQuality]) -> PseudoLabelQuality:
    """The quality over all frames, at least one."""
    kept = sum(int(frame.kept.sum()) for frame in frames)
    correct = sum(int((frame.kept & frame.correct).sum()) for frame in frames)
    objects = sum(len(frame.found) for frame in frames)
    found = sum(int(frame.found.sum()) for frame in frames)
    ideal = _mean_and_spread([frame.ideal_threshold for frame in frames])
    ideal_mask = _mean_and_spread([value for frame in frames for value in frame.mask_thresholds])
    return PseudoLabelQuality(
        frames=len(frames),
        kept=kept / len(frames),
        precision=correct / kept if kept else None,
        recall=found / objects if objects else None,
        gamma_cls=frames[0].gamma_cls,
        ideal_threshold=ideal.mean,
        ideal_threshold_spread=ideal.spread,
        best_threshold=best_threshold(frames),
        gamma_mask=frames[0].gamma_mask,
        ideal_mask_threshold=ideal_mask.mean,
        ideal_mask_threshold_spread=ideal_mask.spread,
    )


def best_threshold(frames: Sequence[FrameQuality]) -> float | None:
    """The class score with the highest F1 if all predictions from it up are kept; None when none is correct."""
    scores = np.concatenate([frame.scores for frame in frames])
    correct = np.concatenate([frame.correct for frame in frames])
    best_scores = np.sort(np.concatenate([frame.best_scores for frame in frames]))
    if not correct.any():
        return None
    candidates = np.unique(scores[correct])
    ordered, ordered_correct = np.sort(scores), np.sort(scores[correct])
    kept = len(ordered) - np.searchsorted(ordered, candidates)
    precision = (len(ordered_correct) - np.searchsorted(ordered_correct, candidates)) / kept
    recall = (len(best_scores) - np.searchsorted(best_scores, candidates)) / len(best_scores)
    f1 = 2 * precision * recall / np.maximum(precision + recall, 1e-12)
    return float(candidates[f1.argmax()])


class _MeanAndSpread(NamedTuple):
    mean: float | None
    spread: float | None


def _mean_and_spread(values: Sequence[float]) -> _MeanAndSpread:
    """Mean and standard deviation, None without any value."""
    if not values:
        return _MeanAndSpread(None, None)
    return _MeanAndSpread(float(np.mean(values)), float(np.std(values)))
