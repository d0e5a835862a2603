"""The instance bank as pictures, and what the learner makes of them: a pseudo-sequence of the frame in view."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import QSize, Qt
from qtpy.QtGui import QIcon, QImage, QPixmap
from qtpy.QtWidgets import QHBoxLayout, QLabel, QListView, QListWidget, QListWidgetItem, QSizePolicy, QSpinBox

from rise_engine.config import RiseConfig
from rise_engine.interaction.staging import bank_frames, fill_bank
from rise_engine.project.project import Project
from rise_engine.project.records import FrameState
from rise_napari.background import run_beside, stream_beside
from rise_napari.steps.step import Step, button
from rise_napari.workspace import Workspace

CUT_OUT_SIDE = 72
BACKGROUND = 40


@dataclass(frozen=True, slots=True)
class Thumbnail:
    """A cut-out ready to be shown: ``picture`` uint8 (h, w, 3) and the frame it comes from."""

    picture: NDArray[np.uint8]
    frame_id: int
    frame: str


def pixmap(picture: NDArray[np.uint8]) -> QPixmap:
    """An RGB picture, uint8 (H, W, 3), as Qt shows it."""
    data = np.ascontiguousarray(picture)
    height, width = data.shape[:2]
    return QPixmap.fromImage(QImage(data.tobytes(), width, height, 3 * width, QImage.Format.Format_RGB888).copy())


def cut_outs(path: Path, config: RiseConfig) -> list[Thumbnail]:
    """Every cut-out that a training would start with."""
    with Project.open(path, read_only=True) as project:
        ids = {frame.name: frame.id for frame in bank_frames(project)}
        return [
            Thumbnail(
                np.where(cut_out.mask[..., None], cut_out.image, np.uint8(BACKGROUND)),
                ids[cut_out.frame],
                cut_out.frame,
            )
            for cut_out in fill_bank(project, ids.values(), config)
        ]


class BankStep(Step):
    """The grid of cut-outs and the preview."""

    name = "Bank"

    def __init__(self, workspace: Workspace) -> None:
        super().__init__(workspace)
        self._stale = True
        self._count = 0
        self.grid = QListWidget()
        self.grid.setViewMode(QListView.ViewMode.IconMode)
        self.grid.setIconSize(QSize(CUT_OUT_SIDE, CUT_OUT_SIDE))
        self.grid.setResizeMode(QListView.ResizeMode.Adjust)
        self.grid.setMovement(QListView.Movement.Static)
        self.grid.setSpacing(4)
        self.grid.setUniformItemSizes(True)
        self.grid.setMinimumHeight(160)
        self.grid.setToolTip("Click on a cut-out to go to its frame")
        self.grid.itemClicked.connect(lambda item: workspace.show(item.data(Qt.ItemDataRole.UserRole)))
        self.seed = QSpinBox()
        self.seed.setRange(0, 999_999)
        self.seed.setToolTip("The same seed stages the same sequence")
        self.seed.editingFinished.connect(self.show_sequence)
        self.again = button("Regenerate", self._next_seed, "Stage another sequence of the frame in view")
        row = QHBoxLayout()
        row.addWidget(QLabel("Pseudo-sequence, seed"))
        row.addWidget(self.seed)
        row.addWidget(self.again, 1)
        self.picture = QLabel("before | after | strong")
        self.picture.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.picture.setMinimumHeight(120)
        self.picture.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.words = QLabel()
        self.words.setWordWrap(True)
        self.body.addWidget(self.grid, 1)
        self.body.addLayout(row)
        self.body.addWidget(self.picture)
        self.body.addWidget(self.words)
        self._shown: QPixmap | None = None
        workspace.project_changed.connect(self._clear)
        workspace.frames_changed.connect(self._mark_stale)
        workspace.strokes_saved.connect(self._mark_stale)
        workspace.frame_changed.connect(self._forget_sequence)
        self.refresh()

    def advice(self) -> str:
        if self.workspace.project is None:
            return "Open a folder of images in the Project tab first."
        if not self.workspace.count(FrameState.LABELLED, FrameState.REVIEWED):
            return "The bank is empty: draw the objects of a frame in the Annotate tab, and they appear here."
        return "These cut-outs are pasted, moved and removed to stage interactions. Check that they are cut well."

    def finished(self) -> bool:
        return bool(self.workspace.count(FrameState.LABELLED, FrameState.REVIEWED))

    def showEvent(self, event: object) -> None:
        super().showEvent(event)
        self.fill()

    def fill(self) -> None:
        """Reads the bank anew when it changed since."""
        self.refresh()
        project = self.workspace.project
        if project is None or not self._stale:
            return
        self._stale = False
        path = project.path
        run_beside(self.workspace, lambda: cut_outs(path, RiseConfig.preset("laptop")), done=self._show)
        self.show_sequence()

    def show_sequence(self) -> None:
        """Stages a sequence of the frame in view with the seed shown."""
        project, frame = self.workspace.project, self.workspace.frame
        if project is None or frame is None or not self.isVisible():
            return
        path, seed = project.path, self.seed.value()
        self.again.setEnabled(False)
        self.words.setText("Staging a sequence…")
        stream_beside(
            self.workspace,
            lambda: self.workspace.engine.run("stage", project=str(path), frame=frame.id, seed=seed, preset="laptop"),
            each=self._show_sequence,
            finished=self._staged,
        )

    def resizeEvent(self, event: object) -> None:
        super().resizeEvent(event)
        self._fit_picture()

    def _staged(self) -> None:
        self.again.setEnabled(True)
        if self._shown is None:
            self.words.clear()

    def _next_seed(self) -> None:
        self.seed.setValue(self.seed.value() + 1)
        self.show_sequence()

    def _show(self, found: list[Thumbnail]) -> None:
        self.grid.clear()
        for one in found:
            item = QListWidgetItem(QIcon(pixmap(one.picture)), "")
            item.setData(Qt.ItemDataRole.UserRole, one.frame_id)
            item.setToolTip(one.frame)
            self.grid.addItem(item)

    def _show_sequence(self, answer: dict[str, Any]) -> None:
        result = answer["result"]
        self._shown = QPixmap()
        self._shown.loadFromData(base64.b64decode(result["png"]))
        self.words.setText("before | after | strong: " + ";  ".join(result["words"]))
        self._fit_picture()

    def _fit_picture(self) -> None:
        if self._shown is not None:
            fitted = self._shown.scaledToWidth(
                max(120, self.picture.width()), Qt.TransformationMode.SmoothTransformation
            )
            self.picture.setFixedHeight(fitted.height())
            self.picture.setPixmap(fitted)

    def _mark_stale(self) -> None:
        self._stale = True
        if self.isVisible():
            self.fill()

    def _forget_sequence(self) -> None:
        self._shown = None
        self.picture.clear()
        self.words.clear()
        self.show_sequence()

    def _clear(self) -> None:
        self.grid.clear()
        self._stale = True
        self._forget_sequence()
        self.refresh()
