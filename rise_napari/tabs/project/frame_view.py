"""The list of frames in the Project tab: one row per frame, with a mark for its state."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from qtpy.QtCore import QAbstractListModel, QEvent, QModelIndex, Qt
from qtpy.QtWidgets import QAbstractItemView, QListView

from rise_engine.project.records import FrameRecord, Split
from rise_napari.tabs.project.frame_sizes import Size
from rise_napari.ui.icons import on_dark, shipped_icon


class FrameModel(QAbstractListModel):
    """The rows. The data of a row is made when the row becomes visible."""

    def __init__(self, size_of: Callable[[int], Size | None]) -> None:
        """``size_of`` returns (width, height) of a frame by its id, or None while it is unknown."""
        super().__init__()
        self._size_of = size_of
        self.dark = True
        """Whether the marks are on a dark background."""
        self.frames: list[FrameRecord] = []
        self._rows: dict[int, int] = {}

    def show(self, frames: list[FrameRecord]) -> None:
        """Replaces the rows."""
        self.beginResetModel()
        self.frames = frames
        self._rows = {frame.id: row for row, frame in enumerate(frames)}
        self.endResetModel()

    def row_of(self, frame_id: int) -> int | None:
        """The row of a frame, or None if it is not listed."""
        return self._rows.get(frame_id)

    def update(self, frames: list[FrameRecord]) -> None:
        """Replaces the rows by new records of the same frames. Selection and scroll position stay."""
        changed = [row for row, (old, new) in enumerate(zip(self.frames, frames, strict=True)) if old is not new]
        self.frames = frames
        for row in changed:
            self.dataChanged.emit(self.index(row), self.index(row))

    def rowCount(self, parent: QModelIndex | None = None) -> int:
        return 0 if parent is not None and parent.isValid() else len(self.frames)

    def data(self, index: QModelIndex, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        frame = self.frames[index.row()]
        if role == Qt.ItemDataRole.DisplayRole:
            return frame.name + ("   (hold-out)" if frame.split is Split.HOLDOUT else "")
        if role == Qt.ItemDataRole.DecorationRole:
            # The states differ in shape, so that colour vision is not needed.
            return shipped_icon(str(frame.state), dark=self.dark)
        if role == Qt.ItemDataRole.ToolTipRole:
            size = self._size_of(frame.id)
            return f"{frame.name}: {frame.state}" + (f", {size[0]} x {size[1]}" if size is not None else "")
        return None


class FrameView(QListView):
    """The view. Its marks follow napari's theme."""

    def __init__(self, model: FrameModel) -> None:
        super().__init__()
        self.setModel(model)
        self.setUniformItemSizes(True)
        self.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)

    def changeEvent(self, event: QEvent) -> None:
        super().changeEvent(event)
        model = self.model()
        if event.type() in (QEvent.Type.StyleChange, QEvent.Type.PaletteChange) and isinstance(model, FrameModel):
            model.dark = on_dark(self)
            self.viewport().update()
