from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from rise_engine.errors import RiseError
from rise_engine.formats.coco import import_coco
from rise_engine.project.database import journal
from rise_engine.project.project import Project
from rise_engine.project.records import EditSummary, FrameState, Instance, Source, Split
from rise_engine.project.segmentation import from_mask

MakeProject = Callable[[int], Project]


def _square(frame: int, category: int, at: int = 5, score: float | None = None) -> Instance:
    mask = np.zeros((60, 80), dtype=bool)
    mask[at : at + 10, at : at + 10] = True
    return Instance(None, frame, category, from_mask(mask), score=score)


def _everything(project: Project) -> object:
    return (
        project.frames.all(),
        project.annotations.categories(),
        [project.annotations.of_frame(frame.id) for frame in project.frames.all()],
        [project.predictions.of_frame(frame.id) for frame in project.frames.all()],
        project.annotations.bank_excluded(),
    )


@pytest.mark.parametrize("many", [1, 2, 100])
def test_undo_and_redo_walk_through_edits_of_several_frames(
    make_project: MakeProject, monkeypatch: pytest.MonkeyPatch, many: int
) -> None:
    # Of how many changes on the database is asked to make them all at once.
    monkeypatch.setattr(journal, "_MANY", many)
    project = make_project(3)
    states = [_everything(project)]

    def note() -> None:
        states.append(_everything(project))

    category = project.annotations.add_category("object").id
    note()
    first, second = project.annotations.add(1, [_square(1, category), _square(1, category, 20)])
    note()
    project.annotations.add(2, [_square(2, category, 7)])
    note()
    project.annotations.update(first, segmentation=[[1, 1, 9, 1, 9, 9]])
    note()
    project.annotations.set_bank_excluded(second, True)
    note()
    project.annotations.delete([first])
    note()
    project.annotations.rename_category(category, "box")
    note()
    project.frames.set_state(3, FrameState.SKIPPED)
    note()
    project.frames.set_split([1, 2], Split.HOLDOUT)
    note()
    for expected in reversed(states[:-1]):
        assert project.journal.undo() is not None
        assert _everything(project) == expected
    assert project.journal.undo() is None
    for expected in states[1:]:
        assert project.journal.redo() is not None
        assert _everything(project) == expected
    assert project.journal.redo() is None


def test_undo_of_a_large_import_brings_every_text_and_state_back(make_project: MakeProject, tmp_path: Path) -> None:
    project = make_project(120)
    names = [frame.name for frame in project.frames.all()]
    odd = ["", "\"'", "a\\nb", "{}", "null", "1.50", "ü\u2028\U0001f4e6", "[1, 2]", "tab\there"]
    dataset = {
        "images": [{"id": n, "file_name": name, "note": odd[n % len(odd)]} for n, name in enumerate(names)],
        "categories": [{"id": 1, "name": "object"}],
        "annotations": [
            {"id": n, "image_id": n, "category_id": 1, "segmentation": [[1, 1, 9, 1, 9, 9]]} for n in range(119)
        ],
    }
    path = tmp_path / "in.json"
    path.write_text(json.dumps(dataset))
    project.frames.set_state(3, FrameState.REVIEWED)

    def content() -> list[tuple[object, ...]]:
        return [tuple(row) for row in project.store.read("SELECT * FROM frames ORDER BY id")]

    before = content()
    import_coco(project, path)
    after = content()
    kept = {json.loads(str(row[-1]))["file_name"]: json.loads(str(row[-1]))["note"] for row in after}
    assert kept == {name: odd[n % len(odd)] for n, name in enumerate(names)}
    for _ in range(2):
        assert str(project.journal.undo()) == "imported in.json: 119 instances in 119 frames"
        assert content() == before
        project.journal.redo()
        assert content() == after


def test_undo_of_many_scores_brings_every_digit_back(make_project: MakeProject) -> None:
    project = make_project(1)
    frame, category = project.frames.all()[0].id, project.annotations.add_category("object").id
    third = 0.1 + 0.2
    instances = [Instance(None, frame, category, from_mask(np.ones((4, 4), bool)), score=third) for _ in range(120)]
    ids = project.annotations.add(frame, instances)
    with project.journal.edit("scored them") as edit:
        for number in ids:
            edit.update("instances", number, {"score": 1 / 3})
    assert str(project.journal.undo()) == "scored them"
    assert {instance.score for instance in project.annotations.of_frame(frame)} == {third}
    assert str(project.journal.redo()) == "scored them"
    assert {instance.score for instance in project.annotations.of_frame(frame)} == {1 / 3}


