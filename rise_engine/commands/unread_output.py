"""Output that nobody reads: `rise new ... | head -3` closes the pipe while the command still works."""

from __future__ import annotations

import io
import sys
from typing import TextIO


def ignore_closed_pipes() -> None:
    """Let writes to a closed standard output or standard error have no effect, for the rest of the process.

    Without it the first line too much raises BrokenPipeError in the middle of a command, which then undoes its work.
    """
    sys.stdout = _tolerant(sys.stdout, sys.__stdout__)
    sys.stderr = _tolerant(sys.stderr, sys.__stderr__)


class _TolerantPipe(io.RawIOBase):
    """A file that accepts everything once its reader is gone."""

    def __init__(self, raw: io.FileIO) -> None:
        super().__init__()
        self._raw = raw

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._raw.fileno()

    def isatty(self) -> bool:
        return self._raw.isatty()

    def write(self, data: object, /) -> int | None:
        content = memoryview(data)  # type: ignore[arg-type]  # what a buffered writer passes on
        try:
            return self._raw.write(content)
        except BrokenPipeError:
            return content.nbytes


def _tolerant(stream: TextIO, original: TextIO | None) -> TextIO:
    """The stream on a tolerant file; unchanged where it is not the process's own, as in tests, or tolerant already."""
    buffer = getattr(stream, "buffer", None)
    # With PYTHONUNBUFFERED the text is written to the file itself.
    raw = buffer if isinstance(buffer, io.FileIO) else getattr(buffer, "raw", None)
    if stream is not original or not isinstance(raw, io.FileIO) or not isinstance(stream, io.TextIOWrapper):
        return stream
    stream.flush()
    return io.TextIOWrapper(
        io.BufferedWriter(_TolerantPipe(raw)),
        encoding=stream.encoding,
        errors=stream.errors,
        line_buffering=stream.line_buffering or raw is buffer,
    )
