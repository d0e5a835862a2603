"""The reader, the writer and the sample data that RISE offers to napari."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from rise_engine.project.project import Project
from rise_engine.project.records import Instance
from rise_engine.project.segmentation import from_mask, to_mask
from rise_napari.manifest.reader import get_reader
from rise_napari.manifest.sample_data import sample_totes
from rise_napari.manifest.writer import write_coco


def test_the_reader_declines_other_files(tmp_path: Path) -> None:
    (tmp_path / "settings.json").write_text('{"a": 1}')
    (tmp_path / "broken.json").write_text("{")
    (tmp_path / "folder").mkdir()
    assert get_reader() is None
    assert get_reader([str(tmp_path / "settings.json")]) is None
    for name in ("settings.json", "broken.json", "folder", "missing.json", "missing.rise"):
        assert get_reader(str(tmp_path / name)) is None
    (tmp_path / "folder" / "deep").mkdir()
    (tmp_path / "folder" / "deep" / "one.JPG").touch()
    assert get_reader(str(tmp_path / "folder")) is not None


def test_without_a_viewer_a_project_opens_as_image_and_labels(folder: Path, disc: Any) -> None:
    with Project.create(Project.default_path(folder), folder) as project:
        project.scan()
        category = project.annotations.add_category("object").id
        frame = project.frames.get("frame_2.png")
        project.annotations.add(frame.id, [Instance(None, frame.id, category, from_mask(disc(20, 20)))])
    path = str(Project.default_path(folder))
    (image, _, image_kind), (labels, _, labels_kind) = get_reader(path)(path)
    assert (image_kind, labels_kind) == ("image", "labels")
    assert image.shape == (60, 80, 3)
    assert np.array_equal(labels > 0, disc(20, 20))


def test_labels_are_equal_after_a_round_trip_through_coco(tmp_path: Path, disc: Any) -> None:
    labels = disc(20, 20) * 3 + disc(45, 60, 6) * 8
    target = str(tmp_path / "labels.json")
    assert write_coco(target, labels, {"name": "tote"}) == [target]
    written = json.loads(Path(target).read_text())
    assert [one["area"] for one in written["annotations"]] == [disc(20, 20).sum(), disc(45, 60, 6).sum()]
    assert np.array_equal(to_mask(written["annotations"][1]["segmentation"], 60, 80), disc(45, 60, 6))
    ((read, _, kind),) = get_reader(target)(target)
    assert kind == "labels"
    assert np.array_equal(read > 0, labels > 0)


def test_the_sample_is_an_image_with_its_masks() -> None:
    (image, _, _), (labels, _, _) = sample_totes()
    assert image.shape[:2] == labels.shape
    assert image.dtype == np.uint8
    assert labels.max() >= 3
