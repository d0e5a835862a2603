from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rise_engine.errors import RiseError
from rise_engine.formats.coco import import_coco
from rise_engine.project.frame import UnlabelledFrame
from rise_engine.project.project import Project
from rise_engine.project.records import FrameState, Instance, ScanReport, Source
from rise_engine.project.segmentation import from_mask

MakeProject = Callable[[int], Project]


def _block(frame: int, category: int, rows: slice, columns: slice, **fields: object) -> Instance:
    mask = np.zeros((60, 80), dtype=bool)
    mask[rows, columns] = True
    return Instance(None, frame, category, from_mask(mask), **fields)  # type: ignore[arg-type]


def test_scan_finds_images_of_all_folders_in_natural_order_without_decoding(tmp_path: Path) -> None:
    images = tmp_path / "totes"
    for name in ("a10.jpg", "a2.PNG", "sub/a1.webp", "notes.txt", ".hidden.png", "sub/.trash/b.png", "x.rise/y.png"):
        (images / name).parent.mkdir(parents=True, exist_ok=True)
        (images / name).write_bytes(b"not decoded")
    with Project.create(tmp_path / "p.rise", images) as project:
        assert project.scan() == ScanReport(added=3, missing=0, skipped_files=2)
        assert [frame.name for frame in project.frames.all()] == ["a2.PNG", "a10.jpg", "sub/a1.webp"]
        assert [frame.id for frame in project.frames.all()] == [1, 2, 3]
        assert project.frames.get("a10.jpg").width is None
        (images / "a2.PNG").unlink()
        (images / "a3.tif").write_bytes(b"")
        assert project.scan() == ScanReport(added=1, missing=1, skipped_files=2)


def test_a_link_out_of_the_folder_is_no_frame(tmp_path: Path) -> None:
    images = tmp_path / "totes"
    images.mkdir()
    Image.new("RGB", (5, 5)).save(tmp_path / "secret.png")
    Image.new("RGB", (5, 5)).save(images / "own.png")
    (images / "out.png").symlink_to(tmp_path / "secret.png")
    (images / "in.png").symlink_to(images / "own.png")
    with Project.create(tmp_path / "p.rise", images) as project:
        project.scan()
        assert [frame.name for frame in project.frames.all()] == ["in.png", "own.png"]


def test_sizes_are_probed_when_asked_and_remembered(make_project: MakeProject) -> None:
    project = make_project(2)
    assert project.probe(1) == (80, 60)
    assert (project.frames.get(1).width, project.frames.get(2).width) == (80, None)
    (project.images / "tote0.png").write_bytes(b"")
    assert project.probe(1) == (80, 60)


def test_create_refuses_what_would_mix_projects(tmp_path: Path, make_project: MakeProject) -> None:
    project = make_project(1)
    images = project.images
    with pytest.raises(RiseError, match="already"):
        Project.create(project.path, images)
    with Project.create(project.path, images, exist_ok=True) as again:
        assert len(again.frames.all()) == 1
    (tmp_path / "others").mkdir()
    with pytest.raises(RiseError, match="belongs to the images"):
        Project.create(project.path, tmp_path / "others", exist_ok=True)
    with pytest.raises(RiseError, match="does not exist"):
        Project.create(tmp_path / "new.rise", tmp_path / "nowhere")
    assert not (tmp_path / "new.rise").exists()


def test_a_project_moves_with_its_images_and_can_be_relinked(tmp_path: Path, make_project: MakeProject) -> None:
    project = make_project(1)
    project.close()
    moved = tmp_path / "elsewhere"
    moved.mkdir()
    project.path.rename(moved / "totes.rise")
    (tmp_path / "totes").rename(moved / "totes")
    with Project.open(moved / "totes.rise") as again:
        assert again.image(1).shape == (60, 80, 3)
        (moved / "totes").rename(tmp_path / "photos")
        (tmp_path / "empty").mkdir()
        with pytest.raises(RiseError, match="None of the project's 1 frames"):
            again.relink(tmp_path / "empty")
        again.relink(tmp_path / "photos")
        assert again.image(1).shape == (60, 80, 3)


