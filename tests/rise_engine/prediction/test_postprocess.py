"""Pre- and postprocessing of predictions, on outputs with known instances; invalid models are refused."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from pycocotools import mask as rle_codec
from torch.nn.functional import interpolate

from rise_engine.config import LoaderConfig
from rise_engine.errors import RiseError
from rise_engine.prediction.load import load_model
from rise_engine.prediction.postprocess import predictions_from_output
from rise_engine.prediction.preprocess import resize_for_network


@dataclass
class KnownOutput:
    """A fixed output instead of a network's; records which masks were requested."""

    class_logits: torch.Tensor
    boxes: torch.Tensor
    low_logits: torch.Tensor
    requested: list[list[int]]

    def masks(self, image: int, queries: torch.Tensor) -> torch.Tensor:
        self.requested.append(queries.tolist())
        return self.low_logits[image, queries]


def known_output(scores: list[list[float]], boxes: list[list[float]], masks: torch.Tensor) -> KnownOutput:
    probability = torch.tensor([scores])
    return KnownOutput(torch.log(probability / (1 - probability)), torch.tensor([boxes]), masks[None], [])


def two_squares() -> torch.Tensor:
    """Logits (3, 16, 16): a square, nearly the same square, and another one elsewhere."""
    masks = torch.full((3, 16, 16), -5.0)
    masks[0, 2:6, 3:9] = 5
    masks[1, 2:6, 3:9] = 5
    masks[2, 10:14, 10:12] = 5
    return masks


SQUARES = [[6 / 16, 4 / 16, 6 / 16, 4 / 16], [6 / 16, 4 / 16, 6 / 16, 4 / 16], [11 / 16, 12 / 16, 2 / 16, 4 / 16]]


def test_a_mask_becomes_full_size_with_its_box() -> None:
    output = known_output([[0.9], [0.01], [0.8]], SQUARES, two_squares())
    first, second = predictions_from_output(output, 0, network_size=(64, 64), original_size=(64, 64), min_score=0.3)
    assert first.score == pytest.approx(0.9)
    assert first.box == (12, 8, 36, 24)
    assert second.box == (40, 40, 48, 56)
    mask = rle_codec.decode(first.rle)
    assert mask.shape == (64, 64)
    # Equal logits on both sides put the zero crossing on the border between cells; only corners are rounded off.
    assert mask[9:23, 12:36].all()
    assert mask.sum() >= 16 * 24 - 4
    assert mask.sum() == mask[8:24, 12:36].sum()
    assert isinstance(first.rle["counts"], str)


def test_nms_keeps_the_better_of_equal_boxes_and_only_its_mask_is_computed() -> None:
    output = known_output([[0.7], [0.9], [0.8]], SQUARES, two_squares())
    found = predictions_from_output(output, 0, network_size=(64, 64), original_size=(64, 64), min_score=0.3)
    assert [round(instance.score, 2) for instance in found] == [0.9, 0.8]
    assert output.requested == [[1, 2]]


def test_nms_keeps_equal_boxes_of_two_classes() -> None:
    output = known_output([[0.7, 0.01], [0.01, 0.9], [0.01, 0.01]], SQUARES, two_squares())
    found = predictions_from_output(output, 0, network_size=(64, 64), original_size=(64, 64), min_score=0.3)
    assert [(instance.label, round(instance.score, 2)) for instance in found] == [(1, 0.9), (0, 0.7)]


def test_top_limits_pairs_of_query_and_class() -> None:
    output = known_output([[0.7, 0.6], [0.01, 0.01], [0.65, 0.5]], SQUARES, two_squares())
    found = predictions_from_output(output, 0, network_size=(64, 64), original_size=(64, 64), min_score=0.3, top=3)
    assert [round(instance.score, 2) for instance in found] == [0.7, 0.65, 0.6]


def test_empty_masks_and_low_scores_are_removed() -> None:
    masks = two_squares()
    masks[0] = -1
    output = known_output([[0.9], [0.2], [0.1]], SQUARES, masks)
    assert predictions_from_output(output, 0, network_size=(64, 64), original_size=(64, 64), min_score=0.3) == []
    assert predictions_from_output(output, 0, network_size=(64, 64), original_size=(64, 64), min_score=0.95) == []


