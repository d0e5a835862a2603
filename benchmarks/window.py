"""Measures how responsive the window is during a training, and how much it slows the training down.

It runs a real training in the background and meanwhile switches and paints frames of 5 megapixels with 30 instances and
30 predictions each. It compares the training with the same one without a window. Run it on an otherwise idle machine
with two cores. It takes about three minutes, one of them for the 500 switches:

    xvfb-run -a -s "-screen 0 1600x1000x24 +extension GLX" python benchmarks/window.py

Each gap of the event loop is printed with the CPU time of the window in it. If the CPU time is much lower, the machine
was busy with something else, and the gap is not caused by the window.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("NAPARI_ASYNC", "0")

import napari
import numpy as np
from PIL import Image
from qtpy.QtCore import Qt, QTimer
from qtpy.QtWidgets import QApplication

from rise_engine.config import RiseConfig
from rise_engine.project.project import Project
from rise_engine.project.records import FrameState, Instance, Source
from rise_engine.project.segmentation import from_mask
from rise_engine.project.splits import choose_split
from rise_engine.resources import starter_path
from rise_engine.synthetic import write_sample_folder
from rise_engine.training.child_process import TrainingProcess
from rise_engine.training.events import Event, Failed, Preview, Progress
from rise_napari.training.session import Job
from rise_napari.widget import Workbench
from rise_napari.workspace import Workspace

FRAMES, LABELLED = 24, 4
SYNTHETIC_SIZE, SHOWN = (480, 640), (1944, 2592)
"""Height and width of the synthetic totes, and after enlargement to 5 megapixels."""
INSTANCES = 30
TICK_MILLISECONDS = 5
SWITCH_MILLISECONDS, STROKE_MILLISECONDS = 700, 150


@dataclass(frozen=True, slots=True)
class Gap:
    """The time between two turns of the event loop, the CPU time of the window's thread in it, and its actions."""

    seconds: float
    cpu_seconds: float
    actions: str


def make_project(folder: Path) -> Path:
    """Totes of 5 megapixels; the first few have 30 instances each, the others 30 predictions each."""
    frames = write_sample_folder(folder / "totes", count=FRAMES, seed=5, size=SYNTHETIC_SIZE)
    for path in sorted((folder / "totes").iterdir()):
        with Image.open(path) as image:
            large = image.convert("RGB").resize(SHOWN[::-1])
        large.save(path.with_suffix(".jpg"), quality=90)
        if path.suffix != ".jpg":
            path.unlink()
    with Project.create(Project.default_path(folder / "totes"), folder / "totes") as project:
        project.scan()
        category = project.annotations.add_category("object").id
        shapes = []
        for record, frame in zip(project.frames.all()[:LABELLED], frames, strict=False):
            masks = [np.asarray(Image.fromarray(mask).resize(SHOWN[::-1])) for mask in frame.masks]
            shapes.append([from_mask(one) for one in (masks * INSTANCES)[:INSTANCES]])
            project.annotations.add(record.id, [Instance(None, record.id, category, one) for one in shapes[-1]])
            project.frames.set_state(record.id, FrameState.LABELLED)
        run = project.runs.start(preset="laptop", recipe="recommended", steps=0, base="none").number
        project.runs.finish(run, steps=0, current=False)
        for place, record in enumerate(project.frames.all()[LABELLED:]):
            shown = [
                Instance(None, record.id, category, shape, score=0.95 - 0.01 * rank, source=Source.PREDICTED)
                for rank, shape in enumerate(shapes[place % LABELLED])
            ]
            project.predictions.store(run, {record.id: shown})
        return project.path


def config_of(steps: int) -> RiseConfig:
    """The ``laptop`` training at its highest cost: unsupervised from the first step, with many live predictions."""
    weights = "starter" if starter_path() is not None else "none"
    settings = [f"schedule.steps={steps}", "schedule.unsupervised_after=0", "device=cpu", f"weights={weights}"]
    return RiseConfig.preset("laptop").with_settings([*settings, "schedule.preview_every=3"])


