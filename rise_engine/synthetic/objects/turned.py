"""Shared parts of standing and lying round objects: shading, wrapped labels, lids and wire mesh."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from rise_engine.synthetic.palette import Colour
from rise_engine.synthetic.raster import Patch, Plane, Points, Stencil, circle
from rise_engine.synthetic.studio import Studio

METAL = np.array([0.72, 0.72, 0.74], np.float32)


def wrap_label(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Squeeze the picture's rows towards its long edges, as on a cylinder seen from the side."""
    height = picture.shape[0]
    rows = np.arcsin(np.linspace(-0.98, 0.98, height)) / (2 * np.arcsin(0.98)) + 0.5
    return np.ascontiguousarray(picture[(rows * (height - 1)).astype(np.intp)])


def round_shade(across: Plane, studio: Studio, angle: float, gloss: float) -> tuple[Plane, Plane]:
    """Brightness and highlight of a lying cylinder; ``across`` (h, w) is -1..1 from edge to edge."""
    lx, ly, lz = (float(v) for v in studio.light.towards)
    lateral = ly * np.cos(angle) - lx * np.sin(angle)
    v = np.clip(across, -1, 1)
    up = np.sqrt(1 - v * v * np.float32(0.96))
    facing = np.maximum(0, v * np.float32(lateral) + up * np.float32(lz))
    bright = studio.light.ambient * (0.55 + 0.45 * up) + (1 - studio.light.ambient) * facing * np.float32(1.15)
    half = np.array([lateral, lz + 1.0]) / np.hypot(lateral, lz + 1.0)
    shine = np.maximum(0, v * np.float32(half[0]) + up * np.float32(half[1]))
    return bright, (shine**24 * np.float32(gloss)).astype(np.float32)


def paint_lid(
    rng: np.random.Generator,
    colour: NDArray[np.float32],
    patch: Patch,
    centre: Points,
    radius: float,
    squash: float,
    angle: float,
    tint: Colour,
    studio: Studio,
    *,
    tab: bool,
) -> Plane:
    """Paint a lid with concentric rings onto ``colour`` and return its coverage."""
    cover = Stencil(patch).polygon(circle(centre, radius, squash=squash, angle=angle)).plane()
    along, across = patch.grid(centre, angle)
    along = along / np.float32(max(squash, 0.05))
    r = np.sqrt(along * along + across * across) / np.float32(radius)
    rings = np.ones_like(r)
    for _ in range(int(rng.integers(1, 5))):
        where, thick = rng.uniform(0.3, 0.97), rng.uniform(0.02, 0.06)
        rings += np.float32(rng.uniform(-0.35, 0.35)) * np.exp(-(((r - where) / thick) ** 2))
    rings += np.float32(rng.uniform(0.1, 0.5)) * np.exp(-(((r - 0.95) / 0.04) ** 2))
    turn = np.arctan2(across, along)
    sheen = np.float32(rng.uniform(0.05, 0.35)) * np.cos(2 * turn + np.float32(rng.uniform(0, 6)))
    lid = tint * (rings + sheen)[..., None]
    if tab and squash > 0.5:
        way = np.array([np.cos(angle), np.sin(angle)])
        spin = rng.uniform(0, 6.28)
        way = np.array([np.cos(spin), np.sin(spin)], np.float32)
        path = np.stack([centre, centre + way * radius * 0.55])
        bar = (
            Stencil(patch).stroke(path, radius * 0.28).plane()
            - 0.8 * Stencil(patch).disc(path[1], radius * 0.1).plane()
        )
        edge = np.roll(bar, (1, 1), (0, 1))
        lid = (
            lid * (1 - 0.35 * np.clip(edge, 0, 1)[..., None])
            + 0.25 * bar[..., None] * np.clip(1 - edge * 0.5, 0, 1)[..., None]
        )
    colour += cover[..., None] * (lid.astype(np.float32) - colour)
    return cover


def mesh(patch: Patch, centre: Points, angle: float, pitch: float) -> Plane:
    """Wire mesh (h, w): 1 in the holes, 0 on the wire; ``pitch`` in pixels."""
    along, across = patch.grid(centre, angle + 0.7)
    return (
        (np.sin(along * np.float32(2 * np.pi / pitch)) * np.sin(across * np.float32(2 * np.pi / pitch))) > 0.2
    ).astype(np.float32)
