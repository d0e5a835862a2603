"""What every tab has: one sentence that says what to do next, and the workspace it follows."""

from __future__ import annotations

from collections.abc import Callable

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QLabel, QPushButton, QScrollArea, QVBoxLayout, QWidget
from superqt import QCollapsible

from rise_napari.ui.colours import ADVICE
from rise_napari.ui.icons import IconButton
from rise_napari.workspace import Workspace

ROW_HEIGHT = 25
"""Of tables: low, so that a frame with many objects is seen whole."""


class Tab(QWidget):
    """A tab of the workbench. Subclasses fill ``body`` and answer ``advice()`` and ``finished()``."""

    name: str

    def __init__(self, workspace: Workspace) -> None:
        super().__init__()
        self.workspace = workspace
        self.hint = QLabel()
        self.hint.setWordWrap(True)
        self.hint.setMargin(6)
        self.hint.setStyleSheet(ADVICE)
        content = QWidget()
        self.body = QVBoxLayout(content)
        self.body.setContentsMargins(0, 0, 0, 0)
        self.body.setSpacing(8)
        scroll = QScrollArea()
        scroll.setWidgetResizable(True)
        scroll.setFrameShape(QScrollArea.Shape.NoFrame)
        scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        # It is no stop of the Tab key: nothing in it would show where the keyboard is.
        scroll.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        scroll.setWidget(content)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(8, 8, 8, 8)
        layout.setSpacing(8)
        layout.addWidget(self.hint)
        layout.addWidget(scroll, 1)

    def advice(self) -> str:
        """One sentence: what to do next in this tab."""
        raise NotImplementedError

    def finished(self) -> bool:
        """Whether this step is done, so that the first one that is not can be marked."""
        raise NotImplementedError

    def refresh(self) -> None:
        """Reads the workspace again."""
        self.hint.setText(self.advice())


def button(
    text: str, action: Callable[[], object], tip: str, *, tall: bool = False, icon: str | None = None
) -> QPushButton:
    """A push button that says in its tooltip what it does; ``icon`` names a file of ``resources/icons``."""
    made = QPushButton(text) if icon is None else IconButton(text, icon)
    made.setToolTip(tip)
    made.clicked.connect(lambda _checked=False: action())
    if tall:
        made.setMinimumHeight(34)
    return made


def folding(title: str, content: QWidget) -> QCollapsible:
    """What most people need not see, behind a line that unfolds it; folded at first."""
    made = QCollapsible(title, expandedIcon="▾", collapsedIcon="▸")
    # superqt takes the ring of the focus away, by which those without a mouse see where they are.
    made.toggleButton().setStyleSheet("text-align: left")
    made.layout().setContentsMargins(0, 0, 0, 0)
    made.layout().setSpacing(2)
    made.setDuration(0)
    made.addWidget(content)
    made.collapse(False)
    return made
