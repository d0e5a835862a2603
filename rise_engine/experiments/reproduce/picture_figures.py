"""Figure 3 (photo, truth, predictions) and Figure 8 (photo, truth, soft masks and misses, before and after)."""

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
FITS_IOU = 0.3
"""From this mask IoU on a prediction has the colour of the object it fits best."""
ROWS = 4
FRAMES_TRIED = 16
"""Hold-out frames among which Figure 8 looks for the worst case."""
STAGINGS = 20
"""How often a frame is staged until an object was inserted into it."""
GAP = 6
TITLE = 26
TINT = 0.55
MISSED = (255, 40, 40)
Picture = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Seen:
    """A view and what the network makes of it: ``soft`` float (N, H, W) 0..1, ``missed`` bool (G,)."""

    scene: View
    soft: Tensor
    missed: Tensor


def draw_figure_3(grid: Grid, jobs: Sequence[Job], folder: Path) -> list[Path]:
    """A row for each of some hold-out frames: photo, true masks, predicted masks."""
    job = jobs[0]
    loaded = _loaded(grid, job)
    every = -(-len(grid.holdout) // ROWS)
    rows = []
    for frame in grid.holdout[::every]:
        seen = look(loaded, _plain_scene(grid, job, frame))
        photo = _photo(seen.scene)
        truth = _coloured(photo, seen.scene.masks, _colours(len(seen.scene.masks)))
        rows.append([photo, truth, _coloured(photo, seen.soft > 0.5, _own_colours(seen))])
    return [_save(folder / "figure3.png", ("photo", "truth", "predictions"), rows)]


def draw_figure_8(grid: Grid, jobs: Sequence[Job], folder: Path) -> list[Path]:
    """Photo, truth, soft masks and misses (red outlines) of a hold-out frame, and below with an object inserted.

    Of some hold-out frames it is the one where the insertion loses the most objects. Nothing but the insertion tells
    the rows apart.
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
    worst: tuple[int, Seen, Seen] | None = None
    for frame in grid.holdout[:FRAMES_TRIED]:
        still = read_for_training(grid.project, frame, config)
        for attempt in range(STAGINGS):
            sequence = maker.make(still, bank, np.random.default_rng([job.seed, frame, attempt]))
            if bool(sequence.after.pasted.any()):
                before, after = look(loaded, sequence.before), look(loaded, sequence.after)
                lost = int(after.missed.sum()) - int(before.missed.sum())
                if worst is None or lost > worst[0]:
                    worst = lost, before, after
                break
    if worst is None:
        raise RiseError(f"no object could be inserted into a hold-out frame of {grid.project.path}: the bank is empty")
    rows = []
    for seen in worst[1:]:
        photo = _photo(seen.scene)
        truth = _coloured(photo, seen.scene.masks, _colours(len(seen.scene.masks)))
        rows.append([photo, truth, _soft(seen.soft, _own_colours(seen)), _misses(photo, seen)])
    titles = ("photo, and with an object inserted", "truth", "soft masks", "missed")
    return [_save(folder / "figure8.png", titles, rows)]


@torch.no_grad()
def look(loaded: LoadedModel, scene: View) -> Seen:
    """What the network finds in a view: predictions scored 0.3 and up, after NMS; misses below mask IoU 0.5."""
    batch = collate([scene.image], device=loaded.device)
    output = loaded.model(batch.images, batch.padding_mask)
    scores, labels = output.class_logits[0].float().sigmoid().max(1)
    chosen = torch.nonzero(scores >= SHOWN_SCORE)[:, 0]
    boxes = box_convert(output.boxes[0, chosen].float(), "cxcywh", "xyxy")
    chosen = chosen[batched_nms(boxes, scores[chosen], labels[chosen], NMS_IOU)]
    height, width = scene.image.shape[-2:]
    logits = output.masks(0, chosen).float()[:, None]
    soft = interpolate(logits, scale_factor=4, mode="bilinear", align_corners=False)[:, 0, :height, :width]
    soft = soft.sigmoid().cpu()
    found = (mask_iou(scene.masks, soft > 0.5) >= FOUND_IOU).any(1)
    return Seen(scene, soft, ~found)


def _loaded(grid: Grid, job: Job) -> LoadedModel:
    result = grid.result(job)
    if result is None or not RunFolder(result.folder).weights.is_file():
        raise RiseError(f"the weights of {job} are gone: delete {grid.folder / 'cells.jsonl'} and train again")
    return load_model(RunFolder(result.folder).weights, device=job.config.device)


def _plain_scene(grid: Grid, job: Job, frame: int) -> View:
    """A hold-out frame as it is, at the prediction's size."""
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


def _photo(scene: View) -> Picture:
    return (scene.image.permute(1, 2, 0).numpy() * 255).round().astype(np.uint8)


def _colours(count: int) -> NDArray[np.float64]:
    """Colours that are easily told apart, (count, 3) 0..1."""
    return np.array([colorsys.hsv_to_rgb(index * 0.618 % 1, 0.75, 1.0) for index in range(count)]).reshape(count, 3)


def _own_colours(seen: Seen) -> NDArray[np.float64]:
    """Of each prediction: that of the object it fits, if none fits it better; white where there is no such object."""
    colours = np.ones((len(seen.soft), 3))
    overlap = mask_iou(seen.scene.masks, seen.soft > 0.5)
    if overlap.numel():
        truth = _colours(len(seen.scene.masks))
        for row, (value, column) in enumerate(zip(*overlap.max(1), strict=True)):
            if float(value) > FITS_IOU:
                colours[int(column)] = truth[row]
    return colours


def _coloured(photo: Picture, masks: Tensor, colours: NDArray[np.float64]) -> Picture:
    picture = photo.astype(np.float64) / 255
    for mask, colour in zip(masks.numpy(), colours, strict=True):
        picture[mask] = (1 - TINT) * picture[mask] + TINT * colour
        picture[find_boundaries(mask, mode="inner")] = colour
    return (picture * 255).astype(np.uint8)


def _soft(soft: Tensor, colours: NDArray[np.float64]) -> Picture:
    """Mask probabilities as brightness, each object in its colour, on black; the most probable one lies on top."""
    picture = np.zeros((*soft.shape[-2:], 3))
    if len(soft):
        most, which = soft.max(0)
        picture = most.numpy()[..., None] * colours[which.numpy()]
    return (picture * 255).astype(np.uint8)


def _misses(photo: Picture, seen: Seen) -> Picture:
    picture = (photo * 0.6).astype(np.uint8)
    for mask in seen.scene.masks[seen.missed].numpy():
        picture[mask] = photo[mask]
        picture[find_boundaries(mask, mode="thick")] = MISSED
    return picture


def _save(path: Path, titles: Sequence[str], rows: Sequence[Sequence[Picture]]) -> Path:
    """Rows of pictures with gaps between them, below the titles of the columns; rows may differ in size."""
    height = TITLE + sum(row[0].shape[0] for row in rows) + GAP * (len(rows) - 1)
    width = max(sum(picture.shape[1] for picture in row) + GAP * (len(row) - 1) for row in rows)
    sheet = Image.new("RGB", (width, height), "white")
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(FONT_SIZE)
    left = 0
    for title, picture in zip(titles, rows[0], strict=True):
        pen.text((left + picture.shape[1] / 2, TITLE / 2), title, INK, font, anchor="mm")
        left += picture.shape[1] + GAP
    top = TITLE
    for row in rows:
        left = 0
        for picture in row:
            sheet.paste(Image.fromarray(picture), (left, top))
            left += picture.shape[1] + GAP
        top += row[0].shape[0] + GAP
    with atomic_path(path) as part:
        sheet.save(part, format="PNG")
    return path
