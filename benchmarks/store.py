"""A large project: what it costs to open, to look at, to import, to export and to paint on.

Makes a data set of 45,000 frames and 470,000 instances in a temporary folder, and measures each action in a process of
its own. Run it on an otherwise idle machine; a few minutes on two cores, or ``--frames 4500`` for a tenth of it:

    python benchmarks/store.py
    python benchmarks/store.py --while-training     only how long a stroke waits for a training, two minutes
"""

from __future__ import annotations

import argparse
import hashlib
import json
import resource
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from store_data import write_data, write_large_project

from rise_engine.active_learning.ranking import rank_frames
from rise_engine.formats.coco import export_coco, import_coco
from rise_engine.project.maintenance.copy import copy_project
from rise_engine.project.project import Project
from rise_engine.project.records import FrameRecord, FrameState, Instance
from rise_engine.project.segmentation import from_mask
from rise_napari.layers.frame_stack import FrameStack
from rise_napari.layers.label_view import LabelView
from rise_napari.layers.mask_cache import MaskCache

PREDICTED, FOUND = 2_000, 20
"""Frames with predictions, and predictions on each."""
STROKES = 200
TRAINING_STEPS = 12
TRAINING_SECONDS = 120
"""After which the training is stopped, on a machine that does not get through its steps."""


class Stack(FrameStack):
    """With the masks of neighbours decoded ahead, as in the window."""

    def __init__(self, project: Project, frames: list[FrameRecord], *, first: int) -> None:
        self.cache = MaskCache()
        super().__init__(project, frames, first=first, on_problem=_stop, prefetch=self._decode)
        self.settle()

    def settle(self) -> None:
        """Waits until the neighbours are read, as they are when a person has looked at a frame for a second."""
        self.prefetch_neighbours()
        self._executor.submit(int).result()

    def _decode(self, project: Project, frame: int, size: tuple[int, int]) -> None:
        for one in project.annotations.of_frame(frame):
            self.cache.decoded(one.segmentation, size)


def show(project: Project, stack: Stack, index: int) -> None:
    """What the window does to bring a frame up, short of drawing it."""
    stack.show(index)
    size = stack.shape[1:3]
    instances = project.annotations.of_frame(stack.ids[index])
    LabelView(size, ((one.id or 0, stack.cache.decoded(one.segmentation, size)) for one in instances))


def open_to_first_frame(folder: Path) -> str:
    """A new project of the folder, as the window opens one: looks for the files, shows the first."""
    shutil.rmtree(folder / "empty.rise", ignore_errors=True)
    with Project.create(folder / "empty.rise", folder / "totes") as project:
        project.scan()
        return _first_frame(project)


def open_again(folder: Path) -> str:
    """The project with all its annotations: looks for new files, shows the first."""
    with Project.open(folder / "totes.rise", exclusive=True) as project:
        project.scan()
        return _first_frame(project)


def _first_frame(project: Project) -> str:
    frames = project.frames.all()
    stack = Stack(project, frames, first=0)
    show(project, stack, 0)
    stack.close()
    return f"{len(frames):,} frames"


def next_frames(folder: Path) -> str:
    """Cold jumps and prefetched neighbours of 5 megapixels."""
    with Project.open(folder / "large.rise") as project:
        frames = project.frames.all()
        cold = []
        for index in range(len(frames)):
            stack = Stack(project, frames, first=(index + 3) % len(frames))
            cold.append(_milliseconds(lambda stack=stack, index=index: show(project, stack, index)))
            stack.close()
        stack = Stack(project, frames, first=0)
        ahead = []
        for index in range(1, len(frames)):
            stack.settle()
            ahead.append(_milliseconds(lambda index=index: show(project, stack, index)))
        stack.close()
        return f"cold {_spread(cold)}, read ahead {_spread(ahead)}"


def import_all(folder: Path) -> str:
    """The COCO file into a project that knows its frames."""
    shutil.rmtree(folder / "totes.rise", ignore_errors=True)
    with Project.create(folder / "totes.rise", folder / "totes") as project:
        project.scan()
        report = import_coco(project, folder / "truth.json")
    return f"{report.instances:,} instances on {report.images:,} frames"


def export_all(folder: Path) -> str:
    """All annotations into a COCO file."""
    with Project.open(folder / "totes.rise") as project:
        report = export_coco(project, folder / "out.json")
    return f"{report.instances:,} instances, {(folder / 'out.json').stat().st_size / 1e6:.0f} MB"


