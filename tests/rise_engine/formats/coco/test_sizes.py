"""Sizes and orientations of photos and of their annotations; pycocotools and Pillow give the right values."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageOps
from pycocotools import mask as coco_mask

from rise_engine.errors import RiseError
from rise_engine.evaluation.ground_truth import ground_truth_from_file, ground_truth_of
from rise_engine.formats.coco import import_coco, to_coco
from rise_engine.formats.coco.file import CocoFile
from rise_engine.project.project import Project
from rise_engine.project.segmentation import Segmentation, to_mask

RED = [20, 100, 80, 100, 80, 150, 20, 150]
"""A rectangle in the upright photo of 120 x 160 pixels."""


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    (tmp_path / "totes").mkdir()
    with Project.create(tmp_path / "p.rise", tmp_path / "totes") as made:
        yield made


def _photo(project: Project, orientation: int | None, name: str = "a.jpg") -> Path:
    """A photo that is upright at 120 x 160 pixels, with a red rectangle, stored as a sensor with EXIF would."""
    pixels = np.full((160, 120, 3), 110, np.uint8)
    pixels[100:150, 20:80] = (220, 40, 30)
    image, exif = Image.fromarray(pixels), Image.Exif()
    if orientation is not None:
        exif[0x0112] = orientation
        # The operation that undoes the one of the EXIF standard.
        undo = {
            2: Image.Transpose.FLIP_LEFT_RIGHT,
            3: Image.Transpose.ROTATE_180,
            4: Image.Transpose.FLIP_TOP_BOTTOM,
            5: Image.Transpose.TRANSPOSE,
            6: Image.Transpose.ROTATE_90,
            7: Image.Transpose.TRANSVERSE,
            8: Image.Transpose.ROTATE_270,
        }
        if orientation in undo:
            image = image.transpose(undo[orientation])
    path = project.images / name
    image.save(path, exif=exif, quality=95)
    shown = np.asarray(ImageOps.exif_transpose(Image.open(path)))
    assert shown.shape == (160, 120, 3)
    assert shown[125, 50, 0] > 180
    project.scan()
    return path


def _file(tmp_path: Path, segmentations: list[Any], *, name: str = "a.jpg", **image: Any) -> Path:
    path = tmp_path / "labels.json"
    annotations = [
        {"id": number, "image_id": 1, "category_id": 1, "segmentation": one, "iscrowd": 0}
        for number, one in enumerate(segmentations, start=1)
    ]
    images = [{"id": 1, "file_name": name, **image}]
    path.write_text(
        json.dumps({"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "box"}]})
    )
    return path


def _red() -> np.ndarray:
    mask = np.zeros((160, 120), bool)
    mask[100:150, 20:80] = True
    return mask


@pytest.mark.parametrize("masks", ["as-imported", "rle", "polygons"])
def test_swapped_sides_with_upright_polygons_are_rasterised_upright(
    project: Project, tmp_path: Path, masks: Any
) -> None:
    _photo(project, 6)
    import_coco(project, _file(tmp_path, [[RED]], width=160, height=120))
    exported = to_coco(project, masks=masks)
    (one,) = exported["annotations"]
    assert (one["area"], one["bbox"]) == (3000, [20, 100, 60, 50])
    np.testing.assert_array_equal(to_mask(one["segmentation"], 160, 120), _red())
    if masks == "rle":
        assert one["segmentation"]["size"] == [160, 120]
        assert (exported["images"][0]["width"], exported["images"][0]["height"]) == (120, 160)
    np.testing.assert_array_equal(project.labelled_frame(1).masks, _red()[None])
    (truth,) = ground_truth_of(project, [1])["annotations"]
    assert truth["area"] == coco_mask.area(coco_mask.merge(coco_mask.frPyObjects([RED], 160, 120)))


@pytest.mark.parametrize("masks", ["rle", "polygons"])
def test_labels_of_another_size_are_refused_everywhere(project: Project, tmp_path: Path, masks: Any) -> None:
    _photo(project, None)
    path = _file(tmp_path, [[[2 * number for number in RED]]], width=240, height=320)
    import_coco(project, path)
    sentence = "its annotations were made on 240 x 320 pixels, but the image has 120 x 160"
    with pytest.raises(RiseError, match=sentence):
        project.labelled_frame(1)
    with pytest.raises(RiseError, match=sentence):
        ground_truth_of(project, [1])
    with pytest.raises(RiseError, match=sentence):
        ground_truth_from_file(project, CocoFile(path), {1})
    with pytest.raises(RiseError, match=sentence):
        to_coco(project, masks=masks)
    # Unchanged, with their own size, they mean what they meant.
    exported = to_coco(project)
    assert exported["images"][0]["width"] == 240
    assert exported["annotations"][0]["area"] == 4 * 3000


def test_run_lengths_of_another_size_name_the_frame(project: Project, tmp_path: Path) -> None:
    _photo(project, None)
    rle: Segmentation = {"size": [320, 240], "counts": [320 * 240 - 5, 5]}
    import_coco(project, _file(tmp_path, [rle], width=240, height=320))
    for reads in (project.labelled_frame, project.require_own_size, lambda frame: ground_truth_of(project, [frame])):
        with pytest.raises(RiseError, match=r"a\.jpg: A mask was made for an image of height and width \[320, 240\]"):
            reads(1)


@pytest.mark.parametrize(
    "size",
    [
        {},
        {"width": None, "height": None},
        {"width": "120.0", "height": "160.0"},
        {"width": 0, "height": 0},
        {"width": 120},
        {"width": True, "height": True},
        {"width": float("nan"), "height": 160},
    ],
)
@pytest.mark.parametrize("masks", ["as-imported", "rle"])
def test_a_size_that_cannot_be_used_is_that_of_the_photo(
    project: Project, tmp_path: Path, size: dict[str, Any], masks: Any
) -> None:
    _photo(project, 8)
    path = _file(tmp_path, [[RED]], **size)
    import_coco(project, path)
    exported = to_coco(project, masks=masks)
    assert (exported["images"][0]["width"], exported["images"][0]["height"]) == (120, 160)
    assert (exported["annotations"][0]["area"], exported["annotations"][0]["bbox"]) == (3000, [20, 100, 60, 50])
    np.testing.assert_array_equal(to_mask(exported["annotations"][0]["segmentation"], 160, 120), _red())
    np.testing.assert_array_equal(project.labelled_frame(1).masks, _red()[None])
    assert ground_truth_of(project, [1])["annotations"][0]["area"] == 3000
    # A file of ground truth has to name the size.
    with pytest.raises(RiseError, match="no width and height"):
        ground_truth_from_file(project, CocoFile(path), {1})


@pytest.mark.parametrize("number", [{"$oid": "5f0c"}, ["7"], None, 1.5, True])
def test_an_annotation_id_that_is_no_number_gets_a_free_one(project: Project, tmp_path: Path, number: Any) -> None:
    _photo(project, None)
    path = _file(tmp_path, [[RED], [RED]], width=120, height=160)
    dataset = json.loads(path.read_text())
    dataset["annotations"][0]["id"] = number
    path.write_text(json.dumps(dataset))
    import_coco(project, path)
    assert [one["id"] for one in to_coco(project)["annotations"]] == [3, 2]


def _on_sensor(orientation: int) -> list[float]:
    """A thin object near the photo's bottom edge, as the sensor has it: its upright box is x 20..80, y 150..158."""
    corners = {
        5: [[150, 20], [158, 20], [158, 80], [150, 80]],
        6: [[150, 40], [158, 40], [158, 100], [150, 100]],
        7: [[2, 40], [10, 40], [10, 100], [2, 100]],
        8: [[2, 20], [10, 20], [10, 80], [2, 80]],
    }[orientation]
    return [float(side) for corner in corners for side in corner]


