"""What a person saves: actions to correct predictions against actions to draw everything.

The labels of PROJECT play the person. A few of its frames are labelled, a network trains on them and on the unlabelled
rest, and predicts the hold-out frames. Accepting or rejecting a prediction is 1 action, drawing an object 15.

    python benchmarks/person.py PROJECT                 # two minutes of training
    python benchmarks/person.py PROJECT --minutes 15    # five frames, fifteen minutes
    python benchmarks/person.py PROJECT --run 3         # a run that is there already, nothing is trained
"""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from labelled_project import Person, train
from pycocotools import mask as rle_codec

from rise_engine.config import RiseConfig
from rise_engine.inference import LoadedModel, load_model, predict_frames
from rise_engine.project.project import Project
from rise_engine.project.review_queue import rank_frames
from rise_engine.project.segmentation import from_mask, to_mask

CLICK, DRAW = 1, 15


@dataclass(frozen=True, slots=True)
class Work:
    """What it takes to make frames right."""

    accepted: int
    rejected: int
    drawn: int

    @property
    def actions(self) -> int:
        return CLICK * (self.accepted + self.rejected) + DRAW * self.drawn

    @property
    def alone(self) -> int:
        """Actions to draw everything."""
        return DRAW * (self.accepted + self.drawn)


def correct(person: Person, loaded: LoadedModel, *, score: float, iou: float) -> Work:
    """Goes through the predictions of the test frames, best first: right ones are accepted, others rejected.

    A prediction is right when its mask has at least this ``iou`` with an object that has none yet.
    """
    accepted = rejected = objects = 0
    for frame, found in predict_frames(loaded, person.truth, person.test, min_score=score):
        height, width = person.truth.image(frame).shape[:2]
        known = [one for one in person.truth.instances(frame) if not one.crowd]
        truth = [from_mask(to_mask(one.segmentation, height, width)) for one in known]
        objects += len(truth)
        matched = np.zeros(len(truth), bool)
        for prediction in found:
            overlap = rle_codec.iou([prediction.rle], truth, [0] * len(truth))[0] if truth else np.zeros(0)
            overlap = np.where(matched, 0.0, overlap)
            if len(overlap) and overlap.max() >= iou:
                matched[int(overlap.argmax())] = True
                accepted += 1
            else:
                rejected += 1
    return Work(accepted, rejected, objects - accepted)


def first_frames(project: Project, count: int) -> list[str]:
    """The frames that the review queue proposes before any label."""
    return [entry.frame.name for entry in rank_frames(project, top=count)]


def main() -> None:
    """Trains where asked, and prints a row for each way of counting."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("project", type=Path, help="with labels on all frames, and a hold-out")
    parser.add_argument("--frames", type=int, default=5, help="how many frames are labelled, by the queue's choice")
    parser.add_argument("--minutes", type=float, default=2.0, help="of training")
    parser.add_argument("--run", type=int, help="count for this run of PROJECT instead of training")
    parser.add_argument("--preset", default="laptop")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    chosen = parser.parse_args()
    torch.set_num_threads(chosen.threads)
    with Project.open(chosen.project, read_only=True) as truth, tempfile.TemporaryDirectory() as folder:
        person = Person(truth)
        if chosen.run is not None:
            loaded = load_model(truth.run(chosen.run).folder)
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
        for iou in (0.5, 0.75):
            for score in (0.3, 0.4, 0.5, 0.6):
                work = correct(person, loaded, score=score, iou=iou)
                print(
                    f"right from IoU {iou}, shown from score {score}: accept {work.accepted}, reject {work.rejected}, "
                    f"draw {work.drawn}: {work.actions} actions, {100 * work.actions / max(1, work.alone):.0f} % of "
                    f"drawing everything (wanted <= 50 %)"
                )


if __name__ == "__main__":
    main()
