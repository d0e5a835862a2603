"""The window is killed: nothing but the stroke in hand is lost, and the training it ran saves itself and ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from rise_engine.project.project import Project
from rise_engine.project.segmentation import to_mask

WINDOW = """
import sys, time
from pathlib import Path

import napari
import numpy as np

from rise_napari.workbench import Workbench

viewer = napari.Viewer(show=False)
bench = Workbench(viewer)
viewer.window.add_dock_widget(bench, name="RISE")
bench.workspace.open_path(Path(sys.argv[1]))
layer = bench.layers.annotations
for row, column in ((10, 10), (40, 50)):
    bench.workspace.new_instance_asked.emit()
    layer.paint((row, column), layer.selected_label)
    bench.layers.commit()
print("saved", flush=True)
bench.workspace.new_instance_asked.emit()
layer.paint((20, 70), layer.selected_label)
print("painting", flush=True)
time.sleep(600)
"""


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs kill -9")
def test_kill_nine_of_the_window_loses_nothing_but_the_stroke_in_hand(folder: Path) -> None:
    window = subprocess.Popen(
        [sys.executable, "-c", WINDOW, str(folder)], stdout=subprocess.PIPE, text=True, env=os.environ.copy()
    )
    assert window.stdout is not None
    said = []
    for line in window.stdout:
        said.append(line.strip())
        if said[-1] == "painting":
            break
    window.kill()
    window.wait(timeout=60)
    window.stdout.close()
    assert said[-2:] == ["saved", "painting"]
    with Project.open(Project.default_path(folder), exclusive=True) as project:
        assert not project.read_only, "the lock died with the window"
        frame = project.frames()[0]
        found = [to_mask(one.segmentation, 60, 80) for one in project.instances(frame.id)]
        assert len(found) == 2
        assert found[0][10, 10]
        assert found[1][40, 50]
        assert not np.any(found, axis=0)[20, 70]


ORPHAN = """
import sys, time
from pathlib import Path

from rise_engine.config import RiseConfig
from rise_engine.learning.events import Progress
from rise_engine.learning.process import TrainingProcess

settings = ["weights=none", "device=cpu", "model.hidden_dim=32", "model.encoder_layers=1", "model.decoder_layers=1",
            "model.num_queries=8", "model.num_heads=4", "model.feedforward_dim=32", "loader.short_sides=[64]",
            "loader.crop=96", "schedule.steps=100000"]
process = TrainingProcess(Path(sys.argv[1]), RiseConfig.preset("laptop").with_settings(settings), threads=1)
process.start()
while not any(isinstance(event, Progress) for event in process.events()):
    time.sleep(0.05)
print("training", flush=True)
time.sleep(600)
"""


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs kill -9")
def test_a_training_whose_window_was_killed_saves_itself(folder: Path) -> None:
    path = Project.default_path(folder)
    from rise_engine.project.records import Instance
    from rise_engine.project.segmentation import from_mask

    with Project.create(path, folder) as project:
        project.scan()
        frame = project.frames()[0].id
        mask = np.zeros((60, 80), bool)
        mask[10:30, 10:30] = True
        project.add_instances(frame, [Instance(None, frame, project.add_category("object").id, from_mask(mask))])
    window = subprocess.Popen([sys.executable, "-c", ORPHAN, str(path)], stdout=subprocess.PIPE, text=True)
    assert window.stdout is not None
    assert window.stdout.readline().strip() == "training"
    window.kill()
    window.wait(timeout=60)
    window.stdout.close()
    patience = time.monotonic() + 120
    with Project.open(path, read_only=True) as project:
        while project.runs()[-1].finished is None:
            assert time.monotonic() < patience, "the training goes on without a window"
            time.sleep(0.1)
        assert (project.run().folder / "weights.safetensors").is_file()
        assert project.run().steps >= 1
