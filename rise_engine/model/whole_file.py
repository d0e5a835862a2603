"""Files that appear under their name only once they are complete."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rise_engine.errors import RiseError


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """A path beside ``path`` to write to; it takes the name of ``path`` when the block ends without an error.

    Otherwise ``path`` stays as it was. Raises ``RiseError`` when the file cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}.") as folder:
            part = Path(folder) / path.name
            yield part
            # Opened for writing: some systems flush only such files.
            with part.open("r+b") as written:
                os.fsync(written.fileno())
            part.replace(path)
    except OSError as error:
        reason = error.strerror or str(error)
        raise RiseError(f"{path} could not be written ({reason}): choose another place, or make room") from error
