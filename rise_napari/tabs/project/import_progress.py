"""How far an import is, with the button that ends it."""

from __future__ import annotations

import time

from qtpy.QtWidgets import QHBoxLayout, QProgressBar, QWidget

from rise_engine.project.wording import duration
from rise_napari.tabs.project.importing import CocoImport
from rise_napari.tabs.tab import button

SECONDS_TO_JUDGE = 2
"""Before that nobody can say how long the rest takes."""


class ImportProgress(QWidget):
    """There only while a file is being imported."""

    def __init__(self, importer: CocoImport) -> None:
        super().__init__()
        self._importer = importer
        self._doing = ""
        self._began = 0.0
        self.bar = QProgressBar()
        self.cancel = button("Cancel", self._cancel, "End the import; the project stays as it was")
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.bar, 1)
        row.addWidget(self.cancel)
        importer.busy_changed.connect(self._follow)
        importer.progressed.connect(self._show)
        self._follow()

    def _follow(self) -> None:
        self.setVisible(self._importer.busy)
        self.cancel.setEnabled(True)
        self._doing = ""
        # Until the first word of it a bar that only moves.
        self.bar.setRange(0, 0)
        self.bar.setFormat("")

    def _show(self, doing: str, done: int, total: int) -> None:
        now = time.monotonic()
        if doing != self._doing:
            self._doing, self._began = doing, now
        self.bar.setRange(0, total)
        self.bar.setValue(done)
        spent = now - self._began
        left = f", {duration(spent * (total - done) / done)} left" if done and spent > SECONDS_TO_JUDGE else ""
        self.bar.setFormat(f"{doing}: %p %{left}")

    def _cancel(self) -> None:
        self.cancel.setEnabled(False)
        self._importer.cancel()
