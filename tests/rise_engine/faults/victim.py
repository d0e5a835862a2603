"""Does what the tests beside it say, in processes that they kill.

Reads one JSON object a line from its input, does each in a process of its own, and passes on what that one says, a
JSON value a line: first its number, then what it has done, and at last, from this process, how it ended.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch

from rise_engine.config import RiseConfig
from rise_engine.formats.coco import export_coco, import_coco
from rise_engine.project.project import Project
from rise_engine.project.records import Instance
from rise_engine.project.segmentation import from_mask
from rise_engine.training.events import Losses
from rise_engine.training.trainer import Trainer


def say(value: Any) -> None:
    os.write(1, f"{json.dumps(value)}\n".encode())


def paint(path: Path) -> None:
    """Strokes on new and old instances, some taken back; says [id, area] of each, area 0 for what is gone."""
    with Project.open(path, exclusive=True) as project:
        frame = project.frames.all()[0].id
        category = project.annotations.add_category("object").id
        mask = np.zeros((60, 80), dtype=bool)
        for step in range(100_000):
            mask[step % 60, : 1 + step % 80] ^= True
            mask[0, 0] = True
            shape = from_mask(mask)
            number = project.annotations.add(frame, [Instance(None, frame, category, shape)])[0]
            say([number, int(mask.sum())])
            mask[59, :] ^= True
            project.annotations.update(number, segmentation=from_mask(mask))
            say([number, int(mask.sum())])
            if step % 3 == 0:
                project.annotations.delete([number])
                say([number, 0])
            elif step % 3 == 1:
                mask[59, :] ^= True
                project.journal.undo()
                say([number, int(mask.sum())])


def bring_in(path: Path, file: Path) -> None:
    """Imports a file, takes it back, and so on; says how many instances there are after each."""
    with Project.open(path) as project:
        while True:
            say(import_coco(project, file, on_conflict="both").instances)
            project.journal.undo()
            say(0)


def take_out(path: Path, file: Path) -> None:
    """Exports one way, then another, over the same file."""
    with Project.open(path) as project:
        while True:
            for masks in ("rle", "polygons"):
                say(export_coco(project, file, masks=masks).instances)  # type: ignore[arg-type]


def train(path: Path, settings: list[str], resume: bool) -> None:
    """Trains and says the loss of each step."""
    torch.set_num_threads(1)
    with Project.open(path) as project:
        config = RiseConfig.preset("laptop").with_settings(settings)
        for event in Trainer(project, config, resume=resume).run():
            if isinstance(event, Losses):
                say([event.step, event.total])


def do(order: dict[str, Any]) -> None:
    path = Path(order["project"])
    match order["action"]:
        case "paint":
            paint(path)
        case "import":
            bring_in(path, Path(order["file"]))
        case "export":
            take_out(path, Path(order["file"]))
        case "train":
            train(path, order["settings"], order["resume"])


def main() -> None:
    say("ready")
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            say(os.getpid())
            do(json.loads(line))
            os._exit(0)
        _, status = os.waitpid(child, 0)
        say({"ended": os.waitstatus_to_exitcode(status)})


if __name__ == "__main__":
    main()
