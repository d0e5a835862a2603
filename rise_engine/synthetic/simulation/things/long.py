"""Thin and long things: tools, scissors, cutlery, pens, brushes, sticks, keys and cables."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from rise_engine.synthetic.simulation.description import UNSEEN, Material, Part, Thing, towards, turned, vector
from rise_engine.synthetic.simulation.materials import MaterialStock
from rise_engine.synthetic.simulation.meshes import lathe, prism, tube


def screwdriver(rng: np.random.Generator, stock: MaterialStock) -> Thing:
    """A thick handle and a thin metal shaft; also chisels, awls and files."""
    handle, shaft = rng.uniform(0.03, 0.05), rng.uniform(0.03, 0.07)
    thick, thin = rng.uniform(0.008, 0.016), rng.uniform(0.0022, 0.005)
    grip = stock.vivid(rng) if rng.random() < 0.6 else stock.plain(rng)
    t = np.linspace(-1, 1, 9)
    profile = [(0, -handle), *zip(thick * (0.85 + 0.15 * np.cos(2 * t)), handle * t, strict=True), (0, handle)]
    parts = [
        Part(lathe(profile, 12), grip, solid=False),
        Part("capsule", grip, (thick * 0.9, handle - thick * 0.9, 0), visible=False),
        Part("cylinder", stock.metal(rng), (thin, shaft, 0), (0, 0, handle + shaft)),
    ]
    if rng.random() < 0.5:
        parts.append(
            Part("cylinder", stock.plain(rng), (thick * 1.03, handle * 0.25, 0), (0, 0, -handle * 0.4), solid=False)
        )
    return Thing(tuple(parts), (handle + 2 * shaft) * 1.05)


def scissors(rng: np.random.Generator, stock: MaterialStock) -> Thing:
    """Two crossed blades with ring handles."""
    length = rng.uniform(0.06, 0.11)
    opening = np.radians(rng.uniform(2, 38)) / 2
    metal, grip = stock.metal(rng), stock.vivid(rng) if rng.random() < 0.5 else stock.plain(rng)
    parts: list[Part] = []
    for side in (1, -1):
        along, across = (
            np.array([np.cos(opening), side * np.sin(opening)]),
            np.array([-side * np.sin(opening), np.cos(opening)]),
        )
        outline = np.array([(-0.5, -0.05), (0.9, 0.0), (0.6, 0.07), (-0.5, 0.06)]) * length * (1, side)
        blade = prism(outline if side > 0 else outline[::-1], 0.002)
        angle = side * np.degrees(opening)
        parts.append(Part(blade, metal, (0, 0, 0), (0, 0, side * 0.0012), turned((0, 0, 1), angle)))
        centre = -0.75 * length * along - side * 0.12 * length * across
        angles = np.linspace(0, 2 * np.pi, 15)
        ring = np.stack([0.24 * length * np.cos(angles), 0.16 * length * np.sin(angles), 0 * angles], 1)
        handle = tube(ring, 0.0042)
        parts.append(Part(handle, grip, (0, 0, 0), (float(centre[0]), float(centre[1]), 0.0), turned((0, 0, 1), angle)))
    parts.append(Part("cylinder", metal, (0.004, 0.003, 0), solid=False))
    return Thing(tuple(parts), 1.1 * length)


def wrench(rng: np.random.Generator, stock: MaterialStock) -> Thing:
    """A flat spanner: an open jaw at one end, a ring or another jaw at the other."""
    half, width = rng.uniform(0.045, 0.1), rng.uniform(0.005, 0.01)
    metal = stock.metal(rng) if rng.random() < 0.8 else stock.plain(rng)
    parts = [Part("box", metal, (half, width * 0.8, 0.0025))]
    for end in (1, -1):
        if rng.random() < 0.5:
            parts += _open_jaw(metal, end, half, width)
        else:
            angles = np.linspace(0, 2 * np.pi, 13)
            ring = np.stack([np.cos(angles), np.sin(angles), 0 * angles], 1) * width * 1.3
            parts.append(Part(tube(ring, width * 0.55, 8), metal, position=(end * (half + width), 0, 0)))
    return Thing(tuple(parts), half * 1.25)


def _open_jaw(metal: Material, end: int, half: float, width: float) -> list[Part]:
    return [
        Part(
            "box",
            metal,
            (width * 1.3, width * 0.6, 0.003),
            (end * (half + width), side * width * 1.2, 0),
            turned((0, 0, 1), end * 12),
        )
        for side in (1, -1)
    ]


def pliers(rng: np.random.Generator, stock: MaterialStock) -> Thing:
    """Two crossed arms with coloured grips and short jaws."""
    length, opening = rng.uniform(0.05, 0.09), np.radians(rng.uniform(4, 22))
    metal, grip = stock.metal(rng), stock.vivid(rng)
    parts = [Part("cylinder", metal, (length * 0.13, 0.005, 0))]
    for side in (1.0, -1.0):
        t = np.linspace(0, 1, 8)
        bend = side * length * (0.12 + np.sin(np.pi * t) * 0.1 + t * np.tan(opening) * 0.5)
        path = np.stack([-length * (0.1 + 1.1 * t), bend, 0 * t], 1)
        parts.append(Part(tube(path, 0.0065), grip, solid=False))
        parts += _capsules_along(path[::2], 0.0055)
        jaw = np.array([(0, -0.02), (0.65, 0.0), (0.6, 0.07), (0.1, 0.13)]) * length * (1, side)
        parts.append(
            Part(
                prism(jaw if side > 0 else jaw[::-1], 0.008),
                metal,
                rotation=turned((0, 0, 1), side * np.degrees(opening) / 2),
            )
        )
    return Thing(tuple(parts), length * 1.4)


def hammer(rng: np.random.Generator, stock: MaterialStock) -> Thing:
    """A handle with a crosswise head; also rakes and small brooms."""
    half, head = rng.uniform(0.07, 0.12), rng.uniform(0.02, 0.045)
    handle = stock.wood(rng) if rng.random() < 0.5 else stock.plain(rng)
    radius = rng.uniform(0.006, 0.012)
    thick = rng.uniform(0.006, 0.014)
    shape: list[Part] = [
        Part("capsule", handle, (radius, half, 0)),
        Part("box", stock.metal(rng) if rng.random() < 0.7 else stock.plain(rng), (head, thick, thick), (0, 0, half)),
    ]
    return Thing(tuple(shape), half * 1.3)


def cutlery(rng: np.random.Generator, stock: MaterialStock) -> Thing:
    """A spoon, fork, knife or spatula of metal or plastic."""
    half, width = rng.uniform(0.06, 0.1), rng.uniform(0.003, 0.006)
    material = stock.metal(rng) if rng.random() < 0.75 else stock.plain(rng)
    parts = [Part("box", material, (half * 0.6, width, 0.0012), (-half * 0.4, 0, 0))]
    kind = int(rng.integers(4))
    start = half * 0.2
    if kind == 0:
        size = (half * 0.27, half * rng.uniform(0.14, 0.22), 0.004)
        parts.append(Part("ellipsoid", material, size, (start + size[0], 0, 0)))
    elif kind == 1:
        parts.append(Part("box", material, (half * 0.1, half * 0.12, 0.0012), (start + half * 0.1, 0, 0)))
        for y in np.linspace(-0.1, 0.1, int(rng.integers(3, 5))) * half:
            parts.append(Part("box", material, (half * 0.2, half * 0.014, 0.001), (start + half * 0.38, float(y), 0)))
    elif kind == 2:
        blade = np.array([(-0.3, -0.07), (0.45, -0.05), (0.5, 0.02), (-0.3, 0.07)]) * half
        parts.append(Part(prism(blade, 0.0016), material, position=(start + half * 0.3, 0, 0)))
    else:
        parts.append(Part("box", material, (half * 0.25, half * 0.2, 0.0012), (start + half * 0.25, 0, 0)))
    if rng.random() < 0.3:
        parts.append(Part("box", stock.plain(rng), (half * 0.4, width * 1.3, 0.004), (-half * 0.6, 0, 0)))
    return Thing(tuple(parts), half * 1.2)


def pen(rng: np.random.Generator, stock: MaterialStock) -> Thing:
    """A pen, pencil, marker or brush: a thin stick with a tip and a cap."""
    half, radius = rng.uniform(0.045, 0.085), rng.uniform(0.0028, 0.007)
    body = stock.vivid(rng) if rng.random() < 0.6 else stock.plain(rng)
    parts = [
        Part("cylinder", body, (radius, half, 0)),
        Part(
            lathe([(radius * 0.95, 0), (radius * 0.2, radius * 3.2)], 10),
            stock.wood(rng) if rng.random() < 0.3 else stock.metal(rng),
            position=(0, 0, half),
            solid=False,
        ),
    ]
    if rng.random() < 0.7:
        cap = half * rng.uniform(0.1, 0.4)
        parts.append(Part("cylinder", stock.plain(rng), (radius * 1.08, cap, 0), (0, 0, cap - half), solid=False))
    if rng.random() < 0.25:
        parts.append(Part("ellipsoid", stock.plain(rng), (radius * 2.4, radius * 1.2, half * 0.2), (0, 0, half * 1.1)))
    return Thing(tuple(parts), half * 1.3)


def stick(rng: np.random.Generator, stock: MaterialStock) -> Thing:
    """A plain rod, tube, slat or strip."""
    half, radius = rng.uniform(0.04, 0.13), rng.uniform(0.0025, 0.009)
    choices = (stock.plain, stock.wood, stock.metal, stock.vivid)
    material = choices[int(rng.integers(4))](rng)
    if rng.random() < 0.4:
        return Thing((Part("box", material, (half, radius * rng.uniform(1, 2.5), radius * 0.5)),), half * 1.05)
    return Thing((Part("cylinder", material, (radius, half, 0)),), half * 1.05)


def cable(rng: np.random.Generator, stock: MaterialStock) -> Thing:
    """A cable, cord, hose or wire with bends or in loops, with plugs at its ends."""
    radius = rng.uniform(0.0018, 0.0045)
    t = np.linspace(0, 1, 36)
    size = rng.uniform(0.03, 0.07)
    if rng.random() < 0.55:
        turns = rng.uniform(0.7, 2.6)
        swing = 1 + 0.25 * np.sin(2 * np.pi * t * rng.uniform(0.5, 2) + rng.uniform(0, 6))
        angle = 2 * np.pi * turns * t
        path = size * swing[:, None] * np.stack([np.cos(angle), rng.uniform(0.5, 1) * np.sin(angle), 0 * t], 1)
        path[:, 2] = radius * 2.2 * turns * t
    else:
        phases = rng.uniform(0, 6.3, 3)
        bend = sum(size * 0.5 / (k + 1) * np.sin(2 * np.pi * (k + 0.6) * t + phases[k]) for k in range(3))
        path = np.stack([size * 2 * (2 * t - 1) * rng.uniform(0.5, 1), bend, 0 * t], 1)
    path -= path.mean(0)
    material = stock.plain(rng)
    parts = [Part(tube(path, radius, 7), material, solid=False), *_capsules_along(path[::4], radius)]
    if rng.random() < 0.6:
        plug = (radius * 2.4, radius * 1.8, radius * 5)
        way = path[-1] - path[-3]
        parts.append(Part("box", stock.plain(rng), plug, vector(path[-1]), towards(way)))
    return Thing(tuple(parts), float(np.linalg.norm(path, axis=1).max()) * 1.1)


def key(rng: np.random.Generator, stock: MaterialStock) -> Thing:
    """A key or another flat part with a head and a shank."""
    half = rng.uniform(0.02, 0.035)
    metal = stock.metal(rng)
    parts = [
        Part(
            "cylinder", metal if rng.random() < 0.6 else stock.vivid(rng), (half * 0.45, 0.0013, 0), (-half * 0.6, 0, 0)
        ),
        Part("box", metal, (half * 0.75, half * 0.12, 0.0011), (half * 0.4, 0, 0)),
        Part("box", metal, (half * 0.15, half * 0.1, 0.0011), (half * 0.9, half * 0.16, 0)),
    ]
    return Thing(tuple(parts), half * 1.3)


def bent_tube(rng: np.random.Generator, stock: MaterialStock) -> Thing:
    """A banana, a hook, a pipe bend or a handle."""
    size, radius = rng.uniform(0.025, 0.07), rng.uniform(0.004, 0.016)
    span = rng.uniform(0.5, 1.4) * np.pi
    angle = np.linspace(-span / 2, span / 2, 12)
    path = size * np.stack([np.cos(angle) - 0.7, np.sin(angle), 0 * angle], 1)
    fade = 1 - rng.uniform(0, 0.8) * np.abs(np.linspace(-1, 1, 12)) ** 3
    parts = [Part(tube(path, radius * fade), stock.plain(rng), solid=False), *_capsules_along(path[::2], radius * 0.9)]
    return Thing(tuple(parts), size * 1.6 + radius)


def _capsules_along(path: NDArray[np.float64], radius: float) -> list[Part]:
    """Invisible capsules that collide in place of a tube."""
    parts = []
    for a, b in pairwise(path):
        half = float(np.linalg.norm(b - a)) / 2
        middle = vector((a + b) / 2)
        parts.append(Part("capsule", UNSEEN, (radius, half, 0), middle, towards(b - a), visible=False))
    return parts