def test_undo_names_its_frame_whatever_words_the_names_hold(make_project: MakeProject) -> None:
    project = make_project(2)
    with project.store.write() as connection:
        connection.execute("UPDATE frames SET name = 'bin in ' || name")
    category = project.annotations.add_category("box in blue").id
    project.annotations.add(2, [_square(2, category)])
    assert project.journal.undo() == EditSummary("drew 1 instance", 2, "bin in tote1.png")
    assert project.journal.undo() == EditSummary("added the category box in blue", None, None)


def test_undo_says_what_it_took_back_and_where(make_project: MakeProject) -> None:
    project = make_project(2)
    category = project.annotations.add_category("object").id
    project.annotations.add(2, [_square(2, category), _square(2, category)])
    undone = project.journal.undo()
    assert undone == project.journal.redo() == EditSummary("drew 2 instances", 2, "tote1.png")
    assert str(undone) == "drew 2 instances in tote1.png"
    latest = project.journal.history(limit=1)[0]
    assert (latest.action, latest.frame, latest.undone) == ("drew 2 instances", "tote1.png", False)


def test_an_edit_after_an_undo_ends_the_redo(make_project: MakeProject) -> None:
    project = make_project(2)
    category = project.annotations.add_category("object").id
    project.annotations.add(1, [_square(1, category)])
    project.journal.undo()
    project.annotations.add(2, [_square(2, category)])
    assert project.journal.redo() is None
    assert project.annotations.of_frame(1) == []
    assert [entry.undone for entry in project.journal.history()] == [False, True, False]
    assert str(project.journal.undo()) == "drew 1 instance in tote1.png"
    assert str(project.journal.undo()) == "added the category object"


def test_undo_is_remembered_over_closing(make_project: MakeProject) -> None:
    project = make_project(1)
    category = project.annotations.add_category("object").id
    project.annotations.add(1, [_square(1, category)])
    project.close()
    with Project.open(project.path) as again:
        again.journal.undo()
        assert again.annotations.of_frame(1) == []
        assert again.frames.get(1).state is FrameState.UNLABELLED


def test_an_id_is_never_given_twice(make_project: MakeProject) -> None:
    project = make_project(1)
    category = project.annotations.add_category("object").id
    (first,) = project.annotations.add(1, [_square(1, category)])
    project.annotations.delete([first])
    (second,) = project.annotations.add(1, [_square(1, category)])
    assert second != first


def test_accepting_is_one_edit_and_can_be_taken_back(make_project: MakeProject) -> None:
    project = make_project(2)
    category = project.annotations.add_category("object").id
    run = project.runs.start(preset="laptop", recipe="recommended", steps=10, base="none").number
    project.predictions.store(run, {1: [_square(1, category, 5, 0.4), _square(1, category, 30, 0.9)]})
    best, other = project.predictions.of_frame(1)
    assert (best.score, other.score) == (0.9, 0.4)
    before = _everything(project)
    assert best.id is not None and other.id is not None
    (accepted,) = project.predictions.accept([best.id])
    annotation = project.annotations.of_frame(1)[0]
    assert (annotation.id, annotation.source, annotation.score, annotation.run) == (accepted, Source.ACCEPTED, 0.9, run)
    assert annotation.segmentation == best.segmentation
    assert [found.id for found in project.predictions.of_frame(1)] == [other.id]
    assert project.frames.get(1).state is FrameState.REVIEWED
    project.predictions.reject([other.id])
    assert project.predictions.of_frame(1) == []
    project.journal.undo()
    project.journal.undo()
    assert _everything(project) == before


def test_accepting_without_a_state_leaves_the_frame_as_it_is(make_project: MakeProject) -> None:
    project = make_project(1)
    category = project.annotations.add_category("object").id
    run = project.runs.start(preset="laptop", recipe="recommended", steps=10, base="none").number
    project.predictions.store(run, {1: [_square(1, category, score=0.4)]})
    project.predictions.accept([found.id for found in project.predictions.of_frame(1) if found.id], state=None)
    assert project.frames.get(1).state is FrameState.UNLABELLED


def test_a_prediction_that_undo_brings_back_does_not_mix_with_newer_ones(make_project: MakeProject) -> None:
    project = make_project(1)
    category = project.annotations.add_category("object").id
    run = project.runs.start(preset="laptop", recipe="recommended", steps=10, base="none").number
    project.predictions.store(run, {1: [_square(1, category, score=0.4)]})
    project.predictions.accept([found.id for found in project.predictions.of_frame(1) if found.id])
    project.predictions.store(run, {1: [_square(1, category, 20, score=0.8)]})
    project.journal.undo()
    assert [found.score for found in project.predictions.of_frame(1)] == [0.8]
    assert project.predictions.latest_scores() == {1: [0.8]}


