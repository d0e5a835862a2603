"""Trains the ``laptop`` preset's starter weights on drawn and simulated totes; no photo is ever used.

    python -m rise_engine.experiments.starter_frames FRAMES --simulated 6000 --drawn 3000
    python -m rise_engine.experiments.starter --frames FRAMES --backbone-weights FILE --out starter-laptop.safetensors

The backbone file holds ImageNet weights of the preset's backbone under timm's names. ``--weights`` continues from an
existing starter instead. ``--state FOLDER`` makes the training resumable: a later call with the same folder continues.
``--evaluate PROJECT`` prints the zero-shot AP on a project's annotated frames at the end. On a CPU, one process per
core (``torchrun --nproc-per-node 2 -m rise_engine.experiments.starter ...``) learns more in the same time than one
process with as many threads.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Annotated, Any

import typer

from rise_engine.config import RiseConfig
from rise_engine.evaluation.coco import evaluate, results_of_frames
from rise_engine.evaluation.ground_truth import ground_truth_of
from rise_engine.experiments.starter_frames import DRAWN, SIMULATED
from rise_engine.experiments.starter_training import StarterPlan, StarterTrainer
from rise_engine.formats.coco.results import OBJECT_CATEGORY
from rise_engine.prediction.load import load_model
from rise_engine.prediction.predict import predict_frames
from rise_engine.project.project import Project


def score(weights: Path, project_path: Path, names: list[str] | None) -> dict[str, Any]:
    """AP of the weights on a project's annotated frames, class-agnostic, none of them trained on."""
    with Project.open(project_path, read_only=True) as project:
        frames = [frame.id for frame in project.frames.all() if names is None or frame.name in names]
        frames = [frame for frame in frames if project.annotations.of_frame(frame)]
        results = results_of_frames(predict_frames(load_model(weights), project, frames), [OBJECT_CATEGORY["id"]])
        return evaluate(ground_truth_of(project, frames), results, class_agnostic=True).as_record()


def main(
    out: Annotated[Path, typer.Option(help="Where the weights are written.")],
    frames: Annotated[Path, typer.Option(help="Folder of rendered frames.")],
    simulated: Annotated[float, typer.Option(min=0, max=1, help="Share of simulated frames.")] = 0.5,
    backbone_weights: Annotated[Path | None, typer.Option(help="ImageNet weights under timm's names.")] = None,
    start: Annotated[Path | None, typer.Option("--weights", help="Weights of a starter to continue from.")] = None,
    state: Annotated[Path | None, typer.Option(help="Folder of the resumable state; by default next to OUT.")] = None,
    minutes: Annotated[float, typer.Option(help="Duration of the training.")] = 60.0,
    batch: Annotated[int, typer.Option(help="Frames per step.")] = 4,
    rate: Annotated[float, typer.Option(help="The learning rate.")] = 4e-4,
    workers: Annotated[int, typer.Option(help="Processes that read frames.")] = 0,
    bf16: Annotated[bool, typer.Option(help="Run the network in bfloat16.")] = False,
    seed: Annotated[int, typer.Option(help="Seed of the views and of the fresh weights.")] = 0,
    evaluate_on: Annotated[Path | None, typer.Option("--evaluate", help="A project to score on at the end.")] = None,
) -> None:
    """Train the starter weights of the laptop preset on rendered frames."""
    config = RiseConfig.preset("laptop", "idol")
    config.optimiser.backbone_factor = 0.2
    config.optimiser.clip_norm = 0.5
    config.optimiser.bf16 = bf16
    # The weights are used with the default recipe, with its sizes and its masks that follow edges.
    config.loader = RiseConfig.preset("laptop").loader
    plan = StarterPlan(
        frames=frames,
        shares={SIMULATED: simulated, DRAWN: 1 - simulated},
        out=out,
        state=out.with_suffix(".state") if state is None else state,
        weights=start,
        backbone=backbone_weights,
        minutes=minutes,
        batch=batch,
        rate=rate,
        seed=seed,
        workers=workers,
    )
    StarterTrainer(config, plan).train()
    if evaluate_on is not None and os.environ.get("RANK", "0") == "0":
        print(json.dumps(score(out, evaluate_on, None)))


if __name__ == "__main__":
    typer.run(main)
