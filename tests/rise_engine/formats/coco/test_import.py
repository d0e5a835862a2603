"""Imports from COCO: what is read, refused, counted, and added to existing annotations."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from rise_engine.errors import RiseError
from rise_engine.formats.coco import ImportReport, image_ids, import_coco, to_coco
from rise_engine.project.project import Project
from rise_engine.project.records import FrameState, Instance, Source
from rise_engine.project.segmentation import from_mask
from tests.rise_engine.formats.coco.dataset import coco_dataset, rectangle_mask, write_dataset


def test_states_follow_the_annotations(project: Project, tmp_path: Path) -> None:
    import_coco(project, write_dataset(tmp_path, coco_dataset()))
    states = {frame.name: frame.state for frame in project.frames.all()}
    assert states == {
        "b.png": FrameState.LABELLED,
        "empty.png": FrameState.UNLABELLED,
        "new.png": FrameState.UNLABELLED,
        "sub/a.png": FrameState.LABELLED,
    }
    assert [i.source for i in project.annotations.of_frame(project.frames.get("b.png").id)] == [Source.IMPORTED] * 3
    assert project.annotations.of_frame(project.frames.get("b.png").id)[0].extra == {"grasp": {"x": 1, "y": [2, 3]}}


def test_importing_the_same_file_twice_adds_nothing(project: Project, tmp_path: Path) -> None:
    path = write_dataset(tmp_path, coco_dataset())
    import_coco(project, path)
    before, edits = to_coco(project), len(project.journal.history())
    report = import_coco(project, path)
    assert report == ImportReport(images=3, instances=0, missing_files=0, dropped=0, known=4, kept_out=0, skipped=0)
    assert to_coco(project) == before
    assert len(project.journal.history()) == edits


def test_an_import_is_one_edit(project: Project, tmp_path: Path) -> None:
    import_coco(project, write_dataset(tmp_path, coco_dataset()), empty_is_labelled=True)
    after = to_coco(project)
    assert str(project.journal.undo()) == "imported in.json: 4 instances in 2 frames"
    assert project.annotations.categories() == []
    assert project.frames.counts()[FrameState.UNLABELLED] == 4
    assert to_coco(project) == {"images": [], "categories": [], "annotations": []}
    project.journal.redo()
    assert to_coco(project) == after


def test_dropped_categories_and_absent_files_are_counted(project: Project, tmp_path: Path) -> None:
    dataset = coco_dataset()
    dataset["images"].append({"id": 99, "file_name": "gone.png", "width": 80, "height": 60})
    dataset["annotations"].append({**dataset["annotations"][0], "id": 77, "image_id": 99})
    report = import_coco(project, write_dataset(tmp_path, dataset), drop_categories=["tOtE"])
    assert (report.images, report.instances, report.missing_files, report.dropped) == (3, 2, 1, 2)
    assert report.dropped_categories == {"Tote"}
    assert [category.name for category in project.annotations.categories()] == ["Object"]
    # Its only annotation was a dropped one: nothing is known about it.
    assert project.frames.get("sub/a.png").state is FrameState.UNLABELLED
    with pytest.raises(RiseError, match="no frame"):
        project.frames.get("gone.png")


def test_none_found_is_an_error(project: Project, tmp_path: Path) -> None:
    dataset = coco_dataset()
    for image in dataset["images"]:
        image["file_name"] = "elsewhere/" + image["file_name"]
    with pytest.raises(RiseError, match="None of the 3 images"):
        import_coco(project, write_dataset(tmp_path, dataset))


@pytest.mark.parametrize(
    "name",
    ["../secret.png", "sub/../../secret.png", "/etc/passwd", "..\\secret.png", "C:/x.png", "link.png", "out/s.png"],
)
def test_a_name_that_leaves_the_folder_refuses_the_whole_import(project: Project, tmp_path: Path, name: str) -> None:
    Image.new("RGB", (5, 5)).save(tmp_path / "secret.png")
    (tmp_path / "beside").mkdir()
    Image.new("RGB", (5, 5)).save(tmp_path / "beside" / "s.png")
    (project.images / "link.png").symlink_to(tmp_path / "secret.png")
    (project.images / "out").symlink_to(tmp_path / "beside")
    dataset = coco_dataset()
    dataset["images"].append({"id": 99, "file_name": name})
    with pytest.raises(RiseError, match="leaves the image folder"):
        import_coco(project, write_dataset(tmp_path, dataset))
    assert project.frames.counts()[FrameState.UNLABELLED] == 4
    assert project.annotations.categories() == []


def test_a_failure_in_the_last_annotation_imports_nothing(project: Project, tmp_path: Path) -> None:
    dataset = coco_dataset()
    dataset["annotations"][-1]["segmentation"] = "oops"
    with pytest.raises(RiseError, match=r"annotation 3 .*neither polygons nor run lengths"):
        import_coco(project, write_dataset(tmp_path, dataset))
    assert all(project.annotations.of_frame(frame.id) == [] for frame in project.frames.all())
    assert project.annotations.categories() == []
    assert project.journal.history() == []


@pytest.mark.parametrize(
    "content",
    [
        b"hello",
        b"\xff\xfe\x00",
        b"[]",
        b'[{"image_id": 1, "score": 0.5}]',
        b"{}",
        b'{"images": [], "annotations": [], "categories": []}',
        b'{"images": 3, "annotations": [], "categories": []}',
        b'{"images": [{"id": 1}], "annotations": [], "categories": []}',
        b'{"images": [{"id": 1, "file_name": 5}], "annotations": [], "categories": []}',
        b'{"images": [{"id": 1, "file_name": "b.png"}], "annotations": {}, "categories": []}',
        b'{"images": [{"id": 1, "file_name": "b.png"}], "annotations": [1], "categories": []}',
        b'{"images": [{"id": 1, "file_name": "b.png"}], "annotations": [{"image_id": [], "category_id": 1}], '
        b'"categories": []}',
        b'{"images": [{"id": 1, "file_name": "b.png"}], "annotations": [{"image_id": 1, "category_id": 1}], '
        b'"categories": []}',
        b'{"images": [{"id": 1, "file_name": "b.png"}, {"id": 1, "file_name": "b.png"}], "annotations": [], '
        b'"categories": []}',
        b'{"images": [{"id": 1, "file_name": "b.png"}], "annotations": [',
        b"[" * 100_000,
    ],
)
def test_a_file_that_is_not_coco_is_a_sentence(project: Project, tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "bad.json"
    path.write_bytes(content)
    with pytest.raises(RiseError, match=r"bad\.json"):
        import_coco(project, path)
    assert project.journal.history() == []


def test_boxes_without_masks_are_refused(project: Project, tmp_path: Path) -> None:
    dataset = coco_dataset()
    for annotation in dataset["annotations"]:
        del annotation["segmentation"]
    with pytest.raises(RiseError, match="boxes only"):
        import_coco(project, write_dataset(tmp_path, dataset))


def _square() -> Instance:
    return Instance(None, 0, 5, from_mask(rectangle_mask(slice(0, 10), slice(0, 10))))


@pytest.mark.parametrize(("choice", "left", "added"), [("keep", 1, 1), ("replace", 3, 4), ("both", 4, 4)])
def test_a_conflict_is_settled_as_asked(project: Project, tmp_path: Path, choice: Any, left: int, added: int) -> None:
    path = write_dataset(tmp_path, coco_dataset())
    project.annotations.add_category("other")
    import_coco(project, path)
    frame = project.frames.get("b.png").id
    project.annotations.delete([instance.id for instance in project.annotations.of_frame(frame) if instance.id])
    project.annotations.delete([i.id for i in project.annotations.of_frame(project.frames.get("sub/a.png").id) if i.id])
    project.annotations.add(frame, [_square()])
    before = to_coco(project)
    with pytest.raises(RiseError, match="on-conflict"):
        import_coco(project, path)
    assert to_coco(project) == before
    report = import_coco(project, path, on_conflict=choice)
    assert len(project.annotations.of_frame(frame)) == left
    assert report.instances == added
    project.journal.undo()
    assert to_coco(project) == before


def test_replacing_the_annotations_takes_over_the_size_they_were_made_on(project: Project, tmp_path: Path) -> None:
    """Somebody imports polygons of half the size, is told so, and imports the right file in their place."""
    dataset = coco_dataset()
    wrong = copy.deepcopy(dataset)
    for image in wrong["images"]:
        image |= {"width": 40, "height": 30}
    for annotation in wrong["annotations"]:
        if isinstance(annotation["segmentation"], list):
            halves = [[number / 2 for number in ring] for ring in annotation["segmentation"]]
            annotation["segmentation"] = halves
    import_coco(project, write_dataset(tmp_path, wrong, "wrong.json"))
    frame = project.frames.get("b.png").id
    empty = project.frames.get("empty.png").id
    with pytest.raises(RiseError, match="40 x 30"):
        project.labelled_frame(frame)
    import_coco(project, write_dataset(tmp_path, dataset), on_conflict="replace")
    assert project.labelled_frame(frame).masks.any()
    assert project.frames.annotated_size(frame) == (80, 60)
    assert project.frames.annotated_size(empty) == (40, 30)
    project.journal.undo()
    assert project.frames.annotated_size(frame) == (40, 30)
    project.journal.redo()
    assert project.frames.annotated_size(frame) == (80, 60)


def test_both_adds_only_what_is_not_there(project: Project, tmp_path: Path) -> None:
    dataset = coco_dataset()
    import_coco(project, write_dataset(tmp_path, dataset))
    dataset["annotations"].append({**dataset["annotations"][2], "id": 1000})
    report = import_coco(project, write_dataset(tmp_path, dataset), on_conflict="both")
    assert (report.instances, report.known, report.kept_out) == (1, 4, 0)


def test_a_second_file_joins_by_category_name_and_gets_free_ids(project: Project, tmp_path: Path) -> None:
    dataset = coco_dataset()
    import_coco(project, write_dataset(tmp_path, dataset))
    second = {
        "licenses": [{"id": 4, "name": "CC0"}],
        "images": [{"id": 40, "file_name": "new.png", "width": 80, "height": 60}],
        "annotations": [{**copy.deepcopy(dataset["annotations"][2]), "category_id": 5}],
        "categories": [{"id": 5, "name": "Tote"}],
    }
    import_coco(project, write_dataset(tmp_path, second, "second.json"))
    out = to_coco(project)
    assert [category["id"] for category in out["categories"]] == [5, 2]
    ids = {image["file_name"]: image["id"] for image in out["images"]}
    assert ids == {"b.png": 40, "sub/a.png": 7, "new.png": 41}
    added = next(a for a in out["annotations"] if a["image_id"] == 41)
    assert (added["id"], added["category_id"]) == (901, 2)
    assert [licence["id"] for licence in out["licenses"]] == [3, 4]
    assert image_ids(project)[project.frames.get("empty.png").id] == 12
