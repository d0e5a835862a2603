"""Opening, painting, showing other frames and undo, in a real viewer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from rise_engine.project.project import Project
from rise_engine.project.records import FrameState, Instance
from rise_engine.project.segmentation import from_mask, to_mask

SIZE = (60, 80)


def masks(bench: Any) -> list[np.ndarray]:
    """The stored masks of the frame in view."""
    return [to_mask(one.segmentation, *SIZE) for one in bench.workspace.instances()]


def message(bench: Any) -> str:
    return bench.header.message.text()


# -- opening -------------------------------------------------------------------------------------------------------


def test_a_folder_opens_as_a_project_beside_it_and_shows_its_first_frame(opened: Any, folder: Path) -> None:
    assert (folder.parent / "totes.rise" / "project.sqlite").is_file()
    assert [frame.name for frame in opened.workspace.frames][:2] == ["frame_0.png", "frame_1.png"]
    viewer = opened.viewer_for_tests
    assert [layer.name for layer in viewer.layers] == ["frames", "annotations"]
    shown = np.asarray(viewer.layers["frames"].data[0])
    assert np.array_equal(shown, np.asarray(Image.open(folder / "frame_0.png")))
    assert opened.header.title.text() == "totes.rise"
    assert "labelled 0/7" in opened.header.counts.text()


def test_an_empty_folder_and_a_missing_one_are_reported(workbench: Any, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    workbench.workspace.open_path(tmp_path / "empty")
    assert "no image" in message(workbench)
    assert not workbench.workspace.open_path(tmp_path / "nowhere")
    assert "not a folder" in message(workbench)


def test_every_tab_shows_the_next_action_with_and_without_a_project(workbench: Any, folder: Path) -> None:
    assert all(step.hint.text() for step in workbench.all_tabs)
    workbench.workspace.open_path(folder)
    assert all(step.hint.text() for step in workbench.all_tabs)
    assert workbench.tabs.tabText(1).startswith("●"), "annotating is the first unfinished step"


def test_a_second_window_is_read_only(opened: Any, folder: Path, make_napari_viewer_proxy: Any) -> None:
    from rise_napari.workspace import Workspace

    second = Workspace()
    said: list[str] = []
    second.message.connect(lambda level, sentence: said.append(sentence))
    assert second.open_path(folder)
    assert not second.writable
    assert "read-only" in said[0]
    assert not second.mark(FrameState.SKIPPED)
    second.end()


def test_a_broken_image_is_shown_grey_with_a_message(workbench: Any, folder: Path) -> None:
    (folder / "frame_3.png").write_bytes(b"this is not an image")
    workspace = workbench.workspace
    workspace.open_path(folder)
    frames = {frame.name: frame for frame in workspace.frames}
    broken = frames["frame_3.png"].id
    workspace.show(broken)
    assert "frame_3.png" in message(workbench)
    shown = np.asarray(workbench.viewer_for_tests.layers["frames"].data[workspace.index_of(broken)])
    assert shown.shape[2] == 3
    values = np.unique(shown)
    assert len(values) == 1, "one colour, with equal channels"
    assert 0 < values[0] < 255, "grey, not black or white"
    workspace.show(frames["frame_4.png"].id)
    assert workbench.layers.annotations.data.shape == SIZE
    shown = np.asarray(workbench.viewer_for_tests.layers["frames"].data[workspace.index_of(frames["frame_4.png"].id)])
    assert np.array_equal(shown, np.asarray(Image.open(folder / "frame_4.png")))


# -- painting ------------------------------------------------------------------------------------------------------


def test_a_stroke_is_in_the_store_and_the_frame_counts_as_labelled(opened: Any, disc: Any, stroke: Any) -> None:
    stroke(opened, disc(20, 20))
    stroke(opened, disc(40, 60))
    stored = masks(opened)
    assert len(stored) == 2
    assert np.array_equal(stored[0], disc(20, 20))
    assert np.array_equal(stored[1], disc(40, 60))
    assert opened.workspace.frame.state is FrameState.LABELLED
    assert opened.annotate.table.rowCount() == 2


def test_brush_polygon_fill_and_eraser_all_reach_the_store(opened: Any, qtbot: Any) -> None:
    layer = opened.layers.annotations
    opened.workspace.new_instance_requested.emit()
    layer.brush_size = 10
    layer.paint((20, 20), layer.selected_label)
    qtbot.waitUntil(lambda: len(masks(opened)) == 1, timeout=2000)
    opened.workspace.new_instance_requested.emit()
    layer.paint_polygon([[40, 40], [40, 60], [55, 60]], layer.selected_label)
    qtbot.waitUntil(lambda: len(masks(opened)) == 2, timeout=2000)
    area = masks(opened)[1].sum()
    layer.paint((41, 58), 0)
    qtbot.waitUntil(lambda: masks(opened)[1].sum() < area, timeout=2000)
    layer.fill((20, 20), 0)
    qtbot.waitUntil(lambda: len(masks(opened)) == 1, timeout=2000)


def test_an_edit_keeps_the_hidden_part_of_an_overlapped_instance(opened: Any, disc: Any, stroke: Any) -> None:
    project, frame = opened.workspace.project, opened.workspace.frame
    category = project.annotations.add_category("object").id
    low, high = disc(30, 30, 12), disc(30, 40, 12)
    project.annotations.add(frame.id, [Instance(None, frame.id, category, from_mask(mask)) for mask in (low, high)])
    opened.workspace.instances_changed.emit(frame.id)
    layer = opened.layers.annotations
    layer.selected_label = int(layer.data[30, 20])
    dot = disc(5, 5, 3)
    stroke(opened, dot, new=False)
    assert np.array_equal(masks(opened)[0], low | dot)
    assert np.array_equal(masks(opened)[1], high)
    opened.workspace.delete([opened.workspace.instances()[1].id])
    assert np.array_equal(layer.data > 0, low | dot), "the hidden part is shown"


def test_untouched_instances_are_not_written(opened: Any, disc: Any, stroke: Any) -> None:
    project, frame = opened.workspace.project, opened.workspace.frame
    category = project.annotations.add_category("object").id
    polygon = [[10.0, 10.0, 20.0, 10.0, 20.0, 20.0]]
    project.annotations.add(frame.id, [Instance(None, frame.id, category, polygon)])
    opened.workspace.instances_changed.emit(frame.id)
    stroke(opened, disc(45, 60))
    assert opened.workspace.instances()[0].segmentation == polygon


# -- frames --------------------------------------------------------------------------------------------------------


def test_undo_on_another_frame_never_writes_into_it(opened: Any, disc: Any, stroke: Any) -> None:
    workspace = opened.workspace
    first, second = workspace.frames[0], workspace.frames[1]
    stroke(opened, disc(20, 20))
    workspace.show(second.id)
    stroke(opened, disc(40, 60))
    workspace.show(workspace.frames[2].id)
    layer = opened.layers.annotations
    layer.undo()
    assert workspace.frame.id == second.id, "the changed frame is shown"
    assert workspace.project.annotations.of_frame(second.id) == []
    assert len(workspace.project.annotations.of_frame(first.id)) == 1
    layer.undo()
    assert workspace.project.annotations.of_frame(first.id) == []
    layer.redo()
    assert np.array_equal(
        to_mask(workspace.project.annotations.of_frame(first.id)[0].segmentation, *SIZE), disc(20, 20)
    )
    for frame in workspace.frames[1:6]:
        workspace.show(frame.id)
        assert not opened.layers.annotations.data.any()
        assert workspace.instances() == []


def test_one_undo_reverts_everything_that_one_stroke_changed(opened: Any, disc: Any, stroke: Any) -> None:
    stroke(opened, disc(30, 30))
    stroke(opened, disc(30, 36))
    before = [disc(30, 30) & ~disc(30, 36), disc(30, 36)]
    assert all(np.array_equal(a, b) for a, b in zip(masks(opened), before, strict=True))
    opened.workspace.undo()
    assert len(masks(opened)) == 1
    assert np.array_equal(masks(opened)[0], disc(30, 30))


def test_a_stroke_just_before_another_frame_is_shown_is_saved_on_its_own_frame(opened: Any, disc: Any) -> None:
    workspace = opened.workspace
    first = workspace.frame.id
    workspace.new_instance_requested.emit()
    layer = opened.layers.annotations
    layer.data_setitem(np.nonzero(disc(20, 20)), layer.selected_label)
    opened.viewer_for_tests.dims.set_current_step(0, 3)
    assert workspace.frame.name == "frame_3.png"
    assert len(workspace.project.annotations.of_frame(first)) == 1
    assert workspace.instances() == []
    assert not opened.layers.annotations.data.any()


def test_frames_of_another_size_are_shown_as_they_are(opened: Any, disc: Any, stroke: Any) -> None:
    workspace = opened.workspace
    stroke(opened, disc(20, 20))
    tall = next(frame for frame in workspace.frames if frame.name == "tall.png")
    workspace.show(tall.id)
    assert opened.layers.annotations.data.shape == (90, 50)
    assert np.asarray(opened.viewer_for_tests.layers["frames"].data[workspace.index_of(tall.id)]).shape == (90, 50, 3)
    workspace.show(workspace.frames[0].id)
    assert np.array_equal(opened.layers.annotations.data > 0, disc(20, 20))


def test_marks_show_the_next_frame_and_refuse_a_wrong_state(opened: Any, disc: Any, stroke: Any) -> None:
    workspace = opened.workspace
    opened.annotate.mark_done()
    assert "Nothing is drawn" in message(opened)
    stroke(opened, disc(20, 20))
    opened.annotate.mark_empty()
    assert "There are instances" in message(opened)
    opened.annotate.mark_done()
    assert workspace.frame.name == "frame_1.png"
    opened.annotate.mark_empty()
    opened.annotate.mark_skipped()
    assert [frame.state for frame in workspace.frames[:3]] == [
        FrameState.LABELLED,
        FrameState.LABELLED,
        FrameState.SKIPPED,
    ]


def test_annotations_are_shown_again_after_closing(opened: Any, folder: Path, disc: Any, stroke: Any) -> None:
    workspace = opened.workspace
    workspace.show(workspace.frames[2].id)
    stroke(opened, disc(20, 20))
    workspace.close_project()
    assert opened.header.title.text() == "No project open"
    assert len(opened.viewer_for_tests.layers) == 0
    workspace.open_path(folder)
    assert workspace.frame.name == "frame_2.png"
    assert np.array_equal(opened.layers.annotations.data > 0, disc(20, 20))


def test_deleting_the_annotation_layer_loses_no_annotation(opened: Any, disc: Any, stroke: Any) -> None:
    stroke(opened, disc(20, 20))
    opened.viewer_for_tests.layers.remove("annotations")
    opened.workspace.step(1)
    opened.workspace.step(-1)
    assert np.array_equal(opened.layers.annotations.data > 0, disc(20, 20))


def test_categories_name_new_and_selected_instances(opened: Any, disc: Any, stroke: Any) -> None:
    workspace = opened.workspace
    workspace.add_category("cup")
    stroke(opened, disc(20, 20))
    assert opened.annotate.table.item(0, 1).text() == "cup"
    workspace.add_category("box")
    instance = workspace.instances()[0]
    workspace.select(instance.id)
    opened.annotate.table.selectRow(0)
    opened.annotate.category.setCurrentText("box")
    opened.annotate.category.activated.emit(opened.annotate.category.currentIndex())
    names = {category.id: category.name for category in workspace.categories}
    assert names[workspace.instances()[0].category] == "box"


def test_keys_are_listed_and_bound(opened: Any) -> None:
    keys = {shortcut.key for shortcut in opened.shortcuts.bound}
    assert {"n", "g", "a", "r", "Control-Z"} <= keys
    assert len(keys) == len(opened.shortcuts.bound), "no key means two things"
    bound = {str(key).lower() for key in opened.layers.annotations.keymap}
    assert {"n", "a", "r"} <= bound


def test_another_program_may_read_while_the_window_is_open(opened: Any, folder: Path, disc: Any, stroke: Any) -> None:
    stroke(opened, disc(20, 20))
    with Project.open(Project.default_path(folder)) as other:
        assert len(other.annotations.of_frame(opened.workspace.frame.id)) == 1
