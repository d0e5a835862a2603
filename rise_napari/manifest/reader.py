"""Opens what RISE knows: in the window where there is a viewer, as plain layers for a script."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import napari
import numpy as np

from rise_engine.errors import RiseError
from rise_engine.formats.coco.images import image_folder
from rise_engine.project.image_file import SUFFIXES
from rise_engine.project.project import Project
from rise_engine.project.segmentation import to_mask
from rise_napari.ui.identity import PLUGIN, WIDGET

LayerData = tuple[Any, dict[str, Any], str]
Reader = Callable[[str | Sequence[str]], list[Any]]

COCO_HEAD_BYTES = 4_000_000
LOOKED_AT = 2000
"""So many entries of a folder are looked at for an image."""
NO_LAYER: list[Any] = [(None,)]
"""What napari takes for: it was opened, but not as a layer."""


def get_reader(path: str | Sequence[str] | None = None) -> Reader | None:
    """napari's question whether we can read ``path``; None when not."""
    if path is None or not isinstance(path, str):
        return None
    place = Path(path)
    if place.is_dir():
        if place.suffix == ".rise":
            return read_project if (place / "project.sqlite").is_file() else None
        return read_folder if _has_images(place) else None
    return read_coco if place.suffix.lower() == ".json" and _is_coco(place) else None


def read_folder(path: str | Sequence[str]) -> list[Any]:
    """A folder of images, opened in the RISE window by way of the project beside it."""
    if not open_in_window(Path(str(path))):
        raise RiseError(f"The folder {path} opens in the RISE window only, and there is no viewer.")
    return NO_LAYER


def read_project(path: str | Sequence[str]) -> list[Any]:
    """A project, opened in the RISE window.

    Without a viewer: the first annotated frame (else the first frame) with its annotations, as layers.
    """
    if open_in_window(Path(str(path))):
        return NO_LAYER
    with Project.open(Path(str(path)), read_only=True) as project:
        frames = project.frames.all()
        if not frames:
            raise RiseError(
                f"The project {path} has no frames: open it in the RISE window and choose a folder of images."
            )
        frame = next((one for one in frames if project.annotations.of_frame(one.id)), frames[0])
        image = project.image(frame.id)
        labels = np.zeros(image.shape[:2], np.int32)
        for label, instance in enumerate(project.annotations.of_frame(frame.id), start=1):
            labels[to_mask(instance.segmentation, *labels.shape)] = label
    return [
        (image, {"name": frame.name, "rgb": True}, "image"),
        (labels, {"name": f"{frame.name} annotations"}, "labels"),
    ]


def read_coco(path: str | Sequence[str]) -> list[Any]:
    """A COCO file with its images, opened in the RISE window.

    Without a viewer, or without the images: the annotations of its first annotated image, as a layer.
    """
    place = Path(str(path))
    if napari.current_viewer() is not None and _has_its_images(place) and open_in_window(place):
        return NO_LAYER
    content = json.loads(place.read_text(encoding="utf-8"))
    annotated = {annotation["image_id"] for annotation in content["annotations"]}
    image = next((one for one in content["images"] if one["id"] in annotated), None)
    if image is None:
        raise RiseError(f"{path} has no annotation: choose a file that has some.")
    labels = np.zeros((image["height"], image["width"]), np.int32)
    for label, annotation in enumerate((a for a in content["annotations"] if a["image_id"] == image["id"]), start=1):
        labels[to_mask(annotation["segmentation"], *labels.shape)] = label
    return [(labels, {"name": str(image.get("file_name", "COCO"))}, "labels")]


def open_in_window(path: Path) -> bool:
    """Opens ``path`` in the RISE window of the current viewer, which is docked when it is not; False without one."""
    viewer = napari.current_viewer()
    if viewer is None:
        return False
    _, bench = viewer.window.add_plugin_dock_widget(PLUGIN, WIDGET)
    bench.open_path(path)
    return True


def _has_images(folder: Path) -> bool:
    try:
        entries = islice(folder.rglob("*"), LOOKED_AT)
        return any(entry.suffix.lower() in SUFFIXES for entry in entries)
    except OSError:
        return False


def _has_its_images(path: Path) -> bool:
    try:
        image_folder(path)
    except RiseError:
        return False
    return True


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
