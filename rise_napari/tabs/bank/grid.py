"""The cut-outs of the instance bank in pages: click on one to show its frame, exclude some from the bank."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from qtpy.QtCore import QSize, Qt, QTimer, Signal
from qtpy.QtGui import QIcon, QKeyEvent
from qtpy.QtWidgets import (
    QAbstractItemView,
    QApplication,
    QComboBox,
    QHBoxLayout,
    QLabel,
    QListView,
    QListWidget,
    QListWidgetItem,
    QVBoxLayout,
    QWidget,
)

from rise_engine.project.project import Project
from rise_engine.project.records import BankEntry
from rise_engine.project.wording import number_of
from rise_napari.engine.background import run_in_background
from rise_napari.tabs.bank.thumbnails import SIDE, Thumbnail, pixmap, read_thumbnails
from rise_napari.tabs.tab import button
from rise_napari.workspace import Workspace

PAGE = 60
DELAY_MILLISECONDS = 300
"""Strokes often follow each other; the list is read again after the last one."""
ONE_ROW = SIDE + 34
EVERYTHING, EXCLUDED = "all", "excluded"


class _CutOuts(QListWidget):
    """A list that reports the space bar instead of selecting with it, and requests only one row of height."""

    space_pressed = Signal()

    def sizeHint(self) -> QSize:
        """One row. The layout's stretch adds the height that the preview below does not need."""
        return QSize(super().sizeHint().width(), ONE_ROW)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() == Qt.Key.Key_Space:
            self.space_pressed.emit()
        else:
            super().keyPressEvent(event)


