"""Several processes that train one network learn what a single one learns, and none waits for ever."""

from __future__ import annotations

import json
import os
import random
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from rise_engine.config import RiseConfig
from rise_engine.errors import RiseError
from rise_engine.project.project import Project
from rise_engine.project.records import FrameState, Instance, Split
from rise_engine.project.segmentation import from_mask
from rise_engine.synthetic import write_sample_folder
from rise_engine.training.distributed import Ranks, SharedMicroBatch, joined
from rise_engine.training.events import Finished
from rise_engine.training.trainer import Trainer

ROOT = Path(__file__).resolve().parents[3]

SETTINGS = [
    "weights=none",
    "device=cpu",
    "model.backbone=test_resnet",
    "model.hidden_dim=128",
    "model.encoder_layers=1",
    "model.decoder_layers=2",
    "model.num_queries=12",
    "model.num_heads=4",
    "model.feedforward_dim=64",
    "loader.short_sides=[96]",
    "loader.crop=128",
    "loader.predict_short_side=96",
    "loader.predict_long_side=128",
    "loader.labelled_per_step=2",
    "loader.unlabelled_per_step=2",
    "sequence.bank_admit=segmented",
    "loss.association_auxiliary=1.0",
    "optimiser.warmup_steps=0",
    # AdamW turns a gradient that is nothing but rounding into a step of this length, whatever its sign.
    "optimiser.learning_rate=1e-5",
    "schedule.steps=5",
    "schedule.unsupervised_after=1",
    "schedule.holdout_every=4",
    "pseudo_labels.threshold_start=0.001",
    "pseudo_labels.threshold_peak=0.002",
]
SHARED, IN_PARTS = "loader.accumulate=1", "loader.accumulate=2"
"""Two processes share one part of the step's frames, or have a part each."""

PROCESS = """
import json, sys
from pathlib import Path
import torch
from rise_engine.config import RiseConfig
from rise_engine.training.events import Progress
from rise_engine.training.distributed import joined
from rise_engine.training.trainer import Trainer
from rise_engine.project.project import Project

torch.set_num_threads(1)
with joined("cpu") as ranks:
    for job in json.loads(sys.argv[1]):
        config = RiseConfig.preset("laptop").with_settings(job["settings"])
        with Project.open(Path(job["project"]), read_only=not ranks.first) as project:
            trainer = Trainer(project, config, resume=job.get("resume", False), ranks=ranks)
            for event in trainer.run():
                # Only the last process is asked to stop.
                if isinstance(event, Progress) and event.step == job.get("stop_after") and not ranks.first:
                    trainer.stop()
            print(type(event).__name__, event.step, flush=True)
"""


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def config_with(*settings: str) -> RiseConfig:
    return RiseConfig.preset("laptop").with_settings([*SETTINGS, *settings])


def drawn_project(folder: Path) -> Project:
    """Seven drawn totes of two shapes: three are labelled, the last one is the hold-out."""
    frames = write_sample_folder(folder / "totes", count=7, seed=3, size=(96, 128))
    project = Project.create(folder / "totes.rise", folder / "totes")
    for path in sorted((folder / "totes").iterdir())[::2]:
        with Image.open(path) as picture:
            narrow = picture.crop((0, 0, 108, 96))
        narrow.save(path)
    project.scan()
    category = project.annotations.add_category("object")
    records = project.frames.all()
    for index in (0, 1, 2, 6):
        width = 108 if index % 2 == 0 else 128
        masks = [mask[:, :width] for mask in frames[index].masks]
        seen = [Instance(None, records[index].id, category.id, from_mask(mask)) for mask in masks if mask.any()]
        project.annotations.add(records[index].id, seen)
        project.frames.set_state(records[index].id, FrameState.LABELLED)
    project.frames.set_split([records[6].id], Split.HOLDOUT)
    return project


def free_port() -> int:
    """Below those that the system gives to outgoing connections, one of which might take it before it is used."""
    while True:
        port = random.randrange(20_000, 32_000)
        with socket.socket() as server, suppress(OSError):
            server.bind(("127.0.0.1", port))
            return port


