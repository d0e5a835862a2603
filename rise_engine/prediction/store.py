"""Store the predictions of a run in the project, and continue after an interruption."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from rise_engine.errors import RiseError
from rise_engine.prediction.load import LoadedModel
from rise_engine.prediction.predict import predict_frames_and_images
from rise_engine.project.records import Instance, PredictedInstance, Source
from rise_engine.project.run_folder import RunFolder

if TYPE_CHECKING:
    from rise_engine.project.project import Project

STORED_SCORE = 0.3
"""The store has the predictions that a person reviews; a file for evaluation keeps lower scores too."""
FRAMES_PER_TRANSACTION = 20
DisagreementMeasure = Callable[[int, NDArray[np.uint8], Sequence[PredictedInstance]], float]
"""From a frame's id, image and predictions to how much a second prediction differs, 0 to 1."""


def predict_into_store(
    loaded: LoadedModel,
    project: Project,
    run: int,
    frame_ids: Sequence[int],
    *,
    min_score: float = STORED_SCORE,
    unreadable: list[RiseError] | None = None,
    measure_disagreement: DisagreementMeasure | None = None,
    batch: int | None = None,
) -> Iterator[list[Instance]]:
    """Stores the predictions of a run that a person reviews, and yields those of each frame.

    A transaction has a few frames. When the iteration ends early, every yielded frame is stored. The result of
    ``measure_disagreement`` is stored with the frame for the review queue. ``unreadable`` and ``batch``: as in
    ``predict_frames``.
    """
    categories = stored_category_ids(project, loaded)
    waiting: dict[int, list[Instance]] = {}
    disagreement: dict[int, float] = {}
    try:
        for frame, image, predictions in predict_frames_and_images(
            loaded, project, frame_ids, min_score=min_score, unreadable=unreadable, batch=batch
        ):
            if measure_disagreement is not None:
                disagreement[frame] = measure_disagreement(frame, image, predictions)
            waiting[frame] = [
                Instance(
                    id=None,
                    frame=frame,
                    category=categories[prediction.label],
                    segmentation=prediction.rle,
                    score=prediction.score,
                    source=Source.PREDICTED,
                    run=run,
                )
                for prediction in predictions
            ]
            yield waiting[frame]
            if len(waiting) >= FRAMES_PER_TRANSACTION:
                project.predictions.store(run, waiting, disagreement=disagreement)
                waiting = {}
    finally:
        if waiting:
            project.predictions.store(run, waiting, disagreement=disagreement)


def remaining_frames(
    project: Project, run: int, model: Path, frame_ids: Sequence[int], *, again: bool = False, passes: int = 1
) -> list[int]:
    """The frames of ``frame_ids`` that the weights of ``model`` have not predicted for ``run`` yet.

    ``model`` is a run folder or a weights file. All frames remain when ``again`` is given, when the weights file has
    changed since, or when the number of test-time augmentation ``passes`` has. The project remembers the last call.
    """
    weights = RunFolder(model).prediction_weights or model
    state = weights.stat()
    asked = {"weights": [weights.name, state.st_size, state.st_mtime_ns, *([passes] if passes != 1 else [])]}
    key = f"predicted_with_{run}"
    known = project.setting(key) or {}
    if again or known.get("weights") != asked["weights"]:
        project.set_setting(key, {**asked, "after": project.predictions.latest_batch()})
        return list(frame_ids)
    done = project.predictions.frames_of(run, after=known["after"])
    return [frame for frame in frame_ids if frame not in done]


def stored_category_ids(project: Project, loaded: LoadedModel) -> list[int]:
    """The project's category for each class of a network; missing categories are added to the project.

    A class-agnostic network predicts the project's only category, or "object" when there are none or several.
    """
    known = {category.name: category.id for category in project.annotations.categories()}
    if loaded.config.class_agnostic and len(known) == 1:
        return list(known.values())
    return [known[name] if name in known else project.annotations.add_category(name).id for name in loaded.class_names]
