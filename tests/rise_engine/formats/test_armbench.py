"""ARMBench's folder as a project: what is dropped, what is held out, which frames count as labelled."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from rise_engine.cli import main
from rise_engine.errors import RiseError
from rise_engine.formats.armbench import SUBSETS, find_armbench
from rise_engine.formats.label_fractions import LabelFractions, Unit
from rise_engine.project.project import Project
from rise_engine.project.records import FrameState, Split
from rise_engine.project.segmentation import from_mask
from rise_engine.project.splits import choose_split, read_name_list

WIDTH, HEIGHT = 64, 48
SQUARE = [10, 10, 30, 10, 30, 30, 10, 30]


def _annotation(number: int, image: int, category: int = 2, **fields: Any) -> dict[str, Any]:
    base = {"segmentation": [SQUARE], "bbox": [10, 10, 20, 20], "area": 400, "iscrowd": 0}
    return {"id": number, "image_id": image, "category_id": category, **base, **fields}


def _mask() -> np.ndarray:
    mask = np.zeros((HEIGHT, WIDTH), dtype=bool)
    mask[5:20, 30:50] = True
    return mask


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Four training images: polygons, run lengths and a crowd, nothing annotated, and a file that is not there."""
    root = tmp_path / "armbench-segmentation-0.1"
    for subset in SUBSETS[:2]:
        images = root / subset / "images"
        images.mkdir(parents=True)
        parts = {
            "train": ["ZZ0.jpg", "ZZ1.jpg", "ZZ2.jpg", "GONE.jpg"],
            "val": ["VV0.jpg"],
            "test": ["TT0.jpg", "TT1.jpg"],
        }
        for part, names in parts.items():
            if part == "train":
                annotations = [
                    _annotation(0, 0, category=1, segmentation=[[0, 0, 64, 0, 64, 48, 0, 48]]),
                    _annotation(1, 0, segmentation=[SQUARE, [40, 5, 50, 5, 50, 15]]),
                    _annotation(2, 1, segmentation=from_mask(_mask())),
                    _annotation(3, 1, iscrowd=1, segmentation={"size": [48, 64], "counts": [0, 96, 2976]}),
                    _annotation(4, 3),
                ]
            else:
                annotations = [_annotation(number, number) for number in range(len(names))]
            for name in names:
                if name != "GONE.jpg":
                    Image.new("RGB", (WIDTH, HEIGHT), (9, 90, 200)).save(images / name)
            dataset = {
                "images": [
                    {"id": number, "file_name": name, "width": WIDTH, "height": HEIGHT}
                    for number, name in enumerate(names)
                ],
                "annotations": annotations,
                "categories": [{"id": 1, "name": "Tote"}, {"id": 2, "name": "Object"}],
            }
            (root / subset / f"{part}.json").write_text(json.dumps(dataset))
    return root


def _new(*arguments: str | Path) -> int:
    with pytest.raises(SystemExit) as ended:
        main(["new", *map(str, arguments)])
    return int(ended.value.code or 0)


