"""An import lets others write while it goes on, and nobody sees any of it before all of it is there."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock
from PIL import Image

from rise_engine.errors import RiseError
from rise_engine.formats.coco import import_coco, to_coco
from rise_engine.formats.coco.importer import ImportConflictError
from rise_engine.project.database import bulk_import, journal
from rise_engine.project.maintenance.check import check_store
from rise_engine.project.project import Project
from rise_engine.project.records import FrameState, Instance

FRAMES, EACH = 4, 10
OBJECT = [[5.5, 5, 30, 5, 30, 30, 5, 30]]
STROKE = [[1, 1, 9, 1, 9, 9]]
Work = Callable[[Project], object]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Project]:
    """Four frames and one more that the file below does not know; rows are stored three at a time."""
    monkeypatch.setattr(bulk_import, "_ROWS_A_TRANSACTION", 3)
    images = tmp_path / "totes"
    images.mkdir()
    for number in range(FRAMES + 1):
        Image.new("RGB", (80, 60)).save(images / f"tote{number}.png")
    with Project.create(tmp_path / "totes.rise", images) as made:
        made.scan()
        made.annotations.add_category("object")
        yield made


@pytest.fixture
def file(tmp_path: Path) -> Path:
    dataset = {
        "images": [{"id": n, "file_name": f"tote{n}.png", "width": 80, "height": 60} for n in range(FRAMES)],
        "categories": [{"id": 7, "name": "bag"}],
        "annotations": [
            {"id": n, "image_id": n % FRAMES, "category_id": 7, "segmentation": OBJECT} for n in range(FRAMES * EACH)
        ],
    }
    path = tmp_path / "in.json"
    path.write_text(json.dumps(dataset))
    return path


def _meanwhile(patch: pytest.MonkeyPatch, path: Path, *works: Work) -> list[Work]:
    """Does each of ``works`` in a pause of its own of the next import, through another connection."""
    left = list(works)

    def pause(store: object) -> None:
        if left:
            with Project.open(path) as other:
                left.pop(0)(other)

    patch.setattr(bulk_import, "let_others_write", pause)
    return left


def _draw(frame: int) -> Work:
    return lambda other: other.annotations.add(frame, [Instance(None, frame, 1, STROKE)])


def _counts(project: Project) -> list[int]:
    return [len(project.annotations.of_frame(frame.id)) for frame in project.frames.all()]


def _content(project: Project) -> list[str]:
    """The whole file but for the last numbers given out."""
    lines = project.store._connection().iterdump()
    return [line for line in lines if "sqlite_sequence" not in line]


def test_others_write_while_an_import_goes_on_and_see_nothing_of_it(
    project: Project, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[list[int], int, int, list[str]]] = []

    def look(other: Project) -> None:
        _draw(FRAMES + 1)(other)
        exported = len(to_coco(other)["annotations"])
        names = [category.name for category in other.annotations.categories()]
        seen.append((_counts(other), exported, other.frames.counts()[FrameState.LABELLED], names))

    left = _meanwhile(monkeypatch, project.path, look, look, look)
    assert import_coco(project, file).instances == FRAMES * EACH
    assert left == []
    assert seen == [([0, 0, 0, 0, n], n, 1, ["object"]) for n in (1, 2, 3)]
    assert _counts(project) == [EACH] * FRAMES + [3]
    # The strokes were there first, so the import is what undo takes back first, at once and whole.
    assert str(project.journal.undo()) == "imported in.json: 40 instances in 4 frames"
    assert _counts(project) == [0, 0, 0, 0, 3]
    assert project.frames.counts()[FrameState.LABELLED] == 1
    assert to_coco(project)["annotations"][0]["segmentation"] == STROKE
    assert str(project.journal.redo()) == "imported in.json: 40 instances in 4 frames"
    assert _counts(project) == [EACH] * FRAMES + [3]
    assert len(to_coco(project)["annotations"]) == FRAMES * EACH + 3


@pytest.mark.parametrize(("choice", "left"), [("keep", 1), ("replace", EACH), ("both", EACH + 1)])
def test_a_stroke_on_a_frame_of_the_file_is_settled_as_asked(
    project: Project, file: Path, monkeypatch: pytest.MonkeyPatch, choice: Any, left: int
) -> None:
    _meanwhile(monkeypatch, project.path, _draw(2), lambda other: other.frames.set_state(3, FrameState.REVIEWED))
    report = import_coco(project, file, on_conflict=choice)
    assert _counts(project) == [EACH, left, EACH, EACH, 0]
    assert report.instances == sum(_counts(project)) - (choice != "replace")
    assert report.kept_out == (EACH if choice == "keep" else 0)
    assert project.frames.get(3).state is FrameState.REVIEWED
    project.journal.undo()
    assert _counts(project) == [0, 1, 0, 0, 0]
    project.journal.redo()
    assert _counts(project) == [EACH, left, EACH, EACH, 0]
    assert import_coco(project, file, on_conflict=choice).instances == 0


def test_a_stroke_on_a_frame_of_the_file_without_a_choice_refuses_all(
    project: Project, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _meanwhile(monkeypatch, project.path, _draw(2))
    with pytest.raises(ImportConflictError, match=r"exist already in 1 frame of .*, for example tote1\.png;"):
        import_coco(project, file)
    assert _counts(project) == [0, 1, 0, 0, 0]
    assert project.store.read("SELECT count(*) FROM instances")[0][0] == 1


def test_what_is_deleted_or_undone_meanwhile_does_not_count(
    project: Project, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = project.annotations.add(1, [Instance(None, 1, 1, STROKE)])
    _draw(2)(project)
    _meanwhile(
        monkeypatch, project.path, lambda other: other.journal.undo(), lambda other: other.annotations.delete(first)
    )
    # What was undone is gone for good with the deletion, so the journal cannot name its frame any more.
    assert import_coco(project, file, on_conflict="keep").instances == FRAMES * EACH
    assert _counts(project) == [EACH] * FRAMES + [0]


def test_categories_that_change_meanwhile_start_it_anew(
    project: Project, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _meanwhile(monkeypatch, project.path, lambda other: other.annotations.add_category("bag"))
    assert import_coco(project, file).instances == FRAMES * EACH
    assert [category.name for category in project.annotations.categories()] == ["object", "bag"]
    assert {one.category for one in project.annotations.of_frame(1)} == {project.annotations.categories()[1].id}
    names = map(str, range(100))
    _meanwhile(monkeypatch, project.path, *[lambda other: other.annotations.add_category(next(names))] * 100)
    project.journal.undo()
    before = _counts(project)
    with pytest.raises(RiseError, match="changed repeatedly"):
        import_coco(project, file)
    assert _counts(project) == before


def test_a_program_that_dies_leaves_nothing_that_anybody_sees(
    project: Project, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(other: Project) -> None:
        # As after kill -9, nobody cleans up.
        monkeypatch.setattr(bulk_import.BulkImport, "remove", lambda self: None)
        raise KeyboardInterrupt

    _draw(5)(project)
    exported, before = to_coco(project), _content(project)
    _meanwhile(monkeypatch, project.path, lambda other: None, die)
    with pytest.raises(KeyboardInterrupt):
        import_coco(project, file)
    monkeypatch.undo()
    assert project.store.read("SELECT count(*) FROM instances")[0][0] == 1 + 6
    project.close()
    with Project.open(project.path, exclusive=True) as again:
        assert _counts(again) == [0, 0, 0, 0, 1]
        assert to_coco(again) == exported
        assert again.journal.history()[0].action == "drew 1 instance"
        # The next one clears the rows away.
        with again.bulk_import():
            pass
        assert _content(again) == before
        assert import_coco(again, file).instances == FRAMES * EACH


def test_the_rows_of_an_undone_import_are_kept_until_it_cannot_be_redone(project: Project, file: Path) -> None:
    import_coco(project, file)
    project.journal.undo()
    with project.bulk_import():
        pass
    project.journal.redo()
    assert _counts(project) == [EACH] * FRAMES + [0]
    project.journal.undo()
    _draw(5)(project)
    assert project.journal.redo() is None
    import_coco(project, file)
    assert _counts(project) == [EACH] * FRAMES + [1]
    assert project.store.read("SELECT count(*) FROM instances")[0][0] == FRAMES * EACH + 1


def test_two_imports_at_once_wait_for_each_other(project: Project, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bulk_import, "BUSY_SECONDS", 0.01)
    with FileLock(project.path / "import.lock"), pytest.raises(RiseError, match="Another file is being imported"):
        import_coco(project, file)
    assert import_coco(project, file).instances == FRAMES * EACH


def test_an_import_inside_a_larger_edit_is_part_of_it(project: Project, file: Path) -> None:
    with pytest.raises(RuntimeError), project.journal.edit("brought in"):
        import_coco(project, file)
        raise RuntimeError
    assert _counts(project) == [0] * (FRAMES + 1)
    with project.journal.edit("brought in"):
        import_coco(project, file)
    assert str(project.journal.undo()) == "brought in"
    assert _counts(project) == [0] * (FRAMES + 1)


def _other_file(tmp_path: Path, file: Path) -> Path:
    """The same frames with half as many instances, all of them others."""
    dataset = json.loads(file.read_text())
    dataset["annotations"] = [one | {"id": 1000 + one["id"]} for one in dataset["annotations"][: FRAMES * EACH // 2]]
    path = tmp_path / "other.json"
    path.write_text(json.dumps(dataset))
    return path


def test_what_is_replaced_is_there_until_the_moment_when_the_others_are(
    project: Project, file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import_coco(project, file)
    before = to_coco(project)
    seen: list[list[int]] = []
    left = _meanwhile(monkeypatch, project.path, *[lambda other: seen.append(_counts(other))] * 15)
    import_coco(project, _other_file(tmp_path, file), on_conflict="replace")
    # Seven transactions for twenty rows, and fourteen for the forty that go.
    assert left == []
    assert seen == [[EACH] * FRAMES + [0]] * 15
    assert _counts(project) == [EACH // 2] * FRAMES + [0]
    after = to_coco(project)
    # The last transaction changed no instance.
    assert project.store.read("SELECT count(*) FROM changes WHERE kind = 'instances'")[0][0] == 0
    project.journal.undo()
    assert to_coco(project) == before
    project.journal.redo()
    assert to_coco(project) == after


@pytest.mark.parametrize("choice", [True, False])
def test_a_frame_changed_while_it_is_being_replaced_is_replaced_as_it_is_now(
    project: Project, file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, choice: bool
) -> None:
    import_coco(project, file)
    numbers = [one.id for one in project.annotations.of_frame(2) if one.id is not None]

    def change(other: Project) -> None:
        if choice:
            other.annotations.update(numbers[0], segmentation=STROKE)
        else:
            other.annotations.delete(numbers)

    pauses: list[Work] = [lambda other: None] * 14
    _meanwhile(monkeypatch, project.path, *pauses, change)
    import_coco(project, _other_file(tmp_path, file), on_conflict="replace")
    assert _counts(project) == [EACH // 2] * FRAMES + [0]
    project.journal.undo()
    assert _counts(project) == [EACH, EACH if choice else 0, EACH, EACH, 0]
    assert not choice or project.annotations.of_frame(2)[0].segmentation == STROKE
    project.journal.undo()
    assert _counts(project) == [EACH] * FRAMES + [0]
    project.journal.redo()
    project.journal.redo()
    assert _counts(project) == [EACH // 2] * FRAMES + [0]


def test_an_unfinished_or_abandoned_replacement_leaves_what_was_there(
    project: Project, file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import_coco(project, file)
    before = _content(project)

    def die(other: Project) -> None:
        raise KeyboardInterrupt

    _meanwhile(monkeypatch, project.path, *[lambda other: None] * 15, die)
    other = _other_file(tmp_path, file)
    with pytest.raises(KeyboardInterrupt):
        import_coco(project, other, on_conflict="replace")
    assert _content(project) == before
    monkeypatch.undo()
    import_coco(project, other, on_conflict="replace")
    project.journal.undo()
    _draw(5)(project)
    with project.bulk_import():
        pass
    assert _counts(project) == [EACH] * FRAMES + [1]
    assert project.store.read("SELECT (SELECT count(*) FROM replaced), (SELECT count(*) FROM imports)")[0][:] == (0, 1)


def test_what_was_replaced_goes_for_good_when_undo_does_not_reach_it(
    project: Project, file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import_coco(project, file)
    import_coco(project, _other_file(tmp_path, file), on_conflict="replace")
    with project.bulk_import():
        pass
    assert project.store.read("SELECT count(*) FROM instances")[0][0] == FRAMES * EACH * 3 // 2
    monkeypatch.setattr(journal, "UNDO_REACH", 2)
    for _ in range(2):
        _draw(5)(project)
    with project.bulk_import():
        pass
    assert _counts(project) == [EACH // 2] * FRAMES + [2]
    assert project.store.read("SELECT count(*) FROM instances")[0][0] == FRAMES * EACH // 2 + 2
    assert project.store.read("SELECT count(*) FROM replaced")[0][0] == 0
    assert check_store(project) == []
