"""The network against transformers' Deformable DETR: the same weights give the same boxes and class logits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from rise_engine.config import ModelConfig
from rise_engine.model import build_segmenter
from rise_engine.model.weights.load import load_pretrained

transformers = pytest.importorskip("transformers")

HEIGHT, WIDTH = 96, 160
UNPADDED = [(96, 160), (96, 160)]
PADDED = [(96, 101), (33, 160)]


def reference_network(*, tied: bool) -> Any:
    torch.manual_seed(7)
    network = transformers.DeformableDetrForObjectDetection(
        transformers.DeformableDetrConfig(
            use_timm_backbone=True, backbone="resnet18", use_pretrained_backbone=False, backbone_config=None,
            d_model=64, encoder_layers=1, decoder_layers=2, encoder_attention_heads=4, decoder_attention_heads=4,
            encoder_ffn_dim=48, decoder_ffn_dim=48, num_queries=10, with_box_refine=True, num_labels=3,
            tie_word_embeddings=tied,
        )
    ).eval()  # fmt: skip
    # As far from fresh as trained ones: fresh weights give nearly the same box for every query and image.
    for name, tensor in network.state_dict().items():
        if name.endswith("running_var"):
            tensor.uniform_(0.5, 2)
        elif tensor.dim() > 1 and "backbone" not in name:
            torch.nn.init.xavier_normal_(tensor, gain=1.2)
        elif tensor.dtype.is_floating_point:
            tensor.add_(torch.randn_like(tensor) * 0.2)
    return network


def padding_of(sizes: list[tuple[int, int]]) -> Tensor:
    padding = torch.ones(len(sizes), HEIGHT, WIDTH, dtype=torch.bool)
    for mask, (height, width) in zip(padding, sizes, strict=True):
        mask[:height, :width] = False
    return padding


@pytest.mark.parametrize("tied", [True, False], ids=["one class head", "class heads of their own"])
@pytest.mark.parametrize("written", ["save_pretrained", "state_dict"])
def test_boxes_and_logits_agree(tiny_config: ModelConfig, tmp_path: Path, *, tied: bool, written: str) -> None:
    reference = reference_network(tied=tied)
    if written == "save_pretrained":  # in the names of the hub's older files
        reference.save_pretrained(tmp_path)
        file = tmp_path / "model.safetensors"
    else:  # in those of version 5
        file = tmp_path / "state.pth"
        torch.save(reference.state_dict(), file)
    # With fewer channels the group norm of the coarsest level sees too few numbers to be steady in single precision.
    model = build_segmenter(tiny_config.model_copy(update={"hidden_dim": 64})).eval()
    report = load_pretrained(model, file)
    assert report.naming == "transformers"
    assert report.unexpected == report.mismatched == ()
    assert report.fresh_heads == ("embed_head", "mask_controller", "mask_features")

    images = torch.rand(2, 3, HEIGHT, WIDTH, generator=torch.Generator().manual_seed(5))
    for sizes in (UNPADDED[:1], PADDED[:1], UNPADDED, PADDED):
        padding = padding_of(sizes)
        batch = images[: len(sizes)]
        pixels = ((batch - model.backbone.mean) / model.backbone.std).masked_fill(padding[:, None], 0)
        with torch.no_grad():
            expected = reference(pixel_values=pixels, pixel_mask=(~padding).long())
            found = model(batch, padding)
        assert expected.pred_boxes.std() > 0.05, "boxes that hardly differ would agree by themselves"
        torch.testing.assert_close(found.class_logits, expected.logits, atol=1e-4, rtol=0)
        torch.testing.assert_close(found.boxes, expected.pred_boxes, atol=1e-4, rtol=0)


def test_the_two_forms_of_the_library_differ_as_assumed(tmp_path: Path) -> None:
    from safetensors.torch import load_file

    reference_network(tied=True).save_pretrained(tmp_path)
    saved = set(load_file(tmp_path / "model.safetensors"))
    assert {"class_embed.0.bias", "model.decoder.bbox_embed.1.layers.2.bias"} <= saved
    assert not any(name.startswith(("class_embed.1", "bbox_embed")) for name in saved)
    assert "model.backbone.conv_encoder.model.conv1.weight" in saved
    now = set(reference_network(tied=False).state_dict())
    assert {"model.backbone.model.conv1.weight", "class_embed.1.bias", "bbox_embed.1.layers.2.bias"} <= now
