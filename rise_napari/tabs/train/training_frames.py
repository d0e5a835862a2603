"""The frames that a training would use: counts, and a list of the labelled and the hold-out frames."""

from __future__ import annotations

from collections.abc import Callable

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QLabel, QListWidget, QListWidgetItem, QVBoxLayout, QWidget

from rise_engine.errors import RiseError
from rise_engine.project.splits import TrainingSplit, choose_split
from rise_napari.tabs.tab import collapsible
from rise_napari.workspace import Workspace

LISTED = 300


class TrainingFrames(QWidget):
    """A line of counts, and below it the names of the frames. A click on a name shows the frame."""

    def __init__(self, workspace: Workspace, *, seed: Callable[[], int]) -> None:
        super().__init__()
        self._workspace = workspace
        self._seed = seed
        self.counts = QLabel()
        self.counts.setWordWrap(True)
        self.names = QListWidget()
        # The layout would shrink the list to one line otherwise.
        self.names.setFixedHeight(130)
        self.names.setToolTip("Click on a frame to show it.")
        self.names.itemClicked.connect(self._show)
        self._collapsible = collapsible("Frames", self.names)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(2)
        layout.addWidget(self.counts)
        layout.addWidget(self._collapsible)

    def split(self) -> TrainingSplit:
        """The frames of a training that would start now. Raises ``RiseError`` if no frame is labelled."""
        assert self._workspace.project is not None
        return choose_split(self._workspace.project, seed=self._seed(), frames=self._workspace.frames)

    def refresh(self) -> None:
        """Reads the project again."""
        self.names.clear()
        self._collapsible.setVisible(False)
        if self._workspace.project is None:
            self.counts.setText("")
            return
        try:
            split = self.split()
        except RiseError as error:
            self.counts.setText(str(error))
            return
        self.counts.setText(
            f"<b>{len(split.labelled):,} labelled, {len(split.holdout):,} hold-out, "
            f"{len(split.unlabelled):,} unlabelled</b>"
        )
        self._collapsible.setVisible(True)
        self._list("Labelled, for training", split.labelled)
        self._list("Hold-out, for measuring only", split.holdout)

    def _list(self, title: str, ids: list[int]) -> None:
        names = {frame.id: frame.name for frame in self._workspace.frames}
        heading = QListWidgetItem(f"{title} ({len(ids):,})")
        # Not selectable, but not greyed out.
        heading.setFlags(Qt.ItemFlag.ItemIsEnabled)
        bold = heading.font()
        bold.setBold(True)
        heading.setFont(bold)
        self.names.addItem(heading)
        for number in ids[:LISTED]:
            item = QListWidgetItem(f"   {names.get(number, '?')}")
            item.setData(Qt.ItemDataRole.UserRole, number)
            self.names.addItem(item)
        if len(ids) > LISTED:
            more = QListWidgetItem(f"   and {len(ids) - LISTED:,} more")
            more.setFlags(Qt.ItemFlag.ItemIsEnabled)
            self.names.addItem(more)

    def _show(self, item: QListWidgetItem) -> None:
        number = item.data(Qt.ItemDataRole.UserRole)
        if number is not None:
            self._workspace.show(number)
