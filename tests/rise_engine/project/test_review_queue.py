from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rise_engine.project.project import Project
from rise_engine.project.records import FrameState, Instance, Split
from rise_engine.project.review_queue import rank_frames

MakeProject = Callable[[int], Project]


def _predict(project: Project, scores: dict[int, list[float]]) -> None:
    category = project.add_category("object").id
    run = project.start_run(preset="laptop", recipe="recommended", steps=1, base="none").number
    polygon = [[1.0, 1.0, 9.0, 1.0, 9.0, 9.0]]
    project.store_predictions(
        run,
        {frame: [Instance(None, frame, category, polygon, score=s) for s in found] for frame, found in scores.items()},
    )


def test_the_least_certain_frame_comes_first_with_its_reason(make_project: MakeProject) -> None:
    project = make_project(5)
    _predict(project, {1: [0.95, 0.9, 0.1], 2: [0.31, 0.4, 0.49, 0.9], 3: [0.6, 0.55], 4: [0.2]})
    queue = rank_frames(project)
    assert [entry.frame.id for entry in queue] == [4, 2, 3, 1, 5]
    reasons = {entry.frame.id: entry.reason for entry in queue}
    assert reasons[2] == "3 predictions between 0.3 and 0.5"
    assert reasons[4] == "nothing found"
    assert reasons[1] == "lowest score 0.90"
    assert reasons[5] == "no prediction yet"
    # 1 - |2 s - 1| is 0.1 and 0.2 for the two predictions above the cut.
    assert queue[3].score == pytest.approx(0.15)
    assert [entry.frame.id for entry in rank_frames(project, top=2)] == [4, 2]


def test_frames_that_are_done_or_held_out_are_not_listed(make_project: MakeProject) -> None:
    project = make_project(6)
    project.set_state(1, FrameState.SKIPPED)
    project.set_state(2, FrameState.LABELLED)
    project.set_state(3, FrameState.REVIEWED)
    project.set_split([4], Split.HOLDOUT)
    assert {entry.frame.id for entry in rank_frames(project)} == {5, 6}
    _predict(project, {frame: [0.4] for frame in range(1, 7)})
    assert {entry.frame.id for entry in rank_frames(project)} == {5, 6}


def test_before_any_prediction_the_odd_frame_comes_first(tmp_path: Path) -> None:
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
        project.set_state(project.frame("grey0.png").id, FrameState.LABELLED)
        queue = rank_frames(project)
        assert (queue[0].frame.name, queue[0].reason) == ("red.png", "unlike the frames labelled so far")
        assert queue[1].frame.name == "grey5.png"
        assert (queue[-1].frame.name, queue[-1].score) == ("broken.png", 0.0)
        assert len({entry.frame.id for entry in queue}) == len(queue) == 7


def test_thumbnails_are_read_once(make_project: MakeProject, monkeypatch: pytest.MonkeyPatch) -> None:
    project = make_project(4)
    before = rank_frames(project)

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("read again")

    monkeypatch.setattr("rise_engine.project.appearance.read_image", refuse)
    assert rank_frames(project) == before


def test_an_empty_project_has_an_empty_queue(make_project: MakeProject) -> None:
    assert rank_frames(make_project(0)) == []
