"""Strokes on a label image become changes of instances that may overlap."""

from __future__ import annotations

import numpy as np

from rise_napari.layers.label_view import Change, LabelView

SIZE = (10, 12)


def box(top: int, left: int, bottom: int, right: int) -> np.ndarray:
    mask = np.zeros(SIZE, bool)
    mask[top:bottom, left:right] = True
    return mask


def whole(change: Change) -> np.ndarray:
    assert change.patch is not None
    return change.patch.whole(SIZE)


LOW, HIGH = box(2, 2, 8, 8), box(4, 4, 9, 11)


def view() -> LabelView:
    return LabelView(SIZE, [(70, LOW), (71, HIGH)])


def test_later_instances_cover_earlier_ones() -> None:
    shown = view().shown
    assert shown[3, 3] == 1
    assert shown[5, 5] == 2
    assert shown[0, 0] == 0


def test_growing_an_instance_keeps_what_it_hides_under_another() -> None:
    data = view().shown.copy()
    data[0, 2] = 1
    (change,) = view().changes(data)
    assert (change.label, change.instance) == (1, 70)
    assert np.array_equal(whole(change), LOW | box(0, 2, 1, 3))


def test_erasing_the_upper_instance_shows_the_hidden_pixels_of_the_lower_one() -> None:
    frame = view()
    data = frame.shown.copy()
    data[4:8, 4:8] = 0
    (change,) = frame.changes(data)
    assert change.instance == 71
    assert np.array_equal(whole(change), HIGH & ~box(4, 4, 8, 8))
    frame.adopt(change, 71)
    assert not frame.settle(data)
    assert (frame.shown[4:8, 4:8] == 1).all()


def test_painting_over_an_instance_takes_the_visible_pixels_from_it() -> None:
    data = view().shown.copy()
    data[2:4, 2:4] = 2
    changes = {change.instance: whole(change) for change in view().changes(data)}
    assert np.array_equal(changes[70], LOW & ~box(2, 2, 4, 4))
    assert np.array_equal(changes[71], HIGH | box(2, 2, 4, 4))


def test_painting_the_lowest_of_three_shows_it_and_keeps_the_pixels_under_it() -> None:
    low, middle, high = box(1, 1, 7, 7), box(2, 2, 8, 8), box(3, 3, 9, 9)
    frame = LabelView(SIZE, [(70, low), (71, middle), (72, high)])
    spot = box(4, 4, 6, 6)
    data = frame.shown.copy()
    data[spot] = 1
    changes = {change.instance: whole(change) for change in frame.changes(data)}
    assert np.array_equal(changes[70], low)
    assert np.array_equal(changes[71], middle & ~spot)
    assert np.array_equal(changes[72], high & ~spot)
    for change in frame.changes(data):
        frame.adopt(change, change.instance)
    assert frame.settle(data), "what was painted is what is shown"

    data = frame.shown.copy()
    over = box(7, 7, 8, 8)
    data[over] = 2
    changes = {change.instance: whole(change) for change in frame.changes(data)}
    assert set(changes) == {71, 72}, "what lies below the painted one keeps its hidden part"
    assert np.array_equal(changes[72], high & ~spot & ~over)


def test_a_new_instance_on_three_takes_only_the_visible_one() -> None:
    low, middle, high = box(1, 1, 7, 7), box(2, 2, 8, 8), box(3, 3, 9, 9)
    frame = LabelView(SIZE, [(70, low), (71, middle), (72, high)])
    spot = box(4, 4, 6, 6)
    data = frame.shown.copy()
    data[spot] = 9
    changes = {change.instance: whole(change) for change in frame.changes(data)}
    assert set(changes) == {None, 72}
    assert np.array_equal(changes[72], high & ~spot)


def test_an_instance_without_pixels_is_deleted_and_a_new_label_is_a_new_instance() -> None:
    frame = LabelView(SIZE, [(70, LOW)])
    data = np.zeros(SIZE, np.int32)
    data[0, 0] = 5
    changes = {change.label: change for change in frame.changes(data)}
    assert changes[1].patch is None
    assert changes[5].instance is None
    assert whole(changes[5]).sum() == 1


def test_without_painting_there_are_no_changes() -> None:
    assert view().changes(view().shown.copy()) == []
    assert view().settle(view().shown.copy())


def test_labels_stay_with_their_instances_when_the_frame_is_shown_again() -> None:
    first = view()
    second = LabelView(SIZE, [(71, HIGH), (90, LOW)], labels=first.labels)
    assert second.labels[71] == first.labels[71]
    assert second.labels[90] not in first.labels.values()


def test_a_free_label_was_never_used_in_this_view() -> None:
    frame = view()
    data = frame.shown.copy()
    data[0, 0] = 9
    assert frame.free_label(data) == 10
