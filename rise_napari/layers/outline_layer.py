"""The napari layer that shows the outlines of predictions; it cannot be painted on."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from napari.layers import Labels
from napari.viewer import Viewer
from numpy.typing import NDArray

from rise_engine.project.segmentation import Segmentation
from rise_napari.layers.mask_cache import MaskCache
from rise_napari.layers.outlines import downsampling_step, draw_outlines
from rise_napari.workspace import Workspace

OPACITY = 0.9


class OutlineLayer:
    """One outline layer above the frames. It is created when first needed, which takes napari a tenth of a second."""

    def __init__(self, viewer: Viewer, workspace: Workspace, cache: MaskCache, *, name: str, width: int) -> None:
        """``width`` is the width of a line in pixels of the outline image."""
        self._viewer, self._workspace, self._cache = viewer, workspace, cache
        self._name, self._width = name, width
        self._blank = True

    def show(self, best_first: Sequence[Segmentation], size: tuple[int, int]) -> None:
        """Outlines masks on a frame (H, W). An unreadable mask is reported and left out."""
        found = []
        for segmentation in best_first:
            with self._workspace.reporting_errors():
                found.append(self._cache.outlined(segmentation, size, width=self._width))
        if found or self._name in self._viewer.layers:
            self._put(draw_outlines(found, size), size, blank=not found)

    def prefetch(self, segmentation: Segmentation, size: tuple[int, int]) -> None:
        """Computes and caches an outline for ``show``, in any thread. Raises RiseError for an unreadable mask."""
        self._cache.outlined(segmentation, size, width=self._width)

    def prepare(self, size: tuple[int, int]) -> None:
        """Creates the empty layer early, when its creation delays nothing."""
        if self._name not in self._viewer.layers:
            self._put(draw_outlines([], size), size, blank=True)

    def remove(self) -> None:
        """Removes the layer."""
        if self._name in self._viewer.layers:
            self._viewer.layers.remove(self._name)

    def _put(self, image: NDArray[np.uint8], size: tuple[int, int], *, blank: bool) -> None:
        step = downsampling_step(size)
        if self._name not in self._viewer.layers:
            layer = Labels(image, name=self._name, opacity=OPACITY, scale=(step, step))
            active = self._viewer.layers.selection.active
            self._viewer.layers.insert(1, layer)
            if active is not None:
                self._viewer.layers.selection.active = active
        else:
            layer = self._viewer.layers[self._name]
            if not (blank and self._blank and layer.data.shape == image.shape):
                replace_pixels(layer, image)
            if tuple(layer.scale) != (step, step):
                layer.scale = (step, step)
        self._blank = blank
        # New data makes a layer editable again.
        layer.editable = False


def replace_pixels(layer: Labels, image: NDArray[np.integer]) -> None:
    """Shows another label image, uint8 or uint16 (H, W), on a layer; the caller keeps the array.

    Assigning new data costs napari a colormap, a shader and the extents of all layers. So an image of the same size is
    copied into the existing array.
    """
    if layer.data.shape == image.shape and layer.data.dtype == image.dtype:
        np.copyto(layer.data, image)
        layer.refresh(extent=False)
    else:
        layer.data = image.copy()
