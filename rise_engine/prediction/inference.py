"""From an image to instances: the network's input, its output read as predictions, and trained models from disk."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn
from torch.nn.functional import interpolate
from torchvision.ops import batched_nms, box_convert

from rise_engine.config import LoaderConfig, ModelConfig, RiseConfig
from rise_engine.errors import RiseError
from rise_engine.method.extensions.edge_refinement import follow_edges
from rise_engine.model.device import choose_device
from rise_engine.model.segmenter import Segmenter, SegmenterOutput
from rise_engine.prediction.full_size_mask import full_size_mask
from rise_engine.prediction.read_ahead import grouped, read_ahead
from rise_engine.project.records import Instance, PredictedInstance, Source

if TYPE_CHECKING:
    from rise_engine.project.project import Project

CANVAS_MULTIPLE = 32
STORED_SCORE = 0.3
"""A prediction in the store is one that a person looks at; a file for measuring keeps nearly all."""
FRAMES_A_TRANSACTION = 20
BATCH = 8
"""Frames in one pass on a GPU; on a CPU, passing them together gains nothing."""
NMS_IOU = 0.7
"""What ``LoadedModel.nms_iou`` is for a network by itself."""
EDGES_FROM_SCORE = 0.2
"""Masks of a lower score, half of a frame's and seldom looked at, are not worth the time of moving to edges."""
SecondLook = Callable[[int, NDArray[np.uint8], Sequence[PredictedInstance]], float]
"""Given a frame's number, picture and predictions: how much a second opinion differs, 0 to 1."""
RUN_WEIGHTS = ("best.safetensors", "weights.safetensors")
"""The weights of a run folder, the preferred ones first."""


