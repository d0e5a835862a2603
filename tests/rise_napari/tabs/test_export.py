"""The Export tab's files, and the COCO file that comes in."""

from __future__ import annotations

import json
from inspect import signature
from pathlib import Path
from typing import Any, get_args

import numpy as np

from rise_engine.formats.coco.exporter import ExportMasks, ExportSource, export_coco
from rise_engine.project.records import FrameState
from rise_engine.project.segmentation import from_mask, to_mask


def test_exported_coco_has_what_was_drawn(labelled: Any, disc: Any, tmp_path: Path, qtbot: Any) -> None:
    target = tmp_path / "out.json"
    labelled.export.export_coco(target)
    qtbot.waitUntil(lambda: labelled.export.exported, timeout=10_000)
    written = json.loads(target.read_text())
    names = {image["id"]: image["file_name"] for image in written["images"]}
    found = {names[one["image_id"]]: one for one in written["annotations"]}
    assert set(found) == {"frame_0.png", "frame_1.png"}
    assert np.array_equal(to_mask(found["frame_1.png"]["segmentation"], 60, 80), disc(20, 24))
    assert str(target) in labelled.export.coco_where.text()


def test_the_options_of_coco_come_from_its_typed_arguments(
    labelled: Any, disc: Any, tmp_path: Path, qtbot: Any
) -> None:
    source, masks = (labelled.export.coco_options.inputs[name].widget for name in ("source", "masks"))
    assert tuple(source.choices) == get_args(ExportSource)
    assert tuple(masks.choices) == get_args(ExportMasks)
    assert set(labelled.export.coco_options.inputs) | {"run"} == {
        name for name, one in signature(export_coco).parameters.items() if one.kind is one.KEYWORD_ONLY
    }, "every option of the function is offered, except the run of unreviewed predictions"
    masks.value = "polygons"
    labelled.export.export_coco(tmp_path / "out.json")
    qtbot.waitUntil(lambda: labelled.export.exported, timeout=10_000)
    written = json.loads((tmp_path / "out.json").read_text())
    assert all(isinstance(one["segmentation"], list) for one in written["annotations"])
    assert len(written["annotations"]) == 2


def test_the_tab_shows_where_the_report_is(labelled: Any, tmp_path: Path) -> None:
    labelled.export.export_report(tmp_path / "report.md")
    assert "| labelled | 2 |" in (tmp_path / "report.md").read_text()
    assert str(tmp_path / "report.md") in labelled.export.report_where.text()
    assert not labelled.export.report_open.isHidden()


def test_imported_coco_labels_the_frames(labelled: Any, tmp_path: Path, qtbot: Any, disc: Any) -> None:
    mask = disc(30, 30)
    content = {
        "images": [{"id": 5, "file_name": "frame_4.png", "width": 80, "height": 60}],
        "categories": [{"id": 3, "name": "cup"}],
        "annotations": [
            {
                "id": 1,
                "image_id": 5,
                "category_id": 3,
                "segmentation": from_mask(mask),
                "iscrowd": 0,
                "area": 197,
                "bbox": [22, 22, 17, 17],
            }
        ],
    }
    source = tmp_path / "in.json"
    source.write_text(json.dumps(content))
    labelled.project.import_coco(source)
    qtbot.waitUntil(lambda: labelled.header.message.text().startswith("Imported 1 "), timeout=20_000)
    frame = next(one for one in labelled.workspace.frames if one.name == "frame_4.png")
    assert frame.state is FrameState.LABELLED
    labelled.workspace.show(frame.id)
    assert np.array_equal(labelled.layers.annotations.data > 0, mask)
    (tmp_path / "bad.json").write_text("{}")
    labelled.project.import_coco(tmp_path / "bad.json")
    qtbot.waitUntil(lambda: "holds no" in labelled.header.message.text() or "has no" in labelled.header.message.text())
    assert "bad.json" in labelled.header.message.text()


def test_cancel_ends_a_long_import_and_leaves_the_project_unchanged(
    labelled: Any, tmp_path: Path, qtbot: Any, disc: Any
) -> None:
    mask = from_mask(disc(30, 30))
    content = {
        "images": [{"id": 5, "file_name": "frame_4.png", "width": 80, "height": 60}],
        "categories": [{"id": 3, "name": "cup"}],
        "annotations": [{"id": n, "image_id": 5, "category_id": 3, "segmentation": mask} for n in range(40_000)],
    }
    source = tmp_path / "long.json"
    source.write_text(json.dumps(content))
    before = labelled.workspace.project.journal.history()
    shown = labelled.project.importing_now
    assert shown.isHidden()
    told: list[tuple[str, int, int]] = []
    labelled.project.importer.progressed.connect(lambda *values: told.append(values))
    labelled.project.import_coco(source)
    assert not shown.isHidden()
    qtbot.waitUntil(lambda: bool(told), timeout=20_000)
    assert told[0] == ("reading annotations", 0, 40_000)
    assert shown.bar.text().startswith("reading annotations: 0")
    shown.cancel.click()
    assert not shown.cancel.isEnabled()
    qtbot.waitUntil(lambda: not labelled.project.importer.busy, timeout=20_000)
    assert shown.isHidden()
    assert labelled.header.message.text() == "long.json was not imported. Nothing was changed."
    assert labelled.workspace.project.journal.history() == before
    assert told[-1][1] < 40_000 and told[-1][0] == "reading annotations"
    # The next import is not cancelled.
    (tmp_path / "short.json").write_text(json.dumps(content | {"annotations": content["annotations"][:3]}))
    labelled.project.import_coco(tmp_path / "short.json")
    qtbot.waitUntil(lambda: labelled.header.message.text().startswith("Imported 3 "), timeout=20_000)
