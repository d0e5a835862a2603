"""The r50 network against transformers' Deformable DETR: time and peak memory of a forward pass and of a training step.

python benchmarks/network.py [--size 384x480] [--batch 1] [--repeats 5] [--device cpu] [--bf16] [--threads 1]
                             [--attention torch]

Both have the same ResNet-50 from timm, stem and first stage frozen, and as many layers, queries and points; weights are
random, and the two are timed alternately. A forward pass is one in evaluation without gradient; ours computes the masks
of all 300 queries, which the other does not have. A training step is forward, loss and backward, each with its own loss
of classes and boxes on all six layers for the same ten objects; ours has the masks of the matched queries and the
embeddings on top, and more dropout: inside of the feed-forward parts and in the attention weights, as Deformable DETR
was published, where transformers has none by default. On a CPU with one thread the time is that of the processor, so
that a busy machine counts less. Peak memory is measured in processes of their own, above what the weights take.
"""

from __future__ import annotations

import argparse
import gc
import logging
import multiprocessing
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from rise_engine.config import RiseConfig
from rise_engine.method.losses import Criterion
from rise_engine.method.targets import Targets
from rise_engine.model import build_segmenter

OBJECTS = 10
PARTS = ("forward, loss", "backward")
MEBIBYTE = 2**20


@dataclass(frozen=True)
class Conditions:
    """What both networks are run with."""

    height: int
    width: int
    batch: int
    device: str
    bf16: bool
    threads: int
    attention: str

    def clock(self) -> float:
        """Seconds of the processor when one thread computes, else of the wall."""
        if self.device != "cpu":
            torch.cuda.synchronize()
            return time.perf_counter()
        return time.process_time() if self.threads == 1 else time.perf_counter()

    def images(self) -> Tensor:
        generator = torch.Generator().manual_seed(1)
        return torch.rand(self.batch, 3, self.height, self.width, generator=generator).to(self.device)

    def targets(self) -> list[Targets]:
        """Rectangles with sides of a tenth to a third of the image."""
        generator = torch.Generator().manual_seed(2)
        found = []
        for _ in range(self.batch):
            masks = torch.zeros(OBJECTS, self.height, self.width, dtype=torch.bool)
            for mask in masks:
                x, y, w, h = torch.rand(4, generator=generator).tolist()
                left, top = int(x * 0.65 * self.width), int(y * 0.65 * self.height)
                mask[
                    top : top + int((0.1 + 0.23 * h) * self.height), left : left + int((0.1 + 0.23 * w) * self.width)
                ] = True
            size = (self.height, self.width)
            found.append(Targets.from_masks(masks, torch.zeros(OBJECTS, dtype=torch.int64), image_size=size))
        return [one.to(self.device) for one in found]


class Ours:
    """The r50 preset with its own criterion."""

    def __init__(self, conditions: Conditions) -> None:
        torch.manual_seed(0)
        config = RiseConfig.preset("r50")
        model = config.model.model_copy(update={"attention": conditions.attention})
        self.model = build_segmenter(model).to(conditions.device)
        self.criterion = Criterion(config.loss)
        self.images, self.targets = conditions.images(), conditions.targets()

    def forward(self) -> Tensor:
        return self.model.eval()(self.images).mask_logits

    def loss(self) -> Tensor:
        output = self.model.train()(self.images)
        terms, _ = self.criterion(output, self.targets)
        return terms.total + 1e-3 * output.embeddings.square().mean()


class Theirs:
    """Deformable DETR with box refinement and its own loss, as transformers builds it."""

    def __init__(self, conditions: Conditions) -> None:
        from transformers import DeformableDetrConfig, DeformableDetrForObjectDetection

        torch.manual_seed(0)
        settings = DeformableDetrConfig(
            use_timm_backbone=True, backbone="resnet50", use_pretrained_backbone=False, backbone_config=None,
            with_box_refine=True, auxiliary_loss=True, num_labels=1, num_queries=300,
        )  # fmt: skip
        self.model = DeformableDetrForObjectDetection(settings).to(conditions.device)
        self.images = conditions.images()
        self.labels = [{"class_labels": one.labels, "boxes": one.boxes} for one in conditions.targets()]

    def forward(self) -> Tensor:
        return self.model.eval()(pixel_values=self.images).pred_boxes

    def loss(self) -> Tensor:
        return self.model.train()(pixel_values=self.images, labels=self.labels).loss