def test_drawing_labels_a_frame_and_taking_the_last_one_out_unlabels_it(make_project: MakeProject) -> None:
    project = make_project(2)
    category = project.annotations.add_category("object").id
    (drawn,) = project.annotations.add(1, [_block(1, category, slice(5, 9), slice(5, 9))])
    assert project.frames.get(1).state is FrameState.LABELLED
    assert project.frames.counts() == {
        FrameState.UNLABELLED: 1,
        FrameState.LABELLED: 1,
        FrameState.REVIEWED: 0,
        FrameState.SKIPPED: 0,
    }
    project.annotations.delete([drawn])
    assert project.frames.get(1).state is FrameState.UNLABELLED
    project.frames.set_state(2, FrameState.LABELLED)
    assert project.labelled_frame(2).masks.shape == (0, 60, 80)


def test_a_labelled_frame_holds_overlapping_masks_without_crowds_and_empty_ones(make_project: MakeProject) -> None:
    project = make_project(1)
    box, bag = project.annotations.add_category("box").id, project.annotations.add_category("bag").id
    below = _block(1, bag, slice(10, 40), slice(10, 40), extra={"note": "x"})
    above = _block(1, box, slice(20, 50), slice(20, 60))
    crowd = _block(1, box, slice(0, 5), slice(0, 5), crowd=True)
    empty = _block(1, box, slice(0, 0), slice(0, 0))
    project.annotations.add(1, [below, above, crowd, empty])
    frame = project.labelled_frame(1, classes={box: 0, bag: 1})
    assert frame.name == "tote0.png"
    assert frame.masks.sum(axis=(1, 2)).tolist() == [900, 1200]
    assert (frame.masks[0] & frame.masks[1]).sum() == 20 * 20
    assert frame.categories.tolist() == [1, 0]
    assert project.labelled_frame(1).categories.tolist() == [0, 0]
    assert project.labelled_frame(1, classes={bag: 0}).masks.sum(axis=(1, 2)).tolist() == [900]
    assert project.annotations.of_frame(1)[0].extra == {"note": "x"}
    assert [instance.crowd for instance in project.annotations.of_frame(1)] == [False, False, True, False]


def test_image_and_masks_are_resized_together(make_project: MakeProject) -> None:
    project = make_project(1)
    category = project.annotations.add_category("object").id
    project.annotations.add(1, [_block(1, category, slice(20, 40), slice(20, 60))])
    frame = project.labelled_frame(1, short_side=30)
    assert frame.image.shape == (30, 40, 3)
    expected = np.zeros((30, 40), dtype=bool)
    expected[10:20, 10:30] = True
    assert (frame.masks[0] == expected).all()
    assert project.unlabelled_frame(1, short_side=120).image.shape == (120, 160, 3)


def test_a_mask_of_another_size_names_the_frame(make_project: MakeProject) -> None:
    project = make_project(1)
    category = project.annotations.add_category("object").id
    project.annotations.add(1, [Instance(None, 1, category, from_mask(np.ones((10, 10), dtype=bool)))])
    with pytest.raises(RiseError, match=r"tote0\.png: .*another|tote0\.png: .*\[60, 80\]"):
        project.labelled_frame(1)


def test_polygons_made_on_other_pixels_are_not_learnt_from(make_project: MakeProject, tmp_path: Path) -> None:
    project = make_project(1)
    annotation = {"id": 1, "image_id": 1, "category_id": 1, "segmentation": [[10, 10, 90, 10, 90, 90]]}
    dataset = {
        "images": [{"id": 1, "file_name": "tote0.png", "width": 160, "height": 120}],
        "annotations": [annotation],
        "categories": [{"id": 1, "name": "object"}],
    }
    (tmp_path / "a.json").write_text(json.dumps(dataset))
    import_coco(project, tmp_path / "a.json")
    with pytest.raises(RiseError, match=r"tote0\.png: .*160 x 120"):
        project.labelled_frame(1)


def test_an_unlabelled_frame_cannot_carry_targets(make_project: MakeProject) -> None:
    project = make_project(1)
    category = project.annotations.add_category("object").id
    project.annotations.add(1, [_block(1, category, slice(20, 40), slice(20, 60))])
    frame = project.unlabelled_frame(1)
    assert {field.name for field in dataclasses.fields(UnlabelledFrame)} == {"name", "image"}
    assert not hasattr(frame, "__dict__")
    with pytest.raises((AttributeError, TypeError)):
        frame.masks = np.ones(1)  # type: ignore[attr-defined]


