"""The copy of a project that a grid trains on: when it is made, and whose it is."""

from __future__ import annotations

from pathlib import Path

import pytest

from rise_engine.errors import RiseError
from rise_engine.experiments.reproduce.grid import Grid
from rise_engine.project.project import Project
from rise_engine.project.records import FrameState, Split


def test_a_hold_out_without_objects_is_told_before_anything_is_trained(project: Project, tmp_path: Path) -> None:
    frame = project.frames.all()[3].id
    project.annotations.delete([instance.id or 0 for instance in project.annotations.of_frame(frame)])
    project.frames.set_state(frame, FrameState.LABELLED)
    with pytest.raises(RiseError, match="annotated object to evaluate on"):
        Grid(project, tmp_path / "out")


def test_without_a_hold_out_it_says_so(project: Project, tmp_path: Path) -> None:
    project.frames.set_split([project.frames.all()[3].id], Split.TRAIN)
    with pytest.raises(RiseError, match="no hold-out"):
        Grid(project, tmp_path / "out")
    project.frames.set_split([project.frames.all()[3].id], Split.HOLDOUT)
    assert len(Grid(project, tmp_path / "out").measured) == 1, "what was refused has left no copy"


def test_without_labels_it_says_so_and_a_mended_project_is_taken(project: Project, tmp_path: Path) -> None:
    for frame in project.frames.all():
        project.frames.set_state(frame.id, FrameState.SKIPPED)
    with pytest.raises(RiseError, match="annotate one first"):
        Grid(project, tmp_path / "out")
    for frame in project.frames.all()[:4]:
        project.frames.set_state(frame.id, FrameState.LABELLED)
    assert Grid(project, tmp_path / "out").available == 3


def test_a_grid_finds_its_photos_again(project: Project, tmp_path: Path) -> None:
    out, images, away = tmp_path / "deep" / "er" / "out", project.images, tmp_path / "away"
    images.rename(away)
    with pytest.raises(RiseError, match="None of the images"):
        Grid(project, out)
    away.rename(images)
    grid = Grid(project, out)
    assert grid.project.images == images and grid.project.image(grid.measured[0]).shape == (64, 96, 3)
    grid.project.close()
    images.rename(away)
    project.relink(away)
    assert Grid(project, out).project.images == away, "moved with the project's knowledge"


def test_a_grid_belongs_to_its_project_which_may_move_and_change(project: Project, tmp_path: Path) -> None:
    out = tmp_path / "out"
    Grid(project, out).project.close()
    other = Project.create(tmp_path / "other.rise", project.images)
    other.scan()
    with pytest.raises(RiseError) as refused:
        Grid(other, out)
    assert all(str(path) in str(refused.value) for path in (project.path, other.path))

    project.frames.set_state(project.frames.all()[0].id, FrameState.SKIPPED)
    project.journal.undo()
    project.frames.set_state(project.frames.all()[1].id, FrameState.SKIPPED)
    project.close()
    moved = Project.open(project.path.rename(tmp_path / "moved.rise"))
    grid = Grid(moved, out)
    assert grid.available == 3, "as it was when the grid began"
    with grid.project.store.write() as connection:
        connection.execute("DELETE FROM settings WHERE key = 'grid_of'")
    assert Grid(other, out).available == 3, "a grid of an earlier version, which does not know"
