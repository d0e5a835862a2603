"""Records of the finished jobs of a grid: one line per job in cells.jsonl, shared by several processes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from filelock import FileLock

from rise_engine.atomic import write_text
from rise_engine.errors import RiseError
from rise_engine.experiments.reproduce.job import identity_of

CELLS_FILE = "cells.jsonl"
LOCK_FILE = "cells.lock"
ABOUT = "key"
"""The field that identifies the job."""


class GridRecords:
    """Lines of ``cells.jsonl`` in ``folder``, found by the identity of the job."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / CELLS_FILE
        self._lock = FileLock(folder / LOCK_FILE)
        self._by_identity: dict[str, dict[str, Any]] = {}
        self.reload()

    def reload(self) -> None:
        """Reads what other processes have added. Raises RiseError when the file is damaged."""
        lines = self._path.read_text(encoding="utf-8").splitlines() if self._path.is_file() else []
        try:
            records = [json.loads(line) for line in lines]
            found = {identity_of(record[ABOUT]): record for record in reversed(records)}
        except (ValueError, KeyError, TypeError) as error:
            raise RiseError(f"{self._path} cannot be read ({error}): choose another --out, or delete it.") from error
        self._by_identity = {identity: record for identity, record in found.items() if identity}

    def find(self, identity: str) -> dict[str, Any] | None:
        """The record of a job; None when it is not finished."""
        return self._by_identity.get(identity)

    def all(self) -> list[dict[str, Any]]:
        """All records that this version can read."""
        return list(self._by_identity.values())

    def add(self, about: dict[str, Any], record: dict[str, Any]) -> None:
        """Appends the record of a finished job, after those of other processes."""
        record = record | {ABOUT: about}
        with self._lock:
            before = self._path.read_text(encoding="utf-8") if self._path.is_file() else ""
            write_text(self._path, before + json.dumps(record) + "\n")
        self._by_identity[identity_of(about)] = record
