"""Whatever was done, undo and redo lead through exactly the states that there were."""

from __future__ import annotations

import json
import random
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from PIL import Image

from rise_engine.formats.coco import import_coco
from rise_engine.project.database import journal
from rise_engine.project.database.schema import INSTANCES
from rise_engine.project.database.store import Store
from rise_engine.project.project import Project
from rise_engine.project.records import FrameState, Instance, Source, Split

FRAMES = 4
REACH = 200


@contextmanager
def _project() -> Iterator[Project]:
    """Four frames with two predictions each, one category."""
    with tempfile.TemporaryDirectory() as folder:
        images = Path(folder) / "totes"
        images.mkdir()
        for number in range(FRAMES):
            Image.new("RGB", (40, 30)).save(images / f"{number}.png")
        with Project.create(Path(folder) / "totes.rise", images) as project:
            project.scan()
            category = project.annotations.add_category("object").id
            run = project.runs.start(preset="laptop", recipe="paper", steps=1, base="none").number
            project.predictions.store(
                run,
                {
                    frame.id: [_polygon(frame.id, category, at, score=0.5 + at / 100) for at in (3, 9)]
                    for frame in project.frames.all()
                },
            )
            yield project


def _polygon(frame: int, category: int, at: int, score: float | None = None) -> Instance:
    ring = [at, at, at + 7.25, at, at + 7, at + 6]
    return Instance(None, frame, category, [[float(value) for value in ring]], score=score, source=Source.DRAWN)


def _state(store: Store) -> list[object]:
    """Every row that an edit may touch, by value; those of an undone import are hidden until it is redone."""
    tables = ("frames", "categories", INSTANCES, "predictions", "documents")
    return [[tuple(row) for row in store.read(f"SELECT * FROM {table} ORDER BY id")] for table in tables]


def _edit(project: Project, rng: random.Random) -> None:
    """One random edit; sometimes it changes nothing, as people do too."""
    frames = [frame.id for frame in project.frames.all()]
    frame = rng.choice(frames)
    category = rng.choice(project.annotations.categories()).id
    instances = [instance.id for instance in project.annotations.of_frame(frame) if instance.id is not None]
    predictions = [found.id for found in project.predictions.of_frame(frame) if found.id is not None]
    chosen = rng.sample(instances, rng.randint(1, len(instances))) if instances else []

    def draw() -> None:
        count = rng.randint(1, 3)
        project.annotations.add(frame, [_polygon(frame, category, rng.randint(0, 20)) for _ in range(count)])

    def repaint() -> None:
        for instance in chosen[:1]:
            project.annotations.update(instance, segmentation=[[0.0, 0.0, rng.randint(3, 30), 0.5, 5.0, 9.0]])

    def recolour() -> None:
        for instance in chosen[:1]:
            project.annotations.update(instance, category=category)

    def exclude() -> None:
        for instance in chosen[:1]:
            project.annotations.set_bank_excluded(instance, rng.random() < 0.5)

    def stroke() -> None:
        with project.journal.edit("painted", frame=frame):
            draw()
            project.annotations.delete(chosen)

    def take_in() -> None:
        entry = {
            "images": [{"id": 9, "file_name": f"{rng.randrange(FRAMES)}.png"}],
            "categories": [{"id": 3, "name": f"kind {rng.randint(0, 2)}"}],
            "annotations": [{"id": 1, "image_id": 9, "category_id": 3, "segmentation": [[1, 1, 8, 1, 8, 7]]}],
            "made": rng.randint(0, 3),
        }
        path = project.path / "in.json"
        path.write_text(json.dumps(entry))
        import_coco(project, path, on_conflict=rng.choice(["keep", "replace", "both"]))

    edits: list[Callable[[], object]] = [
        draw,
        draw,
        repaint,
        recolour,
        exclude,
        stroke,
        take_in,
        lambda: project.annotations.delete(chosen),
        lambda: project.frames.set_state(frame, rng.choice(list(FrameState))),
        lambda: project.frames.set_split(rng.sample(frames, 2), rng.choice(list(Split))),
        lambda: project.annotations.add_category(f"kind {rng.randint(0, 5)}"),
        lambda: project.annotations.rename_category(category, f"name {rng.randint(0, 10**9)}"),
        lambda: project.predictions.accept(predictions[:1]),
        lambda: project.predictions.reject(predictions[-1:]),
    ]
    rng.choice(edits)()


def _newest(project: Project) -> int:
    return int(project.store.read("SELECT coalesce(max(id), 0) AS id FROM journal")[0]["id"])


@settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck), phases=[Phase.generate])
@given(seed=st.integers(0, 2**32), moves=st.lists(st.sampled_from("eeeeeuuro"), min_size=10, max_size=40))
def test_edits_undone_and_redone_in_any_mixture_show_the_states_there_were(seed: int, moves: list[str]) -> None:
    rng = random.Random(seed)
    with _project() as first, ExitStack() as opened:
        project = first
        project.journal.undo()
        past: list[object] = [_state(project.store)]
        project.journal.redo()
        past.append(_state(project.store))
        future: list[object] = []
        for move in moves:
            if move == "e":
                before = _newest(project)
                if project.annotations.categories():
                    _edit(project, rng)
                else:
                    project.annotations.add_category("object")
                if _newest(project) > before:
                    past.append(_state(project.store))
                    future.clear()
            elif move == "o":
                project.close()
                project = opened.enter_context(Project.open(first.path))
            elif move == "u":
                assert (project.journal.undo() is None) == (len(past) == 1)
                if len(past) > 1:
                    future.append(past.pop())
            else:
                assert (project.journal.redo() is None) == (not future)
                if future:
                    past.append(future.pop())
            assert _state(project.store) == past[-1]
        # All of it back, and all of it again.
        steps = len(past) - 1
        for expected in past[-2::-1]:
            assert project.journal.undo() is not None
            assert _state(project.store) == expected
        for expected in past[1:]:
            assert project.journal.redo() is not None
            assert _state(project.store) == expected
        assert sum(not entry.undone for entry in project.journal.history(1000)) == steps


def test_the_last_200_edits_can_be_walked_back_and_forth_over_a_restart() -> None:
    rng = random.Random(5)
    with _project() as project:
        states = [_state(project.store)]
        while len(states) <= REACH + 20:
            before = _newest(project)
            _edit(project, rng)
            if _newest(project) > before:
                states.append(_state(project.store))
        project.close()
        with Project.open(project.path) as again:
            for expected in states[-2 : -REACH - 2 : -1]:
                assert again.journal.undo() is not None
                assert _state(again.store) == expected
        with Project.open(project.path) as again:
            for expected in states[-REACH:]:
                assert again.journal.redo() is not None
                assert _state(again.store) == expected


def test_old_edits_are_settled_and_their_changes_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal, "UNDO_REACH", 10)
    monkeypatch.setattr(journal, "HISTORY_REACH", 30)
    with _project() as project:
        frame, category = project.frames.all()[0].id, project.annotations.categories()[0].id
        for number in range(60):
            project.annotations.add(frame, [_polygon(frame, category, number % 20)])
        assert len(project.journal.history(1000)) == 30
        assert not any(entry.undone for entry in project.journal.history(1000))
        entries = project.store.read("SELECT DISTINCT entry FROM changes")
        assert len(entries) == 10
        assert sum(1 for _ in iter(project.journal.undo, None)) == 10
        assert len(project.annotations.of_frame(frame)) == 50
        assert sum(1 for _ in iter(project.journal.redo, None)) == 10
        assert len(project.annotations.of_frame(frame)) == 60
        # What was undone again and again is dropped, yet the one edit that undo still reaches stays.
        for _ in iter(project.journal.undo, None):
            pass
        project.annotations.add_category("first")
        for number in range(40):
            project.annotations.add_category(f"tried {number}")
            project.journal.undo()
        assert str(project.journal.undo()) == "added the category first"


def test_an_older_project_is_backed_up_and_goes_on_with_its_history() -> None:
    """The schema before the person was noted, as that program left it."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "totes").mkdir()
        Image.new("RGB", (40, 30)).save(Path(folder) / "totes" / "a.png")
        path = Path(folder) / "totes.rise"
        with pytest.MonkeyPatch.context() as patch:
            from rise_engine.project.database import schema, store

            patch.setattr(store, "MIGRATIONS", schema.MIGRATIONS[:2])
            path.mkdir()
            old = Store(path / "project.sqlite")
            with old.write() as connection:
                connection.execute("INSERT INTO settings VALUES ('images', '\"../totes\"')")
                connection.execute("INSERT INTO frames (name, sort_key, state) VALUES ('a.png', 'a', 'labelled')")
                connection.execute("INSERT INTO journal (time, action, frame) VALUES ('2025-01-02T03:04:05', 'x', 1)")
                connection.execute("INSERT INTO changes VALUES (1, 1, 'frames', 1, '{\"state\": \"unlabelled\"}')")
            old.close()
        with Project.open(path) as project:
            (entry,) = project.journal.history()
            assert (entry.action, entry.frame, entry.person, entry.undone) == ("x", "a.png", None, False)
            assert str(project.journal.undo()) == "x in a.png"
            assert project.frames.get("a.png").state is FrameState.UNLABELLED
        backup = sqlite3.connect(path / "project.v2.sqlite")
        assert backup.execute("PRAGMA user_version").fetchone() == (2,)
        assert backup.execute("SELECT state FROM frames").fetchone() == ("labelled",)
        assert "person" not in [row[1] for row in backup.execute("PRAGMA table_info(journal)")]
        backup.close()


def test_history_names_the_account(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOGNAME", "ada")
    with _project() as project:
        assert project.journal.history()[0].person == "ada"

        def nobody() -> str:
            raise OSError("no such account")

        monkeypatch.setattr(journal.getpass, "getuser", nobody)
        project.annotations.add_category("second")
        assert project.journal.history()[0].person is None
