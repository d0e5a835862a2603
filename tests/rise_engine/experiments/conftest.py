"""A small project for grids of trainings."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from rise_engine.project.project import Project
from rise_engine.project.records import FrameState, Instance, Split
from rise_engine.project.segmentation import from_mask


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """Six frames with an object each: four labelled, one of them held out."""
    images = tmp_path / "totes"
    images.mkdir()
    rng = np.random.default_rng(0)
    for index in range(6):
        Image.fromarray(rng.integers(0, 256, (64, 96, 3), dtype=np.uint8)).save(images / f"{index}.png")
    project = Project.create(tmp_path / "totes.rise", images)
    project.scan()
    category = project.annotations.add_category("object")
    mask = np.zeros((64, 96), dtype=bool)
    mask[10:40, 12:50] = True
    for frame in project.frames.all()[:4]:
        project.annotations.add(frame.id, [Instance(None, frame.id, category.id, from_mask(mask))])
        project.frames.set_state(frame.id, FrameState.LABELLED)
    project.frames.set_split([project.frames.all()[3].id], Split.HOLDOUT)
    return project
