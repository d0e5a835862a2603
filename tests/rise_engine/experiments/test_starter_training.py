"""The starter's training writes weights that predict, and continues from its state."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from safetensors import safe_open

from rise_engine.config import RiseConfig
from rise_engine.experiments.starter_frames import DRAWN, draw, render
from rise_engine.experiments.starter_training import LAST_STRETCH, StarterPlan, StarterTrainer, rate_factor


def test_the_rate_rises_stays_and_falls_to_zero() -> None:
    assert rate_factor(0.0, 0) == pytest.approx(0.01)
    assert rate_factor(0.5, 1000) == 1
    assert rate_factor(LAST_STRETCH, 1000) == 1
    assert 0 < rate_factor(0.95, 1000) < 0.2
    assert rate_factor(1.0, 1000) == pytest.approx(0)


@pytest.mark.slow
def test_training_continues_from_its_state(tmp_path: Path) -> None:
    render(tmp_path / "frames", DRAWN, draw, first=0, count=2, seed=1)
    plan = StarterPlan(
        frames=tmp_path / "frames",
        shares={DRAWN: 1.0},
        out=tmp_path / "starter.safetensors",
        state=tmp_path / "state",
        weights=None,
        backbone=None,
        minutes=0.0005,
        batch=1,
        rate=1e-4,
        seed=0,
    )
    config = RiseConfig.preset("laptop", "idol")
    StarterTrainer(config, plan).train()
    with safe_open(str(plan.out), framework="pt") as file:
        metadata = file.metadata()
    assert metadata["frames"] == "1"
    again = StarterTrainer(config, replace(plan, minutes=0.0005))
    assert again.state.step == 1
    again.train()
    assert again.state.step == 2
