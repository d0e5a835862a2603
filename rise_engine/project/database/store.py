"""The SQLite file of a project: connections, schema versions, and atomic transactions."""

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
"""How long another program may lock the file; this program's transactions take milliseconds."""
_RETRY_SECONDS = 0.002
"""SQLite's own busy handler backs off and may starve behind a process that writes many transactions."""
_LOCKED = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})
_TURN = "turn.lock"
_LONGEST_WAIT_SECONDS = 1.0
"""How long a process with many transactions waits for the next one in line, in case that one was stopped."""


class Store:
    """One ``project.sqlite``; for several threads (one connection each) and several processes at the same time.

    ``read_only`` refuses every write with ``read_only_reason``.
    """

    def __init__(
        self, path: Path, *, read_only: bool = False, read_only_reason: str = "it was opened read-only"
    ) -> None:
        """Open the file; create or migrate it if needed. Raises RiseError for a foreign, newer, or unreachable file."""
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
        """The rows of a query one by one, as of one moment."""
        with self._translated():
            yield from self._connection().execute(query, parameters)

    @contextmanager
    def write(self) -> Iterator[sqlite3.Connection]:
        """A transaction: committed when the block ends, rolled back when it raises; a nested one joins the outer one.

        Raises RiseError when the project is read-only, the disk is full, or another process locks the file for long.
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
        """Return when no other process is known to wait for the write lock. A process with many transactions would
        otherwise take the lock again at once, and the others would starve."""
        with (
            suppress(Timeout, OSError, NotImplementedError),
            self._turn().acquire(timeout=_LONGEST_WAIT_SECONDS, poll_interval=_RETRY_SECONDS),
        ):
            return

    @contextmanager
    def checkpoints_after(self, pages: int) -> Iterator[None]:
        """Within the block, copy the log into the file once it has this many pages after an edit of this thread."""
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
        """Keep rows in a table ``temp.TABLE`` of this thread; it is not in the file, so no other process waits."""
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
        """Copy the database, as of this moment, into one file without a log. Other processes may write meanwhile."""
        with self._translated(), closing(sqlite3.connect(path)) as copy:
            self._connection().backup(copy)
            copy.execute("PRAGMA journal_mode=DELETE")

    def close(self) -> None:
        """Close the connections of all threads; the store cannot be used any more."""
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
        *modes, last = "rw", "ro", "ro&immutable=1"
        for mode in modes:
            with suppress(sqlite3.OperationalError):
                return self._readable(mode)
        return self._readable(last)

    def _readable(self, mode: str) -> sqlite3.Connection:
        """A connection that can read the file. Raises sqlite3.OperationalError when it cannot."""
        connection = self._opened(mode)
        try:
            connection.execute("PRAGMA user_version").fetchone()
            connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        except sqlite3.Error:
            connection.close()
            raise
        return connection

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
            raise RiseError(f"{self.path} contains views or triggers, which no project has; restore it from a backup.")
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
        """Take the write lock as soon as it is free."""
        last = time.monotonic() + BUSY_SECONDS
        turn = self._turn()
        connection.execute("PRAGMA busy_timeout=0")
        try:
            while True:
                try:
                    connection.execute("BEGIN IMMEDIATE")
                    return
                except sqlite3.OperationalError as error:
                    if _code(error) not in _LOCKED or time.monotonic() > last:
                        raise
                if not turn.is_locked:
                    # Another process may hold it, and some file systems have no locks; frequent retries then suffice.
                    with suppress(Timeout, OSError, NotImplementedError):
                        turn.acquire(timeout=0)
                time.sleep(_RETRY_SECONDS)
        finally:
            turn.release()
            connection.execute(f"PRAGMA busy_timeout={1000 * BUSY_SECONDS:.0f}")

    def _turn(self) -> FileLock:
        """The lock that a process holds while it waits for the write lock."""
        return FileLock(self.path.with_name(_TURN), thread_local=False)

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.DatabaseError as error:
            raise RiseError(_message(self.path, error)) from error


def _choose_journal(connection: sqlite3.Connection) -> None:
    """Use WAL where the file system supports it; some network file systems fail only when WAL or its locks are used."""
    try:
        mode = connection.execute("PRAGMA journal_mode=WAL").fetchone()[0]
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("COMMIT")
    except sqlite3.OperationalError as error:
        if _code(error) in _LOCKED:
            raise
        mode = "failed"
    if mode != "wal":
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        connection.execute("PRAGMA journal_mode=DELETE")


def _code(error: sqlite3.Error) -> int:
    """SQLite's primary result code; the extended code has the detail in its upper bits."""
    return getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF


def _message(path: Path, error: sqlite3.DatabaseError) -> str:
    """What is wrong and what to do about it."""
    code = _code(error)
    if code == sqlite3.SQLITE_FULL:
        return f"The disk is full, so the last edit in {path} was not saved; make room and do it again."
    if code in _LOCKED:
        return f"Another program has locked {path} for more than {BUSY_SECONDS:.0f} seconds; close it and try again."
    if code in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM):
        return f"{path} cannot be written ({error}); check the permissions of its folder."
    if code in (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT):
        return f"{path} is not a project or is damaged ({error}); restore it from a backup."
    return f"{path} could not be used ({error}); check the disk and try again."
