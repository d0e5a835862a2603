"""Does the review queue's order pay? AP against the number of labelled frames, our order against a random one.

The labels of PROJECT play the person, its hold-out measures. Each round labels the next frames of an order, trains
from the preset's own weights for the same number of steps, and predicts the rest for the next round's queue.

    python benchmarks/active_learning.py PROJECT --counts 2,4,8,16 --steps 300 --seeds 3
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from labelled_project import Person, train

from rise_engine.config import RiseConfig
from rise_engine.inference import predict_into_store
from rise_engine.learning.second_look import StrongLook
from rise_engine.project.project import Project
from rise_engine.project.records import FrameState
from rise_engine.project.review_queue import rank_frames

ORDERS = ("queue", "random")


def next_frames(project: Project, count: int, order: str, rng: np.random.Generator) -> list[str]:
    """The names of the next ``count`` frames to label."""
    if order == "queue":
        return [entry.frame.name for entry in rank_frames(project, top=count)]
    names = [frame.name for frame in project.frames(state=FrameState.UNLABELLED)]
    return [names[index] for index in rng.permutation(len(names))[:count]]


def one_curve(person: Person, folder: Path, config: RiseConfig, counts: Sequence[int], order: str) -> list[float]:
    """Mask AP after each round."""
    seed = config.schedule.seed
    rng = np.random.default_rng(seed)
    curve = []
    with person.start(folder / f"{order}-{seed}.rise") as project:
        for count in counts:
            labelled = len(project.frames(state=FrameState.LABELLED))
            person.label(project, next_frames(project, count - labelled, order, rng))
            loaded = train(project, config)
            score = person.measure(loaded)
            curve.append(score.ap)
            print(f"{order}, seed {seed}, {count} frames: AP {score.ap:.1f}, AP50 {score.ap50:.1f}", flush=True)
            rest = [frame.id for frame in project.frames(state=FrameState.UNLABELLED)]
            if order == "queue" and rest:
                run = project.run().number
                for _ in predict_into_store(loaded, project, run, rest, second_look=StrongLook(loaded, project)):
                    pass
    return curve


def main() -> None:
    """Prints a row for each count, with the mean and the standard deviation over the seeds."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("project", type=Path, help="with labels on all frames, and a hold-out")
    parser.add_argument("--counts", default="2,4,8", help="labelled frames after each round")
    parser.add_argument("--steps", type=int, default=100, help="of each training")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--preset", default="laptop")
    parser.add_argument("--set", action="append", default=[], metavar="SECTION.KEY=VALUE", dest="settings")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json", type=Path, help="write the curves here")
    chosen = parser.parse_args()
    torch.set_num_threads(chosen.threads)
    counts = [int(count) for count in chosen.counts.split(",")]
    curves: dict[str, list[list[float]]] = {order: [] for order in ORDERS}
    with Project.open(chosen.project, read_only=True) as truth, tempfile.TemporaryDirectory() as folder:
        person = Person(truth)
        for seed in range(chosen.seeds):
            settings = [f"schedule.seed={seed}", f"schedule.steps={chosen.steps}", *chosen.settings]
            config = RiseConfig.preset(chosen.preset).with_settings(settings)
            for order in ORDERS:
                curves[order].append(one_curve(person, Path(folder), config, counts, order))
                if chosen.json is not None:
                    chosen.json.write_text(json.dumps({"counts": counts, "curves": curves}, indent=1))
    print(f"mask AP on {chosen.project.name}'s hold-out, {chosen.seeds} seeds, {chosen.steps} steps a round")
    print("frames   " + "   ".join(f"{order:>14}" for order in ORDERS) + "   difference")
    for place, count in enumerate(counts):
        columns = [np.array([curve[place] for curve in curves[order]]) for order in ORDERS]
        cells = "   ".join(f"{column.mean():8.1f} ± {column.std():3.1f}" for column in columns)
        print(f"{count:6}   {cells}   {(columns[0] - columns[1]).mean():+.1f}")


if __name__ == "__main__":
    main()
