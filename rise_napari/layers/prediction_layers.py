"""The layers "predictions" and "pseudo-labels" of the current frame, from the store or from a running training."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

from napari.viewer import Viewer

from rise_engine.errors import RiseError
from rise_engine.project.project import Project
from rise_engine.training.events import Event, Preview
from rise_napari.layers.mask_cache import MaskCache
from rise_napari.layers.outline_layer import OutlineLayer
from rise_napari.workspace import Workspace

PREDICTIONS, PSEUDO_LABELS = "predictions", "pseudo-labels"


class PredictionLayers:
    """The outline layers of predictions and of pseudo-labels, with a minimum score for each source."""

    def __init__(self, viewer: Viewer, workspace: Workspace, cache: MaskCache) -> None:
        self._workspace = workspace
        self._predictions = OutlineLayer(viewer, workspace, cache, name=PREDICTIONS, width=2)
        self._pseudo_labels = OutlineLayer(viewer, workspace, cache, name=PSEUDO_LABELS, width=1)
        self.min_score = 0.0
        """Stored predictions below this score are hidden."""
        self.live_min_score = 0.0
        """Live predictions below this score are hidden."""

    def show(self, size: tuple[int, int]) -> None:
        """Shows the predictions of the current frame (H, W): live ones of a training, or else the stored ones."""
        training, frame = self._workspace.training, self._workspace.frame
        live = training.preview if training.running else None
        if live is not None and frame is not None and live.frame == frame.name:
            shown = [found for found in live.predictions if found.score >= self.live_min_score]
            self._predictions.show([found.rle for found in shown], size)
            self._pseudo_labels.show([found.rle for found in live.pseudo_labels], size)
            return
        stored = [one for one in self._workspace.predictions() if (one.score or 0.0) >= self.min_score]
        self._predictions.show([one.segmentation for one in stored], size)
        if training.running:
            # Removing a layer takes napari a tenth of a second, so it waits until the training has ended.
            self._pseudo_labels.show([], size)
        else:
            self._pseudo_labels.remove()

    def prepare(self, size: tuple[int, int], *, live: bool) -> None:
        """Creates the layers early, when that delays nothing; the pseudo-label layer only for ``live`` predictions."""
        self._predictions.prepare(size)
        if live:
            self._pseudo_labels.prepare(size)

    def remove(self) -> None:
        """Removes the layers."""
        self._predictions.remove()
        self._pseudo_labels.remove()

    def prefetch(self, project: Project, frame_id: int, size: tuple[int, int]) -> None:
        """Caches the outlines of stored predictions of a frame that may be shown next. Works in any thread."""
        for one in project.predictions.of_frame(frame_id):
            with suppress(RiseError):
                self._predictions.prefetch(one.segmentation, size)

    def prefetch_live(self, events: Sequence[Event]) -> None:
        """Caches the outlines of live predictions that are about to be shown. Works in any thread."""
        for event in events:
            if not isinstance(event, Preview):
                continue
            for layer, predictions in (
                (self._predictions, event.predictions),
                (self._pseudo_labels, event.pseudo_labels),
            ):
                for found in predictions:
                    with suppress(RiseError, ValueError):
                        height, width = found.rle["size"]
                        layer.prefetch(found.rle, (height, width))