class BankGrid(QWidget):
    """The list of cut-outs; it follows the project while it is visible."""

    changed = Signal()
    """A person excluded cut-outs or included them again."""

    def __init__(self, workspace: Workspace) -> None:
        super().__init__()
        self._workspace = workspace
        self._stale = True
        self._request = 0
        """Number of the last page that was requested; pages of earlier requests are dropped."""
        self.entries: list[BankEntry] = []
        self.page = 0
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addLayout(self._build_filter_row())
        layout.addWidget(self._build_list(), 1)
        layout.addLayout(self._build_button_row())
        self._build_timer()
        self._connect_signals()
        self._show_count()

    # -- construction -----------------------------------------------------------------------------------------------

    def _build_filter_row(self) -> QHBoxLayout:
        self.count = QLabel()
        self.show_only = QComboBox()
        self.show_only.setToolTip("Which cut-outs to show.")
        self.show_only.currentIndexChanged.connect(lambda _row: self._go_to_page(0))
        row = QHBoxLayout()
        row.addWidget(self.count, 1)
        row.addWidget(self.show_only)
        return row

    def _build_list(self) -> _CutOuts:
        self.list = _CutOuts()
        self.list.setViewMode(QListView.ViewMode.IconMode)
        self.list.setIconSize(QSize(SIDE, SIDE))
        self.list.setGridSize(QSize(SIDE + 10, SIDE + 26))
        self.list.setResizeMode(QListView.ResizeMode.Adjust)
        self.list.setMovement(QListView.Movement.Static)
        self.list.setUniformItemSizes(True)
        self.list.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
        self.list.setMinimumHeight(ONE_ROW)
        self.list.setToolTip(
            "Click: show the frame.  Ctrl or Shift + click: select several.  Space: exclude or include."
        )
        self.list.itemClicked.connect(self._clicked)
        self.list.itemSelectionChanged.connect(self._show_exclude)
        self.list.space_pressed.connect(self.toggle)
        return self.list

    def _build_button_row(self) -> QHBoxLayout:
        self.exclude = button(
            "Exclude", self.toggle, "Exclude the selected cut-outs from the bank, or include them again (Space)."
        )
        self.back = button("<", lambda: self._go_to_page(self.page - 1), "Previous page.")
        self.forth = button(">", lambda: self._go_to_page(self.page + 1), "Next page.")
        self.place = QLabel()
        self.place.setAlignment(Qt.AlignmentFlag.AlignCenter)
        for widget in (self.back, self.forth):
            widget.setFixedWidth(34)
        row = QHBoxLayout()
        row.addWidget(self.exclude)
        row.addStretch(1)
        for widget in (self.back, self.place, self.forth):
            row.addWidget(widget)
        return row

    def _build_timer(self) -> None:
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(DELAY_MILLISECONDS)
        self._timer.timeout.connect(self.fill)

    def _connect_signals(self) -> None:
        workspace = self._workspace
        for signal in (workspace.frames_changed, workspace.strokes_saved, workspace.instances_changed):
            signal.connect(self._mark_stale)
        workspace.project_changed.connect(self._clear)

    # -- contents ---------------------------------------------------------------------------------------------------

    def fill(self) -> None:
        """Reads the list again in a thread if it has changed."""
        project = self._workspace.project
        if project is None or not self._stale:
            return
        self._stale = False
        path = project.path

        def work() -> list[BankEntry]:
            with Project.open(path, read_only=True) as other:
                return other.annotations.bank_entries()

        run_in_background(self._workspace, work, done=lambda found: self._show_entries(path, found))

    def chosen(self) -> list[BankEntry]:
        """The selected cut-outs."""
        return [item.data(Qt.ItemDataRole.UserRole) for item in self.list.selectedItems()]

    def toggle(self) -> None:
        """Excludes the selected cut-outs, or includes them again if all are excluded. This is one undoable edit."""
        project, chosen = self._workspace.project, self.chosen()
        if project is None or not chosen or not self._workspace.writable:
            return
        exclude = not all(entry.excluded for entry in chosen)
        amount = number_of(len(chosen), "cut-out")
        words = f"excluded {amount} from the bank" if exclude else f"included {amount} in the bank again"
        with self._workspace.reporting_errors():
            with project.journal.edit(words):
                for entry in chosen:
                    project.annotations.set_bank_excluded(entry.instance, exclude)
            self._stale = True
            self.fill()
            self.changed.emit()

    # -- pages ------------------------------------------------------------------------------------------------------

    def shown_entries(self) -> list[BankEntry]:
        """The cut-outs that match the filter, on all pages."""
        wanted = self.show_only.currentData()
        if wanted in (None, EVERYTHING):
            return self.entries
        if wanted == EXCLUDED:
            return [entry for entry in self.entries if entry.excluded]
        return [entry for entry in self.entries if entry.category == wanted]

    @property
    def pages(self) -> int:
        """The number of pages, at least one."""
        return max(1, -(-len(self.shown_entries()) // PAGE))

    def _show_entries(self, path: Path, found: list[BankEntry]) -> None:
        project = self._workspace.project
        if project is None or project.path != path:
            return
        self.entries = found
        wanted = self.show_only.currentData()
        self.show_only.blockSignals(True)
        self.show_only.clear()
        self.show_only.addItem("All", EVERYTHING)
        for category in self._workspace.categories:
            self.show_only.addItem(category.name, category.id)
        self.show_only.addItem("Excluded", EXCLUDED)
        self.show_only.setCurrentIndex(max(0, self.show_only.findData(wanted)))
        self.show_only.blockSignals(False)
        self._go_to_page(self.page)

    def _go_to_page(self, page: int) -> None:
        self.page = max(0, min(page, self.pages - 1))
        self._show_count()
        project = self._workspace.project
        if project is None:
            return
        wanted = self.shown_entries()[self.page * PAGE : (self.page + 1) * PAGE]
        self._request += 1
        path, request = project.path, self._request
        run_in_background(
            self._workspace, lambda: read_thumbnails(path, wanted), done=lambda found: self._show_page(request, found)
        )

    def _show_page(self, request: int, found: Sequence[Thumbnail]) -> None:
        if request != self._request:
            return
        chosen = {entry.instance for entry in self.chosen()}
        names = {category.id: category.name for category in self._workspace.categories}
        self.list.clear()
        for one in found:
            entry = one.entry
            item = QListWidgetItem(QIcon(pixmap(one.image)), names.get(entry.category, "?"))
            item.setData(Qt.ItemDataRole.UserRole, entry)
            out = ", excluded from the bank" if entry.excluded else ""
            item.setToolTip(f"{names.get(entry.category, '?')} of {entry.frame_name}{out}")
            self.list.addItem(item)
            item.setSelected(entry.instance in chosen)
        self._show_exclude()

    def _show_count(self) -> None:
        excluded = sum(entry.excluded for entry in self.entries)
        out = f", {excluded:,} excluded" if excluded else ""
        self.count.setText(f"{len(self.entries):,} cut-outs{out}")
        self.place.setText(f"{self.page + 1} / {self.pages}")
        self.back.setEnabled(self.page > 0)
        self.forth.setEnabled(self.page + 1 < self.pages)
        self._show_exclude()

    def _show_exclude(self) -> None:
        chosen = self.chosen()
        out = bool(chosen) and all(entry.excluded for entry in chosen)
        self.exclude.setText("Include" if out else "Exclude")
        self.exclude.setEnabled(bool(chosen) and self._workspace.writable)

    def _clicked(self, item: QListWidgetItem) -> None:
        if QApplication.keyboardModifiers() == Qt.KeyboardModifier.NoModifier:
            entry = item.data(Qt.ItemDataRole.UserRole)
            self._workspace.show(entry.frame)
            self._workspace.select(entry.instance)

    def _mark_stale(self, _frame: object = None) -> None:
        self._stale = True
        if self.isVisible():
            self._timer.start()

    def _clear(self) -> None:
        self.list.clear()
        self.entries, self.page, self._stale = [], 0, True
        self._request += 1
        self._show_count()
