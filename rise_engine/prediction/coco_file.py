"""Write predictions as a COCO file, of a project's frames or of any folder of images."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from pycocotools import mask as rle_codec

from rise_engine.atomic import atomic_file
from rise_engine.errors import RiseError
from rise_engine.formats.coco import image_ids
from rise_engine.formats.coco.results import OBJECT_CATEGORY, coco_results
from rise_engine.prediction.load import LoadedModel
from rise_engine.prediction.predict import predict_frames
from rise_engine.project.project import Project


def predict_into_file(
    loaded: LoadedModel,
    project: Project,
    frame_ids: Sequence[int],
    out: Path,
    *,
    categories: Sequence[dict[str, Any]],
    unreadable: list[RiseError],
) -> Iterator[int]:
    """Predicts frames into a COCO file and yields the number of instances of each frame; iterate to the end.

    The file gets the 100 best instances per frame with a score of at least 0.001, as RLE. ``categories`` has one COCO
    category per class of the network (``coco_categories``). Images keep the ids of the file that they were imported
    from. Predictions are written as they are made, so memory does not grow with their number. ``out`` gets its name
    at the end; when the iteration ends early, it is unchanged. Errors of unreadable frames are appended to
    ``unreadable``. Raises RiseError when no frame can be predicted.
    """
    category_ids = [category["id"] for category in categories]
    ids = image_ids(project)
    images: list[dict[str, Any]] = []
    count = 0
    with atomic_file(out) as file:
        file.write(b'{"annotations": [')
        for frame, predictions in predict_frames(loaded, project, frame_ids, unreadable=unreadable):
            width, height = project.probe(frame)
            name = project.frames.get(frame).name
            images.append({"id": ids[frame], "file_name": name, "height": height, "width": width})
            for result in coco_results(ids[frame], predictions, category_ids):
                count += 1
                area = float(rle_codec.area(result["segmentation"]))
                separator = b"\n" if count == 1 else b",\n"
                file.write(separator + json.dumps({"id": count, **result, "area": area, "iscrowd": 0}).encode())
            yield len(predictions)
        if not images:
            raise unreadable[0] if unreadable else RiseError(f"There are no frames to predict in {project.images}.")
        rest = {"images": images, "categories": list(categories)}
        file.write(b"\n],\n" + json.dumps(rest, indent=0).encode()[2:])


def coco_categories(project: Project, loaded: LoadedModel) -> list[dict[str, Any]]:
    """The COCO category of each class of a network: the project's of that name, or the only category "object"."""
    if loaded.config.class_agnostic:
        return [dict(OBJECT_CATEGORY)]
    known = {category.name: category.id for category in project.annotations.categories()}
    missing = [name for name in loaded.class_names if name not in known]
    if missing:
        raise RiseError(f"The project has no category {missing[0]!r}, which the run predicts: choose another run.")
    return [{"id": known[name], "name": name} for name in loaded.class_names]


@contextmanager
def temporary_project(images: Path) -> Iterator[Project]:
    """A project of a folder of images for a single prediction; it is deleted afterwards."""
    with TemporaryDirectory() as folder, Project.create(Path(folder) / "images.rise", images) as project:
        project.scan()
        yield project
