"""The demonstration: drawn totes, a few labels, a training, and what comes out, as files to look at."""

from __future__ import annotations

import importlib.util
import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pycocotools import mask as rle_codec
from skimage.segmentation import find_boundaries

from rise_engine.config import RiseConfig
from rise_engine.errors import RiseError
from rise_engine.evaluation.coco import Scores, evaluate, results_of_frames
from rise_engine.evaluation.ground_truth import ground_truth_of
from rise_engine.formats.coco import export_coco, import_coco
from rise_engine.formats.coco.results import OBJECT_CATEGORY
from rise_engine.prediction.load import LoadedModel, load_model
from rise_engine.prediction.onnx_export import export_run_to_onnx
from rise_engine.prediction.predict import predict_frames
from rise_engine.prediction.store import predict_into_store
from rise_engine.project.frame import LabelledFrame
from rise_engine.project.project import Project
from rise_engine.project.records import FrameRecord, Instance, Split
from rise_engine.project.segmentation import area_of, box_of, from_mask
from rise_engine.project.splits import choose_split
from rise_engine.pseudo_sequences.from_project import bank_frames, make_frame_sequence
from rise_engine.pseudo_sequences.preview import render_sequence
from rise_engine.resources import starter_path
from rise_engine.synthetic import write_sample_folder
from rise_engine.training.events import Finished
from rise_engine.training.trainer import Trainer

FRAMES = 36
LABELLED = 6
HOLDOUT = 8
FRAME_SIZE = (384, 512)
TRAINING_MINUTES = 4.0
"""Leaves the whole demonstration well below ten minutes on two cores."""
SHEET_COLUMNS = 4
SHEET_WIDTH = 320
"""Of one photo on the contact sheet, in pixels."""
TINT = 0.4

Say = Callable[[str], object]
Follow = Callable[[Trainer], Finished]


def run_demo(out: Path, *, steps: int | None, say: Say, follow: Follow, reuse: bool = False) -> Path:
    """Makes everything in ``out`` and returns the project's path.

    ``follow`` runs a training to its end. A demonstration that is there already is opened when ``reuse``, made anew
    when nobody has worked in it, and else kept: RiseError.
    """
    path = out / "totes.rise"
    if _is_there(path, out / "totes", reuse=reuse):
        say(f"{path} is there already.")
        return path
    say(f"Drawing {FRAMES} totes in {out / 'totes'}.")
    with make_project(out) as project:
        config = RiseConfig.preset("laptop")
        if steps is not None:
            config.schedule.steps = steps
        trainer, before = _start(project, config, minutes=None if steps is not None else TRAINING_MINUTES, say=say)
        say(
            f"Learning from {LABELLED} labelled and {FRAMES - LABELLED - HOLDOUT} unlabelled frames; {HOLDOUT} more "
            "are held out to measure on."
        )
        finished = follow(trainer)
        loaded = load_model(project.runs.get(finished.run).folder)
        for _ in predict_into_store(loaded, project, finished.run, [frame.id for frame in project.frames.all()]):
            pass
        after = measure(loaded, project)
        say("Mask AP / AP50 on the held-out frames")
        say(f"  before training: {_two_numbers(before)}")
        say(f"  after training:  {_two_numbers(after)}")
        _write_files(project, out, finished.run, say)
    return path


def make_project(out: Path) -> Project:
    """Draws the totes and makes a project of them: a few labelled, some held out with their truth, the rest bare."""
    frames = write_sample_folder(out / "totes", count=FRAMES, size=FRAME_SIZE)
    known = frames[: LABELLED + HOLDOUT]
    labels = out / "labels.json"
    labels.write_text(json.dumps(_coco_of(known)), encoding="utf-8")
    project = Project.create(out / "totes.rise", out / "totes")
    project.scan()
    import_coco(project, labels)
    project.frames.set_split([project.frames.get(frame.name).id for frame in known[LABELLED:]], Split.HOLDOUT)
    project.set_setting("demo_edits", _edits(project))
    return project


def measure(loaded: LoadedModel, project: Project) -> Scores:
    """Average precision on the project's hold-out, whatever the objects are."""
    frames = [frame.id for frame in project.frames.all(split=Split.HOLDOUT)]
    truth = ground_truth_of(project, frames)
    category_ids = [OBJECT_CATEGORY["id"]] * len(loaded.class_names)
    results = results_of_frames(predict_frames(loaded, project, frames), category_ids)
    return evaluate(truth, results, class_agnostic=True)


