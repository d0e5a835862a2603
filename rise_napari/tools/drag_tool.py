"""Base of the mouse tools on the image: press, drag, release. Selecting one of napari's own tools deactivates it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from napari.layers import Labels
from psygnal import Signal

Point = tuple[float, float]
"""(row, column) in pixels of the frame."""


class DragTool:
    """Receives the mouse events of the annotation layer while it is active.

    ``moved`` receives the path so far and ``finished`` the whole path, each a list of (row, column). A click is a path
    of one point. ``keys`` are bound while the tool is active.
    """

    changed = Signal()
    """The tool was activated or deactivated."""

    def __init__(
        self,
        *,
        moved: Callable[[Sequence[Point]], None],
        finished: Callable[[Sequence[Point]], None],
        keys: dict[str, Callable[[], None]],
    ) -> None:
        self._moved, self._finished, self._keys = moved, finished, keys
        self._layer: Labels | None = None
        self.active = False

    def attach(self, layer: Labels) -> None:
        """Uses a new annotation layer from now on."""
        self.deactivate()
        self._layer = layer
        layer.mouse_drag_callbacks.append(self._drag)
        layer.events.mode.connect(self._mode_changed)

    def activate(self) -> bool:
        """Activates the tool; False when there is no editable layer."""
        layer = self._layer
        if layer is None or not layer.editable:
            return False
        layer.mode = "pan_zoom"
        # The left button belongs to the tool; the wheel still zooms.
        layer.mouse_pan = False
        if not self.active:
            self.active = True
            # Bound only while active, because napari's own tools use the same keys.
            for key, action in self._keys.items():
                layer.bind_key(key, _handler(action), overwrite=True)
            self.changed.emit()
        return True

    def deactivate(self) -> None:
        """Returns the mouse to napari."""
        layer = self._layer
        if not self.active or layer is None:
            return
        self.active = False
        for key in self._keys:
            layer.bind_key(key, None, overwrite=True)
        layer.mouse_pan = str(layer.mode) == "pan_zoom"
        self.changed.emit()

    def _mode_changed(self, _event: object) -> None:
        if self._layer is not None and str(self._layer.mode) != "pan_zoom":
            self.deactivate()

    def _drag(self, layer: Labels, event: Any) -> Iterator[None]:
        if not self.active or event.button != 1:
            return
        path = [_position(layer, event)]
        yield
        while event.type == "mouse_move":
            path.append(_position(layer, event))
            self._moved(path)
            yield
        self._finished(path)


def _position(layer: Labels, event: Any) -> Point:
    row, column = layer.world_to_data(event.position)[-2:]
    return float(row) + 0.5, float(column) + 0.5


def _handler(action: Callable[[], None]) -> Callable[[Any], None]:
    # A function, because napari reads its name; a partial has none.
    def handle(_layer: Any) -> None:
        action()

    return handle
