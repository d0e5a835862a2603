"""Binds the keys of ``ui/commands.py`` to the viewer and to the annotation layer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from napari.layers import Labels
from napari.viewer import Viewer
from qtpy.QtCore import QEvent, QObject, Qt
from qtpy.QtGui import QKeyEvent
from qtpy.QtWidgets import QAbstractItemView, QAbstractSpinBox, QComboBox, QLineEdit, QWidget

from rise_napari.ui.commands import COMMANDS, Command, Window


class Shortcuts:
    """The bound keys of one window; ``close`` unbinds them."""

    def __init__(self, viewer: Viewer, window: Window) -> None:
        self.bound = tuple(command for command in COMMANDS if command.key)
        self._viewer, self._window = viewer, window
        for command in self.bound:
            if not command.layer_only:
                viewer.bind_key(command.key, self._handler(command), overwrite=True)

    def bind_layer(self, layer: Labels) -> None:
        """Binds all keys to an annotation layer, where they replace napari's own."""
        for command in self.bound:
            layer.bind_key(command.key, self._handler(command), overwrite=True)

    def pass_keys_through(self, widget: QWidget) -> None:
        """Makes controls inside ``widget`` pass shortcuts on to the viewer instead of using them as input.

        Lists and tables pass letters on, which Qt would use to find a row. They and the input fields also pass on
        Alt + 1 to 9, which the fields would insert as text.
        """
        self._filters = _KeyFilter(widget, letters=True), _KeyFilter(widget, letters=False)
        boxes = widget.findChildren(QComboBox)
        lists = [*widget.findChildren(QAbstractItemView), *(box for box in boxes if not box.isEditable())]
        inputs = [*widget.findChildren(QAbstractSpinBox), *widget.findChildren(QLineEdit)]
        fields = [*inputs, *(box for box in boxes if box.isEditable())]
        for key_filter, controls in zip(self._filters, (lists, fields), strict=True):
            for control in controls:
                control.installEventFilter(key_filter)

    def close(self) -> None:
        """Unbinds the keys of the viewer."""
        for command in self.bound:
            if not command.layer_only:
                self._viewer.bind_key(command.key, None, overwrite=True)

    def _handler(self, command: Command) -> Callable[[Any], None]:
        # A function, because napari reads its name; a partial has none.
        def handle(_target: Any) -> None:
            command.run(self._window)

        handle.__doc__ = command.explanation
        return handle


class _KeyFilter(QObject):
    """Keeps a list or a field from handling the window's shortcuts."""

    def __init__(self, parent: QWidget, *, letters: bool) -> None:
        super().__init__(parent)
        self._letters = letters

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if isinstance(event, QKeyEvent) and self._is_shortcut(event):
            # Filtered but not accepted: Qt then offers it to the parents, up to napari's main window.
            event.ignore()
            return event.type() == QEvent.Type.KeyPress
        return super().eventFilter(watched, event)

    def _is_shortcut(self, event: QKeyEvent) -> bool:
        modifiers = event.modifiers()
        if modifiers == Qt.KeyboardModifier.AltModifier:
            return Qt.Key.Key_1 <= event.key() <= Qt.Key.Key_9
        plain = Qt.KeyboardModifier.NoModifier, Qt.KeyboardModifier.ShiftModifier
        return self._letters and modifiers in plain and event.text().isalpha()
