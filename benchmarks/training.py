"""Where the time of a RISE step goes, and how far it is from what the machine could do.

python benchmarks/training.py [--preset laptop] [--recipe recommended] [--device cpu] [--steps 3] [--threads 1]
                              [--set section.key=value ...]

Trains on drawn totes, from the step at which the unlabelled frames come in; no data are needed. `laptop` starts from
the starter weights where they are, all others from random ones. Each stage is timed by itself (on a GPU the device is
waited for at every change of stage), by the clock and by the CPU's, whose shares mean something on a busy machine too.
Frames are decoded anew for every step, as they are in a folder that is too large to be kept. Then whole steps are timed
without a stop inside; on a GPU the profiler tells how much of that it worked.

The floor: the operations of a step at the rate of a large matrix product here; the bytes that its operations read and
write, each for itself, at the rate of a large copy; and the slower of both for each. Sparse products and sampling count
by their bytes alone. On a CPU these rates, too, are a second of CPU time.
"""

from __future__ import annotations

import argparse
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import wraps
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry

from rise_engine.config import RiseConfig
from rise_engine.method import association, losses, matching, supervised, teacher, unsupervised, view_transfer
from rise_engine.method.extensions import test_time
from rise_engine.project.project import Project
from rise_engine.project.records import FrameState, Instance
from rise_engine.project.segmentation import from_mask
from rise_engine.resources import starter_path
from rise_engine.synthetic import write_sample_folder
from rise_engine.training.trainer import Trainer

STAGES = (
    "decode", "scene making", "transfer", "forward", "teacher", "pseudo-labels", "matching", "losses", "backward",
    "optimiser",
)  # fmt: skip
LABELLED = 4
MARGIN = 1.15
"""Frames are drawn a little larger than a step takes them, so that reading them resizes."""


