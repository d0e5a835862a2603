"""Suggest, Cut and the edits with keys, driven by mouse and keyboard events on the canvas."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from qtpy.QtCore import Qt

from rise_engine.project.records import FrameState, Instance, Source
from rise_engine.project.segmentation import from_mask, to_mask
from rise_napari.layers.tool_overlay import NAME as SUGGESTION

SIZE = (60, 80)


@pytest.fixture
def window(workbench: Any, folder: Path, make_hand: Callable[..., Any], qtbot: Any) -> Iterator[Any]:
    """The window on a screen, with a hand, on the first frame; the engine is not asked."""
    bench = workbench
    viewer = bench.viewer_for_tests
    viewer.window.show()
    viewer.window.resize(1300, 850)
    bench.tools.prompt.engine_candidates = False
    assert bench.workspace.open_path(folder)
    qtbot.wait(100)
    viewer.reset_view()
    qtbot.wait(100)
    bench.hand = make_hand(viewer)
    yield bench


def masks(bench: Any) -> list[np.ndarray]:
    return [to_mask(one.segmentation, *SIZE) for one in bench.workspace.instances()]


def iou(first: np.ndarray, second: np.ndarray) -> float:
    return float((first & second).sum() / (first | second).sum())


def add(bench: Any, *drawn: np.ndarray) -> list[int]:
    """Stores annotations of the frame in view."""
    workspace = bench.workspace
    category = workspace.category_for_new()
    new = [Instance(None, workspace.frame.id, category, from_mask(mask)) for mask in drawn]
    ids = workspace.project.annotations.add(workspace.frame.id, new)
    workspace.instances_changed.emit(workspace.frame.id)
    workspace.refresh_frames()
    return list(ids)


def last_words(bench: Any) -> str:
    return bench.workspace.project.journal.history(1)[0].action


# -- suggestions -----------------------------------------------------------------------------------------------------


def test_a_box_proposes_a_mask_that_enter_accepts(window: Any, disc: Any, qtbot: Any) -> None:
    viewer, workspace, prompt = window.viewer_for_tests, window.workspace, window.tools.prompt
    window.hand.key(Qt.Key.Key_S)
    assert prompt.active
    assert "drag a box" in window.annotate.tool_state.text()
    center = viewer.camera.center
    window.hand.drag([(10, 10), (20, 20), (30.5, 30.5)])
    qtbot.waitUntil(lambda: prompt.suggestion is not None, timeout=20_000)
    assert viewer.camera.center == center, "the drag draws a box and does not move the picture"
    layer = viewer.layers[SUGGESTION]
    assert layer.visible
    assert not layer.data[layer.data.shape[0] // 2, layer.data.shape[1] // 2], "an outline covers nothing"
    assert viewer.layers.selection.active == window.layers.annotations, "the keys stay with the annotations"
    assert workspace.instances() == [], "a suggestion is not an annotation yet"
    window.hand.key(Qt.Key.Key_Return)
    (taken,) = masks(window)
    assert iou(taken, disc(20, 20)) > 0.8
    assert not viewer.layers[SUGGESTION].visible
    assert workspace.frame.state is FrameState.LABELLED
    assert last_words(window) == "accepted a suggestion"
    assert prompt.active, "the next object can be pointed at"
    workspace.undo()
    assert workspace.instances() == []


def test_a_click_proposes_the_prediction_under_it_and_s_shows_another(window: Any, disc: Any, qtbot: Any) -> None:
    workspace, prompt = window.workspace, window.tools.prompt
    project, frame = workspace.project, workspace.frame
    cup = project.annotations.add_category("cup").id
    run = project.runs.start(preset="laptop", recipe="recommended", steps=1, base="none").number
    shifted = disc(21, 21)
    project.predictions.store(
        run, {frame.id: [Instance(None, frame.id, cup, from_mask(shifted), 0.7, Source.PREDICTED, run)]}
    )
    workspace.predictions_changed.emit(frame.id)
    window.hand.key(Qt.Key.Key_S)
    window.hand.drag([(20, 20)])
    qtbot.waitUntil(lambda: prompt.suggestion is not None, timeout=20_000)
    assert prompt.suggestion.score == pytest.approx(0.7)
    for _ in range(3):
        if np.array_equal(prompt.suggestion.mask, shifted):
            break
        window.hand.key(Qt.Key.Key_S)
    assert np.array_equal(prompt.suggestion.mask, shifted), "the prediction as it is can be had as well"
    window.hand.key(Qt.Key.Key_Return)
    (taken,) = workspace.instances()
    assert taken.category == cup
    assert workspace.predictions() == [], "it is not proposed again"
    workspace.undo()
    assert len(workspace.predictions()) == 1
    assert workspace.instances() == []


def test_escape_discards_the_suggestion_and_then_ends_the_tool(window: Any, qtbot: Any) -> None:
    prompt, layer = window.tools.prompt, window.layers.annotations
    window.hand.key(Qt.Key.Key_S)
    window.hand.drag([(10, 10), (30, 30)])
    qtbot.waitUntil(lambda: prompt.suggestion is not None, timeout=20_000)
    window.hand.key(Qt.Key.Key_Escape)
    assert prompt.suggestion is None
    assert prompt.active
    assert not window.viewer_for_tests.layers[SUGGESTION].visible
    window.hand.key(Qt.Key.Key_Escape)
    assert not prompt.active
    assert layer.mouse_pan
    assert not any("Enter" in str(key) for key in layer.keymap), "napari's own meaning of the key is back"
    assert window.workspace.instances() == []


def test_another_tool_or_another_frame_discards_the_suggestion(window: Any, qtbot: Any) -> None:
    workspace, prompt = window.workspace, window.tools.prompt
    window.hand.key(Qt.Key.Key_S)
    window.hand.drag([(10, 10), (30, 30)])
    qtbot.waitUntil(lambda: prompt.suggestion is not None, timeout=20_000)
    workspace.step(1)
    assert prompt.suggestion is None
    assert prompt.active, "the tool stays in hand from frame to frame"
    window.hand.drag([(10, 14), (30, 34)])
    qtbot.waitUntil(lambda: prompt.suggestion is not None, timeout=20_000)
    window.hand.key(Qt.Key.Key_N)
    assert not prompt.active
    assert not window.viewer_for_tests.layers[SUGGESTION].visible
    assert str(window.layers.annotations.mode) == "paint"
    assert workspace.project.journal.history() == []


# -- the knife and the edits -----------------------------------------------------------------------------------------


def test_a_line_cuts_an_instance_in_two(window: Any, disc: Any) -> None:
    whole = disc(30, 40, 15)
    (number,) = add(window, whole)
    window.hand.key(Qt.Key.Key_T)
    assert window.tools.cut_tool.active
    window.hand.drag([(10, 36), (30, 36), (52, 36)])
    first, second = masks(window)
    assert np.array_equal(first | second, whole)
    assert not (first & second).any()
    assert window.workspace.instances()[0].id == number, "the larger part stays the instance"
    assert last_words(window) == "cut an instance into 2"
    window.workspace.undo()
    assert np.array_equal(masks(window)[0], whole)


def test_a_line_that_crosses_no_instance_is_reported(window: Any, disc: Any) -> None:
    add(window, disc(30, 40, 10))
    window.hand.key(Qt.Key.Key_T)
    window.hand.drag([(5, 5), (5, 20)])
    assert "crosses no instance" in window.header.message.text()
    window.hand.drag([(30, 5), (30, 40)])
    assert "cross it completely" in window.header.message.text()
    assert len(masks(window)) == 1


def test_separate_regions_are_split_and_merged_again(window: Any, disc: Any, qtbot: Any) -> None:
    left, right = disc(20, 20), disc(40, 60, 6)
    (number,) = add(window, left | right)
    window.workspace.select(number)
    window.hand.key(Qt.Key.Key_U)
    assert sorted(mask.sum() for mask in masks(window)) == sorted([left.sum(), right.sum()])
    window.annotate.table.selectAll()
    window.hand.key(Qt.Key.Key_Y)
    (merged,) = masks(window)
    assert np.array_equal(merged, left | right)
    assert [entry.action for entry in window.workspace.project.journal.history(2)] == [
        "merged 2 instances",
        "split an instance into 2",
    ]
    window.workspace.undo()
    window.workspace.undo()
    assert np.array_equal(masks(window)[0], left | right)


def test_instances_are_copied_from_the_previous_frame_once(window: Any, disc: Any) -> None:
    workspace = window.workspace
    first, second = disc(20, 20), disc(24, 26)
    add(window, first, second)
    window.hand.key(Qt.Key.Key_C)
    assert "no previous frame" in window.header.message.text()
    workspace.step(1)
    window.hand.key(Qt.Key.Key_C)
    assert all(np.array_equal(*pair) for pair in zip(masks(window), (first, second), strict=True)), (
        "overlaps stay whole"
    )
    assert last_words(window) == "copied 2 instances from frame_0.png"
    window.hand.key(Qt.Key.Key_C)
    assert len(masks(window)) == 2
    workspace.show(workspace.frames[4].id)
    workspace.undo()
    assert workspace.frame.name == "frame_1.png"
    assert masks(window) == []
    assert workspace.frame.state is FrameState.UNLABELLED


def test_instances_are_not_copied_to_a_frame_of_another_size(window: Any, disc: Any) -> None:
    workspace = window.workspace
    workspace.show(workspace.frames[5].id)
    add(window, disc(20, 20))
    workspace.step(1)
    assert workspace.frame.name == "tall.png"
    window.hand.key(Qt.Key.Key_C)
    assert "another size" in window.header.message.text()
    assert workspace.instances() == []


def test_keys_choose_the_category_of_new_and_of_selected_instances(window: Any, disc: Any) -> None:
    workspace = window.workspace
    for name in ("cup", "box"):
        workspace.add_category(name)
    names = {category.id: category.name for category in workspace.categories}
    numbers = add(window, disc(20, 20), disc(40, 60))
    assert {names[one.category] for one in workspace.instances()} == {"box"}
    workspace.select(numbers[0])
    window.hand.key(Qt.Key.Key_1, Qt.KeyboardModifier.ControlModifier)
    assert [names[one.category] for one in workspace.instances()] == ["cup", "box"]
    assert names[workspace.category] == "cup"
    assert len(workspace.project.journal.history()) == 4, "two categories, the drawing, the change"
    window.hand.key(Qt.Key.Key_9, Qt.KeyboardModifier.ControlModifier)
    assert names[workspace.category] == "cup"


def test_painting_the_lowest_of_three_shows_it(window: Any, disc: Any, stroke: Any) -> None:
    low, middle, high = disc(30, 30, 12), disc(30, 36, 12), disc(30, 42, 12)
    numbers = add(window, low, middle, high)
    layer = window.layers.annotations
    window.workspace.select(numbers[0])
    spot = disc(30, 38, 2)
    stroke(window, spot, new=False)
    label = int(layer.selected_label)
    assert (layer.data[spot] == label).all()
    assert np.array_equal(masks(window)[0], low | spot)
    assert np.array_equal(masks(window)[1], middle & ~spot)
    window.workspace.undo()
    assert np.array_equal(masks(window)[2], high)


def test_a_read_only_window_edits_nothing(window: Any, folder: Path, disc: Any) -> None:
    from rise_napari.tools.instance_editor import InstanceEditor
    from rise_napari.workspace import Workspace

    numbers = add(window, disc(20, 20), disc(40, 60))
    other = Workspace()
    other.open_path(folder)
    editor = InstanceEditor(other)
    editor.merge(numbers)
    editor.copy_from_previous()
    assert len(other.instances()) == 2
    other.end()