def steps_a_second(events: Sequence[tuple[float, Progress]]) -> float:
    """Steps per second from the end of the first step to the end of the last one, without the start."""
    if len(events) < 2:
        raise SystemExit("The training reported fewer than two steps. Increase --steps.")
    (began, first), (ended, last) = events[0], events[-1]
    return (last.step - first.step) / (ended - began)


def train_alone(path: Path, steps: int, threads: int) -> float:
    """Steps per second without a window."""
    process = TrainingProcess(path, config_of(steps), threads=threads)
    process.start()
    reported: list[tuple[float, Progress]] = []
    while process.alive:
        for event in process.events():
            if isinstance(event, Failed):
                raise SystemExit(f"The training failed: {event.message}")
            if isinstance(event, Progress):
                reported.append((time.monotonic(), event))
        time.sleep(0.02)
    return steps_a_second(reported)


class SimulatedUser:
    """Switches frames and paints at fixed intervals."""

    def __init__(self, bench: Workbench) -> None:
        self._bench = bench
        self._rng = np.random.default_rng(0)
        self.gaps: list[Gap] = []
        self.near: list[float] = []
        self.far: list[float] = []
        self._actions: list[str] = []
        self._last = time.perf_counter(), time.thread_time()
        bench.workspace.training.events_received.connect(self._events_received)
        self._timers = [
            self._timer(TICK_MILLISECONDS, self._tick),
            self._timer(SWITCH_MILLISECONDS, self._switch),
            self._timer(STROKE_MILLISECONDS, self._stroke),
        ]

    def _timer(self, milliseconds: int, action: Callable[[], None]) -> QTimer:
        timer = QTimer()
        timer.setTimerType(Qt.TimerType.PreciseTimer)
        timer.setInterval(milliseconds)
        timer.timeout.connect(action)
        timer.start()
        return timer

    def stop(self) -> None:
        for timer in self._timers:
            timer.stop()
        self._bench.workspace.training.events_received.disconnect(self._events_received)

    def _tick(self) -> None:
        now = time.perf_counter(), time.thread_time()
        actions = " and ".join(dict.fromkeys(self._actions)) or "no action of this benchmark"
        self.gaps.append(Gap(now[0] - self._last[0], now[1] - self._last[1], actions))
        self._last = now
        self._actions.clear()

    def _events_received(self, events: list[Event]) -> None:
        self._actions.append("live predictions" if any(isinstance(event, Preview) for event in events) else "curves")

    def _switch(self) -> None:
        workspace = self._bench.workspace
        place = workspace.index_of(workspace.frame.id)
        near = len(self.near) <= 3 * len(self.far)
        target = (place + 1 if near else int(self._rng.integers(len(workspace.frames)))) % len(workspace.frames)
        (self.near if near else self.far).append(switch(self._bench, workspace.frames[target].id))
        self._actions.append("next frame" if near else "far jump")

    def _stroke(self) -> None:
        layer = self._bench.layers.annotations
        if layer is not None:
            row, column = (int(self._rng.integers(50, side - 50)) for side in layer.data.shape)
            layer.paint((row, column), layer.selected_label)
            self._actions.append("stroke")


def switch(bench: Workbench, frame: int) -> float:
    """Shows another frame and returns the seconds until it is drawn."""
    began = time.perf_counter()
    bench.workspace.show(frame)
    QApplication.sendPostedEvents()
    return time.perf_counter() - began


def resident() -> float:
    """The resident memory in megabytes; nan where the system does not report it."""
    status = Path("/proc/self/status")
    if not status.is_file():
        return float("nan")
    line = next(line for line in status.read_text().splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) / 1024


