from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest

from rise_engine.errors import RiseError
from rise_engine.project.project import Project
from rise_engine.project.records import FrameState, Instance, Split
from rise_engine.project.splits import choose_split, read_name_list

MakeProject = Callable[[int], Project]


TRIANGLE = [[5.0, 5.0, 30.0, 5.0, 5.0, 30.0]]


def _label(project: Project, count: int, *, empty: int = 0, crowd: bool = False) -> list[int]:
    """Labels the first frames; all but the first ``empty`` ones show an object, or a crowd."""
    ids = [frame.id for frame in project.frames.all()][:count]
    category = project.annotations.add_category("object").id
    for number, frame in enumerate(ids):
        if number >= empty:
            project.annotations.add(frame, [Instance(None, frame, category, TRIANGLE, crowd=crowd)])
        project.frames.set_state(frame, FrameState.REVIEWED if number % 3 == 0 else FrameState.LABELLED)
    return ids


def test_smaller_subsets_lie_within_larger_ones_and_seeds_differ(make_project: MakeProject) -> None:
    project = make_project(30)
    _label(project, 24)
    by_count = [set(choose_split(project, count=count, seed=4).labelled) for count in (1, 3, 8, 20)]
    assert [len(chosen) for chosen in by_count] == [1, 3, 8, 20]
    assert all(small < large for small, large in pairwise(by_count))
    assert set(choose_split(project, count=8, seed=5).labelled) != by_count[2]
    # 24 labelled, 2 of them held out: half of 22.
    assert len(choose_split(project, fraction=0.5).labelled) == 11


def test_the_hold_out_is_in_neither_of_the_others(make_project: MakeProject) -> None:
    project = make_project(30)
    _label(project, 20)
    project.frames.set_state(30, FrameState.SKIPPED)
    project.frames.set_split([2, 25], Split.HOLDOUT)
    for split in (
        choose_split(project),
        choose_split(project, count=5, holdout_names=["tote7.png"]),
        choose_split(project, names=["tote3.png"], holdout_names=["tote7.png"]),
    ):
        assert 2 in split.holdout
        # Marked but without labels: it can test nothing, and must not train either.
        assert 25 not in split.holdout
        assert not {2, 25} & {*split.labelled, *split.unlabelled}
        assert not set(split.labelled) & set(split.unlabelled)
        assert 30 not in {*split.labelled, *split.unlabelled, *split.holdout}
    assert choose_split(project, names=["tote3.png"], holdout_names=["tote7.png"]).holdout == [2, 8]


def test_one_in_ten_is_held_out_only_when_there_are_ten(make_project: MakeProject) -> None:
    project = make_project(40)
    _label(project, 9)
    assert choose_split(project).holdout == []
    _label(project, 39)
    first, second = choose_split(project, seed=1), choose_split(project, seed=2)
    assert len(first.holdout) == 3
    assert first.holdout == second.holdout
    assert len(first.labelled) == 36
    assert first.unlabelled == [40]


def test_a_frame_without_an_object_is_never_drawn_for_the_hold_out(make_project: MakeProject) -> None:
    """Nothing could be measured on it."""
    project = make_project(19)
    ids = _label(project, 19, empty=18)
    assert choose_split(project).holdout == [ids[-1]]
    assert sorted(choose_split(project).labelled) == ids[:-1]


def test_crowds_alone_are_nothing_to_measure_on(make_project: MakeProject) -> None:
    project = make_project(12)
    _label(project, 12, crowd=True)
    assert choose_split(project).holdout == []
    assert len(choose_split(project).labelled) == 12


def test_with_a_list_every_other_frame_is_unlabelled_and_nothing_held_out(make_project: MakeProject) -> None:
    project = make_project(14)
    _label(project, 14)
    split = choose_split(project, names=["tote2.png", "tote0.png", "tote2.png"])
    assert split.labelled == [1, 3]
    assert split.holdout == []
    assert sorted(split.labelled + split.unlabelled) == list(range(1, 15))


def test_when_all_is_labelled_the_training_frames_are_unlabelled_too(make_project: MakeProject) -> None:
    project = make_project(12)
    _label(project, 12)
    split = choose_split(project)
    assert split.unlabelled == split.labelled
    assert len(split.holdout) == 1


@pytest.mark.parametrize(
    ("choice", "sentence"),
    [
        ({"names": ["absent.png"]}, "no frame 'absent.png'"),
        ({"names": ["tote9.png"]}, "tote9.png is in the labelled list, but it is unlabelled"),
        ({"holdout_names": ["tote9.png"]}, "hold-out list"),
        ({"names": ["tote1.png"], "holdout_names": ["tote1.png"]}, "both"),
        ({"count": 6}, "has 5; choose 1 to 5"),
        ({"count": 0}, "0 labelled frames"),
        ({"fraction": 1.5}, "at most 1"),
        ({"count": 1, "fraction": 0.5}, "exclude each other"),
    ],
)
def test_bad_choices_are_sentences(make_project: MakeProject, choice: dict[str, object], sentence: str) -> None:
    project = make_project(10)
    _label(project, 5)
    with pytest.raises(RiseError, match=sentence):
        choose_split(project, **choice)  # type: ignore[arg-type]


def test_nothing_labelled_is_a_sentence(make_project: MakeProject) -> None:
    with pytest.raises(RiseError, match="no labelled frame"):
        choose_split(make_project(3))


def test_a_name_list_is_one_name_a_line(tmp_path: Path) -> None:
    path = tmp_path / "names.txt"
    path.write_text("\ufeffa b.png\r\n\nsub/#c.png\n", encoding="utf-8")
    assert read_name_list(path) == ["a b.png", "sub/#c.png"]
    path.write_text("\n")
    with pytest.raises(RiseError, match="empty"):
        read_name_list(path)
    with pytest.raises(RiseError, match="cannot be read"):
        read_name_list(tmp_path / "absent.txt")


def test_a_dozen_hold_out_frames_choose_with_one_half_and_test_with_the_other(make_project: MakeProject) -> None:
    project = make_project(30)
    labelled = _label(project, 24)
    project.frames.set_split(labelled[:12], Split.HOLDOUT)
    split = choose_split(project)
    assert len(split.holdout) == 12
    assert len(split.validation) == 6 and set(split.validation) < set(split.holdout)
    assert split.watched == split.validation
    assert choose_split(project, count=3, seed=9).validation == split.validation, "whatever else is chosen"


def test_fewer_hold_out_frames_choose_nothing(make_project: MakeProject) -> None:
    project = make_project(30)
    labelled = _label(project, 24)
    project.frames.set_split(labelled[:11], Split.HOLDOUT)
    split = choose_split(project)
    assert split.validation == [] and split.watched == split.holdout
