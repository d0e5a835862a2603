"""Files that are either the old ones or the new ones, never half of each."""

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
    """A path beside ``path`` to write to; it takes the name of ``path`` when the block ends, and is gone when it fails.

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
            # Libraries may write private files; a saved file gets the rights any other new file would have.
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
    """As ``atomic_path``, with a binary file to write to."""
    with atomic_path(path) as part, part.open("wb") as file:
        yield file


def require_no_folder(path: Path) -> None:
    """Raise RiseError when a folder is where a file is to be written: better before long work than after it."""
    if path.is_dir():
        raise RiseError(f"{path} is a folder: name the file to write, such as {path / 'NAME'}")


def write_bytes(path: Path, data: bytes) -> None:
    """Write ``data`` in one step; raises RiseError and changes nothing when it fails."""
    with atomic_file(path) as file:
        file.write(data)


def write_text(path: Path, text: str) -> None:
    """Write ``text`` as UTF-8 in one step; raises RiseError and changes nothing when it fails."""
    write_bytes(path, text.encode("utf-8"))


def _sync_folder(folder: Path) -> None:
    """Make the rename itself survive a power cut, where the system lets folders be opened."""
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
