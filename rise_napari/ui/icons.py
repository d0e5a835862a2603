"""Icons from the SVG files in ``resources/icons``, rendered in colours that contrast with the theme's background."""

from __future__ import annotations

from functools import cache

from qtpy.QtCore import QByteArray, QEvent, QRectF, Qt
from qtpy.QtGui import QIcon, QPainter, QPalette, QPixmap
from qtpy.QtSvg import QSvgRenderer
from qtpy.QtWidgets import QPushButton, QWidget

from rise_engine.errors import RiseError
from rise_engine.resources import resource_path

SIZES = (16, 20, 24, 32, 40, 48, 64)
"""Side lengths in pixels that buttons and lists request at a screen scale of 100 to 300 %."""
# Colour in the file -> (colour on a dark background, colour on a light background). The contrast with the backgrounds
# of napari's buttons and lists is at least 3 to 1.
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
    """Whether a widget has a dark background."""
    return widget.palette().color(QPalette.ColorRole.Window).lightness() < 128


@cache
def shipped_icon(name: str, *, dark: bool) -> QIcon:
    """The icon for a dark or a light background; an empty icon for a missing file, because every icon has a label."""
    try:
        svg = resource_path(f"icons/{name}.svg").read_text(encoding="utf-8")
    except (RiseError, OSError):
        return QIcon()
    for original, (bright, deep) in COLOURS.items():
        svg = svg.replace(original, bright if dark else deep)
    renderer, icon = QSvgRenderer(QByteArray(svg.encode())), QIcon()
    for size in SIZES:
        pixmap = QPixmap(size, size)
        pixmap.fill(Qt.GlobalColor.transparent)
        painter = QPainter(pixmap)
        renderer.render(painter, QRectF(0, 0, size, size))
        painter.end()
        icon.addPixmap(pixmap)
    return icon


class IconButton(QPushButton):
    """A push button with an icon that follows the theme."""

    def __init__(self, text: str, icon: str) -> None:
        """``icon`` names a file of ``resources/icons``."""
        super().__init__(text)
        self._icon_name = icon
        self._update_icon()

    def changeEvent(self, event: QEvent) -> None:
        super().changeEvent(event)
        if event.type() in (QEvent.Type.StyleChange, QEvent.Type.PaletteChange):
            self._update_icon()

    def _update_icon(self) -> None:
        self.setIcon(shipped_icon(self._icon_name, dark=on_dark(self)))
