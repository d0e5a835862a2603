"""A network that looks at every image twice, for whoever only predicts: as its teacher does in training."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from rise_engine.errors import RiseError
from rise_engine.method.extensions.test_time import SAME_PLACE, predict_augmented
from rise_engine.model.segmenter import Segmenter, SegmenterOutput
from rise_engine.prediction.load import LoadedModel

LARGER = 1.25
"""The second look's size, in that of the only look otherwise: 1 + 1.25 * 1.25 = 2.6 times the work."""
LOOKS = 2


class LookingTwice:
    """A ``Segmenter`` whose output merges what ``model`` sees in an image made smaller and in its mirror image."""

    def __init__(self, model: Segmenter, device: torch.device) -> None:
        self.model = model
        self.device = device

    def __call__(self, images: Tensor, padding_mask: Tensor | None = None) -> SegmenterOutput:
        """As ``Segmenter``; the queries of both looks stand side by side."""
        sizes = [(images.shape[-2], images.shape[-1])] * len(images)
        if padding_mask is not None:
            sizes = [(int((~mask[:, 0]).sum()), int((~mask[0]).sum())) for mask in padding_mask]
        frames = [image[:, :height, :width] for image, (height, width) in zip(images, sizes, strict=True)]
        return predict_augmented(
            self.model,
            frames,
            scales=(1 / LARGER, 1.0),
            mirror=True,
            device=self.device,
        )


def looking(loaded: LoadedModel, looks: int) -> LoadedModel:
    """``loaded`` as it is for one look, or looking twice; RiseError for any other number.

    Frames are read larger, for the second look to see more than the first. Both looks have a query for the same object,
    with the same score; the boxes of these overlap by ``SAME_PLACE`` at least, so that is where one of them has to go.
    """
    if looks == 1:
        return loaded
    if looks != LOOKS:
        raise RiseError(f"--looks {looks} does not exist: look once, or twice with --looks 2")
    loader = loaded.config.loader
    sides = {name: round(getattr(loader, name) * LARGER) for name in ("predict_short_side", "predict_long_side")}
    config = loaded.config.model_copy(update={"loader": loader.model_copy(update=sides)})
    return replace(loaded, model=LookingTwice(loaded.model, loaded.device), config=config, nms_iou=SAME_PLACE)
