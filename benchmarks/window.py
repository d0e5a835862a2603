"""The window while it trains: does it stay alive, and what does it cost the training?

Trains for real in the background while frames are switched and painted, and compares with the same training without a
window. Run it on an otherwise idle machine; about three minutes on two cores:

    NAPARI_ASYNC=0 xvfb-run -a -s "-screen 0 1600x1000x24 +extension GLX" python benchmarks/window.py
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("NAPARI_ASYNC", "0")

import napari
import numpy as np
from PIL import Image
from qtpy.QtCore import Qt, QTimer
from qtpy.QtWidgets import QApplication

from rise_engine.config import RiseConfig
from rise_engine.learning.events import Failed, Progress
from rise_engine.learning.process import TrainingProcess
from rise_engine.project.project import Project
from rise_engine.project.records import FrameState, Instance
from rise_engine.project.segmentation import from_mask
from rise_engine.project.splits import choose_split
from rise_engine.totes import write_sample_folder
from rise_napari.training_session import Job
from rise_napari.workbench import Workbench
from rise_napari.workspace import Workspace

FRAMES, LABELLED = 24, 4
DRAWN, SHOWN = (480, 640), (1944, 2592)
"""Height and width of the totes as drawn and, enlarged, as shown: 5 megapixels."""
INSTANCES = 30
TICK_MILLISECONDS = 5
SWITCH_MILLISECONDS, STROKE_MILLISECONDS = 700, 150


def make_project(folder: Path) -> Path:
    """Totes of 5 megapixels; the first few have 30 instances each."""
    frames = write_sample_folder(folder / "totes", count=FRAMES, seed=5, size=DRAWN)
    for path in sorted((folder / "totes").iterdir()):
        with Image.open(path) as picture:
            large = picture.convert("RGB").resize(SHOWN[::-1])
        large.save(path.with_suffix(".jpg"), quality=90)
        if path.suffix != ".jpg":
            path.unlink()
    with Project.create(Project.default_path(folder / "totes"), folder / "totes") as project:
        project.scan()
        category = project.add_category("object").id
        for record, frame in zip(project.frames()[:LABELLED], frames, strict=False):
            masks = [np.asarray(Image.fromarray(mask).resize(SHOWN[::-1])) for mask in frame.masks]
            many = (masks * INSTANCES)[:INSTANCES]
            project.add_instances(record.id, [Instance(None, record.id, category, from_mask(one)) for one in many])
            project.set_state(record.id, FrameState.LABELLED)
        return project.path


def config_of(steps: int) -> RiseConfig:
    """The laptop's training from random weights, unsupervised from the first step, as dear as it gets."""
    settings = [f"schedule.steps={steps}", "schedule.unsupervised_after=0", "device=cpu", "weights=none"]
    return RiseConfig.preset("laptop").with_settings([*settings, "schedule.preview_every=10"])


def steps_a_second(events: Sequence[tuple[float, Progress]]) -> float:
    """From the first step's end to the last one's, so that starting does not count."""
    (began, first), (ended, last) = events[0], events[-1]
    return (last.step - first.step) / (ended - began)


def train_alone(path: Path, steps: int, threads: int) -> float:
    """Steps per second without a window."""
    process = TrainingProcess(path, config_of(steps), threads=threads)
    process.start()
    told: list[tuple[float, Progress]] = []
    while process.alive:
        for event in process.events():
            if isinstance(event, Failed):
                raise SystemExit(f"the training failed: {event.message}")
            if isinstance(event, Progress):
                told.append((time.monotonic(), event))
        time.sleep(0.02)
    return steps_a_second(told)


class Hand:
    """A person who switches frames and paints, by the clock."""

    def __init__(self, bench: Workbench) -> None:
        self._bench = bench
        self._rng = np.random.default_rng(0)
        self.gaps: list[float] = []
        self.near: list[float] = []
        self.far: list[float] = []
        self._last = time.perf_counter()
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

    def _tick(self) -> None:
        now = time.perf_counter()
        self.gaps.append(now - self._last)
        self._last = now

    def _switch(self) -> None:
        workspace = self._bench.workspace
        place = workspace.index_of(workspace.frame.id)
        near = len(self.near) <= 3 * len(self.far)
        target = (place + 1 if near else int(self._rng.integers(len(workspace.frames)))) % len(workspace.frames)
        (self.near if near else self.far).append(switch(self._bench, workspace.frames[target].id))

    def _stroke(self) -> None:
        layer = self._bench.layers.annotations
        if layer is not None:
            row, column = (int(self._rng.integers(50, side - 50)) for side in layer.data.shape)
            layer.paint((row, column), layer.selected_label)


