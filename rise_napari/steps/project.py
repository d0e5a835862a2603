"""Open a folder or a project; the list of frames."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from qtpy.QtCore import QAbstractListModel, QModelIndex, QSettings, Qt
from qtpy.QtGui import QColor
from qtpy.QtWidgets import (
    QAbstractItemView,
    QComboBox,
    QFileDialog,
    QHBoxLayout,
    QLabel,
    QListView,
    QSizePolicy,
)

from rise_engine.project.records import FrameRecord, FrameState, Split
from rise_napari.steps.step import Step, button
from rise_napari.workspace import Workspace

RECENT = "recent"
RECENT_COUNT = 8
STATE_COLOURS = {
    FrameState.UNLABELLED: QColor("#8a8f98"),
    FrameState.LABELLED: QColor("#2fa866"),
    FrameState.REVIEWED: QColor("#3d8fd1"),
    FrameState.SKIPPED: QColor("#9b6b43"),
}


def settings() -> QSettings:
    """What the window remembers between sessions."""
    return QSettings("rise-napari", "workbench")


class FrameModel(QAbstractListModel):
    """Frames as rows; nothing is built for a row before it is seen."""

    def __init__(self) -> None:
        super().__init__()
        self.frames: list[FrameRecord] = []
        self._rows: dict[int, int] = {}

    def show(self, frames: list[FrameRecord]) -> None:
        """Replaces the rows."""
        self.beginResetModel()
        self.frames = frames
        self._rows = {frame.id: row for row, frame in enumerate(frames)}
        self.endResetModel()

    def row_of(self, frame_id: int) -> int | None:
        """The row of a frame."""
        return self._rows.get(frame_id)

    def update(self, frames: list[FrameRecord]) -> None:
        """Replaces the rows by the same frames, of which some changed; selection and place stay."""
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
            return STATE_COLOURS[frame.state]
        if role == Qt.ItemDataRole.ToolTipRole:
            size = f", {frame.width} x {frame.height}" if frame.width is not None else ""
            return f"{frame.name}: {frame.state}{size}"
        return None


class ProjectStep(Step):
    """Which project, and which frames."""

    name = "Project"

    def __init__(self, workspace: Workspace) -> None:
        super().__init__(workspace)
        self.setAcceptDrops(True)
        opening = QHBoxLayout()
        self.open_folder = button(
            "Open image folder…",
            self._ask_folder,
            "Open a folder of images; the project is kept beside it as FOLDER.rise",
            tall=True,
        )
        self.open_project = button("Open project…", self._ask_project, "Open a folder that ends in .rise", tall=True)
        opening.addWidget(self.open_folder)
        opening.addWidget(self.open_project)
        self.recent = QComboBox()
        self.recent.setToolTip("Projects opened lately")
        self.recent.activated.connect(self._open_recent)
        self.where = QLabel()
        self.where.setWordWrap(True)
        self.where.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.filter = QComboBox()
        self.filter.setToolTip("Which frames to list")
        self.filter.currentIndexChanged.connect(self._list_frames)
        self.model = FrameModel()
        self.list = QListView()
        self.list.setModel(self.model)
        self.list.setUniformItemSizes(True)
        self.list.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
        self.list.clicked.connect(lambda index: workspace.show(self.model.frames[index.row()].id))
        self.holdout = button(
            "Hold out", self._hold_out, "Keep the selected frames out of training, to measure on them"
        )
        self.train = button("Train on", self._train_on, "Use the selected frames for training again")
        self.importing = button("Import COCO…", self._ask_coco, "Add the annotations of a COCO JSON file")
        tools = QHBoxLayout()
        for widget in (self.importing, self.holdout, self.train):
            tools.addWidget(widget)
        for box in (self.recent, self.filter):
            # As wide as the tab, not as its longest path.
            box.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
            box.setMinimumContentsLength(12)
        self.where.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        self.body.addLayout(opening)
        self.body.addWidget(self.recent)
        self.body.addWidget(self.where)
        self.body.addWidget(self.filter)
        self.body.addWidget(self.list, 1)
        self.body.addLayout(tools)
        workspace.project_changed.connect(self._project_changed)
        workspace.frames_changed.connect(self.refresh)
        workspace.frame_changed.connect(self._mark_current)
        self._show_recent()
        self.refresh()

    def advice(self) -> str:
        workspace = self.workspace
        if workspace.project is None:
            return "Open a folder of images, or drop one here. Nothing in the folder is changed."
        if not workspace.frames:
            return "This folder has no images: open another one."
        labelled = workspace.count(FrameState.LABELLED, FrameState.REVIEWED)
        if not labelled:
            return "Next: draw the objects of a handful of frames in the Annotate tab, or import a COCO file."
        return f"{labelled} of {len(workspace.frames):,} frames are labelled. Click on a frame to see it."

    def finished(self) -> bool:
        return bool(self.workspace.frames)

    def refresh(self) -> None:
        super().refresh()
        project = self.workspace.project
        self.where.setText(f"Images: {project.images}" if project is not None else "")
        self.where.setToolTip(self.where.text())
        self.where.setVisible(project is not None)
        for widget in (self.filter, self.list):
            widget.setEnabled(project is not None)
        for widget in (self.importing, self.holdout, self.train):
            widget.setEnabled(self.workspace.writable)
        chosen = self.filter.currentData()
        self.filter.blockSignals(True)
        self.filter.clear()
        self.filter.addItem(f"all frames ({len(self.workspace.frames):,})", None)
        for state in FrameState:
            self.filter.addItem(f"{state} ({self.workspace.count(state):,})", str(state))
        self.filter.addItem(f"hold-out ({self.workspace.holdout_count:,})", str(Split.HOLDOUT))
        self.filter.setCurrentIndex(max(0, self.filter.findData(chosen)))
        self.filter.blockSignals(False)
        self._list_frames()

    def _list_frames(self) -> None:
        chosen = self.filter.currentData()
        frames = self.workspace.frames
        if chosen is not None:
            frames = [frame for frame in frames if chosen in (str(frame.state), str(frame.split))]
        if [frame.id for frame in frames] == [frame.id for frame in self.model.frames]:
            self.model.update(list(frames))
        else:
            self.model.show(list(frames))
            self._mark_current()

    def _mark_current(self) -> None:
        current = self.workspace.frame
        row = self.model.row_of(current.id) if current is not None else None
        if row is not None:
            self.list.setCurrentIndex(self.model.index(row))

    # -- opening ----------------------------------------------------------------------------------------------------

    def _ask_folder(self) -> None:
        name = QFileDialog.getExistingDirectory(self, "Open a folder of images")
        if name:
            self.workspace.open_path(Path(name))

    def _ask_project(self) -> None:
        name = QFileDialog.getExistingDirectory(self, "Open a project (a folder that ends in .rise)")
        if name:
            self.workspace.open_project(Path(name))

    def _open_recent(self, row: int) -> None:
        path = self.recent.itemData(row)
        if path:
            self.workspace.open_project(Path(path))

    def _project_changed(self) -> None:
        project = self.workspace.project
        if project is not None:
            path = str(project.path)
            known = [entry for entry in self._recent_paths() if entry != path]
            settings().setValue(RECENT, [path, *known][:RECENT_COUNT])
            self._show_recent()
        self.refresh()

    def _recent_paths(self) -> list[str]:
        stored = settings().value(RECENT, [])
        return [stored] if isinstance(stored, str) else list(stored or [])

    def _show_recent(self) -> None:
        self.recent.clear()
        paths = [path for path in self._recent_paths() if Path(path).is_dir()]
        self.recent.addItem("Open a recent project…" if paths else "No recent project", None)
        for path in paths:
            self.recent.addItem(path, path)
        self.recent.setEnabled(bool(paths))

    def dragEnterEvent(self, event: Any) -> None:
        if any(url.isLocalFile() for url in event.mimeData().urls()):
            event.acceptProposedAction()

    def dropEvent(self, event: Any) -> None:
        paths = [Path(url.toLocalFile()) for url in event.mimeData().urls() if url.isLocalFile()]
        if paths:
            event.acceptProposedAction()
            if paths[0].suffix == ".json":
                self.import_coco(paths[0])
            else:
                self.workspace.open_path(paths[0])

    # -- splits and import ------------------------------------------------------------------------------------------

    def _hold_out(self) -> None:
        self._set_split(Split.HOLDOUT)

    def _train_on(self) -> None:
        self._set_split(Split.TRAIN)

    def _set_split(self, split: Split) -> None:
        ids = [self.model.frames[index.row()].id for index in self.list.selectedIndexes()]
        project = self.workspace.project
        if ids and project is not None and self.workspace.writable:
            with self.workspace.telling():
                project.set_split(ids, split)
                self.workspace.refresh_frames()

    def _ask_coco(self) -> None:
        name, _ = QFileDialog.getOpenFileName(self, "Import a COCO JSON file", "", "COCO (*.json)")
        if name:
            self.import_coco(Path(name))

    def import_coco(self, path: Path) -> None:
        """Adds the annotations of a COCO file to the open project."""
        project = self.workspace.project
        if project is None or not self.workspace.writable:
            self.workspace.tell("Open a folder of images first, then import its annotations.", "warning")
            return
        self.workspace.before_leaving.emit()
        with self.workspace.telling():
            from rise_engine.formats.coco import import_coco

            report = import_coco(project, path)
            self.workspace.imported()
            missing = (
                f"; {report.missing_files} images of the file are not in the folder" if report.missing_files else ""
            )
            self.workspace.tell(f"Imported {report.instances:,} instances in {report.images:,} frames{missing}.")
