"""Effort saved by predictions: actions to correct them against actions to draw all objects.

The labels of PROJECT simulate the annotator. A few of its frames are labelled, a network trains on them and on the
unlabelled rest, and predicts the hold-out frames. Accepting or rejecting a prediction is 1 action, drawing an object
15. A prediction is right from IoU 0.5 on, as in AP50; what it takes to be right from 0.75 on stands beside it.

    python benchmarks/person.py PROJECT                 # two minutes of training
    python benchmarks/person.py PROJECT --minutes 15    # five frames, fifteen minutes: the promise
    python benchmarks/person.py PROJECT --run 3         # a run that is there already, nothing is trained

With --suggest an object without a right prediction is first asked for with a box, which is 2 actions (the box, Enter),
and drawn by hand only where the suggestion is wrong too.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from labelled_project import Person, train
from numpy.typing import NDArray
from pycocotools import mask as rle_codec

from rise_engine.active_learning.ranking import rank_frames
from rise_engine.annotation.prompt import suggest_in_box
from rise_engine.config import RiseConfig
from rise_engine.prediction.load import LoadedModel, load_model
from rise_engine.prediction.predict import predict_frames
from rise_engine.project.project import Project
from rise_engine.project.records import PredictedInstance
from rise_engine.project.segmentation import from_mask, to_mask

CLICK, DRAW = 1, 15
SUGGEST = 2
"""A box around the object, and Enter."""
SHAKE = 0.03
"""A hand's box: each side is off by this share of its length."""
SHOWN_FROM, RIGHT_FROM, STRICT = 0.4, 0.5, 0.75
"""The Review tab's own score, the promise's IoU, and that of a person who wants it exact."""
SCORES = (0.2, 0.3, 0.4, 0.5, 0.6)


@dataclass(frozen=True, slots=True)
class Work:
    """What it takes to make frames right."""

    accepted: int
    rejected: int
    drawn: int
    suggested: int = 0
    """Objects that a box was drawn around first; those of them that were not right are among ``drawn``."""

    @property
    def actions(self) -> int:
        return CLICK * (self.accepted + self.rejected) + SUGGEST * self.suggested + DRAW * self.drawn

    def share(self, objects: int) -> float:
        """Percent of the actions that it takes to draw all objects."""
        return 100 * self.actions / max(1, DRAW * objects)


@dataclass(frozen=True, slots=True)
class Frame:
    """A test frame: the scores of its predictions, best first, and their IoU (N, M) with its objects."""

    scores: list[float]
    overlaps: NDArray[np.float64]
    suggestions: NDArray[np.float64]
    """IoU (M,) of what a box around each object suggests; empty when nobody asked."""


def look(person: Person, loaded: LoadedModel, *, suggest: bool) -> list[Frame]:
    """Predicts the test frames once, for every way of counting."""
    rng = np.random.default_rng(0)
    frames = []
    for frame, found in predict_frames(loaded, person.truth, person.test, min_score=min(SCORES)):
        image = person.truth.image(frame)
        known = [one for one in person.truth.annotations.of_frame(frame) if not one.crowd]
        masks = [to_mask(one.segmentation, *image.shape[:2]) for one in known]
        truth = [from_mask(mask) for mask in masks]
        overlaps = np.zeros((len(found), len(truth)))
        if found and truth:
            overlaps = np.asarray(rle_codec.iou([one.rle for one in found], truth, [0] * len(truth)), np.float64)
        suggested = [_suggested(image, mask, found, rng) for mask in masks] if suggest else []
        frames.append(Frame([one.score for one in found], overlaps, np.array(suggested)))
    return frames


def _suggested(
    image: NDArray[np.uint8], mask: NDArray[np.bool_], found: Sequence[PredictedInstance], rng: np.random.Generator
) -> float:
    rows, columns = np.nonzero(mask)
    if not len(rows):
        return 0.0
    sides = np.array([np.ptp(columns) + 1, np.ptp(rows) + 1] * 2)
    box = np.array([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]) + rng.normal(0, SHAKE, 4) * sides
    box = box.clip(0, [image.shape[1], image.shape[0]] * 2)
    first = suggest_in_box(image, tuple(box.tolist()), found)[:1]
    return float((first[0].mask & mask).sum() / (first[0].mask | mask).sum()) if first else 0.0


