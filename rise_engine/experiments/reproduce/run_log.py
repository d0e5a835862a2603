"""Read the events of a run from its log, metrics.jsonl."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TypeVar

from rise_engine.errors import RiseError
from rise_engine.project.run_folder import RunFolder
from rise_engine.training.events import Event, event_from_record

Kind = TypeVar("Kind", bound=Event)


def logged_events(folder: Path, kind: type[Kind]) -> list[Kind]:
    """A run's events of one kind, in their order. Raises RiseError when the log is missing."""
    path = RunFolder(folder).metrics
    if not path.is_file():
        raise RiseError(f"{path} is missing: delete the line of {folder.name} in cells.jsonl and train it again.")
    records = (json.loads(line) for line in path.read_text(encoding="utf-8").splitlines())
    found = (event_from_record(record) for record in records if record["event"] == kind.__name__)
    return [event for event in found if isinstance(event, kind)]
