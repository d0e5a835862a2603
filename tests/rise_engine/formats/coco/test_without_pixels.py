"""Segmentations that cover no pixel, and polygons of [x, y] pairs; pycocotools gives the right masks."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco_mask

from rise_engine.errors import RiseError
from rise_engine.evaluation.ground_truth import ground_truth_from_file
from rise_engine.formats.coco import import_coco, to_coco
from rise_engine.formats.coco.file import CocoFile
from rise_engine.project.project import Project
from rise_engine.project.records import FrameState

HEIGHT, WIDTH = 120, 160
GOOD = [[20, 20, 60, 20, 60, 60, 20, 60]]
HEXAGON = [[20, 20], [40, 15], [60, 20], [60, 60], [40, 65], [20, 60]]
NOTHING = [
    [[20, 20, 60, 60]],
    [[20, 20]],
    [[20, 20], [60, 60]],
    [[]],
    [[], [20, 20, 60, 60]],
    [[20, 20, 20, 20, 20, 20]],
    [[[20, 20], [60, 60]]],
    [[200, 20, 260, 20, 260, 60]],
    [[-60, -20, -10, -20, -10, -5]],
    {"size": [HEIGHT, WIDTH], "counts": [HEIGHT * WIDTH]},
    {"size": [HEIGHT, WIDTH], "counts": [5, 0, HEIGHT * WIDTH - 5]},
]


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    (tmp_path / "totes").mkdir()
    for name in ("a.png", "b.png"):
        Image.new("RGB", (WIDTH, HEIGHT), (120, 120, 120)).save(tmp_path / "totes" / name)
    with Project.create(tmp_path / "p.rise", tmp_path / "totes") as made:
        made.scan()
        yield made


def _file(tmp_path: Path, *masks: tuple[int, Any]) -> Path:
    path = tmp_path / "labels.json"
    images = [
        {"id": number, "file_name": name, "width": WIDTH, "height": HEIGHT}
        for number, name in enumerate(("a.png", "b.png"), start=1)
    ]
    annotations = [
        {"id": number, "image_id": image, "category_id": 1, "segmentation": mask, "bbox": [20, 20, 40, 40]}
        for number, (image, mask) in enumerate(masks, start=1)
    ]
    dataset = {"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "box"}]}
    path.write_text(json.dumps(dataset))
    return path


@pytest.mark.parametrize("empty_is_labelled", [False, True])
@pytest.mark.parametrize("mask", NOTHING)
def test_they_are_counted_and_label_nothing(
    project: Project, tmp_path: Path, mask: Any, empty_is_labelled: bool
) -> None:
    report = import_coco(project, _file(tmp_path, (1, mask), (2, GOOD), (2, mask)), empty_is_labelled=empty_is_labelled)
    assert (report.instances, report.pixelless) == (1, 2)
    assert "2 annotations have no pixels and were not imported." in report.notices()
    assert [frame.state for frame in project.frames.all()] == [FrameState.UNLABELLED, FrameState.LABELLED]
    assert [one["id"] for one in to_coco(project)["annotations"]] == [2]


@pytest.mark.parametrize("mask", NOTHING)
def test_a_file_with_nothing_else_is_refused(project: Project, tmp_path: Path, mask: Any) -> None:
    path = _file(tmp_path, (1, mask))
    with pytest.raises(RiseError, match="without any pixel"):
        import_coco(project, path)
    assert project.frames.get("a.png").state is FrameState.UNLABELLED
    with pytest.raises(RiseError, match="Annotation 1 of"):
        ground_truth_from_file(project, CocoFile(path), {1})


@pytest.mark.parametrize("points", [3, 4, 5, 6])
@pytest.mark.parametrize("nested", [False, True])
def test_pairs_of_any_length_are_polygons(project: Project, tmp_path: Path, points: int, nested: bool) -> None:
    ring = HEXAGON[:points]
    path = _file(tmp_path, (1, [ring] if nested else ring))
    assert import_coco(project, path).instances == 1
    flat = [[float(side) for point in ring for side in point]]
    right = coco_mask.decode(coco_mask.merge(coco_mask.frPyObjects(flat, HEIGHT, WIDTH))).astype(bool)
    np.testing.assert_array_equal(project.labelled_frame(1).masks, right[None])
    (truth,) = ground_truth_from_file(project, CocoFile(path), {1})["annotations"]
    np.testing.assert_array_equal(coco_mask.decode(truth["segmentation"]).astype(bool), right)


@pytest.mark.parametrize("mask", [[[20, 20, 60, 20, 60, 60, 20]], [[[1, 2, 3]] * 4], [1, 2, 3, 4, 5, 6], "text"])
def test_what_is_neither_is_refused(project: Project, tmp_path: Path, mask: Any) -> None:
    with pytest.raises(RiseError, match="annotation 1 of"):
        import_coco(project, _file(tmp_path, (1, mask)))