def round_trip(folder: Path) -> str:
    """What came out against what went in: images with instances, and every field of every annotation."""
    came, left = (_digests(folder / name) for name in ("truth.json", "out.json"))
    if came != left:
        raise SystemExit("the exported file differs from the imported one")
    return f"identical: {len(came):,} images with their annotations"


def _digests(path: Path) -> dict[int, bytes]:
    """A digest of every image that has annotations, by id: of its own fields and of theirs."""
    content = json.loads(path.read_text())
    images = {image["id"]: image for image in content["images"]}
    found: dict[int, Any] = {}
    for annotation in content["annotations"]:
        number = annotation["image_id"]
        if number not in found:
            found[number] = hashlib.sha256(json.dumps(images[number], sort_keys=True).encode())
        found[number].update(json.dumps(annotation, sort_keys=True).encode())
    return {number: digest.digest() for number, digest in found.items()}


def store_predictions(folder: Path) -> str:
    """What a training leaves for the queue."""
    rng = np.random.default_rng(1)
    with Project.open(folder / "totes.rise") as project:
        run = project.runs.start(preset="laptop", recipe="recommended", steps=1, base="none").number
        project.runs.finish(run, steps=1)
        category = project.annotations.categories()[0].id
        frames = project.frames.all(state=FrameState.UNLABELLED)[:PREDICTED]
        box: list[list[float]] = [[10, 10, 30, 10, 30, 30]]
        found = {
            frame.id: [Instance(None, frame.id, category, box, score=float(s)) for s in rng.uniform(0.3, 1, FOUND)]
            for frame in frames
        }
        project.predictions.store(run, found)
    return f"{FOUND * len(frames):,} predictions"


def queue(folder: Path) -> str:
    """Which frame to fix next."""
    with Project.open(folder / "totes.rise") as project:
        return f"first: {rank_frames(project, top=20)[0].frame.name}"


def status(folder: Path) -> str:
    """Counts by state, as the window's header shows them."""
    with Project.open(folder / "totes.rise") as project:
        return f"{project.frames.counts()[FrameState.LABELLED]:,} labelled"


def strokes(folder: Path) -> str:
    """Committed strokes on a project that nobody else uses."""
    with Project.open(folder / "totes.rise", exclusive=True) as project:
        return _spread(list(islice(_strokes(project), STROKES)))


def strokes_during_import(folder: Path) -> str:
    """The same while another process imports everything into the same project."""
    shutil.rmtree(folder / "busy.rise", ignore_errors=True)
    with Project.create(folder / "busy.rise", folder / "totes") as project:
        project.scan()
    return _beside(
        folder / "busy.rise", [sys.executable, __file__, "--do", "import_into_busy", "--folder", str(folder)]
    )


def import_into_busy(folder: Path) -> str:
    """The other process of ``strokes_during_import``."""
    with Project.open(folder / "busy.rise") as project:
        return f"{import_coco(project, folder / 'truth.json', on_conflict='both').instances}"


def strokes_while_training(folder: Path) -> str:
    """The same while other processes train on the project, and then store predictions of all its frames."""
    path = folder / "trained.rise"
    shutil.rmtree(path, ignore_errors=True)
    with Project.open(folder / "large.rise") as large, copy_project(large, path) as project:
        *_, unlabelled, painted = project.frames.all()
        project.annotations.delete(
            [one.id for one in project.annotations.of_frame(unlabelled.id) if one.id is not None]
        )
        # The strokes are smaller than the picture, so nothing may train on them.
        project.frames.set_state(painted.id, FrameState.SKIPPED)
    settings = ["--preset", "laptop", "--weights", "none", "--device", "cpu", "--steps", str(TRAINING_STEPS)]
    # A network that is soon through its steps: what is timed is the store, which sees the same events.
    settings += [f"--set=loader.{size}" for size in ("short_sides=[224]", "crop=224")]
    rise = [sys.executable, "-m", "rise_engine.cli"]
    return _beside(
        path, [*rise, "train", str(path), *settings], [*rise, "predict", str(path)], seconds=TRAINING_SECONDS
    )


def _beside(path: Path, *commands: list[str], seconds: float = float("inf")) -> str:
    """Strokes alone, and while other processes run one after the other, each until it ends or for ``seconds``."""
    with Project.open(path, exclusive=True) as project:
        painting = _strokes(project)
        before = list(islice(painting, STROKES))
        during = []
        stopped = ""
        for command in commands:
            ends = time.monotonic() + seconds
            with subprocess.Popen(command, stdout=subprocess.DEVNULL) as other:
                while other.poll() is None and time.monotonic() < ends:
                    during.append(next(painting))
                    time.sleep(0.02)
                if other.poll() is None:
                    other.kill()
                    stopped += f"; {command[3]} was stopped after {seconds:.0f} s"
                elif other.returncode:
                    raise SystemExit(f"the other process failed: {' '.join(command)}")
    later = np.percentile(during, 95) - np.percentile(before, 95)
    words = f"alone {_spread(before)}; meanwhile {_spread(during)} ({len(during)} strokes), p95 {later:+.1f} ms"
    return words + stopped


