"""The child side of ``process.py``: ``python -m rise_engine.training.child_worker``."""

from __future__ import annotations

import errno
import json
import os
import queue
import sys
import threading
from pathlib import Path
from typing import Any

import torch

from rise_engine.config import RiseConfig
from rise_engine.errors import DeviceError, RiseError, WeightsError
from rise_engine.project.project import Project
from rise_engine.project.splits import TrainingSplit
from rise_engine.training.events import Event, Failed, Paused
from rise_engine.training.memory import is_full
from rise_engine.training.trainer import Trainer


def _tell(event: Event) -> None:
    try:
        sys.stdout.write(json.dumps(event.as_record()) + "\n")
        sys.stdout.flush()
    except BrokenPipeError:
        # The window is gone. The end of the input will say so too; until then, what was learnt has to be saved.
        sys.stdout = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 - lives on


def _listen(commands: queue.SimpleQueue[dict[str, Any]]) -> None:
    """Passes commands on; the end of the input means that nobody is left to train for."""
    for line in sys.stdin:
        commands.put(json.loads(line))
    commands.put({"command": "stop"})


def _obey(trainer: Trainer, commands: queue.SimpleQueue[dict[str, Any]], *, step: int) -> None:
    """Carries out what has been asked; while paused, which it tells, waits for the next command."""
    paused = False
    while paused or not commands.empty():
        command = commands.get()
        match command["command"]:
            case "watch":
                trainer.watch(command["frame"])
            case "pause":
                paused = True
                _tell(Paused(step))
            case "resume":
                paused = False
            case "stop":
                trainer.stop()
                return


def main() -> None:
    """Reads the job from the first line of the input, trains, and tells every event."""
    job = json.loads(sys.stdin.readline())
    torch.set_num_threads(job["threads"])
    commands: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(commands,), daemon=True).start()
    try:
        with Project.open(Path(job["project"])) as project:
            split = TrainingSplit(**job["split"]) if job["split"] is not None else None
            config = RiseConfig.model_validate(job["config"])
            trainer = Trainer(project, config, split, minutes=job["minutes"], resume=job["resume"])
            for event in trainer.run():
                _tell(event)
                _obey(trainer, commands, step=event.step)
    except (RiseError, MemoryError, OSError, RuntimeError) as error:
        failure = explain(error)
        if failure is None:
            raise
        _tell(failure)


def explain(error: BaseException) -> Failed | None:
    """What ended a training as a sentence; None for an error that nobody foresaw."""
    match error:
        case DeviceError():
            return Failed(0, kind="device", message=str(error), hint="Choose another device.")
        case WeightsError():
            return Failed(0, kind="weights", message=str(error), hint="Start from other weights.")
        case RiseError():
            return Failed(0, kind="data", message=str(error), hint="")
        case OSError() if error.errno in (errno.ENOSPC, errno.EDQUOT):
            return Failed(0, kind="disk", message=f"The disk is full: {error}", hint="Make room, then go on.")
        case MemoryError():
            return _full("The memory is full.")
        case RuntimeError() if is_full(error):
            return _full(str(error).splitlines()[0])
    return None


def _full(message: str) -> Failed:
    return Failed(0, kind="memory", message=message, hint="Use a smaller crop, or fewer frames at a time.")


if __name__ == "__main__":
    main()
