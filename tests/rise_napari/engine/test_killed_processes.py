"""Killed processes: a killed window loses only the current stroke, its training saves and ends, and the reverse."""

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

from rise_napari.widget import Workbench

viewer = napari.Viewer(show=False)
bench = Workbench(viewer)
viewer.window.add_dock_widget(bench, name="RISE")
bench.workspace.open_path(Path(sys.argv[1]))
layer = bench.layers.annotations
for row, column in ((10, 10), (40, 50)):
    bench.workspace.new_instance_requested.emit()
    layer.paint((row, column), layer.selected_label)
    bench.layers.commit()
print("saved", flush=True)
bench.workspace.new_instance_requested.emit()
layer.paint((20, 70), layer.selected_label)
print("painting", flush=True)
time.sleep(600)
"""


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs kill -9")
def test_a_killed_window_loses_only_the_current_stroke(folder: Path) -> None:
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
        frame = project.frames.all()[0]
        found = [to_mask(one.segmentation, 60, 80) for one in project.annotations.of_frame(frame.id)]
        assert len(found) == 2
        assert found[0][10, 10]
        assert found[1][40, 50]
        assert not np.any(found, axis=0)[20, 70]


ORPHAN = """
import sys, time
from pathlib import Path

from rise_engine.config import RiseConfig
from rise_engine.training.events import Progress
from rise_engine.training.child_process import TrainingProcess

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
def test_a_training_saves_and_ends_when_its_window_is_killed(folder: Path) -> None:
    path = Project.default_path(folder)
    from rise_engine.project.records import Instance
    from rise_engine.project.segmentation import from_mask

    with Project.create(path, folder) as project:
        project.scan()
        frame = project.frames.all()[0].id
        mask = np.zeros((60, 80), bool)
        mask[10:30, 10:30] = True
        project.annotations.add(
            frame, [Instance(None, frame, project.annotations.add_category("object").id, from_mask(mask))]
        )
    window = subprocess.Popen([sys.executable, "-c", ORPHAN, str(path)], stdout=subprocess.PIPE, text=True)
    assert window.stdout is not None
    assert window.stdout.readline().strip() == "training"
    window.kill()
    window.wait(timeout=60)
    window.stdout.close()
    patience = time.monotonic() + 120
    with Project.open(path, read_only=True) as project:
        while project.runs.all()[-1].finished is None:
            assert time.monotonic() < patience, "the training goes on without a window"
            time.sleep(0.1)
        assert (project.runs.get().folder / "weights.safetensors").is_file()
        assert project.runs.get().steps >= 1


TRAINING_WINDOW = """
import os, signal, sys, time
from pathlib import Path

import napari
from napari._qt import qt_main_window
from qtpy.QtGui import QCloseEvent
from qtpy.QtWidgets import QApplication, QDialog, QLabel

from rise_engine.config import RiseConfig
from rise_engine.project.splits import choose_split
from rise_napari.training.session import Job, RunState
from rise_napari.widget import Workbench


def wait(condition):
    patience = time.monotonic() + 200
    while not condition():
        assert time.monotonic() < patience, (training.state, bench.header.message.text())
        QApplication.processEvents()
        time.sleep(0.01)


def say(*words):
    print(*words, flush=True)


settings = ["weights=none", "device=cpu", "model.hidden_dim=32", "model.encoder_layers=1", "model.decoder_layers=1",
            "model.num_queries=8", "model.num_heads=4", "model.feedforward_dim=32", "loader.short_sides=[64]",
            "loader.crop=96", "schedule.checkpoint_seconds=0.05"]
what, path = sys.argv[1], Path(sys.argv[2])
viewer = napari.Viewer(show=False)
bench = Workbench(viewer)
viewer.window.add_dock_widget(bench, name="RISE")
bench.workspace.open_path(path)
workspace, training = bench.workspace, bench.workspace.training
steps = 6 if what == "kill" else 100000
config = RiseConfig.preset("laptop").with_settings([*settings, f"schedule.steps={steps}"])
bench.train._begin(Job(path, config, choose_split(workspace.project)))
wait(lambda: training.progress is not None and training.progress.step >= 2)
child = training._trainer.pid

if what == "kill":
    os.kill(child, signal.SIGKILL)
    wait(lambda: training.state is RunState.FAILED)
    say("told", training.failure.message)
    say("button", bench.train.next_actions.remedy.text())
    bench.train.next_actions.remedy.click()
    wait(lambda: not training.running)
    say("end", training.state, training.progress.step)
    bench.shut_down()
    viewer.close()
else:
    asked = []

    class Question(qt_main_window.ConfirmCloseDialog):
        def exec_(self):
            asked.append(" ".join(label.text() for label in self.findChildren(QLabel)).replace("\\n", " "))
            return QDialog.Rejected if len(asked) == 1 else QDialog.Accepted

    class ByHand(QCloseEvent):
        def spontaneous(self):
            return True

    qt_main_window.ConfirmCloseDialog = Question
    window = bench.window()
    window.closeEvent(ByHand())
    step = training.progress.step
    wait(lambda: training.progress.step > step)
    say("goes on", training.state)
    window.closeEvent(ByHand())
    say("asked", asked[0], "and", asked[1])
    QApplication.instance().aboutToQuit.emit()
    try:
        os.kill(child, 0)
        say("child", "alive" if Path(f"/proc/{child}/stat").read_text().split()[2] != "Z" else "gone")
    except ProcessLookupError:
        say("child", "gone")
    os._exit(0)
"""


def _labelled_project(folder: Path) -> Path:
    from rise_engine.project.records import Instance
    from rise_engine.project.segmentation import from_mask

    path = Project.default_path(folder)
    with Project.create(path, folder) as project:
        project.scan()
        category = project.annotations.add_category("object").id
        for frame in project.frames.all()[:2]:
            mask = np.zeros((60, 80), bool)
            mask[10:30, 10:30] = True
            project.annotations.add(frame.id, [Instance(None, frame.id, category, from_mask(mask))])
    return path


def _drive(what: str, path: Path) -> dict[str, str]:
    command = [sys.executable, "-c", TRAINING_WINDOW, what, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return dict(line.partition(" ")[::2] for line in done.stdout.splitlines())


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs kill -9")
def test_a_killed_training_is_reported_and_one_button_resumes_it(folder: Path) -> None:
    path = _labelled_project(folder)
    said = _drive("kill", path)
    assert "killed" in said["told"]
    assert "last checkpoint" in said["button"]
    assert said["end"] == "Finished 6"
    with Project.open(path, read_only=True) as project:
        (run,) = project.runs.all()
        assert run.steps == 6, "the same run went on"


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_closing_the_window_while_training_asks_and_then_stops_it(folder: Path) -> None:
    path = _labelled_project(folder)
    said = _drive("close", path)
    assert said["asked"].count("RISE is training") == 2
    assert said["goes"] == "on Training", "a no leaves everything as it was"
    assert said["child"] == "gone"
    with Project.open(path, exclusive=True) as project:
        assert not project.read_only
        (run,) = project.runs.all()
        assert run.finished is not None
        assert (run.folder / "weights.safetensors").is_file()
