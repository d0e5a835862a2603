"""A training under autocast to bfloat16, on the CPU."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from rise_engine.config import RiseConfig
from rise_engine.project.project import Project
from rise_engine.project.records import FrameState, Instance
from rise_engine.project.segmentation import from_mask
from rise_engine.synthetic import write_sample_folder
from rise_engine.training.events import Finished, Losses, Notice
from rise_engine.training.trainer import Trainer
from tests.rise_engine.tiny import FRESH, KEEP_UNTRAINED, TINY

SETTINGS = (
    *FRESH,
    *TINY,
    *KEEP_UNTRAINED,
    "model.decoder_layers=2",
    "model.dropout=0.1",
    "schedule.steps=5",
    "schedule.unsupervised_after=1",
    "schedule.holdout_every=100",
    "schedule.preview_every=100",
    "optimiser.bf16=true",
)


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """One labelled tote and two unlabelled ones."""
    frames = write_sample_folder(tmp_path / "totes", count=3, seed=5, size=(96, 128))
    project = Project.create(tmp_path / "totes.rise", tmp_path / "totes")
    project.scan()
    category, record = project.annotations.add_category("object"), project.frames.all()[0]
    instances = [Instance(None, record.id, category.id, from_mask(mask)) for mask in frames[0].masks]
    project.annotations.add(record.id, instances)
    project.frames.set_state(record.id, FrameState.LABELLED)
    return project


@pytest.mark.parametrize("recipe", ["recommended", "paper"])
def test_half_precision_trains_all_parts_without_a_step_lost(project: Project, recipe: str) -> None:
    config = RiseConfig.preset("laptop", recipe).with_settings(SETTINGS)  # type: ignore[arg-type]

    trainer = Trainer(project, config)
    before = {name: tensor.detach().clone() for name, tensor in trainer.learner.model.state_dict().items()}
    events = list(trainer.run())

    losses = [event for event in events if isinstance(event, Losses)]
    assert len(losses) == 5
    assert all(torch.tensor([event.total, event.gradient_norm]).isfinite().all() for event in losses)
    assert not any(isinstance(event, Notice) and "skipped" in event.message for event in events)
    finished = events[-1]
    assert isinstance(finished, Finished)
    after = load_file(Path(finished.folder) / "weights.safetensors")
    assert all(tensor.isfinite().all() for tensor in after.values())
    assert {tensor.dtype for tensor in after.values() if tensor.is_floating_point()} == {torch.float32}
    for part in ("backbone", "encoder", "decoder", "class_head", "box_head", "mask_controller", "embed_head"):
        names = [name for name in after if name.startswith(part)]
        assert any(not torch.equal(before[name], after[name]) for name in names), f"{part} did not learn"


@pytest.mark.parametrize(("processor", "half", "told"), [
    ("AVX2", True, True), ("NO AVX", True, True), ("AVX512", True, False), ("SVE256", True, False),
    ("AVX2", False, False),
])  # fmt: skip
def test_a_processor_without_bfloat16_is_told_that_half_precision_is_slower(
    project: Project, monkeypatch: pytest.MonkeyPatch, processor: str, half: bool, told: bool
) -> None:
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: processor)
    config = RiseConfig.preset("laptop").with_settings([*SETTINGS, f"optimiser.bf16={half}", "schedule.steps=1"])

    notices = [event.message for event in Trainer(project, config).run() if isinstance(event, Notice)]

    assert any("optimiser.bf16=false would train faster" in notice for notice in notices) is told
