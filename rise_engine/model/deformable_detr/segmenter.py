"""The network of the paper: Deformable DETR with a dynamic mask head and an embedding head (Sec. 3.1; IDOL)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from rise_engine.config import ModelConfig
from rise_engine.model.backbone.timm_backbone import STRIDES, Backbone
from rise_engine.model.class_head import reset_class_head
from rise_engine.model.deformable_detr.attention import AttentionForm, DeformableAttention, LevelSizes
from rise_engine.model.deformable_detr.mask_head import MaskFeatures, dynamic_parameter_count
from rise_engine.model.deformable_detr.output import LayerPredictions, MaskSource, Predictions
from rise_engine.model.deformable_detr.position_encoding import sine_position_encoding
from rise_engine.model.deformable_detr.transformer import (
    MLP,
    DecoderLayer,
    EncoderLayer,
    pixel_references,
    refine_boxes,
)
from rise_engine.model.padding import pad_to_multiple

LEVELS = len(STRIDES) + 1


class DeformableSegmenter(nn.Module):
    """A ``Segmenter``: each of Q learned queries becomes a class score, a box, an embedding and, on demand, a mask."""

    def __init__(self, config: ModelConfig, *, pretrained_backbone: Path | bool | None = None) -> None:
        super().__init__()
        dim = config.hidden_dim
        layer_sizes = {
            "dim": dim,
            "heads": config.num_heads,
            "levels": LEVELS,
            "points": config.num_points,
            "feedforward_dim": config.feedforward_dim,
        }
        self.config = config
        self.backbone = Backbone(config.backbone, freeze_stages=config.freeze_stages, pretrained=pretrained_backbone)
        channels = self.backbone.channels
        projections = [nn.Conv2d(count, dim, 1) for count in channels]
        projections.append(nn.Conv2d(channels[-1], dim, 3, stride=2, padding=1))
        self.input_proj = nn.ModuleList(nn.Sequential(conv, nn.GroupNorm(32, dim)) for conv in projections)
        self.level_embed = nn.Parameter(torch.empty(LEVELS, dim))
        self.encoder = nn.ModuleList(
            EncoderLayer(**layer_sizes, rate=config.dropout) for _ in range(config.encoder_layers)
        )
        self.query_embed = nn.Embedding(config.num_queries, 2 * dim)
        self.reference_points = nn.Linear(dim, 2)
        self.decoder = nn.ModuleList(
            DecoderLayer(**layer_sizes, rate=config.dropout) for _ in range(config.decoder_layers)
        )
        self.class_head = nn.ModuleList(nn.Linear(dim, config.num_classes) for _ in self.decoder)
        self.box_head = nn.ModuleList(MLP(dim, 4) for _ in self.decoder)
        self.mask_features = MaskFeatures(dim=dim, channels=config.mask_channels)
        self.mask_controller = MLP(dim, dynamic_parameter_count(config.mask_channels))
        self.embed_head = MLP(dim, dim)
        if config.attention == "deformops":
            self.set_attention_form("fused")
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Fresh values for everything but the backbone and the mask features, as in Deformable DETR.

        Two things differ from IDOL: the hidden layers of the box heads and the whole embedding head are Xavier uniform
        (the embedding head with biases of 0), where IDOL keeps torch's default for linear layers.
        """
        plain: list[nn.Module] = [self.input_proj, self.mask_controller, self.embed_head]
        for part in [*plain, self.encoder, self.decoder, self.reference_points, self.box_head]:
            _xavier(part)
        for part in plain:
            _zero_biases(part)
        nn.init.zeros_(self.reference_points.bias)
        nn.init.normal_(self.level_embed)
        for module in self.modules():
            if isinstance(module, DeformableAttention):
                module.reset_parameters()
        for layer, head in enumerate(self.box_head):
            last: Any = head.layers[-1]  # type: ignore[index]
            nn.init.zeros_(last.weight)
            nn.init.zeros_(last.bias)
            if layer == 0:
                # The first layer starts from points: its initial boxes have sigmoid(-2) of the image's sides.
                nn.init.constant_(last.bias[2:], -2.0)
        self.reset_class_heads()

    def reset_class_heads(self) -> None:
        """Initial class heads: every probability is the prior of 0.01 for any query."""
        for head in self.class_head:
            reset_class_head(head)  # type: ignore[arg-type]

    def set_attention_form(self, form: AttentionForm) -> None:
        """Selects the sampling implementation of every deformable attention; the result is the same."""
        for module in self.modules():
            if isinstance(module, DeformableAttention):
                module.form = form

    def forward(self, images: Tensor, padding_mask: Tensor | None = None) -> Predictions:
        """``images`` (B, 3, H, W) float RGB 0..1; ``padding_mask`` (B, H, W), True on padding at the right and bottom.

        Any size will do: sides are padded to a multiple of 32, and masks have ceil(H / 4) rows and ceil(W / 4)
        columns. Boxes are relative to the unpadded image.
        """
        height, width = images.shape[-2:]
        images, padding_mask = pad_to_multiple(images, padding_mask)
        maps = self._project(images, padding_mask)
        sizes = [(level.shape[-2], level.shape[-1]) for level in maps]
        extents = _Extents(images, padding_mask, sizes, coarsest_from_finest=self.config.padding == "idol")
        memory = self._encode(maps, extents)
        areas = [rows * columns for rows, columns in sizes[: len(STRIDES)]]
        finest = memory[:, : sum(areas)].split(areas, 1)
        source = MaskSource(
            features=self.mask_features(
                [part.transpose(1, 2).unflatten(-1, size) for part, size in zip(finest, sizes, strict=False)]
            ),
            controller=self.mask_controller,
            extent=extents.extent.expand(memory.shape[0], -1),
            size=(-(-height // 4), -(-width // 4)),
        )
        layers = self._decode(memory, extents, source)
        last = layers[-1]
        return Predictions(
            class_logits=last.class_logits,
            boxes=last.boxes,
            hidden=last.hidden,
            references=last.references,
            mask_source=source,
            embeddings=self.embed_head(last.hidden),
            layers=layers,
        )

    def _project(self, images: Tensor, padding_mask: Tensor | None) -> list[Tensor]:
        """Feature maps (B, D, h, w) of stride 8, 16, 32 and 64."""
        maps = self.backbone(images, padding_mask)
        return [project(source) for project, source in zip(self.input_proj, [*maps, maps[-1]], strict=True)]

    def _encode(self, maps: list[Tensor], extents: _Extents) -> Tensor:
        dim = self.config.hidden_dim
        memory = torch.cat([level.flatten(2).transpose(1, 2) for level in maps], 1)
        counted = self.config.padding != "rise" and extents.padding is not None
        positions = [
            sine_position_encoding(size, dim, extents.valid[:, level], counted=counted) + self.level_embed[level]
            for level, size in enumerate(extents.sizes)
        ]
        position = torch.cat(positions, 1)
        references = pixel_references(extents.sizes, extents.valid_ratios)
        for layer in self.encoder:
            memory = self._run_layer(layer, memory, position, references, extents.sizes, extents.padding)
        return memory

    def _run_layer(self, layer: nn.Module, *inputs: Any) -> Tensor:
        """The output of the layer; with ``checkpointing``, only its inputs are kept for the gradient."""
        if self.config.checkpointing and self.training and torch.is_grad_enabled():
            result: Tensor = checkpoint(layer, *inputs, use_reentrant=False)
            return result
        return layer(*inputs)

    def _decode(self, memory: Tensor, extents: _Extents, source: MaskSource) -> list[LayerPredictions]:
        batch = memory.shape[0]
        position, queries = self.query_embed.weight.expand(batch, -1, -1).chunk(2, -1)
        # Half precision would round boxes and sampling locations by a pixel.
        full_precision = torch.autocast(memory.device.type, enabled=False)
        with full_precision:
            references = self.reference_points(position).float().sigmoid()
        layers: list[LayerPredictions] = []
        for layer, class_head, box_head in zip(self.decoder, self.class_head, self.box_head, strict=True):
            ratios = extents.valid_ratios.repeat(1, 1, references.shape[-1] // 2)
            scaled_references = references[:, :, None] * ratios[:, None]
            queries = self._run_layer(
                layer, queries, position, scaled_references, memory, extents.sizes, extents.padding
            )
            with full_precision:
                boxes = refine_boxes(box_head(queries).float(), references)
            layers.append(LayerPredictions(class_head(queries), boxes, queries, references[..., :2], source))
            references = boxes.detach()
        return layers


class _Extents:
    """The unpadded size of each image of a padded batch, in the image and in every level."""

    def __init__(
        self, images: Tensor, padding_mask: Tensor | None, sizes: LevelSizes, *, coarsest_from_finest: bool
    ) -> None:
        self.sizes = sizes
        self.padding: Tensor | None = None
        """(B, N) True where the flattened levels are padding; None without any."""
        if padding_mask is None:
            whole = [(images.shape[-2], images.shape[-1]), *sizes]
            counts = torch.tensor(whole, dtype=torch.float32, device=images.device)[None]
        else:
            # Nearest, as torch's own resizing of masks: pixel i of a level shows pixel floor(i * stride) of the image.
            levels = [_resized(padding_mask, size) for size in sizes]
            if coarsest_from_finest:
                levels[-1] = _resized(levels[0], sizes[-1])
            self.padding = torch.cat([level.flatten(1) for level in levels], 1)
            counts = torch.stack(
                [
                    torch.stack([(~mask[:, :, 0]).sum(1), (~mask[:, 0]).sum(1)], -1).float()
                    for mask in (padding_mask, *levels)
                ],
                1,
            )
        self.extent = counts[:, 0].flip(-1)
        """(B or 1, 2) width and height of the unpadded images."""
        self.valid = counts[:, 1:]
        """(B or 1, L, 2) rows and columns of each level that are image."""
        self.valid_ratios = (self.valid / torch.tensor(sizes, device=images.device)).flip(-1)
        """(B or 1, L, 2) share of each level's width and height that is image."""


def _resized(mask: Tensor, size: tuple[int, int]) -> Tensor:
    """A mask bool (B, H, W) at another size, each pixel the nearest one of the mask."""
    return F.interpolate(mask[:, None].float(), size)[:, 0].bool()


def _xavier(part: nn.Module) -> None:
    for parameter in part.parameters():
        if parameter.dim() > 1:
            nn.init.xavier_uniform_(parameter)


def _zero_biases(part: nn.Module) -> None:
    for name, parameter in part.named_parameters():
        if name.endswith("bias"):
            nn.init.zeros_(parameter)
