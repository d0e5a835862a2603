"""COCO average precision (AP) of predicted masks and boxes, in percent."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pycocotools import mask as rle_codec
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from rise_engine.errors import RiseError
from rise_engine.formats.coco.results import OBJECT_CATEGORY, coco_results
from rise_engine.project.records import PredictedInstance
from rise_engine.project.segmentation import to_rle


@dataclass(frozen=True, slots=True)
class AveragePrecision:
    """In percent; None when the ground truth has no object of that size."""

    ap: float
    ap50: float
    ap75: float
    small: float | None
    medium: float | None
    large: float | None

    def as_record(self) -> dict[str, float | None]:
        """With COCO's names as keys."""
        return {
            "AP": self.ap,
            "AP50": self.ap50,
            "AP75": self.ap75,
            "APs": self.small,
            "APm": self.medium,
            "APl": self.large,
        }


@dataclass(frozen=True, slots=True)
class Scores:
    """Average precision of masks and of boxes over a number of frames."""

    mask: AveragePrecision
    box: AveragePrecision
    frames: int

    def as_record(self) -> dict[str, Any]:
        """Plain values, as written to JSON."""
        return {"mask": self.mask.as_record(), "box": self.box.as_record(), "frames": self.frames}


def evaluate(
    truth: Mapping[str, Any], predictions: Iterable[Mapping[str, Any]], *, class_agnostic: bool = False
) -> Scores:
    """COCO AP of ``predictions`` (COCO results with ``segmentation`` as RLE) against ``truth`` (a COCO dataset).

    IoU 0.5 to 0.95, at most 100 detections a frame, crowd regions as COCO treats them. ``class_agnostic`` ignores
    all categories. Predictions for images that are not in ``truth`` are left out. Raises RiseError when ``truth`` has
    no object.
    """
    image_ids = {image["id"] for image in truth["images"]}
    annotations = [annotation for annotation in truth["annotations"] if annotation["image_id"] in image_ids]
    if all(annotation.get("iscrowd", 0) for annotation in annotations):
        raise RiseError(
            f"None of the {len(image_ids)} frames to evaluate on has an annotated object: annotate the hold-out, or "
            "list other frames with --frames."
        )
    sizes = {image["id"]: (image["height"], image["width"]) for image in truth["images"]}
    targets = [_with_mask(annotation, *sizes[annotation["image_id"]]) for annotation in annotations]
    found = [_with_mask(result, *sizes[result["image_id"]]) for result in predictions if result["image_id"] in sizes]
    categories = [OBJECT_CATEGORY] if class_agnostic else list(truth["categories"])
    if class_agnostic:
        for instance in (*targets, *found):
            instance["category_id"] = OBJECT_CATEGORY["id"]
    images = list(truth["images"])
    known, masks = _index(images, categories, targets), _index(images, categories, found)
    boxes = _index(images, categories, [result | {"area": result["bbox"][2] * result["bbox"][3]} for result in found])
    return Scores(_precision(known, masks, "segm"), _precision(known, boxes, "bbox"), len(image_ids))


def result_categories(class_names: Sequence[str], truth: Mapping[str, Any]) -> list[int]:
    """The ground truth's category id of each class of a network; all other classes get one unused id."""
    known = {category["name"]: category["id"] for category in truth["categories"]}
    unknown = max(known.values(), default=0) + 1
    return [known.get(name, unknown) for name in class_names]


def results_of_frames(
    predicted: Iterable[tuple[int, Iterable[PredictedInstance]]], category_ids: Sequence[int]
) -> Iterator[dict[str, Any]]:
    """COCO results from pairs of frame id and predictions, as ``predict_frames`` yields them."""
    for frame, predictions in predicted:
        yield from coco_results(frame, predictions, category_ids)


def _with_mask(instance: Mapping[str, Any], height: int, width: int) -> dict[str, Any]:
    """A copy with the mask as compressed RLE, and box and area from it where they are missing.

    The area decides between small, medium and large. Of an annotation it is the file's ``area`` where there is one. Of
    a prediction it is that of its mask, and that of its box in the evaluation of boxes, as in pycocotools' ``loadRes``.
    """
    rle = to_rle(instance["segmentation"], height, width)
    area = None if "score" in instance else instance.get("area")
    return {
        **instance,
        "segmentation": rle,
        "bbox": instance.get("bbox") or rle_codec.toBbox(rle).tolist(),
        "area": float(rle_codec.area(rle)) if area is None else area,
        "iscrowd": instance.get("iscrowd", 0),
    }


def _index(images: list[Any], categories: list[Any], instances: list[dict[str, Any]]) -> COCO:
    """pycocotools' index with new ids from 1: its matching treats an annotation of id 0 as no annotation."""
    numbered = [instance | {"id": number} for number, instance in enumerate(instances, start=1)]
    index = COCO()
    index.dataset = {"images": images, "categories": categories, "annotations": numbered}
    with contextlib.redirect_stdout(io.StringIO()):
        index.createIndex()
    return index


def _precision(truth: COCO, found: COCO, kind: Literal["segm", "bbox"]) -> AveragePrecision:
    with contextlib.redirect_stdout(io.StringIO()):
        evaluation = COCOeval(truth, found, kind)
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    # Averages of 101 ones are not exactly one in floating point: rounding avoids 99.99999999999997.
    ap, ap50, ap75, *by_size = (round(100 * float(value), 6) for value in evaluation.stats[:6])
    small, medium, large = (value if value >= 0 else None for value in by_size)
    return AveragePrecision(ap, ap50, ap75, small, medium, large)
