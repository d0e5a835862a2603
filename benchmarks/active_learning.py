"""AP against the number of labelled frames: the order of the review queue against a random order.

The labels of PROJECT simulate the annotator; its hold-out is for evaluation. Each round labels the next frames, trains
from the preset's own weights for the same number of steps, and predicts the rest for the next round's queue.

    python benchmarks/active_learning.py PROJECT --csv curves.csv --supervised-only --steps 150 --threads 1

Every round is a line of the CSV file as soon as it is done; the projects are kept in the folder beside it. The same
command again goes on where it was interrupted, and a larger --seeds or --counts adds to what is there. Two of them may
run at once on the same file with different --orders.
"""

from __future__ import annotations

import argparse
import csv
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import numpy as np
import torch
from labelled_project import Person, train

from rise_engine.active_learning.ranking import rank_frames
from rise_engine.active_learning.uncertainty import StrongViewDisagreement
from rise_engine.config import RiseConfig
from rise_engine.prediction.store import predict_into_store
from rise_engine.project.project import Project
from rise_engine.project.records import FrameState

ORDERS = ("queue", "random")


@dataclass(frozen=True, slots=True)
class Round:
    """A line of the CSV file: so many ``frames`` labelled by an order, and what the model reaches on the hold-out."""

    preset: str
    settings: str
    steps: int
    order: str
    seed: int
    frames: int
    ap: float
    ap50: float
    ap75: float
    minutes: float
    names: str


