from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from rise_engine.config import ModelConfig
from rise_engine.errors import RiseError
from rise_engine.model import build_segmenter
from rise_engine.model.deformable_segmenter import DeformableSegmenter
from rise_engine.model.weights import load_pretrained, save_weights

IMAGES = torch.rand(1, 3, 64, 96, generator=torch.Generator().manual_seed(5))


def other_start(config: ModelConfig) -> DeformableSegmenter:
    torch.manual_seed(99)
    return build_segmenter(config).eval()


def test_what_is_saved_is_loaded(tiny_model: DeformableSegmenter, tiny_config: ModelConfig, tmp_path: Path) -> None:
    file = tmp_path / "new" / "weights.safetensors"
    save_weights(tiny_model, file, metadata={"run": "3"})
    model = other_start(tiny_config)
    report = load_pretrained(model, file)
    assert report.naming == "rise"
    assert not (report.missing or report.unexpected or report.mismatched)
    assert len(report.loaded) == len(tiny_model.state_dict())
    assert torch.equal(model(IMAGES).mask_logits, tiny_model(IMAGES).mask_logits)
    with safe_open(file, framework="pt") as weights:
        assert weights.metadata() == {"run": "3"}
    assert [path.name for path in file.parent.iterdir()] == ["weights.safetensors"]


def test_weights_of_half_precision_fill_a_network_of_single(
    tiny_model: DeformableSegmenter, tiny_config: ModelConfig, tmp_path: Path
) -> None:
    save_weights(tiny_model.half(), tmp_path / "half.safetensors", metadata={})
    model = other_start(tiny_config)
    load_pretrained(model, tmp_path / "half.safetensors")
    assert model.level_embed.dtype == torch.float32
    torch.testing.assert_close(model.level_embed, tiny_model.level_embed.float())


