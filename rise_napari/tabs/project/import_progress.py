"""The progress bar of an import, with a Cancel button."""

from __future__ import annotations

import time

from qtpy.QtWidgets import QHBoxLayout, QProgressBar, QWidget

from rise_engine.project.wording import duration
from rise_napari.tabs.project.coco_import import CocoImport
from rise_napari.tabs.tab import button

SECONDS_TO_ESTIMATE = 2
"""No remaining time is shown before that."""


class ImportProgress(QWidget):
    """Visible only while a file is being imported."""

    def __init__(self, importer: CocoImport) -> None:
        super().__init__()
        self._importer = importer
        self._task = ""
        self._began = 0.0
        self.bar = QProgressBar()
        self.cancel = button("Cancel", self._cancel, "Cancel the import. The project stays unchanged.")
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
        self._task = ""
        # Busy indicator until the first report.
        self.bar.setRange(0, 0)
        self.bar.setFormat("")

    def _show(self, task: str, done: int, total: int) -> None:
        now = time.monotonic()
        if task != self._task:
            self._task, self._began = task, now
        self.bar.setRange(0, total)
        self.bar.setValue(done)
        spent = now - self._began
        left = f", {duration(spent * (total - done) / done)} left" if done and spent > SECONDS_TO_ESTIMATE else ""
        self.bar.setFormat(f"{task}: %p %{left}")

    def _cancel(self) -> None:
        self.cancel.setEnabled(False)
        self._importer.cancel()
