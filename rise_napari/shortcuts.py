"""The one list of keys; bound on the viewer and on our annotation layer, and shown in a dialog."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from napari.layers import Labels
from napari.viewer import Viewer
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QDialog, QDialogButtonBox, QLabel, QVBoxLayout, QWidget


@dataclass(frozen=True, slots=True)
class Shortcut:
    """A key in napari's spelling, what it does in the person's words, and the call behind it."""

    key: str
    does: str
    action: Callable[[], object]
    layer_only: bool = False
    """Bound on the annotation layer alone, where napari uses the key for something else on other layers."""
    listed: bool = True
    """Off for one of a row of keys of which the first is listed for all."""

    @property
    def shown(self) -> str:
        """The key as a person reads it."""
        return self.key.replace("Control", "Ctrl").replace("-", " + ")


class Shortcuts:
    """Binds shortcuts, and takes them off again."""

    def __init__(self, viewer: Viewer, shortcuts: Sequence[Shortcut]) -> None:
        self.all = tuple(shortcuts)
        self._viewer = viewer
        for shortcut in self.all:
            if not shortcut.layer_only:
                viewer.bind_key(shortcut.key, _handler(shortcut), overwrite=True)

    def bind_layer(self, layer: Labels) -> None:
        """Binds all keys on an annotation layer, so that napari's own meaning of them there gives way."""
        for shortcut in self.all:
            layer.bind_key(shortcut.key, _handler(shortcut), overwrite=True)

    def close(self) -> None:
        """Takes the keys off the viewer."""
        for shortcut in self.all:
            if not shortcut.layer_only:
                self._viewer.bind_key(shortcut.key, None, overwrite=True)

    def dialog(self, parent: QWidget) -> QDialog:
        """A window that lists the keys."""
        dialog = QDialog(parent)
        dialog.setWindowTitle("RISE: keys")
        rows = "".join(
            f"<tr><td style='padding-right:18px'><b>{shortcut.shown}</b></td><td>{shortcut.does}</td></tr>"
            for shortcut in self.all
            if shortcut.listed
        )
        text = QLabel(
            f"<table cellspacing='4'>{rows}</table><p>The keys work with the picture in focus: click on it.</p>"
        )
        text.setTextFormat(Qt.TextFormat.RichText)
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Close)
        buttons.rejected.connect(dialog.reject)
        layout = QVBoxLayout(dialog)
        layout.addWidget(text)
        layout.addWidget(buttons)
        return dialog


def _handler(shortcut: Shortcut) -> Callable[[Any], None]:
    # napari asks a handler for its name, so it is a function and no partial.
    def handle(_target: Any) -> None:
        shortcut.action()

    handle.__doc__ = shortcut.does
    return handle
