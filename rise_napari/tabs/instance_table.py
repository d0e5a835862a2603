"""The table of instances in the Annotate and Review tabs: one row per instance, selected by the instance's id."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QAbstractItemView, QHeaderView, QTableWidget, QTableWidgetItem
from superqt.utils import signals_blocked

ROW_HEIGHT = 25
"""Pixels; low, so that a frame with many instances fits."""

Row = tuple[int | None, Sequence[str]]
"""The id of an instance and the texts of its cells."""


class InstanceTable(QTableWidget):
    """A read-only table. Its rows are instances."""

    def __init__(self, columns: Sequence[str], *, widths: dict[int, int]) -> None:
        """``columns`` are the headings; ``widths`` gives the width of some columns in pixels. Column 1 stretches."""
        super().__init__(0, len(columns))
        self._widths = widths
        self.setHorizontalHeaderLabels(list(columns))
        self.verticalHeader().hide()
        self.verticalHeader().setDefaultSectionSize(ROW_HEIGHT)
        # The Tab key moves to the next button. The arrow keys move through the rows.
        self.setTabKeyNavigation(False)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.horizontalHeader().setSectionResizeMode(1, QHeaderView.ResizeMode.Stretch)

    def show_rows(self, rows: Sequence[Row]) -> None:
        """Replaces the rows and clears the selection, without emitting a signal."""
        with signals_blocked(self):
            self.setRowCount(len(rows))
            for row, (instance_id, texts) in enumerate(rows):
                for column, text in enumerate(texts):
                    item = QTableWidgetItem(text)
                    item.setData(Qt.ItemDataRole.UserRole, instance_id)
                    self.setItem(row, column, item)
            self.clearSelection()
            for column, width in self._widths.items():
                self.setColumnWidth(column, width)

    def selected_ids(self) -> list[int]:
        """The ids of the selected instances, from top to bottom."""
        rows = sorted({index.row() for index in self.selectedIndexes()})
        items = [self.item(row, 0) for row in rows]
        return [item.data(Qt.ItemDataRole.UserRole) for item in items if item is not None]

    def select_ids(self, ids: Collection[int]) -> None:
        """Selects these instances and no others."""
        self.clearSelection()
        mode = self.selectionMode()
        self.setSelectionMode(QAbstractItemView.SelectionMode.MultiSelection)
        for row in range(self.rowCount()):
            item = self.item(row, 0)
            if item is not None and item.data(Qt.ItemDataRole.UserRole) in ids:
                self.selectRow(row)
        self.setSelectionMode(mode)
