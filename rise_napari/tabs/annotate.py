"""The Annotate tab: draw the instances of a frame, give each a category, and mark the frame as done."""

from __future__ import annotations

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QComboBox, QGridLayout, QHBoxLayout, QInputDialog, QLabel
from superqt.utils import signals_blocked

from rise_engine.project.records import ANNOTATED_STATES, FrameState
from rise_napari.tabs import CATEGORY_KEYS
from rise_napari.tabs.instance_table import InstanceTable
from rise_napari.tabs.tab import NO_PROJECT, Tab, button
from rise_napari.tools.toolbox import Toolbox
from rise_napari.workspace import Workspace

COLUMNS = ("#", "Category", "Source", "Score")
GOOD_START = 5


class AnnotateTab(Tab):
    """The annotations of the frame in view, and the buttons that edit them and mark the frame."""

    name = "Annotate"

    def __init__(self, workspace: Workspace, tools: Toolbox) -> None:
        super().__init__(workspace)
        self._tools = tools
        self._build_frame_label()
        self._build_category_row()
        self._build_editing_buttons()
        self._build_tool_state()
        self._build_table()
        self._build_frame_buttons()
        self._connect_signals()
        self._show_tool()
        self.refresh()

    # -- construction -----------------------------------------------------------------------------------------------

    def _build_frame_label(self) -> None:
        self.frame_label = QLabel()
        self.frame_label.setStyleSheet("font-weight: bold")
        self.body.addWidget(self.frame_label)

    def _build_category_row(self) -> None:
        self.category = QComboBox()
        self.category.setToolTip(
            "The category of new instances, and of the selected instance. Ctrl + 1 to 9 choose a category."
        )
        self.category.activated.connect(self._category_chosen)
        self.add_category = button("Add…", self._ask_category, "Add a category.")
        self.rename_category = button("Rename…", self._ask_name, "Rename this category.")
        row = QHBoxLayout()
        row.addWidget(QLabel("Category"))
        row.addWidget(self.category, 1)
        row.addWidget(self.add_category)
        row.addWidget(self.rename_category)
        self.body.addLayout(row)

    def _build_editing_buttons(self) -> None:
        workspace, tools = self.workspace, self._tools
        self.new = button(
            "New  (N)", workspace.new_instance_requested.emit, "Start a new instance with the next stroke."
        )
        self.suggest = button(
            "Suggest  (S)",
            tools.suggest,
            "Click on an object or drag a box around it to get a mask. Enter accepts the mask, Esc discards it, "
            "S shows another one.",
        )
        self.copy = button(
            "Copy  (C)", tools.editor.copy_from_previous, "Copy the instances of the previous frame to this frame."
        )
        self.remove = button("Delete  (Q)", self.delete_selected, "Delete the selected instances.")
        self.merge = button(
            "Merge  (Y)", self.merge_selected, "Merge the instances selected in the table into one instance."
        )
        self.split = button(
            "Split  (U)", self.split_selected, "Split the selected instance: each separate part becomes an instance."
        )
        self.cut = button("Cut  (T)", tools.cut, "Draw a line through an instance to cut it in two.")
        self.undo = button("Undo", workspace.undo, "Undo the last action, on whichever frame it was (Ctrl + Z).")
        self.redo = button("Redo", workspace.redo, "Redo the action that was undone (Ctrl + Shift + Z).")
        self.suggest.setCheckable(True)
        self.cut.setCheckable(True)
        self._editing = (self.new, self.suggest, self.copy, self.remove, self.merge, self.split, self.cut)
        grid = QGridLayout()
        grid.setSpacing(6)
        for index, widget in enumerate((*self._editing, self.undo, self.redo)):
            grid.addWidget(widget, index // 3, index % 3)
        self.body.addLayout(grid)

    def _build_tool_state(self) -> None:
        self.tool_state = QLabel()
        self.tool_state.setWordWrap(True)
        self.tool_state.setMargin(6)
        self.tool_state.setStyleSheet("background: rgba(224, 176, 58, 70); border-radius: 4px")
        self.body.addWidget(self.tool_state)

    def _build_table(self) -> None:
        self.table = InstanceTable(COLUMNS, widths={0: 36})
        self.table.itemSelectionChanged.connect(self._row_chosen)
        self.body.addWidget(self.table, 1)

    def _build_frame_buttons(self) -> None:
        self.done = button(
            "Mark done, next  (G)",
            self.mark_done,
            "Mark the frame as labelled when every object is drawn, and go to the next unlabelled frame.",
            tall=True,
        )
        self.empty = button(
            "Mark empty, next  (H)",
            self.mark_empty,
            "Mark the frame as labelled without any object, and go to the next unlabelled frame.",
            tall=True,
        )
        self.skip = button(
            "Skip, next  (K)",
            self.mark_skipped,
            "Exclude this frame from training, and go to the next unlabelled frame.",
            tall=True,
        )
        self.jump = button(
            "Next unlabelled  (J)",
            self.workspace.next_unlabelled,
            "Go to the next unlabelled frame and leave this one unchanged.",
            tall=True,
        )
        grid = QGridLayout()
        for index, widget in enumerate((self.done, self.empty, self.skip, self.jump)):
            grid.addWidget(widget, index // 2, index % 2)
        self.body.addLayout(grid)

    def _connect_signals(self) -> None:
        workspace = self.workspace
        for signal in (
            workspace.project_changed,
            workspace.frames_changed,
            workspace.frame_changed,
            workspace.categories_changed,
            workspace.instances_changed,
            workspace.strokes_saved,
        ):
            signal.connect(self.refresh)
        workspace.instance_selected.connect(self._select_row)
        self._tools.changed.connect(self._show_tool)

    # -- what the tab shows -----------------------------------------------------------------------------------------

    def advice(self) -> str:
        workspace = self.workspace
        if workspace.frame is None:
            return NO_PROJECT
        if not workspace.writable:
            return "This project is read-only here. You cannot draw in it."
        labelled = workspace.count(*ANNOTATED_STATES)
        if labelled < GOOD_START:
            return (
                "Press S, click on an object or drag a box around it, and press Enter to accept the mask. Or press N "
                f"and use the brush (2) or the polygon tool (3). Label {GOOD_START} frames to start: {labelled} so far."
            )
        return f"{labelled} frames are labelled. Go to the Train tab, or label more frames."

    def finished(self) -> bool:
        return self.workspace.count(*ANNOTATED_STATES) >= GOOD_START

    def refresh(self) -> None:
        super().refresh()
        frame = self.workspace.frame
        self.frame_label.setText(f"{frame.name}   ({frame.state})" if frame is not None else "No frame in view")
        usable = frame is not None and self.workspace.writable
        for widget in (*self._editing, self.undo, self.redo, self.done, self.empty, self.skip, self.add_category):
            widget.setEnabled(usable)
        self.jump.setEnabled(frame is not None)
        names = {category.id: category.name for category in self.workspace.categories}
        self._show_categories(names)
        self._show_instances(names)
        self._select_row(self.workspace.selected)

    def _show_categories(self, names: dict[int, str]) -> None:
        self.category.clear()
        for key, (number, name) in enumerate(names.items(), start=1):
            self.category.addItem(name, number)
            if key <= CATEGORY_KEYS:
                self.category.setItemData(key - 1, f"Ctrl + {key}", Qt.ItemDataRole.ToolTipRole)
        self.rename_category.setEnabled(bool(names) and self.workspace.writable)

    def _show_instances(self, names: dict[int, str]) -> None:
        rows = []
        for number, instance in enumerate(self.workspace.instances(), start=1):
            score = f"{instance.score:.2f}" if instance.score is not None else ""
            texts = (str(number), names.get(instance.category, "?"), str(instance.source), score)
            rows.append((instance.id, texts))
        self.table.show_rows(rows)

    def _select_row(self, instance_id: int | None) -> None:
        categories = {instance.id: instance.category for instance in self.workspace.instances()}
        self.category.setCurrentIndex(self.category.findData(categories.get(instance_id, self.workspace.category)))
        with signals_blocked(self.table):
            self.table.select_ids([] if instance_id is None else [instance_id])

    def _show_tool(self) -> None:
        self.suggest.setChecked(self._tools.prompt.active)
        self.cut.setChecked(self._tools.cut_tool.active)
        self.tool_state.setText(self._tools.state())
        self.tool_state.setVisible(bool(self.tool_state.text()))

    # -- selection and categories -----------------------------------------------------------------------------------

    def _selected_ids(self) -> list[int]:
        """The instances selected in the table, or else the instance selected on the canvas."""
        on_canvas = self.workspace.selected
        return self.table.selected_ids() or ([on_canvas] if on_canvas is not None else [])

    def _row_chosen(self) -> None:
        ids = self.table.selected_ids()
        if len(ids) == 1:
            self.workspace.select(ids[0])

    def _category_chosen(self, row: int) -> None:
        category = self.category.itemData(row)
        if category is None:
            return
        self.workspace.category = category
        self._tools.editor.set_category(self._selected_ids(), category)

    def choose_category(self, index: int) -> None:
        """Sets the category at ``index`` (from 0) for new instances and for the selected ones."""
        categories = self.workspace.categories
        if index < len(categories):
            chosen = categories[index]
            self._category_chosen(self.category.findData(chosen.id))
            self._select_row(self.workspace.selected)
            self.workspace.notify(f"The category is {chosen.name}.")

    def _ask_category(self) -> None:
        name, accepted = QInputDialog.getText(self, "Add a category", "Name of the new category:")
        if accepted:
            self.workspace.add_category(name)

    def _ask_name(self) -> None:
        number = self.category.currentData()
        known = next((one for one in self.workspace.categories if one.id == number), None)
        if known is None:
            return
        name, accepted = QInputDialog.getText(self, "Rename a category", "New name of the category:", text=known.name)
        if accepted:
            self._tools.editor.rename_category(known.id, name)

    # -- actions, also called by keys -------------------------------------------------------------------------------

    def delete_selected(self) -> None:
        """Deletes the instances selected in the table or on the canvas."""
        self.workspace.delete(self._selected_ids())

    def merge_selected(self) -> None:
        """Merges the instances selected in the table into one."""
        self._tools.editor.merge(self._selected_ids())

    def split_selected(self) -> None:
        """Makes an instance of each separate part of the selected one."""
        chosen = self._selected_ids()
        self._tools.editor.split(chosen[0] if len(chosen) == 1 else None)

    def mark_done(self) -> None:
        """Marks the frame as labelled and shows the next unlabelled one."""
        if not self.workspace.instances_with_strokes():
            self.workspace.notify("Nothing is drawn in this frame. Press H if it shows no object.", "warning")
            return
        frame = self.workspace.frame
        state = FrameState.REVIEWED if frame is not None and frame.state is FrameState.REVIEWED else FrameState.LABELLED
        self._mark(state)

    def mark_empty(self) -> None:
        """Marks the frame as labelled without any object and shows the next unlabelled one."""
        if self.workspace.instances_with_strokes():
            self.workspace.notify("There are instances in this frame. Delete them first, or press G.", "warning")
            return
        self._mark(FrameState.LABELLED)

    def mark_skipped(self) -> None:
        """Marks the frame as skipped and shows the next unlabelled one."""
        self._mark(FrameState.SKIPPED)

    def _mark(self, state: FrameState) -> None:
        if self.workspace.mark(state):
            self.workspace.next_unlabelled()
