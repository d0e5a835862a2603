"""What the network finds on the frame in view, outlined: stored predictions, and the live ones of a training."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

from napari.viewer import Viewer

from rise_engine.errors import RiseError
from rise_engine.project.project import Project
from rise_engine.training.events import Event, Preview
from rise_napari.layers.mask_cache import Pieces
from rise_napari.layers.outline_layer import Contours
from rise_napari.workspace import Workspace

PREDICTIONS, PSEUDO_LABELS = "predictions", "pseudo-labels"


class PredictedLayers:
    """The layer of predictions and that of pseudo-labels. They show what their scores allow, and edit nothing."""

    def __init__(self, viewer: Viewer, workspace: Workspace, pieces: Pieces) -> None:
        self._workspace = workspace
        self._predictions = Contours(viewer, workspace, pieces, name=PREDICTIONS, width=2)
        self._pseudo_labels = Contours(viewer, workspace, pieces, name=PSEUDO_LABELS, width=1)
        self.min_score = 0.0
        """Stored predictions below it are hidden."""
        self.live_min_score = 0.0
        """Live predictions below it are hidden."""

    def show(self, size: tuple[int, int]) -> None:
        """Shows those of the frame in view, which has this size (H, W): a running training's, or else the stored."""
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
            # Taking a layer away costs napari a tenth of a second, so that is left for the training's end.
            self._pseudo_labels.show([], size)
        else:
            self._pseudo_labels.drop()

    def prepare(self, size: tuple[int, int], *, live: bool) -> None:
        """Makes the layers at a moment when nobody waits for them; that of pseudo-labels only where it is ``live``."""
        self._predictions.prepare(size)
        if live:
            self._pseudo_labels.prepare(size)

    def drop(self) -> None:
        """Takes the layers away."""
        self._predictions.drop()
        self._pseudo_labels.drop()

    def look_ahead(self, project: Project, frame_id: int, size: tuple[int, int]) -> None:
        """Outlines, in any thread, the stored predictions of a frame that may be shown next."""
        for one in project.predictions.of_frame(frame_id):
            with suppress(RiseError):
                self._predictions.look_ahead(one.segmentation, size)

    def hear(self, events: Sequence[Event]) -> None:
        """Outlines, in any thread, live predictions that are about to be shown."""
        for event in events:
            if not isinstance(event, Preview):
                continue
            for contours, all_found in (
                (self._predictions, event.predictions),
                (self._pseudo_labels, event.pseudo_labels),
            ):
                for found in all_found:
                    with suppress(RiseError, ValueError):
                        height, width = found.rle["size"]
                        contours.look_ahead(found.rle, (height, width))
