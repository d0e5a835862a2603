"""The review queue: which frame to review next, with a thumbnail and the reason."""

from __future__ import annotations

from pathlib import Path

from psygnal import Signal
from qtpy.QtCore import QSize, Qt
from qtpy.QtGui import QIcon, QImageReader, QPixmap
from qtpy.QtWidgets import QComboBox, QListWidget, QListWidgetItem, QVBoxLayout, QWidget

from rise_engine.active_learning.ranking import QueueEntry, rank_frames
from rise_engine.project.project import Project
from rise_engine.project.records import FrameState
from rise_napari.engine.background import run_in_background
from rise_napari.tabs.tab import allow_narrow
from rise_napari.workspace import Workspace

QUEUE_LENGTH = 50
THUMBNAIL, ROW_HEIGHT = QSize(56, 42), 54
"""Pixels. A row has room for the name and two lines of the reason; the tooltip has the details."""
TEXT_MARGIN = 14
"""Pixels between the thumbnail and the right edge that a name cannot use."""
ORDERS = {
    "useful": (
        "Most useful first",
        "Combines uncertainty, scores near 0.5, sensitivity to lighting, new objects and new appearance.",
    ),
    "uncertain": ("Most uncertain first", "Frames whose scores are, on average, near 0.5."),
    "disagreeing": ("Lighting-sensitive first", "Frames with predictions that change when the lighting changes."),
    "edge": ("Scores near 0.5 first", "Frames with many scores between 0.4 and 0.6, where a threshold decides."),
    "unlike": ("Unlike labelled first", "Frames that look different from all labelled frames."),
    "name": ("By name", "Frames in the order of the folder."),
}


class FrameQueue(QWidget):
    """A list that is filled in the background. A click on a frame shows it."""

    filled = Signal()

    def __init__(self, workspace: Workspace) -> None:
        super().__init__()
        self._workspace = workspace
        self._stale = True
        self.order = self._build_order()
        self.list = self._build_list()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addWidget(self.order)
        layout.addWidget(self.list, 1)

    def _build_order(self) -> QComboBox:
        order = allow_narrow(QComboBox())
        for row, (name, (words, tip)) in enumerate(ORDERS.items()):
            order.addItem(words, name)
            order.setItemData(row, tip, Qt.ItemDataRole.ToolTipRole)
        order.setToolTip("The order of the frames, as in rise queue --order.")
        order.activated.connect(lambda _row: self.fill())
        return order

    def _build_list(self) -> QListWidget:
        frames = QListWidget()
        frames.setIconSize(THUMBNAIL)
        frames.setWordWrap(True)
        frames.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        frames.setToolTip("The next frames to review, with the reason. Click on a frame to show it.")
        frames.itemActivated.connect(self._show)
        frames.itemClicked.connect(self._show)
        return frames

    def mark_stale(self) -> None:
        """Something changed: the frames are sorted again when the tab is next visible."""
        self._stale = True

    def fill_if_stale(self) -> None:
        """Sorts the frames when they may have changed."""
        if self._stale:
            self.fill()

    def fill(self) -> None:
        """Ranks the frames in the background. Without predictions this reads the images."""
        project = self._workspace.project
        self._stale = False
        if project is None:
            self.list.clear()
            return
        # Writable if possible: the ranking caches what it computed from the images.
        path, order, read_only = project.path, self.order.currentData(), not self._workspace.writable

        def work() -> list[QueueEntry]:
            with Project.open(path, read_only=read_only) as other:
                return rank_frames(other, top=QUEUE_LENGTH, order=order)

        run_in_background(self._workspace, work, done=lambda ranked: self._fill(path, ranked))

    def following(self) -> int | None:
        """The id of the first frame of the queue that is unlabelled and not in view, or None."""
        frame = self._workspace.frame
        open_frames = {one.id for one in self._workspace.frames if one.state is FrameState.UNLABELLED}
        queued = [self.list.item(row).data(Qt.ItemDataRole.UserRole) for row in range(self.list.count())]
        return next((one for one in queued if one in open_frames and (frame is None or one != frame.id)), None)

    def _show(self, item: QListWidgetItem) -> None:
        self._workspace.show(item.data(Qt.ItemDataRole.UserRole))

    def _fill(self, path: Path, ranked: list[QueueEntry]) -> None:
        project = self._workspace.project
        if project is None or project.path != path:
            return
        self.list.clear()
        for entry in ranked:
            self.list.addItem(self._item(project, entry))
        self.filled.emit()

    def _item(self, project: Project, entry: QueueEntry) -> QListWidgetItem:
        name = self.list.fontMetrics().elidedText(entry.frame.name, Qt.TextElideMode.ElideMiddle, self._name_width())
        item = QListWidgetItem(f"{name}\n{entry.reason}")
        item.setSizeHint(QSize(0, ROW_HEIGHT))
        item.setData(Qt.ItemDataRole.UserRole, entry.frame.id)
        item.setToolTip(describe(entry))
        # The decoder scales while it reads, so a thumbnail costs a fraction of the image.
        reader = QImageReader(str(project.images / entry.frame.name))
        reader.setAutoTransform(True)
        if reader.size().isValid():
            # High-resolution screens have several pixels for each of Qt's.
            fine = THUMBNAIL * self.devicePixelRatioF()
            reader.setScaledSize(reader.size().scaled(fine, Qt.AspectRatioMode.KeepAspectRatio))
        image = reader.read()
        if not image.isNull():
            shown = QPixmap.fromImage(image)
            shown.setDevicePixelRatio(self.devicePixelRatioF())
            item.setIcon(QIcon(shown))
        return item

    def _name_width(self) -> int:
        """The width in pixels that a name may use."""
        return max(40, self.list.viewport().width() - THUMBNAIL.width() - TEXT_MARGIN)


def describe(entry: QueueEntry) -> str:
    """A frame's reason and usefulness, with every part of it."""
    parts = [f"uncertainty {entry.uncertainty:.2f}", f"scores near 0.5: {entry.edge}"]
    if entry.fullness is not None:
        parts = [f"share of compared frames that are less full: {entry.fullness:.2f}"]
    if entry.disagreement is not None:
        parts.append(f"change with lighting {100 * entry.disagreement:.0f} %")
    if entry.unfamiliar is not None:
        parts.append(f"objects unlike the bank: {entry.unfamiliar}")
    if entry.novelty is not None:
        parts.append(f"difference from other frames {entry.novelty:.2f}")
    return f"{entry.frame.name}: {entry.reason}\nUsefulness {entry.score:.2f}: {', '.join(parts)}"
