"""The pictures of ``resources/icons``: sharp on every screen, in colours that stand out from the theme's ground."""

from __future__ import annotations

from functools import cache

from qtpy.QtCore import QByteArray, QEvent, QRectF, Qt
from qtpy.QtGui import QIcon, QPainter, QPalette, QPixmap
from qtpy.QtSvg import QSvgRenderer
from qtpy.QtWidgets import QPushButton, QWidget

from rise_engine.errors import RiseError
from rise_engine.resources import resource_path

SIZES = (16, 20, 24, 32, 40, 48, 64)
"""Pixels of the screen: what a button or a list asks for, at 100 to 300 %."""
# What a colour of the files becomes on a dark and on a light ground: at least 3 to 1 against those of napari's buttons
# and lists.
COLOURS = {
    "#8a8f98": ("#c3c8cf", "#4a4f57"),
    "#39a98e": ("#4fc3a1", "#0f6b55"),
    "#d0584d": ("#f08b81", "#a8241c"),
    "#2a9a63": ("#3dbb7d", "#14693f"),
    "#2f7fc4": ("#5aa5e6", "#1a5c98"),
    "#a8713f": ("#d29a63", "#7a4a1d"),
    "#ffffff": ("#10202f", "#ffffff"),
}


def on_dark(widget: QWidget) -> bool:
    """Whether a widget has a dark ground."""
    return widget.palette().color(QPalette.ColorRole.Window).lightness() < 128


@cache
def shipped_icon(name: str, *, dark: bool) -> QIcon:
    """A picture for a dark or a light ground; an empty one where it is missing, since a word stands beside each."""
    try:
        drawing = resource_path(f"icons/{name}.svg").read_text(encoding="utf-8")
    except (RiseError, OSError):
        return QIcon()
    for written, (bright, deep) in COLOURS.items():
        drawing = drawing.replace(written, bright if dark else deep)
    renderer, icon = QSvgRenderer(QByteArray(drawing.encode())), QIcon()
    for size in SIZES:
        picture = QPixmap(size, size)
        picture.fill(Qt.GlobalColor.transparent)
        painter = QPainter(picture)
        renderer.render(painter, QRectF(0, 0, size, size))
        painter.end()
        icon.addPixmap(picture)
    return icon


class IconButton(QPushButton):
    """A push button whose picture follows the theme."""

    def __init__(self, text: str, picture: str) -> None:
        """``picture`` names a file of ``resources/icons``."""
        super().__init__(text)
        self._picture = picture
        self._draw()

    def changeEvent(self, event: QEvent) -> None:
        super().changeEvent(event)
        if event.type() in (QEvent.Type.StyleChange, QEvent.Type.PaletteChange):
            self._draw()

    def _draw(self) -> None:
        self.setIcon(shipped_icon(self._picture, dark=on_dark(self)))