Network = Ours | Theirs
NETWORKS: dict[str, Callable[[Conditions], Network]] = {"ours": Ours, "transformers": Theirs}


def run(network: Network, what: str, conditions: Conditions) -> list[float]:
    """Seconds of each part of a forward pass or a step."""
    half = torch.autocast(torch.device(conditions.device).type, torch.bfloat16, enabled=conditions.bf16)
    start = conditions.clock()
    if what == "forward":
        with torch.no_grad(), half:
            network.forward()
        return [conditions.clock() - start]
    with half:
        loss = network.loss()
    between = conditions.clock()
    loss.backward()
    end = conditions.clock()
    network.model.zero_grad(set_to_none=True)
    return [end - start, between - start, end - between]


def peak_memory(name: str, what: str, conditions: Conditions) -> float:
    """Mebibytes above the resting state; runs in a process of its own."""
    prepare(conditions)
    network = NETWORKS[name](conditions)
    if conditions.device != "cpu":
        run(network, what, conditions)
        resting = torch.cuda.memory_allocated()
        torch.cuda.reset_peak_memory_stats()
        run(network, what, conditions)
        return (torch.cuda.max_memory_allocated() - resting) / MEBIBYTE
    gc.collect()
    resting = _status("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # the high-water mark starts anew
    run(network, what, conditions)
    return (_status("VmHWM") - resting) / 1024


def _status(field: str) -> int:
    """Kibibytes, as Linux counts them for this process."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field):
            return int(line.split()[1])
    raise RuntimeError(f"this system does not tell {field}: peak memory on a CPU is measured on Linux only")


def prepare(conditions: Conditions) -> None:
    """The same for both, before anything is built."""
    logging.getLogger("transformers").setLevel(logging.ERROR)
    torch.set_num_threads(conditions.threads)


def main() -> None:
    """Prints a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", default="384x480", help="height x width of the images")
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--bf16", action="store_true", help="both under autocast to bfloat16")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--attention", default="torch", choices=("torch", "deformops"), help="ours, on a GPU")
    options = parser.parse_args()
    height, width = map(int, options.size.split("x"))
    conditions = Conditions(
        height, width, options.batch, options.device, options.bf16, options.threads, options.attention
    )
    prepare(conditions)
    networks = {name: build(conditions) for name, build in NETWORKS.items()}
    print(
        f"{options.batch} x {height} x {width}, {options.device}"
        f"{', bf16' if options.bf16 else ''}, {options.threads} thread(s), median of {options.repeats}"
    )
    print(f"{'':28}{'ours':>10}{'transformers':>14}{'ratio':>8}")
    for what, rows in (("forward", ("forward, all masks",)), ("step", ("training step", *PARTS))):
        times: dict[str, list[list[float]]] = {name: [] for name in networks}
        for repeat in range(options.repeats + 1):
            for name, network in networks.items():
                seconds = run(network, what, conditions)
                if repeat:  # the first run warms up
                    times[name].append(seconds)
        medians = [[statistics.median(part) for part in zip(*times[name], strict=True)] for name in NETWORKS]
        for row, ours, theirs in zip(rows, *medians, strict=True):
            print(f"{row:28}{ours * 1000:7.0f} ms{theirs * 1000:11.0f} ms{ours / theirs:8.2f}")
    del networks, network
    for what in ("forward", "step"):
        peaks = []
        for name in NETWORKS:
            with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as process:
                peaks.append(process.submit(peak_memory, name, what, conditions).result())
        print(f"{f'peak memory, {what}':28}{peaks[0]:6.0f} MiB{peaks[1]:10.0f} MiB{peaks[0] / peaks[1]:8.2f}")


if __name__ == "__main__":
    main()
