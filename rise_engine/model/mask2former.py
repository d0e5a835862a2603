"""Mask2Former as a ``Segmenter``: the pixel and transformer decoders of the transformers library, our own heads.

Three things differ from the published network (Mask2Former, Sec. 3), because the losses need them. Classes are C
sigmoids from a new head with the prior 0.01, instead of a softmax with "no object". Every layer
also predicts a box, refined from layer to layer as in Deformable DETR: matching and the box losses need a box with
a gradient, which the box of a mask does not have. The last queries pass an embedding head, for the association.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rise_engine.config import ModelConfig
from rise_engine.errors import RiseError
from rise_engine.model.backbone.timm_backbone import STRIDES, Backbone
from rise_engine.model.class_head import reset_class_head
from rise_engine.model.deformable_detr.transformer import MLP, refine_boxes
from rise_engine.model.padding import pad_to_multiple
from rise_engine.model.segmenter import LayerOutput

MASK_STRIDE = 4
FIRST_SIDE = -2.0
"""Logit of the initial box sides: sigmoid(-2) = 0.119 of the padded image, as in Deformable DETR."""


class Mask2FormerSegmenter(nn.Module):
    """A ``Segmenter``: learned queries that attend to what their own mask of the layer before covers.

    ``num_points`` and ``mask_channels`` of ``ModelConfig`` are not used: the pixel decoder always samples four points
    on three levels, and mask embeddings have the width of the queries.
    """

    def __init__(self, config: ModelConfig, *, pretrained_backbone: Path | bool | None = None) -> None:
        super().__init__()
        dim = config.hidden_dim
        self.config = config
        self.backbone = Backbone(
            config.backbone,
            freeze_stages=config.freeze_stages,
            pretrained=pretrained_backbone,
            strides=(MASK_STRIDE, *STRIDES),
        )
        self.pixel_decoder, self.transformer = _decoders(config, self.backbone.channels)
        self.reference_points = nn.Linear(dim, 2)
        # One head of each kind serves all layers, as Mask2Former's own mask head does.
        self.class_head = nn.Linear(dim, config.num_classes)
        self.box_head = MLP(dim, 4)
        self.embed_head = MLP(dim, dim)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Initial values of the heads; the two decoders keep those of Mask2Former."""
        for module in (*self.box_head.layers, *self.embed_head.layers, self.reference_points):
            nn.init.xavier_uniform_(module.weight)
            nn.init.zeros_(module.bias)
        nn.init.zeros_(self.box_head.layers[-1].weight)  # type: ignore[arg-type]
        self.reset_class_heads()

    def reset_class_heads(self) -> None:
        """Initial class head: every probability is the prior of 0.01 for any query."""
        reset_class_head(self.class_head)

    def forward(self, images: Tensor, padding_mask: Tensor | None = None) -> Mask2FormerPredictions:
        """``images`` (B, 3, H, W) float RGB 0..1; ``padding_mask`` (B, H, W), True on padding at the right and bottom.

        Any size will do; masks have ceil(H / 4) rows and ceil(W / 4) columns. Padding is black to the backbone and
        the pixel decoder, as in Mask2Former; queries never attend to it, and boxes are relative to the image alone.
        """
        size = (-(-images.shape[-2] // MASK_STRIDE), -(-images.shape[-1] // MASK_STRIDE))
        images, padding_mask = pad_to_multiple(images, padding_mask)
        decoded = self.pixel_decoder(self.backbone(images, padding_mask))
        layers = self._decode(decoded.multi_scale_features, decoded.mask_features, padding_mask, size)
        last = layers[-1]
        return Mask2FormerPredictions(
            class_logits=last.class_logits,
            boxes=last.boxes,
            hidden=last.hidden,
            mask_embeddings=last.mask_embeddings,
            pixels=last.pixels,
            size=size,
            embeddings=self.embed_head(last.hidden),
            layers=layers,
        )

    def _decode(
        self, levels: Sequence[Tensor], pixels: Tensor, padding_mask: Tensor | None, size: tuple[int, int]
    ) -> list[Mask2FormerLayer]:
        """Predictions of the learned queries as they are, and after each of the decoder's layers.

        ``levels`` (B, D, h, w) of stride 32, 16 and 8 take turns; ``pixels`` (B, D, H / 4, W / 4).
        """
        transformer, batch = self.transformer, pixels.shape[0]
        keys = [
            _by_position(project(level)) + embedding
            for project, level, embedding in zip(
                transformer.input_projections, levels, transformer.level_embed.weight, strict=True
            )
        ]
        positions = [
            _by_position(transformer.position_embedder(level.shape, level.device, level.dtype)) for level in levels
        ]
        attendable = [_Attendable(pixels, (level.shape[-2], level.shape[-1]), padding_mask) for level in levels]
        extent = _extent(padding_mask)
        query_position = transformer.queries_embedder.weight[:, None].expand(-1, batch, -1)  # (Q, B, D)
        queries = transformer.queries_features.weight[:, None].expand(-1, batch, -1)
        starts = self.reference_points(transformer.queries_embedder.weight).float()
        references = F.pad(starts, (0, 2), value=FIRST_SIDE).sigmoid().expand(batch, -1, -1)
        layers: list[Mask2FormerLayer] = []
        for turn in range(len(transformer.decoder.layers) + 1):
            if turn > 0:
                level = (turn - 1) % len(levels)
                hidden_from = attendable[level].hidden_from(layers[-1].mask_embeddings, self.config.num_heads)
                (queries,) = transformer.decoder.layers[turn - 1](
                    queries, level, None, positions, query_position, keys, encoder_attention_mask=hidden_from
                )
            hidden = transformer.decoder.layernorm(queries).transpose(0, 1)
            references = refine_boxes(self.box_head(hidden).float(), references)
            layers.append(
                Mask2FormerLayer(
                    class_logits=self.class_head(hidden),
                    boxes=references if extent is None else references / extent.repeat(1, 2)[:, None],
                    hidden=hidden,
                    mask_embeddings=transformer.decoder.mask_predictor.mask_embedder(hidden),
                    pixels=pixels,
                    size=size,
                )
            )
            references = references.detach()
        return layers


@dataclass(eq=False)
class Mask2FormerLayer:
    """One decoder layer's predictions; see ``LayerOutput``."""

    class_logits: Tensor
    boxes: Tensor
    hidden: Tensor
    """(B, Q, D) the normalised queries after this layer."""
    mask_embeddings: Tensor
    """(B, Q, D) mask embeddings: a mask logit is the dot product with the pixel's embedding."""
    pixels: Tensor
    """(B, D, H / 4, W / 4) pixel embeddings of the padded image."""
    size: tuple[int, int]
    """Rows and columns of a mask."""

    def masks(self, image: int, queries: Tensor) -> Tensor:
        """Mask logits (len(queries), H / 4, W / 4) of the given queries of one image, on the padded image."""
        return self._masks(self.mask_embeddings[image, queries][None], self.pixels[image : image + 1])[0]

    def picked_masks(self, queries: Tensor) -> Tensor:
        """Mask logits (B, K, H / 4, W / 4) of K queries of each image, ``queries`` (B, K)."""
        index = queries[..., None].expand(-1, -1, self.mask_embeddings.shape[-1])
        return self._masks(self.mask_embeddings.gather(1, index), self.pixels)

    def _masks(self, embeddings: Tensor, pixels: Tensor) -> Tensor:
        with torch.autocast(pixels.device.type, enabled=False):
            logits = torch.einsum("bqc,bchw->bqhw", embeddings.float(), pixels.float())
        return logits[..., : self.size[0], : self.size[1]]


@dataclass(eq=False)
class Mask2FormerPredictions(Mask2FormerLayer):
    """The last layer's predictions with all layers; see ``SegmenterOutput``."""

    embeddings: Tensor
    layers: Sequence[LayerOutput]
    """Predictions of the learned queries, which Mask2Former supervises too, then those after each layer."""

    @cached_property
    def mask_logits(self) -> Tensor:
        """(B, Q, H / 4, W / 4), computed at the first use."""
        return self._masks(self.mask_embeddings, self.pixels)


class _Attendable:
    """Masked attention: a query attends to the pixels of one level that its mask covers, or to all if it covers none.

    The mask must have the level's resolution. Resizing is linear, so the pixel embeddings are resized once instead of
    every query's mask at every layer. No gradient passes through the mask.
    """

    def __init__(self, pixels: Tensor, size: tuple[int, int], padding_mask: Tensor | None) -> None:
        with torch.autocast(pixels.device.type, enabled=False):
            resized = F.interpolate(pixels.detach().float(), size, mode="bilinear", align_corners=False)
        self.pixels = resized.flatten(2)
        self.padding: Tensor | None = None
        if padding_mask is not None:
            self.padding = F.interpolate(padding_mask[:, None].float(), size).bool().flatten(2)  # (B, 1, hw)

    @torch.no_grad()
    def hidden_from(self, mask_embeddings: Tensor, heads: int) -> Tensor:
        """Bool (B * heads, Q, h * w), True where a query must not attend, from mask embeddings (B, Q, D)."""
        with torch.autocast(mask_embeddings.device.type, enabled=False):
            outside = mask_embeddings.float() @ self.pixels < 0
        if self.padding is not None:
            outside = outside | self.padding
        # A product instead of an index, so that an export does not depend on the values.
        outside = outside & ~outside.all(-1, keepdim=True)
        if self.padding is not None:
            outside = outside | self.padding
        return outside[:, None].expand(-1, heads, -1, -1).flatten(0, 1)


def _by_position(maps: Tensor) -> Tensor:
    """(B, D, h, w) as (h * w, B, D)."""
    return maps.flatten(2).permute(2, 0, 1)


def _extent(padding_mask: Tensor | None) -> Tensor | None:
    """(B, 2) share of the canvas' width and height that is image; None without padding."""
    if padding_mask is None:
        return None
    valid = ~padding_mask
    return torch.stack([valid[:, 0].float().mean(1), valid[:, :, 0].float().mean(1)], -1)


def _decoders(config: ModelConfig, channels: Sequence[int]) -> tuple[Any, Any]:
    """Mask2Former's pixel decoder and transformer decoder with random weights, for backbone maps of these channels."""
    try:
        from transformers import Mask2FormerConfig
        from transformers.models.mask2former import modeling_mask2former as library
    except ImportError as error:
        raise RiseError(
            "model.kind=mask2former needs the transformers library: pip install 'rise-napari[mask2former]'"
        ) from error
    if config.hidden_dim % config.num_heads:
        raise RiseError(
            f"model.hidden_dim={config.hidden_dim} is no multiple of model.num_heads={config.num_heads}: change one"
        )
    settings = Mask2FormerConfig(
        feature_size=config.hidden_dim,
        mask_feature_size=config.hidden_dim,
        hidden_dim=config.hidden_dim,
        encoder_feedforward_dim=config.feedforward_dim,
        dim_feedforward=config.feedforward_dim,
        encoder_layers=config.encoder_layers,
        # The library counts the predictions of the learned queries as a layer.
        decoder_layers=config.decoder_layers + 1,
        num_attention_heads=config.num_heads,
        dropout=config.dropout,
        num_queries=config.num_queries,
    )

    class Parts(library.Mask2FormerPreTrainedModel):
        """Both decoders under the class that knows how the library initialises them."""

        def __init__(self) -> None:
            super().__init__(settings)
            self.pixel_decoder = library.Mask2FormerPixelDecoder(settings, feature_channels=list(channels))
            self.transformer = library.Mask2FormerTransformerModule(config.hidden_dim, settings)
            self.post_init()

    parts = Parts()
    return parts.pixel_decoder, parts.transformer
