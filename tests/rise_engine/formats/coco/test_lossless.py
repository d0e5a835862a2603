"""Whatever a COCO file holds, what nobody edited leaves as it came, and a second import adds nothing."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from PIL import Image
from pycocotools import mask as coco_mask

from rise_engine.formats.coco import export_coco, import_coco
from rise_engine.project.project import Project
from rise_engine.project.segmentation import from_mask

WIDTH, HEIGHT = 24, 16
NAMES = ("tote10.png", "tote2.png", "left/a.png", "left/tote2.png", "ümlaut ß.png")
TOTES = Path(__file__).resolve().parents[5] / "shared" / "data" / "rmgc_tote"

_RESERVED = {"id", "image_id", "category_id", "segmentation", "area", "bbox", "iscrowd", "file_name", "name"}
_RESERVED |= {"width", "height", "images", "annotations", "categories"}
_text = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
_numbers = st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False)
_values = st.recursive(
    st.none() | st.booleans() | _numbers | _text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_text, inner, max_size=3),
    max_leaves=5,
)
_extra = st.dictionaries(_text.filter(lambda key: key not in _RESERVED), _values, max_size=3)
_ids = st.integers(0, 10**12)
_rings = st.lists(st.floats(-5, 30) | st.integers(0, 24), min_size=6, max_size=10).filter(lambda r: len(r) % 2 == 0)


@st.composite
def _masks(draw: st.DrawFn) -> np.ndarray:
    """Rectangles with holes, in several parts."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    mask = np.zeros((HEIGHT, WIDTH), dtype=bool)
    for value in (True, True, False):
        (top, bottom), (left, right) = sorted(rng.integers(0, HEIGHT + 1, 2)), sorted(rng.integers(0, WIDTH + 1, 2))
        mask[top:bottom, left:right] = value
    return mask


def _area(segmentation: Any) -> int:
    """By pycocotools alone."""
    if isinstance(segmentation, list):
        segmentation = coco_mask.merge(coco_mask.frPyObjects(segmentation, HEIGHT, WIDTH))
    elif isinstance(segmentation["counts"], list):
        segmentation = coco_mask.frPyObjects(segmentation, HEIGHT, WIDTH)
    return int(coco_mask.area(segmentation))


def _runs(mask: np.ndarray) -> dict[str, Any]:
    flat = np.concatenate([[False], mask.ravel(order="F")])
    changes = np.flatnonzero(np.diff(flat)).tolist()
    return {"size": [HEIGHT, WIDTH], "counts": np.diff([0, *changes, flat.size - 1]).tolist()}


@st.composite
def datasets(draw: st.DrawFn) -> dict[str, Any]:
    """Gaps in the ids, equal names, categories that are used and not listed, fields that nobody knows."""
    names = draw(st.lists(st.sampled_from(NAMES), min_size=1, max_size=4, unique=True))
    image_ids = draw(st.lists(_ids, min_size=len(names), max_size=len(names), unique=True))
    images = [
        {"id": number, "file_name": name, "width": WIDTH, "height": HEIGHT, **draw(_extra)}
        for number, name in zip(image_ids, names, strict=True)
    ]
    category_ids = draw(st.lists(_ids, max_size=4, unique=True))
    kinds = st.sampled_from(["box", "bag", "Tote", "τ"])
    categories = [{"id": number, "name": draw(kinds), **draw(_extra)} for number in category_ids]
    strangers = draw(st.lists(_ids.filter(lambda number: number not in category_ids), min_size=1, max_size=2))
    annotations = []
    numbers = draw(st.lists(_ids, max_size=6, unique=True))
    for number in numbers:
        mask = draw(_masks())
        segmentation = draw(st.lists(_rings, min_size=1, max_size=3) | st.just(from_mask(mask)) | st.just(_runs(mask)))
        # Masks without a pixel are counted instead of imported: test_without_pixels.py.
        if not _area(segmentation):
            continue
        annotation = {
            "id": number,
            "image_id": draw(st.sampled_from(image_ids)),
            "category_id": draw(st.sampled_from([*category_ids, *strangers])),
            "segmentation": segmentation,
            **draw(_extra),
        }
        optional = {
            "iscrowd": draw(st.integers(0, 1)),
            "area": draw(_numbers),
            "bbox": [draw(_numbers) for _ in range(4)],
        }
        annotation |= {key: value for key, value in optional.items() if draw(st.booleans())}
        if draw(st.integers(0, 9)) == 0:
            del annotation["id"]
        annotations.append(annotation)
    return {**draw(_extra), "images": images, "annotations": annotations, "categories": categories}


