"""A COCO file into a project, beside the window: into the open one, or into that of the images beside the file."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, TypeVar

from qtpy.QtCore import QObject, Signal

from rise_engine.project.project import Project
from rise_napari.engine.background import run_in_background
from rise_napari.workspace import Workspace

if TYPE_CHECKING:
    from rise_engine.formats.coco.importer import ImportReport, OnConflict

Item = TypeVar("Item")
BUSY = "Another file is being imported: wait until it is done."
LOOKS_A_SECOND = 10


class _CancelledError(Exception):
    """Somebody pressed Cancel."""


class CocoImport(QObject):
    """One import after another. ``ask`` decides what happens to instances that are there already; None is to stop."""

    progressed = Signal(str, int, int)
    """What is being done, how much of it is done, and how much there is."""
    busy_changed = Signal()

    def __init__(self, workspace: Workspace, ask: Callable[[str], OnConflict | None]) -> None:
        super().__init__()
        self._workspace = workspace
        self._ask = ask
        self._running = 0
        self._cancelled = Event()

    def open(self, path: Path) -> None:
        """Opens the project of the images that the file names, and adds its annotations."""
        from rise_engine.formats.coco.images import image_folder

        if self.busy:
            self._workspace.notify(BUSY, "warning")
            return
        self._begin()
        self._workspace.notify(f"Looking for the images of {path.name}…")

        def done(folder: Path) -> None:
            project = self._workspace.project
            known = project is not None and project.images.resolve() == folder.resolve()
            if known or self._workspace.open_folder(folder):
                self._add(path, None)

        run_in_background(self._workspace, lambda: image_folder(path), done=done, finished=self._end)

    def add(self, path: Path, on_conflict: OnConflict | None = None) -> None:
        """Adds the annotations of a file to the open project."""
        project = self._workspace.project
        if project is None or not self._workspace.writable:
            self._workspace.notify("Open a folder of images first, then import its annotations.", "warning")
            return
        self._workspace.save_requested.emit()
        if self.busy:
            self._workspace.notify(BUSY, "warning")
        else:
            self._add(path, on_conflict)

    def _add(self, path: Path, on_conflict: OnConflict | None) -> None:
        project = self._workspace.project
        if project is None:
            return
        self._begin()
        self._workspace.notify(f"Importing {path.name}…")
        place = project.path

        def work() -> ImportReport | None:
            from rise_engine.formats.coco.importer import ImportConflictError, import_coco

            # A connection of its own, so that the window goes on reading.
            with Project.open(place) as other:
                try:
                    return import_coco(other, path, on_conflict=on_conflict, watch=self._watch)
                except (ImportConflictError, _CancelledError):
                    return None

        run_in_background(
            self._workspace, work, done=lambda report: self._told(path, place, report), finished=self._end
        )

    def cancel(self) -> None:
        """Ends the import that goes on, which leaves nothing behind."""
        self._cancelled.set()

    def _watch(self, items: Iterable[Item], *, total: int, doing: str) -> Iterator[Item]:
        """A ``Watch``, in the thread of the import."""
        shown = 0.0
        for done, item in enumerate(items):
            if self._cancelled.is_set():
                raise _CancelledError
            if (now := time.monotonic()) >= shown + 1 / LOOKS_A_SECOND:
                shown = now
                self.progressed.emit(doing, done, total)
            yield item

    def _told(self, path: Path, place: Path, report: ImportReport | None) -> None:
        if report is None:
            question = f"Some frames of {path.name} have other instances already."
            answer = None if self._cancelled.is_set() else self._ask(question)
            if answer is None:
                self._workspace.notify(f"{path.name} was not imported; nothing was changed.")
            else:
                self._add(path, answer)
            return
        project = self._workspace.project
        if project is None or project.path != place:
            return
        self._workspace.reload()
        absent = f"; {report.missing_files:,} images of the file are not in the folder" if report.missing_files else ""
        known = f"; {report.known:,} were there already" if report.known else ""
        kept_out = f"; {report.kept_out:,} gave way to what was there" if report.kept_out else ""
        unusable = f"; {report.skipped:,} have no mask or no image" if report.skipped else ""
        self._workspace.notify(
            f"Imported {report.instances:,} instances in {report.images:,} frames of {path.name}"
            f"{absent}{known}{kept_out}{unusable}."
        )

    @property
    def busy(self) -> bool:
        """Whether a file is being read."""
        return self._running > 0

    def _begin(self) -> None:
        self._running += 1
        self._cancelled.clear()
        self.busy_changed.emit()

    def _end(self) -> None:
        self._running -= 1
        self.busy_changed.emit()
