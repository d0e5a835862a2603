"""Round things: bottles, jars, cans, cups, tubes, balls, bowls and rings."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from rise_engine.synthetic.simulation.description import UNSEEN, Material, Part, Thing
from rise_engine.synthetic.simulation.materials import MaterialStock
from rise_engine.synthetic.simulation.meshes import lathe, tube


def bottle(rng: np.random.Generator, stock: MaterialStock) -> Thing:
    """A bottle with a cap and, mostly, a label; a third of them are clear."""
    radius, half = rng.uniform(0.015, 0.042), rng.uniform(0.045, 0.12)
    neck, shoulder = rng.uniform(0.25, 0.6) * radius, rng.uniform(0.2, 0.7)
    body = _material(rng, stock, clear=0.35)
    bend = np.linspace(0, 1, 6)
    profile = [(0, -half), (radius * 0.9, -half), (radius, -half * 0.94), (radius, half * shoulder)]
    profile += [(neck + (radius - neck) * np.cos(t * np.pi / 2) ** 1.3, half * (shoulder + 0.22 * t)) for t in bend]
    profile += [(neck, half * (shoulder + 0.3)), (0, half * (shoulder + 0.3))]
    parts = [Part(lathe(profile), body, solid=False)]
    if rng.random() < 0.75:
        low, high = sorted(rng.uniform(-0.9, shoulder * 0.95, 2) * half)
        parts.append(Part(lathe([(radius * 1.012, low), (radius * 1.012, high)]), stock.printed(rng), solid=False))
    cap = (neck * 1.25, rng.uniform(0.1, 0.2) * half, 0)
    parts.append(Part("cylinder", stock.plain(rng), cap, (0, 0, half * (shoulder + 0.3)), solid=False))
    top = half * (shoulder + 0.3) + cap[1]
    straight = half * (1 + shoulder) / 2
    parts += [
        Part("cylinder", UNSEEN, (radius, straight, 0), (0, 0, straight - half), visible=False),
        Part(
            "cylinder",
            UNSEEN,
            (neck * 1.25, (top - half * shoulder) / 2, 0),
            (0, 0, (top + half * shoulder) / 2),
            visible=False,
        ),
    ]
    return Thing(tuple(parts), max(half, top) * 1.1)


def jar(rng: np.random.Generator, stock: MaterialStock) -> Thing:
    """A jar, tin or pot with a lid that differs in colour."""
    radius, half = rng.uniform(0.02, 0.05), rng.uniform(0.015, 0.06)
    lid = rng.uniform(0.12, 0.35) * half
    body = _material(rng, stock, clear=0.4)
    parts = [
        Part("cylinder", body, (radius * 0.97, half, 0)),
        Part("cylinder", _material(rng, stock, clear=0), (radius, lid, 0), (0, 0, half - lid * 0.6)),
    ]
    if rng.random() < 0.6:
        parts.append(
            Part(lathe([(radius * 0.98, -half * 0.8), (radius * 0.98, half * 0.5)]), stock.printed(rng), solid=False)
        )
    if body.colour[3] < 1:
        content = (radius * 0.85, half * rng.uniform(0.3, 0.8), 0)
        parts.insert(0, Part("cylinder", stock.plain(rng), content, (0, 0, content[1] - half), solid=False))
    return Thing(tuple(parts), float(np.hypot(radius, half)))


def can(rng: np.random.Generator, stock: MaterialStock) -> Thing:
    """A can with a printed side and metal ends."""
    radius, half = rng.uniform(0.02, 0.045), rng.uniform(0.02, 0.07)
    metal = stock.metal(rng)
    side = lathe([(radius, -half * 0.97), (radius, half * 0.97)])
    rim = lathe([(radius * 0.9, half * 0.93), (radius * 1.01, half), (radius * 1.01, half * 0.96)])
    parts = (
        Part("cylinder", metal, (radius * 0.985, half * 0.985, 0)),
        Part(side, stock.printed(rng), solid=False),
        Part(rim, metal, solid=False),
    )
    return Thing(parts, float(np.hypot(radius, half)))


def cup(rng: np.random.Generator, stock: MaterialStock) -> Thing:
    """A cup, mug or beaker that is open at the top, with a handle or without."""
    radius, half = rng.uniform(0.025, 0.045), rng.uniform(0.03, 0.055)
    foot, wall = radius * rng.uniform(0.6, 1.0), 0.0025
    material = _material(rng, stock, clear=0.25, printed=0.3)
    profile = [
        (0, -half),
        (foot, -half),
        (radius, half),
        (radius - wall, half),
        (foot - wall, wall - half),
        (0, wall - half),
    ]
    parts = [Part(lathe(profile, 24), material, solid=False)]
    parts += _ring_of_walls(foot, radius, half)
    if rng.random() < 0.5:
        t = np.linspace(-1, 1, 9)
        path = np.stack([radius * 0.92 + 0.55 * radius * np.sqrt(1 - t**2), 0 * t, 0.55 * half * t], 1)
        parts.append(Part(tube(path, 0.0045), material))
    return Thing(tuple(parts), float(np.hypot(radius * 1.5, half)))


def bowl(rng: np.random.Generator, stock: MaterialStock) -> Thing:
    """A bowl, plate, lid or funnel."""
    radius = rng.uniform(0.03, 0.08)
    depth, wall = radius * rng.uniform(0.1, 0.7), 0.0025
    t = np.linspace(0, 1, 7)
    outer = np.stack([radius * t, depth * (t ** rng.uniform(1.5, 4)) - depth / 2], 1)
    inner = outer[::-1] * (1 - wall / radius, 1) + (0, wall)
    parts = [
        Part(lathe(np.concatenate([outer, inner]), 24), _material(rng, stock, clear=0.2, printed=0.15), solid=False)
    ]
    parts += _ring_of_walls(radius * 0.6, radius, depth / 2)
    return Thing(tuple(parts), float(np.hypot(radius, depth)))


def squeeze_tube(rng: np.random.Generator, stock: MaterialStock) -> Thing:
    """A tube of cream or glue: round at the cap, flat at the end."""
    half, radius = rng.uniform(0.04, 0.09), rng.uniform(0.012, 0.026)
    angles = np.linspace(0, 2 * np.pi, 15)
    rows = np.linspace(0, 1, 6)
    mesh = lathe([(radius, -half + 2 * half * t) for t in rows], len(angles) - 1)
    vertices = mesh.vertices.copy()
    share = (vertices[:, 2] + half) / (2 * half)
    vertices[:, 0] *= 1 - 0.93 * share
    vertices[:, 1] *= 1 + 0.45 * share
    shown = Part(type(mesh)(vertices, mesh.faces, mesh.uv), stock.printed(rng), solid=False)
    cap = Part("cylinder", stock.plain(rng), (radius * 0.8, radius * 0.6, 0), (0, 0, -half - radius * 0.4))
    core = Part("box", cap.material, (radius * 0.6, radius * 1.1, half), visible=False)
    return Thing((shown, cap, core), half + radius)


def ball(rng: np.random.Generator, stock: MaterialStock) -> Thing:
    """A ball, fruit or egg."""
    radius = rng.uniform(0.012, 0.045)
    size = radius * (np.ones(3) if rng.random() < 0.5 else rng.uniform(0.7, 1.1, 3))
    material = _material(rng, stock, clear=0.05, printed=0.2)
    return Thing((Part("ellipsoid", material, (float(size[0]), float(size[1]), float(size[2]))),), radius * 1.1)


def roll(rng: np.random.Generator, stock: MaterialStock) -> Thing:
    """A ring with a hole: a roll of tape, a pipe, a bangle or a gasket."""
    outer, half = rng.uniform(0.015, 0.05), rng.uniform(0.004, 0.03)
    inner = outer * rng.uniform(0.5, 0.92)
    profile = [(inner, half), (inner, -half), (outer, -half), (outer, half), (inner, half)]
    parts = [Part(lathe(profile, 28), _material(rng, stock, clear=0.1, printed=0.15), solid=False)]
    parts += _ring_of_walls(outer * 0.97, outer * 0.97, half)
    return Thing(tuple(parts), float(np.hypot(outer, half)))


def _material(rng: np.random.Generator, stock: MaterialStock, *, clear: float, printed: float = 0.0) -> Material:
    kind = rng.random()
    if kind < clear:
        return stock.clear(rng)
    if kind < clear + printed:
        return stock.printed(rng)
    return stock.metal(rng) if rng.random() < 0.15 else stock.plain(rng)


def _ring_of_walls(lower: float, upper: float, half: float, count: int = 8) -> list[Part]:
    """Small boxes in a circle that collide in place of a hollow round thing, so that it stays hollow."""
    radius = (lower + upper) / 2
    chord = radius * np.tan(np.pi / count)
    parts = []
    for angle in 2 * np.pi * np.arange(count) / count:
        place: NDArray[np.float64] = np.array([np.cos(angle), np.sin(angle), 0]) * (radius - 0.0015)
        rotation = (float(np.cos(angle / 2)), 0.0, 0.0, float(np.sin(angle / 2)))
        position = (float(place[0]), float(place[1]), 0.0)
        size = (0.0015, float(chord), half)
        parts.append(Part("box", UNSEEN, size, position, rotation, visible=False))
    return parts
