"""What the tensors of other projects' Deformable DETR checkpoints are called here."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Literal

import torch
from torch import Tensor

Naming = Literal["rise", "deformable-detr", "transformers"]
Rules = Sequence[tuple[str, str]]

MARKS: dict[Naming, str] = {
    "rise": "level_embed",
    "deformable-detr": "transformer.level_embed",
    "transformers": "model.level_embed",
}
"""A key that only this naming has."""

DEFORMABLE_DETR: Rules = (
    (r"^transformer\.decoder\.(?:bbox|class)_embed\..*$", ""),
    (r"^backbone\.0\.body\.", "backbone.net."),
    (r"^transformer\.(level_embed|reference_points)", r"\1"),
    (r"^transformer\.encoder\.layers\.(\d+)\.self_attn\.", r"encoder.\1.attn."),
    (r"^transformer\.encoder\.layers\.(\d+)\.norm1\.", r"encoder.\1.norm_attn."),
    (r"^transformer\.encoder\.layers\.(\d+)\.norm2\.", r"encoder.\1.norm_ffn."),
    (r"^transformer\.decoder\.layers\.(\d+)\.norm2\.", r"decoder.\1.norm_self."),
    (r"^transformer\.decoder\.layers\.(\d+)\.norm1\.", r"decoder.\1.norm_cross."),
    (r"^transformer\.decoder\.layers\.(\d+)\.norm3\.", r"decoder.\1.norm_ffn."),
    (r"^transformer\.(encoder|decoder)\.layers\.(\d+)\.linear1\.", r"\1.\2.ffn.0."),
    (r"^transformer\.(encoder|decoder)\.layers\.(\d+)\.linear2\.", r"\1.\2.ffn.1."),
    (r"^transformer\.decoder\.layers\.", "decoder."),
    (r"^class_embed\.", "class_head."),
    (r"^bbox_embed\.", "box_head."),
)
"""The original repository's names, in the order in which they are tried; an empty result drops a duplicate."""

TRANSFORMERS: Rules = (
    (r"^model\.backbone\.(?:conv_encoder\.)?(?:model|_backbone)\.(?:_backbone\.)?", "backbone.net."),
    (r"^model\.(level_embed|reference_points|input_proj)", r"\1"),
    (r"^model\.query_position_embeddings\.", "query_embed."),
    (r"^model\.encoder\.layers\.(\d+)\.self_attn\.", r"encoder.\1.attn."),
    (r"^model\.encoder\.layers\.(\d+)\.self_attn_layer_norm\.", r"encoder.\1.norm_attn."),
    (r"^model\.decoder\.layers\.(\d+)\.self_attn\.o(?:ut)?_proj\.", r"decoder.\1.self_attn.out_proj."),
    (r"^model\.decoder\.layers\.(\d+)\.self_attn_layer_norm\.", r"decoder.\1.norm_self."),
    (r"^model\.decoder\.layers\.(\d+)\.encoder_attn\.", r"decoder.\1.cross_attn."),
    (r"^model\.decoder\.layers\.(\d+)\.encoder_attn_layer_norm\.", r"decoder.\1.norm_cross."),
    (r"^model\.(encoder|decoder)\.layers\.(\d+)\.final_layer_norm\.", r"\1.\2.norm_ffn."),
    (r"^model\.(encoder|decoder)\.layers\.(\d+)\.(?:mlp\.)?fc1\.", r"\1.\2.ffn.0."),
    (r"^model\.(encoder|decoder)\.layers\.(\d+)\.(?:mlp\.)?fc2\.", r"\1.\2.ffn.1."),
    (r"^model\.decoder\.layers\.", "decoder."),
    (r"^(?:model\.decoder\.)?class_embed\.", "class_head."),
    (r"^(?:model\.decoder\.)?bbox_embed\.", "box_head."),
)
"""Names of the transformers library, both of files on its hub and of its version 5."""

PROJECTIONS = ("q_proj", "k_proj", "v_proj")


def naming_of(state: Mapping[str, Tensor]) -> Naming | None:
    """Whose names these are, or None."""
    return next((naming for naming, mark in MARKS.items() if mark in state), None)


def to_own_names(state: Mapping[str, Tensor], naming: Naming, *, decoder_layers: int) -> dict[str, Tensor]:
    """The tensors under this project's names; one head that all decoder layers share is given to each."""
    if naming == "rise":
        return dict(state)
    rules = DEFORMABLE_DETR if naming == "deformable-detr" else TRANSFORMERS
    renamed = {_rename(key, rules): tensor for key, tensor in state.items()}
    renamed.pop("", None)
    return _untie_heads(_join_projections(renamed), decoder_layers)


def _rename(key: str, rules: Rules) -> str:
    for pattern, replacement in rules:
        name, count = re.subn(pattern, replacement, key)
        if count:
            return name
    return key


def _join_projections(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Query, key and value projections of the decoder's self-attention as the one matrix that torch keeps."""
    for key in [key for key in state if ".self_attn.q_proj." in key]:
        prefix, kind = key.split("q_proj.")
        parts = [f"{prefix}{projection}.{kind}" for projection in PROJECTIONS]
        if all(part in state for part in parts):
            state[f"{prefix}in_proj_{kind}"] = torch.cat([state.pop(part) for part in parts])
    return state


def _untie_heads(state: dict[str, Tensor], layers: int) -> dict[str, Tensor]:
    for head in ("class_head", "box_head"):
        if any(key.startswith(f"{head}.1.") for key in state):
            continue
        for key in [key for key in state if key.startswith(f"{head}.0.")]:
            rest = key.removeprefix(f"{head}.0.")
            state |= {f"{head}.{layer}.{rest}": state[key] for layer in range(1, layers)}
    return state
