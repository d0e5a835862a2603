"""Cost of a pseudo-sequence: reading its frame, planning it on the CPU, and rendering its views on a device.

    python benchmarks/scenes.py [--device cpu] [--scenes 16] [--frames 6] [--presets laptop r50]

Drawn totes, written as JPEG files a little larger than a step takes them; no data are needed. Times are CPU seconds of
one thread, medians over the scenes; on a GPU drawing is timed by the clock as well, over all scenes and with one wait
at the end. ``loader.workers`` threads read and plan while the network learns, so that only drawing is part of a step:
the device waits for data when reading and planning a step's frames, shared by the threads, takes longer than the step.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from rise_engine.config import RiseConfig
from rise_engine.project.project import Project
from rise_engine.project.records import Instance
from rise_engine.project.segmentation import from_mask
from rise_engine.pseudo_sequences.bank import InstanceBank
from rise_engine.pseudo_sequences.from_project import read_for_training
from rise_engine.pseudo_sequences.sequence import SequenceMaker
from rise_engine.pseudo_sequences.source_frame import SourceFrame
from rise_engine.synthetic import draw_tote

MARGIN = 1.15
"""Frames are this much larger than training needs them, so that reading them resizes."""


class Operators(TorchDispatchMode):
    """Counts what is sent to the device."""

    count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.count += 1
        return func(*args, **(kwargs or {}))


def cpu_milliseconds(work: Callable[[int], object], count: int) -> float:
    took = []
    for index in range(count):
        began = time.process_time()
        work(index)
        took.append(time.process_time() - began)
    return 1000 * median(took)


def project_of_totes(folder: Path, frames: int, side: int) -> Project:
    from PIL import Image

    images = folder / "images"
    images.mkdir()
    rng = np.random.default_rng(0)
    totes = [draw_tote(rng, size=(side, side * 4 // 3)) for _ in range(frames)]
    for index, tote in enumerate(totes):
        Image.fromarray(tote.image).save(images / f"{index}.jpg", quality=92)
    project = Project.create(folder / "totes.rise", images)
    project.scan()
    category = project.annotations.add_category("object").id
    for frame, tote in zip(project.frames.all(), totes, strict=True):
        masks = [from_mask(mask) for mask in tote.masks]
        project.annotations.add(frame.id, [Instance(None, frame.id, category, mask) for mask in masks])
    return project


def measure(preset: str, device: torch.device, scenes: int, frames: int) -> None:
    config = RiseConfig.preset(preset)
    loader = config.loader
    with TemporaryDirectory() as folder:
        project = project_of_totes(Path(folder), frames, round(MARGIN * max(loader.short_sides)))
        ids = [frame.id for frame in project.frames.all()]
        reading = cpu_milliseconds(lambda index: read_for_training(project, ids[index % frames], config), scenes)
        labelled = [read_for_training(project, frame, config) for frame in ids]
        project.close()
    bank = InstanceBank(config.sequence.bank_capacity)
    for frame in labelled:
        bank.add_frame(frame, min_area=config.sequence.min_area)
    packing = cpu_milliseconds(lambda index: SourceFrame.of(labelled[index % frames]), scenes)
    stills = [SourceFrame.of(frame) for frame in labelled]
    maker = SequenceMaker(config.sequence, config.augment, loader, device=device)
    planning = cpu_milliseconds(
        lambda index: maker.plan(stills[index % frames], bank, np.random.default_rng(index)), scenes
    )
    plans = [maker.plan(stills[index % frames], bank, np.random.default_rng(index)) for index in range(scenes)]
    with Operators() as operators:
        for plan in plans:
            maker.render(plan)
    drawing = cpu_milliseconds(lambda index: maker.render(plans[index]), scenes)
    masks = sum(frame.masks.nbytes for frame in labelled) / frames
    maps = sum(still.objects.layers.nbytes for still in stills) / frames
    a_step = loader.labelled_per_step + loader.unlabelled_per_step
    print(f"{preset}: {a_step} frames a step, {np.mean([len(frame.masks) for frame in labelled]):.0f} objects a frame")
    print(f"  read a frame     {reading:7.1f} ms   and pack its masks {packing:.1f} ms, once for each time it is read")
    print(f"  plan a scene     {planning:7.1f} ms   in a thread of loader.workers ({loader.workers})")
    print(f"  draw a scene     {drawing:7.1f} ms   on {device}, {operators.count / scenes:.0f} operators")
    print(
        f"  a step           {a_step * (reading + packing + planning) / 1000:7.2f} s    of reading and planning at most"
    )
    print(f"  masks of a frame {maps / 1e6:7.2f} MB   as an integer map; {masks / 1e6:.2f} MB as one mask each")
    if device.type == "cuda":
        pinned = [plan.pinned() for plan in plans]
        torch.cuda.synchronize()
        began = time.perf_counter()
        for plan in pinned:
            maker.render(plan)
        sent = time.perf_counter() - began
        torch.cuda.synchronize()
        done = time.perf_counter() - began
        sent, done = 1000 * sent / scenes, 1000 * done / scenes
        print(f"  on the GPU       {done:7.1f} ms   a scene by the clock, {sent:.1f} ms of it to ask for it")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cpu", type=torch.device)
    parser.add_argument("--scenes", type=int, default=16)
    parser.add_argument("--frames", type=int, default=6)
    parser.add_argument("--presets", nargs="+", default=["laptop", "r50"])
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    for preset in arguments.presets:
        measure(preset, arguments.device, arguments.scenes, arguments.frames)


if __name__ == "__main__":
    main()