def correct(frames: Sequence[Frame], *, score: float, iou: float) -> Work:
    """Goes through the predictions from ``score`` on, best first: right ones are accepted, others rejected.

    A prediction is right when its mask has at least this ``iou`` with an object that has none yet.
    """
    accepted = rejected = drawn = suggested = 0
    for frame in frames:
        left = np.ones(frame.overlaps.shape[1], bool)
        for number, overlap in zip(frame.scores, frame.overlaps, strict=True):
            if number < score:
                break
            overlap = np.where(left, overlap, 0.0)
            if len(overlap) and overlap.max() >= iou:
                left[int(overlap.argmax())] = False
                accepted += 1
            else:
                rejected += 1
        if len(frame.suggestions):
            suggested += int(left.sum())
            left &= frame.suggestions < iou
        drawn += int(left.sum())
    return Work(accepted, rejected, drawn, suggested)


def first_frames(project: Project, count: int) -> list[str]:
    """The frames that the review queue proposes before any label."""
    return [entry.frame.name for entry in rank_frames(project, top=count)]


def main() -> None:
    """Trains where asked, prints the promise's figure, and how it depends on the score."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("project", type=Path, help="with labels on all frames, and a hold-out")
    parser.add_argument("--frames", type=int, default=5, help="how many frames are labelled, by the queue's choice")
    parser.add_argument("--minutes", type=float, default=2.0, help="of training")
    parser.add_argument("--run", type=int, help="count for this run of PROJECT instead of training")
    parser.add_argument("--suggest", action="store_true", help="ask for objects with a box before drawing them")
    parser.add_argument("--preset", default="laptop")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    chosen = parser.parse_args()
    torch.set_num_threads(chosen.threads)
    with Project.open(chosen.project, read_only=True) as truth, tempfile.TemporaryDirectory() as folder:
        person = Person(truth)
        if chosen.run is not None:
            loaded = load_model(truth.runs.get(chosen.run).folder)
            print(f"run {chosen.run} of {chosen.project}, {len(person.test)} hold-out frames")
        else:
            config = RiseConfig.preset(chosen.preset).with_settings([f"schedule.seed={chosen.seed}"])
            with person.start(Path(folder) / "few.rise") as project:
                names = first_frames(project, chosen.frames)
                person.label(project, names)
                loaded = train(project, config, minutes=chosen.minutes)
            print(f"{chosen.frames} frames, {chosen.minutes:g} minutes, {len(person.test)} hold-out frames: {names}")
        measured = person.measure(loaded)
        print(f"mask AP {measured.ap:.1f}, AP50 {measured.ap50:.1f} (wanted after 15 minutes: AP50 >= 65)")
        frames = look(person, loaded, suggest=chosen.suggest)
    objects = sum(frame.overlaps.shape[1] for frame in frames)
    work = correct(frames, score=SHOWN_FROM, iou=RIGHT_FROM)
    print(
        f"{objects} objects, predictions shown from score {SHOWN_FROM}, right from IoU {RIGHT_FROM}: "
        f"accept {work.accepted}, reject {work.rejected}, box {work.suggested}, draw {work.drawn}: {work.actions} "
        f"actions, {work.share(objects):.0f} % of drawing everything (wanted <= 50 %)"
    )
    print("percent of drawing everything, by the score that predictions are shown from:")
    print("right from   " + "".join(f"{score:8}" for score in SCORES))
    for iou in (RIGHT_FROM, STRICT):
        shares = [correct(frames, score=score, iou=iou).share(objects) for score in SCORES]
        print(f"IoU {iou:<9}" + "".join(f"{share:8.0f}" for share in shares))


if __name__ == "__main__":
    main()