@dataclass
class Stopwatch:
    """Exclusive times: a stage that begins within another stops the outer one until it ends."""

    device: torch.device
    wall: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    used: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    _open: list[str] = field(default_factory=list)
    _since: tuple[float, float] = (0.0, 0.0)

    def _turn(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        now = (time.perf_counter(), time.process_time())
        if self._open:
            self.wall[self._open[-1]] += now[0] - self._since[0]
            self.used[self._open[-1]] += now[1] - self._since[1]
        self._since = now

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        self._turn()
        self._open.append(name)
        try:
            yield
        finally:
            self._turn()
            self._open.pop()

    def timed(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function, which now counts as the stage."""

        @wraps(function)
        def wrapped(*args: Any, **options: Any) -> Any:
            with self.stage(name):
                return function(*args, **options)

        return wrapped


@contextmanager
def watched(watch: Stopwatch, model: nn.Module) -> Iterator[None]:
    """Every stage of a step reports to the watch."""
    places: list[tuple[Any, str, str]] = [
        (Project, "labelled_frame", "decode"),
        (Project, "unlabelled_frame", "decode"),
        (supervised, "collate", "transfer"),
        (supervised, "known_targets", "transfer"),
        (unsupervised, "collate", "transfer"),
        (unsupervised, "known_targets", "transfer"),
        (view_transfer, "known_targets", "transfer"),
        (test_time, "collate", "transfer"),
        (teacher, "predict_augmented", "teacher"),
        (teacher, "make_pseudo_labels", "pseudo-labels"),
        (view_transfer, "merge_with_known", "pseudo-labels"),
        (losses, "assign_layers", "matching"),
        (matching, "assign_layers", "matching"),
        (association, "contrastive_queries", "matching"),
        (Tensor, "backward", "backward"),
    ]
    forward = model.forward

    def learner(*args: Any, **options: Any) -> Any:
        with watch.stage("forward") if model.training else ExitStack():
            return forward(*args, **options)

    with ExitStack() as stack:
        for owner, name, stage in places:
            stack.enter_context(patch.object(owner, name, watch.timed(stage, getattr(owner, name))))
        stack.enter_context(patch.object(model, "forward", learner))
        yield


FREE = frozenset((
    "view", "_unsafe_view", "reshape", "_reshape_alias", "expand", "permute", "transpose", "t", "select", "slice",
    "unsqueeze", "squeeze", "split", "split_with_sizes", "unbind", "chunk", "narrow", "detach", "alias", "as_strided",
    "unfold", "diagonal", "empty", "empty_like", "empty_strided", "new_empty", "new_empty_strided", "is_same_size",
    "_local_scalar_dense",
))  # fmt: skip
"""Operations that touch no memory."""


class WorkCounter(TorchDispatchMode):
    """Operations and bytes of everything that runs within, and the least time that each of them takes by itself."""

    def __init__(self, rate: float, bandwidth: float) -> None:
        super().__init__()
        self.rate, self.bandwidth = rate, bandwidth
        self.operations = self.bytes = self.floor = 0.0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        result = func(*args, **kwargs)
        packet = func._overloadpacket
        if packet.__name__ not in FREE:
            operations = _operations(packet, args, kwargs, result)
            moved = sum(_bytes(leaf) for leaf in tree_leaves((args, kwargs, result)))
            self.operations += operations
            self.bytes += moved
            self.floor += max(operations / self.rate, moved / self.bandwidth)
        return result


def _operations(packet: Any, args: Any, kwargs: Any, result: Any) -> int:
    if packet is torch.ops.aten.convolution_backward:
        # torch's own count leaves the groups out, a hundredfold for depthwise convolutions.
        gradient, weight, wanted = args[0], args[2], args[-1]
        return 2 * gradient.numel() * weight[0].numel() * sum(wanted[:2])
    counter = flop_registry.get(packet)
    return counter(*args, **kwargs, out_val=result) if counter else 0


def _bytes(value: Any) -> int:
    if not isinstance(value, Tensor):
        return 0
    if value.layout == torch.sparse_coo:
        return _bytes(value._values()) + _bytes(value._indices())
    if value.layout == torch.sparse_csr:
        return _bytes(value.values()) + _bytes(value.col_indices())
    return value.numel() * value.element_size()


def seconds(work: Callable[[], object], device: torch.device) -> float:
    """The best of some runs: what the machine can do when nobody else uses it."""
    best = float("inf")
    for _ in range(8):
        wait(device)
        began = clock(device)
        work()
        wait(device)
        best = min(best, clock(device) - began)
    return best


def clock(device: torch.device) -> float:
    """On a machine that does other things too, only the time that was given to this process says something."""
    return time.perf_counter() if device.type == "cuda" else time.process_time() / torch.get_num_threads()


def abilities(device: torch.device, *, half: bool) -> tuple[float, float]:
    """Operations a second of a matrix product, and bytes a second of a copy, reading and writing counted."""
    side = 8192 if device.type == "cuda" else 1536
    kind = torch.bfloat16 if half else torch.float32
    left, right = (torch.rand(side, side, device=device).to(kind) for _ in range(2))
    source = torch.rand(2**28 if device.type == "cuda" else 2**25, device=device)
    target = torch.empty_like(source)
    rate = 2 * side**3 / seconds(lambda: left @ right, device)
    bandwidth = 2 * source.numel() * source.element_size() / seconds(lambda: target.copy_(source), device)
    return rate, bandwidth


def wait(device: torch.device) -> None:
    """Until the device has done all that it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def drawn_project(folder: Path, config: RiseConfig, frames: int) -> Project:
    """Drawn totes, the first ones labelled."""
    short = int(max(config.loader.short_sides) * MARGIN)
    drawn = write_sample_folder(folder / "totes", count=frames, seed=0, size=(short, short * 4 // 3))
    project = Project.create(folder / "totes.rise", folder / "totes")
    project.scan()
    category = project.annotations.add_category("object").id
    for record, frame in list(zip(project.frames.all(), drawn, strict=True))[:LABELLED]:
        project.annotations.add(
            record.id, [Instance(None, record.id, category, from_mask(mask)) for mask in frame.masks]
        )
        project.frames.set_state(record.id, FrameState.LABELLED)
    return project


class Steps:
    """The steps of a training, one after the other, with nothing decoded that was not read for this step."""

    def __init__(self, trainer: Trainer) -> None:
        self.trainer = trainer
        self.step = trainer.config.schedule.unsupervised_after

    def __call__(self, watch: Stopwatch | None = None) -> None:
        self.trainer.source.release_frames()
        learner = self.trainer.learner
        if watch is None:
            learner.learn(self.step, *self.trainer.sequences(self.step))
        else:
            with watch.stage("scene making"):
                sequences = self.trainer.sequences(self.step)
            gradients = watch.timed("losses", learner.gradients)
            with patch.object(learner, "gradients", gradients), watch.stage("optimiser"):
                learner.learn(self.step, *sequences)
        self.step += 1


def print_stages(steps: Steps, repeats: int, device: torch.device) -> None:
    """A table of the stages; medians would not add up, so these are means."""
    watch = Stopwatch(device)
    with watched(watch, steps.trainer.learner.model):
        for _ in range(repeats):
            steps(watch)
    wall, used = sum(watch.wall.values()), sum(watch.used.values())
    print(f"{'stage':16}{'clock':>12}{'share':>8}{'CPU':>12}{'share':>8}")
    for stage in STAGES:
        clock, cpu = watch.wall[stage], watch.used[stage]
        print(
            f"{stage:16}{clock / repeats * 1000:9.1f} ms{clock / wall:8.1%}"
            f"{cpu / repeats * 1000:9.1f} ms{cpu / used:8.1%}"
        )
    print(f"{'all':16}{wall / repeats * 1000:9.1f} ms{'':8}{used / repeats * 1000:9.1f} ms")


def whole_step(steps: Steps, repeats: int, device: torch.device) -> float:
    """Seconds of a step that nobody watches; prints them, and how busy and how full a GPU was."""
    walls, cpus = [], []
    for _ in range(repeats):
        wait(device)
        wall, cpu = time.perf_counter(), time.process_time()
        steps()
        wait(device)
        walls.append(time.perf_counter() - wall)
        cpus.append(time.process_time() - cpu)
    print(f"\na step, unwatched: {median(walls):.3f} s, {median(cpus):.3f} s of CPU (median of {repeats})")
    if device.type != "cuda":
        return median(cpus) / torch.get_num_threads()
    torch.cuda.reset_peak_memory_stats(device)
    wait(device)
    began = time.perf_counter()
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA]) as profiler:
        steps()
        wait(device)
    wall = time.perf_counter() - began
    busy = sum(event.self_device_time_total for event in profiler.key_averages()) / 1e6
    print(f"the device worked {busy / wall:.1%} of a step and waited the rest")
    print(f"peak memory: {torch.cuda.max_memory_allocated(device) / 2**20:.0f} MiB")
    return median(walls)


def print_floor(steps: Steps, took: float, device: torch.device, *, half: bool) -> None:
    """What the step asks for against what the machine has."""
    rate, bandwidth = abilities(device, half=half)
    trainer = steps.trainer
    sequences = trainer.sequences(steps.step)
    with WorkCounter(rate, bandwidth) as work:
        trainer.learner.learn(steps.step, *sequences)
    wait(device)
    print(f"\nthis machine: {rate / 1e9:.0f} GFLOP/s in a matrix product, {bandwidth / 1e9:.1f} GB/s in a copy")
    rows = [
        ("operations", f"{work.operations / 1e9:.1f} GFLOP", work.operations / rate),
        ("bytes", f"{work.bytes / 1e9:.1f} GB", work.bytes / bandwidth),
        ("each by the slower", "", work.floor),
    ]
    for name, amount, floor in rows:
        print(f"{name:20}{amount:>14}{floor * 1000:10.1f} ms   a step takes {took / floor:.1f} times that")


def main(arguments: Sequence[str] | None = None) -> None:
    """Prints the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", default="laptop")
    parser.add_argument("--recipe", default="recommended")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--steps", type=int, default=3, help="steps timed in each way; one more warms up")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--set", dest="settings", nargs="*", default=[], metavar="section.key=value")
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    weights = "starter" if options.preset == "laptop" and starter_path() is not None else "none"
    settings = [f"weights={weights}", f"device={options.device}", *options.settings]
    config = RiseConfig.preset(options.preset, options.recipe).with_settings(settings)
    device = torch.device(options.device)
    with TemporaryDirectory() as folder:
        frames = LABELLED + max(8, config.loader.unlabelled_per_step)
        with drawn_project(Path(folder), config, frames) as project:
            # Stages are told apart only where one comes after the other.
            loader = config.loader.model_copy(update={"workers": 0})
            staged = Steps(Trainer(project, config.model_copy(update={"loader": loader})))
            staged.trainer.source.fill_bank()
            print(
                f"{options.preset}, {options.recipe}, on {device}, {options.threads} thread(s)"
                f"{', bf16' if config.optimiser.bf16 else ''}: {config.loader.labelled_per_step} labelled and "
                f"{config.loader.unlabelled_per_step} unlabelled frames a step\n",
                flush=True,
            )
            staged()
            print_stages(staged, options.steps, device)
            del staged
            steps = Steps(Trainer(project, config))
            steps.trainer.source.fill_bank()
            steps()
            took = whole_step(steps, options.steps, device)
            print_floor(steps, took, device, half=config.optimiser.bf16)


if __name__ == "__main__":
    main()
