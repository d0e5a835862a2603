"""Predictions as a COCO dataset, and a COCO dataset as the truth to measure them by."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeGuard

from pycocotools import mask as rle_codec

from rise_engine.atomic import atomic_file
from rise_engine.commands.progress import with_progress
from rise_engine.errors import RiseError
from rise_engine.evaluation.coco import OBJECT, coco_results
from rise_engine.formats.coco import image_ids
from rise_engine.formats.coco.file import CocoFile
from rise_engine.prediction.load import LoadedModel
from rise_engine.prediction.predict import predict_frames
from rise_engine.project.project import Project
from rise_engine.project.segmentation import Polygons, to_rle


@dataclass(frozen=True, slots=True)
class Written:
    """What a file of predictions holds."""

    frames: int
    instances: int


def predict_to_file(
    loaded: LoadedModel,
    project: Project,
    frames: Sequence[int],
    out: Path,
    unreadable: list[RiseError],
    *,
    categories: Sequence[dict[str, Any]] | None = None,
) -> Written:
    """Predicts ``frames`` and writes a COCO dataset: the 100 best a frame with a score of at least 0.001, as RLE.

    Images keep the ids of the file that they were imported from. The file is written as the predictions come, so that
    memory does not grow with their number. Frames that cannot be read go to ``unreadable``.
    """
    categories = predicted_categories(project, loaded) if categories is None else categories
    category_ids = [category["id"] for category in categories]
    ids = image_ids(project)
    images: list[dict[str, Any]] = []
    count = 0
    with atomic_file(out) as file:
        file.write(b'{"annotations": [')
        found = predict_frames(loaded, project, frames, unreadable=unreadable)
        for frame, predictions in with_progress(found, total=len(frames), doing="predicting"):
            width, height = project.probe(frame)
            images.append(
                {
                    "id": ids[frame],
                    "file_name": project.frames.get(frame).name,
                    "height": height,
                    "width": width,
                }
            )
            for result in coco_results(ids[frame], predictions, category_ids):
                count += 1
                area = float(rle_codec.area(result["segmentation"]))
                separator = b"\n" if count == 1 else b",\n"
                file.write(separator + json.dumps({"id": count, **result, "area": area, "iscrowd": 0}).encode())
        if not images:
            raise unreadable[0] if unreadable else RiseError(f"there are no frames to predict in {project.images}")
        rest = {"images": images, "categories": list(categories)}
        file.write(b"\n],\n" + json.dumps(rest, indent=0).encode()[2:])
    return Written(len(images), count)


def predict_folder(
    loaded: LoadedModel, project: Project, images: Path, out: Path, unreadable: list[RiseError], names: list[str] | None
) -> Written:
    """The same for a folder of images that is no project."""
    from tempfile import TemporaryDirectory

    with (
        TemporaryDirectory() as folder,
        Project.create(Path(folder) / "images.rise", images) as passing,
    ):
        passing.scan()
        frames = [passing.frames.get(name) for name in names] if names is not None else passing.frames.all()
        return predict_to_file(
            loaded,
            passing,
            [frame.id for frame in frames],
            out,
            unreadable,
            categories=predicted_categories(project, loaded),
        )


def predicted_categories(project: Project, loaded: LoadedModel) -> list[dict[str, Any]]:
    """The category of each class of a network: the project's of that name, or the one category "object"."""
    if loaded.config.class_agnostic:
        return [dict(OBJECT)]
    known = {category.name: category.id for category in project.annotations.categories()}
    missing = [name for name in loaded.class_names if name not in known]
    if missing:
        raise RiseError(f"the project has no category {missing[0]!r}, which the run finds: choose another run")
    return [{"id": known[name], "name": name} for name in loaded.class_names]


def truth_from_file(project: Project, path: Path, frames: Collection[int]) -> dict[str, Any]:
    """The images of a COCO file that are among ``frames`` of the project, with the frames' ids.

    Categories are numbered anew, and masks are compressed run lengths. Raises RiseError when the file is no COCO
    dataset, has none of the frames, or has something that cannot be measured on.
    """
    file = CocoFile(path)
    by_name = {frame.name: frame.id for frame in project.frames.all() if frame.id in frames}
    known = [(entry, by_name[entry["file_name"]]) for entry in file.images if entry["file_name"] in by_name]
    if not known:
        raise RiseError(
            f"{path} names none of the frames to measure on, which are the hold-out unless --frames FILE names others: "
            "its file_name must be relative to the images"
        )
    images = {entry["id"]: {**_sized(project, path, entry, frame), "id": frame} for entry, frame in known}
    classes = {entry["id"]: number for number, entry in enumerate(file.categories, start=1)}
    return {
        "images": list(images.values()),
        "annotations": [
            _measurable(path, entry, images[entry["image_id"]], classes.get(entry["category_id"], 0))
            for entry in file.annotations()
            if entry["image_id"] in images
        ],
        "categories": [{"id": number, "name": entry["name"]} for number, entry in enumerate(file.categories, start=1)],
    }


def _sized(project: Project, path: Path, entry: dict[str, Any], frame: int) -> dict[str, Any]:
    """The entry of an image whose sides are the frame's; RiseError when they are not."""
    width, height = project.probe(frame)
    told = entry.get("width"), entry.get("height")
    if told != (width, height):
        raise RiseError(
            f"{path} gives {entry['file_name']} the width {told[0]!r} and the height {told[1]!r}, but the image has "
            f"{width} x {height} pixels: measure on the images that the file was made for"
        )
    return entry


def _measurable(path: Path, entry: dict[str, Any], image: dict[str, Any], category: int) -> dict[str, Any]:
    """An annotation with its mask as run lengths; RiseError naming it when it has none, or no numbers for the rest."""
    where, segmentation = f"annotation {entry.get('id')} of {path}", entry.get("segmentation")
    if not isinstance(segmentation, dict) and not _are_polygons(segmentation):
        raise RiseError(
            f"{where} has a segmentation that is neither polygons of three points or more nor run lengths: mend it, or "
            "take it out of the file"
        )
    given = {name: entry[name] for name in ("area", "bbox") if entry.get(name)}
    if not _are_numbers([given.get("area", 0)], 1) or not _are_numbers(given.get("bbox", [0] * 4), 4):
        raise RiseError(f"{where} has an area or a bbox that is no number: mend it, or take the field out of the file")
    try:
        rle = to_rle(segmentation, image["height"], image["width"])
    except (RiseError, TypeError, ValueError, OverflowError) as error:
        raise RiseError(f"{where} has a mask that cannot be read: {error}") from error
    crowd = int(bool(entry.get("iscrowd")))
    return {**given, "image_id": image["id"], "category_id": category, "segmentation": rle, "iscrowd": crowd}


def _are_polygons(segmentation: object) -> TypeGuard[Polygons]:
    if not isinstance(segmentation, list) or not segmentation:
        return False
    return all(isinstance(ring, list) and _are_numbers(ring, max(6, len(ring) // 2 * 2)) for ring in segmentation)


def _are_numbers(values: object, count: int) -> bool:
    """Whether these are ``count`` numbers; neither infinity nor what no image needs is one."""
    return (
        isinstance(values, list)
        and len(values) == count
        and all(isinstance(value, int | float) and abs(value) < 1e15 for value in values)
    )
