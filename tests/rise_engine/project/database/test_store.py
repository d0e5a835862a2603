from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock, Timeout

from rise_engine.errors import RiseError
from rise_engine.project.database import schema, store
from rise_engine.project.project import Project
from rise_engine.project.records import Instance
from rise_engine.project.segmentation import from_mask

MakeProject = Callable[[int], Project]


def _square(frame: int, category: int) -> Instance:
    mask = np.zeros((60, 80), dtype=bool)
    mask[5:15, 5:15] = True
    return Instance(None, frame, category, from_mask(mask))


def test_every_edit_is_synced_to_disk(make_project: MakeProject) -> None:
    project = make_project(1)
    assert project.store.read("PRAGMA synchronous")[0][0] == 2
    assert project.store.read("PRAGMA journal_mode")[0][0] == "wal"


def test_an_edit_that_fails_halfway_changes_nothing(make_project: MakeProject) -> None:
    project = make_project(2)
    category = project.annotations.add_category("object").id
    with pytest.raises(RiseError, match="no category 99"):
        project.annotations.add(1, [_square(1, category), _square(1, 99)])
    assert project.annotations.of_frame(1) == []
    assert [entry.action for entry in project.journal.history()] == ["added the category object"]


def test_a_full_disk_is_a_sentence_and_the_edit_is_taken_back(make_project: MakeProject) -> None:
    project = make_project(1)
    category = project.annotations.add_category("object").id
    pages = project.store.read("PRAGMA page_count")[0][0]
    project.store.read(f"PRAGMA max_page_count={pages + 1}")
    noise = np.random.default_rng(0).random((300, 300)) < 0.5
    with pytest.raises(RiseError, match="disk is full"):
        project.annotations.add(1, [Instance(None, 1, category, from_mask(noise))])
    assert project.annotations.of_frame(1) == []
    project.store.read("PRAGMA max_page_count=1000000")
    project.annotations.add(1, [_square(1, category)])
    assert len(project.annotations.of_frame(1)) == 1


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs kill -9")
def test_a_kill_in_the_middle_loses_only_what_was_not_committed(make_project: MakeProject) -> None:
    project = make_project(1)
    category = project.annotations.add_category("object").id
    project.close()
    code = f"""
import os, signal
from pathlib import Path
from rise_engine.project.project import Project
from rise_engine.project.records import Instance
project = Project.open(Path({str(project.path)!r}), exclusive=True)
square = Instance(None, 1, {category}, [[5, 5, 15, 5, 15, 15, 5, 15]])
project.annotations.add(1, [square])
with project.store.write():
    project.annotations.add(1, [square])
    os.kill(os.getpid(), signal.SIGKILL)
"""
    killed = subprocess.run([sys.executable, "-c", code], cwd=Path.cwd(), capture_output=True)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    with Project.open(project.path, exclusive=True) as again:
        assert not again.read_only
        assert len(again.annotations.of_frame(1)) == 1
        assert again.store.read("PRAGMA integrity_check")[0][0] == "ok"


def test_a_second_window_reads_only_until_the_first_closes(make_project: MakeProject) -> None:
    path = make_project(1).path
    first = Project.open(path, exclusive=True)
    second = Project.open(path, exclusive=True)
    assert not first.read_only
    assert second.read_only
    first.annotations.add_category("object")
    assert [category.name for category in second.annotations.categories()] == ["object"]
    with pytest.raises(RiseError, match="another window"):
        second.annotations.add_category("other")
    first.close()
    with Project.open(path, exclusive=True) as third:
        assert not third.read_only
    second.close()


def test_a_command_writes_beside_an_open_window(make_project: MakeProject) -> None:
    path = make_project(2).path
    with Project.open(path, exclusive=True) as window, Project.open(path) as command:
        command.annotations.add_category("object")
        window.annotations.add_category("other")
        assert [category.name for category in command.annotations.categories()] == ["object", "other"]


def test_read_only_refuses_edits(make_project: MakeProject) -> None:
    path = make_project(1).path
    with Project.open(path, read_only=True) as project:
        assert project.probe(1) == (80, 60)
        with pytest.raises(RiseError, match="read-only"):
            project.set_setting("key", 1)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="rights do not bind this user")
def test_a_read_only_folder_opens_read_only(make_project: MakeProject) -> None:
    project = make_project(1)
    project.close()
    project.path.chmod(0o555)
    try:
        with Project.open(project.path) as again:
            assert again.read_only
            assert len(again.frames.all()) == 1
    finally:
        project.path.chmod(0o755)


