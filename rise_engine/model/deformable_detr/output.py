"""Output of Deformable DETR: scores and boxes of all queries, masks computed on request."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from rise_engine.model.deformable_detr.mask_head import mask_logits
from rise_engine.model.segmenter import LayerOutput


@dataclass(frozen=True, eq=False)
class MaskSource:
    """Inputs of the mask computation, shared by all layers of one forward pass."""

    features: Tensor
    """(B, C, H / 8, W / 8) mask features of the padded image."""
    controller: Callable[[Tensor], Tensor]
    """Hidden states (..., D) to the parameters of their mask networks."""
    extent: Tensor
    """(B, 2) width and height of each unpadded image, in pixels."""
    size: tuple[int, int]
    """Rows and columns of a mask."""

    def masks(self, hidden: Tensor, references: Tensor, image: int | None = None) -> Tensor:
        """Logits (B, n, *size) of hidden states (B, n, D) with references (B, n, 2), 0..1 of the unpadded image.

        With ``image``, the first dimension is 1: that image of the batch.
        """
        chosen = slice(None) if image is None else slice(image, image + 1)
        pixels = references * self.extent[chosen, None]
        logits = mask_logits(self.features[chosen], self.controller(hidden), pixels)
        return logits[..., : self.size[0], : self.size[1]]


@dataclass(eq=False)
class LayerPredictions:
    """One decoder layer's predictions; see ``LayerOutput``."""

    class_logits: Tensor
    boxes: Tensor
    hidden: Tensor
    """(B, Q, D) the queries after this layer."""
    references: Tensor
    """(B, Q, 2) reference points of the layer, 0..1 of the unpadded image; masks are relative to them."""
    mask_source: MaskSource

    def masks(self, image: int, queries: Tensor) -> Tensor:
        """Mask logits (len(queries), H / 4, W / 4) of the given queries of one image, on the padded image."""
        hidden, references = self.hidden[image, queries], self.references[image, queries]
        return self.mask_source.masks(hidden[None], references[None], image)[0]

    def picked_masks(self, queries: Tensor) -> Tensor:
        """Mask logits (B, K, H / 4, W / 4) of K queries of each image, ``queries`` (B, K)."""
        index = queries[..., None]
        hidden = self.hidden.gather(1, index.expand(-1, -1, self.hidden.shape[-1]))
        return self.mask_source.masks(hidden, self.references.gather(1, index.expand(-1, -1, 2)))


@dataclass(eq=False)
class Predictions(LayerPredictions):
    """The last layer's predictions with all layers; see ``SegmenterOutput``."""

    embeddings: Tensor
    layers: Sequence[LayerOutput]

    @cached_property
    def mask_logits(self) -> Tensor:
        """(B, Q, H / 4, W / 4), computed at the first use."""
        everything = torch.arange(self.hidden.shape[1], device=self.hidden.device)
        return self.picked_masks(everything.expand(self.hidden.shape[0], -1))
