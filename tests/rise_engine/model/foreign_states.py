"""State dicts as other projects would have saved them, made from a network of ours with random weights."""

from __future__ import annotations

import re
from collections.abc import Callable

import torch
from torch import Tensor

from rise_engine.config import ModelConfig
from rise_engine.model import build_segmenter
from rise_engine.model.deformable_detr.segmenter import DeformableSegmenter

State = dict[str, Tensor]
ADDED_HEADS = ("mask_", "embed_head")


def randomised(config: ModelConfig, seed: int) -> DeformableSegmenter:
    """A network in which no two tensors are equal, as fresh biases and norms would be."""
    torch.manual_seed(seed)
    model = build_segmenter(config).eval()
    for name, tensor in model.state_dict().items():
        if name.endswith("running_var"):
            tensor.uniform_(0.5, 2)
        elif tensor.dtype.is_floating_point:
            tensor.add_(torch.randn_like(tensor) * 0.1)
    return model


def renamed(state: State, *rules: tuple[str, str | Callable[[re.Match[str]], str]]) -> State:
    for pattern, replacement in rules:
        state = {re.sub(pattern, replacement, name): tensor for name, tensor in state.items()}
    return state


def in_original_names(state: State) -> State:
    """As the original Deformable DETR would have saved it, which keeps its box heads twice."""
    state = renamed(
        {name: tensor for name, tensor in state.items() if not name.startswith(ADDED_HEADS)},
        (r"^(decoder\.\d+)\.norm_self", r"\1.norm2"),
        (r"^(decoder\.\d+)\.norm_cross", r"\1.norm1"),
        (r"^(decoder\.\d+)\.norm_ffn", r"\1.norm3"),
        (r"^(encoder\.\d+)\.norm_attn", r"\1.norm1"),
        (r"^(encoder\.\d+)\.norm_ffn", r"\1.norm2"),
        (r"^(encoder|decoder)\.(\d+)\.ffn\.0", r"\1.\2.linear1"),
        (r"^(encoder|decoder)\.(\d+)\.ffn\.1", r"\1.\2.linear2"),
        (r"^(encoder\.\d+)\.attn\.", r"\1.self_attn."),
        (r"^(encoder|decoder)\.(\d+)", r"transformer.\1.layers.\2"),
        (r"^(level_embed|reference_points)", r"transformer.\1"),
        (r"^backbone\.net\.", "backbone.0.body."),
        ("^class_head", "class_embed"),
        ("^box_head", "bbox_embed"),
    )
    copies = {f"transformer.decoder.{name}": tensor for name, tensor in state.items() if name.startswith("bbox_")}
    return {name: tensor for name, tensor in state.items() if "num_batches" not in name} | copies


def in_idol_names(state: State, outer: str = "detr") -> State:
    """As IDOL's ``model`` with detectron2's ResNet."""
    heads = {name: tensor for name, tensor in state.items() if name.startswith(ADDED_HEADS)}
    heads = renamed(
        heads,
        ("^mask_controller", "controller"),
        (r"^mask_features\.s32", "mask_head.lay3"),
        (r"^mask_features\.s16", "mask_head.lay4"),
        (r"^mask_features\.s8", "mask_head.dcn"),
        (r"^mask_features\.reduce", "mask_head.lay1"),
        (r"^mask_features\.out", "mask_head.lay2"),
        ("^embed_head", "reid_embed_head"),
    )
    detector = renamed(
        in_original_names(state),
        (r"^backbone\.0\.body\.", "backbone.0.backbone."),
        (r"\.backbone\.conv1", ".backbone.stem.conv1"),
        (r"\.backbone\.bn1", ".backbone.stem.conv1.norm"),
        (r"\.layer(\d)\.", lambda found: f".res{int(found[1]) + 1}."),
        (r"\.bn(\d)\.", r".conv\1.norm."),
        (r"\.downsample\.0", ".shortcut"),
        (r"\.downsample\.1", ".shortcut.norm"),
    )
    return {f"{outer}.detr.{name}": tensor for name, tensor in detector.items()} | {
        f"{outer}.{name}": tensor for name, tensor in heads.items()
    }


def in_hub_names(state: State) -> State:
    """As the older files of transformers on its hub."""
    split: State = {}
    for name, tensor in state.items():
        if "self_attn.in_proj_" in name:
            prefix, kind = name.split("in_proj_")
            parts = zip(("q_proj", "k_proj", "v_proj"), tensor.chunk(3), strict=True)
            split |= {f"{prefix}{projection}.{kind}": part for projection, part in parts}
        elif not name.startswith(ADDED_HEADS):
            split[name] = tensor
    return renamed(
        split,
        (r"\.norm_(self|attn)\.", ".self_attn_layer_norm."),
        (r"\.norm_cross\.", ".encoder_attn_layer_norm."),
        (r"\.norm_ffn\.", ".final_layer_norm."),
        (r"\.ffn\.0\.", ".fc1."),
        (r"\.ffn\.1\.", ".fc2."),
        (r"^(encoder\.\d+)\.attn\.", r"\1.self_attn."),
        (r"\.cross_attn\.", ".encoder_attn."),
        (r"^(encoder|decoder)\.(\d+)", r"model.\1.layers.\2"),
        (r"^(level_embed|reference_points|input_proj)", r"model.\1"),
        ("^query_embed", "model.query_position_embeddings"),
        (r"^backbone\.net\.", "model.backbone.conv_encoder.model."),
        ("^class_head", "class_embed"),
        ("^box_head", "bbox_embed"),
    )
