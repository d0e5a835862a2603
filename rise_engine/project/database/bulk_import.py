"""Bulk import: many annotations, written in short transactions; a final one makes all of them visible.

Each row of an import carries the number of the import. The rows of a hidden import are invisible to every reader. They
are stored in many short transactions, between which other processes can write. A last transaction shows them by
changing a single value. If the program dies before that, hidden rows remain, and the next import removes them. Undo
hides an import again. Annotations that an import replaces are marked with its number: they are invisible while the
import is shown.
"""

from __future__ import annotations

import shutil
import sqlite3
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from itertools import islice
from pathlib import Path

from filelock import FileLock, Timeout

from rise_engine.errors import RiseError
from rise_engine.project.annotations import insert_category, new_category
from rise_engine.project.database.journal import Edit, insert_numbered
from rise_engine.project.database.store import BUSY_SECONDS, Store
from rise_engine.project.frames import found_frame
from rise_engine.project.records import Category, FrameState, StoredAnnotation

LOCK_NAME = "import.lock"
_FRAMES = "imported_frames"
_ROWS_A_TRANSACTION = 1000
_BYTES_A_ROW = 100
_EXTRA_BYTES = 8_000_000
"""For SQLite's log, and for the marks on frames."""
_CHECKPOINT_PAGES = 250
"""The import copies SQLite's log into the file after this many pages: so early that no other process has to do it."""
_PAUSE_SECONDS = 0.006
"""After each transaction; a process that waits to write tries three times in this time."""


class BulkImport:
    """The rows of one import. Made by ``Project.bulk_import``."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._number: int | None = None
        self._frames_prepared = False

    def require_room(self, rows: Iterable[StoredAnnotation]) -> None:
        """Raise RiseError when the disk has no room for these rows: a full disk is hard to empty again."""
        needed = _EXTRA_BYTES + sum(_BYTES_A_ROW + sum(len(x) for x in row if isinstance(x, str)) for row in rows)
        try:
            free = shutil.disk_usage(self._store.path.parent).free
        except OSError:
            return
        if free < needed:
            raise RiseError(
                f"The import needs about {needed / 1e6:,.0f} MB of disk where {self._store.path} is, and "
                f"{free / 1e6:,.0f} MB are free; make room and import again, nothing was changed."
            )

    def add_frames(self, names: Sequence[str]) -> dict[str, int]:
        """Add frames that the project does not have yet; their ids by name. They are visible at once, as in a scan."""
        ids: dict[str, int] = {}
        for start in range(0, len(names), _ROWS_A_TRANSACTION):
            with self._store.write() as connection:
                for name in names[start : start + _ROWS_A_TRANSACTION]:
                    ids[name] = found_frame(connection, name)
            let_others_write(self._store)
        return ids

    def add(self, rows: Iterable[StoredAnnotation]) -> int:
        """Store hidden annotations and return their number."""
        left = iter(rows)
        count = 0
        while part := list(islice(left, _ROWS_A_TRANSACTION)):
            with self._store.write() as connection:
                number = self._own_number(connection)
                columns = (*StoredAnnotation._fields, "import")
                insert_numbered(connection, "instances", columns, [(*row, number) for row in part])
            count += len(part)
            let_others_write(self._store)
        return count

    def replace(self, instances: Iterable[int]) -> None:
        """Remove these annotations when the import is shown; until then they stay visible."""
        left = iter(instances)
        while part := list(islice(left, _ROWS_A_TRANSACTION)):
            with self._store.write() as connection:
                number = self._own_number(connection)
                connection.executemany("INSERT INTO replaced VALUES (?, ?)", [(instance, number) for instance in part])
            let_others_write(self._store)

    def prepare_frames(self, origins: Mapping[int, str], labelled: Iterable[int]) -> None:
        """Prepare what ``show`` writes to frames: each one's entry in the imported file, and which become labelled."""
        filled = set(labelled)
        self._frames_prepared = True
        self._store.set_aside(
            _FRAMES,
            "id INTEGER PRIMARY KEY, origin TEXT, labelled INTEGER NOT NULL",
            [(frame, origins.get(frame), frame in filled) for frame in {*origins, *filled}],
        )

    def add_category(self, edit: Edit, name: str, *, wanted: int | None, extra: str = "{}") -> None:
        """Add a category, under the id ``wanted`` if it is free, even if another one has the same name."""
        insert_category(edit, name, wanted=wanted, extra=extra)

    def find_or_add_category(self, edit: Edit, name: str, *, wanted: int) -> Category:
        """The category of this name, added when missing, under the id ``wanted`` if it is free."""
        return new_category(edit, name, wanted=wanted)

    def keep_header(self, edit: Edit, file_name: str, content: str) -> None:
        """Keep the header of an imported file, JSON, for the export; the same content is kept once."""
        known = edit.connection.execute("SELECT 1 FROM documents WHERE content = ?", (content,)).fetchone()
        if known is None:
            edit.insert("documents", {"name": file_name, "content": content})

    def withdraw(self, edit: Edit, frame: int) -> None:
        """Delete the hidden rows of a frame and replace nothing there, as part of the edit that shows the others."""
        edit.connection.execute("DELETE FROM instances WHERE frame = ? AND import = ?", (frame, self._number))
        edit.connection.execute(
            "DELETE FROM replaced WHERE instance IN (SELECT id FROM instances WHERE frame = ?) AND import = ?",
            (frame, self._number),
        )

    def change(self, edit: Edit, *, delete: Iterable[int], insert: Iterable[StoredAnnotation]) -> None:
        """Delete and insert single annotations within the edit, for frames whose hidden rows were withdrawn."""
        for number in delete:
            edit.delete("instances", number)
        for row in insert:
            edit.insert("instances", row._asdict())

    def show(self, edit: Edit) -> None:
        """Show the rows and mark the prepared frames; ``edit`` can undo both."""
        if self._frames_prepared:
            _mark_frames(edit)
        if self._number is not None:
            edit.update("imports", self._number, {"hidden": 0})

    def remove(self) -> None:
        """Remove all rows of the import."""
        if self._number is not None:
            _remove(self._store, self._number)

    def _own_number(self, connection: sqlite3.Connection) -> int:
        if self._number is None:
            self._number = int(connection.execute("INSERT INTO imports DEFAULT VALUES").lastrowid or 0)
        return self._number


