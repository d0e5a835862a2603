"""The next frame of a recording as the after view: which one it is, and who is who in it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from rise_engine.config import RiseConfig
from rise_engine.method.extensions.next_frame import NextFrameObjects, match_next_frame
from rise_engine.method.pseudo_labels import CascadeCounts, PseudoLabels
from rise_engine.method.targets import Targets
from rise_engine.method.unsupervised import UnsupervisedLosses, unsupervised_losses
from rise_engine.model import build_segmenter
from rise_engine.project.project import Project
from rise_engine.project.records import FrameState, Instance, Split
from rise_engine.project.segmentation import from_mask
from rise_engine.project.splits import choose_split
from rise_engine.pseudo_sequences.views import PseudoSequence
from rise_engine.training.data.source import SequenceSource
from tests.rise_engine.tiny import KEEP_UNTRAINED, tiny_config

SETTINGS = (
    *KEEP_UNTRAINED,
    "augment.brightness=0",
    "pseudo_labels.ema=null",
    "pseudo_labels.teacher_scales=[1.0]",
    "schedule.steps=10",
)
GREY = {"seq1/1.png": 10, "seq1/2.png": 60, "seq1/3.png": 110, "seq1/4.png": 160, "seq2/1.png": 210}
"""A picture's own brightness tells it apart; ``seq1/3`` is held out, and ``seq2`` has a labelled frame besides."""


def config_with(*settings: str) -> RiseConfig:
    return tiny_config(*SETTINGS, *settings)


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    for name, grey in GREY.items():
        path = tmp_path / "images" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((64, 96, 3), grey, dtype=np.uint8)).save(path)
    Image.fromarray(np.full((96, 64, 3), 250, dtype=np.uint8)).save(tmp_path / "images" / "seq2" / "2.png")
    with Project.create(tmp_path / "images.rise", tmp_path / "images") as made:
        made.scan()
        category = made.annotations.add_category("object")
        mask = np.zeros((64, 96), dtype=bool)
        mask[10:40, 12:50] = True
        for name in ("seq1/3.png", "seq1/4.png"):
            frame = made.frames.get(name)
            made.annotations.add(frame.id, [Instance(None, frame.id, category.id, from_mask(mask))])
            made.frames.set_state(frame.id, FrameState.LABELLED)
        made.frames.set_split([made.frames.get("seq1/3.png").id], Split.HOLDOUT)
        yield made


def staged(project: Project, *settings: str) -> dict[str, PseudoSequence]:
    """One sequence of every unlabelled frame, by name."""
    source = SequenceSource(project, choose_split(project), config_with("loader.unlabelled_per_step=4", *settings))
    made = [sequence for sequence in source.sequences(0, "unlabelled") if sequence is not None]
    return {sequence.name: sequence for sequence in made}


def grey_of(image: Tensor) -> int:
    return round(float(image.median()) * 255)


def test_the_after_view_is_the_next_frame_that_trains(project: Project) -> None:
    made = staged(project, "sequence.next_frame=folder")
    assert set(made) == {"seq1/1.png", "seq1/2.png", "seq2/1.png", "seq2/2.png"}
    assert {name: sequence.recorded for name, sequence in made.items()} == {
        "seq1/1.png": True,
        "seq1/2.png": True,
        "seq2/1.png": False,  # The frame after it was taken upright.
        "seq2/2.png": False,  # The last one.
    }
    assert grey_of(made["seq1/1.png"].before.image) == 10 and grey_of(made["seq1/1.png"].after.image) == 60
    assert grey_of(made["seq1/2.png"].after.image) == 160, "over the hold-out frame, to the labelled one"
    assert len(made["seq1/2.png"].after.masks) == 0, "whose labels nobody reads"
    off = staged(project)
    assert not any(sequence.recorded for sequence in off.values())
    assert all(torch.equal(off[name].before.image, made[name].before.image) for name in made)
    assert all(torch.equal(off[name].motion, made[name].motion) for name in made), "a camera that stood still"


