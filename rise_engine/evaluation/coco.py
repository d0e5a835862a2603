"""How good predictions are: COCO's average precision of masks and boxes, in percent."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from pycocotools import mask as rle_codec
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from rise_engine.errors import RiseError
from rise_engine.project.records import PredictedInstance
from rise_engine.project.segmentation import area_of, box_of, to_rle

if TYPE_CHECKING:
    from rise_engine.project.project import Project

OBJECT: dict[str, Any] = {"id": 1, "name": "object"}
"""The single category of class-agnostic predictions."""


@dataclass(frozen=True, slots=True)
class AveragePrecision:
    """Percent; None where the truth has no object of that size, so that there is nothing to measure."""

    ap: float
    ap50: float
    ap75: float
    small: float | None
    medium: float | None
    large: float | None

    def as_record(self) -> dict[str, float | None]:
        """By COCO's names."""
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
    every category. Predictions on images that the truth does not have are left out. Raises RiseError when there is no
    object to find.
    """
    image_ids = {image["id"] for image in truth["images"]}
    annotations = [annotation for annotation in truth["annotations"] if annotation["image_id"] in image_ids]
    if all(annotation.get("iscrowd", 0) for annotation in annotations):
        raise RiseError(
            f"none of the {len(image_ids)} frames to evaluate on has an annotated object: annotate the hold-out, or "
            "name other frames with --frames"
        )
    sizes = {image["id"]: (image["height"], image["width"]) for image in truth["images"]}
    targets = [_with_mask(annotation, *sizes[annotation["image_id"]]) for annotation in annotations]
    found = [_with_mask(result, *sizes[result["image_id"]]) for result in predictions if result["image_id"] in sizes]
    categories = [OBJECT] if class_agnostic else list(truth["categories"])
    if class_agnostic:
        for instance in (*targets, *found):
            instance["category_id"] = OBJECT["id"]
    known, detected = (_index(list(truth["images"]), categories, instances) for instances in (targets, found))
    return Scores(_precision(known, detected, "segm"), _precision(known, detected, "bbox"), len(image_ids))


def truth_of(project: Project, frame_ids: Sequence[int]) -> dict[str, Any]:
    """The annotations of these frames as a COCO dataset whose image ids are the frames' ids.

    Those without a pixel in their image are left out: nothing could find them.
    """
    images, annotations = [], []
    for frame_id in frame_ids:
        width, height = project.probe(frame_id)
        images.append(
            {"id": frame_id, "file_name": project.frames.get(frame_id).name, "height": height, "width": width}
        )
        for instance in project.annotations.of_frame(frame_id):
            area = area_of(instance.segmentation, height, width)
            if not area:
                continue
            x0, y0, x1, y1 = box_of(instance.segmentation, height, width)
            annotations.append(
                {
                    "id": instance.id,
                    "image_id": frame_id,
                    "category_id": instance.category,
                    "segmentation": instance.segmentation,
                    "bbox": [x0, y0, x1 - x0, y1 - y0],
                    "area": area,
                    "iscrowd": int(instance.crowd),
                }
            )
    categories = [{"id": category.id, "name": category.name} for category in project.annotations.categories()]
    return {"images": images, "annotations": annotations, "categories": categories}


def result_categories(class_names: Sequence[str], truth: Mapping[str, Any]) -> list[int]:
    """The truth's category id for each class of a network; classes that it does not have get an id of their own."""
    known = {category["name"]: category["id"] for category in truth["categories"]}
    unknown = max(known.values(), default=0) + 1
    return [known.get(name, unknown) for name in class_names]


def coco_results(
    image_id: int | str, predictions: Iterable[PredictedInstance], category_ids: Sequence[int]
) -> list[dict[str, Any]]:
    """Predictions of one image as COCO results; ``category_ids`` by class index."""
    return [
        {
            "image_id": image_id,
            "category_id": category_ids[prediction.label],
            "segmentation": prediction.rle,
            "bbox": [
                prediction.box[0],
                prediction.box[1],
                prediction.box[2] - prediction.box[0],
                prediction.box[3] - prediction.box[1],
            ],
            "score": prediction.score,
        }
        for prediction in predictions
    ]


def _with_mask(instance: Mapping[str, Any], height: int, width: int) -> dict[str, Any]:
    """A copy with the mask as compressed RLE, and box and area from it where they are missing.

    The area decides about small, medium and large; a prediction's is always that of its mask.
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
    """pycocotools' index, numbered anew: its matching takes an annotation of id 0 for none at all."""
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
    # Averages of 101 ones are not exactly one in floating point; nobody wants to read 99.99999999999997.
    ap, ap50, ap75, *by_size = (round(100 * float(value), 6) for value in evaluation.stats[:6])
    small, medium, large = (value if value >= 0 else None for value in by_size)
    return AveragePrecision(ap, ap50, ap75, small, medium, large)
