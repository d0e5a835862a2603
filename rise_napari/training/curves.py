"""Live plots of a training: losses, pseudo-label thresholds, predictions after each filter, and hold-out scores."""

from __future__ import annotations

import csv
import os
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import qtpy  # first, so that pyqtgraph takes the binding that napari runs on
from numpy.typing import NDArray
from qtpy.QtCore import QEvent, QSize
from qtpy.QtGui import QImage, QPainter, QPalette, QShowEvent
from qtpy.QtWidgets import QFileDialog, QHBoxLayout, QLabel, QVBoxLayout, QWidget

os.environ.setdefault("PYQTGRAPH_QT_LIB", qtpy.API_NAME)

import pyqtgraph as pg

from rise_engine.training.events import Event, HoldoutScore, Losses, PseudoLabelScore, Thresholds, ToBeat
from rise_napari.tabs.tab import button
from rise_napari.training.event_columns import EventColumns
from rise_napari.workspace import Workspace

# For each field: its full name, its short name above the plot, and its colour.
LOSSES = {
    "total": ("total", "total", "#9aa4b2"),
    "supervised": ("supervised", "supervised", "#4c9be8"),
    "unsupervised": ("unsupervised", "unsupervised", "#f2a541"),
    "association": ("association", "association", "#b07bd8"),
}
THRESHOLDS = {
    "gamma_cls": ("class threshold", "class", "#e26a6a"),
    "quantile_cut": ("quantile cut", "quantile", "#f2a541"),
    "gamma_mask": ("mask threshold", "mask", "#5fae5f"),
}
STAGES = {
    "predictions": ("all", "all", "#7f8fa6"),
    "after_gamma": ("above class threshold", "class", "#4c9be8"),
    "after_quantile": ("above quantile cut", "quantile", "#f2a541"),
    "after_matching": ("after matching", "matching", "#5fae5f"),
}
HOLDOUT = {"ap": ("mask AP", "AP", "#4c9be8"), "ap50": ("mask AP50", "AP50", "#5fae5f")}
QUALITY = {
    "precision": ("pseudo-label precision", "precision", "#f2a541"),
    "recall": ("pseudo-label recall", "recall", "#b07bd8"),
}
Curve = tuple[str, str, str]
SCORE_RANGE = ("lowest_kept", "highest_kept")
HEIGHT = 240
POINTS_SHOWN = 2000
IMAGE_SCALE = 2


