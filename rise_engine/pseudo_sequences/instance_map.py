"""The objects of a frame as one integer map, so that one operation moves or covers all of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rise_engine.pseudo_sequences.geometry import Matrix

Layers = NDArray[np.integer[Any]]
"""uint8 or int16 (L, H, W): 0 where no object is, else an object's number, counted from 1."""


def layer_type(objects: int) -> type[np.uint8] | type[np.int16]:
    """The smallest of the two types that can number so many objects; its largest value stays free."""
    return np.uint8 if objects < np.iinfo(np.uint8).max else np.int16


@dataclass(frozen=True, slots=True, eq=False)
class InstanceMap:
    """Object i has the number i + 1 in the layer ``layer_of[i]``, int64 (N,).

    Objects that overlap are in different layers, so that each stays whole. Mostly there is one layer.
    """

    layers: Layers
    layer_of: NDArray[np.int64]

    @classmethod
    def from_masks(cls, masks: NDArray[np.bool_]) -> InstanceMap:
        """The map of masks bool (N, H, W), each in the first layer where it overlaps nothing."""
        kind = layer_type(len(masks))
        layers = [np.zeros(masks.shape[1:], kind)]
        layer_of = np.zeros(len(masks), np.int64)
        for index, mask in enumerate(masks):
            free = (place for place, layer in enumerate(layers) if not layer[mask].any())
            place = next(free, len(layers))
            if place == len(layers):
                layers.append(np.zeros(masks.shape[1:], kind))
            layers[place][mask] = index + 1
            layer_of[index] = place
        return cls(np.stack(layers), layer_of)

    def __len__(self) -> int:
        return len(self.layer_of)

    def masks(self) -> NDArray[np.bool_]:
        """The masks it was made from, (N, H, W)."""
        numbers = np.arange(1, len(self) + 1)[:, None, None]
        return np.asarray(self.layers[self.layer_of] == numbers)


def moved_layers(layers: Layers, matrix: Matrix, size: tuple[int, int]) -> Layers:
    """Layers (L, H, W) moved along ``matrix`` to an image of ``size`` (h, w).

    A pixel belongs to the object with more than half of the bilinear weight at its source position, as if each mask
    were resampled and thresholded at 0.5. Outside the source there is no object.
    """
    moved = np.zeros((len(layers), *size), layers.dtype)
    if not layers.any():
        return moved
    height, width = layers.shape[1:]
    inverse = np.linalg.inv(matrix)
    columns, rows = np.arange(size[1]) + 0.5, np.arange(size[0]) + 0.5
    x, y = (
        (inverse[axis, 0] * columns - 0.5).astype(np.float32)
        + (inverse[axis, 1] * rows + inverse[axis, 2]).astype(np.float32)[:, None]
        for axis in (0, 1)
    )
    beyond = (x < -0.5) | (x > width - 0.5) | (y < -0.5) | (y > height - 0.5)
    np.clip(x, 0, width - 1, out=x)
    np.clip(y, 0, height - 1, out=y)
    # One more row and column let every pixel have neighbours to the right and below; at the edge they weigh nothing.
    stride = width + 1
    corner = y.astype(np.intp)
    corner *= stride
    corner += x.astype(np.intp)
    for source, target in zip(layers, moved, strict=True):
        padded = np.pad(source, ((0, 1), (0, 1)), mode="edge")
        np.take(_undisputed(padded).ravel(), corner, out=target, mode="clip")
        disputed = target == np.iinfo(layers.dtype).max
        target[disputed] = _majority(padded.ravel(), stride, corner[disputed], x[disputed], y[disputed])
        target[beyond] = 0
    return moved


def _undisputed(padded: Layers) -> Layers:
    """For each pixel the number that it shares with its right and lower neighbours, or the type's largest value."""
    here = padded[:-1, :-1]
    same = (here == padded[:-1, 1:]) & (here == padded[1:, :-1]) & (here == padded[1:, 1:])
    agreed = padded.copy()
    agreed[:-1, :-1][~same] = np.iinfo(padded.dtype).max
    return agreed


def _majority(
    numbers: Layers, stride: int, corner: NDArray[np.intp], x: NDArray[np.float32], y: NDArray[np.float32]
) -> Layers:
    """Of the four neighbours of each point (P,) the number with more than half of the weight, else 0."""
    right, lower = x - np.floor(x), y - np.floor(y)
    left, upper = 1 - right, 1 - lower
    around = [numbers[corner + step] for step in (0, 1, stride, stride + 1)]
    weights = [left * upper, right * upper, left * lower, right * lower]
    chosen = np.zeros(len(corner), numbers.dtype)
    for number in around:
        weight = sum((other == number) * share for other, share in zip(around, weights, strict=True))
        np.copyto(chosen, number, where=weight > 0.5)
    return chosen
