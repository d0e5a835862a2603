"""A copy of a project's annotations, for trainings that should leave the project itself alone."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from rise_engine.errors import RiseError
from rise_engine.project.project import FILE_NAME, Project


def copy_project(project: Project, path: Path) -> Project:
    """A new project at ``path`` with the same frames, annotations and splits and the same images, without runs.

    Raises RiseError when there is a project at ``path`` already, or no room.
    """
    target = path / FILE_NAME
    if target.exists():
        raise RiseError(f"There is a project at {path} already; open it, or choose another folder.")
    part = path / f"{FILE_NAME}.part"
    try:
        path.mkdir(parents=True, exist_ok=True)
        part.unlink(missing_ok=True)
        with closing(sqlite3.connect(project.path / FILE_NAME)) as source, closing(sqlite3.connect(part)) as copy:
            source.backup(copy)
            with copy:
                for table in ("predictions", "predicted", "runs"):
                    copy.execute(f"DELETE FROM {table}")
                copy.execute("DELETE FROM settings WHERE key = 'current_run'")
        part.replace(target)
    except (OSError, sqlite3.Error) as error:
        raise RiseError(f"Could not copy {project.path} to {path} ({error}); choose another place.") from error
    copied = Project.open(path)
    copied.relink(project.images)
    return copied
