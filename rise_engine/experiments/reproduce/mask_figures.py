"""Draw Figure 3 (image, ground truth, predictions) and Figure 8 (soft masks and missed objects after an insertion)."""

from __future__ import annotations

import colorsys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from skimage.segmentation import find_boundaries
from torch import Tensor
from torch.nn.functional import interpolate
from torchvision.ops import batched_nms, box_convert

from rise_engine.atomic import atomic_path
from rise_engine.errors import RiseError
from rise_engine.experiments.reproduce.chart import FONT_SIZE, INK
from rise_engine.experiments.reproduce.grid import Grid
from rise_engine.experiments.reproduce.job import Job
from rise_engine.method.batch import collate
from rise_engine.method.pseudo_labels import mask_iou
from rise_engine.prediction.load import LoadedModel, load_model
from rise_engine.prediction.postprocess import NMS_IOU
from rise_engine.project.run_folder import RunFolder
from rise_engine.pseudo_sequences.from_project import fill_bank, read_for_training
from rise_engine.pseudo_sequences.sequence import SequenceMaker
from rise_engine.pseudo_sequences.views import View

SHOWN_SCORE = 0.3
FOUND_IOU = 0.5
COLOUR_IOU = 0.3
"""A prediction has the colour of the object with the best mask IoU above this value."""
ROWS = 4
FRAMES_TRIED = 16
"""Hold-out frames among which Figure 8 takes the worst case."""
ATTEMPTS = 20
"""Pseudo-sequences tried per frame until one has an inserted object."""
GAP = 6
TITLE = 26
TINT = 0.55
MISSED = (255, 40, 40)
RgbImage = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class ViewPredictions:
    """A view with its predictions: mask probabilities ``soft`` float (N, H, W), ``missed`` objects bool (G,)."""

    view: View
    soft: Tensor
    missed: Tensor


