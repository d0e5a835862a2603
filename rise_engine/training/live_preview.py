"""Live predictions on the watched frame, and which of them would be pseudo-labels now."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from rise_engine.method.pseudo_labels import select
from rise_engine.method.thresholds import quantile_level, staircase
from rise_engine.prediction.load import LoadedModel
from rise_engine.prediction.predict import predict
from rise_engine.training.events import Preview

SHOWN_SCORE = 0.3
"""Predictions below this score are not shown."""


def preview_frame(loaded: LoadedModel, name: str, image: NDArray[np.uint8], *, step: int) -> Preview:
    """Predicts ``image`` uint8 (H, W, 3) in one pass and applies the cascade of the step to the scores.

    The pseudo-labels of a training may differ: there the teacher may use test-time augmentation, and the quantile is
    over all its predictions, before duplicates are dropped.
    """
    config, steps = loaded.config.pseudo_labels, loaded.config.schedule.steps
    gamma = staircase(step, steps, config.threshold_start, config.threshold_peak, config.stairs)
    found = predict(loaded, image, min_score=min(gamma, SHOWN_SCORE))
    selection = select(
        torch.tensor([instance.score for instance in found]),
        gamma=gamma,
        level=quantile_level(step, steps, config.quantile_start),
        strategy=config.strategy,
    )
    return Preview(
        step,
        frame=name,
        predictions=[instance for instance in found if instance.score >= SHOWN_SCORE],
        pseudo_labels=[found[index] for index in selection.kept.tolist()],
    )
