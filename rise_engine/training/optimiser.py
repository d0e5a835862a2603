"""AdamW with a smaller rate for the backbone, a short warm-up and one decay (paper, App. A; IDOL)."""

from __future__ import annotations

import torch
from torch import nn

from rise_engine.config import OptimiserConfig


def build_optimiser(model: nn.Module, config: OptimiserConfig) -> torch.optim.AdamW:
    """AdamW on every trainable tensor; names that begin with ``backbone`` have ``backbone_factor`` of the rate."""
    trainable = [(name, tensor) for name, tensor in model.named_parameters() if tensor.requires_grad]
    backbone = [tensor for name, tensor in trainable if name.startswith("backbone")]
    others = [tensor for name, tensor in trainable if not name.startswith("backbone")]
    groups = [
        {"params": others, "factor": 1.0},
        {"params": backbone, "factor": config.backbone_factor},
    ]
    return torch.optim.AdamW(
        [group for group in groups if group["params"]],
        lr=config.learning_rate,
        weight_decay=config.weight_decay,
        foreach=True,
    )


def learning_rate(step: int, steps: int, config: OptimiserConfig) -> float:
    """The learning rate at a step: linear warm-up, constant, and a tenth after ``decay_at`` of the schedule."""
    rate = config.learning_rate
    if step < config.warmup_steps:
        rate *= (step + 1) / (config.warmup_steps + 1)
    return rate * 0.1 if step >= config.decay_at * steps else rate


def set_learning_rate(optimiser: torch.optim.Optimizer, rate: float) -> None:
    """Sets every group's rate to ``rate`` times the group's factor."""
    for group in optimiser.param_groups:
        group["lr"] = rate * group["factor"]
