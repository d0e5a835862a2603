"""The introduction at the top of each tab: its purpose and the first action, shown until the user confirms it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from qtpy.QtCore import QSettings, Qt
from qtpy.QtWidgets import QFrame, QHBoxLayout, QLabel, QPushButton, QVBoxLayout, QWidget

from rise_napari.tabs.tab import Tab, button
from rise_napari.ui.colours import INTRODUCTION

READ = "introductions.read"
TEXTS = {
    "Project": (
        "<b>Welcome.</b> RISE learns to segment objects from a few annotated frames and from all unlabelled ones. "
        "Start with a folder of images. RISE never changes the images; it keeps the project next to the folder. To try "
        "it without images of your own, press <b>Open sample totes</b>: it generates twelve frames, some labelled."
    ),
    "Annotate": (
        "<b>Annotate every object of a frame</b>, also partly hidden ones, then press <b>Mark done</b>. The model "
        "learns only from frames that are done. Suggest (S) proposes most outlines. Every stroke is saved immediately. "
        "Ctrl + Z undoes the last action, on any frame."
    ),
    "Bank": (
        "<b>This tab is optional.</b> RISE cuts out the annotated instances and pastes, moves and removes them, to "
        "simulate what happens in a tote between two images. Exclude the cut-outs that have a wrong mask."
    ),
    "Train": (
        "<b>Press Start.</b> You can continue to annotate while the model trains: the training never changes "
        "annotations. The current frame shows live predictions. A new model replaces the old one only if its "
        "AP on the hold-out frames is at least as high."
    ),
    "Review": (
        "<b>Correct predictions instead of drawing masks.</b> Predict all fills the list. The most useful frames come "
        "first, each with the reason. Accept all shown predictions with A, reject a wrong one with R, or edit it. Then "
        "train again. A few such rounds take much less time than annotating every frame."
    ),
    "Export": (
        "<b>Save your results.</b> Export the annotations as a COCO file, the model as an ONNX file that runs without "
        "RISE, and a report of counts. The export does not change the project."
    ),
}


class Introductions:
    """Shows an introduction at the top of each tab until it is confirmed; confirmations are stored in the settings."""

    def __init__(self, tabs: Sequence[Tab], settings: Callable[[], QSettings]) -> None:
        """``settings`` returns the stored settings of the window."""
        self._settings = settings
        self.frames = {tab.name: self._add_introduction(tab) for tab in tabs}
        self._show()

    def show_again(self) -> None:
        """Shows all introductions, also confirmed ones."""
        self._settings().setValue(READ, [])
        self._show()

    def _add_introduction(self, tab: Tab) -> QFrame:
        frame = QFrame()
        frame.setObjectName("introduction")
        frame.setStyleSheet(f"QFrame#introduction {{ {INTRODUCTION} }}")
        text = QLabel(TEXTS[tab.name])
        text.setTextFormat(Qt.TextFormat.RichText)
        text.setWordWrap(True)
        confirm = button(
            "Got it", lambda: self._mark_read(tab.name), "Hide this introduction; the Shortcuts dialog shows it again"
        )
        row = QHBoxLayout()
        row.addStretch(1)
        row.addWidget(confirm)
        column = QVBoxLayout(frame)
        column.setContentsMargins(8, 6, 8, 6)
        column.addWidget(text)
        column.addLayout(row)
        tab.body.insertWidget(0, frame)
        self._focus_first(tab, confirm)
        return frame

    @staticmethod
    def _focus_first(tab: Tab, confirm: QPushButton) -> None:
        """Makes the button the first stop of the Tab key: right after the last stop before the tab."""
        before = tab.previousInFocusChain()
        while before is not tab and before.focusPolicy() == Qt.FocusPolicy.NoFocus:
            before = before.previousInFocusChain()
        if before is not tab:
            QWidget.setTabOrder(before, confirm)

    def _read(self) -> list[str]:
        stored = self._settings().value(READ, [])
        return [stored] if isinstance(stored, str) else list(stored or [])

    def _mark_read(self, name: str) -> None:
        self._settings().setValue(READ, [*self._read(), name])
        self._show()

    def _show(self) -> None:
        read = self._read()
        for name, frame in self.frames.items():
            frame.setVisible(name not in read)
