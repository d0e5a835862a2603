"""Open a folder or a project; the list of frames."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtCore import QAbstractListModel, QEvent, QModelIndex, QSettings, QStandardPaths, Qt
from qtpy.QtWidgets import (
    QAbstractItemView,
    QComboBox,
    QFileDialog,
    QHBoxLayout,
    QLabel,
    QListView,
    QMessageBox,
    QSizePolicy,
)

from rise_engine.project.project import Project
from rise_engine.project.records import ANNOTATED_STATES, FrameRecord, FrameState, Instance, Split
from rise_engine.project.segmentation import from_mask
from rise_napari.engine.background import run_in_background
from rise_napari.tabs.project.frame_sizes import FrameSizes, Size
from rise_napari.tabs.project.import_progress import ImportProgress
from rise_napari.tabs.project.importing import CocoImport
from rise_napari.tabs.tab import Tab, button
from rise_napari.ui.icons import on_dark, shipped_icon
from rise_napari.workspace import FIRST_CATEGORY, Workspace

if TYPE_CHECKING:
    from rise_engine.formats.coco.importer import OnConflict

RECENT = "recent"
RECENT_COUNT = 8
SAMPLES = 12


def settings() -> QSettings:
    """What the window remembers between sessions."""
    return QSettings("rise-napari", "workbench")


def samples_folder() -> Path:
    """Where the sample totes go."""
    data = QStandardPaths.writableLocation(QStandardPaths.StandardLocation.GenericDataLocation)
    return Path(data) / "rise-napari" / "sample totes"


def draw_samples(folder: Path, count: int) -> Path:
    """Draws totes into a folder and labels the first third of them, so that every tab has something to show."""
    from rise_engine.synthetic import write_sample_folder

    frames = write_sample_folder(folder, count=count)
    path = Project.default_path(folder)
    if not path.exists():
        with Project.create(path, folder) as project:
            project.scan()
            category = project.annotations.add_category(FIRST_CATEGORY).id
            for frame in frames[: count // 3]:
                number = project.frames.get(frame.name).id
                drawn = [Instance(None, number, category, from_mask(mask)) for mask in np.asarray(frame.masks)]
                project.annotations.add(number, drawn)
                project.frames.set_state(number, FrameState.LABELLED)
    return folder


class FrameModel(QAbstractListModel):
    """Frames as rows; nothing is built for a row before it is seen."""

    def __init__(self, size_of: Callable[[int], Size | None]) -> None:
        """``size_of`` gives (width, height) of a frame by its number, as far as it is known."""
        super().__init__()
        self._size_of = size_of
        self.dark = True
        """Whether the marks stand on a dark ground."""
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
            # A mark for the state, told by its shape and not by its colour alone.
            return shipped_icon(str(frame.state), dark=self.dark)
        if role == Qt.ItemDataRole.ToolTipRole:
            size = self._size_of(frame.id)
            return f"{frame.name}: {frame.state}" + (f", {size[0]} x {size[1]}" if size is not None else "")
        return None


class FrameView(QListView):
    """The list of frames, whose marks follow the theme."""

    def changeEvent(self, event: QEvent) -> None:
        super().changeEvent(event)
        model = self.model()
        if event.type() in (QEvent.Type.StyleChange, QEvent.Type.PaletteChange) and isinstance(model, FrameModel):
            model.dark = on_dark(self)
            self.viewport().update()


class ProjectTab(Tab):
    """Which project, and which frames."""

    name = "Project"

    def __init__(self, workspace: Workspace) -> None:
        super().__init__(workspace)
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
        self.open_coco = button(
            "Open COCO file…", self._ask_coco_project, "Open a COCO JSON file with the images beside it", tall=True
        )
        self.samples = button(
            "Sample totes", self.open_samples, "Draw a dozen totes and open them, to try everything", tall=True
        )
        second = QHBoxLayout()
        second.addWidget(self.open_coco)
        second.addWidget(self.samples)
        self.last = button("", self.open_last, "Go on where you stopped", tall=True)
        self.importer = CocoImport(workspace, self._ask_conflict)
        self.importing_now = ImportProgress(self.importer)
        self.recent = QComboBox()
        self.recent.setToolTip("Projects opened lately")
        self.recent.activated.connect(self._open_recent)
        self.where = QLabel()
        self.where.setWordWrap(True)
        self.where.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.filter = QComboBox()
        self.filter.setToolTip("Which frames to list")
        self.filter.currentIndexChanged.connect(self._list_frames)
        self.sizes = FrameSizes(workspace)
        self.sizes.changed.connect(self._show_where)
        self.model = FrameModel(self.sizes.of)
        self.list = FrameView()
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
        # At the top, in sight however low the window is.
        self.body.addWidget(self.importing_now)
        self.body.addWidget(self.last)
        self.body.addLayout(opening)
        self.body.addLayout(second)
        self.body.addWidget(self.recent)
        self.body.addWidget(self.where)
        self.body.addWidget(self.filter)
        self.body.addWidget(self.list, 1)
        self.body.addLayout(tools)
        self.body.addStretch(0)
        workspace.project_changed.connect(self._project_changed)
        workspace.frames_changed.connect(self.refresh)
        workspace.frame_changed.connect(self._mark_current)
        self._show_recent()
        self.refresh()

    def advice(self) -> str:
        workspace = self.workspace
        if workspace.project is None:
            return "Open a folder of images, or drop one here; a project or a COCO file will do too."
        if not workspace.frames:
            return "This folder has no images: open another one."
        labelled = workspace.count(*ANNOTATED_STATES)
        if not labelled:
            return "Next: draw the objects of a handful of frames in the Annotate tab, or import a COCO file."
        return f"{labelled} of {len(workspace.frames):,} frames are labelled; a click shows a frame."

    def finished(self) -> bool:
        return bool(self.workspace.frames)

    def refresh(self) -> None:
        super().refresh()
        project = self.workspace.project
        self._show_where()
        for widget in (self.filter, self.list):
            widget.setVisible(project is not None)
        self._show_last()
        for widget in (self.importing, self.holdout, self.train):
            widget.setVisible(project is not None)
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

    def _show_where(self) -> None:
        project, sizes = self.workspace.project, self.sizes.summary()
        words = [f"Images: {project.images}", sizes] if project is not None else []
        self.where.setText("\n".join(word for word in words if word))
        self.where.setVisible(project is not None)

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

    def open_path(self, path: Path) -> None:
        """Opens a folder, a project, or a COCO file by way of the images beside it."""
        if path.suffix.lower() == ".json":
            self.importer.open(path)
        else:
            self.workspace.open_path(path)

    def last_project(self) -> Path | None:
        """The project that was open last, if it is still there."""
        return next((Path(path) for path in self._recent_paths() if Path(path).is_dir()), None)

    def open_last(self) -> None:
        """Opens the project that was open last, at the frame where it was left."""
        path = self.last_project()
        if path is not None:
            self.workspace.open_project(path)

    def _show_last(self) -> None:
        path = self.last_project() if self.workspace.project is None else None
        self.last.setVisible(path is not None)
        if path is not None:
            self.last.setText(f"Go on with {path.name}")
            self.last.setToolTip(f"{path}, at the frame where it was left")

    def open_samples(self) -> None:
        """Opens a folder of drawn totes that the person may do with as he likes; they are drawn the first time."""
        folder = samples_folder()
        if folder.is_dir() and any(folder.iterdir()):
            self.workspace.open_folder(folder)
            return
        self.samples.setEnabled(False)
        self.workspace.notify("Drawing sample totes…")

        run_in_background(
            self.workspace,
            partial(draw_samples, folder, SAMPLES),
            done=self.workspace.open_folder,
            finished=lambda: self.samples.setEnabled(True),
        )

    def _project_changed(self) -> None:
        project = self.workspace.project
        if project is not None:
            path = str(project.path)
            known = [entry for entry in self._recent_paths() if entry != path]
            settings().setValue(RECENT, [path, *known][:RECENT_COUNT])
            self._show_recent()
        self.refresh()

    def remembered(self) -> QSettings:
        """What the window remembers between sessions, for other parts of it."""
        return settings()

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

    # -- splits and import ------------------------------------------------------------------------------------------

    def _hold_out(self) -> None:
        self._set_split(Split.HOLDOUT)

    def _train_on(self) -> None:
        self._set_split(Split.TRAIN)

    def _set_split(self, split: Split) -> None:
        ids = [self.model.frames[index.row()].id for index in self.list.selectedIndexes()]
        project = self.workspace.project
        if ids and project is not None and self.workspace.writable:
            with self.workspace.reporting_errors():
                project.frames.set_split(ids, split)
                self.workspace.refresh_frames()

    def _ask_coco(self) -> None:
        name, _ = QFileDialog.getOpenFileName(self, "Import a COCO JSON file", "", "COCO (*.json)")
        if name:
            self.import_coco(Path(name))

    def import_coco(self, path: Path) -> None:
        """Adds the annotations of a COCO file to the open project."""
        self.importer.add(path)

    def _ask_coco_project(self) -> None:
        name, _ = QFileDialog.getOpenFileName(self, "Open a COCO JSON file", "", "COCO (*.json)")
        if name:
            self.importer.open(Path(name))

    def _ask_conflict(self, sentence: str) -> OnConflict | None:
        question = QMessageBox(QMessageBox.Icon.Question, "Import", sentence, parent=self)
        question.setInformativeText("What shall happen to them? Undo takes the import back whole.")
        answers: dict[object, OnConflict] = {
            question.addButton("Keep them", QMessageBox.ButtonRole.AcceptRole): "keep",
            question.addButton("Replace them", QMessageBox.ButtonRole.AcceptRole): "replace",
            question.addButton("Keep both", QMessageBox.ButtonRole.AcceptRole): "both",
        }
        question.addButton(QMessageBox.StandardButton.Cancel)
        question.exec()
        return answers.get(question.clickedButton())
