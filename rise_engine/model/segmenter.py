"""The interface of every network: images in, class scores, boxes, embeddings and masks out.

The paper's framework is model-agnostic (Sec. 1, 3); every network with this protocol can be trained with it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from torch import Tensor


class LayerOutput(Protocol):
    """Predictions of one decoder layer for a batch of B images and Q queries."""

    class_logits: Tensor
    """(B, Q, C), one sigmoid per class, no background class."""
    boxes: Tensor
    """(B, Q, 4) cxcywh, 0..1 of the unpadded image."""

    def masks(self, image: int, queries: Tensor) -> Tensor:
        """Mask logits (len(queries), H/4, W/4) of the given queries of one image, on the padded image."""
        ...


class SegmenterOutput(LayerOutput, Protocol):
    """The last layer's predictions, with the embeddings and the earlier layers."""

    embeddings: Tensor
    """(B, Q, E) for the association loss."""
    layers: Sequence[LayerOutput]
    """Every decoder layer, the last one included."""

    @property
    def mask_logits(self) -> Tensor:
        """(B, Q, H/4, W/4), computed at the first use."""
        ...

    def picked_masks(self, queries: Tensor) -> Tensor:
        """Mask logits (B, K, H/4, W/4) of K queries of each image, ``queries`` (B, K); for exports."""
        ...


class Segmenter(Protocol):
    """A network that the engine can train, run and export: a ``torch.nn.Module`` that is called like this.

    Parameters with names ``backbone.*`` have the backbone's learning rate, and the weights file holds the
    module's ``state_dict``. Code outside ``rise_engine.model`` uses nothing else of a network.
    """

    def __call__(self, images: Tensor, padding_mask: Tensor | None = None) -> SegmenterOutput:
        """``images`` (B, 3, H, W) float RGB 0..1; ``padding_mask`` (B, H, W), True on padding, or None."""
        ...
