"""Review queue: the order of the unlabelled frames, the most useful to annotate or fix first, each with its reason."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from rise_engine.active_learning.appearance import appearances, clutter
from rise_engine.active_learning.novelty import unfamiliar
from rise_engine.errors import RiseError
from rise_engine.project.frames import natural_key
from rise_engine.project.ordering import shuffled
from rise_engine.project.project import Project
from rise_engine.project.records import FrameRecord, FrameState, Split
from rise_engine.project.wording import number_of

Order = Literal["useful", "uncertain", "disagreeing", "edge", "unlike", "name"]

SCORE_CUT = 0.3
"""Predictions with a lower score are not shown."""
EDGE = (0.4, 0.6)
"""Scores near the threshold that a person chooses for accepting: a small error there changes what is accepted."""
_COMPARED = 300
_REFERENCES = 100
_GREEDY = 60
_EDGE_WEIGHT = 0.1
_DISAGREEMENT_WEIGHT = 1.0
_NOVELTY_WEIGHT = 0.5
_UNFAMILIAR_WEIGHT = 0.2


@dataclass(frozen=True, slots=True)
class QueueEntry:
    """A frame of the queue; a larger ``score`` is more useful, ``reason`` is its main cause in a few words.

    ``uncertainty`` 0 to 1: mean of 1 - abs(2 s - 1) over the scores s. ``edge``: number of predictions with a score
    within ``EDGE``. ``disagreement`` 0 to 1: change of the predictions in a strong view. ``unfamiliar``: number of
    predictions that differ from everything in the bank. ``novelty`` 0 to 1: distance in appearance from the labelled
    frames and from earlier frames of the queue. ``fullness`` 0 to 1: share of the compared frames that are not fuller
    than this one; only without predictions. None stands for a part that was not measured.
    """

    frame: FrameRecord
    score: float
    reason: str
    uncertainty: float = 0.0
    edge: int = 0
    disagreement: float | None = None
    novelty: float | None = None
    unfamiliar: int | None = None
    fullness: float | None = None


def rank_frames(project: Project, *, top: int | None = None, order: Order = "useful") -> list[QueueEntry]:
    """Unlabelled training frames, the most useful first.

    With predictions, a frame is useful when they are uncertain, when they change in a strong view, when objects differ
    from everything in the bank, and when the frame differs from labelled and earlier frames. Without predictions, it
    is useful when it is full and differs from labelled and earlier frames. ``order`` sorts by one part only, or by
    name. Raises RiseError for an unknown order.
    """
    if order not in get_args(Order):
        raise RiseError(f"The queue has no order {order!r}: choose one of {', '.join(get_args(Order))}.")
    open_frames = project.frames.all(state=FrameState.UNLABELLED, split=Split.TRAIN)
    scores = project.predictions.latest_scores()
    if any(frame.id in scores for frame in open_frames):
        changed = project.predictions.latest_disagreement()
        predicted = [frame for frame in open_frames if frame.id in scores]
        scored = [_by_uncertainty(frame, scores[frame.id], changed.get(frame.id)) for frame in predicted]
        entries = _diversified(project, _with_unfamiliar(project, sorted(scored, key=lambda entry: -entry.score)))
        entries += [QueueEntry(frame, 0.0, "no prediction yet") for frame in open_frames if frame.id not in scores]
    else:
        entries = _by_difference(project, open_frames)
    return _sorted(entries, order)[:top]


def _sorted(entries: list[QueueEntry], order: Order) -> list[QueueEntry]:
    match order:
        case "uncertain":
            return sorted(entries, key=lambda entry: -entry.uncertainty)
        case "disagreeing":
            return sorted(entries, key=lambda entry: -(entry.disagreement or 0.0))
        case "edge":
            return sorted(entries, key=lambda entry: -entry.edge)
        case "unlike":
            return sorted(entries, key=lambda entry: -(entry.novelty or 0.0))
        case "name":
            return sorted(entries, key=lambda entry: natural_key(entry.frame.name))
        case _:
            return entries


def _by_uncertainty(frame: FrameRecord, scores: Sequence[float], disagreement: float | None) -> QueueEntry:
    shown = [score for score in scores if score >= SCORE_CUT]
    if not shown:
        # A tote without any object is rare, so the network probably misses something.
        return QueueEntry(frame, 1.0, "nothing found", uncertainty=1.0, disagreement=disagreement)
    uncertainty = float(np.mean([1 - abs(2 * score - 1) for score in shown]))
    edge = sum(EDGE[0] <= score <= EDGE[1] for score in shown)
    change = disagreement or 0.0
    reasons = {
        f"{number_of(edge, 'prediction')} near {sum(EDGE) / 2}": _EDGE_WEIGHT * edge + uncertainty * (edge > 0),
        f"uncertain scores, lowest {min(shown):.2f}": uncertainty,
        f"predictions change by {100 * change:.0f} % with the lighting": _DISAGREEMENT_WEIGHT * change,
    }
    score = uncertainty + _EDGE_WEIGHT * edge + _DISAGREEMENT_WEIGHT * change
    reason = max(reasons, key=lambda words: reasons[words])
    return QueueEntry(frame, score, reason, uncertainty=uncertainty, edge=edge, disagreement=disagreement)


def _with_unfamiliar(project: Project, entries: list[QueueEntry]) -> list[QueueEntry]:
    """Adds the unfamiliar objects to the first entries; only the first, because their images must be read."""
    counts = unfamiliar(project, [entry.frame for entry in entries[:_GREEDY]], min_score=SCORE_CUT)
    updated = [
        _with_unfamiliar_count(entry, counts[entry.frame.id]) if entry.frame.id in counts else entry
        for entry in entries
    ]
    return sorted(updated, key=lambda entry: -entry.score)


def _with_unfamiliar_count(entry: QueueEntry, count: int | None) -> QueueEntry:
    if count is None:
        return entry
    gain = _UNFAMILIAR_WEIGHT * count
    strongest = gain > max(entry.uncertainty + _EDGE_WEIGHT * entry.edge, entry.disagreement or 0.0)
    reason = _unfamiliar_reason(count) if strongest else entry.reason
    return replace(entry, score=entry.score + gain, reason=reason, unfamiliar=count)


def _unfamiliar_reason(unfamiliar: int) -> str:
    return f"{number_of(unfamiliar, 'object')} unlike the bank"


def _diversified(project: Project, entries: Sequence[QueueEntry]) -> list[QueueEntry]:
    """The same entries; the first ones are chosen greedily, useful and different from each other."""
    vectors = appearances(project, [entry.frame for entry in entries[:_COMPARED]])
    pool = [entry for entry in entries if entry.frame.id in vectors]
    if len(vectors) < 2:
        return list(entries)
    distance, scale = _distances(project, pool, vectors)
    points = np.stack([vectors[entry.frame.id] for entry in pool])
    base = np.array([entry.score for entry in pool])
    chosen: list[QueueEntry] = []
    left = np.ones(len(pool), dtype=bool)
    while left.any() and len(chosen) < _GREEDY:
        novelty = np.clip(distance / scale, 0, 1)
        best = int(np.argmax(np.where(left, base + _NOVELTY_WEIGHT * novelty, -np.inf)))
        chosen.append(_with_novelty(pool[best], float(novelty[best])))
        left[best] = False
        distance = np.minimum(distance, np.linalg.norm(points - points[best], axis=1))
    taken = {entry.frame.id for entry in chosen}
    return chosen + [entry for entry in entries if entry.frame.id not in taken]


def _with_novelty(entry: QueueEntry, novelty: float) -> QueueEntry:
    gain = _NOVELTY_WEIGHT * novelty
    parts = (
        entry.uncertainty + _EDGE_WEIGHT * entry.edge,
        _DISAGREEMENT_WEIGHT * (entry.disagreement or 0.0),
        _UNFAMILIAR_WEIGHT * (entry.unfamiliar or 0),
    )
    reason = entry.reason
    if gain > max(parts):
        reason = _unfamiliar_reason(entry.unfamiliar) if entry.unfamiliar else "unlike the labelled frames"
    return replace(entry, score=entry.score + gain, reason=reason, novelty=novelty)


def _distances(
    project: Project, pool: Sequence[QueueEntry], vectors: Mapping[int, NDArray[np.float32]]
) -> tuple[NDArray[np.float32], float]:
    """The distance of each pooled frame to the nearest labelled one, and the largest of them."""
    points = np.stack([vectors[entry.frame.id] for entry in pool])
    references = _labelled_vectors(project)
    if references:
        distance = np.min([np.linalg.norm(points - reference, axis=1) for reference in references], axis=0)
    else:
        distance = np.linalg.norm(points - points.mean(axis=0), axis=1)
    return distance.astype(np.float32), max(float(distance.max()), 1e-6)


def _labelled_vectors(project: Project) -> list[NDArray[np.float32]]:
    return list(appearances(project, shuffled(project.frames.annotated(), "queue")[:_REFERENCES]).values())


def _by_difference(project: Project, frames: Sequence[FrameRecord]) -> list[QueueEntry]:
    """Without predictions: greedily the frame that is full and differs from the earlier ones."""
    vectors = appearances(project, shuffled(frames, "queue")[:_COMPARED])
    compared = [frame for frame in frames if frame.id in vectors]
    rest = [QueueEntry(frame, 0.0, "not compared yet") for frame in frames if frame.id not in vectors]
    if not compared:
        return rest
    points = np.stack([vectors[frame.id] for frame in compared])
    amounts = clutter(points)
    fullness = np.searchsorted(np.sort(amounts), amounts, side="right") / len(amounts)
    references = _labelled_vectors(project)
    entries: list[QueueEntry] = []
    left = np.ones(len(points), dtype=bool)
    if references:
        reason = "unlike the labelled frames"
        distance = np.min([np.linalg.norm(points - reference, axis=1) for reference in references], axis=0)
    else:
        reason = "unlike the frames before it in the queue"
        fuller = fullness >= np.median(fullness)
        from_typical = np.linalg.norm(points - points[fuller].mean(axis=0), axis=1)
        first = int(np.argmin(np.where(fuller, from_typical, np.inf)))
        full = float(fullness[first])
        entries.append(QueueEntry(compared[first], 1.0, "a typical full frame", novelty=1.0, fullness=full))
        left[first] = False
        distance = np.linalg.norm(points - points[first], axis=1)
    largest = max(float(distance.max()), 1e-6)
    while left.any():
        best = int(np.argmax(np.where(left, distance * fullness, -1)))
        novelty, full = float(distance[best]) / largest, float(fullness[best])
        entries.append(QueueEntry(compared[best], novelty * full, reason, novelty=novelty, fullness=full))
        left[best] = False
        distance = np.minimum(distance, np.linalg.norm(points - points[best], axis=1))
    return entries + rest
