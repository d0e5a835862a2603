"""The base class of all tabs, a hint above a scrollable body, and the widgets that tabs share."""

from __future__ import annotations

from collections.abc import Callable

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QComboBox, QLabel, QPushButton, QScrollArea, QVBoxLayout, QWidget
from superqt import QCollapsible

from rise_napari.ui.colours import ADVICE
from rise_napari.ui.icons import IconButton
from rise_napari.workspace import Workspace

TALL_BUTTON = 34
"""Height in pixels of the buttons that are used most."""
NO_PROJECT = "Open a folder of images in the Project tab first."


class Tab(QWidget):
    """One tab of the window. Subclasses add widgets to ``body`` and implement ``advice()`` and ``finished()``."""

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
        layout = QVBoxLayout(self)
        layout.setContentsMargins(8, 8, 8, 8)
        layout.setSpacing(8)
        layout.addWidget(self.hint)
        layout.addWidget(_scrollable(content), 1)

    def advice(self) -> str:
        """One or two sentences: the next action in this tab."""
        raise NotImplementedError

    def finished(self) -> bool:
        """Whether this step is done. The window marks the first tab that is not."""
        raise NotImplementedError

    def refresh(self) -> None:
        """Reads the workspace again and updates the widgets."""
        self.hint.setText(self.advice())


def _scrollable(content: QWidget) -> QScrollArea:
    """A vertical scroll area around ``content`` that the Tab key skips: it could not show that it has the focus."""
    scroll = QScrollArea()
    scroll.setWidgetResizable(True)
    scroll.setFrameShape(QScrollArea.Shape.NoFrame)
    scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
    scroll.setFocusPolicy(Qt.FocusPolicy.NoFocus)
    scroll.setWidget(content)
    return scroll


def button(
    text: str, action: Callable[[], object], tip: str, *, tall: bool = False, icon: str | None = None
) -> QPushButton:
    """A push button that calls ``action``; ``tip`` is its tooltip, ``icon`` names a file of ``resources/icons``."""
    made = QPushButton(text) if icon is None else IconButton(text, icon)
    made.setToolTip(tip)
    made.clicked.connect(lambda _checked=False: action())
    if tall:
        made.setMinimumHeight(TALL_BUTTON)
    return made


def collapsible(title: str, content: QWidget) -> QCollapsible:
    """A section that is collapsed at first and expands when its title is clicked."""
    made = QCollapsible(title, expandedIcon="▾", collapsedIcon="▸")
    # superqt removes the focus ring, which shows keyboard users where they are. This style brings it back.
    made.toggleButton().setStyleSheet("text-align: left")
    made.layout().setContentsMargins(0, 0, 0, 0)
    made.layout().setSpacing(2)
    made.setDuration(0)
    made.addWidget(content)
    made.collapse(False)
    return made


def allow_narrow(box: QComboBox) -> QComboBox:
    """Lets a combo box become narrower than its longest entry, so that the entry does not set the dock's width."""
    box.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
    return box
