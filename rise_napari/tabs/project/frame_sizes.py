"""The sizes of the frames, read in a background thread from the headers of the files; no image is decoded."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from psygnal import Signal

from rise_engine.errors import RiseError
from rise_engine.project.project import Project
from rise_napari.engine.background import stream_in_background
from rise_napari.workspace import Workspace

CHUNK = 200
"""Sizes that are stored in one transaction; few, so that saving a stroke never has to wait."""
LISTED = 3
"""Sizes and names that a message lists."""

Size = tuple[int, int]


@dataclass(frozen=True, slots=True)
class _Found:
    """The result of one chunk: (width, height) by frame id, and the names of unreadable files."""

    sizes: dict[int, Size] = field(default_factory=dict)
    unreadable: list[str] = field(default_factory=list)


class FrameSizes:
    """Reads the sizes of a project's frames when it is opened, and reports them."""

    changed = Signal()
    """More sizes are known."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._worker: Any = None
        self._known: dict[int, Size] = {}
        self.unreadable: list[str] = []
        """Names of the files with an unreadable header."""
        workspace.project_changed.connect(self._begin)

    def of(self, frame_id: int) -> Size | None:
        """(width, height) of a frame, or None while it is unknown."""
        return self._known.get(frame_id)

    def summary(self) -> str:
        """The sizes as text, the most frequent first; empty while none is known."""
        counts = Counter(self._known.values()).most_common()
        words = [
            f"{width} x {height}" + (f" ({count:,})" if len(counts) > 1 else "") for (width, height), count in counts
        ]
        more = f" and {len(words) - LISTED} other sizes" if len(words) > LISTED else ""
        return ", ".join(words[:LISTED]) + more

    def _begin(self) -> None:
        if self._worker is not None:
            self._worker.quit()
            self._worker = None
        frames = self._workspace.frames
        self._known = {
            one.id: (one.width, one.height) for one in frames if one.width is not None and one.height is not None
        }
        self.unreadable = []
        missing = {one.id: one.name for one in frames if one.id not in self._known}
        project = self._workspace.project
        if project is None or not missing:
            return
        path, read_only = project.path, project.read_only
        self._worker = stream_in_background(
            self._workspace,
            lambda: _probe(path, missing, read_only=read_only),
            each=lambda found: self._add(path, found),
            name="RISE is reading the sizes of the frames",
        )

    def _add(self, path: Path, found: _Found) -> None:
        project = self._workspace.project
        if project is None or project.path != path:
            return
        self._known.update(found.sizes)
        self.unreadable += found.unreadable
        if found.unreadable:
            named = ", ".join(self.unreadable[:LISTED]) + (" and others" if len(self.unreadable) > LISTED else "")
            self._workspace.notify(f"{len(self.unreadable):,} files cannot be read as images: {named}.", "warning")
        self.changed.emit()


def _probe(path: Path, frames: dict[int, str], *, read_only: bool) -> Iterator[_Found]:
    numbers = list(frames)
    with Project.open(path, read_only=read_only) as project:
        for start in range(0, len(numbers), CHUNK):
            chunk = numbers[start : start + CHUNK]
            try:
                yield _Found(project.probe_many(chunk))
            except RiseError:
                yield _one_by_one(project, chunk, frames)


def _one_by_one(project: Project, chunk: list[int], frames: dict[int, str]) -> _Found:
    """Reads the files one by one, because at least one of the chunk cannot be read."""
    found = _Found()
    for number in chunk:
        try:
            found.sizes[number] = project.probe(number)
        except RiseError:
            found.unreadable.append(frames[number])
    return found
