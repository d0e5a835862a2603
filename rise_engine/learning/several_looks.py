"""A network that looks at every image twice, for whoever only predicts: as its teacher does in training."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from rise_engine.errors import RiseError
from rise_engine.inference import LoadedModel
from rise_engine.learning.test_time_augmentation import predict_augmented
from rise_engine.model.segmenter import Segmenter, SegmenterOutput

SCALES = (1.0, 1.25)
"""Of the looks, every second of which is at the mirror image: 1 + 1.25 * 1.25 = 2.6 times the work of one."""


class LookingTwice:
    """A ``Segmenter`` whose output merges what ``model`` sees in an image and in its larger mirror image."""

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
            self.model,  # type: ignore[arg-type]  # our networks are modules, which the protocol does not say
            frames,
            scales=SCALES,
            mirror=True,
            device=self.device,
        )


def looking(loaded: LoadedModel, looks: int) -> LoadedModel:
    """``loaded`` as it is for one look, or looking twice; RiseError for any other number."""
    if looks not in (1, len(SCALES)):
        raise RiseError(f"--looks {looks} does not exist: look once, or twice with --looks 2")
    return loaded if looks == 1 else replace(loaded, model=LookingTwice(loaded.model, loaded.device))
