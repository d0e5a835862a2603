"""Live plots under the canvas: losses, the thresholds that make pseudo-labels, and what survives them."""

from __future__ import annotations

import csv
import os
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import qtpy  # first, so that pyqtgraph takes the binding that napari runs on
from qtpy.QtCore import QSize
from qtpy.QtWidgets import QFileDialog, QHBoxLayout, QLabel, QVBoxLayout, QWidget

os.environ.setdefault("PYQTGRAPH_QT_LIB", qtpy.API_NAME)

import pyqtgraph as pg
from pyqtgraph.exporters import ImageExporter

from rise_engine.learning.events import Event, Losses, Thresholds
from rise_napari.steps.step import button
from rise_napari.workspace import Workspace

LOSSES = {"total": "#dddddd", "supervised": "#4c9be8", "unsupervised": "#f2a541", "association": "#b07bd8"}
THRESHOLDS = {
    "gamma_cls": ("class threshold gamma_cls", "#e26a6a"),
    "quantile_cut": ("quantile cut", "#f2a541"),
    "gamma_mask": ("mask threshold gamma_mask", "#7fc97f"),
}
STAGES = {
    "predictions": ("all", "#5c6b7a"),
    "after_gamma": ("above gamma_cls", "#4c9be8"),
    "after_quantile": ("above the quantile cut", "#f2a541"),
    "after_matching": ("after Multi-Label Matching", "#7fc97f"),
}
KEPT = ("lowest_kept", "highest_kept")
NOT_A_NUMBER = float("nan")
LEGEND_GROUND = (32, 34, 40, 200)
HEIGHT = 230


