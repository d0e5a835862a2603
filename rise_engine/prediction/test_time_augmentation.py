"""Test-time augmentation of a prediction (`--looks 2`): the image and its mirror image at two scales, merged."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from rise_engine.errors import RiseError
from rise_engine.method.extensions.test_time import SAME_PLACE, predict_augmented
from rise_engine.model.segmenter import Segmenter, SegmenterOutput
from rise_engine.prediction.load import LoadedModel

SCALE = 1.25
"""Size of the second pass relative to the only pass of a plain prediction: 1 + 1.25 * 1.25 = 2.6 times the work."""
PASSES = 2


class AugmentedSegmenter:
    """A ``Segmenter`` that merges the outputs of ``model`` for the smaller image and for the mirrored image."""

    def __init__(self, model: Segmenter, device: torch.device) -> None:
        self.model = model
        self.device = device

    def __call__(self, images: Tensor, padding_mask: Tensor | None = None) -> SegmenterOutput:
        """As ``Segmenter``; the output has the queries of both passes."""
        sizes = [(images.shape[-2], images.shape[-1])] * len(images)
        if padding_mask is not None:
            sizes = [(int((~mask[:, 0]).sum()), int((~mask[0]).sum())) for mask in padding_mask]
        frames = [image[:, :height, :width] for image, (height, width) in zip(images, sizes, strict=True)]
        return predict_augmented(
            self.model,
            frames,
            scales=(1 / SCALE, 1.0),
            mirror=True,
            device=self.device,
        )


def with_test_time_augmentation(loaded: LoadedModel, passes: int) -> LoadedModel:
    """``loaded`` unchanged for one pass, with test-time augmentation for two; RiseError for any other number.

    Images are loaded larger, so that the second pass sees more detail than the first. Both passes have a query with
    the same score for the same object, and their boxes overlap by at least ``SAME_PLACE``: the NMS at this IoU removes
    one of them.
    """
    if passes == 1:
        return loaded
    if passes != PASSES:
        raise RiseError(f"--looks {passes} is not supported: choose 1, or 2 for test-time augmentation.")
    loader = loaded.config.loader
    sides = {name: round(getattr(loader, name) * SCALE) for name in ("predict_short_side", "predict_long_side")}
    config = loaded.config.model_copy(update={"loader": loader.model_copy(update=sides)})
    return replace(loaded, model=AugmentedSegmenter(loaded.model, loaded.device), config=config, nms_iou=SAME_PLACE)
