"""The pseudo-sequence of the frame in view: before, after and strong, restaged while its settings are moved."""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from qtpy.QtCore import Qt, QTimer, Signal
from qtpy.QtGui import QMouseEvent, QPixmap
from qtpy.QtWidgets import (
    QDialog,
    QFormLayout,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QSizePolicy,
    QSlider,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)

from rise_engine.config import SequenceConfig
from rise_napari.engine.background import stream_in_background
from rise_napari.tabs.tab import button
from rise_napari.workspace import Workspace

PATIENCE_MILLISECONDS = 120
PRESET = "laptop"
SCALE, LARGEST = 2, 640
VIEWS = ("before", "after", "strong")
STAYED = "kept"
LEGEND = "<b>&times;</b> goes &nbsp; <b>+</b> has come &nbsp; <b>&rarr;</b> was moved"
LEGEND_TIP = "An object has one colour and one number in all views"


@dataclass(frozen=True, slots=True)
class Dial:
    """A setting of the sequence as a slider of whole steps."""

    name: str
    field: str
    tip: str
    lowest: int
    highest: int
    step: float

    def value(self, position: int) -> float | int:
        """The setting at a position of the slider."""
        return position if self.step == 1 else round(position * self.step, 4)

    def position(self, value: float) -> int:
        """Where the slider stands for a setting."""
        return round(value / self.step)


DIALS = (
    Dial("K", "max_pasted", "At most so many objects of the bank are pasted into the before view", 0, 10, 1),
    Dial("Beta", "beta_alpha", "Where they land: low at the tote's edges, 1 anywhere, high in the middle", 1, 30, 0.1),
    Dial("Overlap", "max_overlap", "A paste may hide at most this share of an object under it", 1, 20, 0.05),
)


class _View(QLabel):
    """A picture that can be clicked."""

    clicked = Signal()

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.setMinimumHeight(90)
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.setToolTip("Click to see it large")

    def mousePressEvent(self, event: QMouseEvent) -> None:
        self.clicked.emit()
        super().mousePressEvent(event)