class NetworkInput(NamedTuple):
    """One frame as the network takes it.

    ``images`` float (1, 3, H, W) RGB 0..1 on a canvas of multiples of 32; ``padding_mask`` bool (1, H, W), True on
    padding, or None without any; ``size`` (h, w) of the frame on the canvas, which starts at its top left corner.
    """

    images: Tensor
    padding_mask: Tensor | None
    size: tuple[int, int]


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A trained network in evaluation mode, with what it needs to predict."""

    model: Segmenter
    config: RiseConfig
    class_names: tuple[str, ...]
    device: torch.device
    nms_iou: float = NMS_IOU
    """Of two boxes of one class that overlap more than this, the worse one goes."""


def resize_for_network(image: NDArray[np.uint8], loader: LoaderConfig) -> NetworkInput:
    """``image`` uint8 (H, W, 3) at prediction size: the shortest side given, the longest bounded, nothing cropped."""
    height, width = image.shape[:2]
    scale = min(loader.predict_short_side / min(height, width), loader.predict_long_side / max(height, width))
    size = (max(1, round(height * scale)), max(1, round(width * scale)))
    pixels = torch.from_numpy(np.ascontiguousarray(image)).permute(2, 0, 1)[None]
    if size != (height, width):
        pixels = interpolate(pixels, size=size, mode="bilinear", antialias=True)
    canvas_height, canvas_width = (-(-side // CANVAS_MULTIPLE) * CANVAS_MULTIPLE for side in size)
    canvas = torch.zeros(1, 3, canvas_height, canvas_width)
    canvas[:, :, : size[0], : size[1]] = pixels.float() / 255
    if (canvas_height, canvas_width) == size:
        return NetworkInput(canvas, None, size)
    padding = torch.ones(1, canvas_height, canvas_width, dtype=torch.bool)
    padding[:, : size[0], : size[1]] = False
    return NetworkInput(canvas, padding, size)


@torch.no_grad()
def predictions_from_output(
    output: SegmenterOutput,
    image_index: int,
    *,
    network_size: tuple[int, int],
    original_size: tuple[int, int],
    min_score: float,
    top: int = 100,
    nms_iou: float = NMS_IOU,
    picture: Tensor | None = None,
    edge_reach: float = 0.0,
) -> list[PredictedInstance]:
    """The instances of one image of a batch, best first (IDOL's inference on still images).

    Sigmoid scores, box NMS within each class, the best ``top`` of all pairs of query and class with a score of at
    least ``min_score``; the mask logits of these alone are computed, resized bilinearly to ``original_size`` (H, W)
    and cut at 0. ``network_size`` (h, w) is the frame's size on the canvas, without padding. Empty masks are left out.
    With ``edge_reach``, a share of the shorter side, masks of some score move towards edges of the ``picture``
    (3, *network_size), 0..1, before they are resized.
    """
    scores = output.class_logits[image_index].float().sigmoid()
    queries, labels = torch.nonzero(scores >= min_score, as_tuple=True)
    scores = scores[queries, labels]
    boxes = box_convert(output.boxes[image_index].float(), "cxcywh", "xyxy")
    kept = batched_nms(boxes[queries], scores, labels, nms_iou)[:top]
    if not len(kept):
        return []
    distinct, rows = torch.unique(queries[kept], return_inverse=True)
    logits = output.masks(image_index, distinct).float()
    reach = round(edge_reach * min(network_size))
    fitted: dict[int, Tensor] = {}
    if picture is not None and reach:
        worthy = torch.unique(rows[scores[kept] >= EDGES_FROM_SCORE])
        fitted = {row: _fitted(logits[row], picture, reach) for row in worthy.tolist()}
    logits = logits.cpu()
    found: list[PredictedInstance] = []
    masks: dict[int, tuple[dict[str, Any], tuple[float, float, float, float]] | None] = {}
    for row, label, score in zip(rows.tolist(), labels[kept].tolist(), scores[kept].tolist(), strict=True):
        if row not in masks:
            cells, stride = (fitted[row], 1) if row in fitted else (logits[row], 4)
            masks[row] = full_size_mask(cells.cpu().numpy(), network_size, original_size, stride=stride)
        mask = masks[row]
        if mask is not None:
            found.append(PredictedInstance(rle=mask[0], box=mask[1], label=label, score=score))
    return found


def _fitted(logits: Tensor, picture: Tensor, reach: int) -> Tensor:
    """How far above one half the probabilities (h, w) of one mask are whose border was moved to edges of ``picture``
    (3, h, w), from its logits (h/4, w/4). Only the surroundings of the object are looked at.
    """
    height, width = picture.shape[1:]
    inside = interpolate(logits[None, None], scale_factor=4, mode="bilinear", align_corners=False)[0, 0]
    inside = inside[:height, :width].sigmoid()
    rows, columns = (torch.nonzero((inside > 0.5).any(axis))[:, 0].tolist() for axis in (1, 0))
    if rows:
        # As far as the filter looks: pixels that are farther from the object do not change.
        margin = 4 * reach
        y, x = (slice(max(0, seen[0] - margin), seen[-1] + margin + 1) for seen in (rows, columns))
        inside[y, x] = follow_edges(inside[None, y, x], picture[:, y, x], reach=reach)[0]
    return inside - 0.5


@torch.no_grad()
def predict(
    loaded: LoadedModel, image: NDArray[np.uint8], *, min_score: float = 0.001, top: int = 100
) -> list[PredictedInstance]:
    """The instances of one image, uint8 (H, W, 3) RGB, best first."""
    frame = resize_for_network(image, loaded.config.loader)
    height, width = image.shape[:2]
    return _predict_batch(loaded, [frame], [(height, width)], min_score=min_score, top=top)[0]


@torch.no_grad()
def _predict_batch(
    loaded: LoadedModel,
    frames: Sequence[NetworkInput],
    original_sizes: Sequence[tuple[int, int]],
    *,
    min_score: float,
    top: int,
) -> list[list[PredictedInstance]]:
    """The instances of frames of one network size in one pass, or in several where the device's memory ends."""
    masks = [frame.padding_mask for frame in frames if frame.padding_mask is not None]
    try:
        images = torch.cat([frame.images for frame in frames]).to(loaded.device)
        output = loaded.model(images, torch.cat(masks).to(loaded.device) if masks else None)
        return [
            predictions_from_output(
                output,
                index,
                network_size=frame.size,
                original_size=size,
                min_score=min_score,
                top=top,
                nms_iou=loaded.nms_iou,
                picture=images[index, :, : frame.size[0], : frame.size[1]],
                edge_reach=loaded.config.loader.predict_edge_reach,
            )
            for index, (frame, size) in enumerate(zip(frames, original_sizes, strict=True))
        ]
    except torch.OutOfMemoryError:
        if len(frames) == 1:
            raise
    half = len(frames) // 2
    return [
        found
        for part in (slice(half), slice(half, None))
        for found in _predict_batch(loaded, frames[part], original_sizes[part], min_score=min_score, top=top)
    ]


def predict_frames(
    loaded: LoadedModel,
    project: Project,
    frame_ids: Sequence[int],
    *,
    min_score: float = 0.001,
    top: int = 100,
    unreadable: list[RiseError] | None = None,
    batch: int | None = None,
) -> Iterator[tuple[int, list[PredictedInstance]]]:
    """The instances of each frame of a project, in the given order.

    Pictures are read ahead, and up to ``batch`` neighbours of one network size pass the network together (8, or 1 on
    a CPU, by default); frames of different sizes never do, so that each gets what it would get alone. A frame that
    cannot be read ends the prediction with its RiseError, or is skipped when ``unreadable`` is given, which then
    receives the error.
    """
    for frame_id, _, found in _predict_stream(
        loaded, project, frame_ids, min_score=min_score, top=top, unreadable=unreadable, batch=batch
    ):
        yield frame_id, found


def _predict_stream(
    loaded: LoadedModel,
    project: Project,
    frame_ids: Sequence[int],
    *,
    min_score: float,
    top: int,
    unreadable: list[RiseError] | None,
    batch: int | None,
) -> Iterator[tuple[int, NDArray[np.uint8], list[PredictedInstance]]]:
    def prepare(image: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], NetworkInput]:
        return image, resize_for_network(image, loaded.config.loader)

    most = batch or (1 if loaded.device.type == "cpu" else BATCH)
    frames = read_ahead(project, frame_ids, prepare, unreadable=unreadable, ahead=most + 2)
    for group in grouped(frames, key=lambda item: item[1][1].size, most=most):
        images = [image for _, (image, _) in group]
        found = _predict_batch(
            loaded,
            [frame for _, (_, frame) in group],
            [(image.shape[0], image.shape[1]) for image in images],
            min_score=min_score,
            top=top,
        )
        for (frame_id, _), image, predictions in zip(group, images, found, strict=True):
            yield frame_id, image, predictions


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
        for frame, image, predictions in _predict_stream(
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
    weights = next((model / name for name in RUN_WEIGHTS if (model / name).is_file()), model)
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


def load_model(source: Path | str, *, device: str = "auto") -> LoadedModel:
    """The network of a run folder (its best weights where it has them) or of a weights file that RISE wrote.

    Raises RiseError when there is nothing to load, or it was not written by RISE.
    """
    source = Path(source)
    target = choose_device(device)
    if source.is_dir():
        config, class_names = read_run_config(source)
        weights = next((source / name for name in RUN_WEIGHTS if (source / name).is_file()), None)
        if weights is None:
            raise RiseError(f"run {source} has no weights yet: train it on with `rise train --resume`")
    elif source.is_file():
        config, class_names = _read_weights_metadata(source)
        weights = source
    else:
        raise RiseError(f"there is no model at {source}: give a run folder or a .safetensors file")
    return LoadedModel(_network(config.model, weights).to(target), config, class_names, target)


def _network(config: ModelConfig, weights: Path) -> nn.Module:
    from rise_engine.model import build_segmenter
    from rise_engine.model.weights.load import load_pretrained

    model = build_segmenter(config)
    report = load_pretrained(model, weights)
    if report.missing or report.mismatched:
        raise RiseError(f"{weights} does not fit its own settings: the file is damaged, choose another run")
    return model.eval()


def read_run_config(folder: Path) -> tuple[RiseConfig, tuple[str, ...]]:
    """The settings of a run and the names of its classes. Raises RiseError when they cannot be read."""
    path = folder / "config.json"
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        return RiseConfig.model_validate(record["config"]), tuple(record["class_names"])
    except FileNotFoundError as error:
        raise RiseError(f"{folder} is no run: it has no config.json; `rise runs PROJECT` lists the runs") from error
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise RiseError(f"the settings in {path} cannot be read: train again, or choose another run") from error


def _read_weights_metadata(path: Path) -> tuple[RiseConfig, tuple[str, ...]]:
    try:
        with safe_open(path, framework="pt") as weights:
            metadata = weights.metadata() or {}
    except (SafetensorError, OSError) as error:
        raise RiseError(f"{path} is no safetensors file: give a run folder or weights that RISE wrote") from error
    if "config" not in metadata:
        raise RiseError(
            f"{path} does not say which network it belongs to: weights from elsewhere can start a training "
            "(`rise train --weights FILE`), only weights that RISE wrote can predict"
        )
    try:
        model = ModelConfig.model_validate_json(metadata["config"])
        loader = LoaderConfig.model_validate_json(metadata.get("loader", "{}"))
        class_names = tuple(json.loads(metadata.get("class_names", '["object"]')))
        return RiseConfig(model=model, loader=loader, class_agnostic=class_names == ("object",)), class_names
    except (ValueError, TypeError, RecursionError) as error:
        raise RiseError(
            f"The settings inside {path} cannot be read: the file is damaged or from a newer RISE."
        ) from error
