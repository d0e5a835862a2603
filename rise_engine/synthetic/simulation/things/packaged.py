"""Goods in packages: printed boxes, open cartons, books, cards, bags, pouches and blister packs."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from rise_engine.synthetic.simulation.description import UNSEEN, Material, Part, Thing, turned, vector
from rise_engine.synthetic.simulation.materials import MaterialStock
from rise_engine.synthetic.simulation.meshes import cushion, printed_box


def box(rng: np.random.Generator, stock: MaterialStock) -> Thing:
    """A closed box with printed sides, from a matchbox to a shoe box."""
    length = rng.uniform(0.025, 0.12)
    half = np.sort(length * np.array([1.0, rng.uniform(0.45, 1.0), rng.uniform(0.15, 0.8)]))[::-1]
    return _printed_block(half, stock.printed_faces(rng, half))


def flat_box(rng: np.random.Generator, stock: MaterialStock) -> Thing:
    """A flat package, as of sweets, games or electronics."""
    half = rng.uniform(0.04, 0.11) * np.array([1.0, rng.uniform(0.5, 1.0), rng.uniform(0.08, 0.2)])
    return _printed_block(half, stock.printed_faces(rng, half))


def book(rng: np.random.Generator, stock: MaterialStock) -> Thing:
    """A closed book or a stack of paper."""
    half = rng.uniform(0.05, 0.12) * np.array([0.72, 1.0, rng.uniform(0.03, 0.2)])
    return _printed_block(half, stock.page_faces(rng, half))


def card(rng: np.random.Generator, stock: MaterialStock) -> Thing:
    """A card, leaflet or sheet of paper."""
    half = rng.uniform(0.03, 0.09) * np.array([rng.uniform(0.55, 1.0), 1.0, 0.012])
    material = stock.paper_page(rng) if rng.random() < 0.5 else stock.printed(rng)
    shown = Part(printed_box(half), material, solid=False)
    return Thing((shown, _hidden_box(half)), float(np.linalg.norm(half)))


def cardboard_box(rng: np.random.Generator, stock: MaterialStock) -> Thing:
    """A closed carton, often with tape over its lid."""
    half = rng.uniform(0.04, 0.1) * np.array([1.0, rng.uniform(0.5, 1.0), rng.uniform(0.3, 0.9)])
    parts = [Part("box", stock.cardboard(rng), vector(half))]
    if rng.random() < 0.6:
        tape = half * np.array([1.003, 0.0, 1.003]) + np.array([0, rng.uniform(0.08, 0.16) * half[1], 0])
        parts.append(Part("box", stock.plain(rng), vector(tape), solid=False))
    return Thing(tuple(parts), float(np.linalg.norm(half)))


def open_carton(rng: np.random.Generator, stock: MaterialStock) -> Thing:
    """A small carton without a lid, into which other things may fall; flaps stand out at random."""
    a, b, c = rng.uniform(0.04, 0.09) * np.array([1.0, rng.uniform(0.6, 1.0), rng.uniform(0.35, 0.8)])
    wall = 0.002
    material = stock.cardboard(rng) if rng.random() < 0.6 else stock.printed(rng)
    parts = [Part("box", material, (a, b, wall), (0, 0, -c))]
    for x, y in ((1, 0), (-1, 0), (0, 1), (0, -1)):
        size = (wall, b, c) if x else (a, wall, c)
        parts.append(Part("box", material, size, (x * a, y * b, 0)))
        if rng.random() < 0.5:
            parts.append(_flap(rng, material, (a, b, c), (x, y), wall))
    return Thing(tuple(parts), float(np.linalg.norm((a, b, c))) + 0.6 * min(a, b), keep_upright=rng.random() < 0.7)


def _flap(
    rng: np.random.Generator, material: Material, sides: tuple[float, float, float], side: tuple[int, int], wall: float
) -> Part:
    """A flap that leans outwards from the upper edge of one wall."""
    a, b, c = sides
    x, y = side
    reach, lean = rng.uniform(0.3, 0.6) * min(a, b), np.radians(rng.uniform(-20, 70))
    size = (reach, b * 0.96, wall / 2) if x else (a * 0.96, reach, wall / 2)
    out, up = reach * np.cos(lean), reach * np.sin(lean)
    position = (x * (a + out), y * (b + out), c + up)
    rotation = turned((0, 1, 0), -x * np.degrees(lean)) if x else turned((1, 0, 0), y * np.degrees(lean))
    return Part("box", material, size, position, rotation)


def bag(rng: np.random.Generator, stock: MaterialStock) -> Thing:
    """A filled bag or pouch with creases and, mostly, shiny film."""
    half = rng.uniform(0.035, 0.1) * np.array([rng.uniform(0.6, 1.0), 1.0, rng.uniform(0.15, 0.4)])
    film = stock.printed(rng) if rng.random() < 0.75 else stock.plain(rng)
    material = Material(film.colour, film.texture, specular=rng.uniform(0.2, 1), shininess=rng.uniform(0.3, 1))
    mesh = cushion(rng, half, crinkle=rng.uniform(0.02, 0.25), seam=rng.uniform(0, 0.18))
    return Thing((Part(mesh, material, solid=False), *_soft_core(half)), float(np.linalg.norm(half)))


def clear_bag(rng: np.random.Generator, stock: MaterialStock) -> Thing:
    """A clear bag with a few small things in it and, often, a printed header."""
    half = rng.uniform(0.04, 0.09) * np.array([rng.uniform(0.6, 1.0), 1.0, rng.uniform(0.1, 0.25)])
    content = stock.vivid(rng) if rng.random() < 0.5 else stock.metal(rng)
    parts = [
        Part(
            "ellipsoid" if rng.random() < 0.5 else "box",
            content,
            vector(half[2] * rng.uniform(0.4, 0.8) * rng.uniform(0.5, 1.0, 3)),
            vector(rng.uniform(-0.6, 0.6, 3) * half * (1, 1, 0)),
            solid=False,
        )
        for _ in range(int(rng.integers(2, 10)))
    ]
    mesh = cushion(rng, half, crinkle=rng.uniform(0.05, 0.25), seam=rng.uniform(0.05, 0.18))
    parts.append(Part(mesh, stock.clear(rng), solid=False))
    if rng.random() < 0.5:
        header = (half[0], half[1] * 0.2, 0.001)
        parts.append(Part(printed_box(header), stock.printed(rng), (0, 0, 0), (0, half[1] * 1.1, 0), solid=False))
    return Thing((*parts, *_soft_core(half)), float(np.linalg.norm(half)) * 1.2)


def blister_pack(rng: np.random.Generator, stock: MaterialStock) -> Thing:
    """Pills in foil, or goods under a clear shell on a printed card."""
    a, b, c = rng.uniform(0.03, 0.07) * np.array([rng.uniform(0.45, 0.8), 1.0, 0.02])
    if rng.random() < 0.5:
        parts = [Part("box", stock.metal(rng), (a, b, c))]
        columns, rows = int(rng.integers(2, 4)), int(rng.integers(3, 7))
        radius = 0.36 * min(2 * a / columns, 2 * b / rows)
        pill = stock.plain(rng) if rng.random() < 0.6 else stock.clear(rng)
        for x in (np.arange(columns) + 0.5) / columns * 2 - 1:
            for y in (np.arange(rows) + 0.5) / rows * 2 - 1:
                size = (radius, radius, radius * 0.6)
                parts.append(Part("ellipsoid", pill, size, (float(x) * a, float(y) * b, c), solid=False))
    else:
        printed = stock.printed(rng)
        shell = (a * 0.75, b * 0.55, 0.2 * b)
        parts = [
            Part(printed_box((a, b, c)), printed, solid=False),
            Part("box", printed, (a, b, c), visible=False),
            Part(
                "ellipsoid", stock.vivid(rng), vector(np.array(shell) * 0.7), (0, -0.3 * b, shell[2] * 0.8), solid=False
            ),
            Part("box", stock.clear(rng), shell, (0, -0.3 * b, shell[2])),
        ]
    return Thing(tuple(parts), float(np.linalg.norm((a, b, 0.4 * b))))


def _printed_block(half: NDArray[np.float64], material: Material) -> Thing:
    return Thing((Part(printed_box(half), material, solid=False), _hidden_box(half)), float(np.linalg.norm(half)))


def _hidden_box(half: NDArray[np.float64]) -> Part:
    """What collides in place of a printed surface."""
    return Part("box", UNSEEN, vector(half), visible=False)


def _soft_core(half: NDArray[np.float64]) -> tuple[Part, ...]:
    """What collides in place of a soft surface, which others may sink into a little."""
    return (
        Part("box", UNSEEN, vector(half * (0.85, 0.88, 0.35)), visible=False),
        Part("ellipsoid", UNSEEN, vector(half * (0.8, 0.8, 0.85)), visible=False),
    )
