"""Predictions taken on the picture: a click takes the one under it, a box those whose middle lies inside."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from napari.viewer import Viewer

from rise_engine.project.records import Instance
from rise_napari.layers.label_view import Piece
from rise_napari.layers.project_layers import ProjectLayers
from rise_napari.layers.tool_overlay import Overlay
from rise_napari.tools.drag_tool import DragTool, Point

CLICK = 3.0
"""Pixels; a way that stays within is a click and no box."""


class PredictionPicker:
    """The tool, and the highlight of what is chosen."""

    def __init__(
        self,
        viewer: Viewer,
        layers: ProjectLayers,
        *,
        shown: Callable[[], Sequence[Instance]],
        choose: Callable[[list[int]], None],
    ) -> None:
        """``shown`` are the predictions to choose from; ``choose`` gets the ids of those that were taken."""
        self._overlay = Overlay(viewer)
        self._layers = layers
        self._shown, self._choose = shown, choose
        self.tool = DragTool(moved=self._draw_box, finished=self._finish, keys={"Escape": self.put_away})
        layers.annotations_added.connect(self.tool.serve)

    def take(self) -> bool:
        """Takes the tool in hand."""
        return self.tool.take()

    def put_away(self) -> None:
        """Gives the mouse back."""
        self._overlay.clear()
        self.tool.put_away()

    def highlight(self, chosen: Sequence[Instance]) -> None:
        """Outlines predictions on the picture; none takes the outline away."""
        size = self._size()
        if size is None or not chosen:
            self._overlay.clear()
            return
        self._overlay.outline_all([Piece.decoded(one.segmentation, size) for one in chosen], size)

    def _size(self) -> tuple[int, int] | None:
        layer = self._layers.annotations
        return None if layer is None else (int(layer.data.shape[0]), int(layer.data.shape[1]))

    def _draw_box(self, way: Sequence[Point]) -> None:
        size = self._size()
        if size is not None:
            top, left, bottom, right = (round(side) for side in _box(way))
            rows = slice(max(0, top), min(size[0], bottom))
            columns = slice(max(0, left), min(size[1], right))
            inside = np.ones((max(0, rows.stop - rows.start), max(0, columns.stop - columns.start)), bool)
            self._overlay.outline_all([Piece(rows.start, columns.start, inside)], size)

    def _finish(self, way: Sequence[Point]) -> None:
        self._overlay.clear()
        size = self._size()
        if size is None:
            return
        pieces = {one.id: Piece.decoded(one.segmentation, size) for one in self._shown() if one.id is not None}
        top, left, bottom, right = _box(way)
        if bottom - top <= CLICK and right - left <= CLICK:
            place = int(way[0][0]), int(way[0][1])
            hit = [number for number, piece in pieces.items() if _covers(piece, *place)]
            # Of several that lie over each other, the smallest is the hardest to reach otherwise.
            self._choose(sorted(hit, key=lambda number: int(pieces[number].mask.sum()))[:1])
            return
        chosen = []
        for number, piece in pieces.items():
            rows, columns = np.nonzero(piece.mask)
            if not len(rows):
                continue
            row, column = piece.row + rows.mean(), piece.column + columns.mean()
            if top <= row <= bottom and left <= column <= right:
                chosen.append(number)
        self._choose(chosen)


def _covers(piece: Piece, row: int, column: int) -> bool:
    row, column = row - piece.row, column - piece.column
    height, width = piece.mask.shape
    return 0 <= row < height and 0 <= column < width and bool(piece.mask[row, column])


def _box(way: Sequence[Point]) -> tuple[float, float, float, float]:
    """Top, left, bottom, right around the first and the last point of a way."""
    (row, column), (to_row, to_column) = way[0], way[-1]
    return min(row, to_row), min(column, to_column), max(row, to_row), max(column, to_column)
