"""Checkpoints in the names of other projects, built from a random network, give another network its outputs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torchvision.models.swin_transformer import SwinTransformer

from rise_engine.config import ModelConfig
from rise_engine.errors import RiseError
from rise_engine.model import build_segmenter
from rise_engine.model.weights.load import load_pretrained
from tests.rise_engine.model.foreign_states import (
    State,
    in_hub_names,
    in_idol_names,
    in_original_names,
    randomised,
    renamed,
)

IMAGES = torch.rand(1, 3, 64, 96, generator=torch.Generator().manual_seed(5))


def as_ours(state: State) -> State:
    return state


@pytest.mark.parametrize(
    ("naming", "rename", "typical", "whole"),
    [
        ("rise", as_ours, "decoder.1.norm_cross.weight", True),
        ("deformable-detr", in_original_names, "transformer.decoder.bbox_embed.1.layers.2.bias", False),
        ("idol", in_idol_names, "detr.detr.backbone.0.backbone.res2.0.shortcut.norm.running_var", True),
        ("transformers", in_hub_names, "model.decoder.layers.1.self_attn.k_proj.bias", False),
    ],
)
def test_a_checkpoint_gives_the_outputs_of_its_network(
    tiny_config: ModelConfig,
    tmp_path: Path,
    naming: str,
    rename: Callable[[State], State],
    typical: str,
    *,
    whole: bool,
) -> None:
    config = tiny_config.model_copy(update={"backbone": "resnet26", "decoder_layers": 3})
    source = randomised(config, 1)
    state = rename(source.state_dict())
    assert typical in state
    torch.save({"model": state, "iteration": 7, "optimizer": {"state": {0: torch.zeros(3)}}}, tmp_path / "file.pth")
    model = randomised(config, 2)
    report = load_pretrained(model, tmp_path / "file.pth")
    assert report.naming == naming
    assert report.unexpected == report.mismatched == ()
    assert report.fresh_heads == (() if whole else ("embed_head", "mask_controller", "mask_features"))
    with torch.no_grad():
        found, expected = model(IMAGES), source(IMAGES)
        assert torch.equal(found.boxes, expected.boxes)
        assert torch.equal(found.class_logits, expected.class_logits)
        for one, other in zip(found.layers, expected.layers, strict=True):
            assert torch.equal(one.boxes, other.boxes)
        assert torch.equal(found.mask_logits, expected.mask_logits) == whole
        assert torch.equal(found.embeddings, expected.embeddings) == whole


def test_names_that_idol_is_known_to_use(tiny_config: ModelConfig) -> None:
    state = in_idol_names(randomised(tiny_config.model_copy(update={"backbone": "resnet26"}), 1).state_dict())
    assert {
        "detr.detr.transformer.encoder.layers.0.norm1.weight",
        "detr.detr.transformer.decoder.layers.1.norm3.bias",
        "detr.detr.transformer.level_embed",
        "detr.detr.input_proj.3.1.weight",
        "detr.detr.query_embed.weight",
        "detr.detr.backbone.0.backbone.stem.conv1.norm.running_mean",
        "detr.detr.backbone.0.backbone.res5.1.conv3.norm.weight",
        "detr.mask_head.lay1.weight",
        "detr.mask_head.dcn.bias",
        "detr.controller.layers.2.weight",
        "detr.reid_embed_head.layers.0.weight",
    } <= set(state)


@pytest.mark.parametrize("outer", ["IDOL", "module.detr"])
def test_other_prefixes_and_arrays_of_numpy(tiny_config: ModelConfig, tmp_path: Path, outer: str) -> None:
    source = randomised(tiny_config, 1)
    state = {name: tensor.numpy() for name, tensor in in_idol_names(source.state_dict(), outer).items()}
    torch.save({"model": state, "__author__": "somebody"}, tmp_path / "arrays.pth")
    model = randomised(tiny_config, 2)
    assert load_pretrained(model, tmp_path / "arrays.pth").naming == "idol"
    assert torch.equal(model(IMAGES).boxes, source(IMAGES).boxes)


def test_unexpected_tensors_are_listed(tiny_config: ModelConfig, tmp_path: Path) -> None:
    """SeqFormer, say, has the same names and further tensors in its decoder."""
    state = in_idol_names(randomised(tiny_config, 1).state_dict())
    del state["detr.reid_embed_head.layers.0.weight"]
    state["detr.detr.transformer.decoder.layers.0.norm1_box.weight"] = torch.ones(32)
    state["detr.detr.class_embed.0.weight"] = torch.ones(80, 32)
    torch.save(state, tmp_path / "more.pth")
    report = load_pretrained(randomised(tiny_config, 2), tmp_path / "more.pth")
    assert report.unexpected == ("decoder.0.norm1_box.weight",)
    assert report.missing == ("embed_head.layers.0.weight",)
    assert report.mismatched == ("class_head.0.weight",)
    assert report.fresh_heads == ("class_head", "embed_head")
    assert not any(name.startswith("class_head") for name in report.loaded)
    assert "decoder.0.norm_cross.weight" in report.loaded


def test_one_class_head_for_all_layers_is_given_to_each(tiny_config: ModelConfig, tmp_path: Path) -> None:
    state = in_original_names(randomised(tiny_config, 1).state_dict())
    state = {name: tensor for name, tensor in state.items() if not name.startswith("class_embed.1")}
    state["class_embed.0.weight"] = torch.ones(3, 32)
    torch.save(state, tmp_path / "tied.pth")
    model = randomised(tiny_config, 2)
    load_pretrained(model, tmp_path / "tied.pth")
    assert all((head.weight == 1).all() for head in model.class_head)


SWIN = "swin_tiny_patch4_window7_224"


def in_original_swin_names(network: SwinTransformer) -> State:
    """torchvision's Swin Transformer in the names of the original one, with which it shares the order of its parts."""
    state = renamed(
        dict(network.features.state_dict()),
        (r"^0\.0\.", "patch_embed.proj."),
        (r"^0\.2\.", "patch_embed.norm."),
        # Blocks and the halving after them take turns: 1 and 2 are of the first stage, 3 and 4 of the second, ...
        (r"^([1357])\.(\d+)\.", lambda found: f"layers.{int(found[1]) // 2}.blocks.{found[2]}."),
        (r"^([246])\.", lambda found: f"layers.{int(found[1]) // 2 - 1}.downsample."),
        (r"\.mlp\.0\.", ".mlp.fc1."),
        (r"\.mlp\.3\.", ".mlp.fc2."),
    )
    for stage in range(4):
        channels = 96 * 2**stage
        state |= {f"norm{stage}.weight": torch.rand(channels) + 0.5, f"norm{stage}.bias": torch.randn(channels)}
    return state