def test_categories_keep_their_place_and_names_stay_unique(make_project: MakeProject) -> None:
    project = make_project(1)
    first = project.annotations.add_category("box")
    second = project.annotations.add_category("bag")
    assert project.annotations.add_category("box") == first
    with pytest.raises(RiseError, match="taken"):
        project.annotations.rename_category(second.id, "box")
    project.annotations.rename_category(first.id, "carton")
    assert [category.name for category in project.annotations.categories()] == ["carton", "bag"]
    with pytest.raises(RiseError, match="needs a name"):
        project.annotations.add_category("  ")


def test_unknown_frames_instances_and_predictions_are_sentences(make_project: MakeProject) -> None:
    project = make_project(1)
    category = project.annotations.add_category("object").id
    for call in (
        lambda: project.frames.get("absent.png"),
        lambda: project.frames.get(7),
        lambda: project.annotations.add(7, [_block(7, category, slice(1, 2), slice(1, 2))]),
        lambda: project.annotations.delete([7]),
        lambda: project.annotations.update(7, category=category),
        lambda: project.predictions.accept([7]),
        lambda: project.predictions.store(7, {1: []}),
        lambda: project.runs.get(),
        lambda: project.runs.get(3),
    ):
        with pytest.raises(RiseError, match=r"project|prediction"):
            call()  # type: ignore[no-untyped-call]


def test_runs_have_folders_and_numbers_that_are_not_used_again(make_project: MakeProject) -> None:
    project = make_project(1)
    category = project.annotations.add_category("object").id
    first = project.runs.start(preset="laptop", recipe="recommended", steps=100, base="starter")
    assert first.folder == project.path / "runs" / "0001-laptop"
    assert first.folder.is_dir()
    second = project.runs.start(preset="r50", recipe="paper", steps=50, base="last")
    project.runs.finish(first.number, steps=80)
    assert project.runs.get().number == first.number
    assert (project.runs.get().steps, project.runs.get().finished is None) == (80, False)
    assert project.runs.get(second.number).finished is None
    project.predictions.store(2, {1: [_block(1, category, slice(1, 9), slice(1, 9), score=0.5)]})
    project.predictions.store(1, {1: [_block(1, category, slice(1, 9), slice(1, 9), score=0.7)]})
    assert [found.score for found in project.predictions.of_frame(1)] == [0.7], (
        "the finished run is the one that predicts"
    )
    assert [found.score for found in project.predictions.of_frame(1, run=2)] == [0.5]
    project.runs.finish(second.number, steps=50, current=False)
    assert project.runs.get().number == first.number
    assert [found.score for found in project.predictions.of_frame(1)] == [0.7]
    project.runs.choose(second.number)
    assert project.runs.get().number == second.number
    assert project.predictions.latest_scores() == {1: [0.5]}
    assert project.predictions.of_frame(1)[0].source is Source.PREDICTED
    project.runs.delete(2)
    assert not second.folder.exists()
    assert [found.score for found in project.predictions.of_frame(1)] == [0.7]
    assert project.runs.start(preset="laptop", recipe="idol", steps=1, base="none").number == 3


def test_storing_predictions_replaces_the_runs_own_on_these_frames_only(make_project: MakeProject) -> None:
    project = make_project(2)
    category = project.annotations.add_category("object").id
    run = project.runs.start(preset="laptop", recipe="recommended", steps=1, base="none").number

    def found(frame: int, score: float) -> Instance:
        return _block(frame, category, slice(1, 9), slice(1, 9), score=score)

    project.predictions.store(run, {1: [found(1, 0.5), found(1, 0.8)], 2: [found(2, 0.6)]})
    project.predictions.store(run, {1: []})
    assert project.predictions.of_frame(1) == []
    assert project.predictions.latest_scores() == {1: [], 2: [0.6]}
    assert [entry.action for entry in project.journal.history()] == ["added the category object"]


def test_settings_are_kept(make_project: MakeProject) -> None:
    project = make_project(1)
    assert project.setting("last", "none") == "none"
    project.set_setting("last", {"frame": "tote0.png"})
    with Project.open(project.path, read_only=True) as again:
        assert again.setting("last") == {"frame": "tote0.png"}


def test_opening_a_project_needs_no_torch() -> None:
    code = "import sys, rise_engine.project.project, rise_engine.formats.coco; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
