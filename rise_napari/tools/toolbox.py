"""The mouse tools of the Annotate tab, of which at most one is active: mask suggestions and the cut line."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from napari.layers import Image, Labels
from napari.viewer import Viewer
from numpy.typing import NDArray
from psygnal import Signal

from rise_engine.annotation.split import along
from rise_napari.layers.project_layers import FRAMES, ProjectLayers
from rise_napari.layers.tool_overlay import ToolOverlay
from rise_napari.tools.drag_tool import DragTool, Point
from rise_napari.tools.instance_editor import InstanceEditor
from rise_napari.tools.prompt_tool import PromptTool
from rise_napari.workspace import Workspace


class Toolbox:
    """Creates the tools and switches between them."""

    changed = Signal()
    """Another tool is active, or another suggestion is shown."""

    def __init__(self, viewer: Viewer, workspace: Workspace, layers: ProjectLayers) -> None:
        self._viewer, self._workspace = viewer, workspace
        self._overlay = ToolOverlay(viewer)
        self.editor = InstanceEditor(workspace)
        self.prompt = PromptTool(workspace, self.editor, self._overlay, self._image)
        self.cut_tool = DragTool(moved=self._show_line, finished=self._cut, keys={"Escape": self.deactivate})
        for signal in (self.prompt.changed, self.cut_tool.changed):
            signal.connect(self.changed.emit)
        layers.annotations_added.connect(self._attach)
        workspace.project_changed.connect(self._overlay.remove)

    def state(self) -> str:
        """What to do with the active tool, in one sentence; empty without one."""
        if self.cut_tool.active:
            return "Draw a line through an instance to cut it in two. Esc ends cutting."
        return self.prompt.state()

    def suggest(self) -> None:
        """Activates the prompt tool; shows the next suggestion when there is one."""
        self.cut_tool.deactivate()
        self.prompt.start_or_next()

    def cut(self) -> None:
        """Activates the cut tool."""
        self.prompt.stop()
        if self._workspace.writable:
            self.cut_tool.activate()

    def deactivate(self) -> None:
        """Deactivates every tool."""
        self._overlay.clear()
        self.prompt.stop()
        self.cut_tool.deactivate()

    def _attach(self, layer: Labels) -> None:
        self.prompt.attach(layer)
        self.cut_tool.attach(layer)

    def _image(self) -> NDArray[np.uint8] | None:
        """The current frame, uint8 (H, W, 3)."""
        frame = self._workspace.frame
        if frame is None or FRAMES not in self._viewer.layers:
            return None
        layer, index = self._viewer.layers[FRAMES], self._workspace.index_of(frame.id)
        return np.asarray(layer.data[index]) if isinstance(layer, Image) and index is not None else None

    def _show_line(self, path: Sequence[Point]) -> None:
        image = self._image()
        if image is not None:
            self._overlay.show_pixels(along(path, image.shape))

    def _cut(self, path: Sequence[Point]) -> None:
        self._overlay.clear()
        self._workspace.save_requested.emit()
        self.editor.cut(path)
