"""The one list of actions: bound to keys on the viewer and on our annotation layer, and shown in a dialog."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from napari.layers import Labels
from napari.viewer import Viewer
from qtpy.QtCore import QEvent, QObject, Qt
from qtpy.QtGui import QKeyEvent
from qtpy.QtWidgets import (
    QAbstractItemView,
    QAbstractSpinBox,
    QComboBox,
    QDialog,
    QDialogButtonBox,
    QLabel,
    QLineEdit,
    QScrollArea,
    QVBoxLayout,
    QWidget,
)

DIALOG = 620, 680
PALETTE = (
    "Everything here is in napari's command palette as well (Ctrl + Shift + P, then type RISE). The keys work wherever "
    "the window is in focus, except in fields that take letters for themselves: F6 leads out of them."
)


@dataclass(frozen=True, slots=True)
class Shortcut:
    """A key in napari's spelling (or none), what it does in the person's words, and the call behind it."""

    key: str
    does: str
    action: Callable[[], object]
    layer_only: bool = False
    """Bound on the annotation layer alone, where napari uses the key for something else on other layers."""
    listed: bool = True
    """Off for one of a row of keys of which the first is listed for all."""
    command: str = ""
    """Its name in the manifest, by which the command palette calls it."""

    @property
    def shown(self) -> str:
        """The key as a person reads it."""
        if not self.key:
            return "palette"
        *held, last = self.key.replace("Control", "Ctrl").split("-")
        return " + ".join([*held, last.upper() if len(last) == 1 else last])


class Shortcuts:
    """Binds shortcuts, and takes them off again."""

    def __init__(self, viewer: Viewer, shortcuts: Sequence[Shortcut]) -> None:
        self.listed = tuple(shortcut for shortcut in shortcuts if shortcut.listed)
        self.all = tuple(shortcut for shortcut in shortcuts if shortcut.key)
        self.commands = {shortcut.command: shortcut for shortcut in shortcuts if shortcut.command}
        self._viewer = viewer
        for shortcut in self.all:
            if not shortcut.layer_only:
                viewer.bind_key(shortcut.key, _handler(shortcut), overwrite=True)

    def bind_layer(self, layer: Labels) -> None:
        """Binds all keys on an annotation layer, so that napari's own meaning of them there gives way."""
        for shortcut in self.all:
            layer.bind_key(shortcut.key, _handler(shortcut), overwrite=True)

    def let_through(self, widget: QWidget) -> None:
        """Lists and tables inside ``widget`` hand letters on, instead of looking for a row that begins with one.

        They and the fields for numbers and words hand on Alt + 1 to 9 as well, which they would write.
        """
        self._passages = _Passage(widget, letters=True), _Passage(widget, letters=False)
        boxes = widget.findChildren(QComboBox)
        lists = [*widget.findChildren(QAbstractItemView), *(box for box in boxes if not box.isEditable())]
        typed = [*widget.findChildren(QAbstractSpinBox), *widget.findChildren(QLineEdit)]
        fields = [*typed, *(box for box in boxes if box.isEditable())]
        for passage, ones in zip(self._passages, (lists, fields), strict=True):
            for one in ones:
                one.installEventFilter(passage)

    def close(self) -> None:
        """Takes the keys off the viewer."""
        for shortcut in self.all:
            if not shortcut.layer_only:
                self._viewer.bind_key(shortcut.key, None, overwrite=True)

    def run(self, command: str) -> None:
        """Does what the command palette asks for, by its name in the manifest."""
        self.commands[command].action()

    def dialog(self, parent: QWidget, *, introduce: Callable[[], object]) -> QDialog:
        """A window that lists every action; ``introduce`` shows the introductions of the tabs again."""
        dialog = QDialog(parent)
        dialog.setWindowTitle("RISE: keys")
        rows = "".join(
            f"<tr><td style='padding-right:18px; white-space: nowrap'><b>{shortcut.shown}</b></td>"
            f"<td>{shortcut.does}</td></tr>"
            for shortcut in self.listed
        )
        text = QLabel(f"<p>{PALETTE}</p><table cellspacing='4'>{rows}</table>")
        text.setTextFormat(Qt.TextFormat.RichText)
        text.setWordWrap(True)
        scroll = QScrollArea()
        scroll.setWidgetResizable(True)
        scroll.setFrameShape(QScrollArea.Shape.NoFrame)
        scroll.setWidget(text)
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Close)
        again = buttons.addButton("Show the introductions again", QDialogButtonBox.ButtonRole.ActionRole)
        again.clicked.connect(lambda _checked=False: introduce())
        buttons.rejected.connect(dialog.reject)
        layout = QVBoxLayout(dialog)
        layout.addWidget(scroll, 1)
        layout.addWidget(buttons)
        dialog.resize(*DIALOG)
        return dialog


class _Passage(QObject):
    """Leaves keys of the window to whatever lies behind a list or a field."""

    def __init__(self, parent: QWidget, *, letters: bool) -> None:
        super().__init__(parent)
        self._letters = letters

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if isinstance(event, QKeyEvent) and self._is_ours(event):
            # Taken from the widget, but not accepted: Qt offers it to the parents then, up to napari's window.
            event.ignore()
            return event.type() == QEvent.Type.KeyPress
        return super().eventFilter(watched, event)

    def _is_ours(self, event: QKeyEvent) -> bool:
        held = event.modifiers()
        if held == Qt.KeyboardModifier.AltModifier:
            return Qt.Key.Key_1 <= event.key() <= Qt.Key.Key_9
        bare = Qt.KeyboardModifier.NoModifier, Qt.KeyboardModifier.ShiftModifier
        return self._letters and held in bare and event.text().isalpha()


def _handler(shortcut: Shortcut) -> Callable[[Any], None]:
    # napari asks a handler for its name, so it is a function and no partial.
    def handle(_target: Any) -> None:
        shortcut.action()

    handle.__doc__ = shortcut.does
    return handle
