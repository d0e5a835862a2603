"""Average precision against cases worked out by hand."""

from __future__ import annotations

import contextlib
import copy
import io
from typing import Any

import numpy as np
import pytest
from pycocotools import mask as rle_codec
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from rise_engine.errors import RiseError
from rise_engine.evaluation.coco import evaluate
from rise_engine.formats.coco.results import coco_results
from rise_engine.project.records import PredictedInstance

SIDE = 200


def rle(x: int, y: int, width: int, height: int) -> dict[str, Any]:
    mask = np.zeros((SIDE, SIDE), np.uint8, order="F")
    mask[y : y + height, x : x + width] = 1
    encoded = rle_codec.encode(mask)
    return {"size": [SIDE, SIDE], "counts": encoded["counts"].decode()}


def target(x: int, y: int, width: int, height: int, **fields: Any) -> dict[str, Any]:
    polygon = [x, y, x + width, y, x + width, y + height, x, y + height]
    return {"image_id": 1, "category_id": 1, "segmentation": [polygon], **fields}


def found(x: int, y: int, width: int, height: int, score: float, **fields: Any) -> dict[str, Any]:
    box = [x, y, width, height]
    return {"image_id": 1, "category_id": 1, "segmentation": rle(*box), "bbox": box, "score": score, **fields}


def dataset(*annotations: dict[str, Any], images: int = 1) -> dict[str, Any]:
    return {
        "images": [{"id": number, "height": SIDE, "width": SIDE} for number in range(1, images + 1)],
        "categories": [{"id": 1, "name": "box"}, {"id": 2, "name": "bag"}],
        "annotations": list(annotations),
    }


TWO = (target(10, 10, 50, 50), target(100, 100, 50, 50))


def test_everything_found_is_100_of_every_size_there_is() -> None:
    truth = dataset(target(0, 0, 20, 20), target(50, 50, 50, 50), target(100, 100, 100, 100))
    scores = evaluate(truth, [found(0, 0, 20, 20, 0.9), found(50, 50, 50, 50, 0.8), found(100, 100, 100, 100, 0.7)])
    assert scores.as_record() == {"mask": dict.fromkeys(ALL, 100), "box": dict.fromkeys(ALL, 100), "frames": 1}


ALL = ("AP", "AP50", "AP75", "APs", "APm", "APl")


def test_one_of_two_found_is_51_of_101_recall_points() -> None:
    scores = evaluate(dataset(*TWO), [found(10, 10, 50, 50, 0.9)])
    assert scores.mask.ap == pytest.approx(100 * 51 / 101)
    assert scores.mask.small is None


def test_a_better_scored_mistake_halves_the_precision() -> None:
    scores = evaluate(dataset(TWO[0]), [found(120, 10, 20, 20, 0.9), found(10, 10, 50, 50, 0.8)])
    assert scores.mask.ap50 == pytest.approx(50)


def test_an_iou_of_0_64_counts_at_three_of_ten_thresholds() -> None:
    scores = evaluate(dataset(TWO[0]), [found(10, 10, 50, 32, 0.9)])
    assert (scores.mask.ap, scores.mask.ap50, scores.mask.ap75) == pytest.approx((30, 100, 0))


def test_masks_and_boxes_are_judged_apart() -> None:
    prediction = found(10, 10, 50, 50, 0.9) | {"segmentation": rle(10, 10, 50, 20)}
    scores = evaluate(dataset(TWO[0]), [prediction])
    assert scores.box.ap == 100
    assert scores.mask.ap == 0


def test_categories_count_unless_they_are_ignored() -> None:
    truth = dataset(target(10, 10, 50, 50, category_id=2))
    prediction = found(10, 10, 50, 50, 0.9)
    assert evaluate(truth, [prediction]).mask.ap == 0
    assert evaluate(truth, [prediction], class_agnostic=True).mask.ap == 100
    assert prediction["category_id"] == 1
    assert truth["annotations"][0]["category_id"] == 2


def test_a_detection_in_a_crowd_is_no_mistake() -> None:
    crowd = target(100, 0, 80, 80, iscrowd=1) | {"segmentation": rle(100, 0, 80, 80)}
    predictions = [found(110, 10, 20, 20, 0.95), found(10, 10, 50, 50, 0.9)]
    assert evaluate(dataset(TWO[0], crowd), predictions).mask.ap == 100
    assert evaluate(dataset(TWO[0]), predictions).mask.ap == 50


def test_a_detection_on_an_empty_frame_is_a_mistake_and_one_elsewhere_is_left_out() -> None:
    empty_frame = found(10, 10, 50, 50, 0.95, image_id=2)
    right = found(10, 10, 50, 50, 0.9)
    assert evaluate(dataset(TWO[0], images=2), [empty_frame, right]).mask.ap == 50
    assert evaluate(dataset(TWO[0], images=1), [empty_frame, right]).mask.ap == 100


def test_only_the_best_100_of_a_frame_count() -> None:
    mistakes = [found(150, 150, 10, 10, 0.9) for _ in range(100)]
    assert evaluate(dataset(TWO[0]), [*mistakes, found(10, 10, 50, 50, 0.1)]).mask.ap == 0


def test_nothing_found_is_zero_and_nothing_to_find_is_an_error() -> None:
    assert evaluate(dataset(*TWO), []).mask.ap == 0
    with pytest.raises(RiseError, match="annotate"):
        evaluate(dataset(), [found(10, 10, 50, 50, 0.9)])


