"""A COCO file in the form in which a project stores it (COCO format)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

from rise_engine.formats.coco.file import CocoFile
from rise_engine.formats.watch import Watch
from rise_engine.project.frames import frame_name
from rise_engine.project.segmentation import to_json

UNFIT = "null"
"""Replaces a segmentation that is neither polygons nor run lengths."""
_IMAGE_FOLDERS = frozenset({"images", "JPEGImages"})
"""The names that labelling tools give to the image folder."""
_NAMED = frozenset({"id", "image_id", "category_id", "segmentation", "area", "bbox", "iscrowd"})


class PreparedAnnotation(NamedTuple):
    """An annotation of the file in the form in which it is stored."""

    number: Any
    image: int | str
    category: int | str
    segmentation: str
    """Empty without a segmentation, ``UNFIT`` when it cannot be stored."""
    crowd: int
    extra: str
    origin: str


class PreparedFile:
    """A COCO file with its images found and its annotations ready to be stored."""

    def __init__(self, file: CocoFile, root: Path, watch: Watch) -> None:
        self.path, self.header, self.categories = file.path, file.header, file.categories
        self.images = file.images
        # All names are checked before the first file is searched.
        names = {entry["id"]: frame_name(root, entry["file_name"]) for entry in file.images}
        self.names = {number: _inside(root, name) for number, name in names.items()}
        """The names of the images by their ids, None for a missing file."""
        entries = watch(file.annotations(), total=file.annotation_count, doing="reading annotations")
        self.annotations = [_prepared(entry) for entry in entries]


def _inside(root: Path, name: str) -> str | None:
    """The name of an image in the image folder; None when it is missing.

    Some tools write names relative to the parent folder: ``images/a.png``, or ``totes/a.png`` for ``totes``.
    """
    if (root / name).is_file():
        return name
    folder, _, rest = name.partition("/")
    if rest and folder in {*_IMAGE_FOLDERS, root.name} and (root / rest).is_file():
        return rest
    return None


def _prepared(entry: dict[str, Any]) -> PreparedAnnotation:
    segmentation = entry.get("segmentation")
    if not segmentation:
        text = ""
    elif _fits(segmentation):
        text = to_json(segmentation)
    else:
        text = UNFIT
    extra = {key: value for key, value in entry.items() if key not in _NAMED}
    return PreparedAnnotation(
        entry.get("id"),
        entry["image_id"],
        entry["category_id"],
        text,
        int(bool(entry.get("iscrowd"))),
        json.dumps(extra) if extra else "{}",
        json.dumps({key: entry[key] for key in ("id", "area", "bbox") if key in entry}),
    )


def _fits(segmentation: object) -> bool:
    if isinstance(segmentation, list):
        return all(isinstance(ring, list) and len(ring) % 2 == 0 for ring in segmentation)
    return isinstance(segmentation, dict) and {"size", "counts"} <= segmentation.keys()
