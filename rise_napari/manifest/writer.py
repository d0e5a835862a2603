"""Saves a Labels layer as a COCO file, with one annotation per label."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from rise_engine.atomic import write_text
from rise_engine.errors import RiseError
from rise_engine.project.segmentation import area_of, box_of, from_mask


def write_coco(path: str, data: Any, attributes: dict[str, Any]) -> list[str]:
    """Writes a label image (H, W) to ``path`` and returns the written paths. Raises RiseError for other shapes."""
    labels = np.asarray(data)
    if labels.ndim != 2:
        raise RiseError("Only a two-dimensional label image can be saved as COCO. Select one frame of the layer.")
    height, width = labels.shape
    annotations = []
    for label in np.unique(labels[labels != 0]).tolist():
        rle = from_mask(labels == label)
        left, top, right, bottom = box_of(rle, height, width)
        annotations.append(
            {
                "id": len(annotations) + 1,
                "image_id": 1,
                "category_id": 1,
                "segmentation": rle,
                "area": area_of(rle, height, width),
                "bbox": [left, top, right - left, bottom - top],
                "iscrowd": 0,
            }
        )
    image = {"id": 1, "file_name": str(attributes.get("name", "labels")), "height": height, "width": width}
    content = {"images": [image], "annotations": annotations, "categories": [{"id": 1, "name": "object"}]}
    write_text(Path(path), json.dumps(content))
    return [path]
