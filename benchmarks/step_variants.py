"""The same training steps in several ways, in turns: what each costs, and how far its gradients are from plain ones.

python benchmarks/step_variants.py [--variants plain bf16 checkpointing compiled] [--preset laptop] [--device cpu]
                                   [--repeats 5] [--threads 1]

On a CPU, seconds of CPU time for each thread, which mean something on a busy machine too; on a GPU, of the clock. The
first round, which also compiles where that is asked for (minutes on a CPU), is not counted. `compiled` compiles the
backbone, `bf16` is optimiser.bf16, `checkpointing` is model.checkpointing. Gradients are compared on the first step.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import torch
from torch import Tensor, nn
from training import LABELLED, clock, drawn_project, wait

from rise_engine.config import RiseConfig
from rise_engine.resources import starter_path
from rise_engine.training.trainer import Trainer

SETTINGS = {
    "plain": [],
    "bf16": ["optimiser.bf16=true"],
    "checkpointing": ["model.checkpointing=true"],
    "compiled": [],
}
SCENES = 3
"""Different steps, taken in turn: views differ in size."""


def gradient_of(model: nn.Module) -> Tensor:
    """All gradients as one row."""
    return torch.cat([tensor.grad.flatten() for tensor in model.parameters() if tensor.grad is not None])


def main() -> None:
    """Prints a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--variants", nargs="+", choices=SETTINGS, default=["plain", "bf16", "checkpointing"])
    parser.add_argument("--preset", default="laptop")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    device = torch.device(options.device)
    weights = "starter" if options.preset == "laptop" and starter_path() is not None else "none"
    config = RiseConfig.preset(options.preset).with_settings([f"weights={weights}", f"device={device}"])
    with TemporaryDirectory() as folder, drawn_project(Path(folder), config, LABELLED + 8) as project:
        trainers = {name: Trainer(project, config.with_settings(SETTINGS[name])) for name in options.variants}
        if "compiled" in trainers:
            trainers["compiled"].learner.model.backbone.net.compile()  # type: ignore[operator, union-attr]
        first = next(iter(trainers.values()))
        first.source.fill_bank()
        start = config.schedule.unsupervised_after
        scenes = [first.sequences(start + step) for step in range(SCENES)]
        seconds: dict[str, list[float]] = {name: [] for name in trainers}
        gradients: dict[str, Tensor] = {}
        for repeat in range(options.repeats + 1):
            for name, trainer in trainers.items():
                learner = trainer.learner
                wait(device)
                began = clock(device)
                learner.gradients(start + repeat, *scenes[repeat % SCENES])
                wait(device)
                if repeat:
                    seconds[name].append(clock(device) - began)
                else:
                    gradients[name] = gradient_of(learner.model)
                learner.optimiser.zero_grad(set_to_none=True)
    plain = next(iter(gradients.values())).double()
    print(f"{options.preset} on {device}, {options.threads} thread(s), {options.repeats} rounds")
    print(f"{'':16}{'median':>10}{'best':>10}{'of the first':>14}{'gradients: cosine':>20}{'length':>9}")
    baseline = median(seconds[options.variants[0]])
    for name, taken in seconds.items():
        own = gradients[name].double()
        cosine = float(torch.dot(own, plain) / own.norm() / plain.norm())
        print(
            f"{name:16}{median(taken):8.3f} s{min(taken):8.3f} s{median(taken) / baseline:14.2f}{cosine:20.6f}"
            f"{float(own.norm() / plain.norm()):9.4f}"
        )


if __name__ == "__main__":
    main()
