"""Masks suggested for boxes and clicks, on a COCO dataset: IoU with the ground truth, CPU time per prompt.

python benchmarks/assist.py IMAGES ANNOTATIONS.json [--frames 16] [--candidates]

The boxes are those of the truth, each side shifted at random by 3 % of its length, to simulate a person; the click is
the point deepest inside the object. With --candidates the starter weights' predictions are used as well.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np
from PIL import Image
from pycocotools.coco import COCO
from scipy.ndimage import distance_transform_edt

from rise_engine.annotation.prompt import Suggestion, suggest_at, suggest_in_box
from rise_engine.project.records import PredictedInstance

SHAKE = 0.03
SMALLEST = 50


def overlap(suggestions: list[Suggestion], truth: np.ndarray) -> list[float]:
    """IoU of each suggestion with the truth, the first and the best."""
    found = [float((one.mask & truth).sum() / (one.mask | truth).sum()) for one in suggestions] or [0.0]
    return [found[0], max(found)]


def candidates_of(images: list[np.ndarray]) -> list[list[PredictedInstance]]:
    """What the starter weights see."""
    from rise_engine.prediction.load import load_model
    from rise_engine.prediction.predict import predict
    from rise_engine.resources import starter_path

    path = starter_path()
    assert path is not None
    loaded = load_model(path, device="cpu")
    return [predict(loaded, image, min_score=0.02) for image in images]


def main() -> None:
    """Prints a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("images", type=Path)
    parser.add_argument("annotations", type=Path)
    parser.add_argument("--frames", type=int, default=16)
    parser.add_argument("--candidates", action="store_true")
    options = parser.parse_args()
    coco = COCO()
    coco.dataset = json.loads(options.annotations.read_text(encoding="utf-8"))
    coco.createIndex()
    rng = np.random.default_rng(0)
    chosen = rng.permutation(sorted(coco.imgs))[: options.frames].tolist()
    images = [np.array(Image.open(options.images / coco.imgs[one]["file_name"]).convert("RGB")) for one in chosen]
    candidates = candidates_of(images) if options.candidates else [[] for _ in images]
    rows: dict[str, list[list[float]]] = {"box": [], "click": []}
    seconds = {"box": 0.0, "click": 0.0}
    for number, image, known in zip(chosen, images, candidates, strict=True):
        height, width = image.shape[:2]
        for annotation in coco.imgToAnns[number]:
            truth = coco.annToMask(annotation).astype(bool)
            if truth.sum() < SMALLEST:
                continue
            ys, xs = np.nonzero(truth)
            sides = np.array([np.ptp(xs) + 1, np.ptp(ys) + 1] * 2)
            box = np.array([xs.min(), ys.min(), xs.max() + 1, ys.max() + 1]) + rng.normal(0, SHAKE, 4) * sides
            box = box.clip(0, [width, height] * 2)
            deep = distance_transform_edt(truth)
            point = np.unravel_index(int(deep.argmax()), deep.shape)
            start = time.process_time()
            rows["box"].append(overlap(suggest_in_box(image, tuple(box.tolist()), known), truth))
            middle = time.process_time()
            rows["click"].append(overlap(suggest_at(image, (float(point[0]), float(point[1])), known), truth))
            seconds["box"] += middle - start
            seconds["click"] += time.process_time() - middle
    print(f"{len(rows['box'])} objects of {len(chosen)} frames, {'with' if options.candidates else 'no'} candidates")
    for name, values in rows.items():
        first, best = np.array(values).T
        print(
            f"{name:6} IoU first suggestion mean {first.mean():.3f} median {np.median(first):.3f}, "
            f"above 0.75: {100 * np.mean(first > 0.75):.0f} %; best of its suggestions mean {best.mean():.3f}; "
            f"CPU {1000 * seconds[name] / len(values):.0f} ms a prompt"
        )


if __name__ == "__main__":
    main()
