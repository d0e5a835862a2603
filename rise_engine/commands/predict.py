"""Predicting with a run, and measuring how good it is."""

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
    print_columns,
)
from rise_engine.commands.progress import with_progress
from rise_engine.errors import RiseError
from rise_engine.project.wording import number_of

if TYPE_CHECKING:
    from rise_engine.prediction.load import LoadedModel
    from rise_engine.project.project import Project


def predict(
    project: ProjectPath,
    run: RunNumber = None,
    images: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Predict this folder instead of the project's; needs --out.")
    ] = None,
    frames: FrameList = None,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE.json", help="Write a COCO file, and leave the project as it is.")
    ] = None,
    again: Annotated[
        bool, typer.Option("--again", help="Predict into the project what this run has predicted already, too.")
    ] = False,
    looks: Looks = 1,
    device: Device = "auto",
) -> None:
    """Predict the frames of a project, all but the skipped ones, into it or into a COCO file.

    What was interrupted goes on where it stopped: frames that the same weights have predicted are left as they are,
    unless they were looked at another number of times.

    \b
    Example:
      rise predict totes.rise --out predictions.json
    """
    from rise_engine.atomic import require_no_folder
    from rise_engine.project.project import Project
    from rise_engine.project.splits import read_name_list

    if out is not None:
        require_no_folder(out)
    elif images is not None:
        raise RiseError("--images predicts frames that are not in the project, so say where to write with --out")
    with Project.open(project, read_only=out is not None) as opened:
        from rise_engine.active_learning.uncertainty import StrongLook
        from rise_engine.commands.coco_predictions import predict_folder, predict_to_file
        from rise_engine.commands.project import take_new_images
        from rise_engine.prediction.load import load_model
        from rise_engine.prediction.starter_run import latest_model, latest_or_starter_run
        from rise_engine.prediction.store import frames_left, predict_into_store
        from rise_engine.prediction.test_time import looking

        number = 0
        if out is None:
            take_new_images(opened)
            number = opened.runs.get(run).number if run is not None else latest_or_starter_run(opened).number
        model = latest_model(opened, number or run)
        plain = load_model(model, device=device)
        loaded = looking(plain, looks)
        unreadable: list[RiseError] = []
        if out is None:
            asked = frames_to_predict(opened, frames)
            chosen = frames_left(opened, number, model, asked, again=again, looks=looks)
            storing = predict_into_store(
                loaded, opened, number, chosen, unreadable=unreadable, second_look=StrongLook(plain, opened)
            )
            counts = [len(found) for found in with_progress(storing, total=len(chosen), doing="predicting")]
            if len(chosen) < len(asked):
                typer.echo(
                    f"{number_of(len(asked) - len(chosen), 'frame')} had been predicted by run {number} before and "
                    "stayed as they were; --again predicts them anew."
                )
            typer.echo(
                f"{number_of(sum(counts), 'prediction')} of run {number} on {number_of(len(counts), 'frame')} are "
                f"stored. Next: `rise queue {project}` says which frame to fix first."
            )
        else:
            if images is None:
                written = predict_to_file(loaded, opened, frames_to_predict(opened, frames), out, unreadable)
            else:
                names = None if frames is None else read_name_list(frames)
                written = predict_folder(loaded, opened, images, out, unreadable, names)
            typer.echo(
                f"{number_of(written.instances, 'prediction')} of {words_for_run(opened, run)} on "
                f"{number_of(written.frames, 'frame')}: {out}"
            )
    for error in unreadable:
        typer.echo(f"left out: {error}", err=True)


def evaluate(
    project: ProjectPath,
    run: RunNumber = None,
    frames: FrameList = None,
    against: Annotated[
        Path | None, typer.Option(metavar="FILE.json", help="Take the truth from this COCO file.")
    ] = None,
    json_file: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Write the numbers, in percent.")
    ] = None,
    looks: Looks = 1,
    device: Device = "auto",
) -> None:
    """Measure a run's average precision, on the hold-out unless other frames are named.

    \b
    Example:
      rise evaluate totes.rise --json scores.json
    """
    from rise_engine.atomic import require_no_folder, write_text
    from rise_engine.project.project import Project

    if json_file is not None:
        require_no_folder(json_file)
    with Project.open(project, read_only=True) as opened:
        truth = truth_to_measure(opened, frames, against)
        from rise_engine.evaluation import coco
        from rise_engine.prediction.load import load_model
        from rise_engine.prediction.starter_run import latest_model
        from rise_engine.prediction.test_time import looking

        loaded, used = looking(load_model(latest_model(opened, run), device=device), looks), words_for_run(opened, run)
        results = list(results_on(loaded, opened, truth))
        ocid = ocid_scores(opened, truth, results)
        scores = coco.evaluate(truth, results, class_agnostic=loaded.config.class_agnostic)
    for kind, values in (("mask", scores.mask), ("box", scores.box)):
        numbers = (f"{name} {'-' if value is None else f'{value:.1f}'}" for name, value in values.as_record().items())
        typer.echo(f"{kind:5}" + "  ".join(numbers))
    if ocid is not None:
        print_ocid(ocid)
    typer.echo(f"{used} on {number_of(scores.frames, 'frame')}")
    if json_file is not None:
        record = scores.as_record() if ocid is None else {**scores.as_record(), "ocid": ocid}
        write_text(json_file, json.dumps(record, indent=1) + "\n")


def words_for_run(project: Project, run: int | None) -> str:
    """What predicts when this run is asked for, or None is: ``run 3 (in use)``, or the starter weights."""
    current = project.runs.current()
    if run is None and current is None:
        return "the starter weights"
    number = project.runs.get(run).number
    return f"run {number} (in use)" if current is not None and number == current.number else f"run {number}"


def ocid_scores(project: Project, truth: dict[str, Any], results: list[dict[str, Any]]) -> dict[str, Any] | None:
    """The measures that OCID is compared by; None for a project of other images."""
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
    """The frames that a list file names, or all that are not skipped."""
    from rise_engine.project.records import FrameState

    if listed is not None:
        return listed_frames(project, listed)
    return [frame.id for frame in project.frames.all() if frame.state is not FrameState.SKIPPED]


def truth_to_measure(project: Project, frames: Path | None, against: Path | None) -> dict[str, Any]:
    """The truth as a COCO dataset whose image ids are the project's frames; RiseError when there is none."""
    from rise_engine.evaluation.coco import truth_of
    from rise_engine.project.records import Split

    chosen = (
        [frame.id for frame in project.frames.all(split=Split.HOLDOUT)]
        if frames is None
        else listed_frames(project, frames)
    )
    if not chosen:
        raise RiseError(
            f"{project.path} has no hold-out to measure on: mark frames as hold-out, or name annotated frames with "
            "--frames FILE"
        )
    if against is not None:
        from rise_engine.commands.coco_predictions import truth_from_file

        return truth_from_file(project, against, set(chosen))
    return truth_of(project, chosen)


def results_on(loaded: LoadedModel, project: Project, truth: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """COCO results on the truth's images."""
    from rise_engine.evaluation.coco import coco_results, result_categories
    from rise_engine.prediction.predict import predict_frames

    frames = [image["id"] for image in truth["images"]]
    ids = result_categories(loaded.class_names, truth)
    for frame, predictions in with_progress(
        predict_frames(loaded, project, frames), total=len(frames), doing="predicting"
    ):
        yield from coco_results(frame, predictions, ids)