def switch(bench: Workbench, frame: int) -> float:
    """Seconds until another frame is in view and drawn."""
    began = time.perf_counter()
    bench.workspace.show(frame)
    QApplication.sendPostedEvents()
    return time.perf_counter() - began


def resident() -> float:
    """Megabytes of memory in use, where the system tells."""
    status = Path("/proc/self/status")
    if not status.is_file():
        return float("nan")
    line = next(line for line in status.read_text().splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) / 1024


def train_in_window(path: Path, steps: int, switches: int) -> tuple[float, Hand]:
    """Steps per second of a one-thread training beside a window that is used meanwhile."""

    def factory(job: Job) -> TrainingProcess:
        return TrainingProcess(job.project, job.config, job.split, threads=1)

    viewer = napari.Viewer()
    bench = Workbench(viewer, Workspace(factory))
    viewer.window.add_dock_widget(bench, name="RISE: train from annotations")
    viewer.window.resize(1500, 950)
    workspace = bench.workspace
    workspace.open_path(path)
    told: list[tuple[float, Progress]] = []
    workspace.training.happened.connect(
        lambda events: told.extend((time.monotonic(), event) for event in events if isinstance(event, Progress))
    )
    wait(2.0)
    assert workspace.project is not None
    bench.train._begin(Job(path, config_of(steps), choose_split(workspace.project)))
    while not told and workspace.training.running:
        wait(0.05)
    hand = Hand(bench)
    while workspace.training.running:
        wait(0.05)
    hand.stop()
    memory(bench, switches)
    viewer.close()
    wait(1.0)
    return steps_a_second(told), hand


def memory(bench: Workbench, switches: int) -> None:
    """Prints how memory grows over many switches."""
    frames = bench.workspace.frames
    sizes = {}
    for count in range(switches + 1):
        switch(bench, frames[count * 7 % len(frames)].id)
        wait(0.0)
        if count in (switches // 5, switches):
            sizes[count] = resident()
    (early, before), (late, after) = sizes.items()
    print(f"memory: {before:.0f} MB after {early} switches, {after:.0f} MB after {late} (wanted: flat)")


def wait(seconds: float) -> None:
    """Lets the window live."""
    end = time.monotonic() + seconds
    while True:
        QApplication.processEvents()
        if time.monotonic() >= end:
            return
        time.sleep(0.001)


def percentile(values: Sequence[float], percent: float) -> float:
    return 1000 * float(np.percentile(values, percent)) if values else float("nan")


def main() -> None:
    """Prints every figure beside what is wanted of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=15, help="steps of each training")
    parser.add_argument("--switches", type=int, default=500)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = make_project(Path(folder))
        one = train_alone(path, chosen.steps, threads=1)
        two = train_alone(path, chosen.steps, threads=2)
        beside, hand = train_in_window(path, chosen.steps, chosen.switches)
        again = train_alone(path, chosen.steps, threads=1)
    alone = (one + again) / 2
    print(
        f"event loop, {len(hand.gaps)} gaps: p50 {percentile(hand.gaps, 50):.0f} ms, "
        f"p95 {percentile(hand.gaps, 95):.0f} ms (wanted <= 50), worst {percentile(hand.gaps, 100):.0f} ms (<= 250)"
    )
    print(
        f"switch to the next frame, 5 megapixels: median {percentile(hand.near, 50):.0f} ms (wanted <= 100), "
        f"far jump: median {percentile(hand.far, 50):.0f} ms (wanted <= 400)"
    )
    print(
        f"training: {beside:.2f} steps/s beside the window, {alone:.2f} alone on one thread "
        f"(before {one:.2f}, after {again:.2f}), {two:.2f} alone on two; "
        f"{alone / beside:.2f} times as long as alone on one thread (wanted <= 1.25)"
    )


if __name__ == "__main__":
    main()
