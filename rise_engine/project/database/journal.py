"""The journal: undo and redo. Every edit is one transaction, and its changes are stored row by row.

A change stores the version of its row that is *not* in the table: before an undo the old version, after an undo the new
one. Undo and redo are therefore the same swap, and an inserted row needs only its id.

Only the latest edits keep their changes, so that the file does not grow without limit; older ones keep their text.
"""

from __future__ import annotations

import getpass
import json
import sqlite3
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import groupby
from typing import Any, Literal

from rise_engine.project.database.damage import reading
from rise_engine.project.database.store import Store
from rise_engine.project.records import EditSummary, HistoryEntry

UNDO_REACH = 1_000
"""The number of edits that can be undone."""
HISTORY_REACH = 20_000
"""The number of edits in the history; older ones are deleted, unless they can still be undone."""

_MANY = 100
"""From this number of changes, try to swap them with a single statement."""

Kind = Literal["frames", "categories", "instances", "predictions", "documents", "imports"]


class Edit:
    """Writes rows and stores how to undo that. Made by ``Journal.edit``."""

    def __init__(self, connection: sqlite3.Connection, action: str, frame: int | None) -> None:
        self.connection = connection
        self.action = action
        """The description of the edit; it may be changed until the edit ends."""
        self._frame = frame
        self._entry: int | None = None
        self._position = 0

    def insert(self, kind: Kind, values: Mapping[str, Any]) -> int:
        """Insert a row and return its id."""
        row = _insert(self.connection, kind, values)
        self._remember(kind, row, None)
        return row

    def update(self, kind: Kind, row: int, values: Mapping[str, Any]) -> None:
        """Change some columns of a row; nothing is stored when they have these values already."""
        before = _row(self.connection, kind, row)
        if before is None or all(before[name] == value for name, value in values.items()):
            return
        _update(self.connection, kind, row, values)
        self._remember(kind, row, {name: before[name] for name in values})

    def update_many(self, kind: Kind, column: str, values: Mapping[int, Any]) -> None:
        """Change one column of many existing rows, as ``update`` does for one row."""
        before = dict(self.connection.execute(f"SELECT id, {column} FROM {kind}").fetchall())
        changed = {row: value for row, value in values.items() if before[row] != value}
        self.connection.executemany(
            f"UPDATE {kind} SET {column} = ? WHERE id = ?", ((value, row) for row, value in changed.items())
        )
        self._remember_many(kind, [(row, json.dumps({column: before[row]})) for row in changed])

    def remember_found(self, kind: Kind, query: str, values: Mapping[str, Any]) -> None:
        """Store the old versions of rows before the caller changes them: a query for their ``row`` and ``image``."""
        self.connection.execute(f"CREATE TEMP TABLE found AS {query}", values)
        if self.connection.execute("SELECT 1 FROM temp.found").fetchone() is not None:
            entry = self._begun()
            cursor = self.connection.execute(
                "INSERT INTO changes SELECT ?, ? + row_number() OVER (), ?, row, image FROM temp.found",
                (entry, self._position, kind),
            )
            self._position += cursor.rowcount
        self.connection.execute("DROP TABLE temp.found")

    def delete(self, kind: Kind, row: int) -> None:
        """Delete a row, if it exists."""
        before = _row(self.connection, kind, row)
        if before is not None:
            self.connection.execute(f"DELETE FROM {kind} WHERE id = ?", (row,))
            self._remember(kind, row, before)

    def finish(self) -> None:
        """Write the final description of the edit."""
        if self._entry is not None:
            self.connection.execute("UPDATE journal SET action = ? WHERE id = ?", (self.action, self._entry))

    def _remember(self, kind: Kind, row: int, image: Mapping[str, Any] | None) -> None:
        self._remember_many(kind, [(row, None if image is None else json.dumps(image))])

    def _remember_many(self, kind: Kind, images: Sequence[tuple[int, str | None]]) -> None:
        if not images:
            return
        entry, position = self._begun(), self._position
        self.connection.executemany(
            "INSERT INTO changes VALUES (?, ?, ?, ?, ?)",
            ((entry, place, kind, row, image) for place, (row, image) in enumerate(images, start=position + 1)),
        )
        self._position += len(images)

    def _begun(self) -> int:
        """The id of the journal entry; the first change creates the entry."""
        if self._entry is None:
            # After a new edit, undone edits can no longer be redone.
            self.connection.execute(
                "DELETE FROM changes WHERE entry IN (SELECT id FROM journal WHERE status = 'undone')"
            )
            self.connection.execute("UPDATE journal SET status = 'dropped' WHERE status = 'undone'")
            cursor = self.connection.execute(
                "INSERT INTO journal (time, action, frame, person) VALUES (?, ?, ?, ?)",
                (datetime.now(UTC).isoformat(), self.action, self._frame, _person()),
            )
            self._entry = int(cursor.lastrowid or 0)
            _forget(self.connection, newest=self._entry)
        return self._entry


