"""Hundreds of thousands of annotations into a project, a few at a time, that appear at one moment or never.

Rows of an import carry its number, and nobody sees those of an import that is hidden. So they are stored in many short
transactions, between which others write, and shown by a last one that changes a single value; a program that dies in
between leaves hidden rows, which the next import clears away. Undo hides an import again. What an import replaces is
marked with its number in the same way, gone for everybody while the import is shown.
"""

from __future__ import annotations

import shutil
import sqlite3
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from itertools import islice
from typing import Any

from filelock import FileLock, Timeout

from rise_engine.errors import RiseError
from rise_engine.project.database.journal import Edit, insert_numbered
from rise_engine.project.database.store import BUSY_SECONDS, Store
from rise_engine.project.project import Project
from rise_engine.project.records import FrameState

COLUMNS = ("frame", "category", "segmentation", "source", "crowd", "extra", "origin")
"""Of the rows that ``Incoming.add`` takes."""
_LOCK = "import.lock"
_FRAMES = "coming_frames"
_ROWS_A_TRANSACTION = 1000
_BYTES_A_ROW = 100
_BYTES_BESIDE = 8_000_000
"""For the log, and what marks the frames."""
_CHECKPOINT_PAGES = 250
"""Of the log, after which an import copies it into the file: sooner than others would, so that none of them has to."""
_PAUSE_SECONDS = 0.006
"""After each transaction; whoever waits to write looks three times as often."""


class Incoming:
    """The rows of one import. Made by ``incoming``."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._number: int | None = None
        self._frames = False

    def require_room(self, rows: Iterable[Sequence[Any]]) -> None:
        """Raise RiseError when the disk has no room for these rows: a full one is hard to empty again."""
        needed = _BYTES_BESIDE + sum(_BYTES_A_ROW + sum(len(x) for x in row if isinstance(x, str)) for row in rows)
        try:
            free = shutil.disk_usage(self._store.path.parent).free
        except OSError:
            return
        if free < needed:
            raise RiseError(
                f"The import needs about {needed / 1e6:,.0f} MB of disk where {self._store.path} is, and "
                f"{free / 1e6:,.0f} MB are free; make room and import again, nothing was changed."
            )

    def add(self, rows: Iterable[Sequence[Any]]) -> int:
        """Store annotations, each with a value for every one of ``COLUMNS``, and count them; nobody sees them yet."""
        left = iter(rows)
        count = 0
        while part := list(islice(left, _ROWS_A_TRANSACTION)):
            with self._store.write() as connection:
                number = self._own_number(connection)
                insert_numbered(connection, "instances", (*COLUMNS, "import"), [(*row, number) for row in part])
            count += len(part)
            let_others(self._store)
        return count

    def replace(self, instances: Iterable[int]) -> None:
        """Have annotations vanish when the rows are shown; until then everybody sees them."""
        left = iter(instances)
        while part := list(islice(left, _ROWS_A_TRANSACTION)):
            with self._store.write() as connection:
                number = self._own_number(connection)
                connection.executemany("INSERT INTO replaced VALUES (?, ?)", [(instance, number) for instance in part])
            let_others(self._store)

    def withdraw(self, edit: Edit, frame: int) -> None:
        """Throw the rows of a frame away and replace none there, as part of the edit that shows the others."""
        edit.connection.execute("DELETE FROM instances WHERE frame = ? AND import = ?", (frame, self._number))
        edit.connection.execute(
            "DELETE FROM replaced WHERE instance IN (SELECT id FROM instances WHERE frame = ?) AND import = ?",
            (frame, self._number),
        )

    def prepare_frames(self, origins: Mapping[int, str], labelled: Iterable[int]) -> None:
        """Keep at hand, for ``show``, what the import's file says of each frame, and the frames to mark as labelled."""
        filled = set(labelled)
        self._frames = True
        self._store.set_aside(
            _FRAMES,
            "id INTEGER PRIMARY KEY, origin TEXT, labelled INTEGER NOT NULL",
            [(frame, origins.get(frame), frame in filled) for frame in {*origins, *filled}],
        )

    def show(self, edit: Edit) -> None:
        """Make the rows part of the project, mark the prepared frames, and let ``edit`` undo both."""
        if self._frames:
            _mark_frames(edit)
        if self._number is not None:
            edit.update("imports", self._number, {"hidden": 0})

    def remove(self) -> None:
        """Take all of it out again."""
        if self._number is not None:
            _remove(self._store, self._number)

    def _own_number(self, connection: sqlite3.Connection) -> int:
        if self._number is None:
            self._number = int(connection.execute("INSERT INTO imports DEFAULT VALUES").lastrowid or 0)
        return self._number


