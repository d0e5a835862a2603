"""The child side of ``process.py``: ``python -m rise_engine.learning.worker``."""

from __future__ import annotations

import json
import queue
import sys
import threading
from pathlib import Path
from typing import Any

import torch

from rise_engine.config import RiseConfig
from rise_engine.errors import RiseError
from rise_engine.learning.events import Event, Failed
from rise_engine.learning.trainer import Trainer
from rise_engine.project.project import Project
from rise_engine.project.splits import TrainingSplit


def _tell(event: Event) -> None:
    sys.stdout.write(json.dumps(event.as_record()) + "\n")
    sys.stdout.flush()


def _listen(commands: queue.SimpleQueue[dict[str, Any]]) -> None:
    """Passes commands on; the end of the input means that nobody is left to train for."""
    for line in sys.stdin:
        commands.put(json.loads(line))
    commands.put({"command": "stop"})


def _obey(trainer: Trainer, commands: queue.SimpleQueue[dict[str, Any]]) -> None:
    """Carries out what has been asked; while paused, waits for the next command."""
    paused = False
    while paused or not commands.empty():
        command = commands.get()
        match command["command"]:
            case "watch":
                trainer.watch(command["frame"])
            case "pause":
                paused = True
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
                _obey(trainer, commands)
    except RiseError as error:
        _tell(Failed(0, kind="data", message=str(error), hint=""))


if __name__ == "__main__":
    main()
