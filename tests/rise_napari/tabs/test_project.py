"""Every way into a project, through napari's own doors where there are some."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import napari
import numpy as np
import pytest
from qtpy.QtCore import QMimeData, QPoint, QPointF, QSettings, Qt, QUrl
from qtpy.QtGui import QDropEvent
from qtpy.QtWidgets import QMessageBox

from rise_engine.project.project import Project
from rise_engine.project.segmentation import from_mask
from rise_napari import widget as workbench_module
from rise_napari.tabs.project import recent_projects, sample_totes
from rise_napari.ui.identity import PLUGIN, WIDGET


@pytest.fixture
def viewer(
    make_napari_viewer_proxy: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[Any]:
    """A viewer that napari knows as the current one, and settings of its own."""
    kept = QSettings(str(tmp_path / "settings.ini"), QSettings.Format.IniFormat)
    monkeypatch.setattr(recent_projects, "settings", lambda: kept)
    made = make_napari_viewer_proxy()
    monkeypatch.setattr(napari, "current_viewer", lambda: made)
    yield made
    for dock in list(made.window.dock_widgets.values()):
        getattr(dock, "shut_down", lambda: None)()


def bench_of(viewer: Any) -> Any:
    """The workbench that is docked in the viewer."""
    _, bench = viewer.window.add_plugin_dock_widget(PLUGIN, WIDGET)
    return bench


def coco(path: Path, mask: np.ndarray, name: str = "frame_1.png") -> Path:
    rle = from_mask(mask)
    annotation = {"id": 1, "image_id": 1, "category_id": 1, "segmentation": rle, "iscrowd": 0}
    content = {
        "images": [{"id": 1, "file_name": name, "height": 60, "width": 80}],
        "categories": [{"id": 1, "name": "cup"}],
        "annotations": [annotation],
    }
    path.write_text(json.dumps(content))
    return path


def drop(widget: Any, path: Path) -> None:
    """Lets a file go over a widget, as a file manager does."""
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(path))])
    corner: Any = QPoint(5, 5)
    values = (Qt.DropAction.CopyAction, data, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier)
    try:
        event = QDropEvent(QPointF(corner), *values)
    except TypeError:
        event = QDropEvent(corner, *values)
    widget.dropEvent(event)


def test_napari_opens_a_project_in_the_window_and_adds_no_layer_of_its_own(viewer: Any, folder: Path) -> None:
    Project.create(Project.default_path(folder), folder).close()
    assert viewer.open(str(Project.default_path(folder)), plugin=PLUGIN) == []
    bench = bench_of(viewer)
    assert bench.workspace.project.images == folder
    assert [layer.name for layer in viewer.layers] == ["frames", "annotations"]


def test_napari_opens_a_folder_of_images_in_the_window(viewer: Any, folder: Path) -> None:
    viewer.open(str(folder), plugin=PLUGIN)
    assert len(bench_of(viewer).workspace.frames) == 7


def test_napari_opens_a_coco_file_with_the_images_beside_it(viewer: Any, folder: Path, disc: Any, qtbot: Any) -> None:
    viewer.open(str(coco(folder.parent / "labels.json", disc(20, 24))), plugin=PLUGIN)
    workspace = bench_of(viewer).workspace
    qtbot.waitUntil(lambda: workspace.project is not None and workspace.count(*workspace_states()) == 1, timeout=20_000)
    frame = next(one for one in workspace.frames if one.name == "frame_1.png")
    assert len(workspace.project.annotations.of_frame(frame.id)) == 1
    assert [category.name for category in workspace.categories] == ["cup"]


def workspace_states() -> tuple[Any, ...]:
    from rise_engine.project.records import ANNOTATED_STATES

    return ANNOTATED_STATES


def test_what_is_dropped_on_the_window_opens(workbench: Any, folder: Path, disc: Any, qtbot: Any) -> None:
    drop(workbench, folder)
    assert len(workbench.workspace.frames) == 7
    drop(workbench, coco(folder.parent / "labels.json", disc(20, 24)))
    qtbot.waitUntil(lambda: workbench.workspace.count(*workspace_states()) == 1, timeout=20_000)
    assert "Imported 1 instances" in workbench.header.message.text()


def test_a_coco_file_without_its_images_is_told(workbench: Any, tmp_path: Path, disc: Any, qtbot: Any) -> None:
    workbench.open_path(coco(tmp_path / "labels.json", disc(20, 24), name="away.png"))
    qtbot.waitUntil(lambda: "not next to it" in workbench.header.message.text(), timeout=20_000)
    qtbot.waitUntil(lambda: not workbench.project.importer.busy, timeout=20_000)


@pytest.mark.parametrize(("answer", "count"), [("Keep both", 2), ("Replace them", 1), (None, 1)])
def test_an_import_asks_what_to_do_with_other_instances(
    opened: Any,
    disc: Any,
    stroke: Any,
    qtbot: Any,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    answer: str | None,
    count: int,
) -> None:
    opened.workspace.step(1)
    stroke(opened, disc(45, 60))
    asked = []

    def choose(box: QMessageBox) -> None:
        asked.append(box.text())
        button = next((one for one in box.buttons() if one.text() == answer), None)
        (button or box.button(QMessageBox.StandardButton.Cancel)).click()

    monkeypatch.setattr(QMessageBox, "exec", choose)
    opened.project.import_coco(coco(folder.parent / "labels.json", disc(20, 24)))
    done = "was not imported" if answer is None else "Imported 1"
    qtbot.waitUntil(lambda: done in opened.header.message.text(), timeout=20_000)
    assert len(asked) == 1
    assert len(opened.workspace.instances()) == count
    if answer is not None:
        opened.workspace.undo()
        assert len(opened.workspace.instances()) == 1


def test_the_last_project_is_offered_and_opens_at_its_frame(workbench: Any, folder: Path) -> None:
    last = workbench.project.last
    assert last.isHidden()
    workbench.workspace.open_path(folder)
    assert last.isHidden()
    workbench.workspace.step(3)
    workbench.workspace.close_project()
    assert not last.isHidden()
    assert "totes.rise" in last.text()
    last.click()
    assert workbench.workspace.frame.name == "frame_3.png"


def test_a_setting_opens_the_last_project_by_itself(
    viewer: Any, folder: Path, monkeypatch: pytest.MonkeyPatch, qtbot: Any
) -> None:
    from napari.settings import get_plugin_settings

    first = bench_of(viewer)
    first.workspace.open_path(folder)
    first.shut_down()
    settings = get_plugin_settings(PLUGIN)
    assert settings.opening.reopen_last is False, "off until it is asked for"
    settings.opening.reopen_last = True
    try:
        second = workbench_module.Workbench(viewer)
        qtbot.waitUntil(lambda: second.workspace.project is not None, timeout=20_000)
        assert second.workspace.writable
        second.shut_down()
    finally:
        settings.opening.reopen_last = False


def test_sample_totes_are_rendered_once_and_open(
    workbench: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, qtbot: Any
) -> None:
    monkeypatch.setattr(sample_totes, "samples_folder", lambda: tmp_path / "samples")
    monkeypatch.setattr(sample_totes, "SAMPLES", 2)
    workbench.project.samples.click()
    qtbot.waitUntil(lambda: len(workbench.workspace.frames) == 2, timeout=60_000)
    qtbot.waitUntil(workbench.project.samples.isEnabled, timeout=20_000)
    rendered = (tmp_path / "samples" / "tote_000.jpg").stat().st_mtime_ns
    workbench.workspace.close_project()
    workbench.project.samples.click()
    assert len(workbench.workspace.frames) == 2
    assert (tmp_path / "samples" / "tote_000.jpg").stat().st_mtime_ns == rendered


def test_naparis_open_sample_leads_to_a_project_to_work_with(
    viewer: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, qtbot: Any
) -> None:
    monkeypatch.setattr(sample_totes, "samples_folder", lambda: tmp_path / "samples")
    monkeypatch.setattr(sample_totes, "SAMPLES", 3)
    viewer.open_sample(PLUGIN, "totes")
    workspace = bench_of(viewer).workspace
    qtbot.waitUntil(lambda: workspace.project is not None, timeout=60_000)
    assert workspace.writable
    assert len(workspace.frames) == 3
    assert workspace.count(*workspace_states()) == 1, "a third of them is labelled, to try every tab at once"
    assert [layer.name for layer in viewer.layers] == ["frames", "annotations"], "the plain layers have given way"