def contact_sheet(project: Project, frames: Sequence[FrameRecord]) -> NDArray[np.uint8]:
    """The frames with their predictions, in rows of four, uint8 (H, W, 3)."""
    pictures = [draw_instances(project.image(frame.id), project.predictions.of_frame(frame.id)) for frame in frames]
    height = max(round(picture.shape[0] * SHEET_WIDTH / picture.shape[1]) for picture in pictures)
    rows = -(-len(pictures) // SHEET_COLUMNS)
    sheet = Image.new("RGB", (SHEET_WIDTH * min(SHEET_COLUMNS, len(pictures)), height * rows), "white")
    for place, picture in enumerate(pictures):
        small = Image.fromarray(picture)
        small.thumbnail((SHEET_WIDTH, height))
        sheet.paste(small, (place % SHEET_COLUMNS * SHEET_WIDTH, place // SHEET_COLUMNS * height))
    return np.asarray(sheet)


def draw_instances(image: NDArray[np.uint8], instances: Sequence[Instance]) -> NDArray[np.uint8]:
    """The image with each instance tinted and outlined in a colour of its own."""
    pixels = image.astype(np.float32)
    for place, instance in enumerate(instances):
        hue = int(256 * (place * 0.618 % 1))
        colour = np.asarray(Image.new("HSV", (1, 1), (hue, 220, 255)).convert("RGB"), np.float32)[0, 0]
        mask = rle_codec.decode(instance.segmentation).astype(bool)
        pixels[mask] = (1 - TINT) * pixels[mask] + TINT * colour
        pixels[find_boundaries(mask, mode="inner")] = colour
    return pixels.round().astype(np.uint8)


def open_window(project: Path) -> None:
    """Opens napari with the project, in a process of its own, and waits for its end; RiseError without napari."""
    if importlib.util.find_spec("napari") is None:
        raise RiseError("the window needs napari, which is not installed: pip install 'rise-napari[all]'")
    done = subprocess.run([sys.executable, "-m", "rise_napari", str(project)], check=False)
    if done.returncode:
        raise RiseError("napari did not start: `rise doctor` says what its window lacks")


def _is_there(project: Path, images: Path, *, reuse: bool) -> bool:
    """Whether to use the demonstration that is there; clears away one that nobody has worked in."""
    if not (project / "project.sqlite").is_file():
        if images.exists() and not (images / "tote_000.jpg").is_file():
            raise RiseError(f"{images} is there and not the demonstration's: choose another folder with --out")
        return False
    if reuse:
        return True
    with Project.open(project, read_only=True) as opened:
        untouched = opened.setting("demo_edits") in (None, _edits(opened))
    if not untouched:
        raise RiseError(f"somebody has worked in {project}: open it with --gui, or choose another folder with --out")
    shutil.rmtree(project)
    return False


def _edits(project: Project) -> int:
    return len(project.journal.history(limit=1_000_000))


def _start(project: Project, config: RiseConfig, *, minutes: float | None, say: Say) -> tuple[Trainer, Scores | None]:
    """A trainer from the best start that can be had, and how good the starter weights are without any label."""
    split = choose_split(project, seed=config.schedule.seed)
    starter = starter_path()
    if starter is not None:
        return Trainer(project, config, split, minutes=minutes), measure(load_model(starter), project)
    say("This installation ships no starter weights; trying an ImageNet backbone.")
    try:
        config.weights = "imagenet"
        return Trainer(project, config, split, minutes=minutes), None
    except RiseError as error:
        say(f"{error}. Starting from random weights instead; expect little.")
        config.weights = "none"
        return Trainer(project, config, split, minutes=minutes), None


def _write_files(project: Project, out: Path, run: int, say: Say) -> None:
    config = RiseConfig.preset("laptop")
    shown = [frame for frame in project.frames.all() if not project.annotations.of_frame(frame.id)][: 3 * SHEET_COLUMNS]
    export_coco(project, out / "annotations.json")
    Image.fromarray(contact_sheet(project, shown)).save(out / "predictions.png")
    sequence = make_frame_sequence(project, bank_frames(project)[0], config, seed=0)
    Image.fromarray(render_sequence(sequence)).save(out / "sequence.png")
    report = export_run_to_onnx(project, out / "model.onnx", run=run)
    say("Written:")
    say(f"  {out / 'totes.rise'}: the project; `rise demo --out {out} --gui` opens it")
    say(f"  {out / 'annotations.json'}: its annotations, COCO")
    say(f"  {out / 'predictions.png'}: predictions on frames that nobody labelled")
    say(f"  {out / 'sequence.png'}: a pseudo-sequence, before | after | strong")
    say(f"  {out / 'model.onnx'}: {report.summary}")


def _two_numbers(scores: Scores | None) -> str:
    if scores is None:
        return "- (no starter weights)"
    return f"{scores.mask.ap:.1f} / {scores.mask.ap50:.1f}"


def _coco_of(frames: Sequence[LabelledFrame]) -> dict[str, Any]:
    """The drawn frames' truth as a COCO dataset."""
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for image_id, frame in enumerate(frames, start=1):
        height, width = frame.image.shape[:2]
        images.append({"id": image_id, "file_name": frame.name, "height": height, "width": width})
        for mask in frame.masks:
            segmentation = from_mask(mask)
            x0, y0, x1, y1 = box_of(segmentation, height, width)
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": image_id,
                    "category_id": OBJECT_CATEGORY["id"],
                    "segmentation": segmentation,
                    "bbox": [x0, y0, x1 - x0, y1 - y0],
                    "area": area_of(segmentation, height, width),
                    "iscrowd": 0,
                }
            )
    return {"images": images, "annotations": annotations, "categories": [OBJECT_CATEGORY]}