def test_a_failed_save_leaves_the_old_file(
    tiny_model: DeformableSegmenter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "weights.safetensors"
    file.write_bytes(b"old")

    def full_disk(tensors: dict[str, Tensor], filename: Path, metadata: dict[str, str]) -> None:
        Path(filename).write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("rise_engine.model.weights.save_file", full_disk)
    with pytest.raises(RiseError, match="No space left"):
        save_weights(tiny_model, file, metadata={})
    assert file.read_bytes() == b"old"
    assert len(list(tmp_path.iterdir())) == 1


def test_a_class_head_of_another_size_starts_afresh(
    tiny_model: DeformableSegmenter, tiny_config: ModelConfig, tmp_path: Path
) -> None:
    save_weights(tiny_model, tmp_path / "three.safetensors", metadata={})
    model = other_start(tiny_config.model_copy(update={"num_classes": 5}))
    report = load_pretrained(model, tmp_path / "three.safetensors")
    heads = {f"class_head.{layer}.{kind}" for layer in range(2) for kind in ("weight", "bias")}
    assert set(report.mismatched) == heads
    output = model(IMAGES)
    torch.testing.assert_close(output.boxes, tiny_model(IMAGES).boxes)
    torch.testing.assert_close(output.class_logits.sigmoid(), torch.full((1, 10, 5), 0.01))


def test_heads_may_be_missing_and_nothing_else(
    tiny_model: DeformableSegmenter, tiny_config: ModelConfig, tmp_path: Path
) -> None:
    state = tiny_model.state_dict()
    file = tmp_path / "part.safetensors"
    save_file({name: tensor for name, tensor in state.items() if not name.startswith("mask_")}, file)
    model = other_start(tiny_config)
    fresh = model.mask_features.s8.weight.clone()
    report = load_pretrained(model, file)
    assert {name.split(".")[0] for name in report.missing} == {"mask_features", "mask_controller"}
    assert torch.equal(model.mask_features.s8.weight, fresh)

    save_file({name: tensor for name, tensor in state.items() if name != "decoder.1.norm_self.bias"}, file)
    untouched = other_start(tiny_config)
    before = untouched.level_embed.clone()
    with pytest.raises(RiseError, match=r"decoder\.1\.norm_self\.bias"):
        load_pretrained(untouched, file)
    assert torch.equal(untouched.level_embed, before)


def test_weights_of_another_width_are_refused(
    tiny_model: DeformableSegmenter, tiny_config: ModelConfig, tmp_path: Path
) -> None:
    save_weights(tiny_model, tmp_path / "w.safetensors", metadata={})
    with pytest.raises(RiseError, match="another size"):
        load_pretrained(other_start(tiny_config.model_copy(update={"hidden_dim": 64})), tmp_path / "w.safetensors")


def test_files_that_hold_no_network_are_refused(tiny_model: DeformableSegmenter, tmp_path: Path) -> None:
    with pytest.raises(RiseError, match="no weights file"):
        load_pretrained(tiny_model, tmp_path / "absent.safetensors")
    broken = tmp_path / "broken.safetensors"
    broken.write_bytes(b"not a file of tensors")
    with pytest.raises(RiseError, match=r"broken\.safetensors"):
        load_pretrained(tiny_model, broken)
    other = tmp_path / "other.pth"
    torch.save({"model": {"conv1.weight": torch.zeros(1)}}, other)
    with pytest.raises(RiseError, match="no weights of a Deformable DETR"):
        load_pretrained(tiny_model, other)


def test_objects_in_a_checkpoint_are_not_brought_to_life(tiny_model: DeformableSegmenter, tmp_path: Path) -> None:
    file = tmp_path / "objects.pth"
    torch.save({"model": tiny_model}, file)
    with pytest.raises(RiseError, match="more than plain tensors"):
        load_pretrained(tiny_model, file)


def in_original_names(model: DeformableSegmenter) -> dict[str, Tensor]:
    """The state of ``model`` as the original Deformable DETR would have saved it."""
    norms = {"norm_self": "norm2", "norm_cross": "norm1", "norm_ffn": "norm3"}
    state = {}
    for name, tensor in model.state_dict().items():
        if name.startswith(("mask_", "embed_head")):
            continue
        if name.startswith("decoder."):
            name = re.sub("norm_(self|cross|ffn)", lambda match: norms[match[0]], name)
        name = name.replace("norm_attn", "norm1").replace("norm_ffn", "norm2")
        name = name.replace("ffn.0", "linear1").replace("ffn.1", "linear2").replace(".attn.", ".self_attn.")
        name = re.sub(r"^(encoder|decoder)\.(\d)", r"transformer.\1.layers.\2", name)
        name = re.sub(r"^(level_embed|reference_points)", r"transformer.\1", name)
        name = name.replace("backbone.net.", "backbone.0.body.")
        state[name.replace("class_head", "class_embed").replace("box_head", "bbox_embed")] = tensor
    copies = {f"transformer.decoder.{name}": tensor for name, tensor in state.items() if name.startswith("bbox_")}
    return {name: tensor for name, tensor in state.items() if "num_batches" not in name} | copies


def test_the_original_names_are_understood(
    tiny_model: DeformableSegmenter, tiny_config: ModelConfig, tmp_path: Path
) -> None:
    state = in_original_names(tiny_model)
    assert {
        "transformer.encoder.layers.0.self_attn.value_proj.weight",
        "transformer.decoder.layers.1.norm3.bias",
        "transformer.level_embed",
        "bbox_embed.1.layers.2.bias",
        "input_proj.3.1.weight",
    } <= set(state)
    torch.save({"model": state, "epoch": 49}, tmp_path / "original.pth")
    model = other_start(tiny_config)
    report = load_pretrained(model, tmp_path / "original.pth")
    assert report.naming == "deformable-detr"
    assert report.unexpected == ()
    assert {name.split(".")[0] for name in report.missing} == {"mask_features", "mask_controller", "embed_head"}
    assert torch.equal(model(IMAGES).boxes, tiny_model(IMAGES).boxes)
    assert torch.equal(model(IMAGES).class_logits, tiny_model(IMAGES).class_logits)


@pytest.mark.parametrize("valid_width", [96, 70])
def test_transformers_deformable_detr_is_the_same_network(
    tiny_config: ModelConfig, tmp_path: Path, valid_width: int
) -> None:
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(7)
    reference = transformers.DeformableDetrForObjectDetection(
        transformers.DeformableDetrConfig(
            use_timm_backbone=True, backbone="resnet18", use_pretrained_backbone=False, backbone_config=None,
            d_model=32, encoder_layers=1, decoder_layers=2, encoder_attention_heads=4, decoder_attention_heads=4,
            encoder_ffn_dim=48, decoder_ffn_dim=48, num_queries=10, with_box_refine=True, num_labels=3,
        )
    ).eval()  # fmt: skip
    for parameter in reference.parameters():
        if parameter.dim() > 1 and not parameter.any():
            torch.nn.init.normal_(parameter, std=0.3)
    torch.save(reference.state_dict(), tmp_path / "reference.pth")
    model = other_start(tiny_config)
    report = load_pretrained(model, tmp_path / "reference.pth")
    assert report.naming == "transformers"
    assert report.unexpected == ()
    assert not any(name.startswith(("class_head", "box_head")) for name in report.missing)

    padding = torch.zeros(1, 64, 96, dtype=torch.bool)
    padding[..., valid_width:] = True
    pixels = ((IMAGES - model.backbone.mean) / model.backbone.std).masked_fill(padding[:, None], 0)
    with torch.no_grad():
        expected = reference(pixel_values=pixels, pixel_mask=(~padding).long())
        found = model(IMAGES, padding)
    torch.testing.assert_close(found.class_logits, expected.logits, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(found.boxes, expected.pred_boxes, atol=1e-4, rtol=1e-4)


def test_one_class_head_for_all_layers_is_given_to_each(tiny_config: ModelConfig, tmp_path: Path) -> None:
    state = in_original_names(other_start(tiny_config))
    state = {name: tensor for name, tensor in state.items() if not name.startswith("class_embed.1")}
    state["class_embed.0.weight"] = torch.ones(3, 32)
    save_file({name: tensor.clone() for name, tensor in state.items()}, tmp_path / "tied.safetensors")
    model = other_start(tiny_config)
    load_pretrained(model, tmp_path / "tied.safetensors")
    assert all((head.weight == 1).all() for head in model.class_head)
