"""What the learning code knows of a network: images in, class scores, boxes, embeddings and masks out.

The paper's framework is model-agnostic (Sec. 1, 3); whatever follows this protocol can be trained with it.
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
        """Mask logits (len(queries), H/4, W/4) of the given queries of one image, on the padded canvas."""
        ...


class SegmenterOutput(LayerOutput, Protocol):
    """The last layer's predictions, with the embeddings and the earlier layers."""

    embeddings: Tensor
    """(B, Q, E) for the association loss."""
    layers: Sequence[LayerOutput]
    """Every decoder layer, the last one included."""

    @property
    def mask_logits(self) -> Tensor:
        """(B, Q, H/4, W/4), computed when asked for."""
        ...

    def picked_masks(self, queries: Tensor) -> Tensor:
        """Mask logits (B, K, H/4, W/4) of K queries of each image, ``queries`` (B, K); what an export traces."""
        ...


class Segmenter(Protocol):
    """A network that the engine can train, run and export: a ``torch.nn.Module`` that is called like this.

    Parameters whose names begin with ``backbone.`` learn at the backbone's rate, and the weights file holds the
    module's ``state_dict``. Nothing else about a network is known outside ``rise_engine.model``.
    """

    def __call__(self, images: Tensor, padding_mask: Tensor | None = None) -> SegmenterOutput:
        """``images`` (B, 3, H, W) float RGB 0..1; ``padding_mask`` (B, H, W), True on padding, or None."""
        ...
