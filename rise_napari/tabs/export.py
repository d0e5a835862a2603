"""The Export tab: write a COCO file, an ONNX model and a report; clicks on the Export buttons are handled here."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

from qtpy.QtCore import Qt, QUrl
from qtpy.QtGui import QDesktopServices
from qtpy.QtWidgets import QComboBox, QFileDialog, QFormLayout, QGroupBox, QLabel, QPushButton, QVBoxLayout, QWidget

from rise_engine.config import Section
from rise_engine.formats.coco.exporter import ExportMasks, ExportSource
from rise_engine.project.maintenance.report import write_report
from rise_engine.project.project import Project
from rise_napari.engine.background import run_in_background, stream_in_background
from rise_napari.tabs.model_in_use import describe_run
from rise_napari.tabs.tab import NO_PROJECT, Tab, allow_narrow, button
from rise_napari.ui.config_form import SectionForm
from rise_napari.workspace import Workspace


class CocoOptions(Section):
    """The options of a COCO export. Each field is a row of the form and an argument of ``export_coco``."""

    source: ExportSource = "reviewed"
    """Which annotations to write."""
    masks: ExportMasks = "as-imported"
    """The format of the masks. Polygons cannot represent holes."""


OPTION_TEXTS = {
    "reviewed": "All labelled and reviewed frames",
    "drawn": "Only drawn and imported annotations",
    "all": "Also predictions that are not reviewed",
    "as-imported": "As imported",
    "rle": "Run-length encoding (RLE)",
    "polygons": "Polygons",
}
FAILED = "Nothing was written. The message above has the reason."


class ExportGroup(QGroupBox):
    """One export: its options, its button, and a line that reports where the file is."""

    def __init__(self, title: str, options: QWidget | None, action: QPushButton) -> None:
        super().__init__(title)
        self.action = action
        self.where = QLabel()
        self.where.setWordWrap(True)
        self.where.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.open_folder = QPushButton("Open folder")
        layout = QVBoxLayout(self)
        for widget in (options, action, self.where, self.open_folder):
            if widget is not None:
                layout.addWidget(widget)
        self.clear()

    def clear(self) -> None:
        """Hides the line of an earlier export."""
        self.where.clear()
        self.where.hide()
        self.open_folder.hide()

    def begin(self, words: str) -> None:
        """Shows that the export runs."""
        self.action.setEnabled(False)
        self.say(words)

    def say(self, words: str) -> None:
        """Shows a line of text."""
        self.where.setText(words)
        self.where.show()

    def end(self) -> None:
        """Allows the next export. Without a result the line still ends with an ellipsis, and the export failed."""
        self.action.setEnabled(True)
        if self.where.text().endswith("…"):
            self.say(FAILED)


class ExportTab(Tab):
    """Three groups, one for each kind of file."""

    name = "Export"

    def __init__(self, workspace: Workspace) -> None:
        super().__init__(workspace)
        self.exported = False
        self._folders: dict[ExportGroup, Path] = {}
        self._build_coco()
        self._build_onnx()
        self._build_report()
        self.body.addStretch(1)
        self._connect_signals()
        self.refresh()

    # -- construction -----------------------------------------------------------------------------------------------

    def _build_coco(self) -> None:
        self.coco_options = SectionForm(CocoOptions(), words=OPTION_TEXTS)
        self.coco = button("Export COCO…", self._ask_coco, "Write the annotations as a COCO JSON file.", tall=True)
        self.coco_group = self._add_group("Annotations", self.coco_options, self.coco)
        self.coco_where, self.coco_open = self.coco_group.where, self.coco_group.open_folder

    def _build_onnx(self) -> None:
        self.run = allow_narrow(QComboBox())
        self.run.setToolTip("The run with the model to export.")
        options = QWidget()
        form = QFormLayout(options)
        form.setContentsMargins(4, 4, 4, 4)
        form.addRow("Run", self.run)
        self.onnx = button(
            "Export ONNX…",
            self._ask_onnx,
            "Write the model as an ONNX file and compare its outputs with torch.",
            tall=True,
        )
        self.onnx_group = self._add_group("Model", options, self.onnx)
        self.onnx_where, self.onnx_open = self.onnx_group.where, self.onnx_group.open_folder

    def _build_report(self) -> None:
        self.report = button(
            "Export report…", self._ask_report, "Write a page with counts of frames, instances and runs.", tall=True
        )
        self.report_group = self._add_group("Report", None, self.report)
        self.report_where, self.report_open = self.report_group.where, self.report_group.open_folder

    def _add_group(self, title: str, options: QWidget | None, action: QPushButton) -> ExportGroup:
        group = ExportGroup(title, options, action)
        group.open_folder.clicked.connect(lambda _checked=False: self._open(self._folders[group]))
        self.body.addWidget(group)
        return group

    def _connect_signals(self) -> None:
        workspace = self.workspace
        for signal in (workspace.project_changed, workspace.frames_changed, workspace.training.state_changed):
            signal.connect(self.refresh)
        workspace.project_changed.connect(self._clear)

    # -- what the tab shows -----------------------------------------------------------------------------------------

    def advice(self) -> str:
        if self.workspace.project is None:
            return NO_PROJECT
        if not self._runs():
            return "Export the annotations as COCO. You can export a model after the first training."
        return "Export the annotations as COCO and the model as ONNX. You can use both without RISE."

    def finished(self) -> bool:
        return self.exported

    def refresh(self) -> None:
        super().refresh()
        project = self.workspace.project
        self.coco.setEnabled(project is not None)
        self.report.setEnabled(project is not None)
        self._show_runs()
        self.onnx.setEnabled(self.run.count() > 0)

    def _show_runs(self) -> None:
        project = self.workspace.project
        chosen, known = self.run.currentData(), self.run.count()
        self.run.clear()
        for number, text in reversed(self._runs()):
            self.run.addItem(text, number)
        if self.run.count() != known or chosen is None:
            # After a new run most people want the model in use.
            current = project.runs.current() if project is not None else None
            chosen = current.number if current is not None else None
        self.run.setCurrentIndex(max(0, self.run.findData(chosen)) if self.run.count() else -1)

    def _runs(self) -> list[tuple[int, str]]:
        project = self.workspace.project
        if project is None:
            return []
        finished = [run for run in project.runs.all() if run.finished is not None]
        return [(run.number, describe_run(run)) for run in finished]

    def _clear(self) -> None:
        self.exported = False
        for group in (self.coco_group, self.onnx_group, self.report_group):
            group.clear()

    # -- COCO -------------------------------------------------------------------------------------------------------

    def _ask_coco(self) -> None:
        name, _ = QFileDialog.getSaveFileName(self, "Export COCO", self._proposal("annotations.json"), "COCO (*.json)")
        if name:
            self.export_coco(Path(name))

    def export_coco(self, path: Path) -> None:
        """Writes the COCO file in the background and reports where it is."""
        project = self.workspace.project
        if project is None:
            return
        self.workspace.save_requested.emit()
        options, folder = CocoOptions.model_validate(self.coco_options.values()), project.path

        def work() -> Any:
            from rise_engine.formats.coco import export_coco

            with Project.open(folder, read_only=True) as other:
                return export_coco(other, path, **options.model_dump())

        self.coco_group.begin("Writing…")
        run_in_background(self.workspace, work, done=self._coco_done, finished=self.coco_group.end)

    def _coco_done(self, report: Any) -> None:
        words = f"Wrote {report.instances:,} instances in {report.frames:,} frames to"
        self._done(self.coco_group, Path(report.path), words)

    # -- ONNX -------------------------------------------------------------------------------------------------------

    def _ask_onnx(self) -> None:
        name, _ = QFileDialog.getSaveFileName(self, "Export ONNX", self._proposal("model.onnx"), "ONNX (*.onnx)")
        if name:
            self.export_onnx(Path(name))

    def export_onnx(self, path: Path) -> None:
        """Writes the ONNX file in the engine's process and reports where it is."""
        project, run = self.workspace.project, self.run.currentData()
        if project is None:
            return
        folder = str(project.path)
        self.onnx_group.begin("Writing and checking the model…")
        stream_in_background(
            self.workspace,
            lambda: self.workspace.engine.run("export_onnx", project=folder, path=str(path), run=run),
            each=self._onnx_done,
            finished=self.onnx_group.end,
        )

    def _onnx_done(self, answer: dict[str, Any]) -> None:
        result = answer["result"]
        self._done(self.onnx_group, Path(result["path"]), f"{result['summary']}:")

    # -- report -----------------------------------------------------------------------------------------------------

    def _ask_report(self) -> None:
        name, _ = QFileDialog.getSaveFileName(self, "Export report", self._proposal("report.md"), "Markdown (*.md)")
        if name:
            self.export_report(Path(name))

    def export_report(self, path: Path) -> None:
        """Writes the report and shows where it is."""
        project = self.workspace.project
        if project is None:
            return
        self.workspace.save_requested.emit()
        with self.workspace.reporting_errors():
            write_report(project, path, now=datetime.now())
            self._done(self.report_group, path, "Wrote the report to")

    # -- all three --------------------------------------------------------------------------------------------------

    def _proposal(self, name: str) -> str:
        project = self.workspace.project
        return str(project.path.parent / name) if project is not None else name

    def _done(self, group: ExportGroup, path: Path, words: str) -> None:
        self.exported = True
        self._folders[group] = path.parent
        group.say(f"{words} {path}")
        group.open_folder.show()
        self.workspace.notify(f"{words} {path}")

    def _open(self, folder: Path) -> None:
        if not QDesktopServices.openUrl(QUrl.fromLocalFile(str(folder))):
            self.workspace.notify(f"No program of this system can show a folder. The files are in {folder}.", "warning")
