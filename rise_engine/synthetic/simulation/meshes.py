"""Surfaces with texture coordinates: printed boxes, turned profiles, tubes, prisms, cushions and sheets."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage

from rise_engine.synthetic.simulation.description import Mesh

FACE_COLUMNS, FACE_ROWS = 3, 2
"""How the six faces of a printed box are arranged in its texture."""


def printed_box(half_sides: ArrayLike) -> Mesh:
    """A box of ``half_sides`` (3,); each side has a sixth of the texture: +z, -z, +x in the upper row, -x, +y, -y."""
    half = np.asarray(half_sides, np.float64)
    frames = (
        ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
        ((-1, 0, 0), (0, 1, 0), (0, 0, -1)),
        ((0, 1, 0), (0, 0, 1), (1, 0, 0)),
        ((0, -1, 0), (0, 0, 1), (-1, 0, 0)),
        ((-1, 0, 0), (0, 0, 1), (0, 1, 0)),
        ((1, 0, 0), (0, 0, 1), (0, -1, 0)),
    )
    corners = ((-1, -1), (1, -1), (1, 1), (-1, 1))
    vertices: list[NDArray[np.float64]] = []
    faces: list[tuple[int, int, int]] = []
    uv: list[tuple[float, float]] = []
    for index, (right, up, out) in enumerate(frames):
        column, row = index % FACE_COLUMNS, index // FACE_COLUMNS
        start = len(vertices)
        for x, y in corners:
            vertices.append((x * np.array(right) + y * np.array(up) + np.array(out)) * half)
            uv.append(((column + 0.5 + 0.48 * x) / FACE_COLUMNS, (row + 0.5 - 0.48 * y) / FACE_ROWS))
        faces += [(start, start + 1, start + 2), (start, start + 2, start + 3)]
    return Mesh(np.array(vertices), np.array(faces), np.array(uv))


def lathe(profile: ArrayLike, segments: int = 20) -> Mesh:
    """The surface that a ``profile`` (k, 2) of (radius, height) sweeps about z; u runs around, v along the profile."""
    points = np.asarray(profile, np.float64)
    angles = np.linspace(0, 2 * np.pi, segments + 1)
    radii, heights = points[:, :1], points[:, 1:]
    rings = np.stack(
        [radii * np.cos(angles), radii * np.sin(angles), np.broadcast_to(heights, (len(points), len(angles)))], 2
    )
    steps = np.linalg.norm(np.diff(points, axis=0), axis=1)
    along = np.concatenate([[0.0], np.cumsum(steps)]) / max(steps.sum(), 1e-9)
    u, v = np.meshgrid(angles / (2 * np.pi), 1 - along)
    return Mesh(rings.reshape(-1, 3), _grid_faces(len(points), len(angles)), np.stack([u, v], 2).reshape(-1, 2))


def tube(path: ArrayLike, radii: ArrayLike, sides: int = 10, flatness: float = 1.0) -> Mesh:
    """A tube around ``path`` (n, 3) with ``radii`` (n,) or one radius; its height over width is ``flatness``."""
    points = np.asarray(path, np.float64)
    radius = np.broadcast_to(np.asarray(radii, np.float64), (len(points),))
    tangents = np.gradient(points, axis=0)
    tangents /= np.linalg.norm(tangents, axis=1, keepdims=True) + 1e-12
    reference = np.where(np.abs(tangents[:, 2:]) < 0.9, (0.0, 0.0, 1.0), (1.0, 0.0, 0.0))
    across = np.cross(reference, tangents)
    across /= np.linalg.norm(across, axis=1, keepdims=True) + 1e-12
    up = np.cross(tangents, across)
    angles = np.linspace(0, 2 * np.pi, sides + 1)
    around = np.cos(angles)[None, :, None] * across[:, None] + flatness * np.sin(angles)[None, :, None] * up[:, None]
    rings = points[:, None] + radius[:, None, None] * around
    u, v = np.meshgrid(angles / (2 * np.pi), np.linspace(0, 1, len(points)))
    side = Mesh(rings.reshape(-1, 3), _grid_faces(len(points), len(angles)), np.stack([u, v], 2).reshape(-1, 2))
    return joined([side, _cap(rings[0], outward=False), _cap(rings[-1], outward=True)])


def prism(outline: ArrayLike, thickness: float, taper: float = 1.0) -> Mesh:
    """A plate whose ``outline`` (k, 2) is anticlockwise and star-shaped about the origin; the top is ``taper`` times as
    large as the bottom.
    """
    points = np.asarray(outline, np.float64)
    bottom = np.column_stack([points, np.full(len(points), -thickness / 2)])
    top = np.column_stack([points * taper, np.full(len(points), thickness / 2)])
    closed = np.arange(len(points) + 1) % len(points)
    u, v = np.meshgrid(np.linspace(0, 2, len(closed)), (0.0, 0.2))
    side = Mesh(
        np.concatenate([bottom[closed], top[closed]]),
        _grid_faces(2, len(closed)),
        np.stack([u, v], 2).reshape(-1, 2),
    )
    return joined([side, _cap(bottom[closed], outward=False), _cap(top[closed], outward=True)])


def cushion(
    rng: np.random.Generator, half_sides: ArrayLike, *, crinkle: float, seam: float = 0.0, cells: int = 14
) -> Mesh:
    """A filled bag of ``half_sides`` (3,): thick in the middle, flat along its border, with random creases.

    ``crinkle`` is the height of the creases over the thickness; ``seam`` the share of the length that is a flat seal.
    """
    a, b, c = (float(side) for side in np.asarray(half_sides, np.float64))
    s, t = np.meshgrid(np.linspace(-1, 1, cells), np.linspace(-1, 1, cells))
    bulge = np.clip(1 - np.abs(s) ** 2.4, 0, 1) ** 0.6
    bulge *= np.clip(1 - np.clip(np.abs(t) / (1 - seam), 0, 1) ** 2.4, 0, 1) ** 0.6
    halves = []
    for sign in (1.0, -1.0):
        creases = _smooth_noise(rng, s.shape, 1.0) + 0.5 * _smooth_noise(rng, s.shape, 0.6)
        height = sign * c * bulge * (1 + crinkle * creases) + sign * 0.0006
        narrow = 1 - 0.06 * bulge + 0.03 * crinkle * _smooth_noise(rng, s.shape, 2.0)
        grid = np.stack([a * s * narrow, b * t * narrow, height], 2).reshape(-1, 3)
        faces = _grid_faces(cells, cells)
        halves.append(Mesh(grid, faces if sign > 0 else faces[:, ::-1], _sheet_uv(s, t)))
    return joined(halves)


def sheet(rng: np.random.Generator, half_sides: ArrayLike, *, folds: float, cells: int = 18) -> Mesh:
    """A crumpled cloth of ``half_sides`` (x, y, half height of its folds): an upper and a lower surface."""
    a, b, c = (float(side) for side in np.asarray(half_sides, np.float64))
    s, t = np.meshgrid(np.linspace(-1, 1, cells), np.linspace(-1, 1, cells))
    height = c * (0.8 * _smooth_noise(rng, s.shape, 2.6) + folds * _smooth_noise(rng, s.shape, 1.1))
    height -= height.min()
    x = a * (s + 0.12 * _smooth_noise(rng, s.shape, 3.5))
    y = b * (t + 0.12 * _smooth_noise(rng, s.shape, 3.5))
    upper = np.stack([x, y, height - c + 0.001], 2).reshape(-1, 3)
    lower = np.stack([x, y, np.minimum(height * 0.1, height - 0.002) - c], 2).reshape(-1, 3)
    faces = _grid_faces(cells, cells)
    uv = _sheet_uv(s, t)
    return joined([Mesh(upper, faces, uv), Mesh(lower, faces[:, ::-1], uv)])


def star_outline(rng: np.random.Generator, corners: int, inner: float, wobble: float = 0.0) -> NDArray[np.float64]:
    """Points (k, 2) of a polygon of radius 1, or a star if ``inner`` is not 1; ``wobble`` makes it irregular."""
    count = corners if inner == 1 else 2 * corners
    angles = 2 * np.pi * (np.arange(count) + wobble * rng.uniform(-0.4, 0.4, count)) / count
    radii = np.where(np.arange(count) % 2 == 0, 1.0, inner) * (1 + wobble * rng.uniform(-0.3, 0.3, count))
    return np.stack([radii * np.cos(angles), radii * np.sin(angles)], 1)


def joined(meshes: list[Mesh]) -> Mesh:
    """Several surfaces as one."""
    starts = np.cumsum([0, *(len(mesh.vertices) for mesh in meshes[:-1])])
    return Mesh(
        np.concatenate([mesh.vertices for mesh in meshes]),
        np.concatenate([mesh.faces + start for mesh, start in zip(meshes, starts, strict=True)]),
        np.concatenate([mesh.uv for mesh in meshes]),
    )


def _grid_faces(rows: int, columns: int) -> NDArray[np.int64]:
    """Two triangles for each cell of a grid of ``rows`` x ``columns`` vertices."""
    index = np.arange(rows * columns).reshape(rows, columns)
    a, b, c, d = index[:-1, :-1], index[:-1, 1:], index[1:, 1:], index[1:, :-1]
    return np.concatenate([np.stack([a, b, c], 2).reshape(-1, 3), np.stack([a, c, d], 2).reshape(-1, 3)])


def _cap(ring: NDArray[np.float64], *, outward: bool) -> Mesh:
    """The flat end that a closed ``ring`` (k, 3) encloses, the last point equal to the first."""
    middle = ring[:-1].mean(0)
    count = len(ring)
    faces = np.array([(0, i, i + 1) if outward else (0, i + 1, i) for i in range(1, count)])
    span = float(np.abs(ring - middle).max()) + 1e-12
    spread = (ring - middle) / (2 * span)
    uv = np.concatenate([[(0.5, 0.5)], spread[:, :2] + 0.5])
    return Mesh(np.concatenate([[middle], ring]), faces, uv)


def _sheet_uv(s: NDArray[np.float64], t: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.stack([(s + 1) / 2, (1 - t) / 2], 2).reshape(-1, 2)


def _smooth_noise(rng: np.random.Generator, shape: tuple[int, ...], scale: float) -> NDArray[np.float64]:
    """Noise of mean 0 and deviation 1 with spots of ``scale`` cells."""
    noise = ndimage.gaussian_filter(rng.standard_normal(shape), scale, mode="nearest")
    return np.asarray((noise - noise.mean()) / (noise.std() + 1e-9), np.float64)
