"""The second network takes the place of the first from the training to the files that leave the project."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from safetensors import safe_open

import rise_engine
from rise_engine.cli import main
from rise_engine.errors import RiseError
from rise_engine.model.mask2former import Mask2FormerSegmenter
from rise_engine.prediction.load import load_model
from rise_engine.project.project import Project
from rise_engine.project.records import FrameState, Instance, Split
from rise_engine.project.segmentation import from_mask
from rise_engine.synthetic import write_sample_folder
from rise_engine.training.events import Losses
from rise_engine.training.initial_weights import build_initial
from rise_engine.training.trainer import Trainer
from tests.rise_engine.tiny import TINY, tiny_config

pytest.importorskip("transformers")

MASK2FORMER = (
    *TINY,
    "model.kind=mask2former",
    "model.backbone=resnet18",
    "model.decoder_layers=2",
    "model.feedforward_dim=64",
)
STILL = [
    "augment.rotation=0",
    "augment.shift=0",
    "augment.scale=[1.0,1.0]",
    "augment.brightness=0",
    "augment.flip=false",
]
"""A labelled frame always looks the same."""

ENGINE = Path(rise_engine.__file__).parent
USERS = [
    path
    for folder in ("method", "training", "prediction", "evaluation", "active_learning")
    for path in sorted((ENGINE / folder).rglob("*.py"))
]
NEUTRAL = {
    "rise_engine.model",
    *(f"rise_engine.model.{name}" for name in ("segmenter", "device", "padding", "onnx")),
    *(f"rise_engine.model.weights.{name}" for name in ("load", "coco")),
}
"""What is the same for every network, and where weights are found."""


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def drawn_project(folder: Path, *, labelled: int, count: int, holdout: bool = False) -> Project:
    """Drawn totes of which the first are labelled, and the last one is the hold-out."""
    frames = write_sample_folder(folder / "totes", count=count, seed=3, size=(64, 96))
    project = Project.create(folder / "totes.rise", folder / "totes")
    project.scan()
    category = project.annotations.add_category("object")
    records = project.frames.all()
    for index in [*range(labelled), *([count - 1] if holdout else [])]:
        record = records[index]
        project.annotations.add(
            record.id, [Instance(None, record.id, category.id, from_mask(mask)) for mask in frames[index].masks]
        )
        project.frames.set_state(record.id, FrameState.LABELLED)
    if holdout:
        project.frames.set_split([records[-1].id], Split.HOLDOUT)
    return project


def losses_of(project: Project, *settings: str) -> list[Losses]:
    config = tiny_config(*MASK2FORMER, *settings)
    return [event for event in Trainer(project, config).run() if isinstance(event, Losses)]


@pytest.mark.parametrize("path", USERS, ids=lambda path: path.relative_to(ENGINE).as_posix())
def test_who_uses_a_network_knows_the_protocol_and_no_implementation(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    used = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module}
    assert {name for name in used if name.startswith("rise_engine.model")} <= NEUTRAL


@pytest.mark.slow
def test_it_learns_one_frame_by_heart(tmp_path: Path) -> None:
    project = drawn_project(tmp_path, labelled=1, count=2)
    losses = losses_of(
        project,
        *STILL,
        "schedule.steps=40",
        "schedule.supervised_only=true",
        "sequence.enabled=false",
        "model.freeze_stages=0",
        "optimiser.learning_rate=0.001",
        "optimiser.backbone_factor=1.0",
        "optimiser.clip_norm=5",
        "optimiser.decay_at=1.0",
    )
    totals = torch.tensor([event.total for event in losses])
    assert totals.isfinite().all()
    assert totals[-5:].mean() < 0.6 * totals[:5].mean()


def test_both_branches_and_the_association_train_it(tmp_path: Path) -> None:
    losses = losses_of(
        drawn_project(tmp_path, labelled=2, count=4),
        "schedule.steps=3",
        "schedule.unsupervised_after=1",
        "pseudo_labels.threshold_start=0.001",
        "pseudo_labels.threshold_peak=0.002",
    )
    assert len(losses) == 3
    assert all(torch.tensor([event.total, event.gradient_norm]).isfinite().all() for event in losses)
    assert max(event.association for event in losses) > 0
    assert max(event.unsupervised for event in losses) > 0


@pytest.mark.slow
def test_the_commands_train_predict_evaluate_and_export(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def rise(*arguments: str | Path) -> str:
        with pytest.raises(SystemExit) as ended:
            main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        assert not ended.value.code, captured.err
        return captured.out

    project = drawn_project(tmp_path, labelled=2, count=5, holdout=True)
    path, names = project.path, [frame.name for frame in project.frames.all()]
    project.close()
    settings = [part for setting in MASK2FORMER for part in ("--set", setting)]
    rise("train", path, "--weights", "none", "--steps", "2", "--device", "cpu", *settings)
    rise("predict", path, "--out", tmp_path / "predictions.json")
    rise("evaluate", path, "--json", tmp_path / "scores.json")
    rise("export", "coco", path, tmp_path / "annotations.json")
    rise("train", path, "--weights", "last", "--steps", "1", "--device", "cpu", *settings)

    found = json.loads((tmp_path / "predictions.json").read_text())
    assert [image["file_name"] for image in found["images"]] == names
    assert found["annotations"]
    assert json.loads((tmp_path / "scores.json").read_text())["frames"] == 1
    assert len(json.loads((tmp_path / "annotations.json").read_text())["images"]) == 3
    weights = path / "runs" / "0001-laptop" / "weights.safetensors"
    with safe_open(str(weights), framework="pt") as file:
        assert json.loads(file.metadata()["config"])["kind"] == "mask2former"
    assert isinstance(load_model(weights, device="cpu").model, Mask2FormerSegmenter)


@pytest.mark.parametrize("name", ["starter", "coco"])
def test_weights_of_a_deformable_detr_are_refused_by_name(name: str) -> None:
    config = tiny_config(*MASK2FORMER, f"weights={name}")
    with pytest.raises(RiseError, match="--weights imagenet, none"):
        build_initial(None, config)