class Curves(QWidget):
    """Four plots of the current training; a line of text shows the values at the step under the mouse."""

    def __init__(self, workspace: Workspace) -> None:
        super().__init__()
        self._workspace = workspace
        self._stale = False
        self.losses = EventColumns(Losses)
        self.thresholds = EventColumns(Thresholds)
        self.scores = EventColumns(HoldoutScore)
        self.quality = EventColumns(PseudoLabelScore)
        self._to_beat: ToBeat | None = None
        self.graphics = pg.GraphicsLayoutWidget()
        self.graphics.setBackground(None)
        self._plots: list[pg.PlotItem] = []
        self._loss_lines = self._lines(self._plot("losses", LOSSES, log=True), LOSSES)
        threshold_plot = self._plot("thresholds", THRESHOLDS)
        threshold_plot.setYRange(0, 1)
        self._score_band = self._band(threshold_plot)
        self._threshold_lines = self._lines(threshold_plot, THRESHOLDS)
        stage_plot = self._plot("predictions per frame (log scale)", STAGES, log=True)
        stage_plot.setToolTip("One is added to each value, so that zero is visible on the logarithmic scale")
        self._stage_lines = self._lines(stage_plot, STAGES, filled=True)
        holdout_plot = self._plot("hold-out %", HOLDOUT | QUALITY)
        self._score_lines = self._lines(holdout_plot, HOLDOUT, dots=True)
        self._quality_lines = self._lines(holdout_plot, QUALITY, dots=True)
        self._beat_line = pg.InfiniteLine(angle=0, pen=pg.mkPen("#e26a6a", width=1, style=pg.QtCore.Qt.DashLine))
        self._beat_line.hide()
        holdout_plot.addItem(self._beat_line)
        self._cursors = [self._cursor(plot) for plot in self._plots]
        self.graphics.scene().sigMouseMoved.connect(self._hover)
        self.latest = QLabel("The curves start with the first training step.")
        self.latest.setWordWrap(True)
        row = QHBoxLayout()
        row.addWidget(self.latest, 1)
        row.addWidget(
            button(
                "Reset zoom", self.reset_zoom, "Show all steps again. To zoom, drag or turn the mouse wheel on a plot"
            )
        )
        row.addWidget(button("Save plot…", self._ask_png, "Save the plots as a PNG file"))
        row.addWidget(button("Save CSV…", self._ask_csv, "Save the plotted values as a CSV file"))
        layout = QVBoxLayout(self)
        layout.setContentsMargins(4, 4, 4, 4)
        self.graphics.setMinimumHeight(120)
        layout.addWidget(self.graphics, 1)
        layout.addLayout(row)
        self.setMinimumHeight(170)
        workspace.training.events_received.connect(self.follow)

    def sizeHint(self) -> QSize:
        """A low height, because the canvas above needs the space."""
        return QSize(super().sizeHint().width(), HEIGHT)

    # -- plots ------------------------------------------------------------------------------------------------------

    def _plot(self, title: str, which: dict[str, Curve], *, log: bool = False) -> pg.PlotItem:
        plot = self.graphics.addPlot(axisItems={"left": _DecadeAxis("left")} if log else {})
        # Names in their colours above the plot: a legend inside would cover the curves of a low dock.
        names = " ".join(f"<span style='color: {colour}'>{short}</span>" for _, short, colour in which.values())
        plot.setTitle(f"<b>{title}</b>&nbsp; {names}", size="8pt")
        plot.setLogMode(y=log)
        plot.showGrid(x=True, y=True, alpha=0.2)
        plot.setMenuEnabled(False)
        plot.hideButtons()
        if self._plots:
            plot.setXLink(self._plots[0])
        self._plots.append(plot)
        return plot

    def _lines(
        self, plot: pg.PlotItem, which: dict[str, Curve], *, filled: bool = False, dots: bool = False
    ) -> dict[str, pg.PlotDataItem]:
        lines = {}
        for name, (_, _, colour) in which.items():
            style: dict[str, Any] = {"fillLevel": 0, "brush": colour + "44"} if filled else {}
            if dots:
                style = {"symbol": "o", "symbolSize": 5, "symbolBrush": colour, "symbolPen": None}
            lines[name] = plot.plot([], [], pen=pg.mkPen(colour, width=1.5), connect="finite", **style)
        return lines

    def _band(self, plot: pg.PlotItem) -> tuple[pg.PlotDataItem, ...]:
        """The band between the lowest and the highest score of the pseudo-labels."""
        edges = tuple(plot.plot([], [], pen=pg.mkPen("#7f8fa6", width=0.5), connect="finite") for _ in SCORE_RANGE)
        plot.addItem(pg.FillBetweenItem(*edges, brush=pg.mkBrush(127, 143, 166, 70)))
        return edges

    def _cursor(self, plot: pg.PlotItem) -> pg.InfiniteLine:
        line = pg.InfiniteLine(angle=90, pen=pg.mkPen("#7f8fa6", width=1))
        line.hide()
        plot.addItem(line, ignoreBounds=True)
        return line

    def reset_zoom(self) -> None:
        """Shows all steps in every plot."""
        for plot in self._plots:
            plot.enableAutoRange()
        self._plots[1].setYRange(0, 1)

    # -- the training -----------------------------------------------------------------------------------------------

    def clear(self) -> None:
        """Removes all curves."""
        for columns in (self.losses, self.thresholds, self.scores, self.quality):
            columns.clear()
        self._to_beat = None
        self._draw()
        self.latest.setText("The curves start with the first training step.")

    def follow(self, events: Sequence[Event]) -> None:
        """Adds the values of a batch of events."""
        for event in events:
            match event:
                case Losses():
                    self.losses.append(event)
                case Thresholds():
                    self.thresholds.append(event)
                case HoldoutScore():
                    self.scores.append(event)
                case PseudoLabelScore():
                    self.quality.append(event)
                case ToBeat():
                    self._to_beat = event
                case _:
                    continue
            self._stale = True
        if self._stale and self.isVisible():
            self._draw()

    def changeEvent(self, event: QEvent) -> None:
        """Redraws the cached background of the plots when the theme changes."""
        super().changeEvent(event)
        if event.type() in (QEvent.Type.StyleChange, QEvent.Type.PaletteChange):
            self.graphics.resetCachedContent()
            self.graphics.viewport().update()

    def showEvent(self, event: QShowEvent) -> None:
        """Draws the values that arrived while the plots were hidden."""
        super().showEvent(event)
        if self._stale:
            self._draw()

    def _draw(self) -> None:
        self._stale = False
        self._set(self._loss_lines, self.losses, positive=True)
        self._set(self._threshold_lines, self.thresholds)
        self._set(self._stage_lines, self.thresholds, add=1.0)
        self._set(self._score_lines, self.scores)
        self._set(self._quality_lines, self.quality, times=100.0)
        rows, steps = _thinned(self.thresholds.steps)
        for name, line in zip(SCORE_RANGE, self._score_band, strict=True):
            # Without pseudo-labels the band has no width and follows the class threshold.
            kept = self.thresholds.column(name)[rows]
            line.setData(steps, np.where(np.isnan(kept), self.thresholds.column("gamma_cls")[rows], kept))
        self._beat_line.setVisible(self._to_beat is not None)
        if self._to_beat is not None:
            self._beat_line.setValue(self._to_beat.ap)
        if len(self.thresholds):
            self.latest.setText(self._describe_filters(self.thresholds[-1]))

    def _set(
        self,
        lines: dict[str, pg.PlotDataItem],
        columns: EventColumns[Any],
        *,
        positive: bool = False,
        add: float = 0.0,
        times: float = 1.0,
    ) -> None:
        rows, steps = _thinned(columns.steps)
        for name, line in lines.items():
            values = columns.column(name)[rows] * times + add
            if positive:
                values = np.where(values > 0, values, np.nan)
            line.setData(steps, values)

    @staticmethod
    def _describe_filters(event: Thresholds) -> str:
        return (
            f"Step {event.step:,}: of {event.predictions:.0f} predictions per frame, {event.after_gamma:.1f} pass the "
            f"class threshold, {event.after_quantile:.1f} the quantile cut, {event.after_matching:.1f} become "
            "pseudo-labels."
        )

    # -- the mouse --------------------------------------------------------------------------------------------------

    def _hover(self, position: Any) -> None:
        plot = next((one for one in self._plots if one.sceneBoundingRect().contains(position)), None)
        for cursor in self._cursors:
            cursor.setVisible(plot is not None)
        if plot is None:
            if len(self.thresholds):
                self.latest.setText(self._describe_filters(self.thresholds[-1]))
            return
        step = round(plot.getViewBox().mapSceneToView(position).x())
        for cursor in self._cursors:
            cursor.setValue(step)
        self.latest.setText(self.describe_step(step))

    def describe_step(self, step: int) -> str:
        """The plotted values at the recorded step that is nearest to ``step``."""
        values = []
        for columns, names in (
            (self.losses, LOSSES),
            (self.thresholds, THRESHOLDS),
            (self.thresholds, STAGES),
            (self.scores, HOLDOUT),
            (self.quality, QUALITY),
        ):
            event = columns.nearest(step)
            if event is not None:
                named = {title: getattr(event, name) for name, (title, _, _) in names.items()}
                values += [f"{title} {value:.3g}" for title, value in named.items() if value is not None]
        return f"Step {step:,}: {', '.join(values)}." if values else "Nothing is plotted yet."

    # -- files ------------------------------------------------------------------------------------------------------

    def save_csv(self, path: Path) -> None:
        """Saves the plotted values, one row per step. Raises OSError when the file cannot be written."""
        rows: dict[int, dict[str, Any]] = {}
        for event in (*self.losses, *self.thresholds, *self.scores, *self.quality):
            rows.setdefault(event.step, {}).update(asdict(event))
        names = list(dict.fromkeys(name for row in rows.values() for name in row))
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, fieldnames=names or ["step"])
            writer.writeheader()
            writer.writerows(rows[step] for step in sorted(rows))

    def save_png(self, path: Path) -> None:
        """Saves the plots on the background of the window. Raises OSError when the file cannot be written."""
        self._draw()
        for cursor in self._cursors:
            cursor.hide()
        # Not with pyqtgraph's exporter, which has no background and draws the thin grid with heavy lines.
        image = QImage(self.graphics.size() * IMAGE_SCALE, QImage.Format.Format_RGB32)
        image.fill(self.palette().color(QPalette.ColorRole.Window))
        painter = QPainter(image)
        self.graphics.render(painter)
        painter.end()
        if not image.save(str(path)):
            raise OSError(f"{path} cannot be written. Choose a writable folder and a name that ends in .png.")

    def _ask_csv(self) -> None:
        name, _ = QFileDialog.getSaveFileName(self, "Save the values", "curves.csv", "CSV (*.csv)")
        if name:
            with self._workspace.reporting_errors():
                self.save_csv(Path(name))
                self._workspace.notify(f"The values are saved in {name}.")

    def _ask_png(self) -> None:
        name, _ = QFileDialog.getSaveFileName(self, "Save the plots", "curves.png", "PNG (*.png)")
        if name:
            with self._workspace.reporting_errors():
                self.save_png(Path(name))
                self._workspace.notify(f"The plots are saved in {name}.")


class _DecadeAxis(pg.AxisItem):  # type: ignore[misc]
    """A logarithmic axis for a low plot: powers of ten, and also twos and fives when only one power is visible."""

    def logTickValues(
        self, minVal: float, maxVal: float, size: float, stdTicks: object
    ) -> list[tuple[float, list[float]]]:
        """The ticks; those of pyqtgraph would overlap."""
        steps = np.arange(np.floor(minVal), np.ceil(maxVal) + 1)
        if np.count_nonzero((steps >= minVal) & (steps <= maxVal)) < 2:
            steps = np.concatenate([steps + np.log10(factor) for factor in (1, 2, 5)])
        return [(1.0, sorted(float(step) for step in steps if minVal <= step <= maxVal))]


def _thinned(steps: NDArray[np.float64]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """At most ``POINTS_SHOWN`` rows and their steps, so that a long training is drawn as fast as a short one."""
    rows = np.arange(len(steps))
    if len(steps) > POINTS_SHOWN:
        rows = np.unique(np.linspace(0, len(steps) - 1, POINTS_SHOWN).astype(np.int64))
    return rows, steps[rows]
