"""Ground truth for an evaluation: the annotations of a project or of a COCO file, as a COCO dataset."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Collection, Hashable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeGuard

from pycocotools import mask as rle_codec

from rise_engine.errors import RiseError
from rise_engine.formats.coco.file import CocoFile
from rise_engine.formats.coco.identity import doubled_images
from rise_engine.formats.coco.polygons import as_polygons
from rise_engine.project.segmentation import Polygons, area_of, box_of, to_rle
from rise_engine.project.upright import made_on_another_size, usable_size

if TYPE_CHECKING:
    from rise_engine.project.project import Project


def ground_truth_of(project: Project, frame_ids: Sequence[int]) -> dict[str, Any]:
    """The annotations of these frames as a COCO dataset, with frame ids as image ids.

    Annotations without a pixel inside their image are left out: no prediction could match them. Raises RiseError
    naming the frame when its annotations were made on an image of another size.
    """
    images, annotations = [], []
    for frame_id in frame_ids:
        width, height = project.probe(frame_id)
        images.append(
            {"id": frame_id, "file_name": project.frames.get(frame_id).name, "height": height, "width": width}
        )
        project.require_own_size(frame_id)
        for instance in project.annotations.of_frame(frame_id):
            try:
                area = area_of(instance.segmentation, height, width)
            except RiseError as error:
                raise RiseError(f"{project.frames.get(frame_id).name}: {error}") from error
            if not area:
                continue
            x0, y0, x1, y1 = box_of(instance.segmentation, height, width)
            annotations.append(
                {
                    "id": instance.id,
                    "image_id": frame_id,
                    "category_id": instance.category,
                    "segmentation": instance.segmentation,
                    "bbox": [x0, y0, x1 - x0, y1 - y0],
                    "area": area,
                    "iscrowd": int(instance.crowd),
                }
            )
    categories = [{"id": category.id, "name": category.name} for category in project.annotations.categories()]
    return {"images": images, "annotations": annotations, "categories": categories}


def frames_of_file(project: Project, file: CocoFile, frames: Collection[int]) -> frozenset[int]:
    """Those of ``frames`` that a COCO file lists. Raises RiseError when it lists none of them."""
    listed = {entry["file_name"] for entry in file.images}
    found = frozenset(frame.id for frame in project.frames.all() if frame.id in frames and frame.name in listed)
    if not found:
        raise RiseError(
            f"{file.path} has none of the frames to evaluate on (the hold-out, or the list of --frames FILE): each "
            "file_name must be relative to the image folder."
        )
    return found


def ground_truth_from_file(project: Project, file: CocoFile, frames: Collection[int]) -> dict[str, Any]:
    """The images of a COCO file that are among ``frames`` of the project, with frame ids as image ids.

    Categories are numbered 1, 2, ... and masks become compressed run lengths. Raises RiseError when an
    image has another size, or an annotation cannot be evaluated.
    """
    path = file.path
    by_name = {frame.name: frame.id for frame in project.frames.all() if frame.id in frames}
    known = [(entry, by_name[entry["file_name"]]) for entry in file.images if entry["file_name"] in by_name]
    numbers = {entry["id"] for entry, _ in known}
    annotations = [entry for entry in file.annotations() if entry["image_id"] in numbers]
    contents: dict[int | str, Counter[Hashable]] = defaultdict(Counter)
    for entry in annotations:
        mask = json.dumps(entry.get("segmentation"))
        contents[entry["image_id"]][entry["category_id"], mask, entry.get("iscrowd", 0)] += 1
    doubles = doubled_images(path, {entry["id"]: entry["file_name"] for entry, _ in known}, contents)
    images = {
        entry["id"]: {**_checked_size(project, path, entry, frame), "id": frame}
        for entry, frame in known
        if entry["id"] not in doubles
    }
    classes = {entry["id"]: number for number, entry in enumerate(file.categories, start=1)}
    return {
        "images": list(images.values()),
        "annotations": [
            _checked_annotation(path, entry, images[entry["image_id"]], classes.get(entry["category_id"], 0))
            for entry in annotations
            if entry["image_id"] in images
        ],
        "categories": [{"id": number, "name": entry["name"]} for number, entry in enumerate(file.categories, start=1)],
    }


def _checked_size(project: Project, path: Path, entry: dict[str, Any], frame: int) -> dict[str, Any]:
    """The entry of an image with the frame's size; RiseError when the file gives another one."""
    size = project.probe(frame)
    given = usable_size(entry)
    if given is None:
        raise RiseError(f"{path} has no width and height for {entry['file_name']}: write those of the image.")
    if given != size:
        raise RiseError(f"{path}: {entry['file_name']}: {made_on_another_size(given, size)}")
    return {**entry, "width": given[0], "height": given[1]}


def _checked_annotation(path: Path, entry: dict[str, Any], image: dict[str, Any], category: int) -> dict[str, Any]:
    """An annotation with its mask as RLE. Raises RiseError when its mask, area or bbox is invalid."""
    where, segmentation = f"Annotation {entry.get('id')} of {path}", entry.get("segmentation")
    if isinstance(segmentation, list):
        segmentation = as_polygons(segmentation)
    if not isinstance(segmentation, dict) and not _are_polygons(segmentation):
        raise RiseError(
            f"{where} has a segmentation that is neither polygons of three points or more nor run lengths: fix it, or "
            "remove it from the file."
        )
    given = {name: entry[name] for name in ("area", "bbox") if entry.get(name)}
    if not _are_numbers([given.get("area", 0)], 1) or not _are_numbers(given.get("bbox", [0] * 4), 4):
        raise RiseError(f"{where} has an area or a bbox that is not a number: fix or remove the field in the file.")
    try:
        rle = to_rle(segmentation, image["height"], image["width"])
    except (RiseError, TypeError, ValueError, OverflowError) as error:
        raise RiseError(f"{where} has a mask that cannot be read: {error}") from error
    if not rle_codec.area(rle):
        raise RiseError(f"{where} covers no pixel of its image: fix it, or remove it from the file.")
    crowd = entry.get("iscrowd", 0)
    return {**given, "image_id": image["id"], "category_id": category, "segmentation": rle, "iscrowd": crowd}


def _are_polygons(segmentation: object) -> TypeGuard[Polygons]:
    if not isinstance(segmentation, list) or not segmentation:
        return False
    return all(isinstance(ring, list) and _are_numbers(ring, max(6, len(ring) // 2 * 2)) for ring in segmentation)


def _are_numbers(values: object, count: int) -> bool:
    """Whether ``values`` is a list of ``count`` finite numbers of a plausible size."""
    return (
        isinstance(values, list)
        and len(values) == count
        and all(isinstance(value, int | float) and abs(value) < 1e15 for value in values)
    )