@pytest.mark.parametrize("orientation", [5, 6, 7, 8])
def test_polygons_of_the_sensor_are_turned_with_the_photo(project: Project, tmp_path: Path, orientation: int) -> None:
    _photo(project, orientation)
    # The mask drawn on the sensor's pixels, turned by Pillow as it turns the photo.
    sensor = coco_mask.frPyObjects([_on_sensor(orientation)], 120, 160)
    stored = Image.fromarray(coco_mask.decode(coco_mask.merge(sensor)) * 255)
    stored.getexif()[0x0112] = orientation
    right = np.asarray(ImageOps.exif_transpose(stored)) > 0
    assert right.shape == (160, 120)
    # The second object decides where the first one fits both.
    other = [139, 10, 149, 10, 149, 20, 139, 20] if orientation in (5, 6) else [150, 1, 159, 1, 159, 9, 150, 9]
    report = import_coco(project, _file(tmp_path, [[_on_sensor(orientation)], [other]], width=160, height=120))
    assert (report.turned, report.undecided) == (1, 0)
    assert any("turned with the photo" in sentence for sentence in report.notices())
    np.testing.assert_array_equal(project.labelled_frame(1).masks[0], right)
    exported = to_coco(project, masks="rle")
    assert (exported["images"][0]["width"], exported["images"][0]["height"]) == (120, 160)
    np.testing.assert_array_equal(to_mask(exported["annotations"][0]["segmentation"], 160, 120), right)


