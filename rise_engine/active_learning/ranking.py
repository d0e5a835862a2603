"""Which frame to fix next, and why."""

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
"""Predictions below are not shown."""
EDGE = (0.4, 0.6)
"""Scores near the middle, where a person's cut would fall: a slip to either side changes what is accepted."""
_COMPARED = 300
_REFERENCES = 100
_GREEDY = 60
_EDGE_WEIGHT = 0.1
_DISAGREEMENT_WEIGHT = 1.0
_NOVELTY_WEIGHT = 0.5
_UNFAMILIAR_WEIGHT = 0.2


@dataclass(frozen=True, slots=True)
class QueueEntry:
    """A frame worth a person's time; ``score`` is larger the more it is, ``reason`` says why in a few words.

    ``uncertainty`` 0 to 1 is the mean of 1 - abs(2 s - 1) over the scores s; ``edge`` counts the predictions whose
    score lies within ``EDGE``; ``disagreement`` 0 to 1 says how much the predictions change with the light, None where
    that was not measured; ``unfamiliar`` counts the predictions that look unlike anything in the bank, None where that
    was not looked at; ``novelty`` 0 to 1 is the distance in looks from the labelled frames and those before it in
    the queue, None where the frame was not compared; ``fullness`` 0 to 1 is the share of the frames compared that
    have no more in them, None where there are predictions to go by.
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

    With predictions: uncertain ones, those that change with the light, those with objects unlike anything in the bank,
    and those unlike the labelled ones and those before them. Without: each with much in it, and unlike those
    labelled or before it. ``order`` sorts by one of the parts alone, or by name. Raises RiseError for an unknown
    order.
    """
    if order not in get_args(Order):
        raise RiseError(f"The queue has no order {order!r}: choose one of {', '.join(get_args(Order))}.")
    open_frames = project.frames.all(state=FrameState.UNLABELLED, split=Split.TRAIN)
    scores = project.predictions.latest_scores()
    if any(frame.id in scores for frame in open_frames):
        changed = project.predictions.latest_disagreement()
        predicted = [frame for frame in open_frames if frame.id in scores]
        judged = [_by_doubt(frame, scores[frame.id], changed.get(frame.id)) for frame in predicted]
        entries = _spread(project, _with_unfamiliar(project, sorted(judged, key=lambda entry: -entry.score)))
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


def _by_doubt(frame: FrameRecord, scores: Sequence[float], disagreement: float | None) -> QueueEntry:
    shown = [score for score in scores if score >= SCORE_CUT]
    if not shown:
        # A tote without any object is rare, so the network is probably blind to something in it.
        return QueueEntry(frame, 1.0, "nothing found", uncertainty=1.0, disagreement=disagreement)
    doubt = float(np.mean([1 - abs(2 * score - 1) for score in shown]))
    edge = sum(EDGE[0] <= score <= EDGE[1] for score in shown)
    reasons = {
        f"{number_of(edge, 'prediction')} near {sum(EDGE) / 2}": _EDGE_WEIGHT * edge + doubt * (edge > 0),
        f"unsure, lowest score {min(shown):.2f}": doubt,
        f"changes with the light by {100 * (disagreement or 0):.0f} %": _DISAGREEMENT_WEIGHT * (disagreement or 0.0),
    }
    score = doubt + _EDGE_WEIGHT * edge + _DISAGREEMENT_WEIGHT * (disagreement or 0.0)
    reason = max(reasons, key=lambda words: reasons[words])
    return QueueEntry(frame, score, reason, uncertainty=doubt, edge=edge, disagreement=disagreement)


def _with_unfamiliar(project: Project, entries: list[QueueEntry]) -> list[QueueEntry]:
    """The first entries with what their objects' looks add; it means to read their images, so only the first."""
    counts = unfamiliar(project, [entry.frame for entry in entries[:_GREEDY]], min_score=SCORE_CUT)
    seen = [_seen_anew(entry, counts[entry.frame.id]) if entry.frame.id in counts else entry for entry in entries]
    return sorted(seen, key=lambda entry: -entry.score)


def _seen_anew(entry: QueueEntry, count: int) -> QueueEntry:
    gain = _UNFAMILIAR_WEIGHT * count
    strongest = gain > max(entry.uncertainty + _EDGE_WEIGHT * entry.edge, entry.disagreement or 0.0)
    reason = _words_of(count) if strongest else entry.reason
    return replace(entry, score=entry.score + gain, reason=reason, unfamiliar=count)


def _words_of(unfamiliar: int) -> str:
    return f"{number_of(unfamiliar, 'object')} unlike the bank"


def _spread(project: Project, entries: Sequence[QueueEntry]) -> list[QueueEntry]:
    """The same entries, the first ones chosen one by one so that they are useful and unlike each other."""
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
        pick = int(np.argmax(np.where(left, base + _NOVELTY_WEIGHT * novelty, -np.inf)))
        chosen.append(_with_novelty(pool[pick], float(novelty[pick])))
        left[pick] = False
        distance = np.minimum(distance, np.linalg.norm(points - points[pick], axis=1))
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
        reason = _words_of(entry.unfamiliar) if entry.unfamiliar else "unlike the labelled frames"
    return replace(entry, score=entry.score + gain, reason=reason, novelty=novelty)


def _distances(
    project: Project, pool: Sequence[QueueEntry], vectors: Mapping[int, NDArray[np.float32]]
) -> tuple[NDArray[np.float32], float]:
    """The distance of each pooled frame from the nearest labelled one, and what counts as far."""
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
    """One by one, the frame that is unlike those before it and has much in it: an empty tote teaches little."""
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
        reason = "unlike those before it"
        fuller = fullness >= np.median(fullness)
        from_typical = np.linalg.norm(points - points[fuller].mean(axis=0), axis=1)
        first = int(np.argmin(np.where(fuller, from_typical, np.inf)))
        full = float(fullness[first])
        entries.append(QueueEntry(compared[first], 1.0, "a typical full frame", novelty=1.0, fullness=full))
        left[first] = False
        distance = np.linalg.norm(points - points[first], axis=1)
    largest = max(float(distance.max()), 1e-6)
    while left.any():
        pick = int(np.argmax(np.where(left, distance * fullness, -1)))
        novelty, full = float(distance[pick]) / largest, float(fullness[pick])
        entries.append(QueueEntry(compared[pick], novelty * full, reason, novelty=novelty, fullness=full))
        left[pick] = False
        distance = np.minimum(distance, np.linalg.norm(points - points[pick], axis=1))
    return entries + rest
