"""Shows the current frame and its annotations as napari layers, and saves strokes on the annotation layer.

Only this folder writes layers; every layer is a view of the store. One annotation layer is used for all frames, because
creating a layer takes most of a second. napari's undo history belongs to a layer, so it would write labels of one frame
into another. Therefore ``undo`` and ``redo`` of the layer are those of the store, which knows the frame of each edit.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any

import numpy as np
from napari.layers import Image, Labels
from napari.viewer import Viewer
from psygnal import Signal
from qtpy.QtCore import QTimer

from rise_engine.errors import RiseError
from rise_engine.project.project import Project
from rise_engine.project.records import Instance
from rise_engine.training.events import Event
from rise_napari.layers.frame_stack import FrameStack
from rise_napari.layers.label_view import LabelView
from rise_napari.layers.mask_cache import MaskCache
from rise_napari.layers.mask_patch import MaskPatch
from rise_napari.layers.outline_layer import replace_pixels
from rise_napari.layers.prediction_layers import PredictionLayers
from rise_napari.layers.save_strokes import save_changes
from rise_napari.training.session import RunState
from rise_napari.workspace import Workspace

FRAMES, ANNOTATIONS = "frames", "annotations"
COMMIT_MILLISECONDS = 100
OPACITY, BRUSH_SIZE = 0.55, 12


class ProjectLayers:
    """The layers of the open project; they follow the workspace."""

    annotations_added = Signal(object)
    """A new annotation layer was created; it is the argument."""

    def __init__(self, viewer: Viewer, workspace: Workspace) -> None:
        self._viewer = viewer
        self._workspace = workspace
        self._stack: FrameStack | None = None
        self._frames: Image | None = None
        self._annotations: Labels | None = None
        self._view: LabelView | None = None
        self._view_frame: int | None = None
        self._shown_features: dict[str, list[Any]] = {}
        self._busy = False
        self._stroking = False
        self._cache = MaskCache()
        self._predictions = PredictionLayers(viewer, workspace, self._cache)
        self._timer = QTimer()
        self._timer.setSingleShot(True)
        self._timer.setInterval(COMMIT_MILLISECONDS)
        self._timer.timeout.connect(self._commit_after_stroke)
        # Prefetching starts after the current frame is drawn; otherwise it would slow down the drawing.
        self._prefetch_timer = QTimer()
        self._prefetch_timer.setSingleShot(True)
        self._prefetch_timer.timeout.connect(self._prefetch)
        workspace.project_changed.connect(self._show_project)
        workspace.frames_changed.connect(self._show_list)
        workspace.frame_changed.connect(self._show_frame)
        workspace.instances_changed.connect(self._reload)
        workspace.predictions_changed.connect(self._reload_predictions)
        workspace.instance_selected.connect(self._select)
        workspace.new_instance_requested.connect(self.start_instance)
        workspace.paint_requested.connect(self._paint_selected)
        workspace.save_requested.connect(self.commit)
        workspace.training.events_arriving.connect(self._predictions.prefetch_live)
        workspace.training.events_received.connect(self._show_live)
        workspace.training.state_changed.connect(self._training_changed)
        viewer.dims.events.current_step.connect(self._slider_moved)

    def close(self) -> None:
        """Saves unsaved strokes and disconnects from the viewer."""
        self.commit()
        self._timer.stop()
        self._prefetch_timer.stop()
        self._viewer.dims.events.current_step.disconnect(self._slider_moved)
        if self._stack is not None:
            self._stack.close()

    @property
    def annotations(self) -> Labels | None:
        """The editable annotation layer; None without one."""
        return self._annotations

    # -- frames -----------------------------------------------------------------------------------------------------

    def _show_project(self) -> None:
        if self._stack is not None:
            self._stack.close()
        with self._writing():
            self._predictions.remove()
            self._remove(ANNOTATIONS, FRAMES)
        self._stack = self._frames = self._view = self._view_frame = None

    def _show_list(self) -> None:
        """Updates the slider when the list of frames has changed."""
        ids = [frame.id for frame in self._workspace.frames]
        if self._stack is not None and ids and ids != self._stack.ids:
            with self._writing():
                self._remove(FRAMES)
            self._show_frame()

    def _show_frame(self) -> None:
        frame, project = self._workspace.frame, self._workspace.project
        if frame is None or project is None:
            with self._writing():
                self._predictions.remove()
                self._remove(ANNOTATIONS)
            return
        index = self._workspace.index_of(frame.id) or 0
        with self._writing():
            if self._stack is None or self._frames not in self._viewer.layers:
                self._add_frames(index)
            else:
                resized = self._stack.show(index)
                if resized and self._frames is not None:
                    self._frames.data = self._stack
                self._viewer.dims.set_current_step(0, index)
                if resized:
                    self._viewer.reset_view()
            self._show_annotations()
            self._show_predictions()
        self._activate()
        self._prefetch_timer.start()

    def _prefetch(self) -> None:
        if self._stack is not None:
            self._stack.prefetch_neighbours()

    def _prefetch_masks(self, project: Project, frame_id: int, size: tuple[int, int]) -> None:
        """Decodes and outlines the masks of a frame in the prefetching thread."""
        for one in project.annotations.of_frame(frame_id):
            with suppress(RiseError):
                self._cache.decoded(one.segmentation, size)
        self._predictions.prefetch(project, frame_id, size)

    def _add_frames(self, index: int) -> None:
        project = self._workspace.project
        assert project is not None
        if self._stack is not None:
            self._stack.close()
        problem = partial(self._workspace.notify, level="error")
        self._stack = FrameStack(
            project, self._workspace.frames, first=index, on_problem=problem, prefetch=self._prefetch_masks
        )
        self._frames = self._viewer.add_image(
            self._stack,
            rgb=True,
            name=FRAMES,
            multiscale=False,
            contrast_limits=(0, 255),
            axis_labels=("frame", "row", "column"),
        )
        self._viewer.layers.move(self._viewer.layers.index(self._frames), 0)
        if project.predictions.latest_batch():
            self._predictions.prepare(self._stack.shape[1:3], live=False)
        self._viewer.dims.set_current_step(0, index)
        self._viewer.reset_view()

    def _slider_moved(self) -> None:
        if self._busy or self._stack is None or self._frames not in self._viewer.layers:
            return
        index = int(self._viewer.dims.current_step[0])
        if self._viewer.dims.ndim > 2 and index != self._stack.current and index < len(self._workspace.frames):
            self._workspace.show(self._workspace.frames[index].id)
            self._frames.refresh()

    # -- annotations ------------------------------------------------------------------------------------------------

    def _reload(self, frame_id: int | None) -> None:
        """Shows the annotations again after the store has changed."""
        frame = self._workspace.frame
        if frame is None or (frame_id is not None and frame.id != frame_id):
            return
        with self._writing():
            self._show_annotations()

    def _show_annotations(self) -> None:
        frame, stack = self._workspace.frame, self._stack
        if frame is None or stack is None:
            return
        labels = self._view.labels if self._view is not None and self._view_frame == frame.id else None
        size = stack.shape[1:3]
        instances = self._workspace.instances()
        view = LabelView(size, self._masks(instances, size), labels=labels)
        self._view, self._view_frame = view, frame.id
        layer = self._annotations
        if layer is None or layer not in self._viewer.layers:
            layer = self._add_annotations(view)
        else:
            replace_pixels(layer, view.shown)
        features = self._features(instances)
        if features != self._shown_features:
            layer.features = self._shown_features = features
        layer.editable = self._workspace.writable
        selected = self._workspace.selected
        known = view.labels.get(selected) if selected is not None else None
        layer.selected_label = known or view.free_label(view.shown)

    def _add_annotations(self, view: LabelView) -> Labels:
        layer = self._viewer.add_labels(view.shown.copy(), name=ANNOTATIONS, opacity=OPACITY)
        layer.brush_size = BRUSH_SIZE
        self._shown_features = {}
        # With setattr, because type checkers rightly reject assignments to methods.
        for name, action in (("undo", self._workspace.undo), ("redo", self._workspace.redo)):
            setattr(layer, name, action)
        layer.mouse_drag_callbacks.append(self._watch_stroke)
        layer.events.paint.connect(self._touched)
        layer.events.set_data.connect(self._touched)
        layer.events.selected_label.connect(self._label_selected)
        self._annotations = layer
        self.annotations_added.emit(layer)
        return layer

    def _masks(self, instances: Sequence[Instance], size: tuple[int, int]) -> Iterator[tuple[int, MaskPatch]]:
        for instance in instances:
            try:
                mask = self._cache.decoded(instance.segmentation, size)
            except RiseError as error:
                self._workspace.notify(str(error), "error")
                continue
            if instance.id is not None:
                yield instance.id, mask

    def _features(self, instances: Sequence[Instance]) -> dict[str, list[Any]]:
        names = {category.id: category.name for category in self._workspace.categories}
        labels = self._view.labels if self._view is not None else {}
        known = [instance for instance in instances if instance.id in labels]
        return {
            "index": [labels[instance.id] for instance in known if instance.id is not None],
            "category": [names.get(instance.category, "?") for instance in known],
            "source": [str(instance.source) for instance in known],
        }

    def _activate(self) -> None:
        if self._annotations is not None and self._annotations in self._viewer.layers:
            self._viewer.layers.selection.active = self._annotations

    def start_instance(self) -> None:
        """Selects an unused label and a drawing tool, so that the next stroke creates an instance."""
        layer, view = self._annotations, self._view
        if layer is None or view is None or not self._workspace.writable or layer not in self._viewer.layers:
            return
        self.commit()
        layer = self._annotations
        self._viewer.layers.selection.active = layer
        layer.selected_label = view.free_label(layer.data)
        if str(layer.mode) not in ("paint", "polygon"):
            layer.mode = "paint"
        self._workspace.select(None)

    def _paint_selected(self) -> None:
        """Activates the brush to edit the selected instance."""
        if self._annotations is not None and self._annotations in self._viewer.layers:
            self._activate()
            self._annotations.mode = "paint"

    def _select(self, instance_id: int | None) -> None:
        layer, view = self._annotations, self._view
        if layer is None or view is None or instance_id not in view.labels:
            return
        layer.selected_label = view.labels[instance_id]

    def _label_selected(self) -> None:
        if self._busy or self._annotations is None or self._view is None:
            return
        self._workspace.select(self._view.instance_at(int(self._annotations.selected_label)))

    # -- strokes ----------------------------------------------------------------------------------------------------

    def _watch_stroke(self, layer: Labels, event: Any) -> Iterator[None]:
        self._stroking = True
        yield
        while event.type == "mouse_move":
            yield
        self._stroking = False

    def _touched(self) -> None:
        if not self._busy:
            self._timer.start()

    def _commit_after_stroke(self) -> None:
        if self._stroking:
            self._timer.start()
        else:
            self.commit()

    def commit(self) -> None:
        """Saves the instances that were changed by strokes since the last commit, and no others."""
        self._timer.stop()
        layer, view, frame_id = self._annotations, self._view, self._view_frame
        if self._busy or layer is None or view is None or frame_id is None or not self._workspace.writable:
            return
        data = np.asarray(layer.data)
        changes = view.changes(data)
        if not changes:
            return
        with self._workspace.reporting_errors():
            ids = save_changes(self._workspace, frame_id, changes, view.size)
            for change, instance in zip(changes, ids, strict=True):
                view.adopt(change, instance)
            if not view.settle(data):
                with self._writing():
                    replace_pixels(layer, view.shown)
            self._workspace.stroke_saved(frame_id)
            self._workspace.select(view.instance_at(int(layer.selected_label)))

    # -- predictions ------------------------------------------------------------------------------------------------

    def set_min_score(self, score: float) -> None:
        """Hides stored predictions below this score."""
        self._predictions.min_score = score
        self._reload_predictions(None)

    def set_live_min_score(self, score: float) -> None:
        """Hides live predictions below this score."""
        self._predictions.live_min_score = score
        if self._workspace.training.running:
            self._reload_predictions(None)

    def _reload_predictions(self, frame_id: int | None) -> None:
        frame = self._workspace.frame
        if frame is not None and (frame_id is None or frame_id == frame.id):
            self._show_predictions()
            self._activate()

    def _show_predictions(self) -> None:
        if self._stack is not None:
            with self._writing():
                self._predictions.show(self._stack.shape[1:3])

    def _show_live(self, events: list[Event]) -> None:
        preview, frame = self._workspace.training.preview, self._workspace.frame
        if preview is None or not any(event is preview for event in events):
            return
        if frame is not None and preview.frame == frame.name and not self._stroking:
            self._show_predictions()
            if self._viewer.layers.selection.active not in (self._annotations, self._frames):
                self._activate()

    def _training_changed(self) -> None:
        if self._workspace.training.state is RunState.STARTING and self._stack is not None:
            with self._writing():
                self._predictions.prepare(self._stack.shape[1:3], live=True)
        if not self._workspace.training.running:
            self._reload_predictions(None)

    # -- layers -----------------------------------------------------------------------------------------------------

    def _remove(self, *names: str) -> None:
        for name in names:
            if name in self._viewer.layers:
                self._viewer.layers.remove(name)
            if name == ANNOTATIONS:
                self._annotations = None

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """Marks writes to layers by this class, so that their events are not taken for strokes of the user."""
        before, self._busy = self._busy, True
        try:
            yield
        finally:
            self._busy = before
