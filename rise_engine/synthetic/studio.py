"""Scene of one synthetic frame (light, camera, textures), and the sprite of one painted object."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rise_engine.synthetic.palette import Colour, draw_colour, vary
from rise_engine.synthetic.raster import Patch, Plane, Points
from rise_engine.synthetic.textures import TextureAtlas


@dataclass(frozen=True, slots=True)
class Light:
    """A lamp. ``towards`` (3,) is the unit vector to it (x right, y down, z up).

    ``ambient`` 0..1 is the share that comes from all sides; ``shadow`` 0..1 and ``softness``: how dark and how blurred
    shadows are.
    """

    towards: NDArray[np.float32]
    ambient: float
    shadow: float
    softness: float

    @classmethod
    def draw(cls, rng: np.random.Generator) -> Light:
        """Any direction, from nearly overhead to rather low; hard or diffuse."""
        angle, tilt = rng.uniform(0, 2 * np.pi), rng.uniform(0.15, 1.0)
        towards = np.array([np.cos(angle) * np.sin(tilt), np.sin(angle) * np.sin(tilt), np.cos(tilt)], np.float32)
        return cls(towards, rng.uniform(0.35, 0.75), rng.uniform(0.25, 0.85), rng.uniform(0.3, 1.6))

    def side(self, normal: ArrayLike) -> float:
        """Brightness of an upright surface whose outward ``normal`` is (x, y); a level one has 1."""
        nx, ny = np.asarray(normal, np.float32)
        facing = max(0.0, float(nx * self.towards[0] + ny * self.towards[1]))
        return self.ambient * 0.8 + (1 - self.ambient) * 1.3 * facing + 0.08

    def relief(self, height: Plane, gloss: float = 0.0, sharpness: int = 4) -> tuple[Plane, Plane | None]:
        """Brightness (level = 1) and highlight of a surface ``height`` (h, w) in pixels."""
        gy, gx = np.gradient(height)
        scale = 1 / np.sqrt(1 + gx * gx + gy * gy)
        lx, ly, lz = (float(v) for v in self.towards)
        facing = np.maximum(0, (lz - gx * lx - gy * ly) * scale) * np.float32(1 / max(lz, 0.5))
        bright = self.ambient + (1 - self.ambient) * facing
        if gloss <= 0:
            return bright, None
        half = np.array([lx, ly, lz + 1.0])
        half /= np.linalg.norm(half)
        shine = np.maximum(0, (half[2] - gx * half[0] - gy * half[1]) * scale).astype(np.float32)
        for _ in range(sharpness):
            shine = shine * shine
        return bright, shine * np.float32(gloss)


@dataclass(frozen=True, slots=True)
class Spot:
    """Position of an object: centre in pixels, direction in radians, and the tote's short side in pixels."""

    x: float
    y: float
    angle: float
    unit: float

    @property
    def middle(self) -> Points:
        """The middle as (2,)."""
        return np.array((self.x, self.y), np.float32)

    def place(self, points: ArrayLike) -> Points:
        """Points (n, 2) in tote units around the middle, as frame pixels."""
        p = np.asarray(points, np.float32).reshape(-1, 2) * self.unit
        cos, sin = np.cos(self.angle), np.sin(self.angle)
        turned = np.stack([p[:, 0] * cos - p[:, 1] * sin, p[:, 0] * sin + p[:, 1] * cos], 1)
        return (turned + self.middle).astype(np.float32)


@dataclass(frozen=True, slots=True)
class Studio:
    """One frame's surroundings: ``size`` (H, W), the camera ``distance`` pixels above ``centre``, the floor colour."""

    size: tuple[int, int]
    light: Light
    textures: TextureAtlas
    centre: Points
    distance: float
    floor: Colour

    def lift(self, points: ArrayLike, height: float) -> Points:
        """Where points of the floor appear once raised by ``height`` pixels."""
        p = np.asarray(points, np.float32)
        return (self.centre + (p - self.centre) * (self.distance / (self.distance - height))).astype(np.float32)

    def colour(self, rng: np.random.Generator) -> Colour:
        """An object's colour, now and then one that hardly differs from the floor's."""
        if rng.random() < 0.1:
            return vary(rng, self.floor, 0.1)
        return draw_colour(rng)


@dataclass(slots=True)
class Sprite:
    """One painted object: ``colour`` float32 (h, w, 3), ``cover`` (h, w) its silhouette, ``opacity`` if see-through.

    ``height`` is in pixels and sets the length of its shadow.
    """

    patch: Patch
    colour: NDArray[np.float32]
    cover: Plane
    height: float
    opacity: Plane | None = None
