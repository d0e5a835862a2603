"""Store the predictions of a run in the project."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from rise_engine.errors import RiseError
from rise_engine.prediction.load import LoadedModel
from rise_engine.prediction.predict import predict_stream
from rise_engine.project.records import Instance, PredictedInstance, Source
from rise_engine.project.run_folder import RunFolder

if TYPE_CHECKING:
    from rise_engine.project.project import Project

STORED_SCORE = 0.3
"""A prediction in the store is one that a person looks at; a file for measuring keeps nearly all."""
FRAMES_A_TRANSACTION = 20
SecondLook = Callable[[int, NDArray[np.uint8], Sequence[PredictedInstance]], float]
"""Given a frame's number, picture and predictions: how much a second opinion differs, 0 to 1."""


def predict_into_store(
    loaded: LoadedModel,
    project: Project,
    run: int,
    frame_ids: Sequence[int],
    *,
    min_score: float = STORED_SCORE,
    unreadable: list[RiseError] | None = None,
    second_look: SecondLook | None = None,
    batch: int | None = None,
) -> Iterator[list[Instance]]:
    """Stores a run's predictions as a person should see them, and yields those of each frame.

    They are stored a few frames at a time; whatever ends the iteration, those that were yielded are kept. What
    ``second_look`` returns is stored with the frame, for the review queue. ``batch`` is that of ``predict_frames``.
    """
    categories = category_ids(project, loaded)
    waiting: dict[int, list[Instance]] = {}
    disagreement: dict[int, float] = {}
    try:
        for frame, image, predictions in predict_stream(
            loaded, project, frame_ids, min_score=min_score, top=100, unreadable=unreadable, batch=batch
        ):
            if second_look is not None:
                disagreement[frame] = second_look(frame, image, predictions)
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
            if len(waiting) >= FRAMES_A_TRANSACTION:
                project.predictions.store(run, waiting, disagreement=disagreement)
                waiting = {}
    finally:
        if waiting:
            project.predictions.store(run, waiting, disagreement=disagreement)


def frames_left(
    project: Project, run: int, model: Path, frame_ids: Sequence[int], *, again: bool = False, looks: int = 1
) -> list[int]:
    """Those of ``frame_ids`` that the weights of ``model`` (a run folder or a file) have not predicted for ``run`` yet.

    With ``again`` they are all left, until they have been predicted from now on. Weights that were written again, by
    more training, start anew, and so does another number of ``looks``: the project remembers what it asked last.
    """
    weights = RunFolder(model).prediction_weights or model
    state = weights.stat()
    asked = {"weights": [weights.name, state.st_size, state.st_mtime_ns, *([looks] if looks != 1 else [])]}
    key = f"predicted_with_{run}"
    known = project.setting(key) or {}
    if again or known.get("weights") != asked["weights"]:
        project.set_setting(key, {**asked, "after": project.predictions.latest_batch()})
        return list(frame_ids)
    done = project.predictions.frames_of(run, after=known["after"])
    return [frame for frame in frame_ids if frame not in done]


def category_ids(project: Project, loaded: LoadedModel) -> list[int]:
    """The project's category of each class of a network; what is missing is added to the project.

    A class-agnostic network finds the project's only category, or "object" when it has none or several.
    """
    known = {category.name: category.id for category in project.annotations.categories()}
    if loaded.config.class_agnostic and len(known) == 1:
        return list(known.values())
    return [known[name] if name in known else project.annotations.add_category(name).id for name in loaded.class_names]
