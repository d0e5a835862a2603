"""Symbols on an image for the change of an object: arrow, plus, cross. A black edge makes them visible everywhere."""

from __future__ import annotations

import math

from PIL import ImageDraw

Point = tuple[float, float]
"""(x, y) in pixels."""
Colour = tuple[int, int, int]

HEAD = 0.45
"""Half the opening of an arrow's head, in radians."""


class ChangeSymbols:
    """Draws symbols; ``size`` is half the length of a symbol in pixels, and the line width follows from it."""

    def __init__(self, draw: ImageDraw.ImageDraw, *, size: float) -> None:
        self._draw = draw
        self._size = size
        self._width = max(2, round(size / 4))

    def arrow(self, start: Point, end: Point, colour: Colour) -> None:
        """An object was moved from ``start`` to ``end``; nothing is drawn when both are the same."""
        length = math.dist(start, end)
        if length < 1:
            return
        direction = math.atan2(end[1] - start[1], end[0] - start[0])
        head = min(self._size, length)
        wings = [
            (end[0] - head * math.cos(direction + side), end[1] - head * math.sin(direction + side))
            for side in (HEAD, -HEAD)
        ]
        self._lines([(start, end), (end, wings[0]), (end, wings[1])], colour)

    def plus(self, at: Point, colour: Colour) -> None:
        """An object was added."""
        (x, y), size = at, self._size
        self._lines([((x - size, y), (x + size, y)), ((x, y - size), (x, y + size))], colour)

    def cross(self, at: Point, colour: Colour) -> None:
        """An object will be removed."""
        (x, y), size = at, self._size * 0.75
        self._lines(
            [((x - size, y - size), (x + size, y + size)), ((x - size, y + size), (x + size, y - size))], colour
        )

    def _lines(self, lines: list[tuple[Point, Point]], colour: Colour) -> None:
        for edge, fill in ((2, (0, 0, 0)), (0, colour)):
            for line in lines:
                self._draw.line(line, fill=fill, width=self._width + edge)
