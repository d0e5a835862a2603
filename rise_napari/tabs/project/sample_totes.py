"""Synthetic totes to try the window with: images that the project renders itself, some of them labelled."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from qtpy.QtCore import QStandardPaths

from rise_engine.project.project import Project
from rise_engine.project.records import FrameState, Instance
from rise_engine.project.segmentation import from_mask
from rise_napari.workspace import FIRST_CATEGORY

SAMPLES = 12
"""How many images are rendered; a third of them is labelled, so that every tab has something to show."""


def samples_folder() -> Path:
    """The folder of the sample totes."""
    data = QStandardPaths.writableLocation(QStandardPaths.StandardLocation.GenericDataLocation)
    return Path(data) / "rise-napari" / "sample totes"


def write_samples(folder: Path, count: int) -> Path:
    """Renders ``count`` totes into ``folder``, and labels the first third of them in the project next to it."""
    from rise_engine.synthetic import write_sample_folder

    frames = write_sample_folder(folder, count=count)
    path = Project.default_path(folder)
    if not path.exists():
        with Project.create(path, folder) as project:
            project.scan()
            category = project.annotations.add_category(FIRST_CATEGORY).id
            for frame in frames[: count // 3]:
                number = project.frames.get(frame.name).id
                drawn = [Instance(None, number, category, from_mask(mask)) for mask in np.asarray(frame.masks)]
                project.annotations.add(number, drawn)
                project.frames.set_state(number, FrameState.LABELLED)
    return folder
