"""Mask2Former behind the protocol: the same network as the library's, seen through boxes, sigmoids and embeddings."""

from __future__ import annotations

import copy
import json
import sys
from pathlib import Path

import pytest
import torch

from rise_engine.config import LossConfig, ModelConfig
from rise_engine.errors import RiseError
from rise_engine.method.association import association_loss
from rise_engine.method.losses import Criterion
from rise_engine.method.targets import Targets
from rise_engine.model import build_segmenter
from rise_engine.model.mask2former import Mask2FormerSegmenter
from rise_engine.model.onnx import check_export, export_onnx
from rise_engine.model.weights.load import load_pretrained, save_weights

transformers = pytest.importorskip("transformers")


@pytest.fixture
def config(tiny_config: ModelConfig) -> ModelConfig:
    return tiny_config.model_copy(update={"kind": "mask2former", "decoder_layers": 4})


@pytest.fixture
def model(config: ModelConfig) -> Mask2FormerSegmenter:
    return spread_out(config)


def spread_out(config: ModelConfig) -> Mask2FormerSegmenter:
    """Random weights everywhere: fresh heads would give every query the same score."""
    torch.manual_seed(0)
    model = build_segmenter(config)
    assert isinstance(model, Mask2FormerSegmenter)
    for head in (model.class_head, model.box_head.layers[-1]):
        torch.nn.init.normal_(head.weight, std=0.3)  # type: ignore[arg-type]
    return model.eval()


def padded(image: torch.Tensor, right: int, below: int, *, fill: float = 0.0) -> tuple[torch.Tensor, torch.Tensor]:
    canvas = torch.nn.functional.pad(image, (0, right, 0, below), value=fill)
    mask = torch.ones(canvas.shape[0], *canvas.shape[-2:], dtype=torch.bool)
    mask[:, : image.shape[-2], : image.shape[-1]] = False
    return canvas, mask


def test_masks_of_every_layer_are_those_of_the_library(model: Mask2FormerSegmenter, config: ModelConfig) -> None:
    settings = transformers.Mask2FormerConfig(
        backbone_config=transformers.TimmBackboneConfig(backbone=config.backbone, out_indices=[1, 2, 3, 4]),
        feature_size=config.hidden_dim,
        mask_feature_size=config.hidden_dim,
        hidden_dim=config.hidden_dim,
        encoder_feedforward_dim=config.feedforward_dim,
        dim_feedforward=config.feedforward_dim,
        encoder_layers=config.encoder_layers,
        decoder_layers=config.decoder_layers + 1,
        num_attention_heads=config.num_heads,
        num_queries=config.num_queries,
        num_labels=config.num_classes,
    )
    whole = transformers.Mask2FormerForUniversalSegmentation(settings).eval()
    level = whole.model.pixel_level_module
    level.encoder._backbone.load_state_dict(model.backbone.net.state_dict())
    level.decoder.load_state_dict(model.pixel_decoder.state_dict())
    whole.model.transformer_module.load_state_dict(model.transformer.state_dict())
    images = torch.rand(2, 3, 64, 96)

    with torch.no_grad():
        output = model(images)
        expected = whole.model((images - model.backbone.mean) / model.backbone.std, output_hidden_states=True)

    assert len(output.layers) == config.decoder_layers + 1 == len(expected.masks_queries_logits)
    every = torch.arange(config.num_queries)
    for layer, logits, hidden in zip(
        output.layers, expected.masks_queries_logits, expected.transformer_decoder_intermediate_states, strict=True
    ):
        torch.testing.assert_close(layer.hidden, hidden.transpose(0, 1), atol=1e-4, rtol=0)  # type: ignore[attr-defined]
        torch.testing.assert_close(layer.masks(1, every), logits[1], atol=1e-4, rtol=0)


def test_shapes_and_one_mask_at_a_time(model: Mask2FormerSegmenter, config: ModelConfig) -> None:
    with torch.no_grad():
        output = model(torch.rand(2, 3, 70, 90))
    queries = config.num_queries
    assert output.class_logits.shape == (2, queries, config.num_classes)
    assert output.boxes.shape == (2, queries, 4)
    assert output.embeddings.shape == (2, queries, config.hidden_dim)
    assert output.mask_logits.shape == (2, queries, 18, 23)
    assert output.layers[-1].boxes is output.boxes
    picked = torch.tensor([[3, 1], [0, 9]])
    chosen = output.picked_masks(picked)
    for image in range(2):
        torch.testing.assert_close(output.masks(image, picked[image]), chosen[image])
        torch.testing.assert_close(output.mask_logits[image, picked[image]], chosen[image])
    assert output.masks(0, torch.zeros(0, dtype=torch.int64)).shape == (0, 18, 23)


def test_a_fresh_network_believes_in_nothing_and_looks_everywhere(config: ModelConfig) -> None:
    torch.manual_seed(1)
    output = build_segmenter(config).eval()(torch.rand(1, 3, 64, 64))
    for layer in output.layers:
        torch.testing.assert_close(layer.class_logits.sigmoid(), torch.full((1, 10, 3), 0.01))
        torch.testing.assert_close(layer.boxes[..., 2:], torch.full((1, 10, 2), 0.1192), atol=1e-4, rtol=0)
        assert layer.boxes[0, :, :2].std(0).min() > 0.1


