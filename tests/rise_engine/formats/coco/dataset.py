"""A COCO data set of three images with masks of every kind, and its file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from rise_engine.project.segmentation import from_mask


def rectangle_mask(rows: slice, columns: slice) -> np.ndarray:
    mask = np.zeros((60, 80), dtype=bool)
    mask[rows, columns] = True
    return mask


def coco_dataset() -> dict[str, Any]:
    """Overlaps, polygons in parts, both kinds of run lengths, a crowd, odd fields, gaps in the ids."""
    return {
        "info": {"description": "two totes", "année": 2024},
        "licenses": [{"id": 3, "name": "CC-BY"}],
        "images": [
            {"id": 40, "file_name": "b.png", "width": 80, "height": 60, "camera": "left"},
            {"id": 7, "file_name": "sub/a.png", "width": 80, "height": 60, "license": 3},
            {"id": 12, "file_name": "empty.png", "width": 80, "height": 60},
        ],
        "annotations": [
            {
                "id": 900,
                "image_id": 40,
                "category_id": 5,
                "segmentation": [[10.25, 10, 40, 10, 40, 30.125, 10.25, 30], [50, 50, 60, 50, 60, 58]],
                "area": 640.123,
                "bbox": [10.25, 10, 49.75, 48],
                "iscrowd": 0,
                "grasp": {"x": 1, "y": [2, 3]},
            },
            {
                "id": 17,
                "image_id": 7,
                "category_id": 2,
                "segmentation": from_mask(rectangle_mask(slice(5, 50), slice(3, 33))),
                "area": 1350,
                "bbox": [3, 5, 30, 45],
                "iscrowd": 0,
            },
            {
                "id": 18,
                "image_id": 40,
                "category_id": 2,
                "segmentation": [[20, 10, 50, 10, 50, 40, 20, 40]],
                "area": 900,
                "bbox": [20, 10, 30, 30],
                "iscrowd": 0,
            },
            {
                "id": 3,
                "image_id": 40,
                "category_id": 5,
                "segmentation": {"size": [60, 80], "counts": [0, 120, 4680]},
                "area": 120,
                "bbox": [0, 0, 2, 60],
                "iscrowd": 1,
            },
        ],
        "categories": [{"id": 5, "name": "Object", "supercategory": "thing"}, {"id": 2, "name": "Tote"}],
    }


def write_dataset(folder: Path, dataset: object, name: str = "in.json") -> Path:
    path = folder / name
    path.write_text(json.dumps(dataset), encoding="utf-8")
    return path