def start(*arguments: str, count: int = 2) -> list[subprocess.Popen[str]]:
    """As a launcher does it."""
    port = free_port()
    return [
        subprocess.Popen(
            [sys.executable, *arguments],
            env=os.environ
            | {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(count), "OMP_NUM_THREADS": "1"}
            | {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(count)
    ]


def train_together(*jobs: dict[str, Any]) -> list[list[str]]:
    """What each of two processes says at the end of each job."""
    processes = start("-c", PROCESS, json.dumps(jobs))
    said = []
    for process in processes:
        out, errors = process.communicate(timeout=240)
        assert process.returncode == 0, errors
        said.append(out.splitlines())
    return said


def job(project: Project, *settings: str, **more: Any) -> dict[str, Any]:
    return {"project": str(project.path), "settings": [*SETTINGS, *settings], **more}


def train_alone(project: Project, *settings: str, resume: bool = False) -> None:
    assert isinstance(list(Trainer(project, config_with(*settings), resume=resume).run())[-1], Finished)


def lines_of(project: Project, kind: str) -> list[dict[str, Any]]:
    text = (project.runs.all()[-1].folder / "metrics.jsonl").read_text(encoding="utf-8")
    return [line for line in map(json.loads, text.splitlines()) if line["event"] == kind]


def assert_same_training(one: Project, other: Project) -> None:
    """Weights of the learner and its averaged teacher to 1e-5, and what was told of the steps."""
    first, second = (load_file(run.runs.all()[-1].folder / "training_state/state.safetensors") for run in (one, other))
    names = [name for name in first if name.startswith(("model.", "teacher."))]
    assert names and first.keys() == second.keys()
    apart = {name: float((first[name].double() - second[name].double()).abs().max()) for name in names}
    assert max(apart.values()) <= 1e-5, sorted(apart.items(), key=lambda item: -item[1])[:5]
    # The averaged gradients, whose directions tell more than AdamW's steps.
    mine, theirs = (
        torch.cat([tensors[name].flatten() for name in sorted(first) if name.endswith(".exp_avg")])
        for tensors in (first, second)
    )
    assert float((mine - theirs).norm()) <= 1e-3 * float(theirs.norm())
    for kind in ("Losses", "Thresholds", "HoldoutScore"):
        told, said = lines_of(one, kind), lines_of(other, kind)
        assert len(told) == len(said) > 0
        for mine, theirs in zip(told, said, strict=True):
            assert mine.keys() == theirs.keys()
            for name in mine.keys() - {"association_accuracy", "kept_histogram"}:
                wanted = theirs[name]
                if isinstance(wanted, float):
                    wanted = pytest.approx(wanted, rel=1e-4, abs=1e-6)
                assert mine[name] == wanted, (kind, mine["step"], name)


@pytest.mark.slow
def test_two_processes_learn_what_one_learns_and_one_goes_on_where_two_were_stopped(tmp_path: Path) -> None:
    """Labelled and unlabelled frames of two shapes, an averaged teacher, BatchNorm, and random negatives.

    The first training's losses are counted over both processes; the second's frames are split into parts, it is stopped
    by the process that does not write, and goes on alone.
    """
    alone, together = ([drawn_project(tmp_path / kind / name) for name in "ab"] for kind in ("alone", "together"))
    for project, setting in zip(alone, (SHARED, IN_PARTS), strict=True):
        train_alone(project, setting)
    first, second = train_together(job(together[0], SHARED), job(together[1], IN_PARTS, stop_after=2))
    assert first == second == ["Finished 5", "Finished 2"]
    train_alone(together[1], IN_PARTS, resume=True)
    for one, two in zip(alone, together, strict=True):
        assert_same_training(one, two)
        assert len(two.runs.all()) == 1
        assert any(line["after_matching"] > 0 for line in lines_of(two, "Thresholds")), "nothing was learnt from them"


CONVERSATION = """
import json, os, signal, sys
import torch
from rise_engine.errors import RiseError
from rise_engine.training.distributed import RankError, joined

with joined("cpu") as ranks:
    me = ranks.rank
    long = "x" * 5000 * (1 + me)
    assert [len(word) for word in ranks.gather(long)] == [5000, 10000]
    assert ranks.any(me == 1) and not ranks.any(False)

    tensors = [torch.full((2, 3), float(me)), torch.arange(3) + me, torch.ones(2, 2).T * me]
    ranks.broadcast(tensors)
    assert [float(tensor.sum()) for tensor in tensors] == [0, 3, 0]

    parameters = [torch.zeros(3, requires_grad=True) for _ in range(3)]
    parameters[0].grad = torch.full((3,), 1.0 + me)
    if me == 1:
        parameters[1].grad = torch.ones(3)
    ranks.sum_gradients(parameters)
    assert parameters[0].grad.tolist() == [3, 3, 3] and parameters[1].grad.tolist() == [1, 1, 1]
    assert parameters[2].grad is None, "nobody has one: the optimiser must leave it alone"

    shared = ranks.shared(0, 1)
    assert shared.total([1, me]) == [2, 1] and shared.largest([3 - me, me]) == [3, 1]
    assert ranks.shared(me, 2) is None and ranks.total([1, me]) == [2, 1]

    ranks.reseed(1, 2, me)
    assert len({tuple(row) for row in ranks.gather(torch.rand(2).tolist())}) == 2

    ranks.check_equal("settings", {"a": (1, 2)})
    disagree = lambda: ranks.check_equal("frames", [me])
    break_off = lambda: ranks.report_failure("no such picture") if me else ranks.any(True)
    for attempt in (disagree, break_off):
        try:
            attempt()
        except RankError as error:
            print(error, flush=True)
    if me == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    try:
        ranks.gather(None)
    except RiseError as error:
        print(str(error).splitlines()[0], flush=True)
        sys.exit(2)
"""


def test_processes_tell_each_other_what_went_wrong_and_none_waits_for_a_dead_one() -> None:
    processes = start("-c", CONVERSATION)
    outs = [process.communicate(timeout=240) for process in processes]
    assert [process.returncode for process in processes] == [2, -signal.SIGKILL], "\n".join(map("\n".join, outs))
    first, second = (out.splitlines() for out, _ in outs)
    assert first[0] == second[0] and "process 2 of 2 has other frames than process 1" in first[0]
    assert first[1] == "process 2 of 2 failed: no such picture"
    assert first[2].startswith("another process of this training ended or cannot be reached")


def test_the_command_speaks_once_and_exits_cleanly_in_every_process(tmp_path: Path) -> None:
    project = drawn_project(tmp_path)
    settings = [word for setting in [*SETTINGS, "schedule.steps=1"] for word in ("--set", setting)]
    words = ["-m", "rise_engine.cli", "train", str(project.path), "--device", "cpu", *settings]
    processes = start(*words)
    (said, errors), (nothing, complaints) = (process.communicate(timeout=240) for process in processes)
    assert [process.returncode for process in processes] == [0, 0], errors + complaints
    assert "Training on 3 labelled frames" in said and "Run 1 finished after 1 step" in said
    assert nothing == ""
    folder = project.runs.all()[-1].folder
    assert [run.number for run in project.runs.all()] == [1]
    assert sorted(path.name for path in folder.iterdir() if path.suffix) == [
        "config.json",
        "metrics.jsonl",
        "weights.safetensors",
    ]


@pytest.mark.parametrize("world", range(1, 9))
@pytest.mark.parametrize(("count", "micro_batches"), [(8, 8), (8, 3), (8, 1), (2, 2), (1, 1), (5, 4)])
def test_every_frame_of_a_step_belongs_to_one_process(world: int, count: int, micro_batches: int) -> None:
    owned = [Ranks(rank, world).owned(count, micro_batches) for rank in range(world)]
    assert [sum(column) for column in zip(*owned, strict=True)] == [1] * count
    for index in range(micro_batches):
        positions = range(index, count, micro_batches)
        owners = {Ranks(0, world).owner(position, micro_batches) for position in positions}
        assert sorted(owners) == [rank for rank in range(world) if any(owned[rank][position] for position in positions)]
        assert world > micro_batches or len(owners) <= 1, "it is shared only if there are more processes"
        for rank in owners:
            shared = Ranks(rank, world).shared(index, micro_batches)
            if world <= micro_batches:
                assert shared is None
            else:
                assert shared == SharedMicroBatch(Ranks(rank, world), index, micro_batches)
                assert rank % micro_batches == index, "a process shares one micro-batch only"


def test_processes_without_frames_are_refused() -> None:
    Ranks(0, 8).check_frames(labelled=8, unlabelled=8, micro_batches=8)
    Ranks(0, 8).check_frames(labelled=8, unlabelled=0, micro_batches=1)
    Ranks(0, 3).check_frames(labelled=8, unlabelled=4, micro_batches=8)
    with pytest.raises(RiseError, match=r"9 processes .* 8 labelled frames .* at most 8, .*loader.labelled_per_step=9"):
        Ranks(0, 9).check_frames(labelled=8, unlabelled=8, micro_batches=8)
    with pytest.raises(RiseError, match=r"4 processes .* 2 unlabelled .* at most 2"):
        Ranks(0, 4).check_frames(labelled=4, unlabelled=2, micro_batches=1)


def test_an_incomplete_environment_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RANK", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(RiseError, match="RANK, LOCAL_RANK, MASTER_ADDR, MASTER_PORT is not set"), joined("cpu"):
        pass
    monkeypatch.delenv("WORLD_SIZE")
    with joined("cpu") as ranks:
        assert ranks.alone and ranks.first


def test_each_process_takes_the_device_of_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    second, third = Ranks(1, 3, local=1), Ranks(2, 3, local=2)
    assert [second.device(name) for name in ("auto", "cuda", "cpu")] == ["cuda:1", "cuda:1", "cpu"]
    assert Ranks().device("cuda:1") == "cuda:1"
    with pytest.raises(RiseError, match="process 3 of this machine has no GPU of its own, as there are 2"):
        third.device("auto")
    with pytest.raises(RiseError, match="'cuda:1' cannot be shared"):
        second.device("cuda:1")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    assert second.device("auto") == "cpu"
