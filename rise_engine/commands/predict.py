"""`rise predict` and `rise evaluate`: predict with a run, and measure its average precision."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rise_engine.commands.arguments import (
    Device,
    FrameList,
    Looks,
    ProjectPath,
    RunNumber,
    listed_frames,
)
from rise_engine.commands.printing import print_columns
from rise_engine.commands.progress import with_progress
from rise_engine.errors import RiseError
from rise_engine.project.wording import number_of

if TYPE_CHECKING:
    from rise_engine.evaluation.frames import EvaluationFrames
    from rise_engine.prediction.load import LoadedModel
    from rise_engine.project.project import Project


def predict(
    project: ProjectPath,
    run: RunNumber = None,
    images: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Predict the images of this folder instead; needs --out.")
    ] = None,
    frames: FrameList = None,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE.json", help="Write a COCO file and do not change the project.")
    ] = None,
    again: Annotated[
        bool, typer.Option("--again", help="Predict frames again that this run has already predicted.")
    ] = False,
    looks: Looks = 1,
    device: Device = "auto",
) -> None:
    """Predict the frames of a project.

    All frames except the skipped ones are predicted, into the project or into a COCO file. An interrupted prediction
    continues where it stopped: frames that the same weights have already predicted are not predicted again, unless
    --looks has changed.

    \b
    Example:
      rise predict totes.rise --out predictions.json
    """
    from rise_engine.atomic import require_no_folder
    from rise_engine.project.project import Project

    if out is not None:
        require_no_folder(out)
    elif images is not None:
        raise RiseError("--images predicts frames that are not in the project: give a file for the result with --out.")
    with Project.open(project, read_only=out is not None) as opened:
        if out is None:
            unreadable = _predict_into_project(opened, run, frames, again=again, looks=looks, device=device)
        else:
            unreadable = _predict_into_file(opened, run, frames, images, out, looks=looks, device=device)
    for error in unreadable:
        typer.echo(f"Skipped: {error}", err=True)


def _predict_into_project(
    project: Project, run: int | None, listed: Path | None, *, again: bool, looks: int, device: str
) -> list[RiseError]:
    """Stores predictions and reports them; returns the errors of unreadable frames."""
    from rise_engine.active_learning.uncertainty import StrongViewDisagreement
    from rise_engine.commands.project import add_new_images
    from rise_engine.prediction.default_model import default_model, default_run
    from rise_engine.prediction.load import load_model
    from rise_engine.prediction.store import predict_into_store, remaining_frames
    from rise_engine.prediction.test_time_augmentation import with_test_time_augmentation

    add_new_images(project)
    number = project.runs.get(run).number if run is not None else default_run(project).number
    model = default_model(project, number)
    loaded = load_model(model, device=device)
    augmented = with_test_time_augmentation(loaded, looks)
    asked = frames_to_predict(project, listed)
    chosen = remaining_frames(project, number, model, asked, again=again, passes=looks)
    unreadable: list[RiseError] = []
    storing = predict_into_store(
        augmented,
        project,
        number,
        chosen,
        unreadable=unreadable,
        measure_disagreement=StrongViewDisagreement(loaded, project),
    )
    counts = [len(found) for found in with_progress(storing, total=len(chosen), doing="predicting")]
    if len(chosen) < len(asked):
        typer.echo(
            f"{number_of(len(asked) - len(chosen), 'frame')} had already been predicted by run {number} and did not "
            "change; --again predicts them again."
        )
    typer.echo(
        f"{number_of(sum(counts), 'prediction')} of run {number} on {number_of(len(counts), 'frame')} are "
        f"stored. Next: `rise queue {project.path}` shows which frame to fix first."
    )
    return unreadable


def _predict_into_file(
    project: Project,
    run: int | None,
    listed: Path | None,
    images: Path | None,
    out: Path,
    *,
    looks: int,
    device: str,
) -> list[RiseError]:
    """Writes a COCO file and reports it; returns the errors of unreadable frames."""
    from contextlib import nullcontext

    from rise_engine.prediction.coco_file import coco_categories, predict_into_file, temporary_project
    from rise_engine.prediction.default_model import default_model
    from rise_engine.prediction.load import load_model
    from rise_engine.prediction.test_time_augmentation import with_test_time_augmentation

    loaded = with_test_time_augmentation(load_model(default_model(project, run), device=device), looks)
    categories = coco_categories(project, loaded)
    unreadable: list[RiseError] = []
    with nullcontext(project) if images is None else temporary_project(images) as source:
        if images is not None and (left_out := source.passed_over()).not_utf8:
            typer.echo(f"Left out: {left_out.not_utf8_in_words()}.")
        chosen = frames_to_predict(source, listed)
        writing = predict_into_file(loaded, source, chosen, out, categories=categories, unreadable=unreadable)
        counts = list(with_progress(writing, total=len(chosen), doing="predicting"))
    typer.echo(
        f"{number_of(sum(counts), 'prediction')} of {run_in_words(project, run)} on "
        f"{number_of(len(counts), 'frame')}: {out}"
    )
    return unreadable


def evaluate(
    project: ProjectPath,
    run: RunNumber = None,
    frames: FrameList = None,
    against: Annotated[
        Path | None, typer.Option(metavar="FILE.json", help="Take the ground truth from this COCO file.")
    ] = None,
    json_file: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Write the scores to this file, in percent.")
    ] = None,
    looks: Looks = 1,
    device: Device = "auto",
) -> None:
    """Measure the average precision of a run.

    By default it is measured on the hold-out.

    \b
    Example:
      rise evaluate totes.rise --json scores.json
    """
    from rise_engine.atomic import require_no_folder, write_text
    from rise_engine.project.project import Project

    if json_file is not None:
        require_no_folder(json_file)
    with Project.open(project, read_only=True) as opened:
        truth, chosen = evaluation_ground_truth(opened, run, frames, against)
        from rise_engine.evaluation import coco
        from rise_engine.prediction.default_model import default_model
        from rise_engine.prediction.load import load_model
        from rise_engine.prediction.test_time_augmentation import with_test_time_augmentation

        loaded = with_test_time_augmentation(load_model(default_model(opened, run), device=device), looks)
        model = f"{run_in_words(opened, run)}{weights_in_words(opened, run)}"
        results = list(coco_results_of_frames(loaded, opened, truth))
        ocid = ocid_scores(opened, truth, results)
        scores = coco.evaluate(truth, results, class_agnostic=loaded.config.class_agnostic)
    for kind, values in (("mask", scores.mask), ("box", scores.box)):
        numbers = (f"{name} {'-' if value is None else f'{value:.1f}'}" for name, value in values.as_record().items())
        typer.echo(f"{kind:5}" + "  ".join(numbers))
    if ocid is not None:
        print_ocid(ocid)
    where = "hold-out frame" if frames is None else "frame"
    typer.echo(f"{model} on {number_of(scores.frames, where)}")
    for note in chosen.notes:
        typer.echo(note)
    if json_file is not None:
        record = scores.as_record() if ocid is None else {**scores.as_record(), "ocid": ocid}
        write_text(json_file, json.dumps(record, indent=1) + "\n")


def run_in_words(project: Project, run: int | None) -> str:
    """The model that predicts for ``--run`` (None without it): ``run 3 (in use)``, or ``the starter weights``."""
    current = project.runs.current()
    if run is None and current is None:
        return "the starter weights"
    number = project.runs.get(run).number
    return f"run {number} (in use)" if current is not None and number == current.number else f"run {number}"


def weights_in_words(project: Project, run: int | None) -> str:
    """Which weights of a run predict: ``, best weights,`` or ``, last weights,``; nothing for the starter weights."""
    if run is None and project.runs.current() is None:
        return ""
    return ", best weights," if project.runs.get(run).files.best_weights.is_file() else ", last weights,"


def ocid_scores(project: Project, truth: dict[str, Any], results: list[dict[str, Any]]) -> dict[str, Any] | None:
    """The measures of the OCID benchmark; None for a project of other images."""
    from rise_engine.formats.ocid import scene_of

    if project.setting("dataset") != "ocid":
        return None
    from rise_engine.evaluation.ocid import evaluate_ocid

    scenes = {image["id"]: scene_of(image["file_name"]) for image in truth["images"]}
    return evaluate_ocid(truth, results, {number: scene.subset if scene else "-" for number, scene in scenes.items()})


def print_ocid(scores: dict[str, Any]) -> None:
    """One row for all frames and one for each subset."""
    rows = []
    for name, values in (("all", scores), *scores["subsets"].items()):
        numbers = [*values["overlap"].values(), *values["boundary"].values(), values["%75"]]
        rows.append((name, *(f"{number:.1f}" for number in numbers)))
    print_columns(("OCID", "overlap P", "R", "F", "boundary P", "R", "F", "%75"), rows)


def frames_to_predict(project: Project, listed: Path | None) -> list[int]:
    """The frames of a list file, or all frames that are not skipped."""
    from rise_engine.project.records import FrameState

    if listed is not None:
        return listed_frames(project, listed)
    return [frame.id for frame in project.frames.all() if frame.state is not FrameState.SKIPPED]


def evaluation_ground_truth(
    project: Project, run: int | None, frames: Path | None, against: Path | None
) -> tuple[dict[str, Any], EvaluationFrames]:
    """The ground truth as a COCO dataset, with frame ids as image ids, and the choice of frames.

    Raises RiseError when there is nothing to measure on.
    """
    from rise_engine.evaluation.frames import evaluation_frames, frames_to_evaluate, validation_frames_of
    from rise_engine.evaluation.ground_truth import frames_of_file, ground_truth_from_file, ground_truth_of
    from rise_engine.formats.coco.file import CocoFile

    asked = frames_to_evaluate(project, None if frames is None else listed_frames(project, frames))
    trained = run is not None or project.runs.current() is not None
    chose = validation_frames_of(project, project.runs.get(run)) if trained else set()
    file = None if against is None else CocoFile(against)
    chosen = evaluation_frames(
        project,
        asked,
        annotated=None if file is None else frames_of_file(project, file, set(asked)),
        chose_weights=chose,
        keep_validation=frames is not None,
    )
    if file is None:
        return ground_truth_of(project, chosen.frames), chosen
    return ground_truth_from_file(project, file, set(chosen.frames)), chosen


def coco_results_of_frames(loaded: LoadedModel, project: Project, truth: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """COCO results for the images of the ground truth."""
    from rise_engine.evaluation.coco import result_categories, results_of_frames
    from rise_engine.prediction.predict import predict_frames

    frames = [image["id"] for image in truth["images"]]
    ids = result_categories(loaded.class_names, truth)
    predicted = with_progress(predict_frames(loaded, project, frames), total=len(frames), doing="predicting")
    return results_of_frames(predicted, ids)