def pseudo_labels(*masks: Tensor) -> PseudoLabels:
    count = len(masks)
    return PseudoLabels(
        masks=torch.stack(masks),
        boxes=torch.rand(count, 4),
        labels=torch.zeros(count, dtype=torch.int64),
        scores=torch.linspace(0.9, 0.5, count),
        queries=torch.arange(count) + 4,
        counts=CascadeCounts([], 12, count, count, count, cut=None, gamma_cls=0.5, quantile_level=0.0, gamma_mask=0.5),
    )


def square(top: int, left: int) -> Tensor:
    mask = torch.zeros(32, 32, dtype=torch.bool)
    mask[top : top + 8, left : left + 8] = True
    return mask


def seen_after(embeddings: list[list[float]]) -> NextFrameObjects:
    places = torch.zeros(len(embeddings), 32, 32, dtype=torch.bool)
    for place in range(len(embeddings)):
        places[place] = square(0, 2 * place)
    targets = Targets.from_masks(places, torch.arange(len(embeddings)), image_size=(32, 32))
    return NextFrameObjects(targets, torch.tensor(embeddings).reshape(-1, 2))


def who_is_who(embeddings: list[list[float]], after: list[list[float]], *pasted: Tensor) -> list[tuple[int, int]]:
    """(query of the before view, object of the next frame) of three objects before."""
    reference: Any = SimpleNamespace(embeddings=torch.zeros(1, 12, 2))
    reference.embeddings[0, 4:7] = torch.tensor(embeddings)
    known = torch.stack(pasted) if pasted else torch.zeros(0, 32, 32, dtype=torch.bool)
    labels = pseudo_labels(square(0, 0), square(0, 16), square(16, 0))
    queries, targets = match_next_frame(
        reference,
        0,
        labels,
        Targets.from_masks(known, torch.zeros(len(known)), image_size=(32, 32)),
        seen_after(after),
    )
    return list(zip(queries.tolist(), targets.labels.tolist(), strict=True))


def test_the_gate_of_equation_3_says_who_is_who() -> None:
    # The first object is the second one there, the second the first; the third looks like neither.
    assert who_is_who([[4, 0], [0, 4], [0, 0]], [[0, 4], [4, 0]]) == [(4, 1), (5, 0)]
    # The first one was pasted, and so is not in the next frame, however much something there looks like it.
    assert who_is_who([[4, 0], [0, 4], [0, 0]], [[0, 4], [4, 0]], square(0, 0)) == [(5, 0)]
    # Two that would be the same object there: the better match is.
    assert who_is_who([[4, 0], [3.9, 0], [0, 4]], [[0, 4], [4, 0]]) == [(4, 1), (6, 0)]
    assert who_is_who([[4, 0], [0, 4], [0, 0]], []) == []


def losses(model: Any, sequence: PseudoSequence, *settings: str) -> UnsupervisedLosses:
    config = config_with(*settings)
    return unsupervised_losses(model, model, [sequence], config, step=1, device=torch.device("cpu"), seed=0)


def test_the_next_frame_ties_embeddings_and_teaches_nothing_else(project: Project) -> None:
    torch.manual_seed(0)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    model = build_segmenter(config_with().model).train()
    bare = ("sequence.paste=false", "pseudo_labels.after_view=true")
    staged_one = staged(project, *bare)["seq1/1.png"]
    recorded = staged(project, *bare, "sequence.next_frame=folder")["seq1/1.png"]
    seen: list[int] = []
    hook = model.register_forward_pre_hook(lambda module, inputs: seen.append(len(inputs[0])))
    found = losses(model, recorded, *bare)
    hook.remove()
    assert seen == [1, 1, 2], "the teacher at both frames, the learner at the strong view and the next frame"
    assert bool(torch.isfinite(found.association)) and found.accuracy is None, "no pair is known"
    without = losses(model, staged_one, "sequence.paste=false")
    assert float(found.terms.total) == pytest.approx(float(without.terms.total), rel=1e-4)
    torch.set_num_threads(threads)
