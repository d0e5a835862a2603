"""Predictions as COCO results: one record per instance, with category, RLE, box and score."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from rise_engine.project.records import PredictedInstance

OBJECT_CATEGORY: dict[str, Any] = {"id": 1, "name": "object"}
"""The only category of class-agnostic predictions."""


def coco_results(
    image_id: int | str, predictions: Iterable[PredictedInstance], category_ids: Sequence[int]
) -> list[dict[str, Any]]:
    """Predictions of one image as COCO results; ``category_ids`` has the category id of each class."""
    return [
        {
            "image_id": image_id,
            "category_id": category_ids[prediction.label],
            "segmentation": prediction.rle,
            "bbox": [
                prediction.box[0],
                prediction.box[1],
                prediction.box[2] - prediction.box[0],
                prediction.box[3] - prediction.box[1],
            ],
            "score": prediction.score,
        }
        for prediction in predictions
    ]
