"""Atomic writing of files: after a crash, a file is either the old one or the new one."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from rise_engine.errors import RiseError


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """A temporary path next to ``path``; it replaces ``path`` when the block ends, and is deleted when it fails.

    Raises RiseError when ``path`` is a folder, its folder cannot be written or the disk is full.
    """
    path = Path(path)
    try:
        require_no_folder(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}.") as folder:
            part = Path(folder) / path.name
            yield part
            # Opened for writing: some systems flush only such files.
            with part.open("r+b") as written:
                os.fsync(written.fileno())
            # Libraries may write private files; a saved file gets the usual permissions of a new file.
            mask = os.umask(0)
            os.umask(mask)
            part.chmod(0o666 & ~mask)
            part.replace(path)
        _sync_folder(path.parent)
    except OSError as error:
        reason = error.strerror or str(error)
        raise RiseError(
            f"Could not write {path} ({reason}); choose another place or make room, nothing was changed."
        ) from error


@contextmanager
def atomic_file(path: Path) -> Iterator[IO[bytes]]:
    """Like ``atomic_path``, with an open binary file."""
    with atomic_path(path) as part, part.open("wb") as file:
        yield file


def require_no_folder(path: Path) -> None:
    """Raise RiseError when ``path`` is a folder; call it before long work, not after it."""
    if path.is_dir():
        raise RiseError(f"{path} is a folder: give the file to write, such as {path / 'NAME'}.")


def write_bytes(path: Path, data: bytes) -> None:
    """Write ``data`` atomically. Raises RiseError, and changes nothing, when it fails."""
    with atomic_file(path) as file:
        file.write(data)


def write_text(path: Path, text: str) -> None:
    """Write ``text`` as UTF-8 atomically. Raises RiseError, and changes nothing, when it fails."""
    write_bytes(path, text.encode("utf-8"))


def _sync_folder(folder: Path) -> None:
    """Make the rename survive a power failure, on systems where a folder can be opened."""
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