def test_a_subset_becomes_a_project(root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "a.rise"
    assert _new(path, "--armbench", root) == 0
    out = capsys.readouterr().out
    assert "1 image of the file" in out
    assert "1 annotation marked as crowds" in out
    with Project.open(path) as project:
        assert project.setting("source") == "armbench"
        assert project.images == root / "mix-object-tote" / "images"
        assert [category.name for category in project.annotations.categories()] == ["Object"]
        assert {frame.name for frame in project.frames.all(split=Split.HOLDOUT)} == {"TT0.jpg", "TT1.jpg", "VV0.jpg"}
        states = {frame.name: frame.state for frame in project.frames.all(split=Split.TRAIN)}
        assert states == {
            "ZZ0.jpg": FrameState.LABELLED,
            "ZZ1.jpg": FrameState.LABELLED,
            "ZZ2.jpg": FrameState.UNLABELLED,
        }
        crowds = [instance.crowd for instance in project.annotations.of_frame(project.frames.get("ZZ1.jpg").id)]
        assert crowds == [False, True]
        split = choose_split(project, fraction=1.0)
        assert not {*split.labelled, *split.unlabelled} & {
            frame.id for frame in project.frames.all(split=Split.HOLDOUT)
        }
        assert len(split.holdout) == 3
    assert read_name_list(path / "splits" / "test.txt") == ["TT0.jpg", "TT1.jpg"]
    assert read_name_list(path / "splits" / "val.txt") == ["VV0.jpg"]
    record = json.loads((path / "splits" / "label_fractions.json").read_text())
    source = root / "mix-object-tote" / "train.json"
    assert record["sha256"] == hashlib.sha256(source.read_bytes()).hexdigest()
    assert [subset["percent"] for subset in record["subsets"]] == [0.5, 1, 2, 10, 100]
    assert set(read_name_list(path / "splits" / "labelled-100-percent.txt")) == {"ZZ0.jpg", "ZZ1.jpg"}
    assert len(read_name_list(path / "splits" / "labelled-0.5-percent.txt")) == 1


def test_the_subset_can_be_named_or_be_the_folder(root: Path, tmp_path: Path) -> None:
    assert _new(tmp_path / "b.rise", "--armbench", root, "--subset", "same-object-transfer-set") == 0
    with Project.open(tmp_path / "b.rise") as project:
        assert project.images.parent.name == "same-object-transfer-set"
        assert project.setting("source") == "armbench same-object-transfer-set"
    assert find_armbench(root / SUBSETS[1]).subset == SUBSETS[1]
    assert find_armbench(root).subset == SUBSETS[0]


def test_other_categories_can_be_dropped_in_place_of_the_tote(root: Path, tmp_path: Path) -> None:
    assert _new(tmp_path / "c.rise", "--armbench", root, "--drop-category", "Object") == 0
    with Project.open(tmp_path / "c.rise") as project:
        assert [category.name for category in project.annotations.categories()] == ["Tote"]


@pytest.mark.parametrize(
    "extra", [[], ["--subset", "zoomed-out-tote-transfer-set"], ["--subset", "nonsense"], ["--images", "."]]
)
def test_what_is_not_there_is_a_sentence_and_leaves_nothing(
    root: Path, tmp_path: Path, extra: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert _new(tmp_path / "d.rise", "--armbench", root if extra else tmp_path, *extra) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert not (tmp_path / "d.rise").exists()


def test_an_image_in_train_and_test_with_other_masks_is_refused(root: Path, tmp_path: Path) -> None:
    path = root / SUBSETS[0] / "train.json"
    dataset = json.loads(path.read_text())
    dataset["images"][0]["file_name"] = "TT0.jpg"
    path.write_text(json.dumps(dataset))
    assert _new(tmp_path / "e.rise", "--armbench", root) == 2
    assert not (tmp_path / "e.rise").exists()


def _draw(count: int, seed: int, counts: dict[float, int] | None = None) -> LabelFractions:
    units = [Unit(f"{number}.jpg", (f"{number}.jpg",)) for number in range(count)]
    return LabelFractions.draw(
        units, dataset="x", source="y", sha256="z", percents=(0.5, 1, 2, 10, 100), counts=counts, seed=seed
    )


def test_fractions_are_nested_and_follow_from_the_seed_alone() -> None:
    first, again, other = _draw(1000, 0), _draw(1000, 0), _draw(1000, 1)
    assert first == again
    assert first.frames(10) != other.frames(10)
    assert [len(first.frames(percent)) for percent in (0.5, 1, 2, 10, 100)] == [5, 10, 20, 100, 1000]
    for smaller, larger in ((0.5, 1), (1, 2), (2, 10), (10, 100)):
        assert set(first.frames(smaller)) < set(first.frames(larger))
    assert len(set(first.order)) == 1000


def test_the_papers_counts_at_the_papers_size() -> None:
    drawn = _draw(30_992, 3, {0.5: 155, 1: 309, 2: 618, 10: 3_099})
    assert drawn.counts == {0.5: 155, 1: 309, 2: 618, 10: 3_099, 100: 30_992}


def test_sequences_are_never_cut() -> None:
    units = [Unit(str(number), tuple(f"{number}/{frame}" for frame in range(7))) for number in range(20)]
    drawn = LabelFractions.draw(units, dataset="x", source="y", sha256="z", percents=(5, 10, 100), seed=0)
    for percent in (5, 10, 100):
        sequences = {name.split("/")[0] for name in drawn.frames(percent)}
        assert len(drawn.frames(percent)) == 7 * len(sequences)
    assert drawn.counts == {5: 7, 10: 14, 100: 140}
    with pytest.raises(RiseError, match="no labelled training frame"):
        LabelFractions.draw([], dataset="x", source="y", sha256="z", percents=(5,), seed=0)