@contextmanager
def bulk_import(store: Store) -> Iterator[BulkImport]:
    """One import at a time; rows that are still hidden when the block raises are removed.

    Raises RiseError when the project is read-only or another import takes longer than ``BUSY_SECONDS``.
    """
    store.require_writable()
    folder = store.path.parent
    with _import_lock(folder) as locked:
        if locked:
            _clear(store)
        rows = BulkImport(store)
        try:
            with store.checkpoints_after(_CHECKPOINT_PAGES):
                yield rows
        except BaseException:
            # On a full or absent disk this fails too; then the next import removes the rows.
            with suppress(RiseError):
                rows.remove()
            raise


@contextmanager
def _import_lock(folder: Path) -> Iterator[bool]:
    """Hold the project's import lock; False where the file system has no locks."""
    lock = FileLock(folder / LOCK_NAME, thread_local=False)
    try:
        lock.acquire(timeout=BUSY_SECONDS)
    except Timeout as error:
        raise RiseError(
            f"Another file is being imported into {folder}; wait until that is done, and import again."
        ) from error
    except (OSError, NotImplementedError):
        # Without locks, an import that looks unfinished may still be running elsewhere, so none is removed.
        yield False
        return
    try:
        yield True
    finally:
        lock.release()


def _mark_frames(edit: Edit) -> None:
    """Store the file's entry of each frame; an unlabelled frame that gets annotations becomes labelled."""
    values = {"unlabelled": FrameState.UNLABELLED.value, "labelled": FrameState.LABELLED.value}
    changed = (
        "(imported.origin IS NOT NULL AND imported.origin IS NOT frames.origin) "
        "OR (imported.labelled AND frames.state = :unlabelled)"
    )
    edit.remember_found(
        "frames",
        "SELECT frames.id AS row, json_object('origin', frames.origin, 'state', frames.state) AS image "
        f"FROM frames JOIN temp.{_FRAMES} AS imported ON imported.id = frames.id WHERE {changed} ORDER BY frames.id",
        values,
    )
    edit.connection.execute(
        "UPDATE frames SET origin = coalesce(imported.origin, frames.origin), "
        "state = CASE WHEN imported.labelled AND frames.state = :unlabelled THEN :labelled ELSE frames.state END "
        f"FROM temp.{_FRAMES} AS imported WHERE imported.id = frames.id AND ({changed})",
        values,
    )


def _clear(store: Store) -> None:
    """Remove the rows that can never be shown again.

    They are the rows of imports that were never finished, or undone and then given up; and the rows that shown imports
    replaced, once undo no longer reaches these imports.
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
    """Forget which annotations an import replaces, after running the statements ``also`` for the id of each."""
    query = "SELECT instance FROM replaced WHERE instance > ? AND import = ? ORDER BY instance LIMIT ?"
    _step_by_step(store, query, number, *also, f"DELETE FROM replaced WHERE instance = ? AND import = {number}")


def _step_by_step(store: Store, query: str, number: int, *statements: str) -> None:
    """Run statements for each row that a query finds for an import, a limited number of rows per transaction."""
    last = 0
    while rows := store.read(query, (last, number, _ROWS_A_TRANSACTION)):
        with store.write() as connection:
            for statement in statements:
                connection.executemany(statement, [(row[0],) for row in rows])
        last = int(rows[-1][0])
        let_others_write(store)


def let_others_write(store: Store) -> None:
    """Pause after one of many short transactions, so that a waiting process can begin its own."""
    if not store.writing:
        time.sleep(_PAUSE_SECONDS)
        store.let_others_begin()
