"""Makes the pictures of the window for the documents, from totes that the project draws itself.

xvfb-run -a -s "-screen 0 1600x1000x24 +extension GLX" python docs/make_images.py docs/images
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import napari
from PIL import Image
from qtpy.QtWidgets import QApplication

from rise_engine.project.project import Project
from rise_engine.project.records import FrameState, Instance
from rise_engine.project.segmentation import from_mask
from rise_engine.totes import write_sample_folder
from rise_napari.training_session import RunState
from rise_napari.workbench import Workbench

SIZE = (1500, 950)
FRAMES, LABELLED, STEPS = 24, 5, 60


def make_project(folder: Path) -> Path:
    """Drawn totes, the first few with their annotations."""
    frames = write_sample_folder(folder / "totes", count=FRAMES, seed=11)
    with Project.create(Project.default_path(folder / "totes"), folder / "totes") as project:
        project.scan()
        category = project.add_category("object").id
        for record, frame in zip(project.frames()[:LABELLED], frames, strict=False):
            masks = [Instance(None, record.id, category, from_mask(mask)) for mask in frame.masks]
            project.add_instances(record.id, masks)
            project.set_state(record.id, FrameState.LABELLED)
        return project.path


def wait(seconds: float, until: Callable[[], bool] = lambda: False) -> None:
    """Lets the window live for some seconds, or until something has happened."""
    end = time.monotonic() + seconds
    while time.monotonic() < end and not until():
        QApplication.processEvents()
        time.sleep(0.01)


def main(out: Path) -> None:
    """Walks through the steps and takes a picture of each."""
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        path = make_project(Path(folder))
        viewer = napari.Viewer()
        bench = Workbench(viewer)
        viewer.window.add_dock_widget(bench, name="RISE: train from annotations")
        viewer.window.resize(*SIZE)
        workspace = bench.workspace

        def shoot(name: str) -> None:
            wait(1.0)
            picture = viewer.window.screenshot(canvas_only=False)
            # 256 colours are enough for a window and a third of the bytes.
            Image.fromarray(picture[..., :3]).quantize(256).save(out / f"{name}.png", optimize=True)

        shoot("empty")
        workspace.open_path(path)
        wait(1.0)
        viewer.reset_view()
        shoot("project")
        bench.tabs.setCurrentWidget(bench.annotate)
        shoot("annotate")
        bench.tabs.setCurrentWidget(bench.bank)
        wait(60, lambda: bench.bank.words.text().startswith("before |"))
        shoot("bank")
        workspace.show(workspace.frames[LABELLED].id)
        bench.tabs.setCurrentWidget(bench.train)
        bench.train.budget.setCurrentIndex(bench.train.budget.count() - 1)
        bench.train.steps.setValue(STEPS)
        bench.train.more.setText("schedule.unsupervised_after=5, schedule.preview_every=5")
        bench.train.start_training()
        wait(600, lambda: len(bench.curves.losses) > STEPS * 0.8 or not workspace.training.running)
        shoot("window")
        wait(600, lambda: workspace.training.state in (RunState.FINISHED, RunState.FAILED))
        bench.tabs.setCurrentWidget(bench.review)
        bench.review.predict_one.click()
        wait(120, lambda: bool(workspace.predictions()))
        shoot("review")
        bench.tabs.setCurrentWidget(bench.export)
        shoot("export")
        viewer.close()
        wait(1.0)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
