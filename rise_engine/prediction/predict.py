"""Predict the instances of one image, of a batch, or of the frames of a project."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from rise_engine.errors import RiseError
from rise_engine.prediction.load import LoadedModel
from rise_engine.prediction.postprocess import predictions_from_output
from rise_engine.prediction.preprocess import NetworkInput, resize_for_network
from rise_engine.prediction.read_ahead import grouped, read_ahead
from rise_engine.project.records import PredictedInstance

if TYPE_CHECKING:
    from rise_engine.project.project import Project

BATCH = 8
"""Frames in one pass on a GPU; on a CPU, passing them together gains nothing."""


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
    for frame_id, _, found in predict_stream(
        loaded, project, frame_ids, min_score=min_score, top=top, unreadable=unreadable, batch=batch
    ):
        yield frame_id, found


def predict_stream(
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