@contextmanager
def incoming(project: Project) -> Iterator[Incoming]:
    """One import at a time; what has not been shown when the block raises is removed.

    Raises RiseError when the project is read-only or another import goes on for long.
    """
    project.store.require_writable()
    lock = FileLock(project.path / _LOCK, thread_local=False)
    try:
        lock.acquire(timeout=BUSY_SECONDS)
    except Timeout as error:
        raise RiseError(
            f"Another file is being imported into {project.path}; wait until that is done, and import again."
        ) from error
    except (OSError, NotImplementedError):
        # Without locks nobody knows whether an import that looks unfinished goes on elsewhere, so all are left alone.
        locked = False
    else:
        locked = True
    try:
        if locked:
            _clear(project.store)
        coming = Incoming(project.store)
        try:
            with project.store.checkpoints_after(_CHECKPOINT_PAGES):
                yield coming
        except BaseException:
            # The disk may be full or gone; then the next import does it.
            with suppress(RiseError):
                coming.remove()
            raise
    finally:
        if locked:
            lock.release()


def _mark_frames(edit: Edit) -> None:
    """What the file says of a frame is kept with it; an unlabelled frame that gets annotations is labelled."""
    states = (FrameState.UNLABELLED.value, FrameState.LABELLED.value)
    changed = (
        "(coming.origin IS NOT NULL AND coming.origin IS NOT frames.origin) "
        "OR (coming.labelled AND frames.state = :unlabelled)"
    )
    values = {"unlabelled": states[0], "labelled": states[1]}
    edit.remember_found(
        "frames",
        "SELECT frames.id AS row, json_object('origin', frames.origin, 'state', frames.state) AS image "
        f"FROM frames JOIN temp.{_FRAMES} AS coming ON coming.id = frames.id WHERE {changed} ORDER BY frames.id",
        values,
    )
    edit.connection.execute(
        "UPDATE frames SET origin = coalesce(coming.origin, frames.origin), "
        "state = CASE WHEN coming.labelled AND frames.state = :unlabelled THEN :labelled ELSE frames.state END "
        f"FROM temp.{_FRAMES} AS coming WHERE coming.id = frames.id AND ({changed})",
        values,
    )


def _clear(store: Store) -> None:
    """Remove the rows that can never be seen again.

    Those of imports that were never finished, or undone and then given up; and what others replaced, when undo does
    not reach so far back.
    """
    settled = store.read(
        "SELECT id, hidden FROM imports WHERE id NOT IN (SELECT row FROM changes WHERE kind = 'imports')"
    )
    for row in settled:
        if row["hidden"]:
            _remove(store, int(row["id"]))
        else:
            _unmark(store, int(row["id"]), "DELETE FROM instances WHERE id = ?")


def _remove(store: Store, number: int) -> None:
    query = "SELECT id FROM instances WHERE id > ? AND import = ? ORDER BY id LIMIT ?"
    _step_by_step(store, query, number, "DELETE FROM instances WHERE id = ?")
    _unmark(store, number)
    with store.write() as connection:
        connection.execute("DELETE FROM imports WHERE id = ?", (number,))


def _unmark(store: Store, number: int, *also: str) -> None:
    """Forget which annotations an import replaces, after carrying out ``also`` for the number of each."""
    query = "SELECT instance FROM replaced WHERE instance > ? AND import = ? ORDER BY instance LIMIT ?"
    _step_by_step(store, query, number, *also, f"DELETE FROM replaced WHERE instance = ? AND import = {number}")


def _step_by_step(store: Store, query: str, number: int, *statements: str) -> None:
    """Carry out statements for every row that a query finds for an import, some rows in each transaction."""
    last = 0
    while rows := store.read(query, (last, number, _ROWS_A_TRANSACTION)):
        with store.write() as connection:
            for statement in statements:
                connection.executemany(statement, [(row[0],) for row in rows])
        last = int(rows[-1][0])
        let_others(store)


def let_others(store: Store) -> None:
    """A pause after each of many short transactions, in which whoever waits to write begins."""
    if not store.writing:
        time.sleep(_PAUSE_SECONDS)
        store.let_others_begin()
