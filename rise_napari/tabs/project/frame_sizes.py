"""The sizes of the frames, read from the files' headers beside the window; no image is decoded for it."""

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

AT_A_TIME = 200
"""So many sizes are written to the store at once: few enough that a stroke never waits for them."""
NAMED = 3

Size = tuple[int, int]


@dataclass(frozen=True, slots=True)
class _Found:
    """What one portion of frames gave: (width, height) by frame, and what could not be read."""

    sizes: dict[int, Size] = field(default_factory=dict)
    unreadable: list[str] = field(default_factory=list)


class FrameSizes:
    """Asks for the sizes of a project's frames when it is opened, and tells what they are."""

    changed = Signal()
    """More sizes are known."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._worker: Any = None
        self._known: dict[int, Size] = {}
        self.unreadable: list[str] = []
        """Names of the files whose header cannot be read."""
        workspace.project_changed.connect(self._begin)

    def of(self, frame_id: int) -> Size | None:
        """(width, height) of a frame, as far as it is known by now."""
        return self._known.get(frame_id)

    def summary(self) -> str:
        """The sizes in words, the most frequent first; empty while none is known."""
        counts = Counter(self._known.values()).most_common()
        words = [
            f"{width} x {height}" + (f" ({count:,})" if len(counts) > 1 else "") for (width, height), count in counts
        ]
        more = f" and {len(words) - NAMED} other sizes" if len(words) > NAMED else ""
        return ", ".join(words[:NAMED]) + more

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
            each=lambda found: self._take(path, found),
            name="RISE is reading the sizes of the frames",
        )

    def _take(self, path: Path, found: _Found) -> None:
        project = self._workspace.project
        if project is None or project.path != path:
            return
        self._known.update(found.sizes)
        self.unreadable += found.unreadable
        if found.unreadable:
            named = ", ".join(self.unreadable[:NAMED]) + (" and others" if len(self.unreadable) > NAMED else "")
            self._workspace.notify(
                f"{len(self.unreadable):,} files are no images that can be read: {named}.", "warning"
            )
        self.changed.emit()


def _probe(path: Path, frames: dict[int, str], *, read_only: bool) -> Iterator[_Found]:
    numbers = list(frames)
    with Project.open(path, read_only=read_only) as project:
        for start in range(0, len(numbers), AT_A_TIME):
            portion = numbers[start : start + AT_A_TIME]
            try:
                yield _Found(project.probe_many(portion))
            except RiseError:
                yield _one_by_one(project, portion, frames)


def _one_by_one(project: Project, portion: list[int], frames: dict[int, str]) -> _Found:
    """Some file of the portion cannot be read: the others can."""
    found = _Found()
    for number in portion:
        try:
            found.sizes[number] = project.probe(number)
        except RiseError:
            found.unreadable.append(frames[number])
    return found
