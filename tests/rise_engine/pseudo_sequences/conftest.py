"""Frames, banks and makers small enough to work out by hand."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from rise_engine.config import AugmentConfig, LoaderConfig, SequenceConfig
from rise_engine.project.frame import LabelledFrame
from rise_engine.pseudo_sequences.bank import CutOut, InstanceBank
from rise_engine.pseudo_sequences.sequence import SequenceMaker


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(3)


@pytest.fixture
def noisy_frame() -> LabelledFrame:
    """A frame of 96 x 128 noise with two overlapping rectangles of the categories 2 and 5."""
    masks = np.zeros((2, 96, 128), dtype=bool)
    masks[0, 20:60, 30:70] = True
    masks[1, 40:80, 50:110] = True
    image = np.random.default_rng(0).integers(0, 256, (96, 128, 3), dtype=np.uint8)
    return LabelledFrame("totes/a.jpg", image, masks, np.array([2, 5]))


@pytest.fixture
def bank() -> InstanceBank:
    """Five bright red discs and L shapes, label 7."""
    bank = InstanceBank(10)
    rows, columns = np.mgrid[:20, :24]
    disc = ((rows - 9.5) / 10) ** 2 + ((columns - 11.5) / 12) ** 2 <= 1
    corner = (rows >= 12) | (columns < 8)
    for index in range(5):
        image = np.zeros((20, 24, 3), dtype=np.uint8)
        image[..., 0] = 255
        bank.add(CutOut(image, disc if index % 2 else corner, label=7, frame="totes/b.jpg", instance=index))
    return bank


@pytest.fixture
def still() -> AugmentConfig:
    """No augmentation at all."""
    return AugmentConfig(
        rotation=0,
        scale=(1, 1),
        shift=0,
        brightness=0,
        flip=False,
        strong_operations=0,
        object_scale=(1, 1),
        object_rotation=0,
        object_brightness=0,
    )


@pytest.fixture
def maker() -> Callable[..., SequenceMaker]:
    """A maker at the fixture frame's own size; keywords are fields of ``SequenceConfig``."""

    def build(augment: AugmentConfig | None = None, **fields: object) -> SequenceMaker:
        loader = LoaderConfig(short_sides=(96,), crop=128)
        return SequenceMaker(SequenceConfig.model_validate(fields), augment or AugmentConfig(), loader)

    return build
