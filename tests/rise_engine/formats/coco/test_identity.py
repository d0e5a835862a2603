"""Images that a file lists twice, and ids and flags of the wrong type."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from rise_engine.errors import RiseError
from rise_engine.evaluation.ground_truth import ground_truth_from_file
from rise_engine.formats.coco import import_coco, to_coco
from rise_engine.formats.coco.file import CocoFile
from rise_engine.project.project import Project

MASK = [[20, 20, 60, 20, 60, 60, 20, 60]]
OTHER = [[20, 20, 60, 20, 60, 70, 20, 70]]


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    (tmp_path / "totes").mkdir()
    Image.new("RGB", (160, 120), (120, 120, 120)).save(tmp_path / "totes" / "a.png")
    with Project.create(tmp_path / "p.rise", tmp_path / "totes") as made:
        made.scan()
        yield made


def _file(tmp_path: Path, images: list[Any], annotations: list[dict[str, Any]], category: Any = 1) -> Path:
    path = tmp_path / "labels.json"
    dataset = {
        "images": [{"id": one, "file_name": "a.png", "width": 160, "height": 120} for one in images],
        "annotations": [
            {"id": number, "category_id": 1, "segmentation": MASK, **one}
            for number, one in enumerate(annotations, start=1)
        ],
        "categories": [{"id": category, "name": "box"}],
    }
    path.write_text(json.dumps(dataset))
    return path


def test_exact_doubles_are_one_frame(project: Project, tmp_path: Path) -> None:
    masks = [{"segmentation": MASK}, {"segmentation": OTHER, "iscrowd": 0}]
    path = _file(tmp_path, [742, 10], [{"image_id": 742, **one} for one in masks] + [{"image_id": 10, **one} for one in masks[::-1]])  # fmt: skip  # noqa: E501
    report = import_coco(project, path)
    assert (report.images, report.instances, report.doubled_images) == (1, 2, 1)
    exported = to_coco(project)
    assert [one["id"] for one in exported["images"]] == [742]
    assert [one["id"] for one in exported["annotations"]] == [1, 2]
    assert len(ground_truth_from_file(project, CocoFile(path), {1})["annotations"]) == 2
    assert len(ground_truth_from_file(project, CocoFile(path), {1})["images"]) == 1


@pytest.mark.parametrize("change", [{"segmentation": OTHER}, {"category_id": 2}, {"iscrowd": 1}, None])
def test_different_annotations_of_one_file_are_refused_with_both_ids(
    project: Project, tmp_path: Path, change: dict[str, Any] | None
) -> None:
    second = [] if change is None else [{"image_id": 10, **change}]
    path = _file(tmp_path, [742, 10], [{"image_id": 742}, *second])
    for reads in (
        lambda: import_coco(project, path),
        lambda: ground_truth_from_file(project, CocoFile(path), {1}),
    ):
        with pytest.raises(RiseError, match="image ids 742 and 10"):
            reads()
    assert not project.annotations.categories()


@pytest.mark.parametrize(
    ("image", "reference"), [(1, "1"), ("1", 1), (1, 1.0), (1.0, 1), ("1", 1.0), ("a", "a"), (7, "007")]
)
def test_ids_of_another_type_are_read(project: Project, tmp_path: Path, image: Any, reference: Any) -> None:
    path = _file(tmp_path, [image], [{"image_id": reference, "category_id": "1"}])
    assert import_coco(project, path).instances == 1
    assert [one.name for one in project.annotations.categories()] == ["box"]


def test_a_number_and_its_text_are_two_ids(project: Project, tmp_path: Path) -> None:
    Image.new("RGB", (160, 120)).save(project.images / "b.png")
    path = _file(tmp_path, [1, "1"], [{"image_id": "1"}])
    dataset = json.loads(path.read_text())
    dataset["images"][1]["file_name"] = "b.png"
    path.write_text(json.dumps(dataset))
    import_coco(project, path)
    assert [len(project.annotations.of_frame(frame.id)) for frame in project.frames.all()] == [0, 1]


@pytest.mark.parametrize("number", [True, None, 1.5, [1], {}])
@pytest.mark.parametrize("field", ["image_id", "category_id"])
def test_other_references_are_refused_with_their_place(
    project: Project, tmp_path: Path, field: str, number: Any
) -> None:
    with pytest.raises(RiseError, match="number 2"):
        import_coco(project, _file(tmp_path, [1], [{"image_id": 1}, {"image_id": 1, field: number}]))


@pytest.mark.parametrize(
    ("flag", "crowd"), [(0, 0), (1, 1), ("0", 0), ("1", 1), (True, 1), (False, 0), (None, 0), (1.0, 1), ("true", 1)]
)
def test_flags_of_another_type_are_read(project: Project, tmp_path: Path, flag: Any, crowd: int) -> None:
    path = _file(tmp_path, [1], [{"image_id": 1, "iscrowd": flag}])
    import_coco(project, path)
    assert [one.crowd for one in project.annotations.of_frame(1)] == [bool(crowd)]
    assert ground_truth_from_file(project, CocoFile(path), {1})["annotations"][0]["iscrowd"] == crowd


@pytest.mark.parametrize("flag", [2, "yes", [], 0.5, -1])
def test_other_flags_are_refused_with_their_place(project: Project, tmp_path: Path, flag: Any) -> None:
    with pytest.raises(RiseError, match="number 1"):
        import_coco(project, _file(tmp_path, [1], [{"image_id": 1, "iscrowd": flag}]))