def test_ids_of_the_truth_may_start_at_zero() -> None:
    truth = dataset(target(10, 10, 50, 50, id=0), target(100, 100, 50, 50, id=1))
    assert evaluate(truth, [found(10, 10, 50, 50, 0.9), found(100, 100, 50, 50, 0.8)]).mask.ap == 100


def test_it_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    evaluate(dataset(*TWO), [])
    assert capsys.readouterr() == ("", "")


def test_results_carry_coco_boxes_and_the_category_of_the_class() -> None:
    prediction = PredictedInstance(rle=rle(10, 20, 30, 40), box=(10, 20, 40, 60), label=1, score=0.5)
    [result] = coco_results(7, [prediction], [3, 9])
    assert (result["image_id"], result["category_id"], result["bbox"]) == (7, 9, [10, 20, 30, 40])


@pytest.mark.parametrize("seed", range(4))
def test_every_number_is_pycocotools_own(seed: int) -> None:
    """Random objects of all sizes, shifted, lost, doubled and mislabelled; crowds too."""
    rng = np.random.default_rng(seed)
    annotations, results = [], []
    for number in range(60):
        x, y = (int(value) for value in rng.integers(0, 90, 2))
        width, height = (int(value) for value in rng.integers(5, 110, 2))
        place = {"image_id": int(rng.integers(1, 7)), "category_id": int(rng.integers(1, 3))}
        annotations.append(
            {**target(x, y, width, height), **place, "area": width * height, "bbox": [x, y, width, height]}
            | {"iscrowd": int(rng.random() < 0.1), "id": number + 1}
        )
        for _ in range(int(rng.integers(0, 3))):
            shift = int(rng.integers(0, 1 + min(width, height) // 4))
            kind = place["category_id"] if rng.random() < 0.9 else 3 - place["category_id"]
            results.append(found(x + shift, y, width, height, float(rng.random()), **place | {"category_id": kind}))
    truth = dataset(*annotations, images=6)
    ours = evaluate(truth, [dict(result) for result in results])
    with contextlib.redirect_stdout(io.StringIO()):
        index = COCO()
        index.dataset = copy.deepcopy(truth)
        index.createIndex()
        for kind, scores in (("segm", ours.mask), ("bbox", ours.box)):
            measured = COCOeval(index, index.loadRes(copy.deepcopy(results)), kind)
            measured.evaluate()
            measured.accumulate()
            measured.summarize()
            # To the sixth digit of a percent: what lies below is rounding of sums.
            expected = [round(100 * float(value), 6) for value in measured.stats[:6]]
            assert list(scores.as_record().values()) == expected


@pytest.mark.parametrize("counts", ["garbage", [1, 10**12], [-5, SIDE * SIDE + 5], None])
def test_run_lengths_that_are_broken_are_told(counts: object) -> None:
    """pycocotools would take them as they are, and memory or time without end."""
    broken = {**target(10, 10, 50, 50), "segmentation": {"size": [SIDE, SIDE], "counts": counts}}
    with pytest.raises(RiseError, match="run lengths"):
        evaluate(dataset(broken), [])
    with pytest.raises(RiseError, match="run lengths"):
        evaluate(dataset(target(10, 10, 50, 50)), [{**broken, "score": 0.5}])


def pycocotools_numbers(truth: dict[str, Any], results: list[dict[str, Any]], kind: str) -> dict[str, float | None]:
    """AP and AP by size in percent, of results that have the fields of this kind only."""
    field = {"segm": "segmentation", "bbox": "bbox"}[kind]
    plain = [{key: result[key] for key in ("image_id", "category_id", "score", field)} for result in results]
    with contextlib.redirect_stdout(io.StringIO()):
        known = COCO()
        known.dataset = copy.deepcopy(truth)
        known.createIndex()
        evaluation = COCOeval(known, known.loadRes(copy.deepcopy(plain)), kind)
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return {name: 100 * value if value >= 0 else None for name, value in zip(ALL, evaluation.stats[:6], strict=True)}


def test_every_number_by_size_is_that_of_pycocotools() -> None:
    rng = np.random.default_rng(4)
    truth = dataset(images=6)
    results = []
    for image in range(1, 7):
        for _ in range(6):
            x, y, w, h = (int(side) for side in (*rng.integers(0, 90, 2), *rng.integers(12, 110, 2)))
            number = len(truth["annotations"]) + 1
            given = {"image_id": image, "id": number, "iscrowd": 0, "bbox": [x, y, w, h], "area": w * h * 1.1}
            truth["annotations"].append(target(x, y, w, h, **given))
            # Thin masks in large boxes: their areas are of different sizes in COCO's sense.
            thin = rle(x, y, w, max(2, h // 3)) if rng.random() < 0.5 else rle(x, y, w, h)
            results.append(found(x, y, w, h, float(rng.random()), image_id=image) | {"segmentation": thin})
            stray = [int(side) for side in (*rng.integers(0, 90, 2), *rng.integers(12, 110, 2))]
            results.append(found(*stray, float(rng.random()), image_id=image) | {"segmentation": rle(*stray[:3], 3)})
    scores = evaluate(truth, results)
    for kind, values in (("segm", scores.mask), ("bbox", scores.box)):
        assert values.as_record() == pytest.approx(pycocotools_numbers(truth, results, kind), abs=1e-6)
    assert scores.box.small is not None and scores.box.medium is not None and scores.box.large is not None
