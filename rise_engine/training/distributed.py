"""Training one network with several processes, each on its own device: everything that they exchange.

A launcher (``torchrun``, ``accelerate launch``) starts one process per device and sets the environment variables that
number them. Each process has the whole network and learns from some of the step's frames. Gradients are summed, so that
every process takes the same optimiser step as a single one would on all the frames. Numbers that losses are divided by
are summed as well.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from hashlib import sha256
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor

from rise_engine.errors import RiseError

SET_BY_LAUNCHER = ("RANK", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")
START_TIMEOUT = timedelta(minutes=10)
"""How long the processes wait for each other at the start, and in the sum of gradients."""
STEP_TIMEOUT = timedelta(hours=12)
"""How long the others wait while the first one measures the hold-out. A process that died is noticed at once."""
BUCKET = 2**24
"""Numbers that are summed in one operation: few enough to need little memory, many enough to keep a network busy."""


class RankError(RiseError):
    """Another process of the training failed or ended."""


@dataclass(frozen=True, slots=True)
class Ranks:
    """This process among ``world`` ones. For a single process, the default, all methods return at once.

    ``rank`` counts over all machines, ``local`` on this one. Every process must make the same calls in the same order,
    except that ``report_failure`` may take the place of any other call.
    """

    rank: int = 0
    world: int = 1
    local: int = 0
    group: Any = None
    """The process group for everything but gradients, which stays on the CPU."""

    @property
    def alone(self) -> bool:
        return self.world == 1

    @property
    def first(self) -> bool:
        """Whether this is the process that writes, measures and reports."""
        return self.rank == 0

    def device(self, name: str) -> str:
        """The device ``name`` of this process, where each process on a machine has its own; RiseError when not."""
        if self.alone or name == "cpu":
            return name
        count = torch.cuda.device_count()
        if name not in ("auto", "cuda"):
            raise RiseError(f"device {name!r} cannot be shared by {self.world} processes: use --device auto or cpu")
        if count == 0 and name == "auto":
            return "cpu"
        if self.local >= count:
            raise RiseError(
                f"process {self.local + 1} of this machine has no GPU of its own, as there are {count}: start as many "
                "processes as GPUs, or use --device cpu"
            )
        return f"cuda:{self.local}"

    def gather(self, value: Any) -> list[Any]:
        """The value of each process, in order; anything that JSON can hold. RankError when a process failed."""
        if self.alone:
            return [value]
        with _errors_of_others():
            self._check_failures()
            return self._gather_json(value)

    def total(self, numbers: Sequence[int]) -> list[int]:
        """The sum of each number over all processes. RankError when a process failed."""
        return self._reduce(torch.tensor(numbers), dist.ReduceOp.SUM).tolist()

    def any(self, value: bool) -> bool:
        """Whether the value is true in any process."""
        return self.total([int(value)])[0] > 0

    def report_failure(self, reason: str) -> None:
        """Makes the next call of all other processes raise a RankError with the reason why this one cannot go on."""
        if not self.alone:
            with suppress(RankError), _errors_of_others():
                self._check_failures(reason)

    def check_equal(self, what: str, value: Any) -> None:
        """RankError unless ``value``, which JSON can hold, is the same in all processes."""
        hashes = self.gather(sha256(json.dumps(value).encode()).hexdigest())
        for rank, other in enumerate(hashes):
            if other != hashes[0]:
                raise RankError(
                    f"process {rank + 1} of {self.world} has other {what} than process 1: start all with the same "
                    "command, on the same project folder, with the same version of the program"
                )

    def broadcast(self, tensors: Iterable[Tensor]) -> None:
        """Fills tensors, in place, with the values of the first process."""
        if not self.alone:
            _in_buckets([tensor.detach() for tensor in tensors], lambda bucket: dist.broadcast(bucket, src=0))

    def sum_gradients(self, parameters: Iterable[Tensor]) -> None:
        """Replaces each gradient by the sum over all processes; a missing one counts as zero if any process has one."""
        if self.alone:
            return
        everything = list(parameters)
        # The sum of gradients cannot report a failed process. This sum, which comes first, can.
        present = self.total([int(tensor.grad is not None) for tensor in everything])
        needed = [tensor for tensor, count in zip(everything, present, strict=True) if count]
        for tensor in needed:
            if tensor.grad is None:
                tensor.grad = torch.zeros_like(tensor)
        _in_buckets([tensor.grad for tensor in needed if tensor.grad is not None], dist.all_reduce)

    def reseed(self, *numbers: int) -> None:
        """Seeds torch with these numbers; otherwise dropout would use the same random numbers in all processes."""
        if not self.alone:
            torch.manual_seed(int(np.random.SeedSequence([*numbers]).generate_state(1, np.uint64)[0] >> 1))

    def owner(self, position: int, micro_batches: int) -> int:
        """The rank of the process that learns from the frame at a position of the step.

        The frame is in micro-batch ``position`` modulo ``micro_batches``. With no more processes than micro-batches,
        each micro-batch belongs to one process. Otherwise each process belongs to one micro-batch, and the processes of
        a micro-batch take its frames in turn.
        """
        index = position % micro_batches
        if self.world <= micro_batches:
            return index % self.world
        peers = range(index, self.world, micro_batches)
        return peers[position // micro_batches % len(peers)]

    def owned(self, count: int, micro_batches: int) -> list[bool]:
        """For each of a step's ``count`` frames of one kind, whether this process learns from it."""
        return [self.owner(position, micro_batches) == self.rank for position in range(count)]

    def check_frames(self, *, labelled: int, unlabelled: int, micro_batches: int) -> None:
        """RiseError when steps with these numbers of frames leave a process without any frame of a kind."""
        for kind, count in (("labelled", labelled), ("unlabelled", unlabelled)):
            busy = {self.owner(position, micro_batches) for position in range(count)}
            if self.world > micro_batches and count and len(busy) < self.world:
                raise RiseError(
                    f"{self.world} processes cannot share the {count} {kind} frames of a step: start at most "
                    f"{len(busy)}, or give a step more with --set loader.{kind}_per_step={self.world}"
                )

    def shared(self, index: int, micro_batches: int) -> SharedMicroBatch | None:
        """The micro-batch of an index as this process shares it with others; None where it has all its frames."""
        return None if self.world <= micro_batches else SharedMicroBatch(self, index, micro_batches)

    def _reduce(self, numbers: Tensor, operation: Any) -> Tensor:
        if not self.alone:
            with _errors_of_others():
                self._check_failures()
                dist.all_reduce(numbers, operation, group=self.group)
        return numbers

    def _check_failures(self, reason: str | None = None) -> None:
        """What every exchange begins with: RankError with the reasons when any process has one."""
        failed = torch.tensor([int(reason is not None)])
        dist.all_reduce(failed, group=self.group)
        if not failed.item():
            return
        for rank, other in enumerate(self._gather_json(reason)):
            if other is not None:
                raise RankError(f"process {rank + 1} of {self.world} failed: {other}")

    def _gather_json(self, value: Any) -> list[Any]:
        text = bytearray(json.dumps(value).encode())
        lengths = torch.zeros(self.world, dtype=torch.int64)
        lengths[self.rank] = len(text)
        dist.all_reduce(lengths, group=self.group)
        padded = text.ljust(int(lengths.max()), b"\0")
        everyone = torch.empty(self.world, len(padded), dtype=torch.uint8)
        own = torch.frombuffer(padded, dtype=torch.uint8)
        dist.all_gather(list(everyone.unbind()), own, group=self.group)
        return [json.loads(bytes(row[:length].numpy())) for row, length in zip(everyone, lengths.tolist(), strict=True)]