def test_threads_write_at_once_without_losing_anything(make_project: MakeProject) -> None:
    project = make_project(4)
    category = project.annotations.add_category("object").id
    errors: list[BaseException] = []

    def work(frame: int) -> None:
        try:
            for _ in range(10):
                project.annotations.add(frame, [_square(frame, category)])
                project.annotations.of_frame(frame)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(frame,)) for frame in (1, 2, 3, 4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert [len(project.annotations.of_frame(frame)) for frame in (1, 2, 3, 4)] == [10, 10, 10, 10]


def test_where_wal_is_refused_the_rollback_journal_is_used(tmp_path: Path) -> None:
    class NoWal(sqlite3.Connection):
        def execute(self, sql: str, *parameters: object) -> sqlite3.Cursor:  # type: ignore[override]
            if sql == "PRAGMA journal_mode=WAL":
                raise sqlite3.OperationalError("locking protocol")
            return super().execute(sql, *parameters)  # type: ignore[arg-type]

    connection = sqlite3.connect(tmp_path / "x.sqlite", factory=NoWal, isolation_level=None)
    store._choose_journal(connection)
    assert connection.execute("PRAGMA journal_mode").fetchone()[0] == "delete"
    connection.close()


def test_a_newer_schema_is_refused_and_an_older_one_backed_up_then_migrated(
    make_project: MakeProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = make_project(3)
    project.close()
    newer = (*schema.MIGRATIONS, "CREATE TABLE novelty (id INTEGER PRIMARY KEY)")
    monkeypatch.setattr(store, "MIGRATIONS", newer)
    with Project.open(project.path) as migrated:
        assert len(migrated.frames.all()) == 3
        assert migrated.store.read("SELECT * FROM novelty") == []
    backup = sqlite3.connect(project.path / f"project.v{len(schema.MIGRATIONS)}.sqlite")
    assert backup.execute("SELECT count(*) FROM frames").fetchone()[0] == 3
    assert backup.execute("SELECT count(*) FROM sqlite_master WHERE name = 'novelty'").fetchone()[0] == 0
    backup.close()
    monkeypatch.undo()
    with pytest.raises(RiseError, match="newer version"):
        Project.open(project.path)


def test_files_that_are_no_project_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.rise").mkdir()
    with pytest.raises(RiseError, match="no project"):
        Project.open(tmp_path / "a.rise")
    (tmp_path / "a.rise" / "project.sqlite").write_text("this is a text and no database at all" * 100)
    with pytest.raises(RiseError, match="not a project or is damaged"):
        Project.open(tmp_path / "a.rise")
    (tmp_path / "a.rise" / "project.sqlite").unlink()
    foreign = sqlite3.connect(tmp_path / "a.rise" / "project.sqlite")
    foreign.execute("CREATE TABLE songs (id INTEGER)")
    foreign.commit()
    foreign.close()
    with pytest.raises(RiseError, match="another program"):
        Project.open(tmp_path / "a.rise")


def test_a_closed_project_says_so(make_project: MakeProject) -> None:
    project = make_project(1)
    project.close()
    with pytest.raises(RiseError, match="closed"):
        project.frames.all()


def test_who_writes_much_lets_those_begin_who_wait(make_project: MakeProject) -> None:
    project = make_project(1)
    turn = project.path / "turn.lock"

    def waits() -> bool:
        lock = FileLock(turn)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            return True
        lock.release()
        return False

    seen = []
    with Project.open(project.path) as other:
        for _ in range(3):
            stroke = threading.Thread(target=lambda: other.set_setting("stroke", 1), daemon=True)
            with project.store.write():
                stroke.start()
                deadline = time.monotonic() + 30
                while not waits() and time.monotonic() < deadline:
                    time.sleep(0.001)
            project.store.let_others_begin()
            with project.store.write() as connection:
                found = connection.execute("SELECT 1 FROM settings WHERE key = 'stroke'").fetchall()
                seen.append(len(found))
                connection.execute("DELETE FROM settings WHERE key = 'stroke'")
            stroke.join()
    assert seen == [1, 1, 1]
    assert not waits()


def test_writing_goes_on_where_there_are_no_locks(make_project: MakeProject, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise NotImplementedError

    project = make_project(1)
    monkeypatch.setattr(FileLock, "acquire", refuse)
    with Project.open(project.path) as other:
        with project.store.write():
            stroke = threading.Thread(target=lambda: other.set_setting("stroke", 1), daemon=True)
            stroke.start()
            stroke.join(0.05)
            assert stroke.is_alive()
        project.store.let_others_begin()
        stroke.join(30)
    assert project.setting("stroke") == 1
