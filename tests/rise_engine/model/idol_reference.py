"""IDOL's forward pass, stated once more from its published formulas, as an oracle for our network.

Slow and plain on purpose: one loop per head, level and point, one small network per query. It reads a state dict in
IDOL's own names and shares no code with the package. The feature maps of the backbone are given.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

HEADS, POINTS, LEVELS = 4, 4, 4
"""Of the tiny network that is compared; IDOL has 8 heads."""


@dataclass(frozen=True)
class Outputs:
    """Last layer: ``logits`` (B, Q, C), ``boxes`` (B, Q, 4), ``embeddings`` (B, Q, D), ``masks`` (B, Q, h, w)."""

    logits: Tensor
    boxes: Tensor
    embeddings: Tensor
    masks: Tensor


def idol_forward(
    state: Mapping[str, Tensor], maps: Sequence[Tensor], padding: Tensor, sizes: Sequence[tuple[int, int]]
) -> Outputs:
    """``maps``: strides 8, 16, 32; ``padding`` (B, H, W) True on padding; ``sizes``: unpadded (height, width) each."""
    detr = {name.removeprefix("detr.detr."): tensor for name, tensor in state.items()}
    sources = [_project(detr, level, source) for level, source in enumerate([*maps, maps[-1]])]
    masks = [_nearest(padding, source.shape[-2:]) for source in sources[:3]]
    # IDOL takes the mask of the extra level from the one of stride 8, not from the image's.
    masks.append(_nearest(masks[0], sources[3].shape[-2:]))
    positions = [
        _position(mask, source.shape[1]) + detr["transformer.level_embed"][level][:, None, None]
        for level, (mask, source) in enumerate(zip(masks, sources, strict=True))
    ]
    ratios = torch.stack([_valid_ratio(mask) for mask in masks], 1)
    memory = _encoder(detr, sources, positions, masks, ratios)
    hidden, logits, boxes, references = _decoder(detr, memory, sources, masks, ratios)
    outer = {name.removeprefix("detr."): tensor for name, tensor in state.items()}
    features = _mask_features(outer, memory, sources)
    parameters = _perceptron(outer, "controller", hidden)
    return Outputs(
        logits=logits,
        boxes=boxes,
        embeddings=_perceptron(outer, "reid_embed_head", hidden),
        masks=torch.stack(
            [
                torch.stack(
                    [
                        _query_mask(features[image], parameters[image, query], references[image, query], size)
                        for query in range(hidden.shape[1])
                    ]
                )
                for image, size in enumerate(sizes)
            ]
        ),
    )


def _project(detr: Mapping[str, Tensor], level: int, source: Tensor) -> Tensor:
    weight, bias = detr[f"input_proj.{level}.0.weight"], detr[f"input_proj.{level}.0.bias"]
    extra = {"stride": 2, "padding": 1} if level == 3 else {}
    projected = F.conv2d(source, weight, bias, **extra)
    return F.group_norm(projected, 32, detr[f"input_proj.{level}.1.weight"], detr[f"input_proj.{level}.1.bias"])


def _nearest(mask: Tensor, size: Sequence[int]) -> Tensor:
    return F.interpolate(mask[None].double(), size=tuple(size))[0].bool()


def _position(mask: Tensor, dim: int) -> Tensor:
    """(B, dim, h, w): rows first, then columns; counted per column and per row, also where all of it is padding."""
    codes = []
    for axis in (1, 2):
        counted = (~mask).cumsum(axis, dtype=torch.float32)
        phase = (counted - 0.5) / (counted.select(axis, -1).unsqueeze(axis) + 1e-6) * 2 * math.pi
        for index in range(dim // 2):
            angle = phase / 10_000 ** (2 * (index // 2) / (dim // 2))
            codes.append(angle.cos() if index % 2 else angle.sin())
    return torch.stack(codes, 1)


def _valid_ratio(mask: Tensor) -> Tensor:
    """(B, 2): the share of the width and of the height that is image."""
    height, width = mask.shape[1:]
    return torch.stack([(~mask[:, 0]).sum(1) / width, (~mask[:, :, 0]).sum(1) / height], -1)


def _deformable_attention(
    detr: Mapping[str, Tensor],
    prefix: str,
    query: Tensor,
    references: Tensor,
    memory: Tensor,
    masks: Sequence[Tensor],
) -> Tensor:
    """``references`` (B, N, L, 2 or 4), already multiplied by each level's valid ratios."""

    def linear(name: str, values: Tensor) -> Tensor:
        return F.linear(values, detr[f"{prefix}.{name}.weight"], detr[f"{prefix}.{name}.bias"])

    batch, count, dim = query.shape
    padding = torch.cat([mask.flatten(1) for mask in masks], 1)
    value = linear("value_proj", memory).masked_fill(padding[..., None], 0.0).unflatten(-1, (HEADS, dim // HEADS))
    offsets = linear("sampling_offsets", query).view(batch, count, HEADS, LEVELS, POINTS, 2)
    weights = linear("attention_weights", query).view(batch, count, HEADS, LEVELS * POINTS).softmax(-1)
    weights = weights.view(batch, count, HEADS, LEVELS, POINTS)
    result = query.new_zeros(batch, count, HEADS, dim // HEADS)
    start = 0
    for level, mask in enumerate(masks):
        height, width = mask.shape[1:]
        plane = value[:, start : start + height * width].permute(0, 2, 3, 1).unflatten(-1, (height, width))
        start += height * width
        for head in range(HEADS):
            for point in range(POINTS):
                offset, at = offsets[:, :, head, level, point], references[:, :, level]
                if at.shape[-1] == 2:
                    where = at + offset / offset.new_tensor([width, height])
                else:
                    where = at[..., :2] + offset / POINTS * at[..., 2:] * 0.5
                sampled = F.grid_sample(plane[:, head], 2 * where[:, :, None] - 1, align_corners=False)
                result[:, :, head] += sampled[..., 0].transpose(1, 2) * weights[:, :, head, level, point, None]
    return linear("output_proj", result.flatten(2))


def _norm(detr: Mapping[str, Tensor], name: str, values: Tensor) -> Tensor:
    return F.layer_norm(values, values.shape[-1:], detr[f"{name}.weight"], detr[f"{name}.bias"])


def _feed_forward(detr: Mapping[str, Tensor], prefix: str, values: Tensor) -> Tensor:
    hidden = F.linear(values, detr[f"{prefix}.linear1.weight"], detr[f"{prefix}.linear1.bias"]).relu()
    return F.linear(hidden, detr[f"{prefix}.linear2.weight"], detr[f"{prefix}.linear2.bias"])


def _encoder(
    detr: Mapping[str, Tensor],
    sources: Sequence[Tensor],
    positions: Sequence[Tensor],
    masks: Sequence[Tensor],
    ratios: Tensor,
) -> Tensor:
    memory = torch.cat([source.flatten(2).transpose(1, 2) for source in sources], 1)
    position = torch.cat([code.flatten(2).transpose(1, 2) for code in positions], 1)
    centres = []
    for level, source in enumerate(sources):
        height, width = source.shape[-2:]
        y, x = torch.meshgrid(torch.arange(height) + 0.5, torch.arange(width) + 0.5, indexing="ij")
        grid = torch.stack([x, y], -1).reshape(1, -1, 2).to(memory)
        centres.append(grid / (ratios[:, None, level] * grid.new_tensor([width, height])))
    references = torch.cat(centres, 1)[:, :, None] * ratios[:, None]
    layer = 0
    while f"transformer.encoder.layers.{layer}.norm1.weight" in detr:
        prefix = f"transformer.encoder.layers.{layer}"
        attended = _deformable_attention(detr, f"{prefix}.self_attn", memory + position, references, memory, masks)
        memory = _norm(detr, f"{prefix}.norm1", memory + attended)
        memory = _norm(detr, f"{prefix}.norm2", memory + _feed_forward(detr, prefix, memory))
        layer += 1
    return memory


def _decoder(
    detr: Mapping[str, Tensor], memory: Tensor, sources: Sequence[Tensor], masks: Sequence[Tensor], ratios: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The last layer's hidden states, class logits and boxes, and the references that it started from."""
    batch, dim = memory.shape[0], memory.shape[2]
    position, hidden = detr["query_embed.weight"].expand(batch, -1, -1).split(dim, -1)
    points = F.linear(position, detr["transformer.reference_points.weight"], detr["transformer.reference_points.bias"])
    references, layer = points.sigmoid(), 0
    while f"transformer.decoder.layers.{layer}.norm1.weight" in detr:
        prefix = f"transformer.decoder.layers.{layer}"
        placed = hidden + position
        attended, _ = F.multi_head_attention_forward(
            placed.transpose(0, 1), placed.transpose(0, 1), hidden.transpose(0, 1), dim, HEADS,
            detr[f"{prefix}.self_attn.in_proj_weight"], detr[f"{prefix}.self_attn.in_proj_bias"], None, None, False,
            0.0, detr[f"{prefix}.self_attn.out_proj.weight"], detr[f"{prefix}.self_attn.out_proj.bias"], False,
        )  # fmt: skip
        hidden = _norm(detr, f"{prefix}.norm2", hidden + attended.transpose(0, 1))
        scale = torch.cat([ratios] * (references.shape[-1] // 2), -1)
        inputs = references[:, :, None] * scale[:, None]
        attended = _deformable_attention(detr, f"{prefix}.cross_attn", hidden + position, inputs, memory, masks)
        hidden = _norm(detr, f"{prefix}.norm1", hidden + attended)
        hidden = _norm(detr, f"{prefix}.norm3", hidden + _feed_forward(detr, prefix, hidden))
        used, base = references, references.clamp(1e-5, 1 - 1e-5).logit()
        change = _perceptron(detr, f"bbox_embed.{layer}", hidden)
        base = torch.cat([base, torch.zeros_like(change[..., base.shape[-1] :])], -1)
        references = (change + base).sigmoid()
        logits = F.linear(hidden, detr[f"class_embed.{layer}.weight"], detr[f"class_embed.{layer}.bias"])
        layer += 1
    return hidden, logits, references, used[..., :2]


def _perceptron(state: Mapping[str, Tensor], prefix: str, values: Tensor) -> Tensor:
    for layer in range(3):
        values = F.linear(values, state[f"{prefix}.layers.{layer}.weight"], state[f"{prefix}.layers.{layer}.bias"])
        values = values.relu() if layer < 2 else values
    return values


def _mask_features(outer: Mapping[str, Tensor], memory: Tensor, sources: Sequence[Tensor]) -> Tensor:
    def convolved(name: str, values: Tensor) -> Tensor:
        return F.conv2d(values, outer[f"mask_head.{name}.weight"], outer[f"mask_head.{name}.bias"], padding=1).relu()

    planes, start = [], 0
    for source in sources[:3]:
        height, width = source.shape[-2:]
        part = memory[:, start : start + height * width]
        planes.append(part.transpose(1, 2).unflatten(-1, (height, width)))
        start += height * width
    fine, middle, coarse = planes
    merged = convolved("lay3", coarse)
    merged = convolved("lay4", middle + F.interpolate(merged, size=middle.shape[-2:], mode="nearest"))
    merged = convolved("dcn", fine + F.interpolate(merged, size=fine.shape[-2:], mode="nearest"))
    return convolved("lay2", convolved("lay1", merged))


def _query_mask(features: Tensor, parameters: Tensor, reference: Tensor, size: tuple[int, int]) -> Tensor:
    """(2h, 2w) logits at stride 4 of one query: three 1x1 convolutions on its relative position and the features."""
    channels, height, width = features.shape
    y, x = torch.meshgrid(torch.arange(height) * 8 + 4, torch.arange(width) * 8 + 4, indexing="ij")
    centre = reference * reference.new_tensor([size[1], size[0]])
    relative = centre[:, None, None] - torch.stack([x, y]).to(features)
    values = torch.cat([relative, features])[None]
    shapes = [(channels, channels + 2), (channels, channels), (1, channels)]
    weights = parameters.split([out * into for out, into in shapes] + [out for out, _ in shapes])
    for layer, (out, into) in enumerate(shapes):
        values = F.conv2d(values, weights[layer].view(out, into, 1, 1), weights[layer + 3])
        values = values.relu() if layer < 2 else values
    return _aligned_double(values)[0, 0]


def _aligned_double(values: Tensor) -> Tensor:
    """CondInst's enlargement by two: replicate, resize with aligned corners, shift, crop."""
    height, width = values.shape[-2:]
    values = F.pad(values, (0, 1, 0, 1), mode="replicate")
    values = F.interpolate(values, size=(2 * height + 1, 2 * width + 1), mode="bilinear", align_corners=True)
    return F.pad(values, (1, 0, 1, 0), mode="replicate")[:, :, : 2 * height, : 2 * width]
