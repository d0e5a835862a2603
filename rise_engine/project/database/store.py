"""The SQLite file of a project: connections, schema versions, and transactions that hold whole or not at all."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from rise_engine.errors import RiseError
from rise_engine.project.database.schema import MIGRATIONS

BUSY_SECONDS = 30.0
"""So long another program may hold the file; ours do for milliseconds."""
_LOOK_AGAIN_SECONDS = 0.002
"""SQLite itself looks more and more seldom, and would miss the pauses of those who write much."""
_TURN = "turn.lock"
_LONGEST_TURN_SECONDS = 1.0
"""So long those who write much wait for others that have not begun, in case one of these is stopped."""


class Store:
    """One ``project.sqlite``; usable from several threads (one connection each) and beside other processes.

    ``read_only`` refuses every write with ``read_only_reason``.
    """

    def __init__(
        self, path: Path, *, read_only: bool = False, read_only_reason: str = "it was opened read-only"
    ) -> None:
        """Open and, when needed, create or migrate. Raises RiseError for a foreign, newer, or unreachable file."""
        self.path = path
        self.read_only = read_only
        self.read_only_reason = read_only_reason
        self._connections: dict[int, sqlite3.Connection] = {}
        self._guard = threading.Lock()
        self._closed = False
        try:
            with self._translated():
                self._prepare()
        except BaseException:
            self.close()
            raise

    def read(self, query: str, parameters: Sequence[Any] = ()) -> list[sqlite3.Row]:
        """All rows of a query."""
        with self._translated():
            return self._connection().execute(query, parameters).fetchall()

    def stream(self, query: str, parameters: Sequence[Any] = ()) -> Iterator[sqlite3.Row]:
        """The rows of a query one by one, all of the same moment."""
        with self._translated():
            yield from self._connection().execute(query, parameters)

    @contextmanager
    def write(self) -> Iterator[sqlite3.Connection]:
        """A transaction: committed when the block ends, undone when it raises; inside another it joins that one.

        Raises RiseError when the project is read-only, the disk is full, or another process holds the file for long.
        """
        self.require_writable()
        with self._translated():
            connection = self._connection()
            if connection.in_transaction:
                yield connection
                return
            self._begin(connection)
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                # A full disk may have rolled back already.
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise

    def require_writable(self) -> None:
        """Raise RiseError when edits are refused."""
        if self.read_only:
            raise RiseError(f"The project {self.path.parent} cannot be changed: {self.read_only_reason}.")

    @property
    def writing(self) -> bool:
        """Whether this thread is inside a transaction."""
        return self._connection().in_transaction

    def let_others_begin(self) -> None:
        """Return when nobody is known to wait for the right to write: otherwise who writes much may take it again at
        once, and others find it taken whenever they look."""
        with (
            suppress(Timeout, OSError, NotImplementedError),
            self._turn().acquire(timeout=_LONGEST_TURN_SECONDS, poll_interval=_LOOK_AGAIN_SECONDS),
        ):
            return

    @contextmanager
    def checkpoints_after(self, pages: int) -> Iterator[None]:
        """Copy the log into the file when it has so many pages after an edit of this thread."""
        with self._translated():
            connection = self._connection()
            usual = int(connection.execute("PRAGMA wal_autocheckpoint").fetchone()[0])
            connection.execute(f"PRAGMA wal_autocheckpoint={pages}")
        try:
            yield
        finally:
            with suppress(sqlite3.Error):
                connection.execute(f"PRAGMA wal_autocheckpoint={usual}")

    def set_aside(self, table: str, columns: str, rows: Sequence[Sequence[Any]]) -> None:
        """Keep rows in a table ``temp.TABLE`` of this thread, which is not in the file: nobody waits meanwhile."""
        with self._translated():
            connection = self._connection()
            joined = connection.in_transaction
            if not joined:
                connection.execute("BEGIN")
            connection.execute(f"DROP TABLE IF EXISTS temp.{table}")
            connection.execute(f"CREATE TEMP TABLE {table} ({columns})")
            if rows:
                places = ", ".join("?" * len(rows[0]))
                connection.executemany(f"INSERT INTO temp.{table} VALUES ({places})", rows)
            if not joined:
                connection.execute("COMMIT")

    def copy_to(self, path: Path) -> None:
        """The database as of this moment, as one file that needs no other beside it; others may write meanwhile."""
        with self._translated(), closing(sqlite3.connect(path)) as copy:
            self._connection().backup(copy)
            copy.execute("PRAGMA journal_mode=DELETE")

    def close(self) -> None:
        """Close the connections of all threads; the store cannot be used afterwards."""
        with self._guard:
            self._closed = True
            for connection in self._connections.values():
                with suppress(sqlite3.Error):
                    connection.close()
            self._connections.clear()

    def _connection(self) -> sqlite3.Connection:
        # Thread numbers are reused once a thread has ended, so there are never more connections than live threads.
        thread = threading.get_ident()
        with self._guard:
            if self._closed:
                raise RiseError(f"The project {self.path.parent} is closed; open it again.")
            connection = self._connections.get(thread)
            if connection is None:
                connection = self._connections[thread] = self._connect()
            return connection

    def _connect(self) -> sqlite3.Connection:
        connection = self._open_file()
        connection.row_factory = sqlite3.Row
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("PRAGMA trusted_schema=OFF")
        if self.read_only:
            connection.execute("PRAGMA query_only=ON")
        return connection

    def _open_file(self) -> sqlite3.Connection:
        if not self.read_only:
            return self._opened("rwc")
        for options in ("rw", "ro", "ro&immutable=1"):
            connection = self._opened(options)
            try:
                connection.execute("PRAGMA user_version").fetchone()
                connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
                return connection
            except sqlite3.OperationalError:
                connection.close()
        raise sqlite3.OperationalError("unable to open database file")

    def _opened(self, mode: str) -> sqlite3.Connection:
        return sqlite3.connect(
            f"{self.path.absolute().as_uri()}?mode={mode}",
            uri=True,
            timeout=BUSY_SECONDS,
            isolation_level=None,
            check_same_thread=False,
        )

    def _prepare(self) -> None:
        connection = self._connection()
        version = int(connection.execute("PRAGMA user_version").fetchone()[0])
        if connection.execute("SELECT 1 FROM sqlite_master WHERE type IN ('view', 'trigger')").fetchone():
            raise RiseError(f"{self.path} holds programs of its own, which no project does; restore it from a backup.")
        newest = len(MIGRATIONS)
        if version > newest:
            raise RiseError(
                f"The project {self.path.parent} was written by a newer version of this program "
                f"(schema {version}, known up to {newest}); update the program to open it."
            )
        if self.read_only:
            if version < newest:
                raise RiseError(
                    f"The project {self.path.parent} has an older schema; open it once for writing to update it."
                )
            return
        _choose_journal(connection)
        if version == newest:
            return
        if version == 0 and connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
            raise RiseError(f"{self.path} is a database of another program; choose another project folder.")
        if version > 0:
            self._back_up(connection, version)
        self._migrate()

    def _back_up(self, connection: sqlite3.Connection, version: int) -> None:
        with closing(sqlite3.connect(self.path.with_name(f"{self.path.stem}.v{version}.sqlite"))) as backup:
            connection.backup(backup)

    def _migrate(self) -> None:
        with self.write() as connection:
            # Read again inside the lock: another process may have been faster.
            version = int(connection.execute("PRAGMA user_version").fetchone()[0])
            for step in MIGRATIONS[version:]:
                for statement in step.split(";"):
                    connection.execute(statement)
            connection.execute(f"PRAGMA user_version={len(MIGRATIONS)}")

    def _begin(self, connection: sqlite3.Connection) -> None:
        """Take the right to write, at the first moment when nobody has it."""
        last = time.monotonic() + BUSY_SECONDS
        turn = self._turn()
        connection.execute("PRAGMA busy_timeout=0")
        try:
            while True:
                try:
                    connection.execute("BEGIN IMMEDIATE")
                    return
                except sqlite3.OperationalError as error:
                    if "locked" not in str(error) or time.monotonic() > last:
                        raise
                if not turn.is_locked:
                    # Another may wait already, and some disks know no locks; then looking often has to do.
                    with suppress(Timeout, OSError, NotImplementedError):
                        turn.acquire(timeout=0)
                time.sleep(_LOOK_AGAIN_SECONDS)
        finally:
            turn.release()
            connection.execute(f"PRAGMA busy_timeout={1000 * BUSY_SECONDS:.0f}")

    def _turn(self) -> FileLock:
        """Held by who waits for the right to write."""
        return FileLock(self.path.with_name(_TURN), thread_local=False)

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.DatabaseError as error:
            raise RiseError(_sentence(self.path, error)) from error


def _choose_journal(connection: sqlite3.Connection) -> None:
    """WAL where the disk can do it; some network file systems refuse it or its locks only when it is used."""
    try:
        mode = connection.execute("PRAGMA journal_mode=WAL").fetchone()[0]
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("COMMIT")
    except sqlite3.OperationalError as error:
        if "locked" in str(error) and "protocol" not in str(error):
            raise
        mode = "failed"
    if mode != "wal":
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        connection.execute("PRAGMA journal_mode=DELETE")


def _sentence(path: Path, error: sqlite3.DatabaseError) -> str:
    text = str(error)
    if "full" in text:
        return f"The disk is full, so the last edit in {path} was not saved; make room and do it again."
    if "readonly" in text or "unable to open" in text:
        return f"{path} cannot be written ({text}); check the rights of its folder."
    if "locked" in text or "busy" in text:
        return f"{path} is held by another program for more than {BUSY_SECONDS:.0f} seconds; close it and try again."
    if "not a database" in text or "malformed" in text:
        return f"{path} is not a project or is damaged ({text}); restore it from a backup."
    return f"{path} could not be used ({text}); check the disk and try again."
