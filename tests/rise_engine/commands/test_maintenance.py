"""relink, check, backup and history as a person runs them."""

from __future__ import annotations

import json
import shutil
import sqlite3
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from rise_engine.evaluation.ground_truth import ground_truth_of
from rise_engine.project.project import Project
from rise_engine.project.records import FrameState, Instance


@pytest.fixture
def made(tmp_path: Path) -> Path:
    """A project of three images with an annotation on each, and a finished run."""
    images = tmp_path / "totes"
    images.mkdir()
    noise = np.random.default_rng(0).integers(0, 255, (60, 80, 3), dtype=np.uint8)
    for name in ("a.jpg", "b.jpg", "c.png"):
        Image.fromarray(noise).save(images / name)
    path = tmp_path / "totes.rise"
    with Project.create(path, images) as project:
        project.scan()
        category = project.annotations.add_category("object").id
        for frame in project.frames.all():
            project.probe(frame.id)
            project.annotations.add(frame.id, [Instance(None, frame.id, category, [[1, 1, 30, 1, 30, 20]])])
        run = project.runs.start(preset="laptop", recipe="paper", steps=3, base="none")
        (run.folder / "weights.safetensors").write_bytes(b"weights")
        (run.folder / "metrics.jsonl").write_text('{"step": 1}\n')
        project.runs.finish(run.number, steps=3)
    return path


def test_a_whole_project_is_well_and_stays_as_it_is(made: Path, rise: Any) -> None:
    with Project.open(made) as project:
        before = project.journal.history()
    code, out, _ = rise("check", made)
    assert (code, out) == (0, "No problems in 3 frames and their annotations.\n")
    with Project.open(made) as project:
        assert project.journal.history() == before


