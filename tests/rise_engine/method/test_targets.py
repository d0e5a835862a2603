from __future__ import annotations

import pytest
import torch

from rise_engine.method.targets import Targets


def mask(rows: slice, columns: slice, size: tuple[int, int] = (24, 48)) -> torch.Tensor:
    canvas = torch.zeros(size, dtype=torch.bool)
    canvas[rows, columns] = True
    return canvas


def test_box_is_half_open_and_normalised_by_the_unpadded_size() -> None:
    masks = mask(slice(2, 6), slice(10, 20))[None]
    targets = Targets.from_masks(masks, torch.tensor([3]), image_size=(20, 40))
    # x 10..20 of 40, y 2..6 of 20
    torch.testing.assert_close(targets.boxes, torch.tensor([[15 / 40, 4 / 20, 10 / 40, 4 / 20]]))
    assert targets.labels.tolist() == [3]
    assert targets.masks.shape == (1, 24, 48)


def test_one_pixel_in_the_last_corner() -> None:
    masks = mask(slice(19, 20), slice(39, 40))[None]
    targets = Targets.from_masks(masks, torch.tensor([0]), image_size=(20, 40))
    torch.testing.assert_close(targets.boxes, torch.tensor([[39.5 / 40, 19.5 / 20, 1 / 40, 1 / 20]]))


def test_empty_masks_are_left_out_with_their_labels() -> None:
    masks = torch.stack([mask(slice(0, 0), slice(0, 0)), mask(slice(0, 20), slice(0, 40))])
    targets = Targets.from_masks(masks, torch.tensor([7, 8]), image_size=(20, 40))
    assert targets.labels.tolist() == [8]
    torch.testing.assert_close(targets.boxes, torch.tensor([[0.5, 0.5, 1.0, 1.0]]))
    assert len(targets) == 1


def test_no_instances() -> None:
    targets = Targets.from_masks(torch.zeros(0, 24, 48), torch.zeros(0), image_size=(20, 40))
    assert len(targets) == 0
    assert targets.boxes.shape == (0, 4)
    assert targets.labels.dtype == torch.int64
    assert targets.to("cpu").masks.dtype == torch.bool


def test_parts_that_do_not_belong_together_are_refused() -> None:
    with pytest.raises(ValueError, match="do not belong together"):
        Targets(torch.zeros(2, dtype=torch.int64), torch.zeros(1, 4), torch.zeros(2, 8, 8, dtype=torch.bool))
