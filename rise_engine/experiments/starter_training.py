"""Trains starter weights on rendered frames, with a checkpoint from which a later call resumes."""

from __future__ import annotations

import copy
import json
import math
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.utils.data import DataLoader

from rise_engine.config import RiseConfig
from rise_engine.experiments.starter_views import View, ViewStream
from rise_engine.method.batch import collate, pad_masks
from rise_engine.method.losses import Criterion
from rise_engine.method.targets import Targets
from rise_engine.model import build_segmenter
from rise_engine.model.weights.load import load_pretrained, save_weights
from rise_engine.project.run_folder import RunFolder
from rise_engine.training.checkpoint import TrainingState, load_state, save_state
from rise_engine.training.optimiser import build_optimiser, set_learning_rate

WARMUP_STEPS = 100
AVERAGE_DECAY = 0.998
LAST_STRETCH = 0.8
"""Share of the time after which the learning rate falls along a cosine."""
SECONDS_BETWEEN_SAVES = 180
SECONDS_BETWEEN_REPORTS = 30


@dataclass(frozen=True, slots=True)
class StarterPlan:
    """What to train on and for how long.

    ``shares``: the relative frequency of each kind of frame in ``frames``. ``weights`` are the weights to start from,
    ``backbone`` those of the backbone alone. ``minutes`` is the time of this call; the learning rate falls over its
    last fifth. ``state`` is the folder of the resumable state. ``workers`` processes read frames; with 0 the learner
    reads them itself.
    """

    frames: Path
    shares: dict[str, float]
    out: Path
    state: Path
    weights: Path | None
    backbone: Path | None
    minutes: float
    batch: int
    rate: float
    seed: int
    workers: int = 0


def rate_factor(share: float, step: int) -> float:
    """A linear warm-up, a constant stretch, then a cosine to zero, by the share of the time that has passed."""
    warm = min(1.0, (step + 1) / WARMUP_STEPS)
    if share <= LAST_STRETCH:
        return warm
    return warm * 0.5 * (1 + math.cos(math.pi * min(1.0, (share - LAST_STRETCH) / (1 - LAST_STRETCH))))


