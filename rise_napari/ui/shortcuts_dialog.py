"""The dialog that lists all commands with their keys."""

from __future__ import annotations

from collections.abc import Callable

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QDialog, QDialogButtonBox, QLabel, QScrollArea, QVBoxLayout, QWidget

from rise_napari.ui.commands import COMMANDS

WIDTH, HEIGHT = 620, 680
LISTED = tuple(command for command in COMMANDS if command.listed)
EXPLANATION = (
    "All commands are also in napari's command palette: press Ctrl + Shift + P and type RISE. The keys work wherever "
    "the focus is in the window, except in text fields. F6 moves the focus out of a text field."
)


class ShortcutsDialog(QDialog):
    """All listed commands; ``show_introductions`` brings back the introductions of the tabs."""

    def __init__(self, parent: QWidget, *, show_introductions: Callable[[], object]) -> None:
        super().__init__(parent)
        self.setWindowTitle("RISE: keyboard shortcuts")
        rows = "".join(
            f"<tr><td style='padding-right:18px; white-space: nowrap'><b>{command.shown_key}</b></td>"
            f"<td>{command.explanation}</td></tr>"
            for command in LISTED
        )
        self.text = QLabel(f"<p>{EXPLANATION}</p><table cellspacing='4'>{rows}</table>")
        self.text.setTextFormat(Qt.TextFormat.RichText)
        self.text.setWordWrap(True)
        scroll = QScrollArea()
        scroll.setWidgetResizable(True)
        scroll.setFrameShape(QScrollArea.Shape.NoFrame)
        scroll.setWidget(self.text)
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Close)
        again = buttons.addButton("Show the introductions again", QDialogButtonBox.ButtonRole.ActionRole)
        again.clicked.connect(lambda _checked=False: show_introductions())
        buttons.rejected.connect(self.reject)
        layout = QVBoxLayout(self)
        layout.addWidget(scroll, 1)
        layout.addWidget(buttons)
        self.resize(WIDTH, HEIGHT)
