"""Makes the screenshots of the window for the documents, from synthetic totes.

xvfb-run -a -s "-screen 0 1600x1000x24 +extension GLX" python docs/make_images.py docs/images

``--light DIR`` saves the same screenshots in the light theme to another folder, to check a change of the window;
``--size 1280x800`` and ``QT_SCALE_FACTOR=2`` show it small and at high resolution.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("NAPARI_ASYNC", "0")
# Default settings, which are not saved either.
os.environ["NAPARI_CONFIG"] = ""

import napari
import napari.settings
from PIL import Image
from qtpy.QtCore import QSettings
from qtpy.QtWidgets import QApplication

from rise_engine.project.project import Project
from rise_engine.project.records import FrameState, Instance, Split
from rise_engine.project.segmentation import from_mask
from rise_engine.synthetic import write_sample_folder
from rise_napari.training.session import RunState
from rise_napari.widget import Workbench

FRAMES, LABELLED = 24, 6
COLOURS, REFINEMENTS = 256, 4
"""Enough colours for a window, in a third of the bytes."""


def make_project(folder: Path) -> Path:
    """Creates a project of synthetic totes: the first few have annotations, and one of those is held out."""
    frames = write_sample_folder(folder / "totes", count=FRAMES, seed=11)
    with Project.create(Project.default_path(folder / "totes"), folder / "totes") as project:
        project.scan()
        category = project.annotations.add_category("object").id
        for record, frame in zip(project.frames.all()[:LABELLED], frames, strict=False):
            masks = [Instance(None, record.id, category, from_mask(mask)) for mask in frame.masks]
            project.annotations.add(record.id, masks)
            project.frames.set_state(record.id, FrameState.LABELLED)
        project.frames.set_split([project.frames.all()[LABELLED - 1].id], Split.HOLDOUT)
        return project.path


def wait(seconds: float, until: Callable[[], bool] = lambda: False) -> None:
    """Processes the window's events for some seconds, or until a condition holds."""
    end = time.monotonic() + seconds
    while time.monotonic() < end and not until():
        QApplication.processEvents()
        time.sleep(0.01)


class Camera:
    """Saves a screenshot of the window in each requested theme."""

    def __init__(self, viewer: napari.Viewer, folders: dict[str, Path]) -> None:
        self._viewer = viewer
        self._folders = folders
        for folder in folders.values():
            folder.mkdir(parents=True, exist_ok=True)

    def __call__(self, name: str) -> None:
        for theme, folder in self._folders.items():
            self._viewer.theme = theme
            wait(1.0)
            # Without the flash: it greys the window, and on a busy machine the next screenshot too.
            picture = self._viewer.window.screenshot(canvas_only=False, flash=False)
            few = Image.fromarray(picture[..., :3]).quantize(
                COLOURS, method=Image.Quantize.MAXCOVERAGE, kmeans=REFINEMENTS
            )
            few.save(folder / f"{name}.png", optimize=True)


def walk(bench: Workbench, viewer: napari.Viewer, path: Path, shoot: Camera, steps: int) -> None:
    """Goes from the empty window to the export, with a screenshot of each tab."""
    workspace = bench.workspace
    shoot("empty")
    for introduction in bench.introductions.frames.values():
        introduction.hide()
    workspace.open_path(path)
    wait(1.0)
    viewer.reset_view()
    bench.tabs.setCurrentWidget(bench.project)
    shoot("project")
    bench.tabs.setCurrentWidget(bench.annotate)
    shoot("annotate")
    bench.tabs.setCurrentWidget(bench.bank)
    wait(120, lambda: bench.bank.preview.words.text().startswith("before |"))
    shoot("bank")
    workspace.show(workspace.frames[LABELLED].id)
    bench.tabs.setCurrentWidget(bench.train)
    shoot("train")
    bench.train.settings.budget.setCurrentIndex(bench.train.settings.budget.count() - 1)
    bench.train.settings.steps.setValue(steps)
    bench.train.settings.advanced.more.setText(
        "schedule.unsupervised_after=2, schedule.preview_every=2, schedule.holdout_every=5"
    )
    bench.train.start_training()
    wait(1200, lambda: len(bench.curves.losses) > steps * 0.8 or not workspace.training.running)
    shoot("window")
    wait(1200, lambda: workspace.training.state in (RunState.FINISHED, RunState.FAILED))
    bench.curves.parentWidget().hide()
    bench.tabs.setCurrentWidget(bench.review)
    bench.review.predict.click()
    wait(600, lambda: not bench.review.predict.isEnabled())
    wait(600, lambda: bench.review.predict.isEnabled())
    wait(30, lambda: bench.review.queue.count() > 0)
    wait(2.0)
    bench.review.go_on()
    bench.review.table.selectRow(0)
    shoot("review")
    bench.tabs.setCurrentWidget(bench.export)
    bench.export.export_report(path.parent / "report.md")
    shoot("export")


def main() -> None:
    """Reads the arguments and makes the screenshots."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--light", type=Path, metavar="DIR")
    parser.add_argument("--size", default="1280x800", metavar="WxH")
    parser.add_argument("--steps", type=int, default=8)
    chosen = parser.parse_args()
    folders = {"dark": chosen.out} | ({"light": chosen.light} if chosen.light is not None else {})
    with tempfile.TemporaryDirectory() as folder:
        path = make_project(Path(folder))
        # Recently opened projects and dismissed introductions are not read or saved either.
        QSettings.setPath(QSettings.Format.NativeFormat, QSettings.Scope.UserScope, folder)
        # Messages of napari about this machine do not belong in the documents.
        napari.settings.get_settings().application.gui_notification_level = "error"
        viewer = napari.Viewer()
        bench = Workbench(viewer)
        viewer.window.add_dock_widget(bench, name="RISE: train from annotations")
        width, height = (int(side) for side in chosen.size.split("x"))
        viewer.window.resize(width, height)
        walk(bench, viewer, path, Camera(viewer, folders), chosen.steps)
        viewer.close()
        wait(1.0)


if __name__ == "__main__":
    main()
