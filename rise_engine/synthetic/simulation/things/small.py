"""Small parts: blocks, building bricks, screws, nuts, pegs, gears, caps and stones."""

from __future__ import annotations

import numpy as np

from rise_engine.synthetic.simulation.description import Part, Thing, vector
from rise_engine.synthetic.simulation.materials import MaterialStock
from rise_engine.synthetic.simulation.meshes import lathe, prism, star_outline


def block(rng: np.random.Generator, stock: MaterialStock) -> Thing:
    """A small coloured block: a cube, a bar, a cylinder or a prism."""
    size = rng.uniform(0.008, 0.024)
    material = stock.vivid(rng) if rng.random() < 0.7 else stock.wood(rng) if rng.random() < 0.5 else stock.plain(rng)
    kind = int(rng.integers(4))
    if kind == 0:
        half = size * np.ones(3) * (1 if rng.random() < 0.4 else rng.uniform(0.4, 1.5, 3))
        return Thing((Part("box", material, vector(half)),), float(np.linalg.norm(half)))
    if kind == 1:
        half_length = size * rng.uniform(0.3, 1.6)
        return Thing((Part("cylinder", material, (size * 0.8, half_length, 0)),), float(np.hypot(size, half_length)))
    if kind == 2:
        outline = star_outline(rng, int(rng.integers(3, 7)), 1.0) * size * 1.2
        return Thing((Part(prism(outline, size * rng.uniform(0.5, 2)), material),), size * 2)
    outline = star_outline(rng, int(rng.integers(4, 8)), rng.uniform(0.4, 0.75)) * size * 1.3
    return Thing((Part(prism(outline, size * rng.uniform(0.4, 1)), material),), size * 2)


def brick(rng: np.random.Generator, stock: MaterialStock) -> Thing:
    """A building brick with studs."""
    unit = rng.uniform(0.006, 0.014)
    columns, rows = int(rng.integers(1, 5)), int(rng.integers(1, 3))
    height = unit * rng.choice([0.4, 1.2])
    material = stock.vivid(rng)
    parts = [Part("box", material, (columns * unit, rows * unit, height))]
    for x in range(columns):
        for y in range(rows):
            place = ((2 * x + 1 - columns) * unit, (2 * y + 1 - rows) * unit, height + unit * 0.2)
            parts.append(Part("cylinder", material, (unit * 0.6, unit * 0.2, 0), place, solid=False))
    return Thing(tuple(parts), float(np.linalg.norm((columns * unit, rows * unit, height))))


def screw(rng: np.random.Generator, stock: MaterialStock) -> Thing:
    """A screw, bolt, nail or rivet: a head and a shank."""
    radius, half = rng.uniform(0.002, 0.005), rng.uniform(0.009, 0.03)
    metal = stock.metal(rng) if rng.random() < 0.85 else stock.plain(rng)
    head = radius * rng.uniform(1.6, 2.4)
    cap = (
        Part("cylinder", metal, (head, radius * 0.7, 0), (0, 0, half))
        if rng.random() < 0.5
        else Part(prism(star_outline(rng, 6, 1.0) * head, radius * 1.5), metal, position=(0, 0, half))
    )
    return Thing((Part("cylinder", metal, (radius, half, 0)), cap), half * 1.3)


def nut(rng: np.random.Generator, stock: MaterialStock) -> Thing:
    """A nut, washer, bushing or bead: a short ring with a hole."""
    outer = rng.uniform(0.006, 0.018)
    inner, half = outer * rng.uniform(0.35, 0.7), outer * rng.uniform(0.12, 0.7)
    profile = [(inner, half), (inner, -half), (outer, -half), (outer, half), (inner, half)]
    material = stock.metal(rng) if rng.random() < 0.6 else stock.vivid(rng)
    sides = 6 if rng.random() < 0.5 else 16
    hull = Part("cylinder", material, (outer * 0.95, half, 0), visible=False)
    return Thing((Part(lathe(profile, sides), material, solid=False), hull), float(np.hypot(outer, half)))


def peg(rng: np.random.Generator, stock: MaterialStock) -> Thing:
    """A dowel, capsule, battery, plug or fuse."""
    radius, half = rng.uniform(0.004, 0.01), rng.uniform(0.008, 0.03)
    if rng.random() < 0.4:
        parts = [Part("capsule", stock.plain(rng), (radius, half, 0))]
    else:
        body = stock.printed(rng) if rng.random() < 0.3 else stock.plain(rng)
        parts = [Part(lathe([(0, -half), (radius, -half), (radius, half), (0, half)], 12), body, solid=False)]
        parts.append(Part("cylinder", body, (radius, half, 0), visible=False))
    if rng.random() < 0.4:
        size = (radius * 0.6, radius * 0.4, 0.0)
        parts.append(Part("cylinder", stock.metal(rng), size, (0, 0, half + radius * 0.3)))
    return Thing(tuple(parts), half + 2 * radius)


def gear(rng: np.random.Generator, stock: MaterialStock) -> Thing:
    """A gear, knob, cap or flower: a plate with teeth and a hub."""
    radius = rng.uniform(0.01, 0.028)
    teeth = int(rng.integers(6, 16))
    thick = radius * rng.uniform(0.2, 0.7)
    material = stock.metal(rng) if rng.random() < 0.4 else stock.vivid(rng)
    parts = [Part(prism(star_outline(rng, teeth, rng.uniform(0.75, 0.92)) * radius, thick), material)]
    hub = (radius * rng.uniform(0.2, 0.5), thick * rng.uniform(0.6, 1.2), 0)
    parts.append(Part("cylinder", material if rng.random() < 0.5 else stock.plain(rng), hub))
    return Thing(tuple(parts), radius * 1.2)


def stone(rng: np.random.Generator, stock: MaterialStock) -> Thing:
    """An irregular lump: a stone, a potato, a casting or a piece of wood."""
    size = rng.uniform(0.01, 0.03)
    outline = star_outline(rng, int(rng.integers(5, 9)), 1.0, wobble=0.8) * size
    choices = (stock.plain, stock.wood, stock.cloth, stock.metal)
    mesh = prism(outline, size * rng.uniform(0.5, 1.5), taper=rng.uniform(0.4, 1.0))
    return Thing((Part(mesh, choices[int(rng.integers(4))](rng)),), size * 1.8)


def compound(rng: np.random.Generator, stock: MaterialStock) -> Thing:
    """A machined part or fitting: two or three simple bodies in one."""
    size = rng.uniform(0.012, 0.035)
    material = stock.metal(rng) if rng.random() < 0.4 else stock.plain(rng)
    parts = [Part("box", material, vector(size * rng.uniform(0.3, 1.0, 3)))]
    for _ in range(int(rng.integers(1, 3))):
        place = vector(size * rng.uniform(-0.8, 0.8, 3))
        second = material if rng.random() < 0.6 else stock.plain(rng)
        if rng.random() < 0.5:
            parts.append(Part("box", second, vector(size * rng.uniform(0.15, 0.7, 3)), place))
        else:
            parts.append(
                Part("cylinder", second, (size * rng.uniform(0.15, 0.5), size * rng.uniform(0.3, 1.2), 0), place)
            )
    return Thing(tuple(parts), size * 2.4)
