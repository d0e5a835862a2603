"""How good the pseudo-labels would be on frames whose truth is known, and which thresholds would be ideal there
(paper, Sec. 4.3 and Fig. 4)."""

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
from rise_engine.training.events import PseudoLabelScore

RIGHT_IOU = 0.5
"""A prediction is right when its mask has at least this IoU with a true object of its class."""
MASK_THRESHOLDS = torch.arange(1, 20) / 20
"""Where the ideal mask threshold is looked for."""


@dataclass(frozen=True, slots=True)
class FrameQuality:
    """One frame's predictions against its truth.

    ``scores`` float (Q,) and ``right`` bool (Q,) of all predictions; ``kept`` bool (Q,), those that are pseudo-labels;
    ``reached`` float (G,), for each true object the best score of a right prediction of it, 0 without any;
    ``found`` bool (G,), whether a pseudo-label shows it; ``mask_thresholds``, for each object that has a right
    prediction the threshold at which its best mask fits best; the rest is the cascade's state.
    """

    scores: NDArray[np.float64]
    right: NDArray[np.bool_]
    kept: NDArray[np.bool_]
    reached: NDArray[np.float64]
    found: NDArray[np.bool_]
    mask_thresholds: list[float]
    gamma_cls: float
    gamma_mask: float

    @property
    def ideal_threshold(self) -> float:
        """The score of the best wrong prediction: above it all are right. 0 when none is wrong."""
        return float(self.scores[~self.right].max(initial=0.0))


@torch.no_grad()
def measure_frame(
    output: SegmenterOutput,
    image: int,
    *,
    image_size: tuple[int, int],
    canvas: tuple[int, int],
    masks: Tensor,
    labels: Tensor,
    config: PseudoLabelConfig,
    step: int,
    steps: int,
    picture: Tensor | None = None,
) -> FrameQuality:
    """Judges one image of an output, as the cascade stands at a step, by its true ``masks`` bool (G, *canvas) and
    ``labels`` int64 (G,). Sizes are (height, width), ``image_size`` without padding. ``picture`` is that of
    ``make_pseudo_labels``; right and wrong are told at the masks' own resolution, before they follow edges."""
    pseudo = make_pseudo_labels(
        output, image, image_size=image_size, canvas=canvas, config=config, step=step, steps=steps, picture=picture
    )
    scores, classes = output.class_logits[image].float().sigmoid().max(1)
    probabilities = output.masks(image, torch.arange(len(scores), device=scores.device)).float().sigmoid()
    size = (probabilities.shape[1], probabilities.shape[2])
    truth = sample_masks(masks.to(scores.device), size=size) > 0
    same = classes[:, None] == labels.to(classes.device)[None, :]
    iou = mask_iou(probabilities > pseudo.counts.gamma_mask, truth) * same
    covers = iou >= RIGHT_IOU
    kept = torch.zeros(len(scores), dtype=torch.bool, device=scores.device)
    kept[pseudo.queries] = True
    reached = (scores[:, None] * covers).amax(0) if len(scores) else scores.new_zeros(len(labels))
    thresholds = [
        _best_mask_threshold(probabilities[int(iou[:, index].argmax())], truth[index])
        for index in range(len(labels))
        if bool(covers[:, index].any())
    ]
    return FrameQuality(
        scores=scores.cpu().double().numpy(),
        right=covers.any(1).cpu().numpy(),
        kept=kept.cpu().numpy(),
        reached=reached.cpu().double().numpy(),
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


def summarise(frames: Sequence[FrameQuality], step: int) -> PseudoLabelScore:
    """What the frames, at least one, tell together: precision and recall over all, thresholds as mean and spread."""
    kept = sum(int(frame.kept.sum()) for frame in frames)
    right = sum(int((frame.kept & frame.right).sum()) for frame in frames)
    objects = sum(len(frame.found) for frame in frames)
    found = sum(int(frame.found.sum()) for frame in frames)
    ideal = _mean_and_spread([frame.ideal_threshold for frame in frames])
    ideal_mask = _mean_and_spread([value for frame in frames for value in frame.mask_thresholds])
    return PseudoLabelScore(
        step,
        frames=len(frames),
        kept=kept / len(frames),
        precision=right / kept if kept else None,
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
    """The class score at which keeping all predictions from it up has the highest F1; None when none is right."""
    scores = np.concatenate([frame.scores for frame in frames])
    right = np.concatenate([frame.right for frame in frames])
    reached = np.sort(np.concatenate([frame.reached for frame in frames]))
    if not right.any():
        return None
    candidates = np.unique(scores[right])
    ordered, ordered_right = np.sort(scores), np.sort(scores[right])
    kept = len(ordered) - np.searchsorted(ordered, candidates)
    precision = (len(ordered_right) - np.searchsorted(ordered_right, candidates)) / kept
    recall = (len(reached) - np.searchsorted(reached, candidates)) / len(reached)
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
