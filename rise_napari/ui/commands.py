"""Everything the window can do without the mouse: most of it has a key, all of it is in napari's command palette."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from rise_napari.tabs.annotate import CATEGORY_KEYS
from rise_napari.ui.shortcuts import Shortcut

if TYPE_CHECKING:
    from rise_napari.widget import Workbench


def actions(bench: Workbench) -> list[Shortcut]:
    """The window's actions in the order in which the list of keys shows them."""
    return [*_ways(bench), *_drawing(bench), *_frames(bench), *_reviewing(bench), *_rest(bench)]


def _ways(bench: Workbench) -> list[Shortcut]:
    tabs = [
        Shortcut(
            f"Alt-{place}",
            f"The {step.name} tab; Alt + 2 to {len(bench.steps)} the next ones"
            if place == 1
            else f"The {step.name} tab",
            partial(bench.go_to, step),
            listed=place == 1,
            command=f"show_{step.name.lower()}",
        )
        for place, step in enumerate(bench.steps, start=1)
    ]
    return [
        *tabs,
        Shortcut("F6", "To the controls of the tab, and back to the picture", bench.switch_focus, command="focus"),
        Shortcut("w", "This list", bench.show_keys, command="show_keys"),
    ]


def _drawing(bench: Workbench) -> list[Shortcut]:
    annotate, tools, workspace = bench.annotate, bench.tools, bench.workspace
    return [
        Shortcut(
            "n",
            "New instance: the next stroke starts it",
            workspace.new_instance_requested.emit,
            command="new_instance",
        ),
        Shortcut(
            "s",
            "Suggest: click on an object or drag a box; Enter takes the outline, Esc drops it, S shows another",
            tools.suggest,
            layer_only=True,
            command="suggest",
        ),
        Shortcut(
            "c",
            "Copy the instances of the frame before",
            tools.editor.copy_from_previous,
            layer_only=True,
            command="copy_previous",
        ),
        Shortcut("t", "Cut: draw a line through an instance", tools.cut, layer_only=True, command="cut"),
        Shortcut("u", "Split the selected instance into its separate parts", annotate.split_selected, command="split"),
        Shortcut(
            "y",
            "Merge the instances selected in the table",
            annotate.merge_selected,
            layer_only=True,
            command="merge",
        ),
        Shortcut("q", "Delete the selected instance", annotate.delete_selected, command="delete"),
        *(
            Shortcut(
                f"Control-{place + 1}",
                "The first category, for new instances and the selected ones; Ctrl + 2 to 9 for the next ones",
                partial(annotate.choose_category, place),
                listed=place == 0,
            )
            for place in range(CATEGORY_KEYS)
        ),
        Shortcut("Control-Z", "Undo the last action, whichever frame it was on", workspace.undo, command="undo"),
        Shortcut("Control-Shift-Z", "Redo it", workspace.redo, command="redo"),
    ]


def _frames(bench: Workbench) -> list[Shortcut]:
    annotate = bench.annotate
    return [
        Shortcut(
            "g",
            "Done: count the frame as labelled, go to the next unlabelled one",
            annotate.mark_done,
            command="mark_done",
        ),
        Shortcut("h", "Empty: there is no object in this frame; next", annotate.mark_empty, command="mark_empty"),
        Shortcut("k", "Skip: leave this frame out; next", annotate.mark_skipped, command="mark_skipped"),
        Shortcut("j", "Next unlabelled frame", bench.workspace.next_unlabelled, command="next_unlabelled"),
    ]


def _reviewing(bench: Workbench) -> list[Shortcut]:
    review = bench.review
    return [
        Shortcut(
            "a",
            "Accept all shown predictions; next of the queue",
            review.accept_and_go_on,
            layer_only=True,
            command="accept_shown",
        ),
        Shortcut(
            "Shift-A",
            "Accept only the predictions selected in the table",
            review.accept_selected,
            layer_only=True,
            command="accept_selected",
        ),
        Shortcut(
            "r",
            "Reject the predictions selected in the table",
            review.reject_selected,
            layer_only=True,
            command="reject_selected",
        ),
    ]


def _rest(bench: Workbench) -> list[Shortcut]:
    """What is wanted too seldom for a key of its own: the buttons of the tabs, pressed where they may be."""
    buttons = {
        "open_folder": ("Open a folder of images", bench.project.open_folder),
        "open_project": ("Open a project", bench.project.open_project),
        "open_coco": ("Open a COCO file with its images", bench.project.open_coco),
        "open_samples": ("Open sample totes", bench.project.samples),
        "import_coco": ("Import annotations from a COCO file", bench.project.importing),
        "start_training": ("Start a training", bench.train.start),
        "pause_training": ("Pause the training, or resume it", bench.train.pause),
        "stop_training": ("Stop the training", bench.train.stop),
        "predict_all": ("Predict all unlabelled frames", bench.review.predict),
        "predict_frame": ("Predict the frame in view", bench.review.predict_one),
        "next_of_queue": ("Next frame of the queue", bench.review.next),
        "accept_sure": ("Accept all sure frames", bench.review.accept_sure),
        "train_again": ("Train again with what was corrected", bench.review.again),
        "export_coco": ("Export the annotations as COCO", bench.export.coco),
        "export_onnx": ("Export the model as ONNX", bench.export.onnx),
        "export_report": ("Export a report of counts", bench.export.report),
    }
    return [Shortcut("", does, partial(bench.press, one), command=name) for name, (does, one) in buttons.items()]