def test_check_lists_everything_that_is_wrong(made: Path, rise: Any) -> None:
    images = made.parent / "totes"
    (images / "a.jpg").unlink()
    whole = (images / "b.jpg").read_bytes()
    (images / "b.jpg").write_bytes(whole[: len(whole) // 2])
    Image.new("RGB", (10, 10)).save(images / "c.png")
    (made / "runs" / "0001-laptop" / "weights.safetensors").unlink()
    (made / "runs" / "leftover").mkdir()
    with sqlite3.connect(made / "project.sqlite") as connection:
        connection.execute(
            "INSERT INTO instances (frame, category, segmentation, source) VALUES (77, 1, '[]', 'drawn')"
        )
        broken = json.dumps({"size": [60, 80], "counts": [5]})
        connection.execute("UPDATE instances SET segmentation = ? WHERE id = 1", (broken,))
        connection.execute("UPDATE instances SET segmentation = '{not json' WHERE id = 2")
        connection.execute(
            "INSERT INTO predictions (frame, run, batch, category, segmentation, score) VALUES (1, 9, 1, 8, '[]', 0.5)"
        )
    connection.close()
    code, out, _ = rise("check", made)
    assert code == 1
    lines = out.splitlines()
    for words in (
        "1 annotation with a missing frame, for example number 4",
        "1 prediction with a missing category",
        "1 prediction with a missing run",
        "run 1: its weights",
        "runs/leftover belongs to no run",
        "a.jpg: The image",
        "a.jpg: annotation 1: A mask's run lengths",
        "b.jpg: The image",
        "b.jpg: annotation 2: its mask cannot be read",
        "c.png: the image is 10 x 10 pixels, it was 80 x 60",
    ):
        assert [words in line for line in lines].count(True) == 1, (words, out)
    assert lines[-1].startswith("10 problems")
    # The truncated file has a whole header.
    code, out, _ = rise("check", made, "--headers-only")
    assert code == 1
    assert "b.jpg: The image" not in out


def test_check_finds_polygons_of_another_size_as_a_training_would(made: Path, rise: Any) -> None:
    """Sides as the sensor has them, before EXIF orientation, are no other size."""
    sizes = {"a.jpg": (40, 60), "b.jpg": (60, 80), "c.png": (80, 60)}
    polygon = {"category_id": 1, "segmentation": [[2, 2, 30, 2, 30, 20]]}
    dataset = {
        "images": [{"id": name, "file_name": name, "width": w, "height": h} for name, (w, h) in sizes.items()],
        "annotations": [{"image_id": name, **polygon} for name in sizes],
        "categories": [{"id": 1, "name": "object"}],
    }
    file = made.parent / "labels.json"
    file.write_text(json.dumps(dataset))
    assert rise("import", made, file, "--on-conflict", "replace")[0] == 0
    code, out, _ = rise("check", made)
    first, last = out.splitlines()
    assert code == 1
    assert first.startswith("a.jpg: its annotations were made on 40 x 60 pixels, but the image has 80 x 60")
    assert last.startswith("1 problem")


def test_a_mask_outside_of_its_image_is_told_and_not_measured(made: Path, rise: Any) -> None:
    with Project.open(made) as project:
        frame, category = project.frames.all()[0], project.annotations.categories()[0].id
        inside = [instance.id for instance in project.annotations.of_frame(frame.id)]
        outside = [200.0, 200.0, 230.0, 200.0, 230.0, 220.0]
        (added,) = project.annotations.add(frame.id, [Instance(None, frame.id, category, [outside])])
        assert [annotation["id"] for annotation in ground_truth_of(project, [frame.id])["annotations"]] == inside
    code, out, _ = rise("check", made)
    assert code == 1
    assert f"a.jpg: annotation {added}: its mask has no pixel in the image" in out


def test_check_refuses_what_is_no_database(made: Path, rise: Any) -> None:
    (made / "project.sqlite").write_bytes(b"nothing" * 1000)
    code, _, err = rise("check", made)
    assert code == 2
    assert "damaged" in err


def test_relink_finds_the_images_and_counts_the_missing(made: Path, rise: Any) -> None:
    moved = made.parent / "elsewhere" / "photos"
    moved.parent.mkdir()
    (made.parent / "totes").rename(moved)
    assert rise("check", made)[0] == 1
    (moved / "b.jpg").unlink()
    code, out, _ = rise("relink", made, "--images", moved)
    assert code == 0
    assert "2 frames of 3 found" in out
    assert "1 image not found, for example b.jpg" in out
    with Project.open(made) as project:
        assert project.images == moved
        assert project.image(project.frames.get("a.jpg").id).shape == (60, 80, 3)
    (made.parent / "empty").mkdir()
    code, _, err = rise("relink", made, "--images", made.parent / "empty")
    assert (code, err.count("\n")) == (2, 1)
    assert rise("relink", made, "--images", made.parent / "nowhere")[0] == 2
    with Project.open(made) as project:
        assert project.images == moved


def test_a_zip_backup_made_beside_an_open_window_brings_everything_back(made: Path, rise: Any) -> None:
    file = made.parent / "backups" / "monday.zip"
    with Project.open(made, exclusive=True) as window:
        window.frames.set_state(window.frames.get("a.jpg").id, FrameState.REVIEWED)
        assert rise("backup", made, file)[0] == 0
        window.frames.set_state(window.frames.get("a.jpg").id, FrameState.SKIPPED)
        history = window.journal.history()
    assert [entry.name for entry in file.parent.iterdir()] == ["monday.zip"]
    shutil.rmtree(made)
    restored = made.parent / "restored"
    zipfile.ZipFile(file).extractall(restored)
    assert rise("relink", restored / "totes.rise", "--images", made.parent / "totes")[0] == 0
    assert rise("check", restored / "totes.rise")[0] == 0
    with Project.open(restored / "totes.rise") as project:
        assert project.frames.get("a.jpg").state is FrameState.REVIEWED
        assert project.journal.history() == history[1:]
        assert (project.runs.get().folder / "weights.safetensors").read_bytes() == b"weights"
        assert str(project.journal.undo()) == "marked as reviewed in a.jpg"


def test_a_database_backup_is_one_file_that_a_new_folder_makes_a_project(made: Path, rise: Any) -> None:
    file = made.parent / "monday.sqlite"
    file.write_text("an older backup")
    with Project.open(made, exclusive=True):
        assert rise("backup", made, file)[0] == 0
    again = made.parent / "again.rise"
    again.mkdir()
    shutil.copy(file, again / "project.sqlite")
    with Project.open(again) as project:
        assert len(project.annotations.of_frame(project.frames.get("c.png").id)) == 1
        assert len(project.journal.history()) == 4


def test_a_backup_into_the_project_or_of_a_damaged_one_is_refused(made: Path, rise: Any) -> None:
    code, _, err = rise("backup", made, made / "project.sqlite")
    assert (code, err.count("\n")) == (2, 1)
    assert "inside the project" in err
    with Project.open(made) as project:
        for number in range(400):
            project.set_setting(f"key {number}", "x" * 100)
    data = bytearray((made / "project.sqlite").read_bytes())
    page = len(data) // 2 // 4096 * 4096
    data[page : page + 4096 * 4] = b"\xff" * (4096 * 4)
    (made / "project.sqlite").write_bytes(data)
    file = made.parent / "bad.sqlite"
    code, _, err = rise("backup", made, file)
    assert (code, err.count("\n")) == (2, 1)
    assert not file.exists()


def test_history_tells_who_did_what_where(made: Path, rise: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOGNAME", "grace")
    with Project.open(made) as project:
        project.frames.set_state(project.frames.get("b.jpg").id, FrameState.REVIEWED)
        project.journal.undo()
    code, out, _ = rise("history", made, "--limit", "2")
    assert code == 0
    title, first, second = out.splitlines()
    assert title.split() == ["when", "who", "frame", "what"]
    assert first.split()[2:] == ["grace", "b.jpg", "marked", "as", "reviewed", "(undone)"]
    assert second.endswith("drew 1 instance")
