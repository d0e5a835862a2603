"""What a simulated scene consists of, as plain data: meshes, materials, parts and things.

Lengths are metres, z points up, quaternions are (w, x, y, z). Nothing here needs MuJoCo.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial.transform import Rotation

Primitive = Literal["box", "sphere", "capsule", "cylinder", "ellipsoid"]
Vector = tuple[float, float, float]
Quaternion = tuple[float, float, float, float]

UPRIGHT: Quaternion = (1.0, 0.0, 0.0, 0.0)


@dataclass(frozen=True, slots=True, eq=False)
class Mesh:
    """A surface: ``vertices`` float (n, 3), ``faces`` int (m, 3) anticlockwise from outside, ``uv`` float (n, 2)."""

    vertices: NDArray[np.float64]
    faces: NDArray[np.int64]
    uv: NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Material:
    """How a surface reflects light.

    ``colour`` (red, green, blue, opacity) 0..1 multiplies the ``texture`` uint8 (h, w, 3), which repeats ``repeat``
    times. ``specular`` and ``shininess`` 0..1 are the strength and the sharpness of highlights.
    """

    colour: tuple[float, float, float, float]
    texture: NDArray[np.uint8] | None = None
    repeat: tuple[float, float] = (1.0, 1.0)
    specular: float = 0.2
    shininess: float = 0.3


UNSEEN = Material((1.0, 1.0, 1.0, 1.0))
"""The material of parts that collide but are not rendered."""


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """A rigid piece of a thing or a container, in the frame of its owner.

    ``size`` follows MuJoCo: half sides of a box, radii of an ellipsoid, radius and half length of a capsule or
    cylinder; a mesh has none. ``solid`` parts collide, ``visible`` parts are rendered.
    """

    shape: Primitive | Mesh
    material: Material
    size: Vector = (0.0, 0.0, 0.0)
    position: Vector = (0.0, 0.0, 0.0)
    rotation: Quaternion = UPRIGHT
    solid: bool = True
    visible: bool = True

    def scaled(self, factor: float) -> Part:
        """The part, ``factor`` times as large and as far from its owner's origin."""
        shape = self.shape
        if isinstance(shape, Mesh):
            shape = replace(shape, vertices=shape.vertices * factor)
        size, position = np.asarray(self.size) * factor, np.asarray(self.position) * factor
        return replace(self, shape=shape, size=vector(size), position=vector(position))


@dataclass(frozen=True, slots=True, eq=False)
class Thing:
    """An object that can be lifted out of a container; ``radius`` bounds it around its origin.

    ``keep_upright`` things start in the pose in which they are described, turned about z only.
    """

    parts: tuple[Part, ...]
    radius: float
    keep_upright: bool = False

    def scaled(self, factor: float) -> Thing:
        """The thing, ``factor`` times as large."""
        return replace(self, parts=tuple(part.scaled(factor) for part in self.parts), radius=self.radius * factor)


@dataclass(frozen=True, slots=True, eq=False)
class Container:
    """A container and what it stands on; both are fixed and never an object.

    ``half_sides`` (x, y) of the inner floor and ``depth`` of the walls; 0 without walls.
    """

    parts: tuple[Part, ...]
    ground: Material
    half_sides: tuple[float, float]
    depth: float


@dataclass(frozen=True, slots=True)
class Lamp:
    """A light at ``position`` that shines in ``direction`` with ``colour`` (3,) 0..1."""

    position: Vector
    direction: Vector
    colour: Vector
    casts_shadow: bool


@dataclass(frozen=True, slots=True)
class Lighting:
    """All lamps and the light from the camera's direction: ``ambient`` has no direction, ``front`` has."""

    lamps: tuple[Lamp, ...]
    ambient: float
    front: float


@dataclass(frozen=True, slots=True, eq=False)
class SceneDescription:
    """Everything in a scene before anything has fallen; ``starts`` are (position, rotation) of each thing."""

    container: Container
    things: tuple[Thing, ...]
    starts: tuple[tuple[Vector, Quaternion], ...]
    lighting: Lighting = field(default_factory=lambda: Lighting((), 0.4, 0.3))


def vector(values: ArrayLike) -> Vector:
    """Three numbers as a tuple of floats."""
    x, y, z = (float(value) for value in np.asarray(values, np.float64))
    return x, y, z


def turned(axis: Sequence[float], degrees: float) -> Quaternion:
    """The rotation about ``axis`` (3,) by ``degrees``."""
    unit = np.asarray(axis, np.float64) / np.linalg.norm(axis)
    return quaternion(Rotation.from_rotvec(np.radians(degrees) * unit))


def quaternion(rotation: Rotation) -> Quaternion:
    """A rotation of scipy in the order (w, x, y, z)."""
    x, y, z, w = (float(value) for value in rotation.as_quat())
    return w, x, y, z


def towards(direction: ArrayLike) -> Quaternion:
    """The rotation that turns the z axis to ``direction`` (3,)."""
    wanted = np.asarray(direction, np.float64)
    wanted = wanted / max(float(np.linalg.norm(wanted)), 1e-12)
    axis = np.cross((0.0, 0.0, 1.0), wanted)
    sine, cosine = float(np.linalg.norm(axis)), float(wanted[2])
    if sine < 1e-9:
        return UPRIGHT if cosine > 0 else turned((1, 0, 0), 180)
    return turned(axis.tolist(), float(np.degrees(np.arctan2(sine, cosine))))
