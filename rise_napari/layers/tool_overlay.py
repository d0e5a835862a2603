"""One small layer above the others, for what is not an annotation yet: a box being drawn, a line, a suggestion."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from napari.layers import Labels
from napari.utils.colormaps import DirectLabelColormap
from napari.viewer import Viewer
from numpy.typing import NDArray

from rise_engine.project.segmentation import mask_region
from rise_napari.layers.label_view import Mask, Piece
from rise_napari.layers.outlines import Outline, outlines, step_for

NAME = "suggestion"
COLOUR = "#ffd24d"
OUTLINE_SHARE = 1 / 240
"""An outline is this share of the frame's shorter side wide, so that it is seen with the whole frame in view."""


class ToolOverlay:
    """Shows outlines or pixels on a frame (H, W).

    Between uses the layer is hidden: to take it away and to make it anew costs napari a tenth of a second each.
    """

    def __init__(self, viewer: Viewer) -> None:
        self._viewer = viewer

    def outline(self, mask: Mask) -> None:
        """The outline of ``mask`` bool (H, W)."""
        self.outline_all([Piece.of(mask)], (mask.shape[0], mask.shape[1]))

    def outline_all(self, pieces: Sequence[Piece], size: tuple[int, int]) -> None:
        """The outline of each of several pieces of a frame."""
        step = step_for(size)
        width = max(2, round(min(size) * OUTLINE_SHARE) // step)
        found = [Outline.of(piece, size, width=width) for piece in pieces]
        self._show(np.minimum(outlines(found, size), 1), step=step, opacity=1.0)

    def show_pixels(self, mask: Mask) -> None:
        """The pixels of ``mask`` bool (H, W) themselves."""
        self._show(mask.astype(np.uint8), step=1, opacity=0.9)

    def clear(self) -> None:
        """Shows nothing any more."""
        if NAME in self._viewer.layers:
            self._viewer.layers[NAME].visible = False

    def remove(self) -> None:
        """Takes the layer away: there will be other layers to lie above."""
        if NAME in self._viewer.layers:
            self._viewer.layers.remove(NAME)

    def _show(self, picture: NDArray[np.uint8], *, step: int, opacity: float) -> None:
        span = mask_region(picture)
        if span is None:
            self.clear()
            return
        top, left = span[0].start, span[1].start
        region = picture[span]
        if NAME in self._viewer.layers:
            layer = self._viewer.layers[NAME]
            layer.data = region
        else:
            active = self._viewer.layers.selection.active
            layer = self._viewer.add_labels(region, name=NAME)
            layer.colormap = DirectLabelColormap(color_dict={0: "transparent", 1: COLOUR, None: COLOUR})
            if isinstance(active, Labels):
                self._viewer.layers.selection.active = active
        layer.scale = (step, step)
        layer.translate = (step * top, step * left)
        layer.opacity = opacity
        layer.visible = True
        layer.editable = False
