"""A training that teaches itself from a single labelled frame does not end in one mask everywhere."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
import torch

from rise_engine.config import RiseConfig
from rise_engine.evaluation.coco import evaluate
from rise_engine.evaluation.ground_truth import ground_truth_of
from rise_engine.formats.coco.results import OBJECT_CATEGORY, coco_results
from rise_engine.prediction.load import load_model
from rise_engine.prediction.predict import predict_frames
from rise_engine.project.project import Project
from rise_engine.project.records import FrameState, Instance, Split
from rise_engine.project.segmentation import from_mask, to_mask
from rise_engine.synthetic.samples import write_sample_folder
from rise_engine.training.events import Finished, Thresholds
from rise_engine.training.trainer import Trainer

# Small pictures for speed. Everything that lets a network believe itself is turned up: a high rate, a weight of
# pseudo-labels far above the default, a teacher that follows at once, and no time with labels alone. The rate falls at
# the end, as such a teacher evens nothing out: the last step would else decide how good both are.
SETTINGS = (
    "device=cpu",
    "loader.short_sides=[128]",
    "loader.crop=160",
    "loader.predict_short_side=128",
    "loader.predict_long_side=176",
    "optimiser.learning_rate=0.0003",
    "optimiser.decay_at=0.6667",
    "pseudo_labels.ema=0.9",
    "loss.unsupervised=8",
    "loss.equal_objects=false",
    "schedule.steps=40",
    "schedule.unsupervised_after=0",
    "schedule.holdout_every=1000",
)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """One labelled frame, eleven unlabelled ones, and four held out."""
    drawn = write_sample_folder(tmp_path / "totes", count=16, seed=5, size=(192, 256))
    project = Project.create(tmp_path / "totes.rise", tmp_path / "totes")
    project.scan()
    category = project.annotations.add_category("object").id
    for position, (record, frame) in enumerate(zip(project.frames.all(), drawn, strict=True)):
        if position == 0 or position >= 12:
            shapes = [Instance(None, record.id, category, from_mask(mask)) for mask in frame.masks]
            project.annotations.add(record.id, shapes)
            project.frames.set_state(record.id, FrameState.LABELLED)
    project.frames.set_split([record.id for record in project.frames.all()[12:]], Split.HOLDOUT)
    return project


def measure(project: Project, weights: Path) -> tuple[float, float]:
    """AP50 on the hold-out, and how many objects of a score above 0.3 a frame has that differ from each other."""
    holdout = [record.id for record in project.frames.all(split=Split.HOLDOUT)]
    loaded = load_model(weights, device="cpu")
    results, different = [], []
    for frame, found in predict_frames(loaded, project, holdout):
        results += coco_results(frame, found, [OBJECT_CATEGORY["id"]])
        masks = [to_mask(one.rle, 192, 256) for one in found if one.score > 0.3]
        doubles = sum((a & b).sum() > 0.8 * (a | b).sum() for a, b in combinations(masks, 2))
        different.append(len(masks) - doubles)
    scores = evaluate(ground_truth_of(project, holdout), results, class_agnostic=True).mask
    return scores.ap50, float(np.mean(different))


def train(project: Project, *settings: str) -> tuple[Path, list[int]]:
    """The weights at the end, and how many pseudo-labels each step had."""
    config = RiseConfig.preset("laptop").with_settings([*SETTINGS, *settings])
    events = list(Trainer(project, config).run())
    finished = events[-1]
    assert isinstance(finished, Finished) and finished.skipped == 0
    kept = [round(event.after_matching) for event in events if isinstance(event, Thresholds)]
    return Path(finished.folder) / "weights.safetensors", kept


@pytest.mark.slow
def test_believing_itself_makes_the_network_better_than_its_one_label_does(project: Project) -> None:
    weights, kept = train(project)
    assert np.mean(kept[-10:]) > 1, "to the end it learnt from its own predictions"
    alone, none = train(project, "schedule.supervised_only=true")
    assert not none
    ap50, objects = measure(project, weights)
    ap50_alone, objects_alone = measure(project, alone)
    assert ap50 > ap50_alone, "it gained by what it taught itself"
    assert objects > 0.6 * objects_alone