class Journal:
    """The edits of a project in their order, across all frames. ``project.journal``."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._open = threading.local()

    @contextmanager
    def edit(self, action: str, *, frame: int | None = None) -> Iterator[Edit]:
        """One edit in one transaction; ``action`` describes it ("drew 2 instances").

        A nested edit of the same thread becomes part of the outer one, which keeps its description. All edits inside
        are stored or none, and one undo takes all of them back.
        """
        outer: Edit | None = getattr(self._open, "edit", None)
        if outer is not None:
            before = outer.action
            yield outer
            outer.action = before
            return
        with self._store.write() as connection:
            edit = self._open.edit = Edit(connection, action, frame)
            try:
                yield edit
            finally:
                self._open.edit = None
            edit.finish()

    @reading("changes")
    def undo(self) -> EditSummary | None:
        """Undo the last edit and return which one it was; None when there is none."""
        return self._swap(
            "SELECT id, action, frame FROM journal WHERE status = 'done' ORDER BY id DESC", "undone", "DESC"
        )

    @reading("changes")
    def redo(self) -> EditSummary | None:
        """Redo the edit that was undone last and return which one it is; None when there is none."""
        return self._swap("SELECT id, action, frame FROM journal WHERE status = 'undone' ORDER BY id", "done", "ASC")

    @reading("edits")
    def history(self, limit: int = 200) -> list[HistoryEntry]:
        """The latest edits, newest first, including undone ones."""
        rows = self._store.read(
            "SELECT time, action, status, person, frames.name AS name FROM journal "
            "LEFT JOIN frames ON frames.id = journal.frame ORDER BY journal.id DESC LIMIT ?",
            (limit,),
        )
        return [
            HistoryEntry(
                datetime.fromisoformat(row["time"]),
                row["action"],
                row["name"],
                row["status"] in ("undone", "dropped"),
                row["person"],
            )
            for row in rows
        ]

    def moment(self) -> dict[int, str]:
        """The present state of the journal, for ``touched_since``."""
        return {row["id"]: row["status"] for row in self._store.read("SELECT id, status FROM journal")}

    def touched_since(self, moment: Mapping[int, str]) -> set[int] | None:
        """The frames with annotations that were edited, undone or redone since; None when this is unknown."""
        now = self.moment()
        changed = [entry for entry in {*now, *moment} if _counts(now.get(entry)) != _counts(moment.get(entry))]
        if any(now.get(entry) not in ("done", "undone") for entry in changed):
            return None
        rows = self._store.read(
            "SELECT DISTINCT kind, coalesce((SELECT frame FROM instances WHERE id = row), "
            "json_extract(image, '$.frame')) AS frame FROM changes "
            "WHERE kind IN ('instances', 'imports') AND entry IN (SELECT value FROM json_each(?))",
            (json.dumps(changed),),
        )
        if any(row["kind"] == "imports" for row in rows):
            return None
        return {int(row["frame"]) for row in rows if row["frame"] is not None}

    def _swap(self, query: str, status: str, order: str) -> EditSummary | None:
        with self._store.write() as connection:
            entry = connection.execute(f"{query} LIMIT 1").fetchone()
            if entry is None:
                return None
            changes = connection.execute(
                f"SELECT position, kind, row, image FROM changes WHERE entry = ? ORDER BY position {order}",
                (entry["id"],),
            ).fetchall()
            for (kind, _), part in groupby(changes, key=lambda change: (change["kind"], change["image"] is None)):
                found = list(part)
                if len(found) < _MANY or not _swap_many(connection, kind, entry["id"], found):
                    _swap_each(connection, kind, entry["id"], found)
            connection.execute("UPDATE journal SET status = ? WHERE id = ?", (status, entry["id"]))
            frame = connection.execute("SELECT id, name FROM frames WHERE id = ?", (entry["frame"],)).fetchone()
            return EditSummary(entry["action"], *(() if frame is None else (frame["id"], frame["name"])))


def insert_numbered(
    connection: sqlite3.Connection,
    kind: Literal["instances", "frames"],
    columns: Sequence[str],
    rows: Sequence[tuple[Any, ...]],
) -> range:
    """Insert many rows within a transaction and return their consecutive ids."""
    # An id is never used twice, not even that of a deleted row.
    last = connection.execute("SELECT seq FROM sqlite_sequence WHERE name = ?", (kind,)).fetchone()
    first = 1 if last is None else int(last[0]) + 1
    names, places = ", ".join(("id", *columns)), ", ".join("?" * (len(columns) + 1))
    connection.executemany(
        f"INSERT INTO {kind} ({names}) VALUES ({places})",
        ((number, *row) for number, row in enumerate(rows, start=first)),
    )
    return range(first, first + len(rows))


def _forget(connection: sqlite3.Connection, *, newest: int) -> None:
    """Delete the changes of edits beyond the reach of undo, and the oldest entries. No edit may be undone now."""
    last = connection.execute(
        "SELECT id FROM journal WHERE status = 'done' ORDER BY id DESC LIMIT 1 OFFSET ?", (UNDO_REACH,)
    ).fetchone()
    if last is not None:
        reached = "SELECT id FROM journal WHERE status = 'done' AND id <= ?"
        connection.execute(f"DELETE FROM changes WHERE entry IN ({reached})", (last["id"],))
        connection.execute("UPDATE journal SET status = 'settled' WHERE status = 'done' AND id <= ?", (last["id"],))
    connection.execute(
        "DELETE FROM journal WHERE status IN ('settled', 'dropped') AND id <= ?", (newest - HISTORY_REACH,)
    )


def _counts(status: str | None) -> bool:
    return status in ("done", "settled")


def _person() -> str | None:
    """The account of this process; some servers and containers have none."""
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):
        return None


def _swap_many(connection: sqlite3.Connection, kind: str, entry: int, changes: Sequence[sqlite3.Row]) -> bool:
    """Swap many changes with one statement; False unless they change the same columns of different rows."""
    ends = sorted((changes[0]["position"], changes[-1]["position"]))
    if changes[0]["image"] is None:
        return False
    columns = list(json.loads(changes[0]["image"]))
    types = {column["name"]: column["type"] for column in connection.execute(f"PRAGMA table_info({kind})")}
    # SQLite's JSON keeps 15 digits of a real number; 17 are needed.
    if not all(types.get(name) in ("INTEGER", "TEXT") for name in columns):
        return False
    now = ", ".join(f"'{name}', now.{name}" for name in columns)
    connection.execute("DROP TABLE IF EXISTS temp.swapped")
    connection.execute(
        "CREATE TEMP TABLE swapped AS SELECT changes.position, changes.row, changes.image, "
        f"json_object({now}) AS now FROM changes JOIN {kind} AS now ON now.id = changes.row "
        "WHERE changes.entry = ? AND changes.position BETWEEN ? AND ? "
        "AND (SELECT json_group_array(key) FROM json_each(changes.image)) = ?",
        (entry, *ends, json.dumps(columns, separators=(",", ":"))),
    )
    counted = connection.execute("SELECT count(*), count(DISTINCT row) FROM temp.swapped").fetchone()
    fit = tuple(counted) == (len(changes), len(changes))
    if fit:
        values = ", ".join(f"{name} = json_extract(swapped.image, '$.{name}')" for name in columns)
        connection.execute(f"UPDATE {kind} SET {values} FROM temp.swapped WHERE swapped.row = {kind}.id")
        connection.execute(
            "UPDATE changes SET image = swapped.now FROM temp.swapped "
            "WHERE changes.entry = ? AND changes.position = swapped.position",
            (entry,),
        )
    connection.execute("DROP TABLE temp.swapped")
    return fit


def _swap_each(connection: sqlite3.Connection, kind: str, entry: int, changes: Sequence[sqlite3.Row]) -> None:
    for change in changes:
        image = _swap_row(connection, kind, change["row"], change["image"])
        connection.execute(
            "UPDATE changes SET image = ? WHERE entry = ? AND position = ?", (image, entry, change["position"])
        )


def _swap_row(connection: sqlite3.Connection, kind: str, row: int, image: str | None) -> str | None:
    current = _row(connection, kind, row)
    if image is None:
        connection.execute(f"DELETE FROM {kind} WHERE id = ?", (row,))
        return None if current is None else json.dumps(current)
    values = json.loads(image)
    if current is None:
        _insert(connection, kind, values)
        return None
    _update(connection, kind, row, values)
    return json.dumps({name: current[name] for name in values})


def _row(connection: sqlite3.Connection, kind: str, row: int) -> dict[str, Any] | None:
    found = connection.execute(f"SELECT * FROM {kind} WHERE id = ?", (row,)).fetchone()
    return None if found is None else dict(found)


def _insert(connection: sqlite3.Connection, kind: str, values: Mapping[str, Any]) -> int:
    places = ", ".join("?" * len(values))
    cursor = connection.execute(f"INSERT INTO {kind} ({', '.join(values)}) VALUES ({places})", tuple(values.values()))
    return int(cursor.lastrowid or 0)


def _update(connection: sqlite3.Connection, kind: str, row: int, values: Mapping[str, Any]) -> None:
    columns = ", ".join(f"{name} = ?" for name in values)
    connection.execute(f"UPDATE {kind} SET {columns} WHERE id = ?", (*values.values(), row))
