"""The one list of commands: keyboard shortcuts, napari's command palette and the manifest test follow from it.

To add a command, add a row here and the entry in ``napari.yaml`` that ``test_manifest.py`` then asks for.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Protocol

from rise_napari.tabs import CATEGORY_KEYS, TABS

if TYPE_CHECKING:
    from qtpy.QtWidgets import QPushButton

    from rise_napari.tabs.annotate import AnnotateTab
    from rise_napari.tabs.export import ExportTab
    from rise_napari.tabs.project.tab import ProjectTab
    from rise_napari.tabs.review.tab import ReviewTab
    from rise_napari.tabs.train.tab import TrainTab
    from rise_napari.tools.toolbox import Toolbox
    from rise_napari.workspace import Workspace


class Window(Protocol):
    """The parts of the dock widget that commands act on."""

    workspace: Workspace
    tools: Toolbox
    project: ProjectTab
    annotate: AnnotateTab
    train: TrainTab
    review: ReviewTab
    export: ExportTab

    def go_to_tab(self, index: int) -> None: ...
    def switch_focus(self) -> None: ...
    def show_shortcuts(self) -> None: ...
    def click(self, button: QPushButton) -> None: ...


@dataclass(frozen=True, slots=True)
class Command:
    """An action of the window that needs no mouse."""

    name: str
    """Its id in the manifest, without the plugin's name."""
    title: str
    """Its name in the command palette."""
    run: Callable[[Window], object]
    key: str = ""
    """Its key in napari's spelling; empty for a command without a key."""
    help: str = ""
    """Its explanation in the list of shortcuts; empty if the title is enough."""
    layer_only: bool = False
    """Bound to the annotation layer only, because napari uses the key for something else on other layers."""
    listed: bool = True
    """False for the second and later keys of a row that the list explains in one line."""
    in_palette: bool = True

    @property
    def explanation(self) -> str:
        """The text in the list of shortcuts."""
        return self.help or self.title

    @property
    def shown_key(self) -> str:
        """The key as people write it; "palette" for a command without one."""
        if not self.key:
            return "palette"
        *modifiers, last = self.key.replace("Control", "Ctrl").split("-")
        return " + ".join([*modifiers, last.upper() if len(last) == 1 else last])


def _show_tab(index: int, name: str) -> Command:
    first = f"Go to the {name} tab; Alt + 2 to Alt + {len(TABS)} go to the other tabs"
    return Command(
        f"show_{name.lower()}",
        f"Go to {name}",
        lambda window: window.go_to_tab(index),
        key=f"Alt-{index + 1}",
        help=first if index == 0 else "",
        listed=index == 0,
    )


def _choose_category(index: int) -> Command:
    return Command(
        f"category_{index + 1}",
        "Use the first category for new and selected instances; Ctrl + 2 to Ctrl + 9 use the next ones",
        lambda window: window.annotate.choose_category(index),
        key=f"Control-{index + 1}",
        listed=index == 0,
        in_palette=False,
    )


NAVIGATION = (
    *(_show_tab(index, name) for index, name in enumerate(TABS)),
    Command("focus", "Switch the keyboard between image and tab", lambda window: window.switch_focus(), key="F6"),
    Command("show_keys", "Show the keyboard shortcuts", lambda window: window.show_shortcuts(), key="w"),
)

ANNOTATION = (
    Command(
        "new_instance",
        "New instance",
        lambda window: window.workspace.new_instance_requested.emit(),
        key="n",
        help="New instance: the next stroke starts it",
    ),
    Command(
        "suggest",
        "Suggest a mask",
        lambda window: window.tools.suggest(),
        key="s",
        help="Suggest a mask: click on an object or drag a box around it; Enter accepts, Esc discards, S shows another",
        layer_only=True,
    ),
    Command(
        "copy_previous",
        "Copy the instances of the previous frame",
        lambda window: window.tools.editor.copy_from_previous(),
        key="c",
        layer_only=True,
    ),
    Command(
        "cut",
        "Cut an instance in two",
        lambda window: window.tools.cut(),
        key="t",
        help="Cut an instance in two: draw a line through it",
        layer_only=True,
    ),
    Command(
        "split",
        "Split the selected instance",
        lambda window: window.annotate.split_selected(),
        key="u",
        help="Split the selected instance into its separate regions",
    ),
    Command(
        "merge",
        "Merge the selected instances",
        lambda window: window.annotate.merge_selected(),
        key="y",
        help="Merge the instances selected in the table",
        layer_only=True,
    ),
    Command("delete", "Delete the selected instances", lambda window: window.annotate.delete_selected(), key="q"),
    *(_choose_category(index) for index in range(CATEGORY_KEYS)),
    Command(
        "undo",
        "Undo",
        lambda window: window.workspace.undo(),
        key="Control-Z",
        help="Undo the last action, on any frame",
    ),
    Command("redo", "Redo", lambda window: window.workspace.redo(), key="Control-Shift-Z"),
)

