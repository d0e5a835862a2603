"""What `rise new` makes, and what it refuses and leaves as it was."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from rise_engine.project.project import Project
from rise_engine.project.records import FrameState, Split

SIZE = (96, 128)
LABELLED = 4


def test_new_imports_labels_and_marks_the_hold_out(tmp_path: Path, images: Path, coco: Path, rise: Any) -> None:
    holdout = tmp_path / "holdout.txt"
    holdout.write_text("tote_1.png\ntote_3.png\n")
    path = tmp_path / "totes.rise"
    outcome = rise("new", path, "--images", images, "--coco", coco, "--holdout-list", holdout)
    assert outcome.code == 0
    assert "8 instances imported in 4 frames" in outcome.out
    with Project.open(path) as made:
        assert made.frames.counts()[FrameState.LABELLED] == LABELLED
        assert [frame.name for frame in made.frames.all(split=Split.HOLDOUT)] == ["tote_1.png", "tote_3.png"]


def test_new_drops_categories_and_takes_empty_images_for_labelled(
    tmp_path: Path, images: Path, rise: Any, dataset: Any
) -> None:
    labels = dataset(2)
    labels["categories"].append({"id": 1, "name": "Tote"})
    labels["annotations"][0]["category_id"] = 1
    labels["images"].append({"id": 9, "file_name": "tote_5.png", "height": SIZE[0], "width": SIZE[1]})
    path = tmp_path / "labels.json"
    path.write_text(json.dumps(labels))
    options = ("--coco", path, "--drop-category", "Tote", "--empty-is-labelled")
    outcome = rise("new", tmp_path / "totes.rise", "--images", images, *options)
    assert "3 instances imported" in outcome.out
    with Project.open(tmp_path / "totes.rise") as made:
        assert [category.name for category in made.annotations.categories()] == ["parcel"]
        assert made.frames.get("tote_5.png").state is FrameState.LABELLED


@pytest.mark.parametrize(("text", "reason"), [
    ("not json at all", "not JSON"),
    (json.dumps({"hello": 1}), "COCO"),
    (json.dumps([1, 2]), "COCO"),
])  # fmt: skip
def test_bad_annotations_are_refused_and_leave_no_project(
    text: str, reason: str, tmp_path: Path, images: Path, refuses: Any
) -> None:
    path = tmp_path / "bad.json"
    path.write_text(text)
    assert reason in refuses("new", tmp_path / "totes.rise", "--images", images, "--coco", path)
    assert not (tmp_path / "totes.rise").exists()


@pytest.mark.parametrize(("name", "reason"), [
    ("../../secret.png", "leaves the image folder"),
    ("/etc/secret.png", "leaves the image folder"),
    ("elsewhere.png", "None of the"),
])  # fmt: skip
def test_annotations_of_other_images_are_refused_and_leave_no_project(
    name: str, reason: str, tmp_path: Path, images: Path, refuses: Any, dataset: Any
) -> None:
    path = tmp_path / "bad.json"
    path.write_text(json.dumps(dataset(1, images=[{"id": 500, "file_name": name}])))
    assert reason in refuses("new", tmp_path / "totes.rise", "--images", images, "--coco", path)
    assert not (tmp_path / "totes.rise").exists()


def test_what_would_leave_nothing_out_is_refused(tmp_path: Path, images: Path, coco: Path, refuses: Any) -> None:
    new = ("new", tmp_path / "totes.rise", "--images", images)
    said = refuses(*new, "--coco", coco, "--drop-category", "Parcels")
    assert "Parcels" in said and "parcel" in said.split(";")[1]
    assert "--coco" in refuses(*new, "--drop-category", "Parcel")
    assert "--coco" in refuses(*new, "--empty-is-labelled")
    assert not (tmp_path / "totes.rise").exists()


def test_folders_without_images_are_refused(tmp_path: Path, refuses: Any) -> None:
    (tmp_path / "empty").mkdir()
    assert "no images" in refuses("new", tmp_path / "p.rise", "--images", tmp_path / "empty")
    assert "does not exist" in refuses("new", tmp_path / "p.rise", "--images", tmp_path / "absent")
    Image.new("RGB", (8, 8)).save(tmp_path / "empty" / "a.png")
    assert "another folder" in refuses("new", tmp_path / "empty", "--images", tmp_path / "empty")
    assert [entry.name for entry in (tmp_path / "empty").iterdir()] == ["a.png"]
    photo = tmp_path / "photo.jpg"
    photo.write_text("")
    assert f"{photo} is a file" in refuses("new", tmp_path / "p.rise", "--images", photo)
    assert not (tmp_path / "p.rise").exists()


def test_a_folder_that_was_there_is_left_as_it_was_and_can_be_used(
    tmp_path: Path, images: Path, coco: Path, rise: Any, refuses: Any
) -> None:
    path, bad = tmp_path / "totes.rise", tmp_path / "bad.txt"
    path.mkdir()
    (path / "notes.txt").write_text("mine")
    bad.write_text("absent.png")
    assert "absent.png" in refuses("new", path, "--images", images, "--coco", coco, "--holdout-list", bad)
    assert [entry.name for entry in path.iterdir()] == ["notes.txt"]
    assert rise("new", path, "--images", images, "--coco", coco).code == 0


def test_a_wrong_name_in_the_hold_out_is_told_before_annotations_are_read(
    tmp_path: Path, images: Path, refuses: Any
) -> None:
    names, broken = tmp_path / "names.txt", tmp_path / "broken.json"
    names.write_text("absent.png")
    broken.write_text("{")
    path = tmp_path / "totes.rise"
    assert "absent.png" in refuses("new", path, "--images", images, "--coco", broken, "--holdout-list", names)
    assert str(broken) in refuses("new", path, "--images", images, "--coco", broken)


def test_a_project_that_is_there_is_not_made_again_nor_removed(project: Path, images: Path, refuses: Any) -> None:
    assert "already" in refuses("new", project, "--images", images)
    assert (project / "project.sqlite").is_file()


@pytest.mark.skipif(sys.platform != "linux", reason="other file systems have only names of text")
def test_a_name_that_is_not_utf8_is_left_out_and_named(rise: Any, images: Path, coco: Path, tmp_path: Path) -> None:
    os.link(images / "tote_0.png", os.fsencode(images) + b"/d\xe9cran.png")
    project, out = tmp_path / "p.rise", tmp_path / "out.json"
    for arguments in (
        ("new", project, "--images", images, "--coco", coco),
        ("status", project),
        ("check", project, "--headers-only"),
        ("predict", project, "--images", images, "--out", out),
    ):
        outcome = rise(*arguments)
        assert outcome.code == 0, outcome
        assert r"'d\udce9cran.png'" in outcome.out, arguments
