"""The benchmarks that count a person's work: the actions by hand, and rounds that go on where they were interrupted."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from rise_engine.project.project import Project
from rise_engine.project.records import Instance, Split

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Imports a benchmark by its file's name."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module


def test_right_predictions_are_accepted_others_rejected_and_the_rest_is_drawn(load: Any) -> None:
    person = load("person")
    # Best first: right, a second one of the same object, nothing, nearly right, and one below every score.
    overlaps = np.array([[0.9, 0.0, 0.0], [0.8, 0.1, 0.0], [0.0, 0.0, 0.0], [0.0, 0.6, 0.0], [0.0, 0.0, 0.9]])
    frame = person.Frame([0.9, 0.8, 0.6, 0.5, 0.25], overlaps, np.zeros(0))
    work = person.correct([frame], score=0.3, iou=0.5)
    assert (work.accepted, work.rejected, work.drawn) == (2, 2, 1)
    assert work.actions == 2 + 2 + 15
    assert work.share(3) == pytest.approx(100 * 19 / 45)
    strict = person.correct([frame], score=0.3, iou=0.75)
    assert (strict.accepted, strict.rejected, strict.drawn) == (1, 3, 2)
    assert person.correct([frame], score=0.2, iou=0.5).drawn == 0


def test_an_object_is_drawn_only_where_its_suggestion_is_wrong_too(load: Any) -> None:
    person = load("person")
    frame = person.Frame([0.9], np.array([[0.9, 0.0, 0.0]]), np.array([0.1, 0.7, 0.2]))
    work = person.correct([frame], score=0.3, iou=0.5)
    assert (work.accepted, work.suggested, work.drawn) == (1, 2, 1)
    assert work.actions == 1 + 2 * 2 + 15


@pytest.fixture
def truth(tmp_path: Path) -> Project:
    """Eight frames with one instance each; the last two are the hold-out."""
    images = tmp_path / "totes"
    images.mkdir()
    for index in range(8):
        picture = np.random.default_rng(index).integers(0, 255, (32, 40, 3)).astype(np.uint8)
        Image.fromarray(picture).save(images / f"{index}.png")
    project = Project.create(tmp_path / "truth.rise", images)
    project.scan()
    category = project.annotations.add_category("object").id
    for frame in project.frames.all():
        project.annotations.add(frame.id, [Instance(None, frame.id, category, [[2.0, 2.0, 20.0, 2.0, 20.0, 20.0]])])
    project.frames.set_split([frame.id for frame in project.frames.all()[-2:]], Split.HOLDOUT)
    return project


def test_an_interrupted_curve_goes_on_with_the_same_frames(
    load: Any, truth: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    active, labelled_project = load("active_learning"), load("labelled_project")
    from rise_engine.config import RiseConfig
    from rise_engine.evaluation.coco import AveragePrecision

    trained: list[list[str]] = []
    broken = True

    def train(project: Project, _config: Any) -> object:
        names = [frame.name for frame in project.frames.all() if frame.state == "labelled"]
        if broken and len(names) == 4:
            raise KeyboardInterrupt
        trained.append(names)
        return object()

    monkeypatch.setattr(active, "train", train)
    score = AveragePrecision(40.0, 60.0, 50.0, None, None, None)
    monkeypatch.setattr(labelled_project.Person, "measure", lambda *_: score)
    rounds, config = active.Rounds(tmp_path / "rounds.csv"), RiseConfig.preset("laptop")
    work = (labelled_project.Person(truth), tmp_path / "random.rise", config, [2, 4, 6], "random", rounds)
    with pytest.raises(KeyboardInterrupt):
        active.one_curve(*work, settings="")
    assert [one.frames for one in rounds.read()] == [2]
    broken = False
    active.one_curve(*work, settings="")
    assert [one.frames for one in rounds.read()] == [2, 4, 6]
    assert [len(names) for names in trained] == [2, 4, 6], "what was done is not done again"
    assert set(trained[0]) < set(trained[1]) < set(trained[2])
    assert rounds.read()[2].names.split() == sorted(trained[2])
    active.one_curve(*work, settings="")
    assert len(trained) == 3
