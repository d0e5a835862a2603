"""Predictions as a COCO dataset, and a COCO dataset as the truth to measure them by."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pycocotools import mask as rle_codec

from rise_engine.atomic import atomic_file
from rise_engine.commands.progress import with_progress
from rise_engine.errors import RiseError
from rise_engine.evaluation import OBJECT, coco_results
from rise_engine.formats.coco import image_ids
from rise_engine.inference import LoadedModel, predict_frames
from rise_engine.project.project import Project


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
                    "file_name": project.frame(frame).name,
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
        frames = [passing.frame(name) for name in names] if names is not None else passing.frames()
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
    known = {category.name: category.id for category in project.categories()}
    missing = [name for name in loaded.class_names if name not in known]
    if missing:
        raise RiseError(f"the project has no category {missing[0]!r}, which the run finds: choose another run")
    return [{"id": known[name], "name": name} for name in loaded.class_names]


def truth_from_file(project: Project, path: Path, frames: set[int] | None) -> dict[str, Any]:
    """A COCO file's images that are frames of the project (and among ``frames``), with the frames' ids.

    Raises RiseError when the file is no COCO dataset or names none of the frames.
    """
    dataset = _read_dataset(path)
    by_name = {frame.name: frame.id for frame in project.frames()}
    ids = {image["id"]: by_name[image["file_name"]] for image in dataset["images"] if image["file_name"] in by_name}
    if frames is not None:
        ids = {image: frame for image, frame in ids.items() if frame in frames}
    if not ids:
        raise RiseError(f"{path} names none of the frames to measure on: its file_name must be relative to the images")
    return {
        "images": [image | {"id": ids[image["id"]]} for image in dataset["images"] if image["id"] in ids],
        "annotations": [
            annotation | {"image_id": ids[annotation["image_id"]]}
            for annotation in dataset["annotations"]
            if annotation["image_id"] in ids
        ],
        "categories": dataset["categories"],
    }


def _read_dataset(path: Path) -> Mapping[str, Any]:
    try:
        dataset = json.loads(path.read_text(encoding="utf-8"))
        for image in dataset["images"]:
            if not {"id", "file_name", "height", "width"} <= image.keys():
                raise KeyError("images")
        for annotation in dataset["annotations"]:
            if not {"image_id", "category_id", "segmentation"} <= annotation.keys():
                raise KeyError("annotations")
        if not all({"id", "name"} <= category.keys() for category in dataset["categories"]):
            raise KeyError("categories")
    except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError, AttributeError) as error:
        raise RiseError(
            f"{path} is no COCO dataset with images, annotations and categories: give another file"
        ) from error
    return dict(dataset)
