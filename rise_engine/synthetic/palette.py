"""Random colours of the objects in totes."""

from __future__ import annotations

import colorsys

import numpy as np
from numpy.typing import NDArray

Colour = NDArray[np.float32]


def draw_colour(rng: np.random.Generator) -> Colour:
    """A colour (3,) in 0..1: often white, black, grey or cardboard, otherwise anything from pastel to saturated."""
    kind = rng.random()
    if kind < 0.16:
        hue, saturation, value = rng.random(), rng.uniform(0, 0.1), rng.uniform(0.78, 1.0)
    elif kind < 0.32:
        hue, saturation, value = rng.random(), rng.uniform(0, 0.35), rng.uniform(0.03, 0.2)
    elif kind < 0.44:
        hue, saturation, value = rng.random(), rng.uniform(0, 0.12), rng.uniform(0.2, 0.78)
    elif kind < 0.54:
        hue, saturation, value = rng.uniform(0.05, 0.13), rng.uniform(0.2, 0.6), rng.uniform(0.4, 0.85)
    elif kind < 0.66:
        hue, saturation, value = rng.uniform(-0.04, 0.17) % 1.0, rng.uniform(0.7, 1.0), rng.uniform(0.55, 1.0)
    else:
        hue, saturation, value = rng.random(), rng.uniform(0.25, 1.0), rng.uniform(0.25, 1.0)
    return np.array(colorsys.hsv_to_rgb(hue, saturation, value), np.float32)


def vary(rng: np.random.Generator, colour: Colour, amount: float) -> Colour:
    """The colour with every channel moved by up to ``amount``, and its brightness by as much."""
    shift = rng.uniform(-amount, amount, 3) + rng.uniform(-amount, amount)
    return np.clip(colour + shift, 0.0, 1.0).astype(np.float32)


def to_bytes(colour: Colour) -> tuple[int, int, int]:
    """The colour as Pillow wants it."""
    red, green, blue = (round(255 * float(channel)) for channel in np.clip(colour, 0, 1))
    return red, green, blue