def _same(before: Any, after: Any) -> bool:
    """To the letter: 1 is not 1.0 here."""
    return json.dumps(before, sort_keys=True) == json.dumps(after, sort_keys=True)


def _assert_nothing_lost(before: dict[str, Any], after: dict[str, Any]) -> None:
    lists = ("images", "annotations", "categories")
    assert _same(
        {k: v for k, v in before.items() if k not in lists}, {k: v for k, v in after.items() if k not in lists}
    )
    by_id = {image["id"]: image for image in after["images"]}
    assert len(by_id) == len(before["images"])
    assert all(_same(image, by_id[image["id"]]) for image in before["images"])
    listed = after["categories"][: len(before["categories"])]
    assert _same(before["categories"], listed)
    used = {annotation["category_id"] for annotation in before["annotations"]}
    unlisted = used - {category["id"] for category in before["categories"]}
    assert {category["id"] for category in after["categories"]} - {category["id"] for category in listed} == unlisted
    for old, new in zip(before["annotations"], after["annotations"], strict=True):
        assert _same(old, {key: new[key] for key in old})
        # Nothing is added but what COCO asks for.
        assert new.keys() - old.keys() <= {"id", "area", "bbox", "iscrowd"}
    assert len({annotation["id"] for annotation in after["annotations"]}) == len(after["annotations"])


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck), phases=[Phase.generate])
@given(dataset=datasets())
def test_what_nobody_edited_leaves_as_it_came(dataset: dict[str, Any]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        images = Path(folder) / "totes"
        (images / "left").mkdir(parents=True)
        for name in NAMES:
            Image.new("RGB", (WIDTH, HEIGHT)).save(images / name)
        source, out = Path(folder) / "in.json", Path(folder) / "out.json"
        source.write_text(json.dumps(dataset), encoding="utf-8")
        with Project.create(Path(folder) / "totes.rise", images) as project:
            project.scan()
            report = import_coco(project, source, empty_is_labelled=True)
            assert (report.instances, report.skipped) == (len(dataset["annotations"]), 0)
            export_coco(project, out)
            first = out.read_bytes()
            _assert_nothing_lost(dataset, json.loads(first))
            edits = len(project.journal.history())
            again = import_coco(project, source, empty_is_labelled=True)
            assert (again.instances, again.known) == (0, len(dataset["annotations"]))
            # Our own export is the same data set, so it adds nothing either.
            if not _ids_were_given(dataset):
                assert import_coco(project, out).instances == 0
            export_coco(project, out)
            assert out.read_bytes() == first
            assert len(project.journal.history()) == edits
            # Undone and done again it is still the same.
            if edits:
                project.journal.undo()
                project.journal.redo()
                export_coco(project, out)
                assert out.read_bytes() == first


def _ids_were_given(dataset: dict[str, Any]) -> bool:
    return any("id" not in annotation for annotation in dataset["annotations"])


@pytest.mark.skipif(not (TOTES / "images").is_dir(), reason="the tote photos are not here")
def test_photos_of_totes_come_and_go_unchanged(tmp_path: Path) -> None:
    path, out = TOTES / "annotations.json", tmp_path / "out.json"
    dataset = json.loads(path.read_text(encoding="utf-8"))
    with Project.create(tmp_path / "totes.rise", TOTES / "images") as project:
        project.scan()
        assert import_coco(project, path, empty_is_labelled=True).instances == len(dataset["annotations"])
        assert import_coco(project, path).instances == 0
        export_coco(project, out)
    _assert_nothing_lost(dataset, json.loads(out.read_text()))
