"""Line chart as an image, drawn with Pillow."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from PIL import Image, ImageDraw, ImageFont

SIZE = (640, 420)
LEFT, TOP, RIGHT, BOTTOM = 64, 40, 16, 56
INK, GRID = (30, 30, 30), (225, 225, 225)
FONT_SIZE = 14
TICKS = 5
DASH = 6

Colour = tuple[int, int, int]
Points = Sequence[tuple[float, float]]


class Chart:
    """Axes with linear scales; lines and bands are drawn in the order of the calls."""

    def __init__(
        self, title: str, *, x: tuple[float, float], y: tuple[float, float], x_label: str, y_label: str
    ) -> None:
        """``x`` and ``y`` are the ranges shown; an empty range is widened."""
        self._x, self._y = _range(x), _range(y)
        self._image = Image.new("RGB", SIZE, "white")
        self._draw = ImageDraw.Draw(self._image, "RGBA")
        self._font = ImageFont.load_default(FONT_SIZE)
        self._legend: list[tuple[str, Colour]] = []
        self._draw.text((SIZE[0] / 2, TOP / 2), title, INK, self._font, anchor="mm")
        self._draw.text(((LEFT + SIZE[0] - RIGHT) / 2, SIZE[1] - 12), x_label, INK, self._font, anchor="mm")
        self._draw.text((8, TOP - 10), y_label, INK, self._font, anchor="lm")
        for tick in range(TICKS + 1):
            self._tick(tick / TICKS)

    def line(self, points: Points, colour: Colour, *, name: str = "", dashed: bool = False, width: int = 2) -> None:
        """Joins the points (x, y) in order; ``name`` puts it into the legend."""
        places = [self._place(*point) for point in points]
        if dashed:
            for start, end in pairwise(places):
                self._dashes(start, end, colour, width)
        elif len(places) > 1:
            self._draw.line(places, colour, width, joint="curve")
        for x, y in places if len(places) == 1 else []:
            self._draw.ellipse((x - 3, y - 3, x + 3, y + 3), colour)
        if name:
            self._legend.append((name, colour))

    def band(self, low: Points, high: Points, colour: Colour) -> None:
        """A light area between two lines."""
        places = [self._place(*point) for point in (*low, *reversed(high))]
        if len(places) > 2:
            self._draw.polygon(places, (*colour, 60))

    def image(self) -> Image.Image:
        """The chart with its legend."""
        for row, (name, colour) in enumerate(self._legend):
            y = TOP + 14 + 18 * row
            self._draw.line((LEFT + 10, y, LEFT + 34, y), colour, 3)
            self._draw.text((LEFT + 40, y), name, INK, self._font, anchor="lm")
        self._draw.rectangle((LEFT, TOP, SIZE[0] - RIGHT, SIZE[1] - BOTTOM), outline=INK)
        return self._image

    def _tick(self, share: float) -> None:
        x, y = (low + share * (high - low) for low, high in (self._x, self._y))
        across, down = self._place(x, y)
        self._draw.line((across, TOP, across, SIZE[1] - BOTTOM), GRID)
        self._draw.line((LEFT, down, SIZE[0] - RIGHT, down), GRID)
        self._draw.text((across, SIZE[1] - BOTTOM + 12), f"{x:,.4g}", INK, self._font, anchor="mm")
        self._draw.text((LEFT - 6, down), f"{y:,.3g}", INK, self._font, anchor="rm")

    def _place(self, x: float, y: float) -> tuple[float, float]:
        across = (x - self._x[0]) / (self._x[1] - self._x[0])
        up = min(1.0, max(0.0, (y - self._y[0]) / (self._y[1] - self._y[0])))
        return (
            LEFT + across * (SIZE[0] - RIGHT - LEFT),
            SIZE[1] - BOTTOM - up * (SIZE[1] - BOTTOM - TOP),
        )

    def _dashes(self, start: tuple[float, float], end: tuple[float, float], colour: Colour, width: int) -> None:
        length = max(abs(end[0] - start[0]), abs(end[1] - start[1]))
        pieces = max(1, round(length / DASH))
        for piece in range(0, pieces, 2):
            a, b = piece / pieces, min(1.0, (piece + 1) / pieces)
            ends = [(start[0] + at * (end[0] - start[0]), start[1] + at * (end[1] - start[1])) for at in (a, b)]
            self._draw.line(ends, colour, width)


def tile_images(charts: Sequence[Image.Image], *, columns: int) -> Image.Image:
    """Images of one size as one image, in rows of ``columns``."""
    width, height = charts[0].size
    rows = -(-len(charts) // columns)
    sheet = Image.new("RGB", (width * min(columns, len(charts)), height * rows), "white")
    for index, chart in enumerate(charts):
        sheet.paste(chart, (index % columns * width, index // columns * height))
    return sheet


def _range(ends: tuple[float, float]) -> tuple[float, float]:
    low, high = ends
    return (low, high) if high > low else (low, low + 1)
