"""One small layer above the others, for what is not an annotation yet: a box being drawn, a line, a suggestion."""

from __future__ import annotations

import numpy as np
from napari.layers import Labels
from napari.utils.colormaps import DirectLabelColormap
from napari.viewer import Viewer
from numpy.typing import NDArray

NAME = "suggestion"
COLOUR = "#ffd24d"
OUTLINE_SHARE = 1 / 240
"""An outline is this share of the frame's shorter side wide, so that it is seen with the whole frame in view."""

Mask = NDArray[np.bool_]


class Overlay:
    """Shows a mask, of which only its region is kept, however large the frame is."""

    def __init__(self, viewer: Viewer) -> None:
        self._viewer = viewer

    def outline(self, mask: Mask) -> None:
        """The outline of ``mask`` bool (H, W)."""
        self._show(mask, outline=max(2, round(min(mask.shape) * OUTLINE_SHARE)), opacity=1.0)

    def stroke(self, mask: Mask) -> None:
        """The pixels of ``mask`` bool (H, W) themselves."""
        self._show(mask, outline=0, opacity=0.9)

    def clear(self) -> None:
        """Takes the layer away."""
        if NAME in self._viewer.layers:
            active = self._viewer.layers.selection.active
            self._viewer.layers.remove(NAME)
            if active is not None and active in self._viewer.layers:
                self._viewer.layers.selection.active = active

    def _show(self, mask: Mask, *, outline: int, opacity: float) -> None:
        rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        if not len(rows):
            self.clear()
            return
        # A margin, since an outline is not drawn along the edge of its layer.
        top, left = max(0, int(rows[0]) - 2), max(0, int(columns[0]) - 2)
        region = mask[top : rows[-1] + 3, left : columns[-1] + 3].astype(np.uint8)
        if NAME in self._viewer.layers:
            layer = self._viewer.layers[NAME]
            layer.data = region
            layer.translate = (top, left)
        else:
            active = self._viewer.layers.selection.active
            layer = self._viewer.add_labels(region, name=NAME, translate=(top, left))
            layer.colormap = DirectLabelColormap(color_dict={0: "transparent", 1: COLOUR, None: COLOUR})
            if isinstance(active, Labels):
                self._viewer.layers.selection.active = active
        layer.contour = outline
        layer.opacity = opacity
        layer.editable = False