@dataclass(frozen=True, slots=True)
class SharedMicroBatch:
    """A micro-batch whose frames several processes have, seen by one of them.

    Every process shares one of the ``count`` micro-batches, its number being ``index``, and all call at the same time.
    """

    ranks: Ranks
    index: int
    count: int

    def total(self, numbers: Sequence[int]) -> list[int]:
        """The sum of each number over the processes that share this micro-batch."""
        return self._reduce(numbers, dist.ReduceOp.SUM)

    def largest(self, numbers: Sequence[int]) -> list[int]:
        """The largest of each number, none of which is negative."""
        return self._reduce(numbers, dist.ReduceOp.MAX)

    def _reduce(self, numbers: Sequence[int], operation: Any) -> list[int]:
        # One row per micro-batch: all processes take part, and zeros change neither a sum nor a maximum.
        table = torch.zeros(self.count, len(numbers), dtype=torch.int64)
        table[self.index] = torch.tensor(numbers)
        reduced: list[int] = self.ranks._reduce(table, operation)[self.index].tolist()
        return reduced


@contextmanager
def joined(device: str) -> Iterator[Ranks]:
    """Connects the processes that a launcher started, as the environment describes them; without any this one is alone.

    Waits for all of them. RiseError when the environment is incomplete or the others cannot be reached.
    """
    world = int(os.environ.get("WORLD_SIZE", "1"))
    if world == 1:
        yield Ranks()
        return
    missing = [name for name in SET_BY_LAUNCHER if name not in os.environ]
    if missing:
        raise RiseError(
            f"WORLD_SIZE={world} asks for several processes, but {', '.join(missing)} is not set: start them with "
            "torchrun or accelerate launch, or unset WORLD_SIZE"
        )
    ranks = Ranks(rank=int(os.environ["RANK"]), world=world, local=int(os.environ["LOCAL_RANK"]))
    cuda = ranks.device(device).startswith("cuda")
    nccl = cuda and dist.is_nccl_available()
    if cuda:
        torch.cuda.set_device(ranks.local)
    try:
        dist.init_process_group("nccl" if nccl else "gloo", timeout=START_TIMEOUT)
        group = dist.new_group(backend="gloo", timeout=STEP_TIMEOUT)
    except (RuntimeError, ValueError) as error:
        where = f"{os.environ['MASTER_ADDR']}:{os.environ['MASTER_PORT']}"
        raise RiseError(
            f"process {ranks.rank + 1} of {world} did not find the others at {where} ({_first_line(error)}): check "
            "that all were started and that the address can be reached from every machine"
        ) from error
    try:
        yield replace(ranks, group=group)
    except BaseException:
        # Gloo's threads must end before the interpreter does. NCCL might wait here for processes that have ended.
        dist.destroy_process_group(group if nccl else None)
        raise
    dist.destroy_process_group()


def _in_buckets(tensors: Sequence[Tensor], operation: Callable[[Tensor], object]) -> None:
    """Applies an in-place operation to tensors, concatenated by type into buckets."""
    with _errors_of_others():
        for bucket in _buckets(tensors):
            flat = torch.cat([tensor.flatten() for tensor in bucket])
            operation(flat)
            pieces = flat.split([tensor.numel() for tensor in bucket])
            for tensor, piece in zip(bucket, pieces, strict=True):
                tensor.copy_(piece.view_as(tensor))


def _buckets(tensors: Sequence[Tensor]) -> Iterator[list[Tensor]]:
    for kind in dict.fromkeys(tensor.dtype for tensor in tensors):
        bucket: list[Tensor] = []
        for tensor in tensors:
            if tensor.dtype != kind:
                continue
            if bucket and sum(other.numel() for other in bucket) + tensor.numel() > BUCKET:
                yield bucket
                bucket = []
            bucket.append(tensor)
        yield bucket


@contextmanager
def _errors_of_others() -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:
        if isinstance(error, torch.OutOfMemoryError):
            raise
        raise RankError(
            f"another process of this training ended or cannot be reached ({_first_line(error)}): its own output "
            "has the reason"
        ) from error


def _first_line(error: BaseException) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__
