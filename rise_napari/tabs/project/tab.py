"""The Project tab: open a folder, a project or a COCO file; the list of frames; which frames are held out."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtCore import QSettings, Qt
from qtpy.QtWidgets import QComboBox, QFileDialog, QHBoxLayout, QLabel, QMessageBox, QPushButton, QSizePolicy
from superqt.utils import signals_blocked

from rise_engine.project.records import ANNOTATED_STATES, FrameState, Split
from rise_napari.engine.background import run_in_background
from rise_napari.tabs.project import recent_projects, sample_totes
from rise_napari.tabs.project.coco_import import CocoImport
from rise_napari.tabs.project.frame_sizes import FrameSizes
from rise_napari.tabs.project.frame_view import FrameModel, FrameView
from rise_napari.tabs.project.import_progress import ImportProgress
from rise_napari.tabs.project.recent_projects import RecentProjects
from rise_napari.tabs.tab import Tab, allow_narrow, button
from rise_napari.workspace import Workspace

if TYPE_CHECKING:
    from rise_engine.formats.coco.importer import OnConflict

COCO_FILES = "COCO (*.json)"


class ProjectTab(Tab):
    """Which project is open, and its frames."""

    name = "Project"

    def __init__(self, workspace: Workspace) -> None:
        super().__init__(workspace)
        self._build_import_progress()
        self._build_opening_buttons()
        self._build_recent_projects()
        self._build_folder_label()
        self._build_frame_list()
        self._build_frame_buttons()
        self.body.addStretch(0)
        self._connect_signals()
        self.refresh()

    # -- construction -----------------------------------------------------------------------------------------------

    def _build_import_progress(self) -> None:
        self.importer = CocoImport(self.workspace, self._ask_conflict)
        self.importing_now = ImportProgress(self.importer)
        # At the top it is visible in a low window too.
        self.body.addWidget(self.importing_now)

    def _build_opening_buttons(self) -> None:
        self.last = button("", self.open_last, "Continue where you stopped.", tall=True)
        self.open_folder = button(
            "Open image folder…",
            self._ask_folder,
            "Open a folder of images. The project is stored next to it as FOLDER.rise.",
            tall=True,
        )
        self.open_project = button(
            "Open project…", self._ask_project, "Open a project, a folder that ends in .rise.", tall=True
        )
        self.open_coco = button(
            "Open COCO file…", self._ask_coco_project, "Open a COCO JSON file and the images next to it.", tall=True
        )
        self.samples = button(
            "Open sample totes", self.open_samples, "Render twelve synthetic totes and open them.", tall=True
        )
        self.body.addWidget(self.last)
        self._add_row([self.open_folder, self.open_project])
        self._add_row([self.open_coco, self.samples])

    def _build_recent_projects(self) -> None:
        self.recent = RecentProjects(self.workspace.open_project)
        self.body.addWidget(self.recent)

    def _build_folder_label(self) -> None:
        self.where = QLabel()
        self.where.setWordWrap(True)
        self.where.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.where.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        self.body.addWidget(self.where)

    def _build_frame_list(self) -> None:
        self.filter = allow_narrow(QComboBox())
        self.filter.setMinimumContentsLength(12)
        self.filter.setToolTip("Which frames to list.")
        self.filter.currentIndexChanged.connect(self._list_frames)
        self.sizes = FrameSizes(self.workspace)
        self.model = FrameModel(self.sizes.of)
        self.list = FrameView(self.model)
        self.list.clicked.connect(lambda index: self.workspace.show(self.model.frames[index.row()].id))
        self.body.addWidget(self.filter)
        self.body.addWidget(self.list, 1)

    def _build_frame_buttons(self) -> None:
        self.importing = button("Import COCO…", self._ask_coco, "Add the annotations of a COCO JSON file.")
        self.holdout = button(
            "Hold out", self._hold_out, "Exclude the selected frames from training and measure the model on them."
        )
        self.train = button("Train on", self._train_on, "Use the selected frames for training again.")
        self._add_row([self.importing, self.holdout, self.train])

    def _add_row(self, buttons: Sequence[QPushButton]) -> None:
        row = QHBoxLayout()
        for one in buttons:
            row.addWidget(one)
        self.body.addLayout(row)

    def _connect_signals(self) -> None:
        self.workspace.project_changed.connect(self._project_changed)
        self.workspace.frames_changed.connect(self.refresh)
        self.workspace.frame_changed.connect(self._mark_current)
        self.sizes.changed.connect(self._show_folder)

    # -- what the tab shows -----------------------------------------------------------------------------------------

    def advice(self) -> str:
        workspace = self.workspace
        if workspace.project is None:
            return "Open a folder of images, a project or a COCO file. You can also drop it here."
        if not workspace.frames:
            return "This folder has no images. Open another one."
        labelled = workspace.count(*ANNOTATED_STATES)
        if not labelled:
            return "Draw the objects of a few frames in the Annotate tab, or import a COCO file."
        return f"{labelled} of {len(workspace.frames):,} frames are labelled. Click a frame to show it."

    def finished(self) -> bool:
        return bool(self.workspace.frames)

    def refresh(self) -> None:
        super().refresh()
        is_open = self.workspace.project is not None
        self._show_folder()
        self._show_last()
        for widget in (self.filter, self.list):
            widget.setVisible(is_open)
        for widget in (self.importing, self.holdout, self.train):
            widget.setVisible(is_open)
            widget.setEnabled(self.workspace.writable)
        self._show_filter()
        self._list_frames()

    def _show_folder(self) -> None:
        project, sizes = self.workspace.project, self.sizes.summary()
        lines = [f"Images: {project.images}", sizes] if project is not None else []
        self.where.setText("\n".join(line for line in lines if line))
        self.where.setVisible(project is not None)

    def _show_filter(self) -> None:
        chosen = self.filter.currentData()
        with signals_blocked(self.filter):
            self.filter.clear()
            self.filter.addItem(f"All frames ({len(self.workspace.frames):,})", None)
            for state in FrameState:
                self.filter.addItem(f"{str(state).capitalize()} ({self.workspace.count(state):,})", str(state))
            self.filter.addItem(f"Hold-out ({self.workspace.holdout_count:,})", str(Split.HOLDOUT))
            self.filter.setCurrentIndex(max(0, self.filter.findData(chosen)))

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

    def _project_changed(self) -> None:
        project = self.workspace.project
        if project is not None:
            self.recent.add(project.path)
        self.refresh()

    # -- opening ----------------------------------------------------------------------------------------------------

    def _ask_folder(self) -> None:
        name = QFileDialog.getExistingDirectory(self, "Open a folder of images")
        if name:
            self.workspace.open_path(Path(name))

    def _ask_project(self) -> None:
        name = QFileDialog.getExistingDirectory(self, "Open a project (a folder that ends in .rise)")
        if name:
            self.workspace.open_project(Path(name))

    def _ask_coco_project(self) -> None:
        name, _ = QFileDialog.getOpenFileName(self, "Open a COCO JSON file", "", COCO_FILES)
        if name:
            self.importer.open(Path(name))

    def open_path(self, path: Path) -> None:
        """Opens a folder of images, a project, or a COCO file with the images next to it."""
        if path.suffix.lower() == ".json":
            self.importer.open(path)
        else:
            self.workspace.open_path(path)

    def last_project(self) -> Path | None:
        """The project that was opened last, if it still exists."""
        return next(iter(recent_projects.recent_paths()), None)

    def open_last(self) -> None:
        """Opens the last project, at the frame that was in view."""
        path = self.last_project()
        if path is not None:
            self.workspace.open_project(path)

    def _show_last(self) -> None:
        path = self.last_project() if self.workspace.project is None else None
        self.last.setVisible(path is not None)
        if path is not None:
            self.last.setText(f"Continue with {path.name}")
            self.last.setToolTip(f"Open {path} at the frame that was in view.")

    def open_samples(self) -> None:
        """Opens the folder of sample totes; they are rendered the first time."""
        folder = sample_totes.samples_folder()
        if folder.is_dir() and any(folder.iterdir()):
            self.workspace.open_folder(folder)
            return
        self.samples.setEnabled(False)
        self.workspace.notify("Rendering sample totes…")
        run_in_background(
            self.workspace,
            partial(sample_totes.write_samples, folder, sample_totes.SAMPLES),
            done=self.workspace.open_folder,
            finished=lambda: self.samples.setEnabled(True),
        )

    def remembered(self) -> QSettings:
        """The settings that the window keeps between sessions."""
        return recent_projects.settings()

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
        name, _ = QFileDialog.getOpenFileName(self, "Import a COCO JSON file", "", COCO_FILES)
        if name:
            self.import_coco(Path(name))

    def import_coco(self, path: Path) -> None:
        """Adds the annotations of a COCO file to the open project."""
        self.importer.add(path)

    def _ask_conflict(self, sentence: str) -> OnConflict | None:
        question = QMessageBox(QMessageBox.Icon.Question, "Import", sentence, parent=self)
        question.setInformativeText("What should happen to them? Undo reverts the whole import.")
        answers: dict[object, OnConflict] = {
            question.addButton("Keep them", QMessageBox.ButtonRole.AcceptRole): "keep",
            question.addButton("Replace them", QMessageBox.ButtonRole.AcceptRole): "replace",
            question.addButton("Keep both", QMessageBox.ButtonRole.AcceptRole): "both",
        }
        question.addButton(QMessageBox.StandardButton.Cancel)
        question.exec()
        return answers.get(question.clickedButton())
