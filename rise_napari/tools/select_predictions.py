"""Selects predictions on the image: a click selects the prediction under it, a box those with their centre inside."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from napari.viewer import Viewer

from rise_engine.project.records import Instance
from rise_napari.layers.mask_patch import MaskPatch
from rise_napari.layers.project_layers import ProjectLayers
from rise_napari.layers.tool_overlay import ToolOverlay
from rise_napari.tools.drag_tool import DragTool, Point

CLICK_PIXELS = 3.0
"""A drag that stays within this distance is a click."""


class PredictionSelector:
    """The tool behind "Select on image", and the outlines of the selected predictions."""

    def __init__(
        self,
        viewer: Viewer,
        layers: ProjectLayers,
        *,
        shown: Callable[[], Sequence[Instance]],
        select: Callable[[list[int]], None],
    ) -> None:
        """``shown`` returns the predictions that can be selected; ``select`` receives the ids of the selected ones."""
        self._overlay = ToolOverlay(viewer)
        self._layers = layers
        self._shown, self._select = shown, select
        self.tool = DragTool(moved=self._show_box, finished=self._finish, keys={"Escape": self.deactivate})
        layers.annotations_added.connect(self.tool.attach)

    def activate(self) -> bool:
        """Activates the tool; False when there is no editable layer."""
        return self.tool.activate()

    def deactivate(self) -> None:
        """Returns the mouse to napari."""
        self._overlay.clear()
        self.tool.deactivate()

    def highlight(self, selected: Sequence[Instance]) -> None:
        """Outlines the selected predictions on the image; an empty list removes the outlines."""
        size = self._size()
        if size is None or not selected:
            self._overlay.clear()
            return
        self._overlay.outline_all([MaskPatch.decoded(one.segmentation, size) for one in selected], size)

    def _size(self) -> tuple[int, int] | None:
        layer = self._layers.annotations
        return None if layer is None else (int(layer.data.shape[0]), int(layer.data.shape[1]))

    def _show_box(self, path: Sequence[Point]) -> None:
        size = self._size()
        if size is not None:
            top, left, bottom, right = (round(side) for side in _box(path))
            rows = slice(max(0, top), min(size[0], bottom))
            columns = slice(max(0, left), min(size[1], right))
            inside = np.ones((max(0, rows.stop - rows.start), max(0, columns.stop - columns.start)), bool)
            self._overlay.outline_all([MaskPatch(rows.start, columns.start, inside)], size)

    def _finish(self, path: Sequence[Point]) -> None:
        self._overlay.clear()
        size = self._size()
        if size is None:
            return
        patches = {one.id: MaskPatch.decoded(one.segmentation, size) for one in self._shown() if one.id is not None}
        top, left, bottom, right = _box(path)
        if bottom - top <= CLICK_PIXELS and right - left <= CLICK_PIXELS:
            row, column = int(path[0][0]), int(path[0][1])
            hit = [number for number, patch in patches.items() if _covers(patch, row, column)]
            # Of several overlapping predictions the smallest, which is the hardest to select otherwise.
            self._select(sorted(hit, key=lambda number: int(patches[number].mask.sum()))[:1])
            return
        inside = []
        for number, patch in patches.items():
            rows, columns = np.nonzero(patch.mask)
            if not len(rows):
                continue
            row_centre, column_centre = patch.row + rows.mean(), patch.column + columns.mean()
            if top <= row_centre <= bottom and left <= column_centre <= right:
                inside.append(number)
        self._select(inside)


def _covers(patch: MaskPatch, row: int, column: int) -> bool:
    row, column = row - patch.row, column - patch.column
    height, width = patch.mask.shape
    return 0 <= row < height and 0 <= column < width and bool(patch.mask[row, column])


def _box(path: Sequence[Point]) -> tuple[float, float, float, float]:
    """Top, left, bottom, right of the box between the first and the last point."""
    (row, column), (to_row, to_column) = path[0], path[-1]
    return min(row, to_row), min(column, to_column), max(row, to_row), max(column, to_column)
