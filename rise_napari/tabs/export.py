"""Leave with a COCO file, an ONNX model and a page of counts."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

from qtpy.QtCore import Qt, QUrl
from qtpy.QtGui import QDesktopServices
from qtpy.QtWidgets import QComboBox, QFileDialog, QFormLayout, QGroupBox, QLabel, QPushButton, QVBoxLayout

from rise_engine.project.maintenance.report import write_report
from rise_engine.project.project import Project
from rise_napari.engine.background import run_in_background, stream_in_background
from rise_napari.tabs.model_in_use import describe_run
from rise_napari.tabs.tab import Tab, button
from rise_napari.workspace import Workspace

SOURCES = {
    "reviewed": "everything labelled or reviewed",
    "drawn": "only what was drawn or imported",
    "all": "also predictions that nobody has reviewed",
}
MASKS = {"as-imported": "as they came", "rle": "run lengths (RLE)", "polygons": "polygons"}


class ExportTab(Tab):
    """Three files, and where they are."""

    name = "Export"

    def __init__(self, workspace: Workspace) -> None:
        super().__init__(workspace)
        self.exported = False
        self._folders: dict[QPushButton, Path] = {}
        self.source = QComboBox()
        for source, words in SOURCES.items():
            self.source.addItem(words, source)
        self.masks = QComboBox()
        for kind, words in MASKS.items():
            self.masks.addItem(words, kind)
        self.coco = button("Export COCO…", self._ask_coco, "Write the annotations as a COCO JSON file", tall=True)
        self.coco_where, self.coco_open = QLabel(), QPushButton("Open folder")
        self.run = QComboBox()
        self.run.setToolTip("Which training's model")
        self.onnx = button(
            "Export ONNX…",
            self._ask_onnx,
            "Write the model as ONNX, checked against torch before it is done",
            tall=True,
        )
        self.onnx_where, self.onnx_open = QLabel(), QPushButton("Open folder")
        self.body.addWidget(
            self._group(
                "Annotations", {"Which": self.source, "Masks": self.masks}, self.coco, self.coco_where, self.coco_open
            )
        )
        self.body.addWidget(self._group("Model", {"Run": self.run}, self.onnx, self.onnx_where, self.onnx_open))
        self.report = button(
            "Export report…", self._ask_report, "Write a page of counts: frames, instances, trainings", tall=True
        )
        self.report_where, self.report_open = QLabel(), QPushButton("Open folder")
        self.body.addWidget(self._group("Report", {}, self.report, self.report_where, self.report_open))
        self.body.addStretch(1)
        for signal in (workspace.project_changed, workspace.frames_changed, workspace.training.state_changed):
            signal.connect(self.refresh)
        workspace.project_changed.connect(self._forget)
        self.refresh()

    def _group(
        self, title: str, rows: dict[str, QComboBox], action: QPushButton, where: QLabel, opener: QPushButton
    ) -> QGroupBox:
        group = QGroupBox(title)
        layout = QVBoxLayout(group)
        form = QFormLayout()
        for label, widget in rows.items():
            # The longest entry must not decide how wide the dock is.
            widget.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
            form.addRow(label, widget)
        layout.addLayout(form)
        layout.addWidget(action)
        where.setWordWrap(True)
        where.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        where.hide()
        layout.addWidget(where)
        opener.hide()
        opener.clicked.connect(lambda: self._open(self._folders[opener]))
        layout.addWidget(opener)
        return group

    def advice(self) -> str:
        if self.workspace.project is None:
            return "Open a folder of images in the Project tab first."
        if not self._runs():
            return "Export the annotations as COCO; a model can be exported after the first training."
        return "Export the annotations as COCO and the model as ONNX; both work without this program."

    def finished(self) -> bool:
        return self.exported

    def refresh(self) -> None:
        super().refresh()
        project = self.workspace.project
        self.coco.setEnabled(project is not None)
        self.report.setEnabled(project is not None)
        chosen, known = self.run.currentData(), self.run.count()
        self.run.clear()
        for number, words in reversed(self._runs()):
            self.run.addItem(words, number)
        if self.run.count() != known or chosen is None:
            # There is a new model: the one in use is what most people want.
            current = project.runs.current() if project is not None else None
            chosen = current.number if current is not None else None
        self.run.setCurrentIndex(max(0, self.run.findData(chosen)) if self.run.count() else -1)
        self.onnx.setEnabled(self.run.count() > 0)

    def _runs(self) -> list[tuple[int, str]]:
        project = self.workspace.project
        if project is None:
            return []
        done = [run for run in project.runs.all() if run.finished is not None]
        return [(run.number, describe_run(run)) for run in done]

    def _forget(self) -> None:
        self.exported = False
        for where, opener in (
            (self.coco_where, self.coco_open),
            (self.onnx_where, self.onnx_open),
            (self.report_where, self.report_open),
        ):
            where.clear()
            where.hide()
            opener.hide()

    # -- COCO -------------------------------------------------------------------------------------------------------

    def _ask_coco(self) -> None:
        name, _ = QFileDialog.getSaveFileName(self, "Export COCO", self._proposal("annotations.json"), "COCO (*.json)")
        if name:
            self.export_coco(Path(name))

    def export_coco(self, path: Path) -> None:
        """Writes the COCO file beside the window and says where it is."""
        project = self.workspace.project
        if project is None:
            return
        self.workspace.save_requested.emit()
        source, masks, folder = self.source.currentData(), self.masks.currentData(), project.path

        def work() -> Any:
            from rise_engine.formats.coco import export_coco

            with Project.open(folder, read_only=True) as other:
                return export_coco(other, path, source=source, masks=masks)

        self._say(self.coco_where, "Writing…")
        self.coco.setEnabled(False)
        run_in_background(
            self.workspace, work, done=self._coco_done, finished=lambda: self._ended(self.coco, self.coco_where)
        )

    def _coco_done(self, report: Any) -> None:
        self._done(
            Path(report.path),
            self.coco_where,
            self.coco_open,
            f"{report.instances:,} instances in {report.frames:,} frames are in",
        )

    # -- ONNX -------------------------------------------------------------------------------------------------------

    def _ask_onnx(self) -> None:
        name, _ = QFileDialog.getSaveFileName(self, "Export ONNX", self._proposal("model.onnx"), "ONNX (*.onnx)")
        if name:
            self.export_onnx(Path(name))

    def export_onnx(self, path: Path) -> None:
        """Writes the ONNX file beside the window and says where it is."""
        project, run = self.workspace.project, self.run.currentData()
        if project is None:
            return
        folder = str(project.path)
        self._say(self.onnx_where, "Writing and checking the model…")
        self.onnx.setEnabled(False)
        stream_in_background(
            self.workspace,
            lambda: self.workspace.engine.run("export_onnx", project=folder, path=str(path), run=run),
            each=self._onnx_done,
            finished=lambda: self._ended(self.onnx, self.onnx_where),
        )

    def _onnx_done(self, answer: dict[str, Any]) -> None:
        result = answer["result"]
        self._done(Path(result["path"]), self.onnx_where, self.onnx_open, f"{result['summary']}:")

    # -- report -----------------------------------------------------------------------------------------------------

    def _ask_report(self) -> None:
        name, _ = QFileDialog.getSaveFileName(self, "Export report", self._proposal("report.md"), "Markdown (*.md)")
        if name:
            self.export_report(Path(name))

    def export_report(self, path: Path) -> None:
        """Writes the counts and says where they are."""
        project = self.workspace.project
        if project is None:
            return
        self.workspace.save_requested.emit()
        with self.workspace.reporting_errors():
            write_report(project, path, now=datetime.now())
            self._done(path, self.report_where, self.report_open, "The report is in")

    # -- both -------------------------------------------------------------------------------------------------------

    def _proposal(self, name: str) -> str:
        project = self.workspace.project
        return str(project.path.parent / name) if project is not None else name

    def _done(self, path: Path, where: QLabel, opener: QPushButton, words: str) -> None:
        self.exported = True
        self._say(where, f"{words} {path}")
        opener.show()
        self._folders[opener] = path.parent
        self.workspace.notify(f"{words} {path}")

    @staticmethod
    def _say(where: QLabel, words: str) -> None:
        """A line that is there only while it has something to say."""
        where.setText(words)
        where.show()

    def _open(self, folder: Path) -> None:
        if not QDesktopServices.openUrl(QUrl.fromLocalFile(str(folder))):
            self.workspace.notify(
                f"This system has no program to show folders with: the files are in {folder}.", "warning"
            )

    def _ended(self, action: QPushButton, where: QLabel) -> None:
        action.setEnabled(True)
        if where.text().endswith("…"):
            self._say(where, "Nothing was written: see the message above.")