def draw_figure_3(grid: Grid, jobs: Sequence[Job], folder: Path) -> list[Path]:
    """One row per selected hold-out frame: image, ground-truth masks, predicted masks."""
    job = jobs[0]
    loaded = _loaded(grid, job)
    every = -(-len(grid.holdout) // ROWS)
    rows = []
    for frame in grid.holdout[::every]:
        predictions = predict_view(loaded, _plain_view(grid, job, frame))
        rgb = _rgb(predictions.view)
        truth = _coloured(rgb, predictions.view.masks, _colours(len(predictions.view.masks)))
        rows.append([rgb, truth, _coloured(rgb, predictions.soft > 0.5, _own_colours(predictions))])
    return [_save(folder / "figure3.png", ("image", "ground truth", "predictions"), rows)]


def draw_figure_8(grid: Grid, jobs: Sequence[Job], folder: Path) -> list[Path]:
    """Image, ground truth, soft masks and missed objects (red) of a hold-out frame; below, with an object inserted.

    The frame is the one where the insertion makes the network miss the most objects. The insertion is the only
    difference between the rows.
    """
    job = jobs[0]
    loaded = _loaded(grid, job)
    config = job.config.model_copy(deep=True)
    config.sequence.min_pasted = config.sequence.max_pasted = 0
    config.sequence.enabled = config.sequence.paste = True
    config.sequence.max_added = max(1, config.sequence.max_added)
    still_camera = {"rotation": 0.0, "scale": (1.0, 1.0), "shift": 0.0, "brightness": 0.0, "flip": False}
    config.augment = config.augment.model_copy(update=still_camera)
    bank = fill_bank(grid.project, grid.split(job).labelled, config)
    maker = SequenceMaker(config.sequence, config.augment, config.loader)
    worst: tuple[int, ViewPredictions, ViewPredictions] | None = None
    for frame in grid.holdout[:FRAMES_TRIED]:
        still = read_for_training(grid.project, frame, config)
        for attempt in range(ATTEMPTS):
            sequence = maker.make(still, bank, np.random.default_rng([job.seed, frame, attempt]))
            if bool(sequence.after.pasted.any()):
                before, after = predict_view(loaded, sequence.before), predict_view(loaded, sequence.after)
                lost = int(after.missed.sum()) - int(before.missed.sum())
                if worst is None or lost > worst[0]:
                    worst = lost, before, after
                break
    if worst is None:
        raise RiseError(f"No object could be inserted into a hold-out frame of {grid.project.path}: the bank is empty.")
    rows = []
    for predictions in worst[1:]:
        rgb = _rgb(predictions.view)
        truth = _coloured(rgb, predictions.view.masks, _colours(len(predictions.view.masks)))
        rows.append([rgb, truth, _soft(predictions.soft, _own_colours(predictions)), _misses(rgb, predictions)])
    titles = ("image, and with an object inserted", "ground truth", "soft masks", "missed")
    return [_save(folder / "figure8.png", titles, rows)]


@torch.no_grad()
def predict_view(loaded: LoadedModel, view: View) -> ViewPredictions:
    """Predictions of a view with a score of at least 0.3, after NMS; objects below mask IoU 0.5 are missed."""
    batch = collate([view.image], device=loaded.device)
    output = loaded.model(batch.images, batch.padding_mask)
    scores, labels = output.class_logits[0].float().sigmoid().max(1)
    chosen = torch.nonzero(scores >= SHOWN_SCORE)[:, 0]
    boxes = box_convert(output.boxes[0, chosen].float(), "cxcywh", "xyxy")
    chosen = chosen[batched_nms(boxes, scores[chosen], labels[chosen], NMS_IOU)]
    height, width = view.image.shape[-2:]
    logits = output.masks(0, chosen).float()[:, None]
    soft = interpolate(logits, scale_factor=4, mode="bilinear", align_corners=False)[:, 0, :height, :width]
    soft = soft.sigmoid().cpu()
    found = (mask_iou(view.masks, soft > 0.5) >= FOUND_IOU).any(1)
    return ViewPredictions(view, soft, ~found)


def _loaded(grid: Grid, job: Job) -> LoadedModel:
    result = grid.result(job)
    if result is None or not RunFolder(result.folder).weights.is_file():
        raise RiseError(f"The weights of {job} are missing: delete {grid.folder / 'cells.jsonl'} and train again.")
    return load_model(RunFolder(result.folder).weights, device=job.config.device)


def _plain_view(grid: Grid, job: Job, frame: int) -> View:
    """A hold-out frame without augmentation, at prediction size."""
    loader = job.config.loader
    still = grid.project.labelled_frame(frame, short_side=loader.predict_short_side)
    count = len(still.masks)
    return View(
        image=torch.from_numpy(still.image.transpose(2, 0, 1).astype(np.float32) / 255),
        masks=torch.from_numpy(still.masks),
        labels=torch.zeros(count, dtype=torch.int64),
        ids=torch.arange(count),
        pasted=torch.zeros(count, dtype=torch.bool),
    )


def _rgb(view: View) -> RgbImage:
    return (view.image.permute(1, 2, 0).numpy() * 255).round().astype(np.uint8)


def _colours(count: int) -> NDArray[np.float64]:
    """Distinct colours (count, 3) 0..1."""
    return np.array([colorsys.hsv_to_rgb(index * 0.618 % 1, 0.75, 1.0) for index in range(count)]).reshape(count, 3)


def _own_colours(predictions: ViewPredictions) -> NDArray[np.float64]:
    """Colour of each prediction: that of the object it matches best; white without a match."""
    colours = np.ones((len(predictions.soft), 3))
    overlap = mask_iou(predictions.view.masks, predictions.soft > 0.5)
    if overlap.numel():
        truth = _colours(len(predictions.view.masks))
        for row, (value, column) in enumerate(zip(*overlap.max(1), strict=True)):
            if float(value) > COLOUR_IOU:
                colours[int(column)] = truth[row]
    return colours


def _coloured(rgb: RgbImage, masks: Tensor, colours: NDArray[np.float64]) -> RgbImage:
    image = rgb.astype(np.float64) / 255
    for mask, colour in zip(masks.numpy(), colours, strict=True):
        image[mask] = (1 - TINT) * image[mask] + TINT * colour
        image[find_boundaries(mask, mode="inner")] = colour
    return (image * 255).astype(np.uint8)


def _soft(soft: Tensor, colours: NDArray[np.float64]) -> RgbImage:
    """Mask probabilities as brightness, each object in its colour, on black; the most probable one is visible."""
    image = np.zeros((*soft.shape[-2:], 3))
    if len(soft):
        most, which = soft.max(0)
        image = most.numpy()[..., None] * colours[which.numpy()]
    return (image * 255).astype(np.uint8)


def _misses(rgb: RgbImage, predictions: ViewPredictions) -> RgbImage:
    image = (rgb * 0.6).astype(np.uint8)
    for mask in predictions.view.masks[predictions.missed].numpy():
        image[mask] = rgb[mask]
        image[find_boundaries(mask, mode="thick")] = MISSED
    return image


def _save(path: Path, titles: Sequence[str], rows: Sequence[Sequence[RgbImage]]) -> Path:
    """Rows of images with gaps, below the titles of the columns; rows may differ in size."""
    height = TITLE + sum(row[0].shape[0] for row in rows) + GAP * (len(rows) - 1)
    width = max(sum(image.shape[1] for image in row) + GAP * (len(row) - 1) for row in rows)
    sheet = Image.new("RGB", (width, height), "white")
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(FONT_SIZE)
    left = 0
    for title, image in zip(titles, rows[0], strict=True):
        pen.text((left + image.shape[1] / 2, TITLE / 2), title, INK, font, anchor="mm")
        left += image.shape[1] + GAP
    top = TITLE
    for row in rows:
        left = 0
        for image in row:
            sheet.paste(Image.fromarray(image), (left, top))
            left += image.shape[1] + GAP
        top += row[0].shape[0] + GAP
    with atomic_path(path) as part:
        sheet.save(part, format="PNG")
    return path