def test_the_padding_is_cropped() -> None:
    masks = torch.full((1, 16, 16), -5.0)
    masks[0, :, 5:] = 5
    output = known_output([[0.9]], [[0.5, 0.5, 1, 1]], masks)
    [found] = predictions_from_output(output, 0, network_size=(64, 40), original_size=(128, 80), min_score=0.3)
    assert found.box == (40, 0, 80, 128)
    assert rle_codec.decode(found.rle).shape == (128, 80)


def test_the_outline_of_a_mask_with_a_high_score_moves_to_the_edge_in_the_image() -> None:
    """Two equal squares are each one pixel larger on all sides than those of the image; only one has a high score."""
    masks = torch.full((2, 16, 16), -2.0)
    masks[0, 3:6, 3:6] = masks[1, 10:13, 10:13] = 2
    image = torch.zeros(3, 64, 64)
    image[:, 13:23, 13:23] = image[:, 41:51, 41:51] = 1
    output = known_output([[0.9], [0.15]], [SQUARES[0], SQUARES[2]], masks)
    size = {"network_size": (64, 64), "original_size": (128, 128), "min_score": 0.1}
    plain = predictions_from_output(output, 0, **size, image=image)
    moved = predictions_from_output(output, 0, **size, image=image, edge_reach=1 / 16)
    assert plain[0].box == (24, 24, 48, 48) and plain[1].box == (80, 80, 104, 104)
    assert moved[0].box == (26, 26, 46, 46)
    # Resizing rounds the corners off.
    assert 20 * 20 - 12 <= rle_codec.area(moved[0].rle) <= 20 * 20
    assert moved[1] == plain[1]
    assert predictions_from_output(output, 0, **size, edge_reach=1 / 16) == plain


@pytest.mark.parametrize("original", [(64, 48), (301, 227), (37, 29), (960, 720)])
def test_resizing_the_region_equals_resizing_the_whole_frame(original: tuple[int, int]) -> None:
    generator = torch.Generator().manual_seed(3)
    masks = interpolate(torch.randn(1, 1, 5, 5, generator=generator), size=(16, 12), mode="bicubic")[0]
    output = known_output([[0.9]], [[0.5, 0.5, 1, 1]], masks)
    [found] = predictions_from_output(output, 0, network_size=(64, 48), original_size=original, min_score=0.3)
    whole = interpolate(masks[None], size=original, mode="bilinear", align_corners=False)[0, 0] > 0
    different = rle_codec.decode(found.rle).astype(bool) != whole.numpy()
    assert different.mean() < 1e-3  # rounding may flip a pixel whose logit is zero


def test_network_input_is_padded_at_the_right_and_bottom() -> None:
    image = np.full((300, 400, 3), 255, np.uint8)
    frame = resize_for_network(image, LoaderConfig(predict_short_side=100, predict_long_side=200))
    assert frame.size == (100, 133)
    assert frame.images.shape == (1, 3, 128, 160)
    assert frame.padding_mask is not None
    assert torch.equal(frame.images[0, 0] > 0.5, ~frame.padding_mask[0])
    assert frame.images.max() == 1
    assert (~frame.padding_mask).sum() == 100 * 133


def test_network_input_limits_the_longer_side_and_has_no_padding_at_multiples_of_32() -> None:
    loader = LoaderConfig(predict_short_side=128, predict_long_side=160)
    assert resize_for_network(np.zeros((500, 1000, 3), np.uint8), loader).size == (80, 160)
    exact = resize_for_network(np.zeros((128, 160, 3), np.uint8), loader)
    assert exact.padding_mask is None
    assert exact.images.shape == (1, 3, 128, 160)


def test_an_invalid_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RiseError, match="no model at"):
        load_model(tmp_path / "absent", device="cpu")
    with pytest.raises(RiseError, match="no run"):
        load_model(tmp_path, device="cpu")
    text = tmp_path / "text.safetensors"
    text.write_text("hello")
    with pytest.raises(RiseError, match="safetensors"):
        load_model(text, device="cpu")