def test_the_original_swin_transformer_gives_the_maps_of_torchvision(tiny_config: ModelConfig, tmp_path: Path) -> None:
    """Another implementation of it, on a size that the windows do not divide."""
    torch.manual_seed(3)
    reference = SwinTransformer([4, 4], 96, [2, 2, 6, 2], [3, 6, 12, 24], [7, 7]).eval()
    for tensor in reference.state_dict().values():
        if tensor.dtype.is_floating_point:
            tensor.add_(torch.randn_like(tensor) * 0.02)
    swin = in_original_swin_names(reference)
    assert {"layers.0.downsample.reduction.weight", "layers.3.blocks.1.attn.relative_position_index"} <= set(swin)

    config = tiny_config.model_copy(update={"backbone": SWIN})
    model = build_segmenter(config).eval()
    others = {name: tensor for name, tensor in model.state_dict().items() if not name.startswith("backbone.")}
    state = in_idol_names(others) | {f"detr.detr.backbone.0.backbone.{name}": each for name, each in swin.items()}
    torch.save({"model": state}, tmp_path / "swin.pth")
    report = load_pretrained(model, tmp_path / "swin.pth")
    assert report.unexpected == report.missing == report.mismatched == ()

    images = torch.rand(1, 3, 256, 288, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        found = model.backbone(images)
        tokens = (images - model.backbone.mean) / model.backbone.std
        for index, part in enumerate(reference.features):
            tokens = part(tokens)
            if index in (3, 5, 7):
                stage = index // 2
                weight, bias = swin[f"norm{stage}.weight"], swin[f"norm{stage}.bias"]
                expected = torch.nn.functional.layer_norm(tokens, weight.shape, weight, bias).permute(0, 3, 1, 2)
                torch.testing.assert_close(found[stage - 1], expected, atol=1e-4, rtol=1e-4)


def test_swin_weights_for_other_windows_are_refused(tiny_config: ModelConfig, tmp_path: Path) -> None:
    config = tiny_config.model_copy(update={"backbone": SWIN})
    model = build_segmenter(config)
    state = model.state_dict()
    table = "backbone.net.layers_0.blocks.0.attn.relative_position_bias_table"
    state[table] = torch.zeros(23 * 23, 3)
    torch.save(state, tmp_path / "window12.pth")
    with pytest.raises(RiseError, match=r"another size of .*relative_position_bias_table"):
        load_pretrained(model, tmp_path / "window12.pth")