class StarterTrainer:
    """A network, its moving average, and the optimiser; continues from the state on disk if there is one.

    Under ``torchrun`` each process reads its own frames and the gradients are averaged.
    """

    def __init__(self, config: RiseConfig, plan: StarterPlan) -> None:
        self._ranks = int(os.environ.get("WORLD_SIZE", "1"))
        if self._ranks > 1:
            dist.init_process_group("gloo")
        self._rank = dist.get_rank() if self._ranks > 1 else 0
        torch.manual_seed(plan.seed)
        self._config, self._plan = config, plan
        self._device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        model = build_segmenter(config.model, pretrained_backbone=plan.backbone)
        if plan.weights is not None:
            load_pretrained(model, plan.weights)
        self._model = model.to(self._device).train()
        self._averaged = copy.deepcopy(model).requires_grad_(False)
        config.optimiser.learning_rate = plan.rate
        self._optimiser = build_optimiser(self._model, config.optimiser)
        self._criterion = Criterion(config.loss)
        self._trainable = [tensor for tensor in model.parameters() if tensor.requires_grad]
        self.state = TrainingState(step=0, steps=0)
        if RunFolder(plan.state).checkpoint.is_file():
            self.state = load_state(plan.state, model=self._model, teacher=self._averaged, optimiser=self._optimiser)

    def train(self) -> None:
        """Trains for the planned minutes; writes the state and the averaged weights regularly and at the end."""
        seconds = self._plan.minutes * 60
        views = self._views()
        began = saved = reported = time.monotonic()
        first = self.state.step
        losses: list[float] = []
        while (share := shared_clock(began, self._ranks) / seconds) < 1:
            set_learning_rate(self._optimiser, self._plan.rate * rate_factor(share, self.state.step))
            losses.append(self._step(views))
            now = time.monotonic()
            if now - reported > SECONDS_BETWEEN_REPORTS and self._rank == 0:
                pace = (now - began) / (self.state.step - first)
                print(
                    f"{(now - began) / 60:5.1f} min  step {self.state.step}  loss {np.mean(losses[-100:]):.3f}  "
                    f"{pace:.2f} s/step  skipped {self.state.skipped}",
                    flush=True,
                )
                reported = now
            if now - saved > SECONDS_BETWEEN_SAVES:
                self.save()
                saved = now
        self.save()
        if self._ranks > 1:
            dist.destroy_process_group()

    def _views(self) -> Iterator[View]:
        """The views of this process; a resumed training does not repeat those before it."""
        plan = self._plan
        stream = ViewStream(
            plan.frames,
            plan.shares,
            self._config.augment,
            seed=plan.seed * self._ranks + self._rank,
            first=2 * self.state.step * plan.batch,
        )
        prefetch = 4 * plan.batch if plan.workers else None
        return iter(DataLoader(stream, batch_size=None, num_workers=plan.workers, prefetch_factor=prefetch))

    def _step(self, views: Iterator[View]) -> float:
        """One step of the optimiser on the next views; returns the total loss."""
        drawn = [next(views) for _ in range(self._plan.batch)]
        images = collate([image for image, _ in drawn], device=self._device)
        targets = [
            self._targets(masks, images.canvas, size) for (_, masks), size in zip(drawn, images.sizes, strict=True)
        ]
        with torch.autocast(self._device.type, dtype=torch.bfloat16, enabled=self._config.optimiser.bf16):
            output = self._model(images.images, images.padding_mask)
        terms, _ = self._criterion(output, targets)
        self._optimiser.zero_grad(set_to_none=True)
        terms.total.backward()
        average_gradients(self._trainable, self._ranks)
        norm = nn.utils.clip_grad_norm_(self._trainable, self._config.optimiser.clip_norm)
        step, skipped = self.state.step, self.state.skipped
        if torch.isfinite(norm):
            self._optimiser.step()
            average(self._averaged, self._model, decay=min(AVERAGE_DECAY, (step + 1) / (step + 10)))
        else:
            skipped += 1
        self.state = replace(self.state, step=step + 1, skipped=skipped)
        return float(terms.total.item())

    def _targets(self, masks: Tensor, canvas: tuple[int, int], size: tuple[int, int]) -> Targets:
        labels = torch.zeros(len(masks), dtype=torch.long)
        return Targets.from_masks(pad_masks(masks, canvas), labels, image_size=size).to(self._device)

    def save(self) -> None:
        """Writes the resumable state, and the averaged weights in half precision, which costs no measurable AP."""
        if self._rank:
            return
        self._plan.state.mkdir(parents=True, exist_ok=True)
        save_state(self._plan.state, self.state, model=self._model, teacher=self._averaged, optimiser=self._optimiser)
        metadata = {
            "config": self._config.model.model_dump_json(),
            "loader": self._config.loader.model_dump_json(),
            "class_names": json.dumps(["object"]),
            "frames": str(self.state.step * self._plan.batch * self._ranks),
        }
        save_weights(copy.deepcopy(self._averaged).half(), self._plan.out, metadata=metadata)


def shared_clock(began: float, ranks: int) -> float:
    """Seconds since the start by the first process's clock, so that all processes end at the same step."""
    passed = torch.tensor([time.monotonic() - began], dtype=torch.float64)
    if ranks > 1:
        dist.broadcast(passed, 0)
    return float(passed)


def average_gradients(trainable: list[nn.Parameter], ranks: int) -> None:
    """Sets the gradients of every process to the mean over all processes, in one exchange."""
    if ranks == 1:
        return
    gradients = [tensor.grad if tensor.grad is not None else torch.zeros_like(tensor) for tensor in trainable]
    together = torch.nn.utils.parameters_to_vector(gradients)
    dist.all_reduce(together)
    together /= ranks
    for tensor, part in zip(trainable, together.split([tensor.numel() for tensor in trainable]), strict=True):
        tensor.grad = part.view_as(tensor)


def average(averaged: nn.Module, model: nn.Module, *, decay: float) -> None:
    """Moves the averaged weights towards the model's."""
    with torch.no_grad():
        for target, source in zip(averaged.parameters(), model.parameters(), strict=True):
            target.lerp_(source, 1 - decay)
