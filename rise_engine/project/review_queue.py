"""Which frame to fix next, and why."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rise_engine.project.appearance import appearances
from rise_engine.project.ordering import shuffled
from rise_engine.project.project import Project
from rise_engine.project.records import FrameRecord, FrameState, Split

SCORE_CUT = 0.3
"""Predictions below are not shown."""
NEAR_CUT = 0.5
_COMPARED = 300
_REFERENCES = 100
_PER_DOUBTFUL = 0.1


@dataclass(frozen=True, slots=True)
class QueueEntry:
    """A frame worth a person's time; ``score`` is larger the more it is, ``reason`` says why in a few words."""

    frame: FrameRecord
    score: float
    reason: str


def rank_frames(project: Project, *, top: int | None = None) -> list[QueueEntry]:
    """Unlabelled training frames, the most useful first.

    With predictions: the least certain ones first, where a score s is as uncertain as 1 - abs(2 s - 1). Without: a few
    hundred drawn frames, each as unlike as possible from the labelled ones and from those before it.
    """
    open_frames = project.frames(state=FrameState.UNLABELLED, split=Split.TRAIN)
    scores = project.prediction_scores()
    predicted = [_by_doubt(frame, scores[frame.id]) for frame in open_frames if frame.id in scores]
    if predicted:
        predicted.sort(key=lambda entry: -entry.score)
        entries = predicted + [QueueEntry(f, 0.0, "no prediction yet") for f in open_frames if f.id not in scores]
    else:
        entries = _by_difference(project, open_frames)
    return entries[:top]


def _by_doubt(frame: FrameRecord, scores: Sequence[float]) -> QueueEntry:
    shown = [score for score in scores if score >= SCORE_CUT]
    if not shown:
        # A tote without any object is rare, so the network is probably blind to something in it.
        return QueueEntry(frame, 1.0, "nothing found")
    doubt = float(np.mean([1 - abs(2 * score - 1) for score in shown]))
    doubtful = sum(score < NEAR_CUT for score in shown)
    if doubtful:
        words = "1 prediction" if doubtful == 1 else f"{doubtful} predictions"
        reason = f"{words} between {SCORE_CUT} and {NEAR_CUT}"
    else:
        reason = f"lowest score {min(shown):.2f}"
    return QueueEntry(frame, doubt + _PER_DOUBTFUL * doubtful, reason)


def _by_difference(project: Project, frames: Sequence[FrameRecord]) -> list[QueueEntry]:
    if not frames:
        return []
    labelled = project.frames(state=FrameState.LABELLED) + project.frames(state=FrameState.REVIEWED)
    vectors = appearances(project, shuffled(frames, "queue")[:_COMPARED])
    references = list(appearances(project, shuffled(labelled, "queue")[:_REFERENCES]).values())
    by_id = {frame.id: frame for frame in frames}
    rest = [QueueEntry(frame, 0.0, "not compared yet") for frame in frames if frame.id not in vectors]
    if not vectors:
        return rest
    ids = list(vectors)
    points = np.stack([vectors[number] for number in ids])
    entries: list[QueueEntry] = []
    if references:
        reason = "unlike the frames labelled so far"
        distance = np.min([np.linalg.norm(points - reference, axis=1) for reference in references], axis=0)
    else:
        reason = "unlike the frames before it"
        first = int(np.argmin(np.linalg.norm(points - points.mean(axis=0), axis=1)))
        entries.append(QueueEntry(by_id[ids[first]], 1.0, "a typical frame to start with"))
        distance = np.linalg.norm(points - points[first], axis=1)
        distance[first] = -1
    largest = max(float(distance.max()), 1e-6)
    while len(entries) < len(ids):
        pick = int(np.argmax(distance))
        entries.append(QueueEntry(by_id[ids[pick]], float(distance[pick]) / largest, reason))
        distance = np.minimum(distance, np.linalg.norm(points - points[pick], axis=1))
        distance[[ids.index(entry.frame.id) for entry in entries]] = -1
    return entries + rest