FRAME_STATES = (
    Command(
        "mark_done",
        "Mark the frame as done, next",
        lambda window: window.annotate.mark_done(),
        key="g",
        help="Mark the frame as done (labelled) and go to the next unlabelled frame",
    ),
    Command(
        "mark_empty",
        "Mark the frame as empty, next",
        lambda window: window.annotate.mark_empty(),
        key="h",
        help="Mark the frame as empty (labelled, without objects) and go to the next unlabelled frame",
    ),
    Command(
        "mark_skipped",
        "Skip the frame, next",
        lambda window: window.annotate.mark_skipped(),
        key="k",
        help="Skip the frame: exclude it and go to the next unlabelled frame",
    ),
    Command("next_unlabelled", "Next unlabelled frame", lambda window: window.workspace.next_unlabelled(), key="j"),
)

REVIEW = (
    Command(
        "accept_shown",
        "Accept all shown predictions, next",
        lambda window: window.review.accept_and_go_on(),
        key="a",
        help="Accept all shown predictions and go to the next frame of the queue",
        layer_only=True,
    ),
    Command(
        "accept_selected",
        "Accept only the selected predictions",
        lambda window: window.review.accept_selected(),
        key="Shift-A",
        layer_only=True,
    ),
    Command(
        "reject_selected",
        "Reject the selected predictions",
        lambda window: window.review.reject_selected(),
        key="r",
        layer_only=True,
    ),
)


def _button(name: str, title: str, button: Callable[[Window], QPushButton]) -> Command:
    """A button of a tab as a command without a key."""
    return Command(name, title, partial(_click, button))


def _click(button: Callable[[Window], QPushButton], window: Window) -> None:
    window.click(button(window))


BUTTONS = (
    _button("open_folder", "Open an image folder", lambda window: window.project.open_folder),
    _button("open_project", "Open a project", lambda window: window.project.open_project),
    _button("open_coco", "Open a COCO file with its images", lambda window: window.project.open_coco),
    _button("open_samples", "Open sample totes", lambda window: window.project.samples),
    _button("import_coco", "Import annotations from a COCO file", lambda window: window.project.importing),
    _button("start_training", "Start training", lambda window: window.train.start),
    _button("pause_training", "Pause or resume training", lambda window: window.train.pause),
    _button("stop_training", "Stop training", lambda window: window.train.stop),
    _button("predict_all", "Predict all unlabelled frames", lambda window: window.review.predict),
    _button("predict_frame", "Predict the current frame", lambda window: window.review.predict_one),
    _button("next_of_queue", "Next frame of the queue", lambda window: window.review.next),
    _button("accept_sure", "Accept all frames above the threshold", lambda window: window.review.accept_sure),
    _button("train_again", "Train again with the corrections", lambda window: window.review.again),
    _button("export_coco", "Export the annotations as COCO", lambda window: window.export.coco),
    _button("export_onnx", "Export the model as ONNX", lambda window: window.export.onnx),
    _button("export_report", "Export a report", lambda window: window.export.report),
)

COMMANDS: tuple[Command, ...] = (*NAVIGATION, *ANNOTATION, *FRAME_STATES, *REVIEW, *BUTTONS)
"""All commands, in the order of the list of shortcuts."""

PALETTE = {command.name: command for command in COMMANDS if command.in_palette}
"""The commands that the manifest and the command palette offer, by name."""
