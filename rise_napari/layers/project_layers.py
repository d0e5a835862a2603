"""Project <-> napari layers. The only place that writes layers; every layer is a view of the store.

napari's undo history belongs to a layer, and replaying it after the picture was exchanged would write the old frame's
labels into the new one. Making a layer for each frame would cost most of a second. So one annotation layer serves all
frames, and its ``undo`` and ``redo`` are the store's, which know what was done on which frame.
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
from rise_napari.layers.label_view import LabelView, Piece
from rise_napari.layers.mask_cache import Pieces
from rise_napari.layers.outline_layer import exchange
from rise_napari.layers.prediction_layers import PredictedLayers
from rise_napari.layers.save_strokes import store
from rise_napari.training.session import RunState
from rise_napari.workspace import Workspace

FRAMES, ANNOTATIONS = "frames", "annotations"
COMMIT_MILLISECONDS = 100
OPACITY, BRUSH_SIZE = 0.55, 12


class ProjectLayers:
    """Shows the workspace's frame, its annotations and predictions, and commits strokes to the store."""

    annotations_added = Signal(object)
    """There is a new annotation layer, given."""

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
        self._pieces = Pieces()
        self._predicted = PredictedLayers(viewer, workspace, self._pieces)
        self._timer = QTimer()
        self._timer.setSingleShot(True)
        self._timer.setInterval(COMMIT_MILLISECONDS)
        self._timer.timeout.connect(self._commit_when_idle)
        # Reading ahead waits until the frame in view is drawn: it would take the processor from it.
        self._ahead = QTimer()
        self._ahead.setSingleShot(True)
        self._ahead.timeout.connect(self._look_ahead)
        workspace.project_changed.connect(self._show_project)
        workspace.frames_changed.connect(self._show_list)
        workspace.frame_changed.connect(self._show_frame)
        workspace.instances_changed.connect(self._reload)
        workspace.predictions_changed.connect(self._reload_predictions)
        workspace.instance_selected.connect(self._select)
        workspace.new_instance_requested.connect(self.start_instance)
        workspace.paint_requested.connect(self._mend)
        workspace.save_requested.connect(self.commit)
        workspace.training.events_arriving.connect(self._predicted.hear)
        workspace.training.events_received.connect(self._show_live)
        workspace.training.state_changed.connect(self._training_changed)
        viewer.dims.events.current_step.connect(self._slider_moved)

    def close(self) -> None:
        """Commits what is unsaved and lets go of the viewer."""
        self.commit()
        self._timer.stop()
        self._ahead.stop()
        self._viewer.dims.events.current_step.disconnect(self._slider_moved)
        if self._stack is not None:
            self._stack.close()

    @property
    def annotations(self) -> Labels | None:
        """The editable layer of the frame in view."""
        return self._annotations

    # -- frames -----------------------------------------------------------------------------------------------------

    def _show_project(self) -> None:
        if self._stack is not None:
            self._stack.close()
        with self._writing():
            self._predicted.drop()
            self._drop(ANNOTATIONS, FRAMES)
        self._stack = self._frames = self._view = self._view_frame = None

    def _show_list(self) -> None:
        """The folder has other frames than before: the slider must know them."""
        ids = [frame.id for frame in self._workspace.frames]
        if self._stack is not None and ids and ids != self._stack.ids:
            with self._writing():
                self._drop(FRAMES)
            self._show_frame()

    def _show_frame(self) -> None:
        frame, project = self._workspace.frame, self._workspace.project
        if frame is None or project is None:
            with self._writing():
                self._predicted.drop()
                self._drop(ANNOTATIONS)
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
        self._ahead.start()

    def _look_ahead(self) -> None:
        if self._stack is not None:
            self._stack.look_ahead()

    def _decode_ahead(self, project: Project, frame_id: int, size: tuple[int, int]) -> None:
        """What else of a frame is wanted when it is shown, made in the thread that reads it."""
        for one in project.annotations.of_frame(frame_id):
            with suppress(RiseError):
                self._pieces.decoded(one.segmentation, size)
        self._predicted.look_ahead(project, frame_id, size)

    def _add_frames(self, index: int) -> None:
        project = self._workspace.project
        assert project is not None
        if self._stack is not None:
            self._stack.close()
        problem = partial(self._workspace.notify, level="error")
        self._stack = FrameStack(
            project, self._workspace.frames, first=index, on_problem=problem, beside=self._decode_ahead
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
            self._predicted.prepare(self._stack.shape[1:3], live=False)
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
        """The store changed: shows the frame anew."""
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
            exchange(layer, view.shown)
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
        # Set by name: a type checker is right that methods are not for assignment.
        for name, action in (("undo", self._workspace.undo), ("redo", self._workspace.redo)):
            setattr(layer, name, action)
        layer.mouse_drag_callbacks.append(self._watch_stroke)
        layer.events.paint.connect(self._touched)
        layer.events.set_data.connect(self._touched)
        layer.events.selected_label.connect(self._label_selected)
        self._annotations = layer
        self.annotations_added.emit(layer)
        return layer

    def _masks(self, instances: Sequence[Instance], size: tuple[int, int]) -> Iterator[tuple[int, Piece]]:
        for instance in instances:
            try:
                mask = self._pieces.decoded(instance.segmentation, size)
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
        """Takes a label that nothing has yet, with a tool in hand, so that the next stroke is a new instance."""
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

    def _mend(self) -> None:
        """Takes the brush in hand for the selected instance."""
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

    def _commit_when_idle(self) -> None:
        if self._stroking:
            self._timer.start()
        else:
            self.commit()

    def commit(self) -> None:
        """Writes the instances that the strokes since the last commit changed, and only those."""
        self._timer.stop()
        layer, view, frame_id = self._annotations, self._view, self._view_frame
        if self._busy or layer is None or view is None or frame_id is None or not self._workspace.writable:
            return
        data = np.asarray(layer.data)
        changes = view.changes(data)
        if not changes:
            return
        with self._workspace.reporting_errors():
            ids = store(self._workspace, frame_id, changes, view.size)
            for change, instance in zip(changes, ids, strict=True):
                view.adopt(change, instance)
            if not view.settle(data):
                with self._writing():
                    exchange(layer, view.shown)
            self._workspace.stroke_saved(frame_id)
            self._workspace.select(view.instance_at(int(layer.selected_label)))

    # -- predictions ------------------------------------------------------------------------------------------------

    def set_min_score(self, score: float) -> None:
        """Hides stored predictions below this score."""
        self._predicted.min_score = score
        self._reload_predictions(None)

    def set_live_min_score(self, score: float) -> None:
        """Hides live predictions below this score."""
        self._predicted.live_min_score = score
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
                self._predicted.show(self._stack.shape[1:3])

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
                self._predicted.prepare(self._stack.shape[1:3], live=True)
        if not self._workspace.training.running:
            self._reload_predictions(None)

    # -- layers -----------------------------------------------------------------------------------------------------

    def _drop(self, *names: str) -> None:
        for name in names:
            if name in self._viewer.layers:
                self._viewer.layers.remove(name)
            if name == ANNOTATIONS:
                self._annotations = None

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """While the layers are written by us, nothing that they tell is a stroke of the person."""
        before, self._busy = self._busy, True
        try:
            yield
        finally:
            self._busy = before