def _strokes(project: Project) -> Iterator[float]:
    """Milliseconds of one stroke after the other, each a new mask of an instance in the last frame."""
    frame = project.frames.all()[-1].id
    mask = np.zeros((480, 640), dtype=bool)
    category = project.annotations.add_category("object").id
    number = project.annotations.add(frame, [Instance(None, frame, category, from_mask(mask))])[0]
    rng = np.random.default_rng(2)
    while True:
        # Another mask each time: an edit that changes nothing is not written.
        mask[:, :] = False
        top, left = rng.integers(0, 300, 2)
        mask[top : top + int(rng.integers(20, 180)), left : left + 150] = True
        shape = from_mask(mask)
        yield _milliseconds(lambda shape=shape: project.annotations.update(number, segmentation=shape))


MEASURED: tuple[tuple[Callable[[Path], str], str], ...] = (
    (open_to_first_frame, "open a new folder, first frame (<= 2 s, <= 500 MB)"),
    (next_frames, "next frame, 5 MP, 30 instances (<= 400 ms cold, <= 100 ms ahead)"),
    (import_all, "COCO in (<= 60 s, <= 3 GB)"),
    (export_all, "COCO out (<= 60 s, <= 3 GB)"),
    (round_trip, "compare the two files"),
    (store_predictions, "store predictions"),
    (open_again, "open with all annotations, first frame (<= 2 s, <= 500 MB)"),
    (queue, "queue"),
    (status, "status"),
    (strokes, "strokes"),
    (strokes_during_import, "strokes during an import (<= 300 ms)"),
    (strokes_while_training, "strokes while training (<= 50 ms later)"),
)


def _milliseconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return 1000 * (time.perf_counter() - began)


def _spread(taken: list[float]) -> str:
    return f"median {np.median(taken):.1f}, p95 {np.percentile(taken, 95):.1f}, worst {max(taken):.1f} ms"


def _stop(problem: str) -> None:
    raise SystemExit(problem)


def _peak_megabytes() -> float:
    """Of this process alone; Linux counts it anew for every program, other systems are asked for what they have."""
    status_file = Path("/proc/self/status")
    if status_file.is_file():
        lines = status_file.read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024
    scale = 1024 * 1024 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / scale


def measure(name: str, folder: Path) -> None:
    """Runs one action in this process and prints what it took."""
    work = next((function for function, _ in MEASURED if function.__name__ == name), import_into_busy)
    wall, cpu = time.perf_counter(), time.process_time()
    words = work(folder)
    taken = {"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu}
    print(json.dumps({**taken, "peak": _peak_megabytes(), "threads": threading.active_count(), "words": words}))


def rows(folder: Path, only: str | None) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each action's heading and what it took, measured in a child."""
    for function, heading in MEASURED:
        if only is None or only in function.__name__:
            command = [sys.executable, __file__, "--do", function.__name__, "--folder", str(folder)]
            child = subprocess.run(command, capture_output=True, text=True, check=False)
            if child.returncode:
                raise SystemExit(f"{heading}: {child.stderr}")
            yield heading, json.loads(child.stdout.splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=45_000)
    parser.add_argument("--only", help="only actions whose name holds this; their project must be in --folder")
    parser.add_argument("--while-training", dest="only", action="store_const", const=strokes_while_training.__name__)
    parser.add_argument("--folder", type=Path, help="make the data here, or use what is here, and leave it")
    parser.add_argument("--do", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.do:
        measure(chosen.do, chosen.folder)
        return
    with tempfile.TemporaryDirectory(prefix="rise-store-") as temporary:
        folder = chosen.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        if not (folder / "truth.json").exists() and chosen.only != strokes_while_training.__name__:
            write_data(folder, chosen.frames)
        if not (folder / "large.rise").exists():
            write_large_project(folder)
        print(f"{'what':66}{'wall s':>8}{'CPU s':>8}{'peak MB':>9}")
        for heading, taken in rows(folder, chosen.only):
            print(
                f"{heading:66}{taken['wall']:8.2f}{taken['cpu']:8.2f}{taken['peak']:9.0f}  {taken['words']}", flush=True
            )


if __name__ == "__main__":
    main()
