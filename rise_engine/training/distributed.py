"""The processes that train one network together, each on a device of its own: all that is spoken between them.

A launcher (``torchrun``, ``accelerate launch``) starts one process a device and says in the environment who is who.
Each has the whole network and learns from its share of the step's frames; gradients are added up, so that every process
takes the same optimiser step as a single one would on all the frames. What losses divide by is counted over all.
"""

from __future__ import annotations

import json
import os
import struct
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

NAMED_BY_LAUNCHER = ("RANK", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")
MEETING = timedelta(minutes=10)
"""How long the processes wait for each other at the start, and the fast ones for the slow within a sum."""
PATIENCE = timedelta(hours=12)
"""How long the others wait while the first one measures the hold-out. A process that has died is noticed at once."""
MESSAGE = 4096
"""Bytes of a message that travel in one go; longer ones take a second round."""
BUCKET = 2**24
"""Numbers that are added up in one go: few enough to need little memory, many enough to keep a network busy."""


class RankError(RiseError):
    """Another process of the training failed, or is gone."""


@dataclass(frozen=True, slots=True)
class Ranks:
    """Who this process is among ``world`` ones; by itself, as by default, everything here costs nothing.

    ``rank`` counts over all machines, ``local`` on this one. Every process must make the same calls in the same order.
    """

    rank: int = 0
    world: int = 1
    local: int = 0
    talk: Any = None
    """The process group of messages, which stay on the CPU."""

    @property
    def alone(self) -> bool:
        return self.world == 1

    @property
    def first(self) -> bool:
        """Whether this is the one process that writes, measures and speaks."""
        return self.rank == 0

    def device(self, name: str) -> str:
        """The device called ``name``, where several processes on a machine each have their own; RiseError when not."""
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
        """What each process, in order, has to say; anything that JSON can hold.

        RankError when one says instead that it failed, or is gone.
        """
        if self.alone:
            return [value]
        said = self._exchange({"value": value})
        for rank, record in enumerate(said):
            if "failed" in record:
                raise RankError(f"process {rank + 1} of {self.world} failed: {record['failed']}")
        return [record["value"] for record in said]

    def fail(self, reason: str) -> None:
        """Tells the others, wherever they wait for each other next, why this process cannot go on."""
        if not self.alone:
            with suppress(RankError):
                self._exchange({"failed": reason})

    def any(self, mine: bool) -> bool:
        """Whether it is so for any process."""
        return mine if self.alone else any(self.gather(mine))

    def agree(self, what: str, value: Any) -> None:
        """RankError unless ``value``, which JSON can hold, is the same for all."""
        said = self.gather(sha256(json.dumps(value).encode()).hexdigest())
        for rank, other in enumerate(said):
            if other != said[0]:
                raise RankError(
                    f"process {rank + 1} of {self.world} has other {what} than process 1: start all with the same "
                    "command, on the same project folder, with the same version of the program"
                )

    def send_from_first(self, tensors: Iterable[Tensor]) -> None:
        """Fills tensors, in place, with what they hold in the first process."""
        if not self.alone:
            _in_buckets([tensor.detach() for tensor in tensors], lambda bucket: dist.broadcast(bucket, src=0))

    def add_gradients(self, parameters: Iterable[Tensor]) -> None:
        """Makes each gradient the sum of all processes'; where one has none it counts as zero, if any has one."""
        if self.alone:
            return
        everything = list(parameters)
        # A sum waits for everyone and cannot be told that one failed: that is asked first.
        present = self.gather("".join("01"[tensor.grad is not None] for tensor in everything))
        needed = [tensor for index, tensor in enumerate(everything) if any(own[index] == "1" for own in present)]
        for tensor in needed:
            if tensor.grad is None:
                tensor.grad = torch.zeros_like(tensor)
        _in_buckets([tensor.grad for tensor in needed if tensor.grad is not None], dist.all_reduce)

    def reseed(self, *numbers: int) -> None:
        """Starts torch's random numbers anew from these; dropout would else draw the same in all processes."""
        if not self.alone:
            torch.manual_seed(int(np.random.SeedSequence([*numbers]).generate_state(1, np.uint64)[0] >> 1))

    def owner(self, place: int, parts: int) -> int:
        """Which process has the frame at a place of a step whose frames are split into ``parts`` (place modulo parts).

        While there are no more processes than parts, every part is one process' own. Otherwise every process belongs
        to one part, and those of a part take its frames in turn.
        """
        part = place % parts
        if self.world <= parts:
            return part % self.world
        peers = range(part, self.world, parts)
        return peers[place // parts % len(peers)]

    def mine(self, count: int, parts: int) -> list[bool]:
        """Which of a step's ``count`` frames of one kind this process learns from."""
        return [self.owner(place, parts) == self.rank for place in range(count)]

    def check(self, *, labelled: int, unlabelled: int, parts: int) -> None:
        """RiseError when steps of so many frames, in so many parts, leave a process without any of a kind."""
        for kind, count in (("labelled", labelled), ("unlabelled", unlabelled)):
            busy = {self.owner(place, parts) for place in range(count)}
            if self.world > parts and count and len(busy) < self.world:
                raise RiseError(
                    f"{self.world} processes cannot share the {count} {kind} frames of a step: start at most "
                    f"{len(busy)}, or give a step more with --set loader.{kind}_per_step={self.world}"
                )

    def share(self, part: int, parts: int) -> Share:
        """This process' share of a part in which it has frames."""
        return WHOLE if self.world <= parts else Share(self, range(part, self.world, parts))

    def _exchange(self, record: dict[str, Any]) -> list[dict[str, Any]]:
        text = json.dumps(record).encode()
        with _died_elsewhere():
            head = self._all_bytes(struct.pack("<q", len(text)) + text[:MESSAGE], MESSAGE + 8)
            lengths = [struct.unpack("<q", part[:8])[0] for part in head]
            longest = max(lengths)
            rest = self._all_bytes(text[MESSAGE:], longest - MESSAGE) if longest > MESSAGE else [b""] * self.world
        return [
            json.loads((first[8:] + second)[:length]) for first, second, length in zip(head, rest, lengths, strict=True)
        ]

    def _all_bytes(self, text: bytes, size: int) -> list[bytes]:
        mine = torch.frombuffer(bytearray(text.ljust(size, b"\0")), dtype=torch.uint8)
        everyone = torch.empty(self.world, size, dtype=torch.uint8)
        dist.all_gather(list(everyone.unbind()), mine, group=self.talk)
        return [bytes(row.numpy()) for row in everyone]


@dataclass(frozen=True, slots=True)
class Share:
    """A part of a step's frames, as seen by one of the processes that share it; by default all of it is here.

    All processes ask at the same time, each about its own part.
    """

    ranks: Ranks = Ranks()
    peers: Sequence[int] = (0,)

    @property
    def whole(self) -> bool:
        return self.ranks.alone

    def total(self, numbers: Sequence[int]) -> list[int]:
        """The sum of each number over those who share the part."""
        return [sum(column) for column in zip(*self._of_peers(numbers), strict=True)]

    def largest(self, numbers: Sequence[int]) -> list[int]:
        """The largest of each number."""
        return [max(column) for column in zip(*self._of_peers(numbers), strict=True)]

    def _of_peers(self, numbers: Sequence[int]) -> list[Sequence[int]]:
        if self.whole:
            return [numbers]
        everyone = self.ranks.gather(list(numbers))
        return [everyone[peer] for peer in self.peers]


WHOLE = Share()


@contextmanager
def joined(device: str) -> Iterator[Ranks]:
    """The processes that a launcher has started with this one, found in the environment; none is all right.

    Waits until all are there. RiseError when the environment is incomplete or the others do not come.
    """
    world = int(os.environ.get("WORLD_SIZE", "1"))
    if world == 1:
        yield Ranks()
        return
    missing = [name for name in NAMED_BY_LAUNCHER if name not in os.environ]
    if missing:
        raise RiseError(
            f"WORLD_SIZE={world} asks for several processes, but {', '.join(missing)} is not set: start them with "
            "torchrun or accelerate launch, or unset WORLD_SIZE"
        )
    alone = Ranks(rank=int(os.environ["RANK"]), world=world, local=int(os.environ["LOCAL_RANK"]))
    cuda = alone.device(device).startswith("cuda")
    nccl = cuda and dist.is_nccl_available()
    if cuda:
        torch.cuda.set_device(alone.local)
    try:
        dist.init_process_group("nccl" if nccl else "gloo", timeout=MEETING)
        talk = dist.new_group(backend="gloo", timeout=PATIENCE)
    except (RuntimeError, ValueError) as error:
        where = f"{os.environ['MASTER_ADDR']}:{os.environ['MASTER_PORT']}"
        raise RiseError(
            f"process {alone.rank + 1} of {world} did not find the others at {where} ({_first_line(error)}): check "
            "that all were started and that the address can be reached from every machine"
        ) from error
    try:
        yield replace(alone, talk=talk)
    except BaseException:
        # Gloo's threads must end before the interpreter does; NCCL might wait here for processes that are gone.
        dist.destroy_process_group(talk if nccl else None)
        raise
    dist.destroy_process_group()


def _in_buckets(tensors: Sequence[Tensor], together: Callable[[Tensor], object]) -> None:
    """Does something to tensors in place, many of one type at a time."""
    with _died_elsewhere():
        for bucket in _buckets(tensors):
            flat = torch.cat([tensor.flatten() for tensor in bucket])
            together(flat)
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
def _died_elsewhere() -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:
        if isinstance(error, torch.OutOfMemoryError):
            raise
        raise RankError(
            f"another process of this training ended or cannot be reached ({_first_line(error)}): its own output says "
            "why"
        ) from error


def _first_line(error: BaseException) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__
