"""The predictions of the frame in view: the table, the score slider, and the buttons for the selected predictions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QHBoxLayout, QLabel, QSizePolicy, QSlider, QVBoxLayout, QWidget

from rise_engine.project.records import Instance
from rise_napari.tabs.instance_table import InstanceTable
from rise_napari.tabs.tab import button
from rise_napari.workspace import Workspace

STORED_SCORE = 0.3
"""Predictions below this score are not stored."""
SHOWN_SCORE = 0.4
"""Lower values mean more to reject, higher ones more to draw. The sum of both was smallest here."""
COLUMNS = ("#", "Category", "Score")


@dataclass(frozen=True, slots=True)
class PaneActions:
    """What the pane calls: one function per button, and two that report changes."""

    accept: Callable[[], object]
    reject: Callable[[], object]
    edit: Callable[[], object]
    select_on_image: Callable[[], object]
    reject_hidden: Callable[[], object]
    score_changed: Callable[[], object]
    highlight: Callable[[Sequence[Instance]], object]
    """Outlines the selected predictions on the image."""


class PredictionPane(QWidget):
    """Shows the predictions above the slider's score, the best first."""

    def __init__(self, workspace: Workspace, actions: PaneActions) -> None:
        super().__init__()
        self._workspace = workspace
        self._actions = actions
        self._column = QVBoxLayout(self)
        self._column.setContentsMargins(0, 0, 0, 0)
        self._column.setSpacing(4)
        self._build_table()
        self._build_buttons()
        self._build_slider()

    # -- construction -----------------------------------------------------------------------------------------------

    def _build_table(self) -> None:
        self.frame_label = QLabel()
        self.frame_label.setWordWrap(True)
        self.table = InstanceTable(COLUMNS, widths={0: 32, 2: 50})
        self.table.setToolTip("Selected predictions are outlined on the image. Ctrl or Shift + click selects several.")
        self.table.itemSelectionChanged.connect(self.show_selection)
        self._column.addWidget(self.frame_label)
        self._column.addWidget(self.table, 1)

    def _build_buttons(self) -> None:
        actions = self._actions
        self.accept_selected = button(
            "Accept", actions.accept, "Accept only the selected predictions (Shift + A).", icon="accept"
        )
        self.reject_selected = button("Reject", actions.reject, "Reject the selected predictions (R).", icon="reject")
        self.edit = button("Edit", actions.edit, "Accept the selected prediction and edit it with the brush.")
        self.select_on_image = button(
            "Select on image",
            actions.select_on_image,
            "Click on a prediction, or drag a box around several, to select them. Esc ends the selection.",
        )
        for pair, stretch in (
            ((self.accept_selected, self.reject_selected), (1, 1)),
            ((self.edit, self.select_on_image), (2, 5)),
        ):
            row = QHBoxLayout()
            row.setSpacing(4)
            for widget, share in zip(pair, stretch, strict=True):
                # The pane may be narrower than the texts: the dock leaves the room to the image.
                widget.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
                row.addWidget(widget, share)
            self._column.addLayout(row)

    def _build_slider(self) -> None:
        self.score = QLabel()
        self.score.setWordWrap(True)
        self.slider = QSlider(Qt.Orientation.Horizontal)
        self.slider.setRange(int(STORED_SCORE * 100), 99)
        self.slider.setValue(round(SHOWN_SCORE * 100))
        self.slider.setToolTip("The score threshold. Predictions below it are hidden and are not accepted.")
        self.slider.valueChanged.connect(lambda _value: self._actions.score_changed())
        self.reject_hidden = button(
            "", self._actions.reject_hidden, "Reject the predictions of this frame that the slider hides."
        )
        self._column.addWidget(self.score)
        self._column.addWidget(self.slider)
        self._column.addWidget(self.reject_hidden)

    # -- what it shows ----------------------------------------------------------------------------------------------

    @property
    def min_score(self) -> float:
        """Predictions below this score are hidden."""
        return self.slider.value() / 100

    def shown(self) -> list[Instance]:
        """The predictions of the frame in view at or above the threshold, the best first."""
        return [one for one in self._workspace.predictions() if (one.score or 0.0) >= self.min_score]

    def hidden(self) -> list[Instance]:
        """The predictions of the frame in view below the threshold."""
        return [one for one in self._workspace.predictions() if (one.score or 0.0) < self.min_score]

    def refresh(self) -> None:
        """Reads the frame in view again."""
        frame = self._workspace.frame
        self.frame_label.setText(f"<b>{frame.name}</b> {frame.state}" if frame is not None else "")
        names = {category.id: category.name for category in self._workspace.categories}
        shown, hidden = self.shown(), self.hidden()
        self.table.show_rows(
            [
                (one.id, (str(row), names.get(one.category, "?"), f"{one.score or 0:.2f}"))
                for row, one in enumerate(shown, start=1)
            ]
        )
        self.score.setText(f"Score ≥ {self.min_score:.2f}: {len(shown)} of {len(shown) + len(hidden)}")
        usable = self._usable
        self.reject_hidden.setText(f"Reject {len(hidden)} hidden" if hidden else "Reject hidden predictions")
        self.reject_hidden.setEnabled(usable and bool(hidden))
        self.select_on_image.setEnabled(usable and bool(shown))
        self.show_selection()

    def show_selection(self) -> None:
        """Shows the number of selected predictions on the buttons, and outlines them on the image."""
        selected = self.table.selected_ids()
        usable = self._usable and bool(selected)
        for widget, verb in ((self.accept_selected, "Accept"), (self.reject_selected, "Reject")):
            widget.setEnabled(usable)
            widget.setText(f"{verb} {len(selected)}" if selected else verb)
        self.edit.setEnabled(usable and len(selected) == 1)
        if self.isVisible():
            self._actions.highlight([one for one in self.shown() if one.id in selected] if selected else [])

    @property
    def _usable(self) -> bool:
        return self._workspace.writable and self._workspace.frame is not None
