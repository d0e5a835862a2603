"""The list of annotations that the bank may draw from."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from rise_engine.project.project import Project
from rise_engine.project.records import FrameState, Instance, Split

SQUARE = [[1.0, 1.0, 6.0, 1.0, 6.0, 6.0, 1.0, 6.0]]


def test_only_labelled_training_frames_count_each_annotation_once(tmp_path: Path) -> None:
    images = tmp_path / "totes"
    images.mkdir()
    for name in ("f2.png", "f10.png", "held.png", "skipped.png"):
        Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(images / name)
    with Project.create(tmp_path / "totes.rise", images) as project:
        project.scan()
        cup, box = (project.annotations.add_category(name).id for name in ("cup", "box"))
        frames = {frame.name: frame.id for frame in project.frames.all()}
        first, second = project.annotations.add(
            frames["f10.png"], [Instance(None, 0, kind, SQUARE) for kind in (cup, box)]
        )
        (third,) = project.annotations.add(frames["f2.png"], [Instance(None, 0, cup, SQUARE)])
        for name in ("held.png", "skipped.png"):
            project.annotations.add(frames[name], [Instance(None, 0, cup, SQUARE)])
        project.annotations.add(frames["f2.png"], [Instance(None, 0, cup, SQUARE, crowd=True)])
        project.frames.set_split([frames["held.png"]], Split.HOLDOUT)
        project.frames.set_state(frames["skipped.png"], FrameState.SKIPPED)
        project.annotations.set_bank_excluded(second, True)
        found = project.annotations.bank_entries()
    assert [one.instance for one in found] == [third, first, second]
    assert [one.frame_name for one in found] == ["f2.png", "f10.png", "f10.png"]
    assert [one.category for one in found] == [cup, cup, box]
    assert [one.excluded for one in found] == [False, False, True]
