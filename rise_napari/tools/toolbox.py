"""The hand's tools beside napari's own, one in hand at a time: suggestions, the knife, and edits with one key."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from napari.layers import Image, Labels
from napari.viewer import Viewer
from numpy.typing import NDArray
from psygnal import Signal

from rise_engine.annotation.split import along
from rise_napari.layers.project_layers import FRAMES, ProjectLayers
from rise_napari.layers.tool_overlay import Overlay
from rise_napari.tools.drag_tool import DragTool, Point
from rise_napari.tools.instance_editor import Editor
from rise_napari.tools.prompt_tool import PromptTool
from rise_napari.workspace import Workspace


class Toolbox:
    """What the Annotate tab and the keys call."""

    changed = Signal()
    """Another tool is in hand, or there is another suggestion."""

    def __init__(self, viewer: Viewer, workspace: Workspace, layers: ProjectLayers) -> None:
        self._viewer, self._workspace = viewer, workspace
        self._overlay = Overlay(viewer)
        self.editor = Editor(workspace)
        self.prompt = PromptTool(workspace, self.editor, self._overlay, self._picture)
        self.cut_tool = DragTool(moved=self._show_line, finished=self._cut, keys={"Escape": self.put_away})
        for signal in (self.prompt.changed, self.cut_tool.changed):
            signal.connect(self.changed.emit)
        layers.annotations_added.connect(self._serve)
        workspace.project_changed.connect(self._overlay.remove)

    def state(self) -> str:
        """What the tool in hand waits for, in one sentence; empty without one."""
        if self.cut_tool.active:
            return "Draw a line right through an instance to cut it in two; Esc puts the knife away."
        return self.prompt.state()

    def suggest(self) -> None:
        """Takes the prompt tool in hand; with a suggestion in view, shows another."""
        self.cut_tool.put_away()
        self.prompt.start_or_next()

    def cut(self) -> None:
        """Takes the knife in hand."""
        self.prompt.stop()
        if self._workspace.writable:
            self.cut_tool.take()

    def put_away(self) -> None:
        """Puts every tool away."""
        self._overlay.clear()
        self.prompt.stop()
        self.cut_tool.put_away()

    def _serve(self, layer: Labels) -> None:
        self.prompt.serve(layer)
        self.cut_tool.serve(layer)

    def _picture(self) -> NDArray[np.uint8] | None:
        """The frame in view, uint8 (H, W, 3)."""
        frame = self._workspace.frame
        if frame is None or FRAMES not in self._viewer.layers:
            return None
        layer, index = self._viewer.layers[FRAMES], self._workspace.index_of(frame.id)
        return np.asarray(layer.data[index]) if isinstance(layer, Image) and index is not None else None

    def _show_line(self, way: Sequence[Point]) -> None:
        picture = self._picture()
        if picture is not None:
            self._overlay.stroke(along(way, picture.shape))

    def _cut(self, way: Sequence[Point]) -> None:
        self._overlay.clear()
        self._workspace.save_requested.emit()
        self.editor.cut(way)