def test_what_is_in_the_padding_changes_nothing(model: Mask2FormerSegmenter) -> None:
    image = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        black = model(*padded(image, 64, 32))
        white = model(*padded(image, 64, 32, fill=1.0))
    torch.testing.assert_close(black.class_logits, white.class_logits)
    torch.testing.assert_close(black.boxes, white.boxes)
    torch.testing.assert_close(black.mask_logits, white.mask_logits)


def test_queries_never_attend_to_padding(model: Mask2FormerSegmenter) -> None:
    """Whatever the pixel decoder makes of the padding, no query sees it: only masks there may differ."""
    images, mask = padded(torch.rand(1, 3, 64, 64), 64, 0)
    outputs = []
    for noise in (0.0, 5.0):

        def disturb(module: object, arguments: object, decoded: object, noise: float = noise) -> None:
            for level in decoded.multi_scale_features:  # type: ignore[attr-defined]
                level[..., level.shape[-1] // 2 :] += noise

        handle = model.pixel_decoder.register_forward_hook(disturb)
        with torch.no_grad():
            outputs.append(model(images, mask))
        handle.remove()
    torch.testing.assert_close(outputs[0].class_logits, outputs[1].class_logits)
    torch.testing.assert_close(outputs[0].boxes, outputs[1].boxes)


def test_boxes_are_relative_to_the_image_and_not_to_the_canvas(config: ModelConfig) -> None:
    torch.manual_seed(0)
    model = build_segmenter(config).eval()
    image = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        whole, half = model(image).boxes, model(*padded(image, 64, 0)).boxes
    # A fresh network's boxes stand still on the canvas; of an image half as wide they are twice as much.
    torch.testing.assert_close(half, whole * torch.tensor([2.0, 1.0, 2.0, 1.0]))


def test_losses_and_the_association_reach_every_trainable_parameter(model: Mask2FormerSegmenter) -> None:
    model.train()
    output = model(torch.rand(2, 3, 64, 64))
    masks = torch.zeros(1, 64, 64, dtype=torch.bool)
    masks[0, 10:40, 20:50] = True
    targets = [Targets.from_masks(masks, torch.tensor([1]), image_size=(64, 64))] * 2
    terms, _ = Criterion(LossConfig())(output, targets)
    chosen = [torch.tensor([0])]
    association = association_loss(output.embeddings[0, :1], output.embeddings[1], chosen, [torch.arange(1, 10)])

    association.backward(retain_graph=True)
    for name in ("queries_features", "queries_embedder"):
        gradient = getattr(model.transformer, name).weight.grad
        assert gradient.abs().sum() > 0, name
    terms.total.backward()
    without = [name for name, tensor in model.named_parameters() if tensor.requires_grad and tensor.grad is None]
    assert without == []


def test_dropout_leaves_no_layer_out(config: ModelConfig) -> None:
    torch.manual_seed(0)
    model = build_segmenter(config.model_copy(update={"dropout": 0.5})).train()
    counts = {len(model(torch.rand(1, 3, 64, 64)).layers) for _ in range(5)}
    assert counts == {config.decoder_layers + 1}


def test_weights_come_back_as_they_were(model: Mask2FormerSegmenter, config: ModelConfig, tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    save_weights(model, path, metadata={})
    other = build_segmenter(config).eval()
    report = load_pretrained(other, path)
    assert (report.missing, report.unexpected, report.mismatched) == ((), (), ())
    images = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(other(images).class_logits, model(images).class_logits)

    fewer = build_segmenter(config.model_copy(update={"num_classes": 1})).eval()
    report = load_pretrained(fewer, path)
    assert set(report.mismatched) == {"class_head.weight", "class_head.bias"}
    torch.testing.assert_close(fewer(images).class_logits.sigmoid(), torch.full((1, 10, 1), 0.01))


def test_weights_of_the_other_network_are_refused(
    model: Mask2FormerSegmenter, config: ModelConfig, tmp_path: Path
) -> None:
    deformable = build_segmenter(config.model_copy(update={"kind": "deformable_detr"}))
    save_weights(model, tmp_path / "mask2former.safetensors", metadata={})
    save_weights(deformable, tmp_path / "deformable.safetensors", metadata={})
    with pytest.raises(RiseError, match="choose"):
        load_pretrained(deformable, tmp_path / "mask2former.safetensors")
    with pytest.raises(RiseError, match="choose"):
        load_pretrained(model, tmp_path / "deformable.safetensors")


@pytest.mark.slow
def test_the_export_computes_the_same(config: ModelConfig, tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    model = spread_out(config.model_copy(update={"decoder_layers": 2}))
    images = torch.rand(3, 3, 64, 96)
    path = tmp_path / "model.onnx"
    report = export_onnx(
        copy.deepcopy(model), path, size=(64, 96), class_names=["a", "b", "c"], metadata={}, check_images=images
    )
    assert report.max_difference <= 1e-4
    assert check_export(path, model, torch.rand(5, 3, 64, 96)) <= 1e-4


def test_without_the_extra_a_sentence_names_it(config: ModelConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(RiseError, match=r"pip install 'rise-napari\[mask2former\]'"):
        build_segmenter(config)


def test_heads_that_do_not_divide_the_width_are_refused(config: ModelConfig) -> None:
    with pytest.raises(RiseError, match="num_heads"):
        build_segmenter(config.model_copy(update={"num_heads": 5}))


def test_the_kind_is_part_of_the_settings_on_disk() -> None:
    assert json.loads(ModelConfig(kind="mask2former").model_dump_json())["kind"] == "mask2former"