@pytest.mark.parametrize(
    ("orientation", "size", "polygon", "undecided"),
    [
        (6, (160, 120), [20, 20, 60, 20, 60, 60], 1),
        (6, (160, 120), RED, 0),
        (6, (120, 160), [20, 20, 60, 20, 60, 60], 0),
        (3, (120, 160), RED, 1),
        (2, (120, 160), RED, 1),
        (1, (120, 160), RED, 0),
        (None, (120, 160), RED, 0),
        (None, (160, 120), [20, 20, 60, 20, 60, 60], 1),
    ],
)
def test_where_it_cannot_be_decided_one_warning_counts(
    project: Project, tmp_path: Path, orientation: int | None, size: tuple[int, int], polygon: list[int], undecided: int
) -> None:
    _photo(project, orientation)
    report = import_coco(project, _file(tmp_path, [[polygon]], width=size[0], height=size[1]))
    assert (report.undecided, report.turned) == (undecided, 0)
    assert len(report.notices()) == undecided
    right = coco_mask.decode(coco_mask.merge(coco_mask.frPyObjects([polygon], 160, 120)))
    np.testing.assert_array_equal(project.labelled_frame(1).masks[0], right.astype(bool))


def test_polygons_that_only_fit_the_swapped_size_of_a_photo_without_exif_are_of_another_size(
    project: Project, tmp_path: Path
) -> None:
    _photo(project, None)
    report = import_coco(project, _file(tmp_path, [[[130, 20, 150, 20, 150, 60]]], width=160, height=120))
    assert report.another_size == 1
    with pytest.raises(RiseError, match="160 x 120"):
        project.labelled_frame(1)


@pytest.mark.parametrize("kind", ["polygons", "run lengths"])
def test_labels_of_another_size_are_scaled_when_asked(project: Project, tmp_path: Path, kind: str) -> None:
    _photo(project, None)
    large = np.kron(_red(), np.ones((2, 2), bool))
    rle = coco_mask.encode(np.asfortranarray(large.astype(np.uint8)))
    segmentation: Any = {"size": rle["size"], "counts": rle["counts"].decode()}
    if kind == "polygons":
        segmentation = [[2 * number for number in RED]]
    path = _file(tmp_path, [segmentation], width=240, height=320)
    assert import_coco(project, path).another_size == 1
    report = import_coco(project, path, scale_annotations=True, on_conflict="replace")
    assert (report.scaled, report.another_size) == (1, 0)
    np.testing.assert_array_equal(project.labelled_frame(1).masks, _red()[None])
    assert ground_truth_of(project, [1])["annotations"][0]["area"] == 3000
    exported = to_coco(project)
    assert (exported["images"][0]["width"], exported["images"][0]["height"]) == (120, 160)
    assert exported["annotations"][0]["area"] == 3000


@pytest.mark.parametrize(("width", "scaled"), [(242, 1), (244, 0), (240, 1), (320, 0)])
def test_only_the_same_aspect_is_scaled(project: Project, tmp_path: Path, width: int, scaled: int) -> None:
    _photo(project, None)
    path = _file(tmp_path, [[[2 * number for number in RED]]], width=width, height=320)
    report = import_coco(project, path, scale_annotations=True)
    assert (report.scaled, report.another_size) == (scaled, 1 - scaled)
