from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from rise_engine.model.deformable_detr.attention import AttentionForm, DeformableAttention, sample
from rise_engine.model.deformable_detr.embedding_bag_sampling import EmbeddingBagSampling

SIZES = [(3, 5), (2, 3), (1, 2)]
FORMS: list[AttentionForm] = ["grid", "bag", "gather"]


def sampling_inputs(points: int = 2) -> tuple[Tensor, Tensor, Tensor]:
    """Values, locations (some outside, some far) and weights in double precision."""
    generator = torch.Generator().manual_seed(3)
    tokens = sum(height * width for height, width in SIZES)
    values = torch.randn(2, 2, tokens, 3, generator=generator, dtype=torch.double)
    shape = (2, 4, 2, len(SIZES), points)
    locations = torch.rand(*shape, 2, generator=generator, dtype=torch.double) * 1.6 - 0.3
    locations[0, 0] += 7.0
    locations[1, 1] -= 7.0
    return values, locations, torch.rand(*shape, generator=generator, dtype=torch.double)


def sampled_pixel_by_pixel(values: Tensor, locations: Tensor, weights: Tensor) -> Tensor:
    """The definition: every point reads its four neighbours, each weighted by its closeness on both axes."""
    batch, heads, _, channels = values.shape
    result = torch.zeros(batch, locations.shape[1], heads, channels, dtype=values.dtype)
    for b, q, h, level, p in torch.cartesian_prod(*(torch.arange(side) for side in weights.shape)).tolist():
        height, width = SIZES[level]
        start = sum(rows * columns for rows, columns in SIZES[:level])
        x, y = (locations[b, q, h, level, p] * torch.tensor([width, height]) - 0.5).tolist()
        for row in (math.floor(y), math.floor(y) + 1):
            for column in (math.floor(x), math.floor(x) + 1):
                if 0 <= row < height and 0 <= column < width:
                    share = (1 - abs(x - column)) * (1 - abs(y - row))
                    result[b, q, h] += weights[b, q, h, level, p] * share * values[b, h, start + row * width + column]
    return result.flatten(2)


@pytest.mark.parametrize("form", FORMS)
def test_every_form_reads_four_neighbours_and_zeros_outside(form: AttentionForm) -> None:
    values, locations, weights = sampling_inputs()
    expected = sampled_pixel_by_pixel(values, locations, weights)
    torch.testing.assert_close(sample(values, SIZES, locations, weights, form=form), expected, atol=1e-10, rtol=0)


@pytest.mark.parametrize("form", ["bag", "gather"])
def test_gradients_agree_with_those_of_grid_sample(form: AttentionForm) -> None:
    gradients = []
    for each in ("grid", form):
        inputs = [tensor.requires_grad_() for tensor in sampling_inputs()]
        values, locations, weights = inputs
        result = sample(values, SIZES, locations, weights, form=each)
        weighting = torch.linspace(-1, 2, result.numel(), dtype=torch.double).view_as(result)
        gradients.append(torch.autograd.grad((result * weighting).sum(), inputs))
    for expected, found in zip(*gradients, strict=True):
        torch.testing.assert_close(found, expected, atol=1e-10, rtol=0)


def test_the_bags_own_gradient_is_that_of_its_value() -> None:
    inputs = [tensor.requires_grad_() for tensor in sampling_inputs(points=1)]
    assert torch.autograd.gradcheck(
        lambda values, locations, weights: EmbeddingBagSampling.apply(values, SIZES, locations, weights), inputs
    )


def test_the_bag_passes_nan_on_instead_of_reading_anywhere() -> None:
    values, locations, weights = sampling_inputs()
    locations[0, 2, 1, 0, 0, 0] = torch.nan
    result = sample(values, SIZES, locations, weights, form="bag")
    assert result[0, 2, 3:].isnan().all()
    assert result[1].isfinite().all()


def test_fresh_attention_looks_along_eight_rays_with_equal_weights() -> None:
    attention = DeformableAttention(dim=32, heads=8, levels=4, points=4)
    offsets = attention.sampling_offsets(torch.randn(32)).view(8, 4, 4, 2)
    for level in range(4):
        torch.testing.assert_close(offsets[0, level], torch.tensor([[1.0, 0], [2, 0], [3, 0], [4, 0]]))
        torch.testing.assert_close(offsets[3, level, 1], torch.tensor([-2.0, 2.0]))
    weights = attention.attention_weights(torch.randn(32)).view(8, 16).softmax(-1)
    torch.testing.assert_close(weights, torch.full((8, 16), 1 / 16))


def test_point_offsets_are_pixels_and_box_offsets_are_eighths_of_the_box() -> None:
    """With values that equal their own column, the attended value tells where it looked."""
    width = 40
    attention = DeformableAttention(dim=8, heads=1, levels=1, points=1)
    with torch.no_grad():
        for projection in (attention.value_proj, attention.output_proj):
            projection.weight.copy_(torch.eye(8))
        attention.sampling_offsets.bias.copy_(torch.tensor([2.0, 0.0]))
    columns = torch.arange(width).float().view(1, width, 1).expand(1, width, 8)
    query = torch.zeros(1, 1, 8)
    point = torch.tensor([[[[0.5, 0.5]]]])
    box = torch.tensor([[[[0.5, 0.5, 0.4, 1.0]]]])
    assert attention(query, point, columns, [(1, width)])[0, 0, 0].item() == pytest.approx(19.5 + 2)
    # One point a level: two steps of half the box's width of 16 pixels.
    assert attention(query, box, columns, [(1, width)])[0, 0, 0].item() == pytest.approx(19.5 + 2 * 8, abs=1e-4)


def test_padding_counts_as_zero() -> None:
    torch.manual_seed(0)
    attention = DeformableAttention(dim=32, heads=4, levels=1, points=2)
    torch.nn.init.ones_(attention.value_proj.bias)
    memory, references = torch.randn(1, 6, 32), torch.rand(1, 5, 1, 2)
    query, padding = torch.randn(1, 5, 32), torch.tensor([[False, False, True] * 2])
    changed = memory.clone()
    changed[:, padding[0]] += 100
    first = attention(query, references, memory, [(2, 3)], padding)
    torch.testing.assert_close(attention(query, references, changed, [(2, 3)], padding), first)


def test_a_width_that_the_heads_do_not_divide_is_refused() -> None:
    with pytest.raises(ValueError, match="num_heads"):
        DeformableAttention(dim=32, heads=5, levels=1, points=1)
