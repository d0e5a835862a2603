"""OCID measures for unknown objects: overlap and boundary precision, recall and F, and %75 (as in UOIS, UCN).

A frame is one label map: each pixel belongs to at most one object. Objects and predictions are matched one to one with
the largest sum of F; values are averaged over frames.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import astuple, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation
from scipy.optimize import linear_sum_assignment
from skimage.morphology import disk

from rise_engine.errors import RiseError
from rise_engine.project.segmentation import to_mask

NEARBY = 0.003
"""Distance tolerance of boundary pixels, as a share of the image's diagonal, rounded up."""
WELL_FOUND = 0.75
SCORE_CUT = 0.3
"""Predictions with a lower score are not in the label map: the same cut as in the window."""

Numbers = NDArray[np.integer[Any]]


@dataclass(frozen=True, slots=True)
class OcidScores:
    """Percent. ``found75`` is the share of objects whose matched prediction has F above 0.75."""

    overlap_precision: float
    overlap_recall: float
    overlap_f: float
    boundary_precision: float
    boundary_recall: float
    boundary_f: float
    found75: float

    def as_record(self) -> dict[str, Any]:
        """With the names of the published tables as keys."""
        return {
            "overlap": {"P": self.overlap_precision, "R": self.overlap_recall, "F": self.overlap_f},
            "boundary": {"P": self.boundary_precision, "R": self.boundary_recall, "F": self.boundary_f},
            "%75": self.found75,
        }


def score_frame(truth: Numbers, found: Numbers) -> OcidScores:
    """Scores of one frame; both maps (H, W), 0 is background.

    Without a prediction, precision is 100 and recall 0; without an object, the reverse; without both, all are 100.
    """
    objects, predictions = _masks(truth), _masks(found)
    if not objects or not predictions:
        precision, recall = 100.0 * (not predictions), 100.0 * (not objects)
        both = min(precision, recall)
        return OcidScores(precision, recall, both, precision, recall, both, both)
    common = np.array([[np.count_nonzero(known & guess) for guess in predictions] for known in objects])
    sizes = np.array([np.count_nonzero(known) for known in objects])
    guessed = np.array([np.count_nonzero(guess) for guess in predictions])
    # 2 P R / (P + R) with P = common / guessed and R = common / sizes.
    f = 2 * common / (sizes[:, None] + guessed[None])
    pairs = [(i, j) for i, j in zip(*linear_sum_assignment(f, maximize=True), strict=True) if common[i, j]]
    reach = disk(math.ceil(NEARBY * math.hypot(*truth.shape)))
    known_edges, guess_edges = [_boundary(mask) for mask in objects], [_boundary(mask) for mask in predictions]
    right = covered = 0
    for i, j in pairs:
        right += int(np.count_nonzero(guess_edges[j] & binary_dilation(known_edges[i], reach)))
        covered += int(np.count_nonzero(known_edges[i] & binary_dilation(guess_edges[j], reach)))
    hit = sum(int(common[pair]) for pair in pairs)
    return OcidScores(
        *_percent(hit / guessed.sum(), hit / sizes.sum()),
        *_percent(_share(right, guess_edges), _share(covered, known_edges)),
        100.0 * sum(f[pair] > WELL_FOUND for pair in pairs) / len(objects),
    )


def mean_scores(scores: Sequence[OcidScores]) -> OcidScores:
    """The mean of each value over frames."""
    return OcidScores(*(float(value) for value in np.mean([astuple(score) for score in scores], axis=0)))


def evaluate_ocid(
    truth: Mapping[str, Any],
    results: Iterable[Mapping[str, Any]],
    subsets: Mapping[Any, str],
    *,
    cut: float = SCORE_CUT,
) -> dict[str, Any]:
    """The scores over all images of a COCO dataset and, under ``subsets``, over those of each subset (by image id).

    ``results`` are COCO results; those below ``cut`` are left out, and the higher score is on top in overlaps.
    Crowds are background. Raises RiseError when there is no image.
    """
    images = list(truth["images"])
    if not images:
        raise RiseError("There is no frame to evaluate on: name annotated frames with --frames.")
    known: dict[Any, list[Any]] = {image["id"]: [] for image in images}
    for annotation in truth["annotations"]:
        if not annotation.get("iscrowd"):
            known[annotation["image_id"]].append(annotation["segmentation"])
    found: dict[Any, list[tuple[float, Any]]] = {image["id"]: [] for image in images}
    for result in results:
        if result["image_id"] in found and result["score"] >= cut:
            found[result["image_id"]].append((result["score"], result["segmentation"]))
    scores: dict[str, list[OcidScores]] = {}
    for image in images:
        size = int(image["height"]), int(image["width"])
        ranked = [mask for _, mask in sorted(found[image["id"]], key=lambda entry: entry[0])]
        score = score_frame(_map(known[image["id"]], *size), _map(ranked, *size))
        scores.setdefault(subsets[image["id"]], []).append(score)
    everything = mean_scores([score for part in scores.values() for score in part])
    by_subset = {name: {**mean_scores(part).as_record(), "frames": len(part)} for name, part in sorted(scores.items())}
    return {**everything.as_record(), "subsets": by_subset}


def _map(segmentations: Sequence[Any], height: int, width: int) -> NDArray[np.int32]:
    """Label map with 1, 2, ...; later masks cover earlier ones."""
    numbers = np.zeros((height, width), dtype=np.int32)
    for number, segmentation in enumerate(segmentations, start=1):
        numbers[to_mask(segmentation, height, width)] = number
    return numbers


def _masks(numbers: Numbers) -> list[NDArray[np.bool_]]:
    return [numbers == number for number in np.unique(numbers) if number != 0]


def _boundary(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Pixels that differ from the next one to the right, below, or both (Martin et al.; DAVIS)."""
    padded = np.pad(mask, ((0, 1), (0, 1)), mode="edge")
    here, right, below, across = padded[:-1, :-1], padded[:-1, 1:], padded[1:, :-1], padded[1:, 1:]
    edge: NDArray[np.bool_] = (here != right) | (here != below) | (here != across)
    return edge


def _share(count: int, edges: Sequence[NDArray[np.bool_]]) -> float:
    total = sum(int(np.count_nonzero(edge)) for edge in edges)
    # An object that fills the whole frame has no boundary.
    return count / total if total else 1.0


def _percent(precision: float, recall: float) -> tuple[float, float, float]:
    f = 2 * precision * recall / (precision + recall) if precision + recall else 0.0
    return 100.0 * float(precision), 100.0 * float(recall), 100.0 * float(f)
