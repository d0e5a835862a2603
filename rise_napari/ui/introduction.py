"""What a person reads once in each tab, the first time: why the step is there and how it is begun."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from qtpy.QtCore import QSettings, Qt
from qtpy.QtWidgets import QFrame, QHBoxLayout, QLabel, QPushButton, QVBoxLayout, QWidget

from rise_napari.tabs.tab import Tab, button
from rise_napari.ui.colours import INTRODUCTION

READ = "introductions.read"
WORDS = {
    "Project": (
        "<b>Welcome.</b> RISE learns to outline objects from a handful of frames that you draw, and from all the "
        "others as they are. Begin with a folder of images: nothing in it is changed, the project is kept beside it. "
        "No images at hand? <b>Sample totes</b> draws a dozen, some of them labelled already."
    ),
    "Annotate": (
        "<b>Draw every object of a frame</b>, the half hidden ones too, then say <b>Done</b>: only frames that are "
        "done teach. Suggest (S) draws most outlines for you. Every stroke is saved at once, and Ctrl + Z takes back "
        "anything, whichever frame it was on."
    ),
    "Bank": (
        "<b>Nothing has to be done here.</b> What you drew is cut out, pasted, moved and taken away, to stage what "
        "happens in a tote between two pictures. Look whether the cut-outs are clean, and exclude those that are not."
    ),
    "Train": (
        "<b>Press Start.</b> The training runs beside the window: go on drawing meanwhile, your labels are never "
        "touched. The frame in view shows what the model sees so far. A new model takes over only when it is not worse "
        "on the hold-out."
    ),
    "Review": (
        "<b>Correct instead of drawing.</b> Predict all fills the list with the frames that are worth most, and says "
        "why. A accepts what is shown and goes on; reject (R) or mend what is wrong. Then train again: a few rounds "
        "of this cost far less than drawing every frame."
    ),
    "Export": (
        "<b>Take it with you.</b> The annotations as a COCO file, the model as ONNX, which runs without this program, "
        "and a page of counts. The project itself stays as it is."
    ),
}


class Introductions:
    """Puts an introduction on top of each step until it has been read; what was read is remembered."""

    def __init__(self, steps: Sequence[Tab], remembered: Callable[[], QSettings]) -> None:
        """``remembered`` gives the window's settings."""
        self._remembered = remembered
        self.frames = {step.name: self._introduce(step) for step in steps}
        self._show()

    def show_again(self) -> None:
        """All of them are unread again."""
        self._remembered().setValue(READ, [])
        self._show()

    def _introduce(self, step: Tab) -> QFrame:
        frame = QFrame()
        frame.setObjectName("introduction")
        frame.setStyleSheet(f"QFrame#introduction {{ {INTRODUCTION} }}")
        words = QLabel(WORDS[step.name])
        words.setTextFormat(Qt.TextFormat.RichText)
        words.setWordWrap(True)
        read = button("Got it", lambda: self._mark_read(step.name), "Do not show this again; Keys brings it back")
        row = QHBoxLayout()
        row.addStretch(1)
        row.addWidget(read)
        column = QVBoxLayout(frame)
        column.setContentsMargins(8, 6, 8, 6)
        column.addWidget(words)
        column.addLayout(row)
        step.body.insertWidget(0, frame)
        self._reach_first(step, read)
        return frame

    @staticmethod
    def _reach_first(step: Tab, read: QPushButton) -> None:
        """It stands first, so the Tab key comes to it first: after whatever it comes to before the step."""
        before = step.previousInFocusChain()
        while before is not step and before.focusPolicy() == Qt.FocusPolicy.NoFocus:
            before = before.previousInFocusChain()
        if before is not step:
            QWidget.setTabOrder(before, read)

    def _read(self) -> list[str]:
        stored = self._remembered().value(READ, [])
        return [stored] if isinstance(stored, str) else list(stored or [])

    def _mark_read(self, name: str) -> None:
        self._remembered().setValue(READ, [*self._read(), name])
        self._show()

    def _show(self) -> None:
        read = self._read()
        for name, frame in self.frames.items():
            frame.setVisible(name not in read)