class Rounds:
    """The rounds that are done, in a CSV file that grows line by line."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self) -> list[Round]:
        """Every complete line."""
        if not self._path.is_file():
            return []
        with self._path.open(encoding="utf-8", newline="") as file:
            rows = [row for row in csv.DictReader(file) if None not in row.values()]
        kinds = {"steps": int, "seed": int, "frames": int, "ap": float, "ap50": float, "ap75": float, "minutes": float}
        return [Round(**{name: kinds.get(name, str)(value) for name, value in row.items()}) for row in rows]

    def add(self, done: Round) -> None:
        """Writes a line, behind the names of the columns when it is the first."""
        fresh = not self._path.exists() or not self._path.stat().st_size
        with self._path.open("a", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, [field.name for field in fields(Round)])
            if fresh:
                writer.writeheader()
            writer.writerow(asdict(done))


def next_frames(person: Person, project: Project, count: int, order: str, seed: int) -> list[str]:
    """The names of the next ``count`` frames to label; the random order is the same however often it is asked."""
    if order == "queue":
        return [entry.frame.name for entry in rank_frames(project, top=count)]
    pool = person.pool
    shuffled = [pool[index] for index in np.random.default_rng(seed).permutation(len(pool))]
    is_open = {frame.name for frame in project.frames.all(state=FrameState.UNLABELLED)}
    return [name for name in shuffled if name in is_open][:count]


def one_curve(
    person: Person, path: Path, config: RiseConfig, counts: Sequence[int], order: str, rounds: Rounds, *, settings: str
) -> None:
    """Does the rounds of one order and seed that are not in the file yet."""
    schedule = config.schedule
    key = (config.preset_name, settings, schedule.steps, order, schedule.seed)
    done = {one.frames for one in rounds.read() if (one.preset, one.settings, one.steps, one.order, one.seed) == key}
    if done.issuperset(counts):
        return
    with Project.open(path) if path.exists() else person.start(path) as project:
        for count in counts:
            if count in done:
                continue
            began = time.monotonic()
            labelled = len(project.frames.all(state=FrameState.LABELLED))
            if labelled > count:
                raise SystemExit(f"{path} has {labelled} labelled frames already, so {count} can no longer be measured")
            person.label(project, next_frames(person, project, count - labelled, order, schedule.seed))
            loaded = train(project, config)
            score = person.measure(loaded)
            rest = [frame.id for frame in project.frames.all(state=FrameState.UNLABELLED)]
            if order == "queue" and rest and count != counts[-1]:
                run = project.runs.get().number
                for _ in predict_into_store(
                    loaded, project, run, rest, measure_disagreement=StrongViewDisagreement(loaded, project)
                ):
                    pass
            minutes = (time.monotonic() - began) / 60
            names = " ".join(sorted(frame.name for frame in project.frames.all(state=FrameState.LABELLED)))
            figures = (round(score.ap, 2), round(score.ap50, 2), round(score.ap75, 2), round(minutes, 1))
            # Only now: a round that is interrupted before is done again as a whole.
            rounds.add(Round(*key, count, *figures, names))
            print(
                f"{order}, seed {schedule.seed}, {count} frames: AP {score.ap:.1f}, AP50 {score.ap50:.1f}, "
                f"{minutes:.1f} minutes",
                flush=True,
            )


def summary(rounds: Sequence[Round], counts: Sequence[int]) -> None:
    """A row for each count: mean and standard deviation of each order, and the paired difference over the seeds."""
    aps = {(one.order, one.seed, one.frames): one.ap for one in rounds}
    print("frames   " + "   ".join(f"{order:>14}" for order in ORDERS) + "   difference over the same seeds")
    for count in counts:
        found = [{seed: ap for (order, seed, n), ap in aps.items() if (order, n) == (one, count)} for one in ORDERS]
        cells = [f"{np.mean([*by.values()]):8.1f} ± {np.std([*by.values()]):3.1f}" if by else " " * 14 for by in found]
        both = sorted(found[0].keys() & found[1].keys())
        apart = [found[0][seed] - found[1][seed] for seed in both]
        told = f"{np.mean(apart):+.1f} ± {np.std(apart):.1f} of {len(both)}" if both else ""
        print(f"{count:6}   {'   '.join(cells)}   {told}")


def main() -> None:
    """Does what is missing in the file, then prints what is in it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("project", type=Path, help="with labels on all frames, and a hold-out")
    parser.add_argument("--csv", type=Path, default=Path("active_learning.csv"), help="the rounds; projects beside it")
    parser.add_argument("--counts", default="2,4,8,16", help="labelled frames after each round")
    parser.add_argument("--steps", type=int, default=150, help="of each training")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--orders", default=",".join(ORDERS), help="which to do now")
    parser.add_argument("--supervised-only", action="store_true", help="learn from the labelled frames alone: quicker")
    parser.add_argument("--preset", default="laptop")
    parser.add_argument("--set", action="append", default=[], metavar="SECTION.KEY=VALUE", dest="settings")
    parser.add_argument("--threads", type=int, default=1)
    chosen = parser.parse_args()
    torch.set_num_threads(chosen.threads)
    counts = sorted({int(count) for count in chosen.counts.split(",")})
    extra = [*(["schedule.supervised_only=true"] if chosen.supervised_only else []), *chosen.settings]
    settings, rounds = " ".join(extra), Rounds(chosen.csv)
    folder = chosen.csv.parent / f"{chosen.csv.stem}_projects"
    folder.mkdir(parents=True, exist_ok=True)
    with Project.open(chosen.project, read_only=True) as truth:
        person = Person(truth)
        for seed in range(chosen.seeds):
            fixed = [f"schedule.seed={seed}", f"schedule.steps={chosen.steps}"]
            config = RiseConfig.preset(chosen.preset).with_settings([*fixed, *extra])
            for order in chosen.orders.split(","):
                kind = f"{chosen.preset} {settings}".rstrip()
                told = "".join(letter if letter.isalnum() else "_" for letter in kind)
                path = folder / f"{order}-{seed}-{chosen.steps}-{told}.rise"
                one_curve(person, path, config, counts, order, rounds, settings=settings)
    mine = [
        one for one in rounds.read() if (one.preset, one.settings, one.steps) == (chosen.preset, settings, chosen.steps)
    ]
    print(f"mask AP on {chosen.project.name}'s hold-out, {chosen.steps} steps a round {settings}")
    summary(mine, counts)


if __name__ == "__main__":
    main()
