"""COCO files with the habits of the tools that write them: they open, leave as they came, and others open ours."""

from __future__ import annotations

import contextlib
import io
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO

from rise_engine.formats.coco import export_coco, import_coco, to_coco
from rise_engine.project.project import Project
from rise_engine.project.records import Instance
from rise_engine.project.segmentation import to_mask

WIDTH, HEIGHT = 64, 48
HASHED = "tote2_jpg.rf.0f3c9a7be2d14c55a8e6.png"
NAMES = ("tote1.png", HASHED, "deep/3b5e0f11-tote3.png")
L_SHAPE = [4.5, 4, 40, 4, 40, 12, 12, 12, 12, 30.25, 4.5, 30]


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    folder = tmp_path / "totes"
    (folder / "deep").mkdir(parents=True)
    for name in NAMES:
        Image.new("RGB", (WIDTH, HEIGHT), (9, 90, 200)).save(folder / name)
    (folder / "_annotations.coco.json").write_text("{}")
    with Project.create(tmp_path / "totes.rise", folder) as made:
        made.scan()
        yield made


def _runs() -> dict[str, Any]:
    """A ring with a hole as plain run lengths, columns first."""
    ring = np.zeros((HEIGHT, WIDTH), dtype=np.uint8)
    ring[10:40, 20:50] = 1
    ring[20:30, 30:40] = 0
    flat = ring.ravel(order="F")
    changes = np.flatnonzero(np.diff(flat)) + 1
    return {"counts": np.diff([0, *changes.tolist(), flat.size]).tolist(), "size": [HEIGHT, WIDTH]}


def cvat() -> dict[str, Any]:
    """Licence and image licence 0, an ``attributes`` object, painted masks as run lengths with ``iscrowd`` 1."""
    empty = {"contributor": "", "date_created": "", "description": "", "url": "", "version": "", "year": ""}
    image = {"license": 0, "flickr_url": "", "coco_url": "", "date_captured": 0, "width": WIDTH, "height": HEIGHT}
    attributes = {"occluded": False, "rotation": 0.0, "grip": "top", "track_id": None}
    return {
        "licenses": [{"name": "", "id": 0, "url": ""}],
        "info": empty,
        "categories": [{"id": 1, "name": "object", "supercategory": ""}, {"id": 2, "name": "bag", "supercategory": ""}],
        "images": [{"id": 1, "file_name": NAMES[0], **image}, {"id": 2, "file_name": NAMES[1], **image}],
        "annotations": [
            {
                "id": 1,
                "image_id": 1,
                "category_id": 1,
                "segmentation": [L_SHAPE, [50, 40, 60, 40, 60, 45]],
                "area": 512.0,
                "bbox": [4.5, 4.0, 55.5, 41.0],
                "iscrowd": 0,
                "attributes": attributes,
            },
            {
                "id": 2,
                "image_id": 1,
                "category_id": 2,
                "segmentation": _runs(),
                "area": 800,
                "bbox": [20, 10, 29, 29],
                "iscrowd": 1,
                "attributes": {"occluded": True},
            },
        ],
    }


def label_studio(*, folder: str, windows: bool) -> dict[str, Any]:
    """Everything numbered from 0, names with a folder (backslashes on Windows), ``ignore`` in place of ``iscrowd``."""
    slash = "\\" if windows else "/"
    return {
        "images": [
            {"width": WIDTH, "height": HEIGHT, "id": 0, "file_name": folder + slash + NAMES[0]},
            {"width": WIDTH, "height": HEIGHT, "id": 1, "file_name": f"deep{slash}3b5e0f11-tote3.png"},
        ],
        "categories": [{"id": 0, "name": "object"}],
        "annotations": [
            {
                "id": 0,
                "image_id": 0,
                "category_id": 0,
                "segmentation": [L_SHAPE],
                "bbox": [4.5, 4.0, 35.5, 26.25],
                "ignore": 0,
                "area": 480.375,
            },
            {
                "id": 1,
                "image_id": 1,
                "category_id": 0,
                "segmentation": [[1, 1, 9, 1, 9, 9]],
                "bbox": [1, 1, 8, 8],
                "ignore": 0,
                "area": 32,
            },
        ],
        "info": {
            "year": 2024,
            "version": "1.0",
            "contributor": "Label Studio",
            "date_created": "2024-05-01 10:00:00.1",
        },
    }


def labelme() -> dict[str, Any]:
    """No annotation ids, a ``type``, names below JPEGImages, nulls, a background category 0."""
    return {
        "info": {"description": None, "url": None, "version": None, "year": 2024, "contributor": None},
        "licenses": [{"url": None, "id": 0, "name": None}],
        "type": "instances",
        "images": [
            {
                "license": 0,
                "url": None,
                "file_name": f"JPEGImages/{NAMES[0]}",
                "height": HEIGHT,
                "width": WIDTH,
                "date_captured": None,
                "id": 0,
            }
        ],
        "annotations": [
            {
                "image_id": 0,
                "category_id": 1,
                "segmentation": [L_SHAPE, [50.5, 40.5, 60.0, 40.0, 60.25, 45.0]],
                "area": 500.0,
                "bbox": [4.0, 4.0, 57.0, 41.0],
                "iscrowd": 0,
            },
            {"image_id": 0, "category_id": 2, "segmentation": [[1, 1, 9, 1, 9, 9]], "iscrowd": 0},
        ],
        "categories": [
            {"supercategory": None, "id": 0, "name": "_background_"},
            {"supercategory": None, "id": 1, "name": "box"},
            {"supercategory": None, "id": 2, "name": "bag"},
        ],
    }


