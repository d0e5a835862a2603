"""The list of recently opened projects, and the settings that the window keeps between sessions."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from qtpy.QtCore import QSettings
from qtpy.QtWidgets import QComboBox

from rise_napari.tabs.tab import allow_narrow

RECENT = "recent"
RECENT_COUNT = 8


def settings() -> QSettings:
    """The settings that the window keeps between sessions."""
    return QSettings("rise-napari", "workbench")


def recent_paths() -> list[Path]:
    """The projects that were opened last and still exist, the latest first."""
    return [Path(path) for path in _stored() if Path(path).is_dir()]


def _stored() -> list[str]:
    stored = settings().value(RECENT, [])
    return [stored] if isinstance(stored, str) else list(stored or [])


class RecentProjects(QComboBox):
    """A combo box that opens a recent project."""

    def __init__(self, open_project: Callable[[Path], object]) -> None:
        super().__init__()
        self._open_project = open_project
        allow_narrow(self)
        self.setMinimumContentsLength(12)
        self.setToolTip("Recently opened projects.")
        self.activated.connect(self._chosen)
        self.refresh()

    def add(self, project: Path) -> None:
        """Puts a project on top of the list."""
        path = str(project)
        others = [entry for entry in _stored() if entry != path]
        settings().setValue(RECENT, [path, *others][:RECENT_COUNT])
        self.refresh()

    def refresh(self) -> None:
        """Reads the settings again."""
        self.clear()
        paths = recent_paths()
        self.addItem("Open a recent project…" if paths else "No recent project", None)
        for path in paths:
            self.addItem(str(path), str(path))
        self.setEnabled(bool(paths))

    def _chosen(self, row: int) -> None:
        path = self.itemData(row)
        if path:
            self._open_project(Path(path))