class SequencePreview(QWidget):
    """Three views, the seed, and the dials; what is shown follows from the frame, the seed and the dials alone."""

    def __init__(self, workspace: Workspace, *, use_settings: Callable[[list[str]], None]) -> None:
        super().__init__()
        self._workspace = workspace
        self._use_settings = use_settings
        self._staging = self._again = False
        self._pictures: list[QPixmap] = []
        self.seed = QSpinBox()
        self.seed.setRange(0, 999_999)
        self.seed.setToolTip("The same seed stages the same sequence")
        self.seed.valueChanged.connect(lambda _seed: self.restage())
        self.regenerate = button("Regenerate", self._next_seed, "Stage another sequence of the frame in view")
        self.use = button(
            "Use in training", self._use, "Train with these settings; they are written into the Train tab"
        )
        self.reset = button("Reset", self._reset, "The recommended settings again")
        first = QHBoxLayout()
        first.addWidget(QLabel("Seed"))
        first.addWidget(self.seed)
        first.addWidget(self.regenerate, 1)
        self.dials: dict[str, QSlider] = {}
        self._values: dict[str, QLabel] = {}
        form = QFormLayout()
        form.setVerticalSpacing(2)
        for dial in DIALS:
            slider, value = QSlider(Qt.Orientation.Horizontal), QLabel()
            slider.setRange(dial.lowest, dial.highest)
            slider.setToolTip(dial.tip)
            value.setMinimumWidth(28)
            self.dials[dial.field], self._values[dial.field] = slider, value
            slider.valueChanged.connect(self._moved)
            row = QHBoxLayout()
            row.addWidget(slider, 1)
            row.addWidget(value)
            form.addRow(dial.name, row)
        last = QHBoxLayout()
        last.addWidget(self.reset)
        last.addWidget(self.use, 1)
        self._beside = QWidget()
        beside = QVBoxLayout(self._beside)
        beside.setContentsMargins(0, 0, 0, 0)
        beside.setSpacing(4)
        beside.addLayout(form)
        beside.addLayout(last)
        beside.addStretch(1)
        self.words = QLabel()
        self.words.setWordWrap(True)
        legend = QLabel(LEGEND)
        legend.setToolTip(LEGEND_TIP)
        self.views = [_View(name) for name in VIEWS]
        self._titles = [QLabel(f"<b>{name}</b>") for name in VIEWS]
        self._grid = QGridLayout()
        self._grid.setSpacing(4)
        for view in self.views:
            view.clicked.connect(self.enlarge)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addLayout(first)
        layout.addLayout(self._grid)
        layout.addWidget(self.words)
        layout.addWidget(legend)
        self.columns = 0
        self.arrange(len(VIEWS))
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(PATIENCE_MILLISECONDS)
        self._timer.timeout.connect(self._stage)
        workspace.frame_changed.connect(self._frame_changed)
        self._reset()

    def settings(self) -> list[str]:
        """The dials as settings of a training, those aside that stand where they are by default."""
        usual = SequenceConfig()
        found = []
        for dial in DIALS:
            value = dial.value(self.dials[dial.field].value())
            if value != getattr(usual, dial.field):
                found.append(f"sequence.{dial.field}={value}")
                if dial.field == "beta_alpha":
                    found.append(f"sequence.beta_beta={value}")
                if dial.field == "max_pasted" and value < usual.min_pasted:
                    found.append(f"sequence.min_pasted={value}")
        return found

    def restage(self) -> None:
        """Stages the sequence anew in a moment; several calls in that moment are one."""
        self._timer.start()

    def _stage(self) -> None:
        project, frame = self._workspace.project, self._workspace.frame
        if project is None or frame is None or not self.isVisible():
            return
        if self._staging:
            self._again = True
            return
        self._staging = True
        path, seed, settings = str(project.path), self.seed.value(), self.settings()
        if not self._pictures:
            self.words.setText("Staging a sequence…")
        stream_in_background(
            self._workspace,
            lambda: self._workspace.engine.run(
                "stage", project=path, frame=frame.id, seed=seed, preset=PRESET, settings=settings, scale=SCALE
            ),
            each=lambda answer: self._show(frame.id, answer),
            finished=self._staged,
        )

    def _staged(self) -> None:
        self._staging = False
        if not self._pictures:
            self.words.clear()
        if self._again:
            self._again = False
            self._stage()

    def _show(self, frame_id: int, answer: dict[str, Any]) -> None:
        now = self._workspace.frame
        if "result" not in answer or now is None or now.id != frame_id:
            return
        self._pictures = []
        for png in answer["result"]["pngs"]:
            picture = QPixmap()
            picture.loadFromData(base64.b64decode(png))
            self._pictures.append(picture)
        self.words.setText("before | after: " + ";  ".join(map(_shorter, answer["result"]["words"])))
        self._fit()

    def arrange(self, columns: int) -> None:
        """Puts ``columns`` views beside each other: two are larger, three need less height."""
        if columns == self.columns:
            return
        self.columns = columns
        for place, (title, view) in enumerate(zip(self._titles, self.views, strict=True)):
            row, column = divmod(place, columns)
            self._grid.addWidget(title, 2 * row, column)
            self._grid.addWidget(view, 2 * row + 1, column)
        if columns == len(VIEWS):
            self._grid.addWidget(self._beside, 2, 0, 1, columns)
        else:
            self._grid.addWidget(self._beside, 3, 1)
        for column in range(len(VIEWS)):
            self._grid.setColumnStretch(column, int(column < columns))
        self._fit()

    def resizeEvent(self, event: object) -> None:
        super().resizeEvent(event)
        self._fit()

    def _fit(self) -> None:
        width = max(100, (self.width() - self._grid.spacing() * (self.columns - 1)) // self.columns)
        for view, picture in zip(self.views, self._pictures, strict=False):
            fitted = self._scaled(picture, width)
            view.setFixedHeight(round(fitted.height() / fitted.devicePixelRatio()))
            view.setPixmap(fitted)

    def _scaled(self, picture: QPixmap, width: int) -> QPixmap:
        """A picture so wide in the window, with as many pixels as the screen has there."""
        ratio = self.devicePixelRatioF()
        fitted = picture.scaledToWidth(round(width * ratio), Qt.TransformationMode.SmoothTransformation)
        fitted.setDevicePixelRatio(ratio)
        return fitted

    def enlarge(self) -> None:
        """Shows the three views as large as the screen allows."""
        if not self._pictures:
            return
        dialog = QDialog(self)
        dialog.setWindowTitle(f"before | after | strong, seed {self.seed.value()}")
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        row = QHBoxLayout(dialog)
        room = self.screen().availableGeometry().width() - 100
        width = min(LARGEST, room // len(self._pictures))
        for picture in self._pictures:
            label = QLabel()
            label.setPixmap(self._scaled(picture, width))
            row.addWidget(label)
        dialog.open()

    def _frame_changed(self) -> None:
        self._pictures = []
        for view, name in zip(self.views, VIEWS, strict=True):
            view.setText(name)
        self.words.clear()
        self.restage()

    def _next_seed(self) -> None:
        self.seed.setValue(self.seed.value() + 1)

    def _moved(self) -> None:
        for dial in DIALS:
            value = dial.value(self.dials[dial.field].value())
            self._values[dial.field].setText(f"{value:g}")
        self.reset.setEnabled(bool(self.settings()))
        self.restage()

    def _reset(self) -> None:
        usual = SequenceConfig()
        for dial in DIALS:
            self.dials[dial.field].setValue(dial.position(getattr(usual, dial.field)))
        self._moved()

    def _use(self) -> None:
        self._use_settings(self.settings())


def _shorter(words: str) -> str:
    """Of what stayed as it was, how many there are is enough; the others are named by their numbers."""
    change, _, numbers = words.partition(": ")
    return f"{change}: {numbers.count(',') + 1} objects" if change == STAYED and "," in numbers else words
