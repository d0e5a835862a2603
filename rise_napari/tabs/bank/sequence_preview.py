"""The pseudo-sequence of the frame in view: before, after and strong, generated again when a setting changes."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any

from qtpy.QtCore import Qt, QTimer, Signal
from qtpy.QtGui import QMouseEvent, QPixmap
from qtpy.QtWidgets import QDialog, QGridLayout, QHBoxLayout, QLabel, QSizePolicy, QSpinBox, QVBoxLayout, QWidget

from rise_napari.engine.background import stream_in_background
from rise_napari.tabs.bank.sequence_settings import SequenceSettings
from rise_napari.tabs.tab import button
from rise_napari.workspace import Workspace

DELAY_MILLISECONDS = 120
"""Changes within this time are one request."""
PRESET = "laptop"
SCALE, LARGEST = 2, 640
VIEWS = ("before", "after", "strong")
UNCHANGED = "kept"
LEGEND = "<b>&times;</b> removed &nbsp; <b>+</b> added &nbsp; <b>&rarr;</b> moved"
LEGEND_TIP = "An object has the same colour and number in all views."


class _View(QLabel):
    """An image that can be clicked."""

    clicked = Signal()

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.setMinimumHeight(90)
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.setToolTip("Click to enlarge.")

    def mousePressEvent(self, event: QMouseEvent) -> None:
        self.clicked.emit()
        super().mousePressEvent(event)


class SequencePreview(QWidget):
    """Three views, the seed, and the settings. The frame, the seed and the settings determine the views."""

    def __init__(self, workspace: Workspace, *, use_settings: Callable[[list[str]], None]) -> None:
        """``use_settings`` receives the changed settings when the person wants to train with them."""
        super().__init__()
        self._workspace = workspace
        self._running = self._requested = False
        self._pixmaps: list[QPixmap] = []
        self.columns = 0
        self._build_timer()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addLayout(self._build_seed_row())
        layout.addLayout(self._build_views(use_settings))
        for label in self._build_description():
            layout.addWidget(label)
        self.arrange(len(VIEWS))
        workspace.frame_changed.connect(self._frame_changed)

    # -- construction -----------------------------------------------------------------------------------------------

    def _build_timer(self) -> None:
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(DELAY_MILLISECONDS)
        self._timer.timeout.connect(self._generate)

    def _build_seed_row(self) -> QHBoxLayout:
        self.seed = QSpinBox()
        self.seed.setRange(0, 999_999)
        self.seed.setToolTip("The same seed generates the same sequence.")
        self.seed.valueChanged.connect(lambda _seed: self.generate())
        self.regenerate = button("Regenerate", self._next_seed, "Generate another sequence of the frame in view.")
        row = QHBoxLayout()
        row.addWidget(QLabel("Seed"))
        row.addWidget(self.seed)
        row.addWidget(self.regenerate, 1)
        return row

    def _build_views(self, use_settings: Callable[[list[str]], None]) -> QGridLayout:
        self.views = [_View(name) for name in VIEWS]
        self._titles = [QLabel(f"<b>{name}</b>") for name in VIEWS]
        self.settings = SequenceSettings(use_settings=use_settings)
        self.settings.changed.connect(self.generate)
        for view in self.views:
            view.clicked.connect(self.enlarge)
        self._grid = QGridLayout()
        self._grid.setSpacing(4)
        return self._grid

    def _build_description(self) -> tuple[QLabel, QLabel]:
        self.words = QLabel()
        self.words.setWordWrap(True)
        legend = QLabel(LEGEND)
        legend.setToolTip(LEGEND_TIP)
        return self.words, legend

    # -- generation -------------------------------------------------------------------------------------------------

    def generate(self) -> None:
        """Requests the sequence again after a short delay. Several calls within the delay are one request."""
        self._timer.start()

    def _generate(self) -> None:
        project, frame = self._workspace.project, self._workspace.frame
        if project is None or frame is None or not self.isVisible():
            return
        if self._running:
            self._requested = True
            return
        self._running = True
        path, seed, settings = str(project.path), self.seed.value(), self.settings.overrides()
        if not self._pixmaps:
            self.words.setText("Generating a sequence…")
        stream_in_background(
            self._workspace,
            lambda: self._workspace.engine.run(
                "preview_sequence",
                project=path,
                frame=frame.id,
                seed=seed,
                preset=PRESET,
                settings=settings,
                scale=SCALE,
            ),
            each=lambda answer: self._show(frame.id, answer),
            finished=self._generated,
        )

    def _generated(self) -> None:
        self._running = False
        if not self._pixmaps:
            self.words.clear()
        if self._requested:
            self._requested = False
            self._generate()

    def _show(self, frame_id: int, answer: dict[str, Any]) -> None:
        now = self._workspace.frame
        if "result" not in answer or now is None or now.id != frame_id:
            return
        self._pixmaps = []
        for png in answer["result"]["pngs"]:
            pixmap = QPixmap()
            pixmap.loadFromData(base64.b64decode(png))
            self._pixmaps.append(pixmap)
        self.words.setText("before | after: " + ";  ".join(map(_shortened, answer["result"]["words"])))
        self._fit()

    def _frame_changed(self) -> None:
        self._pixmaps = []
        for view, name in zip(self.views, VIEWS, strict=True):
            view.setText(name)
        self.words.clear()
        self.generate()

    def _next_seed(self) -> None:
        self.seed.setValue(self.seed.value() + 1)

    # -- layout -----------------------------------------------------------------------------------------------------

    def arrange(self, columns: int) -> None:
        """Puts ``columns`` views into a row. Two columns show larger views, three need less height."""
        if columns == self.columns:
            return
        self.columns = columns
        for place, (title, view) in enumerate(zip(self._titles, self.views, strict=True)):
            row, column = divmod(place, columns)
            self._grid.addWidget(title, 2 * row, column)
            self._grid.addWidget(view, 2 * row + 1, column)
        if columns == len(VIEWS):
            self._grid.addWidget(self.settings, 2, 0, 1, columns)
        else:
            self._grid.addWidget(self.settings, 3, 1)
        for column in range(len(VIEWS)):
            self._grid.setColumnStretch(column, int(column < columns))
        self._fit()

    def resizeEvent(self, event: object) -> None:
        super().resizeEvent(event)
        self._fit()

    def _fit(self) -> None:
        width = max(100, (self.width() - self._grid.spacing() * (self.columns - 1)) // self.columns)
        for view, pixmap in zip(self.views, self._pixmaps, strict=False):
            fitted = self._scaled(pixmap, width)
            view.setFixedHeight(round(fitted.height() / fitted.devicePixelRatio()))
            view.setPixmap(fitted)

    def _scaled(self, pixmap: QPixmap, width: int) -> QPixmap:
        """The pixmap at ``width`` of Qt's pixels, with all the pixels that a high-resolution screen has there."""
        ratio = self.devicePixelRatioF()
        fitted = pixmap.scaledToWidth(round(width * ratio), Qt.TransformationMode.SmoothTransformation)
        fitted.setDevicePixelRatio(ratio)
        return fitted

    def enlarge(self) -> None:
        """Shows the three views in a dialog, as large as the screen allows."""
        if not self._pixmaps:
            return
        dialog = QDialog(self)
        dialog.setWindowTitle(f"before | after | strong, seed {self.seed.value()}")
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        row = QHBoxLayout(dialog)
        available = self.screen().availableGeometry().width() - 100
        width = min(LARGEST, available // len(self._pixmaps))
        for pixmap in self._pixmaps:
            label = QLabel()
            label.setPixmap(self._scaled(pixmap, width))
            row.addWidget(label)
        dialog.open()


def _shortened(words: str) -> str:
    """Unchanged objects are counted; the others are listed by their numbers."""
    change, _, numbers = words.partition(": ")
    return f"{change}: {numbers.count(',') + 1} objects" if change == UNCHANGED and "," in numbers else words
