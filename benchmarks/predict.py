"""Prediction speed in frames per second, from files to masks: one at a time, read ahead, and in batches.

python benchmarks/predict.py [--images DIR] [--frames 8] [--presets laptop]

"One at a time" is the window's live overlay: the trainer's preview and `rise predict` share everything from the resized
frame to the masks. Without --images totes of 600x800 pixels are drawn. `laptop` runs with the starter weights on the
CPU; `r50` is added where there is a GPU, with random weights, which cost the same. Besides the frames a second, the CPU
seconds per frame are printed, which are comparable on a busy machine too. Every variant must predict the same number of
instances, except --looks 2 (test-time augmentation). `laptop` is promised to take at most 0.25 s a frame on two cores.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from rise_engine.config import RiseConfig
from rise_engine.model import build_segmenter
from rise_engine.prediction.load import LoadedModel, load_model
from rise_engine.prediction.predict import predict, predict_frames
from rise_engine.prediction.test_time_augmentation import with_test_time_augmentation
from rise_engine.project.project import Project
from rise_engine.resources import starter_path
from rise_engine.synthetic import write_sample_folder

BATCHES = (1, 2, 4, 8)
MIN_SCORE = 0.3
PROMISE = 0.25
"""Seconds a frame of `laptop` on two cores."""


def network(preset: str, device: torch.device) -> LoadedModel:
    """The starter weights where they fit, else random ones."""
    if preset == "laptop" and (path := starter_path()) is not None:
        return load_model(path, device=str(device))
    config = RiseConfig.preset(preset)  # type: ignore[arg-type]  # build_segmenter would refuse another
    return LoadedModel(build_segmenter(config.model).eval().to(device), config, ("object",), device)


def measure(name: str, frames: int, work: Callable[[], int]) -> float:
    """One row: wall clock, CPU time, and how much was found; returns the seconds a frame on the clock."""
    wall, used = time.perf_counter(), time.process_time()
    found = work()
    wall, used = time.perf_counter() - wall, time.process_time() - used
    print(f"{name:28}{frames / wall:8.2f} frames/s{used / frames:8.2f} CPU s a frame{found:6d} instances", flush=True)
    return wall / frames


def measure_ways(loaded: LoadedModel, project: Project, ids: list[int], name: str) -> float:
    """One frame at a time as the window's live overlay does it, then the way of `rise predict`.

    Returns the seconds a frame of the better one of both.
    """

    def alone() -> int:
        return sum(len(predict(loaded, project.image(frame), min_score=MIN_SCORE)) for frame in ids)

    def together(network: LoadedModel, batch: int) -> int:
        found = predict_frames(network, project, ids, min_score=MIN_SCORE, batch=batch)
        return sum(len(predictions) for _, predictions in found)

    predict(loaded, project.image(ids[0]))  # the first pass sets things up
    seconds = [measure(f"{name}, one at a time", len(ids), alone)]
    for batch in BATCHES:
        if batch <= len(ids):
            seconds.append(measure(f"{name}, read ahead, batch {batch}", len(ids), partial(together, loaded, batch)))
    measure(f"{name}, --looks 2", len(ids), partial(together, with_test_time_augmentation(loaded, 2), 1))
    return min(seconds)


def main() -> None:
    """Prints a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=Path)
    parser.add_argument("--frames", type=int, default=8)
    parser.add_argument("--presets", nargs="+", default=["laptop"])
    options = parser.parse_args()
    with TemporaryDirectory() as scratch:
        images = options.images
        if images is None:
            images = Path(scratch) / "totes"
            write_sample_folder(images, count=options.frames, seed=0, size=(600, 800))
        with Project.create(Path(scratch) / "frames.rise", images) as project:
            project.scan()
            ids = [frame.id for frame in project.frames.all()][: options.frames]
            for preset in options.presets:
                loaded = network(preset, torch.device("cpu"))
                seconds = measure_ways(loaded, project, ids, f"{preset} on the CPU")
                if preset == "laptop":
                    verdict = "kept" if seconds <= PROMISE else "NOT kept"
                    cores = torch.get_num_threads()
                    print(f"promise of {PROMISE} s a frame: {seconds:.3f} s on {cores} threads, {verdict}")
            if torch.cuda.is_available():
                measure_ways(network("r50", torch.device("cuda")), project, ids, "r50 on the GPU")


if __name__ == "__main__":
    main()
