"""The runs (trainings) of a project: their rows and their folders ``runs/0001-laptop``."""

from __future__ import annotations

import json
import shutil
import sqlite3
from datetime import UTC, datetime
from pathlib import Path, PurePath

from rise_engine.errors import RiseError
from rise_engine.project.database.damage import reading
from rise_engine.project.database.store import Store
from rise_engine.project.records import RunRecord

CURRENT = "current_run"
"""The setting with the number of the run in use; without it, the latest finished run is in use."""


class Runs:
    """The table ``runs``; ``folder`` contains the run folders. ``project.runs``."""

    def __init__(self, store: Store, folder: Path) -> None:
        self._store = store
        self.folder = folder

    def start(self, *, preset: str, recipe: str, steps: int, base: str) -> RunRecord:
        """A new run with the next number and an empty folder; ``base`` names its initial weights.

        Raises RiseError when the folder cannot be made.
        """
        with self._store.write() as connection:
            cursor = connection.execute(
                "INSERT INTO runs (folder, preset, recipe, steps, started, base) VALUES ('', ?, ?, ?, ?, ?)",
                (preset, recipe, steps, datetime.now(UTC).isoformat(), base),
            )
            number = int(cursor.lastrowid or 0)
            name = f"{number:04d}-{preset}"
            try:
                (self.folder / name).mkdir(parents=True)
            except OSError as error:
                raise RiseError(f"Could not make the run folder {self.folder / name} ({error.strerror}).") from error
            connection.execute("UPDATE runs SET folder = ? WHERE number = ?", (name, number))
        return self.get(number)

    def finish(self, number: int, *, steps: int, current: bool = True) -> None:
        """Store that a run has finished after ``steps`` steps, and whether it is the run in use from now on."""
        self.get(number)
        before = self.current()
        with self._store.write() as connection:
            connection.execute(
                "UPDATE runs SET finished = ?, steps = ? WHERE number = ?",
                (datetime.now(UTC).isoformat(), steps, number),
            )
        self.choose(number if current or before is None else before.number)

    @reading("runs")
    def current(self) -> RunRecord | None:
        """The run in use: the chosen one, or else the latest finished one; None when there is none."""
        rows = self._store.read(
            "SELECT runs.* FROM runs LEFT JOIN settings ON settings.key = ? AND settings.value = runs.number "
            "WHERE finished IS NOT NULL ORDER BY settings.key IS NULL, number DESC LIMIT 1",
            (CURRENT,),
        )
        return self._record(rows[0]) if rows else None

    def choose(self, number: int) -> None:
        """Make a finished run the run in use. Raises RiseError when it is not finished."""
        if self.get(number).finished is None:
            raise RiseError(f"Run {number} is not finished, so it cannot predict; train it to the end first.")
        with self._store.write() as connection:
            connection.execute("INSERT OR REPLACE INTO settings VALUES (?, ?)", (CURRENT, json.dumps(number)))

    @reading("runs")
    def all(self) -> list[RunRecord]:
        """All runs, oldest first."""
        return [self._record(row) for row in self._store.read("SELECT * FROM runs ORDER BY number")]

    @reading("runs")
    def get(self, number: int | None = None) -> RunRecord:
        """One run, by default the run in use. Raises RiseError when there is none."""
        if number is None:
            current = self.current()
            if current is None:
                raise RiseError(f"The project {self.folder.parent} has no finished run; train one first.")
            return current
        rows = self._store.read("SELECT * FROM runs WHERE number = ?", (number,))
        if not rows:
            known = ", ".join(str(run.number) for run in self.all()) or "none"
            raise RiseError(f"The project {self.folder.parent} has no run {number}; it has {known}.")
        return self._record(rows[0])

    def delete(self, number: int) -> None:
        """Delete a run, its predictions and its folder; this cannot be undone. Its number is never used again."""
        record = self.get(number)
        with self._store.write() as connection:
            connection.execute("DELETE FROM predictions WHERE run = ?", (number,))
            connection.execute("DELETE FROM predicted WHERE run = ?", (number,))
            connection.execute("DELETE FROM runs WHERE number = ?", (number,))
        shutil.rmtree(record.folder, ignore_errors=True)

    def _record(self, row: sqlite3.Row) -> RunRecord:
        # Deleting a run deletes its folder, so the folder must be inside the project, even in a damaged database.
        name = row["folder"]
        if PurePath(name).name != name or name in ("", ".."):
            raise ValueError(f"the folder {name!r} of run {row['number']} is not inside the project")
        return RunRecord(
            number=row["number"],
            folder=self.folder / row["folder"],
            preset=row["preset"],
            recipe=row["recipe"],
            steps=row["steps"],
            started=datetime.fromisoformat(row["started"]),
            finished=None if row["finished"] is None else datetime.fromisoformat(row["finished"]),
            base=row["base"],
        )
