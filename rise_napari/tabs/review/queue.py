"""The frames to look at next, sorted as the person likes, each with its picture and the reason."""

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
from rise_napari.workspace import Workspace

QUEUE_LENGTH, BESIDE = 50, 14
THUMBNAIL, ROW_HEIGHT = QSize(56, 42), 54
"""Pixels; the row has room for the name and two lines of the reason, of which the tooltip says more."""
ORDERS = {
    "useful": (
        "most useful first",
        "Doubt, the threshold's edge, two lights that differ, new objects, and looks, together",
    ),
    "uncertain": ("least certain first", "Scores far from both 0 and 1"),
    "disagreeing": ("changes with the light first", "The same frame in another light is predicted differently"),
    "edge": ("on the threshold's edge first", "Many scores between 0.4 and 0.6: a small step decides over them"),
    "unlike": ("unlike the labelled ones first", "The frame looks unlike everything labelled so far"),
    "name": ("by name", "In the order of the folder"),
}


class FrameQueue(QWidget):
    """A list that is filled beside the window; a click on a frame shows it."""

    filled = Signal()

    def __init__(self, workspace: Workspace) -> None:
        super().__init__()
        self._workspace = workspace
        self._stale = True
        self.order = QComboBox()
        for row, (order, (words, tip)) in enumerate(ORDERS.items()):
            self.order.addItem(words, order)
            self.order.setItemData(row, tip, Qt.ItemDataRole.ToolTipRole)
        self.order.setToolTip("How the frames are sorted; the same as rise queue --order")
        self.order.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.order.activated.connect(lambda _row: self.fill())
        self.list = QListWidget()
        self.list.setIconSize(THUMBNAIL)
        self.list.setWordWrap(True)
        self.list.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.list.setToolTip("Which frame to look at next, and why")
        self.list.itemActivated.connect(self._show)
        self.list.itemClicked.connect(self._show)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addWidget(self.order)
        layout.addWidget(self.list, 1)

    def mark_stale(self) -> None:
        """Something changed: the frames are sorted anew when somebody looks."""
        self._stale = True

    def fill_if_stale(self) -> None:
        """Sorts the frames when they may have changed."""
        if self._stale:
            self.fill()

    def fill(self) -> None:
        """Ranks the frames beside the window; without predictions that means to look at every image."""
        project = self._workspace.project
        self._stale = False
        if project is None:
            self.list.clear()
            return
        # Writable where it can be, so that what was seen of the images is remembered.
        path, order, read_only = project.path, self.order.currentData(), not self._workspace.writable

        def work() -> list[QueueEntry]:
            with Project.open(path, read_only=read_only) as other:
                return rank_frames(other, top=QUEUE_LENGTH, order=order)

        run_in_background(self._workspace, work, done=lambda ranked: self._fill(path, ranked))

    def following(self) -> int | None:
        """The first frame of the queue that is neither in view nor done by now; None without one."""
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
        name = self.list.fontMetrics().elidedText(entry.frame.name, Qt.TextElideMode.ElideMiddle, self._room())
        item = QListWidgetItem(f"{name}\n{entry.reason}")
        item.setSizeHint(QSize(0, ROW_HEIGHT))
        item.setData(Qt.ItemDataRole.UserRole, entry.frame.id)
        item.setToolTip(describe(entry))
        # The decoder scales while it reads, so a thumbnail costs a fraction of the image.
        reader = QImageReader(str(project.images / entry.frame.name))
        reader.setAutoTransform(True)
        if reader.size().isValid():
            # As many pixels as the screen has there.
            fine = THUMBNAIL * self.devicePixelRatioF()
            reader.setScaledSize(reader.size().scaled(fine, Qt.AspectRatioMode.KeepAspectRatio))
        picture = reader.read()
        if not picture.isNull():
            shown = QPixmap.fromImage(picture)
            shown.setDevicePixelRatio(self.devicePixelRatioF())
            item.setIcon(QIcon(shown))
        return item

    def _room(self) -> int:
        """How wide a name may be, in pixels."""
        return max(40, self.list.viewport().width() - THUMBNAIL.width() - BESIDE)


def describe(entry: QueueEntry) -> str:
    """A frame's place in the queue with all that speaks for it."""
    parts = [f"uncertainty {entry.uncertainty:.2f}", f"on the edge {entry.edge}"]
    if entry.fullness is not None:
        parts = [f"fullness {entry.fullness:.2f}"]
    if entry.disagreement is not None:
        parts.append(f"changes with the light {100 * entry.disagreement:.0f} %")
    if entry.unfamiliar is not None:
        parts.append(f"objects unlike the bank {entry.unfamiliar}")
    if entry.novelty is not None:
        parts.append(f"unlike the others {entry.novelty:.2f}")
    return f"{entry.frame.name}: {entry.reason}\nusefulness {entry.score:.2f}: {', '.join(parts)}"
