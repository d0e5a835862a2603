"""Opens what RISE knows as plain napari layers: a project, a folder of images, a COCO file."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from rise_engine.errors import RiseError
from rise_engine.project.project import Project
from rise_engine.project.segmentation import to_mask

LayerData = tuple[Any, dict[str, Any], str]
Reader = Callable[[str | Sequence[str]], list[LayerData]]

COCO_HEAD_BYTES = 4_000_000


def get_reader(path: str | Sequence[str] | None = None) -> Reader | None:
    """napari's question whether we can read ``path``; None when not."""
    if path is None or not isinstance(path, str):
        return None
    place = Path(path)
    if place.is_dir():
        return read_project if place.suffix == ".rise" and (place / "project.sqlite").is_file() else None
    return read_coco if place.suffix.lower() == ".json" and _is_coco(place) else None


def read_project(path: str | Sequence[str]) -> list[LayerData]:
    """The first annotated frame of a project (else its first frame) with its annotations."""
    with Project.open(Path(str(path)), read_only=True) as project:
        frames = project.frames()
        if not frames:
            raise RiseError(
                f"The project {path} has no frames: open it in the RISE window and choose a folder of images."
            )
        frame = next((one for one in frames if project.instances(one.id)), frames[0])
        image = project.image(frame.id)
        labels = np.zeros(image.shape[:2], np.int32)
        for label, instance in enumerate(project.instances(frame.id), start=1):
            labels[to_mask(instance.segmentation, *labels.shape)] = label
    return [
        (image, {"name": frame.name, "rgb": True}, "image"),
        (labels, {"name": f"{frame.name} annotations"}, "labels"),
    ]


def read_coco(path: str | Sequence[str]) -> list[LayerData]:
    """The annotations of the first annotated image of a COCO file."""
    content = json.loads(Path(str(path)).read_text(encoding="utf-8"))
    annotated = {annotation["image_id"] for annotation in content["annotations"]}
    image = next((one for one in content["images"] if one["id"] in annotated), None)
    if image is None:
        raise RiseError(f"{path} has no annotation: choose a file that has some.")
    labels = np.zeros((image["height"], image["width"]), np.int32)
    for label, annotation in enumerate((a for a in content["annotations"] if a["image_id"] == image["id"]), start=1):
        labels[to_mask(annotation["segmentation"], *labels.shape)] = label
    return [(labels, {"name": str(image.get("file_name", "COCO"))}, "labels")]


def _is_coco(path: Path) -> bool:
    try:
        with path.open(encoding="utf-8") as file:
            head = file.read(COCO_HEAD_BYTES)
            if len(head) < COCO_HEAD_BYTES:
                content = json.loads(head)
                return isinstance(content, dict) and {"images", "annotations"} <= content.keys()
        # Too long to parse for a question: one of COCO's long lists is named near the start.
        return head.lstrip().startswith("{") and ('"images"' in head or '"annotations"' in head)
    except (OSError, ValueError):
        return False
