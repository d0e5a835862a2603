"""The pseudo-sequence of the frame in view: before, after and strong, restaged while its settings are moved."""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from qtpy.QtCore import Qt, QTimer
from qtpy.QtGui import QPixmap
from qtpy.QtWidgets import QFormLayout, QGridLayout, QHBoxLayout, QLabel, QSizePolicy, QSlider, QSpinBox, QWidget

from rise_engine.config import SequenceConfig
from rise_napari.background import stream_beside
from rise_napari.steps.step import button
from rise_napari.workspace import Workspace

PATIENCE_MILLISECONDS = 120
PRESET = "laptop"
SCALE = 2
VIEWS = ("before", "after", "strong")
LEGEND = (
    "<b>&times;</b> goes &nbsp; <b>+</b> has come &nbsp; <b>&rarr;</b> was moved<br>"
    "An object has one colour and one number in all views"
)


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
            value.setMinimumWidth(34)
            self.dials[dial.field], self._values[dial.field] = slider, value
            slider.valueChanged.connect(self._moved)
            row = QHBoxLayout()
            row.addWidget(slider, 1)
            row.addWidget(value)
            form.addRow(dial.name, row)
        last = QHBoxLayout()
        last.addWidget(self.reset)
        last.addWidget(self.use, 1)
        self.words = QLabel()
        self.words.setWordWrap(True)
        self.views: list[QLabel] = []
        grid = QGridLayout()
        grid.setSpacing(4)
        for place, name in enumerate(VIEWS):
            view = QLabel(name)
            view.setAlignment(Qt.AlignmentFlag.AlignCenter)
            view.setMinimumHeight(90)
            view.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
            self.views.append(view)
            grid.addWidget(QLabel(f"<b>{name}</b>"), place // 2 * 2, place % 2)
            grid.addWidget(view, place // 2 * 2 + 1, place % 2)
        legend = QLabel(LEGEND)
        legend.setWordWrap(True)
        beside = QGridLayout()
        beside.addWidget(self.words, 0, 0)
        beside.addWidget(legend, 1, 0)
        grid.addLayout(beside, 3, 1)
        self._layout = QGridLayout(self)
        self._layout.setContentsMargins(0, 0, 0, 0)
        self._layout.addLayout(first, 0, 0)
        self._layout.addLayout(form, 1, 0)
        self._layout.addLayout(last, 2, 0)
        self._layout.addLayout(grid, 3, 0)
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
        stream_beside(
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
        self.words.setText("before | after: " + ";  ".join(answer["result"]["words"]))
        self._fit()

    def resizeEvent(self, event: object) -> None:
        super().resizeEvent(event)
        self._fit()

    def _fit(self) -> None:
        width = max(100, (self.width() - 8) // 2)
        for view, picture in zip(self.views, self._pictures, strict=False):
            fitted = picture.scaledToWidth(width, Qt.TransformationMode.SmoothTransformation)
            view.setFixedHeight(fitted.height())
            view.setPixmap(fitted)

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
