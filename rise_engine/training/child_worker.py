"""The main program of the training child process: ``python -m rise_engine.training.child_worker``.

It receives a job and commands from ``child_process.py`` and sends the events of the training.
"""

from __future__ import annotations

import errno
import queue
from pathlib import Path

import torch

from rise_engine.config import RiseConfig
from rise_engine.errors import DeviceError, RiseError, WeightsError
from rise_engine.json_lines.child import Message, ParentConnection
from rise_engine.project.project import Project
from rise_engine.project.splits import TrainingSplit
from rise_engine.training.events import Failed, Paused
from rise_engine.training.memory import is_full
from rise_engine.training.trainer import Trainer


def main() -> None:
    """Trains the job of the first message and sends every event."""
    parent = ParentConnection()
    job = parent.receive()
    if job is None:
        return
    torch.set_num_threads(job["threads"])
    commands = parent.receive_in_background()
    try:
        with Project.open(Path(job["project"])) as project:
            split = TrainingSplit(**job["split"]) if job["split"] is not None else None
            config = RiseConfig.model_validate(job["config"])
            trainer = Trainer(project, config, split, minutes=job["minutes"], resume=job["resume"])
            for event in trainer.run():
                # When the parent is gone, the events are lost and the training saves and ends.
                parent.send(event.as_record())
                _execute(commands, trainer, parent, step=event.step)
    except (RiseError, MemoryError, OSError, RuntimeError) as error:
        failure = explain(error)
        if failure is None:
            raise
        parent.send(failure.as_record())


def _execute(
    commands: queue.SimpleQueue[Message | None], trainer: Trainer, parent: ParentConnection, *, step: int
) -> None:
    """Executes the received commands; a pause reports itself and waits for the next command."""
    paused = False
    while paused or not commands.empty():
        command = commands.get()
        if command is None:
            # The parent is gone.
            trainer.stop()
            return
        match command["command"]:
            case "watch":
                trainer.watch(command["frame"])
            case "pause":
                paused = True
                parent.send(Paused(step).as_record())
            case "resume":
                paused = False
            case "stop":
                trainer.stop()
                return


def explain(error: BaseException) -> Failed | None:
    """The event for an error that ended a training; None for an unexpected error."""
    match error:
        case DeviceError():
            return Failed(0, kind="device", message=str(error), hint="Choose another device.")
        case WeightsError():
            return Failed(0, kind="weights", message=str(error), hint="Start from other weights.")
        case RiseError():
            return Failed(0, kind="data", message=str(error), hint="")
        case OSError() if error.errno in (errno.ENOSPC, errno.EDQUOT):
            return Failed(0, kind="disk", message=f"The disk is full: {error}", hint="Free disk space, then resume.")
        case MemoryError():
            return _full("The memory is full.")
        case RuntimeError() if is_full(error):
            return _full(str(error).splitlines()[0])
    return None


def _full(message: str) -> Failed:
    return Failed(0, kind="memory", message=message, hint="Use a smaller crop, or fewer frames at a time.")


if __name__ == "__main__":
    main()
