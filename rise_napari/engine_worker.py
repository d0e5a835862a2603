"""The child side of ``engine_process.py``: ``python -m rise_napari.engine_worker``. Neither Qt nor napari here.

Each line of the input is a job, each line of the output something about it: ``progress``, then ``result`` or ``error``.
"""

from __future__ import annotations

import base64
import io
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from rise_engine.config import RiseConfig
from rise_engine.errors import RiseError
from rise_engine.project.project import Project
from rise_engine.project.records import Category, FrameState, Instance, PredictedInstance, Source

SHORT_SIDE = 256
"""The bank of a preview holds cut-outs of frames of this size; full size would take seconds and show no more."""


def stage(project: str, frame: int, seed: int, preset: str) -> Iterator[dict[str, Any]]:
    """A pseudo-sequence of a frame: the picture as base64 PNG, and what happens in it in words."""
    from rise_engine.interaction.bank import InstanceBank
    from rise_engine.interaction.preview import describe_sequence, render_sequence
    from rise_engine.interaction.sequence import SequenceMaker

    config = RiseConfig.preset(preset)  # type: ignore[arg-type]  # checked inside
    with Project.open(Path(project), read_only=True) as opened:
        bank = InstanceBank(config.sequence.bank_capacity)
        excluded = opened.bank_excluded()
        labelled = {one.id for one in opened.frames() if one.state in (FrameState.LABELLED, FrameState.REVIEWED)}
        for number in labelled:
            left_out = [place for place, one in enumerate(opened.instances(number)) if one.id in excluded]
            read = opened.labelled_frame(number, short_side=SHORT_SIDE)
            bank.add_frame(read, min_area=config.sequence.min_area, excluded=left_out)
            if len(bank) >= config.sequence.bank_capacity:
                break
        source = opened.labelled_frame(frame) if frame in labelled else opened.unlabelled_frame(frame)
    maker = SequenceMaker(config.sequence, config.augment, config.loader)
    sequence = maker.make(source, bank, np.random.default_rng(seed))
    file = io.BytesIO()
    Image.fromarray(render_sequence(sequence)).save(file, "PNG")
    yield {"result": {"png": base64.b64encode(file.getvalue()).decode("ascii"), "words": describe_sequence(sequence)}}


def predict(project: str, frames: list[int], min_score: float) -> Iterator[dict[str, Any]]:
    """Predicts frames with the latest run into the store; the result is how many were predicted."""
    from rise_engine.inference import load_model, predict_frames

    with Project.open(Path(project)) as opened:
        run = opened.run()
        loaded = load_model(run.folder)
        categories = opened.categories() or [opened.add_category("object")]
        unreadable: list[RiseError] = []
        done = 0
        for frame, found in predict_frames(loaded, opened, frames, min_score=min_score, unreadable=unreadable):
            opened.store_predictions(run.number, {frame: _as_instances(found, frame, categories, run.number)})
            done += 1
            yield {"progress": done}
        yield {"result": {"predicted": done, "unreadable": [str(error) for error in unreadable]}}


def export_onnx(project: str, path: str, run: int | None) -> Iterator[dict[str, Any]]:
    """Writes a run as ONNX; the result is a sentence about it."""
    from rise_engine.model_export import export_onnx_from_run

    with Project.open(Path(project), read_only=True) as opened:
        report = export_onnx_from_run(opened, Path(path), run=run)
    yield {"result": {"path": str(report.path), "summary": report.summary}}


def _as_instances(
    predicted: list[PredictedInstance], frame: int, categories: list[Category], run: int
) -> list[Instance]:
    return [
        Instance(
            None,
            frame,
            categories[min(one.label, len(categories) - 1)].id,
            one.rle,
            score=one.score,
            source=Source.PREDICTED,
            run=run,
        )
        for one in predicted
    ]


JOBS: dict[str, Callable[..., Iterator[dict[str, Any]]]] = {
    "stage": stage,
    "predict": predict,
    "export_onnx": export_onnx,
}


def main() -> None:
    """Does one job after another until the input ends."""
    answers = sys.stdout
    # What a library prints must not mix with the answers.
    sys.stdout = sys.stderr
    for line in sys.stdin:
        job = json.loads(line)
        try:
            for answer in JOBS[job.pop("job")](**job):
                print(json.dumps(answer), file=answers, flush=True)
        except Exception as error:  # whatever it is, the window must hear of it
            told = str(error) if isinstance(error, RiseError) else f"{type(error).__name__}: {error}"
            print(json.dumps({"error": told}), file=answers, flush=True)


if __name__ == "__main__":
    main()
