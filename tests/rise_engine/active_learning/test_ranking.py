from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rise_engine.active_learning.ranking import Order, rank_frames
from rise_engine.errors import RiseError
from rise_engine.project.project import Project
from rise_engine.project.records import FrameState, Instance, Split

MakeProject = Callable[[int], Project]


def _predict(project: Project, scores: dict[int, list[float]], *, disagreement: dict[int, float] | None = None) -> None:
    category = project.annotations.add_category("object").id
    run = project.runs.start(preset="laptop", recipe="recommended", steps=1, base="none").number
    polygon = [[1.0, 1.0, 9.0, 1.0, 9.0, 9.0]]
    project.predictions.store(
        run,
        {frame: [Instance(None, frame, category, polygon, score=s) for s in found] for frame, found in scores.items()},
        disagreement=disagreement,
    )


def test_each_part_of_the_score_counts_and_has_its_reason(make_project: MakeProject) -> None:
    project = make_project(6)
    _predict(
        project,
        {1: [0.95, 0.9, 0.1], 2: [0.45, 0.5, 0.58, 0.9], 3: [0.7, 0.65], 4: [0.2], 6: [0.99]},
        disagreement={6: 0.8},
    )
    queue = {entry.frame.id: entry for entry in rank_frames(project)}
    # 1 - |2 s - 1| is 0.1 and 0.2 for the two predictions above the cut.
    assert queue[1].uncertainty == pytest.approx(0.15)
    assert (queue[2].edge, queue[1].edge) == (3, 0)
    assert queue[2].reason == "3 predictions near 0.5"
    assert queue[3].reason == "uncertain scores, lowest 0.65"
    assert queue[4].reason == "nothing found"
    assert queue[5].reason == "no prediction yet"
    assert queue[6].reason == "predictions change by 80 % with the lighting"
    assert queue[6].disagreement == 0.8
    assert all(queue[number].novelty is not None for number in (1, 2, 3, 4, 6))
    # mean of 0.9, 1.0, 0.84, 0.2, three on the edge, and at most half a point for its looks
    assert queue[2].score - 0.5 * (queue[2].novelty or 0) == pytest.approx(0.735 + 0.3)
    assert rank_frames(project)[-1].frame.id == 5


def test_the_queue_can_be_sorted_by_each_part(make_project: MakeProject) -> None:
    project = make_project(3)
    _predict(project, {1: [0.7], 2: [0.9], 3: [0.41, 0.59, 0.99]}, disagreement={1: 0.1, 2: 0.6, 3: 0.2})

    def first(order: Order) -> int:
        return rank_frames(project, order=order)[0].frame.id

    assert first("uncertain") == 1
    assert first("disagreeing") == 2
    assert first("edge") == 3
    assert [entry.frame.id for entry in rank_frames(project, order="name")] == [1, 2, 3]
    assert len(rank_frames(project, order="unlike", top=2)) == 2
    with pytest.raises(RiseError, match="no order"):
        rank_frames(project, order="best")  # type: ignore[arg-type]


def test_similar_frames_are_not_neighbours_in_the_queue(tmp_path: Path) -> None:
    images = tmp_path / "totes"
    images.mkdir()
    for number, grey in enumerate((40, 41, 42, 200)):
        Image.fromarray(np.full((64, 64, 3), grey, dtype=np.uint8)).save(images / f"tote{number}.png")
    with Project.create(tmp_path / "p.rise", images) as project:
        project.scan()
        _predict(project, {1: [0.70], 2: [0.71], 3: [0.72], 4: [0.74]})
        assert [entry.frame.id for entry in rank_frames(project, order="uncertain")] == [1, 2, 3, 4]
        names = [entry.frame.name for entry in rank_frames(project)]
        assert names.index("tote3.png") < 2


def test_annotated_and_holdout_frames_are_not_listed(make_project: MakeProject) -> None:
    project = make_project(6)
    project.frames.set_state(1, FrameState.SKIPPED)
    project.frames.set_state(2, FrameState.LABELLED)
    project.frames.set_state(3, FrameState.REVIEWED)
    project.frames.set_split([4], Split.HOLDOUT)
    assert {entry.frame.id for entry in rank_frames(project)} == {5, 6}
    _predict(project, {frame: [0.4] for frame in range(1, 7)})
    assert {entry.frame.id for entry in rank_frames(project)} == {5, 6}


def test_without_predictions_the_most_different_frame_is_first(tmp_path: Path) -> None:
    images = tmp_path / "totes"
    images.mkdir()
    for number in range(6):
        Image.fromarray(np.full((64, 64, 3), 100 + number, dtype=np.uint8)).save(images / f"grey{number}.png")
    Image.fromarray(np.full((64, 64, 3), (250, 0, 0), dtype=np.uint8)).save(images / "red.png")
    (images / "broken.png").write_bytes(b"no image")
    with Project.create(tmp_path / "p.rise", images) as project:
        project.scan()
        first, second, *_ = rank_frames(project)
        assert first.frame.name.startswith("grey")
        assert second.frame.name == "red.png"
        project.frames.set_state(project.frames.get("grey0.png").id, FrameState.LABELLED)
        queue = rank_frames(project)
        assert (queue[0].frame.name, queue[0].reason) == ("red.png", "unlike the labelled frames")
        assert queue[1].frame.name == "grey5.png"
        assert (queue[-1].frame.name, queue[-1].score) == ("broken.png", 0.0)
        assert len({entry.frame.id for entry in queue}) == len(queue) == 7


def test_without_predictions_a_full_frame_is_before_an_empty_one(tmp_path: Path) -> None:
    images = tmp_path / "totes"
    images.mkdir()
    rng = np.random.default_rng(0)
    for number in range(10):
        picture = np.full((64, 64, 3), 20 * number, dtype=np.uint8)
        objects = 0 if number % 2 else 8
        for _ in range(objects):
            row, column = rng.integers(0, 56, 2)
            picture[row : row + 8, column : column + 8] = rng.integers(0, 256, 3)
        Image.fromarray(picture).save(images / f"{'full' if objects else 'empty'}{number}.png")
    with Project.create(tmp_path / "p.rise", images) as project:
        project.scan()
        queue = rank_frames(project)
        assert all(entry.frame.name.startswith("full") for entry in queue[:4])
        assert [entry.score for entry in queue] == sorted((entry.score for entry in queue), reverse=True)
        assert queue[0].reason == "a typical full frame"


def test_thumbnails_are_read_once(make_project: MakeProject, monkeypatch: pytest.MonkeyPatch) -> None:
    project = make_project(4)
    before = rank_frames(project)

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("read again")

    monkeypatch.setattr("rise_engine.active_learning.appearance.read_image", refuse)
    assert rank_frames(project) == before


def test_an_empty_project_has_an_empty_queue(make_project: MakeProject) -> None:
    assert rank_frames(make_project(0)) == []
