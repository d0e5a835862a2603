"""Trains the ``laptop`` preset's starter weights on totes that the project draws itself; no photo is ever seen.

    python -m rise_engine.experiments.starter --backbone-weights FILE --out resources/starter-laptop.safetensors

The backbone file holds ImageNet weights of the preset's backbone under timm's names. ``--evaluate PROJECT`` prints the
zero-shot AP on a project's annotated frames at the end. On a CPU, one process a core (``torchrun --nproc-per-node 2 -m
rise_engine.experiments.starter ...``) learns more in the same time than one process with as many threads.
"""

from __future__ import annotations

import copy
import json
import math
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import torch.distributed as dist
import typer
from torch import nn
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from rise_engine.config import RiseConfig
from rise_engine.evaluation.coco import evaluate, results_of_frames
from rise_engine.evaluation.ground_truth import ground_truth_of
from rise_engine.formats.coco.results import OBJECT_CATEGORY
from rise_engine.method.batch import collate, pad_masks
from rise_engine.method.losses import Criterion
from rise_engine.method.targets import Targets
from rise_engine.model import build_segmenter
from rise_engine.model.weights.load import load_pretrained, save_weights
from rise_engine.prediction.load import load_model
from rise_engine.prediction.predict import predict_frames
from rise_engine.project.project import Project
from rise_engine.pseudo_sequences.augment import strong_augmentation
from rise_engine.synthetic import ToteArtist
from rise_engine.training.optimiser import build_optimiser, set_learning_rate

ASPECTS = (1.0, 1.5)
"""Long over short side of the drawn frames, drawn between these."""
SIZES = ((0.0, (144, 192)), (0.4, (176, 224)), (0.7, (224, 272)))
"""From which share of the time on frames have a short side between which bounds: most is learnt on small frames."""
SMALLEST_TARGET = 24
"""Visible pixels below which an object is no target."""
RECOLOURED = 0.3
"""Share of the frames that are strongly augmented."""
WARMUP_STEPS = 100
AVERAGE_DECAY = 0.998
LAST_STRETCH = 0.75
"""Share of the time after which the learning rate falls along a cosine."""


