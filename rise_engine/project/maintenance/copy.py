"""A copy of a project without its runs, for trainings that should not change the project itself."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

from rise_engine.atomic import atomic_path
from rise_engine.errors import RiseError
from rise_engine.project.project import FILE_NAME, Project


def copy_project(project: Project, path: Path) -> Project:
    """A new project at ``path`` with the same frames, annotations and splits and the same images, without runs.

    Raises RiseError when there is a project at ``path`` already, when the images are missing, or when the disk is full.
    """
    target = path / FILE_NAME
    if target.exists():
        raise RiseError(f"There is a project at {path} already; open it, or choose another folder.")
    if not any((project.images / frame.name).is_file() for frame in project.frames.all()):
        raise RiseError(
            f"None of the images of {project.path} is in {project.images}; restore them, or give their new place with "
            "`rise relink`."
        )
    try:
        with atomic_path(target) as part:
            project.store.copy_to(part)
            with closing(sqlite3.connect(part)) as copy, copy:
                for table in ("predictions", "predicted", "runs"):
                    copy.execute(f"DELETE FROM {table}")
                copy.execute("DELETE FROM settings WHERE key = 'current_run'")
                # The stored path is relative to the folder of the project.
                images = json.dumps(project.images.as_posix())
                copy.execute("UPDATE settings SET value = ? WHERE key = 'images'", (images,))
    except sqlite3.Error as error:
        raise RiseError(f"Could not copy {project.path} to {path} ({error}); choose another place.") from error
    return Project.open(path)
