"""What napari's command palette calls; each opens the RISE window first where it is closed."""

from __future__ import annotations

from collections.abc import Callable

from napari.viewer import Viewer

from rise_napari.ui.identity import PLUGIN, WIDGET


def _command(name: str) -> Callable[[Viewer], None]:
    def run(viewer: Viewer) -> None:
        _, bench = viewer.window.add_plugin_dock_widget(PLUGIN, WIDGET)
        bench.shortcuts.run(name)

    return run


show_project = _command("show_project")
show_annotate = _command("show_annotate")
show_bank = _command("show_bank")
show_train = _command("show_train")
show_review = _command("show_review")
show_export = _command("show_export")
focus = _command("focus")
show_keys = _command("show_keys")
new_instance = _command("new_instance")
suggest = _command("suggest")
copy_previous = _command("copy_previous")
cut = _command("cut")
split = _command("split")
merge = _command("merge")
delete = _command("delete")
undo = _command("undo")
redo = _command("redo")
mark_done = _command("mark_done")
mark_empty = _command("mark_empty")
mark_skipped = _command("mark_skipped")
next_unlabelled = _command("next_unlabelled")
accept_shown = _command("accept_shown")
accept_selected = _command("accept_selected")
reject_selected = _command("reject_selected")
open_folder = _command("open_folder")
open_project = _command("open_project")
open_coco = _command("open_coco")
open_samples = _command("open_samples")
import_coco = _command("import_coco")
start_training = _command("start_training")
pause_training = _command("pause_training")
stop_training = _command("stop_training")
predict_all = _command("predict_all")
predict_frame = _command("predict_frame")
next_of_queue = _command("next_of_queue")
accept_sure = _command("accept_sure")
train_again = _command("train_again")
export_coco = _command("export_coco")
export_onnx = _command("export_onnx")
export_report = _command("export_report")
