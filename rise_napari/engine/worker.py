"""The main program of the engine process: ``python -m rise_napari.engine.worker``. It imports neither Qt nor napari.

Each received message is a job of ``process.py``. It is answered with ``progress``, then ``result`` or ``error``.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image

from rise_engine.config import RiseConfig
from rise_engine.errors import RiseError
from rise_engine.json_lines.child import ParentConnection
from rise_engine.project.project import Project
from rise_engine.pseudo_sequences.bank import InstanceBank
from rise_engine.pseudo_sequences.from_project import bank_frames, fill_bank, make_frame_sequence

if TYPE_CHECKING:
    from rise_engine.prediction.load import LoadedModel


def preview_sequence(
    project: str, frame: int, seed: int, preset: str, settings: list[str], scale: int
) -> Iterator[dict[str, Any]]:
    """A pseudo-sequence of a frame: before, after and strong as base64 PNGs, and a description of the changes."""
    from rise_engine.pseudo_sequences.preview import describe_sequence, render_panels

    config = RiseConfig.preset(preset).with_settings(settings)  # type: ignore[arg-type]  # checked inside
    with Project.open(Path(project), read_only=True) as opened:
        bank = _bank(project, preset, repr(opened.journal.history()))
        sequence = make_frame_sequence(opened, opened.frames.get(frame), config, seed=seed, bank=bank)
    images = []
    for panel in render_panels(sequence, scale=scale):
        file = io.BytesIO()
        Image.fromarray(panel).save(file, "PNG", compress_level=1)
        images.append(base64.b64encode(file.getvalue()).decode("ascii"))
    yield {"result": {"pngs": images, "words": describe_sequence(sequence)}}


@lru_cache(maxsize=1)
def _bank(project: str, preset: str, _history: str) -> InstanceBank:
    """The bank of the project, cached until the project is edited, so that a moved slider reads no image again."""
    config = RiseConfig.preset(preset)  # type: ignore[arg-type]  # checked inside
    with Project.open(Path(project), read_only=True) as opened:
        return fill_bank(opened, [one.id for one in bank_frames(opened)], config)


def predict(project: str, frames: list[int], min_score: float) -> Iterator[dict[str, Any]]:
    """Predicts frames with the latest run, or with the starter weights before a training, and stores the predictions.

    The result is the number of predicted frames and the errors of unreadable ones.
    """
    from rise_engine.active_learning.uncertainty import StrongViewDisagreement
    from rise_engine.prediction.default_model import default_run
    from rise_engine.prediction.load import load_model
    from rise_engine.prediction.store import predict_into_store

    with Project.open(Path(project)) as opened:
        run = default_run(opened)
        loaded = load_model(run.folder)
        unreadable: list[RiseError] = []
        storing = predict_into_store(
            loaded,
            opened,
            run.number,
            frames,
            min_score=min_score,
            unreadable=unreadable,
            measure_disagreement=StrongViewDisagreement(loaded, opened, min_score=min_score),
        )
        done = 0
        for done, _ in enumerate(storing, start=1):
            yield {"progress": done}
        yield {"result": {"predicted": done, "unreadable": [str(error) for error in unreadable]}}


@lru_cache(maxsize=1)
def _loaded(model: Path, _changed: float) -> LoadedModel:
    """The model of a run or a file, cached until another one is requested or the file changes."""
    from rise_engine.prediction.load import load_model

    return load_model(model)


def candidates(project: str, frame: int, min_score: float) -> Iterator[dict[str, Any]]:
    """All predictions of the current model for a frame, also those with low scores. Nothing is stored.

    The result is empty when there is no model.
    """
    from rise_engine.prediction.default_model import default_model
    from rise_engine.prediction.predict import predict as predict_image

    with Project.open(Path(project), read_only=True) as opened:
        image = opened.image(frame)
        try:
            model = default_model(opened)
        except RiseError:
            yield {"result": {"candidates": []}}
            return
    changed = max((file.stat().st_mtime for file in [model, *model.glob("*.safetensors")]), default=0.0)
    found = predict_image(_loaded(model, changed), image, min_score=min_score)
    yield {"result": {"candidates": [{"rle": one.rle, "box": one.box, "score": one.score} for one in found]}}


def export_onnx(project: str, path: str, run: int | None) -> Iterator[dict[str, Any]]:
    """Exports a run as ONNX; the result is the path and a summary."""
    from rise_engine.prediction.onnx_export import export_run_to_onnx

    with Project.open(Path(project), read_only=True) as opened:
        report = export_run_to_onnx(opened, Path(path), run=run)
    yield {"result": {"path": str(report.path), "summary": report.summary}}


JOBS: dict[str, Callable[..., Iterator[dict[str, Any]]]] = {
    "preview_sequence": preview_sequence,
    "predict": predict,
    "candidates": candidates,
    "export_onnx": export_onnx,
}


def main() -> None:
    """Executes one job after another until the window is gone."""
    window = ParentConnection()
    for job in window:
        try:
            for answer in JOBS[job.pop("job")](**job):
                if not window.send(answer):
                    return
        except Exception as error:  # the window must receive every error
            message = str(error) if isinstance(error, RiseError) else f"{type(error).__name__}: {error}"
            window.send({"error": message})


if __name__ == "__main__":
    main()
