"""Validation frames choose the best weights; a small hold-out chooses nothing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rise_engine.config import RiseConfig
from rise_engine.evaluation.coco import AveragePrecision
from rise_engine.project.project import Project
from rise_engine.project.records import Instance, Split
from rise_engine.project.segmentation import from_mask
from rise_engine.synthetic import write_sample_folder
from rise_engine.training.events import Finished, HoldoutScore
from rise_engine.training.trainer import Trainer

SETTINGS = [
    "weights=none", "device=cpu", "model.hidden_dim=32", "model.encoder_layers=1", "model.decoder_layers=1",
    "model.num_queries=12", "model.num_heads=4", "model.feedforward_dim=32", "loader.short_sides=[64]",
    "loader.crop=96", "loader.predict_short_side=64", "loader.predict_long_side=96", "schedule.steps=3",
    "schedule.holdout_every=1", "schedule.supervised_only=true",
]  # fmt: skip


def project_of(folder: Path, holdout: int) -> Project:
    """All frames are labelled; the last ones are held out."""
    frames = write_sample_folder(folder / "totes", count=holdout + 1, seed=3, size=(96, 128))
    project = Project.create(folder / "totes.rise", folder / "totes")
    project.scan()
    category = project.annotations.add_category("object").id
    for record, frame in zip(project.frames.all(), frames, strict=True):
        project.annotations.add(
            record.id, [Instance(None, record.id, category, from_mask(mask)) for mask in frame.masks]
        )
    project.frames.set_split([record.id for record in project.frames.all()[1:]], Split.HOLDOUT)
    return project


@pytest.mark.parametrize(("holdout", "measured"), [(12, 6), (11, 11)])
def test_only_validation_frames_choose_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, holdout: int, measured: int
) -> None:
    """The AP rises and falls again: 10, 30, 20."""
    seen: list[int] = []
    values = iter((10.0, 30.0, 20.0))

    def score(loaded: object, project: object, frames: list[int]) -> AveragePrecision:
        seen.extend(frames)
        ap = next(values)
        return AveragePrecision(ap, ap, ap, None, None, None)

    monkeypatch.setattr("rise_engine.training.holdout.score_holdout", score)
    trainer = Trainer(project_of(tmp_path, holdout), RiseConfig.preset("laptop").with_settings(SETTINGS))
    events = list(trainer.run())
    scores = [event for event in events if isinstance(event, HoldoutScore)]
    finished = events[-1]
    assert isinstance(finished, Finished)
    folder = Path(finished.folder)
    validation = json.loads((folder / "config.json").read_text())["validation"]
    assert {event.frames for event in scores} == {measured} == {len(set(seen))}
    if holdout == 12:
        assert [event.best for event in scores] == [True, True, False]
        assert len(validation) == 6
        best, last = folder / "best.safetensors", folder / "weights.safetensors"
        assert best.read_bytes() != last.read_bytes()
    else:
        assert not any(event.best for event in scores)
        assert validation == []
        assert not (folder / "best.safetensors").exists()