class Curves(QWidget):
    """Three plots that grow with the training in hand."""

    def __init__(self, workspace: Workspace) -> None:
        super().__init__()
        self._workspace = workspace
        self.losses: list[Losses] = []
        self.thresholds: list[Thresholds] = []
        self.graphics = pg.GraphicsLayoutWidget()
        self.graphics.setBackground(None)
        self._loss_lines = self._loss_plot()
        self._threshold_lines, self._kept = self._threshold_plot()
        self._stage_lines = self._survivor_plot()
        self.latest = QLabel("The curves begin with the first training step.")
        row = QHBoxLayout()
        row.addWidget(self.latest, 1)
        row.addWidget(button("Save picture…", self._ask_png, "Save the plots as a PNG file"))
        row.addWidget(button("Save numbers…", self._ask_csv, "Save every plotted number as a CSV file"))
        layout = QVBoxLayout(self)
        layout.setContentsMargins(4, 4, 4, 4)
        self.graphics.setMinimumHeight(120)
        layout.addWidget(self.graphics, 1)
        layout.addLayout(row)
        self.setMinimumHeight(170)
        workspace.training.happened.connect(self.follow)

    def sizeHint(self) -> QSize:
        """Low: the picture above needs the room."""
        return QSize(super().sizeHint().width(), HEIGHT)

    def _plot(self, title: str, unit: str, *, log: bool = False) -> pg.PlotItem:
        plot = self.graphics.addPlot(title=title)
        plot.setLabel("left", unit)
        plot.setLabel("bottom", "step")
        plot.setLogMode(y=log)
        if log:
            # The ticks between powers of ten would be written over each other.
            plot.getAxis("left").setStyle(maxTickLevel=0)
        plot.showGrid(x=True, y=True, alpha=0.2)
        plot.setMenuEnabled(False)
        plot.hideButtons()
        plot.addLegend(offset=(-5, 5), labelTextSize="8pt", verSpacing=-6, brush=pg.mkBrush(*LEGEND_GROUND))
        return plot

    def _loss_plot(self) -> dict[str, pg.PlotDataItem]:
        plot = self._plot("Losses", "loss (log)", log=True)
        return {name: plot.plot([], [], pen=pg.mkPen(colour, width=1.5), name=name) for name, colour in LOSSES.items()}

    def _threshold_plot(self) -> tuple[dict[str, pg.PlotDataItem], tuple[pg.PlotDataItem, pg.PlotDataItem]]:
        plot = self._plot("Thresholds and the scores they keep", "score")
        plot.setYRange(0, 1)
        low, high = (plot.plot([], [], pen=pg.mkPen("#7f8fa6", width=0.5), connect="finite") for _ in KEPT)
        band = pg.FillBetweenItem(low, high, brush=pg.mkBrush(127, 143, 166, 70))
        plot.addItem(band)
        lines = {
            name: plot.plot([], [], pen=pg.mkPen(colour, width=1.5), name=title, connect="finite")
            for name, (title, colour) in THRESHOLDS.items()
        }
        return lines, (low, high)

    def _survivor_plot(self) -> dict[str, pg.PlotDataItem]:
        plot = self._plot("Predictions that survive, per frame", "predictions + 1 (log)", log=True)
        return {
            name: plot.plot([], [], pen=pg.mkPen(colour, width=1), fillLevel=0, brush=colour + "66", name=title)
            for name, (title, colour) in STAGES.items()
        }

    def clear(self) -> None:
        """Begins with empty plots."""
        self.losses.clear()
        self.thresholds.clear()
        self._draw()

    def follow(self, events: Sequence[Event]) -> None:
        """Adds what a batch of events tells."""
        losses = [event for event in events if isinstance(event, Losses)]
        thresholds = [event for event in events if isinstance(event, Thresholds)]
        self.losses.extend(losses)
        self.thresholds.extend(thresholds)
        if losses or thresholds:
            self._draw()

    def _draw(self) -> None:
        steps = [event.step for event in self.losses]
        for name, line in self._loss_lines.items():
            line.setData(steps, [getattr(event, name) or NOT_A_NUMBER for event in self.losses], connect="finite")
        steps = [event.step for event in self.thresholds]
        for name, line in self._threshold_lines.items():
            line.setData(steps, self._column(name))
        for name, line in zip(KEPT, self._kept, strict=True):
            # Where nothing is kept the band has no width, and lies at the threshold that nothing passed.
            kept = [getattr(event, name) for event in self.thresholds]
            line.setData(
                steps,
                [event.gamma_cls if one is None else one for event, one in zip(self.thresholds, kept, strict=True)],
            )
        for name, line in self._stage_lines.items():
            line.setData(steps, [value + 1 for value in self._column(name)])
        if self.thresholds:
            last = self.thresholds[-1]
            self.latest.setText(
                f"Step {last.step:,}: of {last.predictions:.0f} predictions a frame, {last.after_gamma:.1f} pass "
                f"gamma_cls, {last.after_quantile:.1f} the quantile, {last.after_matching:.1f} become pseudo-labels."
            )

    def _column(self, name: str) -> list[float]:
        values = [getattr(event, name) for event in self.thresholds]
        return [NOT_A_NUMBER if value is None else float(value) for value in values]

    def save_csv(self, path: Path) -> None:
        """Every plotted number, one line a step."""
        rows: dict[int, dict[str, Any]] = {}
        for event in (*self.losses, *self.thresholds):
            rows.setdefault(event.step, {}).update(asdict(event))
        names = list(dict.fromkeys(name for row in rows.values() for name in row))
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, fieldnames=names or ["step"])
            writer.writeheader()
            writer.writerows(rows[step] for step in sorted(rows))

    def save_png(self, path: Path) -> None:
        """The plots as they are."""
        ImageExporter(self.graphics.scene()).export(str(path))

    def _ask_csv(self) -> None:
        name, _ = QFileDialog.getSaveFileName(self, "Save the numbers", "curves.csv", "CSV (*.csv)")
        if name:
            with self._workspace.telling():
                self.save_csv(Path(name))
                self._workspace.tell(f"The numbers are in {name}.")

    def _ask_png(self) -> None:
        name, _ = QFileDialog.getSaveFileName(self, "Save the plots", "curves.png", "PNG (*.png)")
        if name:
            with self._workspace.telling():
                self.save_png(Path(name))
                self._workspace.tell(f"The plots are in {name}.")
