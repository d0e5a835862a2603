"""Draw the objects of a frame, say what they are, and say when the frame is done."""

from __future__ import annotations

from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QAbstractItemView,
    QComboBox,
    QGridLayout,
    QHBoxLayout,
    QHeaderView,
    QInputDialog,
    QLabel,
    QTableWidget,
    QTableWidgetItem,
)

from rise_engine.project.records import FrameState
from rise_napari.tabs.tab import ROW_HEIGHT, Tab, button
from rise_napari.tools.toolbox import Toolbox
from rise_napari.workspace import Workspace

COLUMNS = ("#", "category", "source", "score")
GOOD_START = 5
CATEGORY_KEYS = 9
"""The first categories have keys: Ctrl + 1 to Ctrl + 9, for 1 to 7 alone are napari's tools."""


class AnnotateTab(Tab):
    """The annotations of the frame in view, and what to do with the frame."""

    name = "Annotate"

    def __init__(self, workspace: Workspace, tools: Toolbox) -> None:
        super().__init__(workspace)
        self._tools = tools
        self.frame_label = QLabel()
        self.frame_label.setStyleSheet("font-weight: bold")
        self.category = QComboBox()
        self.category.setToolTip(
            "The category of new instances; with an instance selected, its category. Ctrl + 1 to 9 choose one."
        )
        self.category.activated.connect(self._category_chosen)
        naming = QHBoxLayout()
        naming.addWidget(QLabel("Category"))
        naming.addWidget(self.category, 1)
        self.add_category = button("Add…", self._ask_category, "Add a category")
        self.rename_category = button("Rename…", self._ask_name, "Give this category another name")
        naming.addWidget(self.add_category)
        naming.addWidget(self.rename_category)
        self.table = QTableWidget(0, len(COLUMNS))
        self.table.setHorizontalHeaderLabels(COLUMNS)
        self.table.verticalHeader().hide()
        self.table.verticalHeader().setDefaultSectionSize(ROW_HEIGHT)
        # Tab goes on to the next button, the arrows go through the rows.
        self.table.setTabKeyNavigation(False)
        self.table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.table.horizontalHeader().setSectionResizeMode(1, QHeaderView.ResizeMode.Stretch)
        self.table.itemSelectionChanged.connect(self._row_chosen)
        self.new = button("New  (N)", workspace.new_instance_requested.emit, "The next stroke starts a new instance")
        self.suggest = button(
            "Suggest  (S)",
            tools.suggest,
            "Click on an object or drag a box around it: a mask is proposed. Enter takes it, Esc drops it, S shows "
            "another.",
        )
        self.copy = button(
            "Copy  (C)", tools.editor.copy_from_previous, "Copy the instances of the frame before into this one"
        )
        self.remove = button("Delete  (Q)", self.delete_selected, "Delete the selected instances")
        self.merge = button("Merge  (Y)", self.merge_selected, "Make one instance of those selected in the table")
        self.split = button(
            "Split  (U)", self.split_selected, "Make an instance of each separate part of the selected one"
        )
        self.cut = button("Cut  (T)", tools.cut, "Draw a line through an instance to cut it in two")
        self.undo = button("Undo", workspace.undo, "Take the last action back, whichever frame it was on (Ctrl+Z)")
        self.redo = button("Redo", workspace.redo, "Do it again (Ctrl+Shift+Z)")
        self.suggest.setCheckable(True)
        self.cut.setCheckable(True)
        editing = QGridLayout()
        editing.setSpacing(6)
        for index, widget in enumerate((self.new, self.suggest, self.copy, self.remove, self.merge, self.split)):
            editing.addWidget(widget, index // 3, index % 3)
        for column, widget in enumerate((self.cut, self.undo, self.redo)):
            editing.addWidget(widget, 2, column)
        self.tool_state = QLabel()
        self.tool_state.setWordWrap(True)
        self.tool_state.setMargin(6)
        self.tool_state.setStyleSheet("background: rgba(224, 176, 58, 70); border-radius: 4px")
        self.done = button(
            "Done, next  (G)", self.mark_done, "Every object is drawn: count the frame as labelled", tall=True
        )
        self.empty = button("Empty, next  (H)", self.mark_empty, "There is no object in this frame", tall=True)
        self.skip = button("Skip, next  (K)", self.mark_skipped, "Leave this frame out", tall=True)
        self.jump = button("Next unlabelled  (J)", workspace.next_unlabelled, "Go on without a mark", tall=True)
        marks = QGridLayout()
        for index, widget in enumerate((self.done, self.empty, self.skip, self.jump)):
            marks.addWidget(widget, index // 2, index % 2)
        self.body.addWidget(self.frame_label)
        self.body.addLayout(naming)
        self.body.addLayout(editing)
        self.body.addWidget(self.tool_state)
        self.body.addWidget(self.table, 1)
        self.body.addLayout(marks)
        for signal in (workspace.project_changed, workspace.frames_changed, workspace.frame_changed):
            signal.connect(self.refresh)
        workspace.categories_changed.connect(self.refresh)
        workspace.instances_changed.connect(self.refresh)
        workspace.strokes_saved.connect(self.refresh)
        workspace.instance_selected.connect(self._select_row)
        tools.changed.connect(self._show_tool)
        self._show_tool()
        self.refresh()

    def advice(self) -> str:
        workspace = self.workspace
        if workspace.frame is None:
            return "Open a folder of images in the Project tab first."
        if not workspace.writable:
            return "This project is read-only here, so nothing can be drawn."
        labelled = workspace.count(FrameState.LABELLED, FrameState.REVIEWED)
        draw = (
            "Press S, click on an object or drag a box around it, and take the outline with Enter; or N, and draw it "
            "with the brush (2) or the polygon tool (3)."
        )
        if labelled < GOOD_START:
            return f"{draw} {GOOD_START} frames are a good start: {labelled} so far."
        return f"{labelled} frames are labelled: go to the Train tab, or draw some more."

    def finished(self) -> bool:
        return self.workspace.count(FrameState.LABELLED, FrameState.REVIEWED) >= GOOD_START

    def refresh(self) -> None:
        super().refresh()
        workspace = self.workspace
        frame = workspace.frame
        self.frame_label.setText(f"{frame.name}   ({frame.state})" if frame is not None else "No frame in view")
        editing = (self.new, self.suggest, self.copy, self.remove, self.merge, self.split, self.cut)
        for widget in (*editing, self.undo, self.redo, self.done, self.empty, self.skip, self.add_category):
            widget.setEnabled(frame is not None and workspace.writable)
        self.jump.setEnabled(frame is not None)
        names = {category.id: category.name for category in workspace.categories}
        self.category.clear()
        for key, (number, name) in enumerate(names.items(), start=1):
            self.category.addItem(name, number)
            if key <= CATEGORY_KEYS:
                self.category.setItemData(key - 1, f"Ctrl + {key}", Qt.ItemDataRole.ToolTipRole)
        self.rename_category.setEnabled(bool(names) and workspace.writable)
        instances = workspace.instances()
        self.table.blockSignals(True)
        self.table.setRowCount(len(instances))
        for row, instance in enumerate(instances):
            score = f"{instance.score:.2f}" if instance.score is not None else ""
            for column, text in enumerate((str(row + 1), names.get(instance.category, "?"), instance.source, score)):
                item = QTableWidgetItem(text)
                item.setData(Qt.ItemDataRole.UserRole, instance.id)
                self.table.setItem(row, column, item)
        self.table.setColumnWidth(0, 36)
        self.table.blockSignals(False)
        self._select_row(workspace.selected)

    def _select_row(self, instance_id: int | None) -> None:
        categories = {instance.id: instance.category for instance in self.workspace.instances()}
        self.category.setCurrentIndex(self.category.findData(categories.get(instance_id, self.workspace.category)))
        self.table.blockSignals(True)
        self.table.clearSelection()
        for row in range(self.table.rowCount()):
            item = self.table.item(row, 0)
            if instance_id is not None and item is not None and item.data(Qt.ItemDataRole.UserRole) == instance_id:
                self.table.selectRow(row)
        self.table.blockSignals(False)

    def _selected_ids(self) -> list[int]:
        rows = sorted({index.row() for index in self.table.selectedIndexes()})
        items = [self.table.item(row, 0) for row in rows]
        return [item.data(Qt.ItemDataRole.UserRole) for item in items if item is not None]

    def _chosen_ids(self) -> list[int]:
        """The instances selected in the table, else the one in hand on the canvas."""
        in_hand = self.workspace.selected
        return self._selected_ids() or ([in_hand] if in_hand is not None else [])

    def _row_chosen(self) -> None:
        ids = self._selected_ids()
        if len(ids) == 1:
            self.workspace.select(ids[0])

    def _category_chosen(self, row: int) -> None:
        category = self.category.itemData(row)
        if category is None:
            return
        self.workspace.category = category
        self._tools.editor.set_category(self._chosen_ids(), category)

    def choose_category(self, place: int) -> None:
        """The category at ``place`` (from 0) for new instances, and for those selected."""
        categories = self.workspace.categories
        if place < len(categories):
            chosen = categories[place]
            self._category_chosen(self.category.findData(chosen.id))
            self._select_row(self.workspace.selected)
            self.workspace.notify(f"Category: {chosen.name}")

    def _ask_category(self) -> None:
        name, accepted = QInputDialog.getText(self, "Add a category", "What is it called?")
        if accepted:
            self.workspace.add_category(name)

    def _ask_name(self) -> None:
        number = self.category.currentData()
        known = next((one for one in self.workspace.categories if one.id == number), None)
        if known is None:
            return
        name, accepted = QInputDialog.getText(self, "Rename a category", "What is it called?", text=known.name)
        if accepted:
            self._tools.editor.rename_category(known.id, name)

    def _show_tool(self) -> None:
        self.suggest.setChecked(self._tools.prompt.active)
        self.cut.setChecked(self._tools.cut_tool.active)
        self.tool_state.setText(self._tools.state())
        self.tool_state.setVisible(bool(self.tool_state.text()))

    # -- actions, also behind keys ----------------------------------------------------------------------------------

    def delete_selected(self) -> None:
        """Deletes the instances selected in the table or in hand on the canvas."""
        self.workspace.delete(self._chosen_ids())

    def merge_selected(self) -> None:
        """Makes one instance of those selected in the table."""
        self._tools.editor.merge(self._chosen_ids())

    def split_selected(self) -> None:
        """Makes an instance of each separate part of the selected one."""
        chosen = self._chosen_ids()
        self._tools.editor.split(chosen[0] if len(chosen) == 1 else None)

    def mark_done(self) -> None:
        """Counts the frame as labelled and goes on."""
        if not self.workspace.instances_with_strokes():
            self.workspace.notify(
                "Nothing is drawn in this frame: press H (Empty) if there is no object in it.", "warning"
            )
            return
        frame = self.workspace.frame
        state = FrameState.REVIEWED if frame is not None and frame.state is FrameState.REVIEWED else FrameState.LABELLED
        self._mark(state)

    def mark_empty(self) -> None:
        """Says that there is no object in the frame and goes on."""
        if self.workspace.instances_with_strokes():
            self.workspace.notify("There are instances in this frame: delete them first, or press G (Done).", "warning")
            return
        self._mark(FrameState.LABELLED)

    def mark_skipped(self) -> None:
        """Leaves the frame out and goes on."""
        self._mark(FrameState.SKIPPED)

    def _mark(self, state: FrameState) -> None:
        if self.workspace.mark(state):
            self.workspace.next_unlabelled()
