"""Predict the instances of one image, of a batch of images, or of many frames of a project."""

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
from rise_engine.prediction.read_ahead import batches_by_key, read_ahead
from rise_engine.project.records import PredictedInstance

if TYPE_CHECKING:
    from rise_engine.project.project import Project

GPU_BATCH = 8
"""Frames in one pass on a GPU. A CPU takes one frame at a time: batches are no faster there."""


@torch.no_grad()
def predict(
    loaded: LoadedModel, image: NDArray[np.uint8], *, min_score: float = 0.001, top: int = 100
) -> list[PredictedInstance]:
    """The instances of one image, uint8 (H, W, 3) RGB, the highest score first."""
    network_input = resize_for_network(image, loaded.config.loader)
    height, width = image.shape[:2]
    return _predict_batch(loaded, [network_input], [(height, width)], min_score=min_score, top=top)[0]


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
    """Yields the id and the instances of each frame, in the given order.

    Images are read ahead in a thread. Up to ``batch`` consecutive frames of one network size pass the network
    together (default: 8 on a GPU, 1 on a CPU). Frames of different sizes are never batched, so each frame gets the
    same result as alone. A frame that cannot be read ends the prediction with its RiseError. When ``unreadable`` is
    given, the frame is skipped and its error is appended there instead.
    """
    for frame_id, _, found in predict_frames_and_images(
        loaded, project, frame_ids, min_score=min_score, top=top, unreadable=unreadable, batch=batch
    ):
        yield frame_id, found


def predict_frames_and_images(
    loaded: LoadedModel,
    project: Project,
    frame_ids: Sequence[int],
    *,
    min_score: float,
    top: int = 100,
    unreadable: list[RiseError] | None,
    batch: int | None,
) -> Iterator[tuple[int, NDArray[np.uint8], list[PredictedInstance]]]:
    """As ``predict_frames``, and yields the image uint8 (H, W, 3) of each frame too."""

    def prepare(image: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], NetworkInput]:
        return image, resize_for_network(image, loaded.config.loader)

    limit = batch or (1 if loaded.device.type == "cpu" else GPU_BATCH)
    frames = read_ahead(project, frame_ids, prepare, unreadable=unreadable, ahead=limit + 2)
    for group in batches_by_key(frames, key=lambda item: item[1][1].size, limit=limit):
        images = [image for _, (image, _) in group]
        found = _predict_batch(
            loaded,
            [network_input for _, (_, network_input) in group],
            [(image.shape[0], image.shape[1]) for image in images],
            min_score=min_score,
            top=top,
        )
        for (frame_id, _), image, predictions in zip(group, images, found, strict=True):
            yield frame_id, image, predictions


@torch.no_grad()
def _predict_batch(
    loaded: LoadedModel,
    inputs: Sequence[NetworkInput],
    original_sizes: Sequence[tuple[int, int]],
    *,
    min_score: float,
    top: int,
) -> list[list[PredictedInstance]]:
    """The instances of frames of one network size. A batch too large for the device's memory is halved."""
    masks = [one.padding_mask for one in inputs if one.padding_mask is not None]
    try:
        images = torch.cat([one.images for one in inputs]).to(loaded.device)
        output = loaded.model(images, torch.cat(masks).to(loaded.device) if masks else None)
        return [
            predictions_from_output(
                output,
                index,
                network_size=one.size,
                original_size=size,
                min_score=min_score,
                top=top,
                nms_iou=loaded.nms_iou,
                image=images[index, :, : one.size[0], : one.size[1]],
                edge_reach=loaded.config.loader.predict_edge_reach,
            )
            for index, (one, size) in enumerate(zip(inputs, original_sizes, strict=True))
        ]
    except torch.OutOfMemoryError:
        if len(inputs) == 1:
            raise
    half = len(inputs) // 2
    return [
        found
        for part in (slice(half), slice(half, None))
        for found in _predict_batch(loaded, inputs[part], original_sizes[part], min_score=min_score, top=top)
    ]
