"""Imports a COCO file in a background thread: into the open project, or into the project of the images next to it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
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
BUSY = "Another file is being imported. Wait until it is finished."
REPORTS_PER_SECOND = 10


class _CancelledError(Exception):
    """The person pressed Cancel."""


class CocoImport(QObject):
    """Runs one import at a time. ``ask`` returns what happens to existing instances, or None to cancel the import."""

    progressed = Signal(str, int, int)
    """The current task, the number of finished items, and the total."""
    busy_changed = Signal()

    def __init__(self, workspace: Workspace, ask: Callable[[str], OnConflict | None]) -> None:
        super().__init__()
        self._workspace = workspace
        self._ask = ask
        self._running = 0
        self._cancelled = Event()

    def open(self, path: Path) -> None:
        """Opens the project of the images that the file lists, and adds its annotations."""
        from rise_engine.formats.coco.images import image_folder

        if self.busy:
            self._workspace.notify(BUSY, "warning")
            return
        self._begin()
        self._workspace.notify(f"Searching for the images of {path.name}…")

        def done(folder: Path) -> None:
            project = self._workspace.project
            same = project is not None and project.images.resolve() == folder.resolve()
            if same or self._workspace.open_folder(folder):
                self._add(path, None)

        run_in_background(self._workspace, lambda: image_folder(path), done=done, finished=self._end)

    def add(self, path: Path, on_conflict: OnConflict | None = None) -> None:
        """Adds the annotations of a file to the open project."""
        project = self._workspace.project
        if project is None or not self._workspace.writable:
            self._workspace.notify("Open a folder of images first. Then import its annotations.", "warning")
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
        project_path = project.path

        def work() -> ImportReport | None:
            from rise_engine.formats.coco.importer import ImportConflictError, import_coco

            # A separate connection, so that the window can read meanwhile.
            with Project.open(project_path) as other:
                try:
                    return import_coco(other, path, on_conflict=on_conflict, watch=self._watch)
                except (ImportConflictError, _CancelledError):
                    return None

        run_in_background(
            self._workspace, work, done=lambda report: self._finished(path, project_path, report), finished=self._end
        )

    def cancel(self) -> None:
        """Cancels the running import. The project stays unchanged."""
        self._cancelled.set()

    def _watch(self, items: Iterable[Item], *, total: int, doing: str) -> Iterator[Item]:
        """A ``Watch`` that runs in the thread of the import."""
        shown = 0.0
        for done, item in enumerate(items):
            if self._cancelled.is_set():
                raise _CancelledError
            if (now := time.monotonic()) >= shown + 1 / REPORTS_PER_SECOND:
                shown = now
                self.progressed.emit(doing, done, total)
            yield item

    def _finished(self, path: Path, project_path: Path, report: ImportReport | None) -> None:
        if report is None:
            self._ask_again(path)
            return
        project = self._workspace.project
        if project is None or project.path != project_path:
            return
        self._workspace.reload()
        self._workspace.notify(_summary(path, report))

    def _ask_again(self, path: Path) -> None:
        """The import found other instances, or was cancelled."""
        answer = None if self._cancelled.is_set() else self._ask(f"Some frames of {path.name} already have instances.")
        if answer is None:
            self._workspace.notify(f"{path.name} was not imported. Nothing was changed.")
        else:
            self._add(path, answer)

    @property
    def busy(self) -> bool:
        """Whether an import is running."""
        return self._running > 0

    def _begin(self) -> None:
        self._running += 1
        self._cancelled.clear()
        self.busy_changed.emit()

    def _end(self) -> None:
        self._running -= 1
        self.busy_changed.emit()


def _summary(path: Path, report: ImportReport) -> str:
    """What was imported and what was not, in one message."""
    parts = [f"Imported {report.instances:,} instances in {report.images:,} frames of {path.name}"]
    if report.missing_files:
        parts.append(f"{report.missing_files:,} images of the file are not in the folder")
    if report.known:
        parts.append(f"{report.known:,} instances already existed")
    if report.kept_out:
        parts.append(f"{report.kept_out:,} instances were not imported because the existing ones were kept")
    if report.skipped:
        parts.append(f"{report.skipped:,} instances have no mask or no image")
    others = replace(report, missing_files=0).notices()
    return " ".join(["; ".join(parts) + ".", *others])
