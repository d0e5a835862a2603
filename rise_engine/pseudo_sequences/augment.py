"""Weak, strong and per-object augmentation (paper, Sec. 3.2, 3.3 and App. A).

All random numbers come from the given generator, so that a pseudo-sequence can be made again from its seed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache, partial

import kornia
import numpy as np
from torch import Tensor

from rise_engine.config import AugmentConfig, StrongOperation
from rise_engine.pseudo_sequences.geometry import Matrix, about, rotation, scaling, translation

Recolouring = Callable[[Tensor], Tensor]
"""Maps an image float (3, H, W) 0..1, on any device, to the same image in other colours."""

BLUR_KERNEL = 5
BLUR_SIGMA = (0.1, 2.0)


@dataclass(frozen=True, slots=True, eq=False)
class WeakAugmentation:
    """psi: ``matrix`` moves the content within the image, ``brightness`` multiplies its values."""

    matrix: Matrix
    brightness: float


@dataclass(frozen=True, slots=True, eq=False)
class ObjectAugmentation:
    """Augmentation of one pasted object; ``matrix`` rotates, scales and mirrors it about the origin."""

    matrix: Matrix
    brightness: float
    contrast: float


def sample_weak(
    rng: np.random.Generator, config: AugmentConfig, size: tuple[int, int], *, flip: bool
) -> WeakAugmentation:
    """A weak augmentation of an image of ``size`` (h, w): rotation, scale and shift about its centre, brightness.

    With ``flip`` it is mirrored left to right with probability 0.5.
    """
    moved = _sample_motion(rng, size, config.rotation, config.scale, config.shift, config.brightness)
    mirror = -1.0 if flip and rng.random() < 0.5 else 1.0
    return _mirrored(moved, size, mirror, 1.0)


def sample_strong_motion(rng: np.random.Generator, config: AugmentConfig, size: tuple[int, int]) -> WeakAugmentation:
    """A second weak augmentation for the strong view of ``size`` (h, w), with its own ranges.

    Soft Teacher (ICCV 2021) also rotates and scales the student's image more than the teacher's.
    """
    moved = _sample_motion(
        rng, size, config.strong_rotation, config.strong_scale, config.strong_shift, config.brightness
    )
    mirror_x, mirror_y = rng.choice((-1.0, 1.0), size=2) if config.strong_mirror else (1.0, 1.0)
    return _mirrored(moved, size, mirror_x, mirror_y)


def _sample_motion(
    rng: np.random.Generator,
    size: tuple[int, int],
    turn: float,
    zoom: tuple[float, float],
    shift: float,
    brightness: float,
) -> WeakAugmentation:
    """Rotation (degrees) and scaling about the centre of ``size`` (h, w), then a shift by shares of its sides."""
    height, width = size
    turned = rotation(rng.uniform(-turn, turn))
    factor = rng.uniform(*zoom)
    shift_x, shift_y = rng.uniform(-shift, shift, size=2)
    about_centre = about((width / 2, height / 2), turned @ scaling(factor, factor))
    return WeakAugmentation(
        translation(shift_x * width, shift_y * height) @ about_centre, rng.uniform(1 - brightness, 1 + brightness)
    )


def _mirrored(moved: WeakAugmentation, size: tuple[int, int], x: float, y: float) -> WeakAugmentation:
    """The augmentation after mirroring along the axes where ``x`` or ``y`` is -1."""
    height, width = size
    return replace(moved, matrix=moved.matrix @ about((width / 2, height / 2), scaling(x, y)))


def sample_object(rng: np.random.Generator, config: AugmentConfig) -> ObjectAugmentation:
    """An augmentation of one pasted object: scale, rotation, flips, brightness and contrast."""
    turn = rotation(rng.uniform(-config.object_rotation, config.object_rotation))
    zoom = rng.uniform(*config.object_scale)
    mirror_x, mirror_y = rng.choice((-1.0, 1.0), size=2)
    if not config.object_flip:
        mirror_x = mirror_y = 1.0
    low, high = 1 - config.object_brightness, 1 + config.object_brightness
    return ObjectAugmentation(
        turn @ scaling(zoom * mirror_x, zoom * mirror_y), rng.uniform(low, high), rng.uniform(low, high)
    )


def adjust(image: Tensor, *, brightness: float, contrast: float) -> Tensor:
    """``image`` float (3, H, W) with its values multiplied, then spread about their mean grey; clamped to 0..1."""
    brighter = kornia.enhance.adjust_brightness_accumulative(image, brightness)
    return kornia.enhance.adjust_contrast_with_mean_subtraction(brighter, contrast)


def strong_augmentation(image: Tensor, rng: np.random.Generator, config: AugmentConfig) -> Tensor:
    """``image`` float (3, H, W) RGB 0..1 after ``sample_strong``; the result has the same shape and range."""
    for recolour in sample_strong(rng, config):
        image = recolour(image)
    return image


def sample_strong(rng: np.random.Generator, config: AugmentConfig) -> tuple[Recolouring, ...]:
    """phi: RandAugment over operations that change colours and never the geometry.

    ``config.strong_operations`` different ones of ``config.strong_choices`` are sampled (all of them if there are
    fewer), to be applied in this order.
    """
    choices = config.strong_choices
    sampled = rng.choice(len(choices), min(config.strong_operations, len(choices)), replace=False)
    return tuple(STRONG_OPERATIONS[choices[index]](rng, config) for index in sampled)


def colour_jitter(rng: np.random.Generator, config: AugmentConfig) -> Recolouring:
    """Brightness and contrast, each with a random factor; the default, 0.05 to 0.95, is that of the released RISE."""
    brightness, contrast = rng.uniform(*config.strong_jitter, size=2)
    return partial(adjust, brightness=brightness, contrast=contrast)


def planckian_jitter(rng: np.random.Generator, config: AugmentConfig) -> Recolouring:
    """Planckian jitter, the light of a black body at another temperature: red and blue scaled, green unchanged."""
    table = _blackbody_table()
    red, blue = table[int(rng.integers(len(table)))].tolist()
    return lambda image: (image * image.new_tensor([red, 1.0, blue])[:, None, None]).clamp(0, 1)


def grayscale(rng: np.random.Generator, config: AugmentConfig) -> Recolouring:
    """Grey values in three equal channels."""
    return lambda image: kornia.color.rgb_to_grayscale(image).expand_as(image)


def gaussian_blur(rng: np.random.Generator, config: AugmentConfig) -> Recolouring:
    """A Gaussian of random width within a 5 x 5 window."""
    sigma, window = float(rng.uniform(*BLUR_SIGMA)), (BLUR_KERNEL, BLUR_KERNEL)
    return lambda image: kornia.filters.gaussian_blur2d(image[None], window, (sigma, sigma))[0].clamp(0, 1)


STRONG_OPERATIONS: dict[StrongOperation, Callable[[np.random.Generator, AugmentConfig], Recolouring]] = {
    "colour_jitter": colour_jitter,
    "planckian_jitter": planckian_jitter,
    "grayscale": grayscale,
    "gaussian_blur": gaussian_blur,
}


@cache
def _blackbody_table() -> Tensor:
    """Factors of red and blue, (25, 2), for temperatures from 3,000 to 15,000 kelvin."""
    table: Tensor = kornia.augmentation.RandomPlanckianJitter(mode="blackbody").pl
    return table