def test_edits_together_are_one_undo_with_its_own_words(make_project: MakeProject) -> None:
    project = make_project(2)
    category = project.annotations.add_category("object").id
    (kept,) = project.annotations.add(1, [_square(1, category)])
    before = _everything(project)
    with project.journal.edit("painted 2 instances", frame=1):
        project.annotations.add(1, [_square(1, category, 20)])
        project.annotations.update(kept, segmentation=[[1, 1, 9, 1, 9, 9]])
        project.annotations.update(kept, segmentation=[[2, 2, 9, 2, 9, 9]])
    after = _everything(project)
    assert str(project.journal.undo()) == f"painted 2 instances in {project.frames.get(1).name}"
    assert _everything(project) == before
    project.journal.redo()
    assert _everything(project) == after


def test_edits_together_are_all_carried_out_or_none(make_project: MakeProject) -> None:
    project = make_project(1)
    category = project.annotations.add_category("object").id
    before, words = _everything(project), project.journal.history()[0].action
    with pytest.raises(RiseError), project.journal.edit("painted 2 instances", frame=1):
        project.annotations.add(1, [_square(1, category)])
        project.annotations.update(999, category=category)
    assert _everything(project) == before
    assert project.journal.history()[0].action == words
    project.annotations.add(1, [_square(1, category)])
    assert project.journal.history()[0].action.startswith("drew")


def test_history_tells_every_kind_of_edit_in_plain_words(make_project: MakeProject, tmp_path: Path) -> None:
    project = make_project(3)
    first, second, _ = (frame.id for frame in project.frames.all())
    box = [[5.0, 5.0, 20.0, 5.0, 20.0, 20.0]]
    file = tmp_path / "more.json"
    annotation = {"id": 1, "image_id": 1, "category_id": 1, "segmentation": box}
    images = [{"id": 1, "file_name": "tote2.png", "width": 80, "height": 60}]
    file.write_text(
        json.dumps({"images": images, "annotations": [annotation], "categories": [{"id": 1, "name": "bag"}]})
    )
    bag = project.annotations.add_category("bag").id
    box_category = project.annotations.add_category("carton").id
    project.annotations.rename_category(box_category, "box")
    drawn = project.annotations.add(first, [Instance(None, first, bag, box), Instance(None, first, bag, box)])
    project.annotations.update(drawn[0], segmentation=[[1.0, 1.0, 9.0, 1.0, 9.0, 9.0]])
    project.annotations.update(drawn[0], category=box_category)
    project.annotations.set_bank_excluded(drawn[1], True)
    project.annotations.set_bank_excluded(drawn[1], False)
    project.annotations.delete(drawn[:1])
    project.frames.set_state(second, FrameState.SKIPPED)
    project.frames.set_split([first, second], Split.HOLDOUT)
    project.frames.set_split([second], Split.TRAIN)
    run = project.runs.start(preset="laptop", recipe="paper", steps=1, base="none").number
    project.predictions.store(run, {second: [Instance(None, second, bag, box, score=0.9) for _ in range(2)]})
    sure, unsure = (found.id for found in project.predictions.of_frame(second))
    project.predictions.accept([sure or 0])
    project.predictions.reject([unsure or 0])
    import_coco(project, file)
    project.journal.undo()
    told = [(entry.action, entry.frame, entry.undone) for entry in reversed(project.journal.history())]
    assert told == [
        ("added the category bag", None, False),
        ("added the category carton", None, False),
        ("renamed the category carton to box", None, False),
        ("drew 2 instances", "tote0.png", False),
        ("changed the mask of an instance", "tote0.png", False),
        ("changed an instance to box", "tote0.png", False),
        ("kept an instance out of the bank", "tote0.png", False),
        ("let an instance into the bank", "tote0.png", False),
        ("deleted 1 instance", "tote0.png", False),
        ("marked as skipped", "tote1.png", False),
        ("moved 2 frames to the hold-out", None, False),
        ("moved 1 frame to training", "tote1.png", False),
        ("accepted 1 prediction", "tote1.png", False),
        ("rejected 1 prediction", "tote1.png", False),
        ("imported more.json: 1 instance in 1 frame", None, True),
    ]
    when = [entry.when for entry in project.journal.history()]
    assert when == sorted(when, reverse=True)