class DrawnTotes(IterableDataset[tuple[torch.Tensor, torch.Tensor]]):
    """Endless drawn frames, as image float (3, H, W) and masks bool (N, H, W), larger as ``minutes`` pass."""

    def __init__(self, config: RiseConfig, *, minutes: float, seed: int) -> None:
        self._config = config
        self._seconds = minutes * 60
        self._seed = seed

    def __iter__(self) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        torch.set_num_threads(1)
        worker = get_worker_info()
        number = 0 if worker is None else worker.id
        artist = ToteArtist(seed=self._seed)
        began = time.monotonic()
        index = 0
        while True:
            rng = np.random.default_rng([self._seed, number, index])
            index += 1
            share = (time.monotonic() - began) / self._seconds
            low, high = next(sizes for start, sizes in reversed(SIZES) if share >= start)
            short = 16 * int(rng.integers(low // 16, high // 16 + 1))
            long = 16 * round(short * rng.uniform(*ASPECTS) / 16)
            frame = artist.draw(rng, size=(short, long))
            masks = torch.from_numpy(frame.masks)
            masks = masks[masks.flatten(1).sum(1) >= SMALLEST_TARGET]
            if not len(masks):
                continue
            image = torch.from_numpy(frame.image).permute(2, 0, 1).float() / 255
            if rng.random() < RECOLOURED:
                image = strong_augmentation(image, rng, self._config.augment)
            if rng.random() < 0.5:
                image, masks = image.flip(-1), masks.flip(-1)
            yield image, masks


def rate_factor(share: float, step: int) -> float:
    """A linear warm-up, a constant stretch, then a cosine down to nothing, by the share of the time that has passed."""
    warm = min(1.0, (step + 1) / WARMUP_STEPS)
    if share <= LAST_STRETCH:
        return warm
    return warm * 0.5 * (1 + math.cos(math.pi * min(1.0, (share - LAST_STRETCH) / (1 - LAST_STRETCH))))


def train_starter(
    config: RiseConfig,
    *,
    backbone_weights: Path | None,
    start: Path | None,
    minutes: float,
    batch: int,
    rate: float,
    workers: int,
    out: Path,
    seed: int,
) -> None:
    """Trains for a number of minutes and writes the averaged weights, in half precision, every few minutes.

    Under ``torchrun`` each process draws its own frames and the gradients are averaged.
    """
    ranks = int(os.environ.get("WORLD_SIZE", "1"))
    if ranks > 1:
        dist.init_process_group("gloo")
    rank = dist.get_rank() if ranks > 1 else 0
    torch.manual_seed(seed)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model = build_segmenter(config.model, pretrained_backbone=backbone_weights)
    if start is not None:
        load_pretrained(model, start)
    model = model.to(device).train()
    averaged = copy.deepcopy(model).requires_grad_(False)
    config.optimiser.learning_rate = rate
    optimiser = build_optimiser(model, config.optimiser)
    criterion = Criterion(config.loss)
    frames = iter(
        DataLoader(
            DrawnTotes(config, minutes=minutes, seed=seed * ranks + rank),
            batch_size=None,
            num_workers=workers,
            prefetch_factor=4 * batch,
        )
    )
    trainable = [tensor for tensor in model.parameters() if tensor.requires_grad]
    began = saved = told = time.monotonic()
    losses: list[float] = []
    step = skipped = 0
    while (share := shared_clock(began, ranks) / (minutes * 60)) < 1:
        drawn = [next(frames) for _ in range(batch)]
        images = collate([image for image, _ in drawn], device=device)
        targets = [
            Targets.from_masks(
                pad_masks(masks, images.canvas), torch.zeros(len(masks), dtype=torch.long), image_size=size
            ).to(device)
            for (_, masks), size in zip(drawn, images.sizes, strict=True)
        ]
        set_learning_rate(optimiser, rate * rate_factor(share, step))
        terms, _ = criterion(model(images.images, images.padding_mask), targets)
        optimiser.zero_grad(set_to_none=True)
        terms.total.backward()
        average_gradients(trainable, ranks)
        norm = nn.utils.clip_grad_norm_(trainable, config.optimiser.clip_norm)
        if torch.isfinite(norm):
            optimiser.step()
            average(averaged, model, decay=min(AVERAGE_DECAY, (step + 1) / (step + 10)))
        else:
            skipped += 1
        step += 1
        losses.append(terms.total.item())
        now = time.monotonic()
        if rank == 0 and now - told > 30:
            pace = (now - began) / step
            print(
                f"{(now - began) / 60:5.1f} min  step {step}  loss {np.mean(losses[-100:]):.3f}  {pace:.2f} s/step  "
                f"skipped {skipped}",
                flush=True,
            )
            told = now
        if rank == 0 and now - saved > 180:
            save_starter(averaged, config, out, frames=step * batch * ranks)
            saved = now
    if rank == 0:
        save_starter(averaged, config, out, frames=step * batch * ranks)
        print(f"{step} steps, {step * batch * ranks} drawn frames, {minutes:.0f} minutes -> {out}", flush=True)
    if ranks > 1:
        dist.destroy_process_group()


def shared_clock(began: float, ranks: int) -> float:
    """Seconds since the start by the first process's clock, so that all of them end at the same step."""
    passed = torch.tensor([time.monotonic() - began], dtype=torch.float64)
    if ranks > 1:
        dist.broadcast(passed, 0)
    return float(passed)


def average_gradients(trainable: list[nn.Parameter], ranks: int) -> None:
    """Gives every process the mean of all gradients, in one exchange."""
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


def save_starter(model: nn.Module, config: RiseConfig, out: Path, *, frames: int) -> None:
    """Writes ``model`` in half precision, which keeps the download small and costs no measurable AP."""
    metadata = {
        "config": config.model.model_dump_json(),
        "loader": config.loader.model_dump_json(),
        "class_names": json.dumps(["object"]),
        "drawn_frames": str(frames),
    }
    save_weights(copy.deepcopy(model).half(), out, metadata=metadata)


def score(weights: Path, project_path: Path, names: list[str] | None) -> dict[str, Any]:
    """AP of the weights on a project's annotated frames, class-agnostic, none of them trained on."""
    with Project.open(project_path, read_only=True) as project:
        frames = [frame.id for frame in project.frames.all() if names is None or frame.name in names]
        frames = [frame for frame in frames if project.annotations.of_frame(frame)]
        results = results_of_frames(predict_frames(load_model(weights), project, frames), [OBJECT_CATEGORY["id"]])
        return evaluate(ground_truth_of(project, frames), results, class_agnostic=True).as_record()


def main(
    out: Annotated[Path, typer.Option(help="Where the weights are written.")],
    backbone_weights: Annotated[Path | None, typer.Option(help="ImageNet weights under timm's names.")] = None,
    start: Annotated[Path | None, typer.Option("--weights", help="Weights of an earlier call to go on from.")] = None,
    minutes: Annotated[float, typer.Option(help="How long to train.")] = 60.0,
    batch: Annotated[int, typer.Option(help="Frames a step.")] = 4,
    rate: Annotated[float, typer.Option(help="The learning rate.")] = 4e-4,
    workers: Annotated[int, typer.Option(help="Processes that draw.")] = 1,
    seed: Annotated[int, typer.Option(help="Seed of the drawing and of the fresh weights.")] = 0,
    evaluate_on: Annotated[Path | None, typer.Option("--evaluate", help="A project to score on at the end.")] = None,
) -> None:
    """Train the starter weights of the laptop preset on drawn totes."""
    config = RiseConfig.preset("laptop", "idol")
    config.optimiser.backbone_factor = 0.2
    config.optimiser.clip_norm = 0.5
    train_starter(
        config,
        backbone_weights=backbone_weights,
        start=start,
        minutes=minutes,
        batch=batch,
        rate=rate,
        workers=workers,
        out=out,
        seed=seed,
    )
    if evaluate_on is not None and os.environ.get("RANK", "0") == "0":
        print(json.dumps(score(out, evaluate_on, None)))


if __name__ == "__main__":
    typer.run(main)
