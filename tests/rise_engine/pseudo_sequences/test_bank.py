"""What the instance bank takes, keeps and gives."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from rise_engine.project.frame import LabelledFrame
from rise_engine.pseudo_sequences.bank import InstanceBank


def test_cut_outs_are_the_masks_tight_boxes(noisy_frame: LabelledFrame) -> None:
    bank = InstanceBank(10)
    assert bank.add_frame(noisy_frame, min_area=32) == 2
    first, second = bank
    np.testing.assert_array_equal(first.image, noisy_frame.image[20:60, 30:70])
    assert first.mask.all() and first.mask.shape == (40, 40)
    assert (first.label, first.frame, first.instance, first.frame_side) == (2, "totes/a.jpg", 0, 96)
    # Overlapping instances keep their whole masks.
    assert second.mask.all() and second.mask.shape == (40, 60)


def test_cut_outs_do_not_hold_on_to_the_frame(noisy_frame: LabelledFrame) -> None:
    bank = InstanceBank(10)
    bank.add_frame(noisy_frame, min_area=32)
    before = noisy_frame.image[20:60, 30:70].copy()
    noisy_frame.image[:] = 0
    np.testing.assert_array_equal(next(iter(bank)).image, before)


def test_unfit_instances_are_left_out(noisy_frame: LabelledFrame) -> None:
    masks = np.zeros((5, 96, 128), dtype=bool)
    masks[0, 5:8, 5:100] = True  # a sliver of three rows
    masks[1, 10:90, 10:110] = True  # 65 % of the frame
    masks[2, 10:15, 10:15] = True  # 25 pixels
    masks[4, 10:20, 10:20] = True  # the one that fits; 3 is empty
    bank = InstanceBank(10)
    frame = replace(noisy_frame, masks=masks, categories=np.arange(5))
    assert bank.add_frame(frame, min_area=32) == 1
    assert [cut_out.instance for cut_out in bank] == [4]


def test_excluded_instances_are_left_out(noisy_frame: LabelledFrame) -> None:
    bank = InstanceBank(10)
    numbered = replace(noisy_frame, instances=(71, 72))
    assert bank.add_frame(numbered, min_area=32, excluded={71}) == 1
    assert [cut_out.instance for cut_out in bank] == [1]


def test_the_oldest_gives_way(bank: InstanceBank, noisy_frame: LabelledFrame) -> None:
    small = InstanceBank(3)
    for cut_out in bank:
        small.add(cut_out)
    assert [cut_out.instance for cut_out in small] == [2, 3, 4]


def test_sampling_reaches_all_alike(bank: InstanceBank, rng: np.random.Generator) -> None:
    drawn = np.bincount([bank.sample(rng).instance or 0 for _ in range(1000)], minlength=5)
    # Six standard deviations of a binomial(1000, 1/5) are 76.
    assert np.all(np.abs(drawn - 200) < 76)


def test_distinct_samples_repeat_only_when_the_bank_is_used_up(bank: InstanceBank, rng: np.random.Generator) -> None:
    assert sorted(cut_out.instance or 0 for cut_out in bank.sample_distinct(rng, 5)) == [0, 1, 2, 3, 4]
    assert len(bank.sample_distinct(rng, 7)) == 7


def test_an_empty_bank_says_so(rng: np.random.Generator) -> None:
    with pytest.raises(IndexError, match="empty"):
        InstanceBank(5).sample(rng)
    assert InstanceBank(5).sample_distinct(rng, 3) == []
