"""The outlines of predictions as a layer of their own, that nobody paints on."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from napari.layers import Labels
from napari.viewer import Viewer
from numpy.typing import NDArray

from rise_engine.project.segmentation import Segmentation
from rise_napari.layers.mask_cache import Pieces
from rise_napari.layers.outlines import outlines, step_for
from rise_napari.workspace import Workspace

OPACITY = 0.9


class Contours:
    """One such layer, above the frames. It is made at the first need, since that costs napari a tenth of a second."""

    def __init__(self, viewer: Viewer, workspace: Workspace, pieces: Pieces, *, name: str, width: int) -> None:
        """``width`` is that of a line, in pixels of the picture."""
        self._viewer, self._workspace, self._pieces = viewer, workspace, pieces
        self._name, self._width = name, width
        self._blank = True

    def show(self, best_first: Sequence[Segmentation], size: tuple[int, int]) -> None:
        """Outlines masks on a frame (H, W); one that cannot be read is left out, and told."""
        found = []
        for segmentation in best_first:
            with self._workspace.reporting_errors():
                found.append(self._pieces.outlined(segmentation, size, width=self._width))
        if found or self._name in self._viewer.layers:
            self._put(outlines(found, size), size, blank=not found)

    def look_ahead(self, segmentation: Segmentation, size: tuple[int, int]) -> None:
        """Does, in any thread, what ``show`` would otherwise do with a mask. Raises RiseError if it cannot be read."""
        self._pieces.outlined(segmentation, size, width=self._width)

    def prepare(self, size: tuple[int, int]) -> None:
        """Makes the layer, with nothing on it, at a moment when nobody waits for it."""
        if self._name not in self._viewer.layers:
            self._put(outlines([], size), size, blank=True)

    def drop(self) -> None:
        """Takes the layer away."""
        if self._name in self._viewer.layers:
            self._viewer.layers.remove(self._name)

    def _put(self, picture: NDArray[np.uint8], size: tuple[int, int], *, blank: bool) -> None:
        step = step_for(size)
        if self._name not in self._viewer.layers:
            layer = Labels(picture, name=self._name, opacity=OPACITY, scale=(step, step))
            active = self._viewer.layers.selection.active
            self._viewer.layers.insert(1, layer)
            if active is not None:
                self._viewer.layers.selection.active = active
        else:
            layer = self._viewer.layers[self._name]
            if not (blank and self._blank and layer.data.shape == picture.shape):
                exchange(layer, picture)
            if tuple(layer.scale) != (step, step):
                layer.scale = (step, step)
        self._blank = blank
        # New data makes a layer editable again.
        layer.editable = False


def exchange(layer: Labels, picture: NDArray[np.integer]) -> None:
    """Shows another picture, uint8 or uint16 (H, W), on a layer; the array stays the caller's.

    New data costs napari a colormap, a shader and a look at all layers' extents. So what has the size of the picture
    before is written into that one's place.
    """
    if layer.data.shape == picture.shape and layer.data.dtype == picture.dtype:
        np.copyto(layer.data, picture)
        layer.refresh(extent=False)
    else:
        layer.data = picture.copy()
