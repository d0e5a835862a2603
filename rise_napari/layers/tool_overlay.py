"""The napari layer on which the mouse tools draw: the dragged box, the cut line, a suggested mask, selections."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from napari.layers import Labels
from napari.utils.colormaps import DirectLabelColormap
from napari.viewer import Viewer
from numpy.typing import NDArray

from rise_engine.project.segmentation import mask_region
from rise_napari.layers.mask_patch import Mask, MaskPatch
from rise_napari.layers.outlines import Outline, downsampling_step, draw_outlines

NAME = "suggestion"
COLOUR = "#ffd24d"
OUTLINE_SHARE = 1 / 240
"""Width of an outline relative to the shorter side of the frame, so that it is visible when the whole frame is."""


class ToolOverlay:
    """Shows outlines or pixels on a frame (H, W).

    Between uses the layer is hidden: removing or creating a layer takes napari a tenth of a second.
    """

    def __init__(self, viewer: Viewer) -> None:
        self._viewer = viewer

    def outline(self, mask: Mask) -> None:
        """Shows the outline of ``mask`` bool (H, W)."""
        self.outline_all([MaskPatch.of(mask)], (mask.shape[0], mask.shape[1]))

    def outline_all(self, patches: Sequence[MaskPatch], size: tuple[int, int]) -> None:
        """Shows the outlines of several patches of a frame (H, W)."""
        step = downsampling_step(size)
        width = max(2, round(min(size) * OUTLINE_SHARE) // step)
        found = [Outline.of(patch, size, width=width) for patch in patches]
        self._show(np.minimum(draw_outlines(found, size), 1), step=step, opacity=1.0)

    def show_pixels(self, mask: Mask) -> None:
        """Shows the pixels of ``mask`` bool (H, W)."""
        self._show(mask.astype(np.uint8), step=1, opacity=0.9)

    def clear(self) -> None:
        """Hides the layer."""
        if NAME in self._viewer.layers:
            self._viewer.layers[NAME].visible = False

    def remove(self) -> None:
        """Removes the layer, so that the next one is created above the layers of the next project."""
        if NAME in self._viewer.layers:
            self._viewer.layers.remove(NAME)

    def _show(self, image: NDArray[np.uint8], *, step: int, opacity: float) -> None:
        span = mask_region(image)
        if span is None:
            self.clear()
            return
        top, left = span[0].start, span[1].start
        region = image[span]
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
