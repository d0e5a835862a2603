from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from rise_engine.model.deformable_detr.mask_head import MaskFeatures, double_size, dynamic_parameter_count, mask_logits


def aligned_enlargement(maps: Tensor) -> Tensor:
    """CondInst's definition of the enlargement by two, of (n, 1, h, w)."""
    height, width = maps.shape[-2:]
    padded = F.pad(maps, (0, 1, 0, 1), mode="replicate")
    resized = F.interpolate(padded, (2 * height + 1, 2 * width + 1), mode="bilinear", align_corners=True)
    return F.pad(resized, (1, 0, 1, 0), mode="replicate")[:, :, : 2 * height, : 2 * width]


def masks_one_by_one(features: Tensor, parameters: Tensor, references: Tensor) -> Tensor:
    """CondInst's mask head on one image, literally: a network of 1x1 convolutions for each instance."""
    height, width = features.shape[-2:]
    rows, columns = torch.meshgrid(*(torch.arange(side) * 8 + 4 for side in (height, width)), indexing="ij")
    masks = []
    for numbers, (x, y) in zip(parameters, references, strict=True):
        w0, w1, w2, b0, b1, b2 = numbers.split([80, 64, 8, 8, 8, 1])
        hidden = torch.cat([(x - columns.to(x))[None], (y - rows.to(y))[None], features])[None]
        hidden = F.conv2d(hidden, w0.view(8, 10, 1, 1), b0).relu()
        hidden = F.conv2d(hidden, w1.view(8, 8, 1, 1), b1).relu()
        masks.append(aligned_enlargement(F.conv2d(hidden, w2.view(1, 8, 1, 1), b2))[0, 0])
    return torch.stack(masks)


def masks_in_groups(features: Tensor, parameters: Tensor, references: Tensor) -> Tensor:
    """The usual form on one image: the instances are the groups of one convolution over copies of the features."""
    count, (height, width) = len(parameters), features.shape[-2:]
    rows, columns = torch.meshgrid(*(torch.arange(side) * 8 + 4 for side in (height, width)), indexing="ij")
    relative = references[:, :, None, None] - torch.stack([columns, rows])
    hidden = torch.cat([relative, features.expand(count, -1, -1, -1)], 1).view(1, count * 10, height, width)
    *weights, b0, b1, b2 = parameters.split([80, 64, 8, 8, 8, 1], 1)
    for weight, bias, outputs in zip(weights, (b0, b1, b2), (8, 8, 1), strict=True):
        kernel = weight.reshape(count * outputs, -1, 1, 1)
        hidden = F.conv2d(hidden, kernel, bias.reshape(-1), groups=count)
        hidden = hidden.relu() if outputs > 1 else hidden
    return aligned_enlargement(hidden.transpose(0, 1))[:, 0]


def mask_inputs() -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    features = torch.randn(2, 8, 6, 9, generator=generator)
    parameters = torch.randn(2, 5, 169, generator=generator) * 0.2
    return features, parameters, torch.rand(2, 5, 2, generator=generator) * 70


def test_there_are_169_parameters_for_eight_channels() -> None:
    assert dynamic_parameter_count(8) == 169


@pytest.mark.parametrize("definition", [masks_one_by_one, masks_in_groups])
def test_the_factorised_head_is_the_usual_one(definition: Callable[[Tensor, Tensor, Tensor], Tensor]) -> None:
    features, parameters, references = (part.double() for part in mask_inputs())
    found = mask_logits(features, parameters, references)
    for image in range(2):
        expected = definition(features[image], parameters[image], references[image])
        torch.testing.assert_close(found[image], expected, atol=1e-10, rtol=1e-10)


def test_the_head_computes_in_single_precision_under_autocast() -> None:
    inputs = mask_inputs()
    with torch.autocast("cpu", torch.bfloat16):
        found = mask_logits(*inputs)
    torch.testing.assert_close(found, mask_logits(*inputs), atol=0, rtol=0)


def test_masks_of_a_large_image_are_exact_to_the_pixel_under_autocast() -> None:
    """Half precision counts in fours beyond 512: this mask is the distance to a reference far to the right."""
    parameters = torch.zeros(1, 1, 169)
    parameters[..., 0] = parameters[..., 80] = parameters[..., 144] = 1.0
    with torch.autocast("cpu", torch.bfloat16):
        logits = mask_logits(torch.zeros(1, 8, 1, 120), parameters, torch.tensor([[[957.0, 4.0]]]))
    # Odd columns lie on the features, whose pixels are 4, 12, 20, ...
    torch.testing.assert_close(logits[0, 0, 1, 1::2], (957.0 - 4 - 8 * torch.arange(120)).clamp(min=0))


def test_enlargement_is_the_aligned_one() -> None:
    maps = torch.randn(3, 1, 4, 7, dtype=torch.double)
    torch.testing.assert_close(double_size(maps), aligned_enlargement(maps))


def test_no_query_gives_no_mask() -> None:
    features, parameters, references = mask_inputs()
    assert mask_logits(features, parameters[:, :0], references[:, :0]).shape == (2, 0, 12, 18)


def test_mask_features_take_odd_sizes() -> None:
    head = MaskFeatures(dim=32, channels=8)
    maps = [torch.randn(2, 32, 9, 11), torch.randn(2, 32, 5, 6), torch.randn(2, 32, 3, 3)]
    features = head(maps)
    assert features.shape == (2, 8, 9, 11)
    assert (features >= 0).all()
