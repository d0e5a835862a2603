"""The project copy that all trainings of a grid share, and the frames that evaluate them."""

from __future__ import annotations

import sys
from datetime import datetime
from pathlib import Path

from rise_engine.atomic import write_text
from rise_engine.errors import RiseError
from rise_engine.formats.label_fractions import FOLDER
from rise_engine.project.maintenance.copy import copy_project
from rise_engine.project.project import FILE_NAME, Project
from rise_engine.project.splits import choose_split, read_name_list

PROJECT_FOLDER = "grid.rise"
TEST_LIST = "test.txt"
"""List of the data set's own test frames, in the project."""
ORIGIN = "grid_of"
"""Setting of the copy: the path of the original project and the time of its last edit in the copy."""


def open_copy(project: Project, folder: Path) -> Project:
    """The copy in ``folder``, made when there is none yet.

    Raises RiseError when there is no frame to evaluate on (before anything is copied, so a fixed project is copied
    again), when the copy is of another project, and when the images are missing.
    """
    path = folder / PROJECT_FOLDER
    if not (path / FILE_NAME).is_file():
        return _copied(project, path)
    copy = Project.open(path)
    try:
        _require_origin(copy, project)
        if not copy.images.is_dir():
            copy.relink(project.images)
    except RiseError:
        copy.close()
        raise
    return copy


def held_out(project: Project, tests: Path) -> tuple[list[int], list[int]]:
    """The hold-out, and its frames for the evaluation: the data set's test part if there is one, else all.

    Raises RiseError when there is nothing to evaluate on.
    """
    holdout = choose_split(project).holdout
    if not holdout:
        raise RiseError(
            f"{project.path} has no hold-out to evaluate on: mark some labelled frames as hold-out, or create "
            "the project with --holdout-list."
        )
    names = set(read_name_list(tests)) if tests.is_file() else set()
    measured = [frame for frame in holdout if project.frames.get(frame).name in names] or holdout
    if not project.annotations.frames_with_objects().intersection(measured):
        raise RiseError(
            f"None of the {len(measured)} hold-out frames of {project.path} has an annotated object to evaluate on: "
            "annotate their objects, or choose another hold-out."
        )
    return holdout, measured


def _copied(project: Project, path: Path) -> Project:
    tests = project.path / FOLDER / TEST_LIST
    held_out(project, tests)
    if tests.is_file():
        write_text(path.parent / TEST_LIST, tests.read_text(encoding="utf-8"))
    copy = copy_project(project, path)
    edited = copy.journal.history(1)[0].when.isoformat()
    copy.set_setting(ORIGIN, {"project": str(project.path), "edited": edited})
    return copy


def _require_origin(copy: Project, project: Project) -> None:
    """Compares the last edit of the copy with the project's history: the project may have moved or have newer edits."""
    origin = copy.setting(ORIGIN)
    if origin is None:
        # A grid of an earlier version without this setting.
        return
    edited = datetime.fromisoformat(origin["edited"])
    if any(entry.when == edited for entry in project.journal.history(sys.maxsize)):
        return
    raise RiseError(
        f"{copy.path.parent} has trainings of another project, {origin['project']} as it was on "
        f"{edited:%Y-%m-%d %H:%M} UTC: choose another --out for {project.path}."
    )