def roboflow() -> dict[str, Any]:
    """Hashed names, ``extra`` with the first name, category 0 that only groups the others, here named alike."""
    return {
        "info": {"year": "2024", "version": "3", "date_created": "2024-05-01T10:00:00+00:00"},
        "licenses": [{"id": 1, "url": "https://creativecommons.org/licenses/by/4.0/", "name": "CC BY 4.0"}],
        "categories": [
            {"id": 0, "name": "object", "supercategory": "none"},
            {"id": 1, "name": "object", "supercategory": "object"},
        ],
        "images": [
            {
                "id": 0,
                "license": 1,
                "file_name": HASHED,
                "height": HEIGHT,
                "width": WIDTH,
                "date_captured": "2024-05-01T10:00:00+00:00",
                "extra": {"name": "tote2.jpg"},
            }
        ],
        "annotations": [
            {
                "id": 0,
                "image_id": 0,
                "category_id": 1,
                "bbox": [4.5, 4, 35.5, 26.25],
                "area": 931.875,
                "segmentation": [L_SHAPE],
                "iscrowd": 0,
            }
        ],
    }


TOOLS = {
    "cvat": cvat(),
    "label-studio": label_studio(folder="images", windows=False),
    "label-studio-windows": label_studio(folder="images", windows=True),
    "label-studio-own-folder": label_studio(folder="totes", windows=False),
    "label-studio-roundabout": label_studio(folder="images\\..\\totes", windows=True),
    "labelme": labelme(),
    "roboflow": roboflow(),
}


@pytest.fixture(params=list(TOOLS))
def dataset(request: pytest.FixtureRequest) -> dict[str, Any]:
    return json.loads(json.dumps(TOOLS[request.param]))


def _write(folder: Path, dataset: dict[str, Any]) -> Path:
    path = folder / "from the tool.json"
    path.write_text(json.dumps(dataset), encoding="utf-8")
    return path


def test_all_of_it_opens_and_leaves_as_it_came(project: Project, tmp_path: Path, dataset: dict[str, Any]) -> None:
    report = import_coco(project, _write(tmp_path, dataset), empty_is_labelled=True)
    assert (report.instances, report.images) == (len(dataset["annotations"]), len(dataset["images"]))
    assert (report.missing_files, report.skipped, report.dropped) == (0, 0, 0)
    for frame in project.frames.all():
        for instance in project.annotations.of_frame(frame.id):
            assert to_mask(instance.segmentation, HEIGHT, WIDTH).any()
    left = to_coco(project)
    for key, value in dataset.items():
        if key not in ("images", "annotations"):
            assert left[key] == value
    assert sorted(left["images"], key=lambda image: image["id"]) == dataset["images"]
    for before, after in zip(dataset["annotations"], left["annotations"], strict=True):
        assert {key: after[key] for key in before} == before
        assert after.keys() - before.keys() <= {"id", "area", "bbox", "iscrowd"}


def test_a_second_time_adds_nothing(project: Project, tmp_path: Path, dataset: dict[str, Any]) -> None:
    path = _write(tmp_path, dataset)
    import_coco(project, path)
    before, edits = to_coco(project), len(project.journal.history())
    report = import_coco(project, path)
    assert (report.instances, report.known) == (0, len(dataset["annotations"]))
    assert (to_coco(project), len(project.journal.history())) == (before, edits)


def _ours(project: Project, tmp_path: Path, dataset: dict[str, Any]) -> Path:
    """An export of the tool's annotations and one drawn here."""
    import_coco(project, _write(tmp_path, dataset))
    frame = project.frames.get(NAMES[0]).id
    category = project.annotations.categories()[-1].id
    project.annotations.add(frame, [Instance(None, frame, category, [[30, 30, 50, 30, 50, 44]])])
    path = tmp_path / "ours.json"
    export_coco(project, path)
    return path


def test_pycocotools_opens_what_leaves(project: Project, tmp_path: Path, dataset: dict[str, Any]) -> None:
    path = _ours(project, tmp_path, dataset)
    with contextlib.redirect_stdout(io.StringIO()):
        index = COCO(str(path))
    assert len(index.anns) == len(dataset["annotations"]) + 1
    for annotation in index.anns.values():
        assert annotation["image_id"] in index.imgs
        assert annotation["category_id"] in index.cats
        mask = index.annToMask(annotation)
        assert mask.shape == (HEIGHT, WIDTH)
        assert coco_mask.area(index.annToRLE(annotation)) == mask.sum() > 0


# Names with .. and two categories of one name leave as they came, but datumaro opens neither from anybody.
@pytest.mark.parametrize("tool", [tool for tool in TOOLS if tool != "label-studio-roundabout"])
def test_datumaro_opens_what_leaves(project: Project, tmp_path: Path, tool: str) -> None:
    datumaro = pytest.importorskip(
        "datumaro", reason="CVAT's reader wants Pillow 12: docs/formats.md says how to run this"
    )
    dataset = json.loads(json.dumps(TOOLS[tool]))
    if tool == "roboflow":
        dataset["categories"][0]["name"] = "totes"
    # Its reader wants annotations/instances_NAME.json beside a folder images/.
    path = _ours(project, tmp_path, dataset)
    written = json.loads(path.read_text())
    root = tmp_path / "for datumaro"
    (root / "annotations").mkdir(parents=True)
    shutil.copytree(project.images, root / "images")
    path.rename(root / "annotations" / "instances_default.json")
    read = datumaro.Dataset.import_from(str(root), "coco_instances")
    # Polygons in parts become several shapes of one group.
    groups = {
        (item.id, shape.group) for item in read for shape in item.annotations if shape.type.name in ("polygon", "mask")
    }
    assert len(groups) == len(written["annotations"])
    names = {label.name for label in read.categories()[datumaro.AnnotationType.label].items}
    assert names == {category["name"] for category in written["categories"]}
