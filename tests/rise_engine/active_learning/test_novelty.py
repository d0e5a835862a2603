"""Objects of another colour or size than all in the bank are noticed, and put their frame first."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rise_engine.active_learning.novelty import unfamiliar
from rise_engine.active_learning.ranking import rank_frames
from rise_engine.project.project import Project
from rise_engine.project.records import Instance

SIZE = (120, 160)
PLACES = ((10, 10), (10, 60), (10, 110), (70, 10), (70, 60))
RED, GREEN, BLUE = (200, 40, 40), (40, 190, 40), (30, 40, 220)


def draw(path: Path, colours: list[tuple[int, int, int]], *, side: int = 30) -> None:
    picture = np.random.default_rng(len(path.name)).integers(100, 120, (*SIZE, 3)).astype(np.uint8)
    for (row, column), colour in zip(PLACES, colours, strict=False):
        picture[row : row + side, column : column + side] = colour
    Image.fromarray(picture).save(path)


def squares(count: int, *, side: int = 30) -> list[list[list[float]]]:
    found = []
    for row, column in PLACES[:count]:
        end = (column + side, row + side)
        found.append([[float(one) for one in (column, row, end[0], row, *end, column, end[1])]])
    return found


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """Two labelled frames of red and green squares; frame 3 predicts the same, frame 4 has a blue one among them."""
    images = tmp_path / "totes"
    images.mkdir()
    usual = [RED, GREEN, RED, GREEN, RED]
    for index in range(3):
        draw(images / f"{index}.png", usual)
    draw(images / "3.png", [RED, BLUE, RED, GREEN, RED])
    project = Project.create(tmp_path / "totes.rise", images)
    project.scan()
    category = project.annotations.add_category("object").id
    for frame in (1, 2):
        project.annotations.add(frame, [Instance(None, frame, category, one) for one in squares(5)])
    run = project.runs.start(preset="laptop", recipe="recommended", steps=1, base="none").number
    sure = {frame: [Instance(None, frame, category, one, score=0.97) for one in squares(5)] for frame in (3, 4)}
    project.predictions.store(run, sure)
    return project


def test_an_object_of_a_new_colour_is_unfamiliar(project: Project) -> None:
    frames = [project.frames.get(3), project.frames.get(4)]
    assert unfamiliar(project, frames, min_score=0.3) == {3: 0, 4: 1}
    assert unfamiliar(project, frames, min_score=0.98) == {}


def test_a_frame_with_an_unfamiliar_object_is_first_with_its_reason(project: Project) -> None:
    first, second = rank_frames(project)
    assert first.frame.id == 4
    assert first.reason == "1 object unlike the bank"
    assert (first.unfamiliar, second.unfamiliar) == (1, 0)


def test_objects_excluded_from_the_bank_are_not_compared(project: Project) -> None:
    for number in [one.id for frame in (1, 2) for one in project.annotations.of_frame(frame)[1::2]]:
        assert number is not None
        project.annotations.set_bank_excluded(number, True)
    assert unfamiliar(project, [project.frames.get(3)], min_score=0.3) == {}, "six are too few to tell"


def test_without_a_bank_the_result_is_empty(project: Project) -> None:
    for frame in (1, 2):
        project.annotations.delete([one.id for one in project.annotations.of_frame(frame) if one.id is not None])
    assert unfamiliar(project, [project.frames.get(4)], min_score=0.3) == {}


def test_a_frame_without_its_image_is_left_out(project: Project) -> None:
    (project.images / "3.png").unlink()
    assert unfamiliar(project, [project.frames.get(3), project.frames.get(4)], min_score=0.3) == {3: 0}
