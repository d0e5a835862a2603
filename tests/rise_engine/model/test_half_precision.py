"""What must not be computed in bfloat16 is not: positions, sampling and boxes under autocast."""

from __future__ import annotations

import copy
from typing import get_args

import pytest
import torch

from rise_engine.model.deformable_detr.attention import AttentionForm, DeformableAttention
from rise_engine.model.deformable_detr.segmenter import DeformableSegmenter


@pytest.mark.parametrize("form", get_args(AttentionForm))
def test_points_are_read_to_a_fraction_of_a_pixel_far_from_the_origin(form: AttentionForm) -> None:
    """Values tell their column modulo eight; bfloat16 would place column 1203.25 of 1500 somewhere within six."""
    width = 1500
    attention = DeformableAttention(dim=8, heads=1, levels=1, points=1)
    attention.form = form
    with torch.no_grad():
        for projection in (attention.value_proj, attention.output_proj):
            projection.weight.copy_(torch.eye(8))
        attention.sampling_offsets.bias.zero_()
    columns = (torch.arange(width) % 8).float().view(1, width, 1).expand(1, width, 8)
    reference = torch.tensor([(1203.25 + 0.5) / width, 0.5]).view(1, 1, 1, 2)
    with torch.autocast("cpu", torch.bfloat16):
        found = attention(torch.zeros(1, 1, 8), reference, columns, [(1, width)])
    assert found[0, 0, 0].item() == pytest.approx(3.25, abs=1e-3)


def test_boxes_and_masks_differ_no_more_than_rounded_weights_make_them(tiny_model: DeformableSegmenter) -> None:
    """Autocast rounds weights and what they are multiplied with; rounding the weights alone is the yardstick."""
    generator = torch.Generator().manual_seed(4)
    images = torch.rand(1, 3, 64, 96, generator=generator)
    rounded = copy.deepcopy(tiny_model)
    with torch.no_grad():
        for parameter in rounded.parameters():
            parameter.copy_(parameter.bfloat16().float())
        exact, yardstick = tiny_model(images), rounded(images)
        with torch.autocast("cpu", torch.bfloat16):
            half = tiny_model(images)
            masks = half.mask_logits
    for name in ("boxes", "references", "class_logits", "embeddings"):
        allowed = 4 * (getattr(yardstick, name) - getattr(exact, name)).abs().max()
        assert (getattr(half, name) - getattr(exact, name)).abs().max() < allowed, name
    assert (masks - exact.mask_logits).abs().max() < 4 * (yardstick.mask_logits - exact.mask_logits).abs().max()
    for layer in half.layers:
        assert layer.boxes.dtype == layer.references.dtype == torch.float32
    assert masks.dtype == torch.float32


def test_boxes_that_were_not_corrected_are_the_references_exactly(tiny_model: DeformableSegmenter) -> None:
    """Zero corrections bring a reference through sigmoid and back: bfloat16 would move it by a pixel in 300."""
    with torch.no_grad():
        for head in tiny_model.box_head:
            head.layers[-1].weight.zero_()
            head.layers[-1].bias.zero_()
        with torch.autocast("cpu", torch.bfloat16):
            output = tiny_model(torch.rand(1, 3, 64, 96))
        queries = tiny_model.query_embed.weight[None, :, : tiny_model.config.hidden_dim]
        expected = tiny_model.reference_points(queries).sigmoid()
    for layer in output.layers:
        torch.testing.assert_close(layer.boxes[..., :2], expected, atol=1e-6, rtol=0)
