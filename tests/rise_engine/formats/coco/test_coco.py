from __future__ import annotations

import copy
import errno
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pycocotools.coco import COCO

from rise_engine.errors import RiseError
from rise_engine.formats.coco import ImportReport, export_coco, image_ids, import_coco, to_coco
from rise_engine.project.project import Project
from rise_engine.project.records import FrameState, Instance, Source
from rise_engine.project.segmentation import from_mask, to_mask


def _mask(rows: slice, columns: slice) -> np.ndarray:
    mask = np.zeros((60, 80), dtype=bool)
    mask[rows, columns] = True
    return mask


def _dataset() -> dict[str, Any]:
    """Overlaps, polygons in parts, both kinds of run lengths, a crowd, odd fields, gaps in the ids."""
    return {
        "info": {"description": "two totes", "année": 2024},
        "licenses": [{"id": 3, "name": "CC-BY"}],
        "images": [
            {"id": 40, "file_name": "b.png", "width": 80, "height": 60, "camera": "left"},
            {"id": 7, "file_name": "sub/a.png", "width": 80, "height": 60, "license": 3},
            {"id": 12, "file_name": "empty.png", "width": 80, "height": 60},
        ],
        "annotations": [
            {
                "id": 900,
                "image_id": 40,
                "category_id": 5,
                "segmentation": [[10.25, 10, 40, 10, 40, 30.125, 10.25, 30], [50, 50, 60, 50, 60, 58]],
                "area": 640.123,
                "bbox": [10.25, 10, 49.75, 48],
                "iscrowd": 0,
                "grasp": {"x": 1, "y": [2, 3]},
            },
            {
                "id": 17,
                "image_id": 7,
                "category_id": 2,
                "segmentation": from_mask(_mask(slice(5, 50), slice(3, 33))),
                "area": 1350,
                "bbox": [3, 5, 30, 45],
                "iscrowd": 0,
            },
            {
                "id": 18,
                "image_id": 40,
                "category_id": 2,
                "segmentation": [[20, 10, 50, 10, 50, 40, 20, 40]],
                "area": 900,
                "bbox": [20, 10, 30, 30],
                "iscrowd": 0,
            },
            {
                "id": 3,
                "image_id": 40,
                "category_id": 5,
                "segmentation": {"size": [60, 80], "counts": [0, 120, 4680]},
                "area": 120,
                "bbox": [0, 0, 2, 60],
                "iscrowd": 1,
            },
        ],
        "categories": [{"id": 5, "name": "Object", "supercategory": "thing"}, {"id": 2, "name": "Tote"}],
    }


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    images = tmp_path / "totes"
    (images / "sub").mkdir(parents=True)
    for name in ("b.png", "sub/a.png", "empty.png", "new.png"):
        Image.new("RGB", (80, 60), (9, 90, 200)).save(images / name)
    with Project.create(tmp_path / "totes.rise", images) as made:
        made.scan()
        yield made


def _write(folder: Path, dataset: object, name: str = "in.json") -> Path:
    path = folder / name
    path.write_text(json.dumps(dataset), encoding="utf-8")
    return path


