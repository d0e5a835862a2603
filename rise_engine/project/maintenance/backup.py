"""Backup of a project as one file. To restore it, unpack the file and set the image folder."""

from __future__ import annotations

import sqlite3
import tempfile
import zipfile
from contextlib import closing
from pathlib import Path

from rise_engine.atomic import atomic_path
from rise_engine.errors import RiseError
from rise_engine.project.project import FILE_NAME, Project

_STORED = {".safetensors", ".png", ".jpg"}
"""File types that compression does not make smaller."""


def back_up(project: Project, path: Path) -> int:
    """Write a backup, completely or not at all, and return its size in bytes. The images are not part of it.

    A ``.zip`` file contains a folder named like the project, with the database and the runs. Any other file contains
    only the database: annotations, predictions, history. Other programs may write to the project meanwhile; the backup
    is the state of one moment. Raises RiseError when the file cannot be written, is inside the project, or when the
    database is damaged.
    """
    path = Path(path).absolute()
    if path.resolve().is_relative_to(project.path.resolve()):
        raise RiseError(f"The backup {path} would be inside the project itself; choose a place outside of it.")
    with atomic_path(path) as part:
        if path.suffix.lower() != ".zip":
            _copy_database(project, part)
        else:
            _pack(project, part)
        return part.stat().st_size


def _copy_database(project: Project, target: Path) -> None:
    project.store.copy_to(target)
    try:
        with closing(sqlite3.connect(target)) as copy:
            damage = [str(row[0]) for row in copy.execute("PRAGMA integrity_check") if row[0] != "ok"]
    except sqlite3.DatabaseError as error:
        damage = [str(error)]
    if damage:
        raise RiseError(
            f"{project.path / FILE_NAME} is damaged ({damage[0]}), so no backup was made; restore an older backup."
        )


def _pack(project: Project, target: Path) -> None:
    root = Path(project.path.name)
    runs = project.runs.folder
    with tempfile.TemporaryDirectory(dir=target.parent) as folder, zipfile.ZipFile(target, "w") as archive:
        database = Path(folder) / FILE_NAME
        _copy_database(project, database)
        archive.write(database, root / FILE_NAME, compress_type=zipfile.ZIP_DEFLATED, compresslevel=1)
        for file in sorted(runs.rglob("*")) if runs.is_dir() else []:
            # Links are skipped, because a run writes none, and so are files that a training has just replaced.
            if file.is_symlink() or not file.is_file():
                continue
            kind = zipfile.ZIP_STORED if file.suffix in _STORED else zipfile.ZIP_DEFLATED
            try:
                archive.write(file, root / file.relative_to(project.path), compress_type=kind, compresslevel=1)
            except FileNotFoundError:
                continue
