"""What `rise train` says about the run that it made."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from rise_engine.cli import app
from rise_engine.commands.train import new_config
from rise_engine.errors import RiseError
from rise_engine.project.project import Project
from rise_engine.project.records import FrameState, Instance, Split
from rise_engine.project.segmentation import from_mask
from rise_engine.synthetic import write_sample_folder
from rise_engine.training.events import ToBeat

TINY = [
    "weights=none", "model.hidden_dim=32", "model.encoder_layers=1", "model.decoder_layers=1", "model.num_queries=12",
    "model.num_heads=4", "model.feedforward_dim=32", "loader.short_sides=[64]", "loader.crop=96",
    "loader.predict_short_side=64", "loader.predict_long_side=96",
]  # fmt: skip


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Four drawn totes, two of them labelled and one of those held out."""
    frames = write_sample_folder(tmp_path / "totes", count=4, seed=3, size=(96, 128))
    with Project.create(tmp_path / "totes.rise", tmp_path / "totes") as opened:
        opened.scan()
        category = opened.annotations.add_category("object").id
        for record, frame in list(zip(opened.frames.all(), frames, strict=True))[:2]:
            shapes = [Instance(None, record.id, category, from_mask(mask)) for mask in frame.masks]
            opened.annotations.add(record.id, shapes)
            opened.frames.set_state(record.id, FrameState.LABELLED)
        opened.frames.set_split([opened.frames.all()[1].id], Split.HOLDOUT)
    return tmp_path / "totes.rise"


def trained(project: Path, *more: str) -> str:
    settings = [word for setting in TINY for word in ("--set", setting)]
    result = CliRunner().invoke(
        app, ["train", str(project), "--preset", "laptop", "--device", "cpu", "--steps", "1", *settings, *more]
    )
    assert result.exit_code == 0, result.output
    return result.output


def test_it_says_which_run_is_in_use_afterwards(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "run 1" not in trained(project).split("finished")[1]
    monkeypatch.setattr(
        "rise_engine.training.trainer.score_to_beat", lambda *_, **__: ToBeat(0, run=1, ap=99.0, ap50=99.0)
    )
    said = " ".join(trained(project).split())
    assert "less than run 1 (99.0), which stays in use" in said
    assert "--use N" in said
    monkeypatch.setattr("rise_engine.training.trainer.score_to_beat", lambda *_, **__: None)
    assert "replaces run 1 as the run in use. The two were not compared" in " ".join(trained(project).split())


def test_it_says_that_steps_changed_nothing(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.nn.utils.clip_grad_norm_", lambda *_: float("inf"))
    assert "1 step had infinite or NaN gradients and changed nothing" in " ".join(trained(project).split())


def test_the_device_may_be_a_setting_too() -> None:
    assert new_config("laptop", "recommended", "auto", ["device=cpu"]).device == "cpu"
    assert new_config("laptop", "recommended", "cpu", ["device=auto"]).device == "cpu"


def test_a_resumed_run_keeps_its_recipe(project: Path) -> None:
    result = CliRunner().invoke(app, ["train", str(project), "--resume", "--recipe", "paper"])
    assert isinstance(result.exception, RiseError)
    assert "keeps the settings and frames" in str(result.exception)
