"""Exports to COCO: what is written, in which form, and from which annotations."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path
from typing import Any

import pytest
from pycocotools.coco import COCO

from rise_engine.errors import RiseError
from rise_engine.formats.coco import ImportReport, export_coco, import_coco, to_coco
from rise_engine.project.project import Project
from rise_engine.project.records import Instance
from rise_engine.project.segmentation import from_mask, to_mask
from tests.rise_engine.formats.coco.dataset import coco_dataset, rectangle_mask, write_dataset


def _sorted(entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(entries, key=lambda entry: str(entry["id"]))


def test_what_nobody_edits_leaves_as_it_came(project: Project, tmp_path: Path) -> None:
    dataset = coco_dataset()
    report = import_coco(project, write_dataset(tmp_path, dataset), empty_is_labelled=True)
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


def test_editing_one_instance_changes_only_its_mask(project: Project, tmp_path: Path) -> None:
    dataset = coco_dataset()
    import_coco(project, write_dataset(tmp_path, dataset))
    edited = project.annotations.of_frame(project.frames.get("b.png").id)[0].id
    assert edited is not None
    mask = rectangle_mask(slice(2, 12), slice(4, 9))
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
    dataset = coco_dataset()
    import_coco(project, write_dataset(tmp_path, dataset))
    blob = rectangle_mask(slice(20, 55), slice(30, 71))
    blob[20:30, 30:40] = False
    blob[54, 70] = False
    project.annotations.add(project.frames.get("new.png").id, [Instance(None, 0, 5, from_mask(blob))])
    export_coco(project, tmp_path / "out.json", masks=masks)
    theirs, ours = COCO(str(write_dataset(tmp_path, dataset, "again.json"))), COCO(str(tmp_path / "out.json"))
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
        return Instance(None, 0, category, from_mask(rectangle_mask(slice(0, 10), slice(0, 10))), score=score)

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
    import_coco(project, write_dataset(tmp_path, coco_dataset()))
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
