"""Tools on the picture besides napari's own: press, drag, let go. One at a time; any of napari's tools ends it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from napari.layers import Labels
from psygnal import Signal

Point = tuple[float, float]
"""(row, column) in pixels of the frame."""


class DragTool:
    """Hears the mouse on the annotation layer while it is in hand.

    ``moved`` gets the way so far, ``finished`` the whole of it, each a list of (row, column); a click has one point.
    """

    changed = Signal()
    """It was taken in hand or put away."""

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

    def serve(self, layer: Labels) -> None:
        """There is a new annotation layer."""
        self.put_away()
        self._layer = layer
        layer.mouse_drag_callbacks.append(self._drag)
        layer.events.mode.connect(self._mode_changed)

    def take(self) -> bool:
        """Takes the tool in hand; False when there is nothing to use it on."""
        layer = self._layer
        if layer is None or not layer.editable:
            return False
        layer.mode = "pan_zoom"
        # The left button is the tool's; the wheel still zooms.
        layer.mouse_pan = False
        if not self.active:
            self.active = True
            # Bound only now, for these keys mean something else to napari's own tools.
            for key, action in self._keys.items():
                layer.bind_key(key, _handler(action), overwrite=True)
            self.changed.emit()
        return True

    def put_away(self) -> None:
        """Gives the mouse back to napari."""
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
            self.put_away()

    def _drag(self, layer: Labels, event: Any) -> Iterator[None]:
        if not self.active or event.button != 1:
            return
        way = [_place(layer, event)]
        yield
        while event.type == "mouse_move":
            way.append(_place(layer, event))
            self._moved(way)
            yield
        self._finished(way)


def _place(layer: Labels, event: Any) -> Point:
    row, column = layer.world_to_data(event.position)[-2:]
    return float(row) + 0.5, float(column) + 0.5


def _handler(action: Callable[[], None]) -> Callable[[Any], None]:
    # napari asks a handler for its name, so it is a function and no partial.
    def handle(_layer: Any) -> None:
        action()

    return handle