def _sorted(entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(entries, key=lambda entry: str(entry["id"]))


def test_what_nobody_edits_leaves_as_it_came(project: Project, tmp_path: Path) -> None:
    dataset = _dataset()
    report = import_coco(project, _write(tmp_path, dataset), empty_is_labelled=True)
    assert report == ImportReport(images=3, instances=4, missing_files=0, dropped=0, known=0, kept_out=0, skipped=0)
    written = export_coco(project, tmp_path / "out.json")
    assert (written.frames, written.instances) == (3, 4)
    out = json.loads((tmp_path / "out.json").read_text())
    assert out.keys() == dataset.keys()
    assert out["info"] == dataset["info"]
    assert out["licenses"] == dataset["licenses"]
    for key in ("images", "annotations", "categories"):
        assert _sorted(out[key]) == _sorted(dataset[key])
    assert to_coco(project) == out


def test_states_follow_the_annotations(project: Project, tmp_path: Path) -> None:
    import_coco(project, _write(tmp_path, _dataset()))
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
    path = _write(tmp_path, _dataset())
    import_coco(project, path)
    before, edits = to_coco(project), len(project.journal.history())
    report = import_coco(project, path)
    assert report == ImportReport(images=3, instances=0, missing_files=0, dropped=0, known=4, kept_out=0, skipped=0)
    assert to_coco(project) == before
    assert len(project.journal.history()) == edits


def test_an_import_is_one_edit(project: Project, tmp_path: Path) -> None:
    import_coco(project, _write(tmp_path, _dataset()), empty_is_labelled=True)
    after = to_coco(project)
    assert str(project.journal.undo()) == "imported in.json: 4 instances in 2 frames"
    assert project.annotations.categories() == []
    assert project.frames.counts()[FrameState.UNLABELLED] == 4
    assert to_coco(project) == {"images": [], "categories": [], "annotations": []}
    project.journal.redo()
    assert to_coco(project) == after


def test_dropped_categories_and_absent_files_are_counted(project: Project, tmp_path: Path) -> None:
    dataset = _dataset()
    dataset["images"].append({"id": 99, "file_name": "gone.png", "width": 80, "height": 60})
    dataset["annotations"].append({**dataset["annotations"][0], "id": 77, "image_id": 99})
    report = import_coco(project, _write(tmp_path, dataset), drop_categories=["tOtE"])
    assert (report.images, report.instances, report.missing_files, report.dropped) == (3, 2, 1, 2)
    assert report.dropped_categories == {"Tote"}
    assert [category.name for category in project.annotations.categories()] == ["Object"]
    # Its only annotation was a dropped one: nothing is known about it.
    assert project.frames.get("sub/a.png").state is FrameState.UNLABELLED
    with pytest.raises(RiseError, match="no frame"):
        project.frames.get("gone.png")


def test_none_found_is_an_error(project: Project, tmp_path: Path) -> None:
    dataset = _dataset()
    for image in dataset["images"]:
        image["file_name"] = "elsewhere/" + image["file_name"]
    with pytest.raises(RiseError, match="None of the 3 images"):
        import_coco(project, _write(tmp_path, dataset))


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
    dataset = _dataset()
    dataset["images"].append({"id": 99, "file_name": name})
    with pytest.raises(RiseError, match="leaves the image folder"):
        import_coco(project, _write(tmp_path, dataset))
    assert project.frames.counts()[FrameState.UNLABELLED] == 4
    assert project.annotations.categories() == []


def test_a_failure_in_the_last_annotation_imports_nothing(project: Project, tmp_path: Path) -> None:
    dataset = _dataset()
    dataset["annotations"][-1]["segmentation"] = "oops"
    with pytest.raises(RiseError, match=r"annotation 3 .*neither polygons nor run lengths"):
        import_coco(project, _write(tmp_path, dataset))
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
    dataset = _dataset()
    for annotation in dataset["annotations"]:
        del annotation["segmentation"]
    with pytest.raises(RiseError, match="boxes only"):
        import_coco(project, _write(tmp_path, dataset))


def _square() -> Instance:
    return Instance(None, 0, 5, from_mask(_mask(slice(0, 10), slice(0, 10))))


@pytest.mark.parametrize(("choice", "left", "added"), [("keep", 1, 1), ("replace", 3, 4), ("both", 4, 4)])
def test_a_conflict_is_settled_as_asked(project: Project, tmp_path: Path, choice: Any, left: int, added: int) -> None:
    path = _write(tmp_path, _dataset())
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
    dataset = _dataset()
    wrong = copy.deepcopy(dataset)
    for image in wrong["images"]:
        image |= {"width": 40, "height": 30}
    for annotation in wrong["annotations"]:
        if isinstance(annotation["segmentation"], list):
            halves = [[number / 2 for number in ring] for ring in annotation["segmentation"]]
            annotation["segmentation"] = halves
    import_coco(project, _write(tmp_path, wrong, "wrong.json"))
    frame = project.frames.get("b.png").id
    empty = project.frames.get("empty.png").id
    with pytest.raises(RiseError, match="40 x 30"):
        project.labelled_frame(frame)
    import_coco(project, _write(tmp_path, dataset), on_conflict="replace")
    assert project.labelled_frame(frame).masks.any()
    assert project.frames.annotated_size(frame) == (80, 60)
    assert project.frames.annotated_size(empty) == (40, 30)
    project.journal.undo()
    assert project.frames.annotated_size(frame) == (40, 30)
    project.journal.redo()
    assert project.frames.annotated_size(frame) == (80, 60)


def test_both_adds_only_what_is_not_there(project: Project, tmp_path: Path) -> None:
    dataset = _dataset()
    import_coco(project, _write(tmp_path, dataset))
    dataset["annotations"].append({**dataset["annotations"][2], "id": 1000})
    report = import_coco(project, _write(tmp_path, dataset), on_conflict="both")
    assert (report.instances, report.known, report.kept_out) == (1, 4, 0)


def test_a_second_file_joins_by_category_name_and_gets_free_ids(project: Project, tmp_path: Path) -> None:
    dataset = _dataset()
    import_coco(project, _write(tmp_path, dataset))
    second = {
        "licenses": [{"id": 4, "name": "CC0"}],
        "images": [{"id": 40, "file_name": "new.png", "width": 80, "height": 60}],
        "annotations": [{**copy.deepcopy(dataset["annotations"][2]), "category_id": 5}],
        "categories": [{"id": 5, "name": "Tote"}],
    }
    import_coco(project, _write(tmp_path, second, "second.json"))
    out = to_coco(project)
    assert [category["id"] for category in out["categories"]] == [5, 2]
    ids = {image["file_name"]: image["id"] for image in out["images"]}
    assert ids == {"b.png": 40, "sub/a.png": 7, "new.png": 41}
    added = next(a for a in out["annotations"] if a["image_id"] == 41)
    assert (added["id"], added["category_id"]) == (901, 2)
    assert [licence["id"] for licence in out["licenses"]] == [3, 4]
    assert image_ids(project)[project.frames.get("empty.png").id] == 12


def test_editing_one_instance_changes_only_its_mask(project: Project, tmp_path: Path) -> None:
    dataset = _dataset()
    import_coco(project, _write(tmp_path, dataset))
    edited = project.annotations.of_frame(project.frames.get("b.png").id)[0].id
    assert edited is not None
    mask = _mask(slice(2, 12), slice(4, 9))
    project.annotations.update(edited, segmentation=from_mask(mask))
    out = {annotation["id"]: annotation for annotation in to_coco(project)["annotations"]}
    assert out[900]["area"] == 50
    assert out[900]["bbox"] == [4, 2, 5, 10]
    assert out[900]["grasp"] == {"x": 1, "y": [2, 3]}
    assert (to_mask(out[900]["segmentation"], 60, 80) == mask).all()
    for annotation in dataset["annotations"][1:]:
        assert out[annotation["id"]] == annotation


@pytest.mark.parametrize("masks", ["as-imported", "rle", "polygons"])
def test_pycocotools_reads_ours_and_sees_the_same_masks(project: Project, tmp_path: Path, masks: Any) -> None:
    dataset = _dataset()
    import_coco(project, _write(tmp_path, dataset))
    blob = _mask(slice(20, 55), slice(30, 71))
    blob[20:30, 30:40] = False
    blob[54, 70] = False
    project.annotations.add(project.frames.get("new.png").id, [Instance(None, 0, 5, from_mask(blob))])
    export_coco(project, tmp_path / "out.json", masks=masks)
    theirs, ours = COCO(str(_write(tmp_path, dataset, "again.json"))), COCO(str(tmp_path / "out.json"))
    for number, annotation in theirs.anns.items():
        expected, found = theirs.annToMask(annotation), ours.annToMask(ours.anns[number])
        assert (expected & found).sum() >= 0.99 * (expected | found).sum()
        assert ours.anns[number]["iscrowd"] == annotation["iscrowd"]
    drawn = next(a for a in ours.anns.values() if a["image_id"] not in theirs.imgs)
    found = ours.annToMask(drawn).astype(bool)
    assert (found & blob).sum() >= 0.99 * (found | blob).sum()
    kinds = {number: type(a["segmentation"]) for number, a in ours.anns.items() if not a["iscrowd"]}
    if masks != "as-imported":
        assert set(kinds.values()) == {dict if masks == "rle" else list}


def test_the_source_says_what_leaves(project: Project, tmp_path: Path) -> None:
    category = project.annotations.add_category("object").id
    run = project.runs.start(preset="laptop", recipe="recommended", steps=1, base="none").number
    frames = {frame.name: frame.id for frame in project.frames.all()}

    def square(score: float | None = None) -> Instance:
        return Instance(None, 0, category, from_mask(_mask(slice(0, 10), slice(0, 10))), score=score)

    project.annotations.add(frames["b.png"], [square()])
    project.predictions.store(
        run, {frames[name]: [square(0.8), square(0.35)] for name in ("b.png", "new.png", "sub/a.png")}
    )
    best = project.predictions.of_frame(frames["sub/a.png"])[0].id
    assert best is not None
    project.predictions.accept([best])
    names = {source: _names_of(to_coco(project, source=source)) for source in ("reviewed", "drawn", "all")}
    assert names["reviewed"] == ["b.png", "sub/a.png"]
    assert names["drawn"] == ["b.png"]
    assert names["all"] == ["b.png", "new.png", "sub/a.png"]
    everything = to_coco(project, source="all")
    assert len(everything["annotations"]) == 4
    assert sorted(a["score"] for a in everything["annotations"] if "score" in a) == [0.35, 0.8]
    assert len({a["id"] for a in everything["annotations"]}) == 4
    assert len(to_coco(project, frames=[frames["b.png"]])["images"]) == 1
    assert [(image["width"], image["height"]) for image in everything["images"]] == [(80, 60)] * 3


def _names_of(dataset: dict[str, Any]) -> list[str]:
    return [image["file_name"] for image in dataset["images"]]


def test_a_full_disk_while_exporting_keeps_the_old_file(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import_coco(project, _write(tmp_path, _dataset()))
    folder = tmp_path / "out"
    export_coco(project, folder / "out.json")
    before = (folder / "out.json").read_bytes()

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(RiseError, match="No space left"):
        export_coco(project, folder / "out.json", masks="rle")
    assert (folder / "out.json").read_bytes() == before
    assert len(list(folder.iterdir())) == 1
