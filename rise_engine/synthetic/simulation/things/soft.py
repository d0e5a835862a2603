"""Soft things, approximated by rigid ones: cloths, folded towels, plush toys, gloves and sponges."""

from __future__ import annotations

import numpy as np

from rise_engine.synthetic.simulation.description import UNSEEN, Part, Thing, turned, vector
from rise_engine.synthetic.simulation.materials import MaterialStock
from rise_engine.synthetic.simulation.meshes import cushion, sheet


def cloth(rng: np.random.Generator, stock: MaterialStock) -> Thing:
    """A crumpled cloth that lies flat or in a heap."""
    half = rng.uniform(0.04, 0.1) * np.array([rng.uniform(0.5, 1.0), 1.0, rng.uniform(0.1, 0.3)])
    mesh = sheet(rng, half, folds=rng.uniform(0.1, 0.6))
    core = Part("box", UNSEEN, vector(half * (0.9, 0.9, 0.5)), (0, 0, -0.4 * half[2]), visible=False)
    return Thing((Part(mesh, stock.cloth(rng), solid=False), core), float(np.linalg.norm(half)) * 1.1, True)


def folded_cloth(rng: np.random.Generator, stock: MaterialStock) -> Thing:
    """A folded towel or garment: soft layers on top of each other."""
    half = rng.uniform(0.04, 0.09) * np.array([rng.uniform(0.6, 1.0), 1.0, rng.uniform(0.15, 0.35)])
    material = stock.cloth(rng)
    layers = int(rng.integers(1, 4))
    parts = [
        Part(
            cushion(rng, half * (rng.uniform(0.92, 1), rng.uniform(0.92, 1), 1.2 / layers), crinkle=0.06),
            material,
            position=(0.0, 0.0, float(half[2] * (2 * (level + 0.5) / layers - 1))),
            solid=False,
        )
        for level in range(layers)
    ]
    core = Part("box", UNSEEN, vector(half * (0.9, 0.9, 0.9)), visible=False)
    return Thing((*parts, core), float(np.linalg.norm(half)))


def plush(rng: np.random.Generator, stock: MaterialStock) -> Thing:
    """A toy animal or doll: a body, a head, limbs and ears."""
    size = rng.uniform(0.02, 0.045)
    fur = stock.cloth(rng) if rng.random() < 0.6 else stock.plain(rng)
    second = fur if rng.random() < 0.6 else stock.plain(rng)
    head = size * rng.uniform(0.6, 0.95)
    parts = [
        Part("ellipsoid", fur, vector(size * rng.uniform(0.7, 1.0, 3) * (1, 1.3, 0.9))),
        Part("ellipsoid", fur, (head, head, head), (0, 1.25 * size + head * 0.5, 0)),
    ]
    limb = size * rng.uniform(0.22, 0.4)
    for side in (1, -1):
        for y, lean in ((0.8, 55), (-1.0, 25)):
            place = (side * size * 0.9, y * size, 0)
            parts.append(Part("capsule", second, (limb, size * 0.5, 0), place, turned((1, side * 0.6, 0), 90 + lean)))
        ear = (head * 0.4, head * rng.uniform(0.4, 1.2), head * 0.25)
        parts.append(Part("ellipsoid", second, ear, (side * head * 0.7, 1.6 * size + head, 0)))
    return Thing(tuple(parts), size * 3)


def glove(rng: np.random.Generator, stock: MaterialStock) -> Thing:
    """A glove: a flat palm, four fingers and a thumb."""
    size = rng.uniform(0.035, 0.05)
    material = stock.cloth(rng) if rng.random() < 0.5 else stock.plain(rng)
    palm = cushion(rng, (size, size * 1.2, size * 0.25), crinkle=0.1)
    parts = [Part(palm, material, solid=False), Part("box", material, (size * 0.8, size, size * 0.12), visible=False)]
    thick = size * 0.19
    for x in (-0.7, -0.25, 0.2, 0.65):
        half = size * rng.uniform(0.4, 0.62)
        rotation = turned((1, 0, rng.uniform(-0.3, 0.3)), 90)
        parts.append(Part("capsule", material, (thick, half, 0), (x * size, size * 1.15 + half * 0.7, 0), rotation))
    side = float(rng.choice([-1.0, 1.0]))
    parts.append(
        Part("capsule", material, (thick, size * 0.45, 0), (side * size * 1.1, 0.3 * size, 0), turned((1, 0, side), 90))
    )
    cuff = stock.plain(rng) if rng.random() < 0.5 else material
    parts.append(Part("box", cuff, (size * 0.85, size * 0.3, size * 0.16), (0, -1.3 * size, 0)))
    return Thing(tuple(parts), size * 2.6)


def sponge(rng: np.random.Generator, stock: MaterialStock) -> Thing:
    """A sponge or block of foam in two layers."""
    half = rng.uniform(0.03, 0.055) * np.array([1.0, rng.uniform(0.5, 0.8), rng.uniform(0.2, 0.45)])
    layer = (float(half[0]), float(half[1]), float(half[2]) * 0.2)
    parts = (
        Part("box", stock.cloth(rng) if rng.random() < 0.4 else stock.vivid(rng), vector(half)),
        Part("box", stock.plain(rng), layer, (0, 0, float(half[2]) * 1.2)),
    )
    return Thing(parts, float(np.linalg.norm(half)) * 1.3)
