"""Rename tensors of other Deformable DETR checkpoints (original, IDOL, transformers) to this project's names."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor

from rise_engine.model.weights.backbone_names import Rules, rename, to_backbone_name

Naming = Literal["rise", "deformable-detr", "idol", "transformers"]

MARKS: dict[Naming, str] = {
    "rise": "level_embed",
    "deformable-detr": "transformer.level_embed",
    "transformers": "model.level_embed",
}
"""A key that only this naming has."""

IDOL_MARK = re.compile(r"^\w+\.detr\.transformer\.level_embed$")
"""IDOL and SeqFormer keep the detector in a segmenter (``detr.detr.``), and RISE's code calls that one ``IDOL``."""

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

IDOL: Rules = (
    (r"^controller\.", "mask_controller."),
    (r"^mask_head\.lay3\.", "mask_features.s32."),
    (r"^mask_head\.lay4\.", "mask_features.s16."),
    (r"^mask_head\.dcn\.", "mask_features.s8."),
    (r"^mask_head\.lay1\.", "mask_features.reduce."),
    (r"^mask_head\.lay2\.", "mask_features.out."),
    (r"^reid_embed_head\.", "embed_head."),
    *DEFORMABLE_DETR,
)
"""The heads that IDOL adds (SeqFormer has the same but for the last), beside the detector's own names."""

IDOL_BACKBONE = "backbone.0.backbone."

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
    """The project that uses these names, or None."""
    if any(IDOL_MARK.match(key) for key in state):
        return "idol"
    return next((naming for naming, mark in MARKS.items() if mark in state), None)


def without_wrapper(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors without the prefix ``module.`` of torch's wrappers for several devices."""
    if all(key.startswith("module.") for key in state):
        return {key.removeprefix("module."): tensor for key, tensor in state.items()}
    return dict(state)


def to_own_names(state: Mapping[str, Tensor], naming: Naming, *, decoder_layers: int) -> dict[str, Tensor]:
    """The tensors under this project's names; a head shared by all decoder layers is copied to each."""
    if naming == "rise":
        return dict(state)
    if naming == "idol":
        renamed = {_from_idol(key): tensor for key, tensor in state.items()}
    elif naming == "deformable-detr":
        renamed = {rename(key, DEFORMABLE_DETR): tensor for key, tensor in state.items()}
    else:
        kept = _effective_box_heads(state, decoder_layers)
        renamed = {rename(key, TRANSFORMERS): tensor for key, tensor in kept.items()}
    renamed.pop("", None)
    return _untie_heads(_join_projections(renamed), decoder_layers)


def _from_idol(key: str) -> str:
    name = re.sub(r"^\w+\.(?:detr\.)?", "", key)
    if name.startswith(IDOL_BACKBONE):
        name = to_backbone_name(name.removeprefix(IDOL_BACKBONE))
        return name and f"backbone.{name}"
    return rename(name, IDOL)


def _effective_box_heads(state: Mapping[str, Tensor], layers: int) -> dict[str, Tensor]:
    """Removes the unused one of two copies of transformers' box heads.

    The library may keep the heads twice: those of the decoder correct the boxes between the layers, the others make
    the boxes of each layer. Copies that were not tied in training differ; here one head has both roles.
    """
    kept = dict(state)
    for key in state:
        if found := re.match(r"^bbox_embed\.(\d+)\.", key):
            between = f"model.decoder.{key}"
            if between in state:
                del kept[between if int(found[1]) == layers - 1 else key]
    return kept


def _join_projections(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Query, key and value projections of the decoder's self-attention as one matrix, as in torch."""
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