def train_in_window(path: Path, steps: int, switches: int) -> tuple[float, SimulatedUser]:
    """Steps per second of a one-thread training while the window is used."""

    def factory(job: Job) -> TrainingProcess:
        return TrainingProcess(job.project, job.config, job.split, threads=1)

    viewer = napari.Viewer()
    bench = Workbench(viewer, Workspace(factory))
    viewer.window.add_dock_widget(bench, name="RISE: train from annotations")
    viewer.window.resize(1500, 950)
    workspace = bench.workspace
    workspace.open_path(path)
    reported: list[tuple[float, Progress]] = []
    workspace.training.events_received.connect(
        lambda events: reported.extend((time.monotonic(), event) for event in events if isinstance(event, Progress))
    )
    wait(2.0)
    assert workspace.project is not None
    bench.train._begin(Job(path, config_of(steps), choose_split(workspace.project)))
    while not reported and workspace.training.running:
        wait(0.05)
    user = SimulatedUser(bench)
    while workspace.training.running:
        wait(0.05)
    user.stop()
    memory(bench, switches)
    viewer.close()
    wait(1.0)
    return steps_a_second(reported), user


def memory(bench: Workbench, switches: int) -> None:
    """Prints the growth of memory over many switches."""
    frames = bench.workspace.frames
    sizes = {}
    for count in range(switches + 1):
        switch(bench, frames[count * 7 % len(frames)].id)
        wait(0.0)
        if count in (switches // 5, switches):
            sizes[count] = resident()
    (early, before), (late, after) = sizes.items()
    print(f"memory: {before:.0f} MB after {early} switches, {after:.0f} MB after {late} (target: flat)")


def wait(seconds: float) -> None:
    """Processes the events of the window for some seconds."""
    end = time.monotonic() + seconds
    while True:
        QApplication.processEvents()
        if time.monotonic() >= end:
            return
        time.sleep(0.001)


def percentile(values: Sequence[float], percent: float) -> float:
    return 1000 * float(np.percentile(values, percent)) if values else float("nan")


def report(user: SimulatedUser) -> None:
    """Prints the gaps, the actions in the longest ones, and the times of frame switches."""
    walls, cpus = [gap.seconds for gap in user.gaps], [gap.cpu_seconds for gap in user.gaps]
    print(
        f"event loop, {len(walls)} gaps: p50 {percentile(walls, 50):.0f} ms, p95 {percentile(walls, 95):.0f} ms "
        f"(target <= 50), worst {percentile(walls, 100):.0f} ms (<= 250); CPU time of the window in the gaps: "
        f"p95 {percentile(cpus, 95):.0f} ms, worst {percentile(cpus, 100):.0f} ms"
    )
    for gap in sorted(user.gaps, key=lambda gap: -gap.seconds)[:5]:
        print(f"   {1000 * gap.seconds:.0f} ms, CPU {1000 * gap.cpu_seconds:.0f} ms: {gap.actions}")
    print(
        f"switch to the next frame, 5 megapixels: median {percentile(user.near, 50):.0f} ms (target <= 100), "
        f"far jump: median {percentile(user.far, 50):.0f} ms (target <= 400)"
    )


def main() -> None:
    """Prints every measurement with its target."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=20, help="steps of each training")
    parser.add_argument("--switches", type=int, default=500)
    parser.add_argument("--two-threads", action="store_true", help="also train alone on two threads")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = make_project(Path(folder))
        before = train_alone(path, chosen.steps, threads=1)
        with_window, user = train_in_window(path, chosen.steps, chosen.switches)
        after = train_alone(path, chosen.steps, threads=1)
        two = train_alone(path, chosen.steps, threads=2) if chosen.two_threads else None
    report(user)
    alone = (before + after) / 2
    print(
        f"training on one thread: {with_window:.2f} steps/s with the window, {alone:.2f} alone "
        f"(before {before:.2f}, after {after:.2f}): {alone / with_window:.2f} times as long (target <= 1.25)"
    )
    if two is not None:
        print(f"alone on two threads: {two:.2f} steps/s, so {two / with_window:.2f} times as long with the window")


if __name__ == "__main__":
    main()
