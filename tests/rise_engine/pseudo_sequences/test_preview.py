"""The picture and the words for a pseudo-sequence, from scenes put together by hand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch

from rise_engine.pseudo_sequences.preview import GAP, changes, describe_sequence, render_panels, render_sequence
from rise_engine.pseudo_sequences.views import PseudoSequence, View

Box = tuple[int, int, int, int]
HEIGHT, WIDTH = 60, 80


def scene(boxes: dict[int, Box], own: Sequence[int] = ()) -> View:
    """A grey view with a rectangle (x0, y0, x1, y1) per identity; ``own`` were not pasted."""
    masks = torch.zeros(len(boxes), HEIGHT, WIDTH, dtype=torch.bool)
    for mask, (x0, y0, x1, y1) in zip(masks, boxes.values(), strict=True):
        mask[y0:y1, x0:x1] = True
    return View(
        image=torch.full((3, HEIGHT, WIDTH), 0.5),
        masks=masks,
        labels=torch.zeros(len(boxes), dtype=torch.int64),
        ids=torch.tensor(list(boxes), dtype=torch.int64),
        pasted=torch.tensor([identity not in own for identity in boxes], dtype=torch.bool),
    )


@pytest.fixture
def sequence() -> PseudoSequence:
    """Everything shifts right by 4: 1 moves with it, 2 moves away, 3 vanishes, 4 is new, 0 leaves, 5 is buried."""
    before = scene(
        {0: (70, 0, 80, 20), 1: (10, 10, 30, 30), 2: (40, 10, 55, 25), 3: (5, 40, 20, 55), 5: (40, 40, 50, 50)}, own=[0]
    )
    after = scene({1: (14, 10, 34, 30), 2: (50, 30, 65, 38), 4: (40, 38, 60, 58)})
    return PseudoSequence(
        name="a",
        before=before,
        after=after,
        strong=torch.full((3, HEIGHT, WIDTH), 0.2),
        motion=torch.tensor([[1.0, 0, 4], [0, 1, 0]]),
        covered=after.masks.any(dim=0),
        labelled=True,
    )


def test_changes_are_told_apart(sequence: PseudoSequence) -> None:
    assert {identity: str(change) for identity, change in changes(sequence).items()} == {
        0: "out of view",
        1: "kept",
        2: "moved",
        3: "removed",
        4: "added",
        5: "hidden",
    }


def test_the_description_names_them(sequence: PseudoSequence) -> None:
    assert describe_sequence(sequence) == [
        "kept: 1",
        "moved: 2",
        "added: 4",
        "removed: 3",
        "hidden: 5",
        "out of view: 0",
    ]


def test_a_scene_without_objects_is_said_so_and_drawn_plain() -> None:
    empty = scene({})
    sequence = PseudoSequence(
        "a",
        empty,
        empty,
        torch.full((3, HEIGHT, WIDTH), 0.2),
        torch.eye(3)[:2],
        torch.zeros(HEIGHT, WIDTH, dtype=torch.bool),
        False,
    )
    assert describe_sequence(sequence) == ["no known objects"]
    picture = render_sequence(sequence)
    assert np.unique(picture[:, :WIDTH]).tolist() == [128] and np.unique(picture[:, -WIDTH:]).tolist() == [51]


@pytest.mark.parametrize("scale", [1, 3])
def test_the_three_views_stand_side_by_side(sequence: PseudoSequence, scale: int) -> None:
    picture = render_sequence(sequence, scale=scale)
    assert picture.dtype == np.uint8 and picture.shape == (HEIGHT * scale, 3 * WIDTH * scale + 2 * GAP, 3)
    left = WIDTH * scale
    assert np.all(picture[:, left : left + GAP] == 255)
    assert picture[59 * scale, 0].tolist() == [128] * 3  # no object there
    assert picture[59 * scale, -1].tolist() == [51] * 3


def test_signs_mark_what_goes_what_comes_and_where_it_moved(sequence: PseudoSequence) -> None:
    before, after, strong = render_panels(sequence)

    def own(identity_box: tuple[int, int], panel: np.ndarray) -> np.ndarray:
        """The colour of the outline at (row, column)."""
        return panel[identity_box]

    # 3, centred on (47, 12), is removed: its colour runs along the diagonals of the cross, outside the number's plate.
    three = own((40, 7), before)
    assert (before[42, 7:10] == three).all(axis=-1).any()
    assert not (strong[42, 7:10] == three).all(axis=-1).any(), "the strong view has no signs"
    # 4, centred on (47, 49), has come: the plus stands upright.
    four = own((38, 45), after)
    assert (after[41, 47:53] == four).all(axis=-1).any()
    # 2 would be at (17, 51) and is at (33, 57): the arrow runs between, where no object is.
    two = own((30, 55), after)
    assert (after[24, 45:65] == two).all(axis=-1).any()
    assert not (before[24, 60:75] == own((10, 45), before)).all(axis=-1).any()


def test_an_object_has_one_colour_in_all_views_and_others_another(sequence: PseudoSequence) -> None:
    picture = render_sequence(sequence)
    after, strong = WIDTH + GAP, 2 * (WIDTH + GAP)
    outline = picture[10, 12]  # object 1 begins at (10, 10)
    assert outline.tolist() == picture[10, after + 16].tolist() == picture[10, strong + 12].tolist()
    assert outline.tolist() != picture[40, 7].tolist()
    # Inside, the picture shines through.
    tint = picture[12, 12].astype(float)
    np.testing.assert_allclose(tint, 0.65 * 127.5 + 0.35 * outline, atol=1.5)


def test_objects_are_drawn_where_a_moved_strong_view_has_them(sequence: PseudoSequence) -> None:
    moved = replace(sequence, strong_motion=torch.tensor([[1.0, 0, 0], [0, 1, 7]]))
    still, strong = render_panels(sequence)[2], render_panels(moved)[2]
    # Object 1 alone, from row 10 to 30: its number is written in the middle, so the columns at its left edge tell.
    assert (still[10:30, 10] != strong[10:30, 10]).any()
    assert np.array_equal(still[10:30, 10], strong[17:37, 10])
    assert np.array_equal(strong[5:16, 10], np.full((11, 3), 51, np.uint8)), "nothing is left where it was"
