"""Opens folders, projects and COCO files: in the RISE window with a viewer, as plain layers in a script."""

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

Reader = Callable[[str | Sequence[str]], list[Any]]

COCO_HEAD_BYTES = 4_000_000
INSPECTED_ENTRIES = 2000
"""The maximum number of folder entries that are checked for an image."""
NO_LAYER: list[Any] = [(None,)]
"""Reports to napari that the file was opened without adding a layer."""


def get_reader(path: str | Sequence[str] | None = None) -> Reader | None:
    """The reader for ``path``, as napari asks for it; None for anything that RISE cannot open."""
    if path is None or not isinstance(path, str):
        return None
    file = Path(path)
    if file.is_dir():
        if file.suffix == ".rise":
            return read_project if (file / "project.sqlite").is_file() else None
        return read_folder if _has_images(file) else None
    return read_coco if file.suffix.lower() == ".json" and _is_coco(file) else None


def read_folder(path: str | Sequence[str]) -> list[Any]:
    """Opens a folder of images in the RISE window, with the project next to it. Raises RiseError without a viewer."""
    if not open_in_window(Path(str(path))):
        raise RiseError(f"The folder {path} can only be opened in the RISE window, and there is no viewer.")
    return NO_LAYER


def read_project(path: str | Sequence[str]) -> list[Any]:
    """Opens a project in the RISE window.

    Without a viewer, returns the first annotated frame (or the first frame) and its annotations as layers. Raises
    RiseError for a project without frames.
    """
    if open_in_window(Path(str(path))):
        return NO_LAYER
    with Project.open(Path(str(path)), read_only=True) as project:
        frames = project.frames.all()
        if not frames:
            raise RiseError(
                f"The project {path} has no frames. Open it in the RISE window and choose a folder of images."
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
    """Opens a COCO file with its images in the RISE window.

    Without a viewer or without the images, returns the annotations of the first annotated image as a layer. Raises
    RiseError for a file without annotations.
    """
    file = Path(str(path))
    if napari.current_viewer() is not None and _has_its_images(file) and open_in_window(file):
        return NO_LAYER
    content = json.loads(file.read_text(encoding="utf-8"))
    annotated = {annotation["image_id"] for annotation in content["annotations"]}
    image = next((one for one in content["images"] if one["id"] in annotated), None)
    if image is None:
        raise RiseError(f"{path} has no annotations. Choose another file.")
    labels = np.zeros((image["height"], image["width"]), np.int32)
    for label, annotation in enumerate((a for a in content["annotations"] if a["image_id"] == image["id"]), start=1):
        labels[to_mask(annotation["segmentation"], *labels.shape)] = label
    return [(labels, {"name": str(image.get("file_name", "COCO"))}, "labels")]


def open_in_window(path: Path) -> bool:
    """Opens ``path`` in the RISE window of the current viewer, creating it if needed; False without a viewer."""
    viewer = napari.current_viewer()
    if viewer is None:
        return False
    _, window = viewer.window.add_plugin_dock_widget(PLUGIN, WIDGET)
    window.open_path(path)
    return True


def _has_images(folder: Path) -> bool:
    try:
        entries = islice(folder.rglob("*"), INSPECTED_ENTRIES)
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
        # Too large to parse here; the name of a COCO list is near the start of the file.
        return head.lstrip().startswith("{") and ('"images"' in head or '"annotations"' in head)
    except (OSError, ValueError):
        return False
