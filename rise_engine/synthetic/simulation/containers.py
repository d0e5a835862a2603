"""Containers that things fall into: totes, cartons, crates, baskets, trays, open ground. They are never objects."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from rise_engine.synthetic.palette import draw_colour, vary
from rise_engine.synthetic.simulation.description import Container, Material, Part, Vector, turned
from rise_engine.synthetic.simulation.materials import MaterialStock

Side = tuple[int, int]
_SIDES: tuple[Side, ...] = ((1, 0), (-1, 0), (0, 1), (0, -1))
"""Outward directions of the four walls."""
_PLASTIC = (
    (0.55, 0.58, 0.6),
    (0.12, 0.3, 0.65),
    (0.3, 0.32, 0.34),
    (0.1, 0.1, 0.11),
    (0.8, 0.8, 0.78),
    (0.7, 0.15, 0.12),
)


def tote(rng: np.random.Generator, stock: MaterialStock) -> Container:
    """A plastic tote: leaning walls, a rim, ribs outside or inside, and handle openings."""
    a, b, depth = _inner_size(rng, 0.04, 0.2)
    base = np.array(_PLASTIC[int(rng.integers(len(_PLASTIC)))], np.float32)
    colour = vary(rng, base, 0.1) if rng.random() < 0.7 else draw_colour(rng)
    wall, floor = stock.wall(rng, colour), stock.wall(rng, vary(rng, colour, 0.05))
    if rng.random() < 0.12:
        wall = stock.clear(rng)
    thick, lean = rng.uniform(0.002, 0.006), rng.uniform(0, 14)
    parts = [_floor(floor, a, b)]
    for side in _SIDES:
        parts += _wall(wall, side, (a, b), depth, thick, lean)
        if rng.random() < 0.6:
            parts += _ribs(rng, wall, side, (a, b), depth, lean)
        if rng.random() < 0.35:
            parts += _handle(rng, stock, side, (a, b), depth, lean)
    if rng.random() < 0.75:
        parts += _rim(rng, wall, (a, b), depth, lean)
    if rng.random() < 0.4:
        parts += _floor_ribs(rng, floor, a, b)
    if rng.random() < 0.4:
        parts.append(_sticker(rng, stock, a, b))
    return Container(tuple(parts), stock.ground(rng), (a, b), depth)


def carton(rng: np.random.Generator, stock: MaterialStock) -> Container:
    """An open carton: cardboard or printed walls, flaps that stand out, sometimes torn short."""
    a, b, depth = _inner_size(rng, 0.06, 0.2)
    outside = stock.printed(rng) if rng.random() < 0.3 else stock.cardboard(rng)
    inside = stock.cardboard(rng)
    parts = [_floor(inside, a, b)]
    for side in _SIDES:
        material = outside if rng.random() < 0.3 else inside
        parts += _wall(material, side, (a, b), depth, 0.002, 0)
        if rng.random() < 0.75:
            width = rng.uniform(0.4, 1.0) if rng.random() < 0.3 else 1.0
            parts.append(_flap(rng, outside, side, (a, b), depth, width))
    return Container(tuple(parts), stock.ground(rng), (a, b), depth)


def crate(rng: np.random.Generator, stock: MaterialStock) -> Container:
    """A wooden crate: slats with gaps between corner posts."""
    a, b, depth = _inner_size(rng, 0.05, 0.16)
    wood = stock.wood(rng)
    parts = [_floor(stock.wood(rng), a, b)]
    slats = int(rng.integers(1, 4))
    height = depth / slats * rng.uniform(0.3, 0.5)
    for side in _SIDES:
        for level in range(slats):
            z = (level + 0.5) * depth / slats
            material = wood if rng.random() < 0.7 else stock.wood(rng)
            parts.append(_slab(material, side, (a, b), z, height, 0.005))
    for x in (1, -1):
        for y in (1, -1):
            parts.append(Part("box", wood, (0.012, 0.012, depth / 2), (x * a, y * b, depth / 2)))
    return Container(tuple(parts), stock.ground(rng), (a, b), depth)


def wire_basket(rng: np.random.Generator, stock: MaterialStock) -> Container:
    """A basket of wires: a grid of bars as walls and floor, in front of thin invisible plates that hold things."""
    a, b, depth = _inner_size(rng, 0.05, 0.15)
    metal = stock.metal(rng) if rng.random() < 0.6 else stock.plain(rng)
    radius, mesh = rng.uniform(0.0012, 0.0028), rng.uniform(0.025, 0.05)
    parts = [Part("box", metal, (a, b, 0.002), (0, 0, 0.002), visible=False)]
    along_x, along_y = turned((0, 1, 0), 90), turned((1, 0, 0), 90)
    for x in np.linspace(-a, a, max(3, round(2 * a / mesh))):
        parts.append(Part("capsule", metal, (radius, b, 0), (float(x), 0, radius), along_y, solid=False))
        parts += [
            Part("capsule", metal, (radius, depth / 2, 0), (float(x), y, depth / 2), solid=False) for y in (b, -b)
        ]
    for y in np.linspace(-b, b, max(3, round(2 * b / mesh))):
        parts.append(Part("capsule", metal, (radius, a, 0), (0, float(y), radius), along_x, solid=False))
        parts += [
            Part("capsule", metal, (radius, depth / 2, 0), (x, float(y), depth / 2), solid=False) for x in (a, -a)
        ]
    for z in np.linspace(depth / 3, depth, 3):
        parts += [Part("capsule", metal, (radius, b, 0), (x, 0, float(z)), along_y, solid=False) for x in (a, -a)]
        parts += [Part("capsule", metal, (radius, a, 0), (0, y, float(z)), along_x, solid=False) for y in (b, -b)]
    for side in _SIDES:
        slab = _slab(metal, side, (a, b), depth / 2, depth / 2, 0.002)
        parts.append(Part("box", metal, slab.size, slab.position, visible=False))
    return Container(tuple(parts), stock.ground(rng), (a, b), depth)


def tray(rng: np.random.Generator, stock: MaterialStock) -> Container:
    """A flat tray or drawer with a low border."""
    a, b, _ = _inner_size(rng, 0.05, 0.1)
    depth = rng.uniform(0.008, 0.035)
    choices = (stock.plain, stock.metal, stock.wood)
    border = choices[int(rng.integers(3))](rng)
    floor = stock.wall(rng, draw_colour(rng)) if rng.random() < 0.7 else stock.wood(rng)
    parts = [_floor(floor, a, b)]
    for side in _SIDES:
        parts += _wall(border, side, (a, b), depth, rng.uniform(0.002, 0.008), rng.uniform(0, 25))
    return Container(tuple(parts), stock.ground(rng), (a, b), depth)


def open_ground(rng: np.random.Generator, stock: MaterialStock) -> Container:
    """A table, belt, floor or carpet; a belt has rails along two sides."""
    a, b, _ = _inner_size(rng, 0.05, 0.1)
    parts: list[Part] = []
    kind = rng.random()
    if kind < 0.35:
        rail = stock.metal(rng) if rng.random() < 0.6 else stock.plain(rng)
        for y in (1, -1):
            height = rng.uniform(0.01, 0.03)
            parts.append(Part("box", rail, (1.5, 0.01, height), (0, y * (b + 0.02), height)))
    elif kind < 0.5:
        parts.append(Part("box", stock.cloth(rng), (a * 1.1, b * 1.1, 0.001), (0, 0, 0.001)))
    return Container(tuple(parts), stock.ground(rng), (a, b), 0.0)


KINDS: tuple[tuple[Callable[[np.random.Generator, MaterialStock], Container], float], ...] = (
    (tote, 4.5),
    (carton, 2.0),
    (crate, 0.8),
    (wire_basket, 0.6),
    (tray, 1.0),
    (open_ground, 1.1),
)
"""Each kind of container and its relative frequency."""


def sample_container(rng: np.random.Generator, stock: MaterialStock) -> Container:
    """A container of a random kind."""
    weights = np.array([weight for _, weight in KINDS])
    return KINDS[int(rng.choice(len(KINDS), p=weights / weights.sum()))][0](rng, stock)


def _inner_size(rng: np.random.Generator, shallow: float, deep: float) -> tuple[float, float, float]:
    a = rng.uniform(0.11, 0.32)
    return a, a * rng.uniform(0.6, 1.0), rng.uniform(shallow, min(deep, 1.2 * a))


def _floor(material: Material, a: float, b: float) -> Part:
    return Part("box", material, (a, b, 0.002), (0, 0, 0.002))


def _slab(material: Material, side: Side, half: tuple[float, float], z: float, height: float, thick: float) -> Part:
    """A plate along one wall; ``height`` is half its height and ``z`` its middle."""
    a, b = half
    x, y = side
    size = (thick, b, height) if x else (a, thick, height)
    return Part("box", material, size, (x * (a + thick), y * (b + thick), z))


def _lean(side: Side, degrees: float) -> tuple[float, float, float, float]:
    x, y = side
    return turned((0, 1, 0), x * degrees) if x else turned((1, 0, 0), -y * degrees)


def _on_wall(side: Side, half: tuple[float, float], z: float, lean: float, out: float, along: float) -> Vector:
    """A point at height ``z`` of a leaning wall, ``out`` from its inner surface and ``along`` it from its middle."""
    a, b = half
    x, y = side
    reach = z * float(np.tan(np.radians(lean))) + out
    return (x * (a + reach) + (0 if x else along), y * (b + reach) + (along if x else 0), z)


def _wall(
    material: Material, side: Side, half: tuple[float, float], depth: float, thick: float, lean: float
) -> list[Part]:
    """One wall that leans outwards by ``lean`` degrees."""
    a, b = half
    spread = depth * float(np.tan(np.radians(lean)))
    size = (thick, b + spread, depth / 2) if side[0] else (a + spread, thick, depth / 2)
    middle = _on_wall(side, half, depth / 2, lean, thick, 0.0)
    return [Part("box", material, size, middle, _lean(side, lean))]


def _ribs(
    rng: np.random.Generator,
    material: Material,
    side: Side,
    half: tuple[float, float],
    depth: float,
    lean: float,
) -> list[Part]:
    """Upright ribs on the inner surface of a wall, or on both surfaces."""
    length = half[1] if side[0] else half[0]
    out = rng.uniform(0.0, 0.003)
    width = rng.uniform(0.0015, 0.004)
    size = (0.003, width, depth * 0.45) if side[0] else (width, 0.003, depth * 0.45)
    return [
        Part("box", material, size, _on_wall(side, half, depth / 2, lean, out, float(t) * length), _lean(side, lean))
        for t in np.linspace(-0.85, 0.85, int(rng.integers(2, 12)))
    ]


def _handle(
    rng: np.random.Generator,
    stock: MaterialStock,
    side: Side,
    half: tuple[float, float],
    depth: float,
    lean: float,
) -> list[Part]:
    """A dark opening or a grip near the upper edge of a wall."""
    length = rng.uniform(0.02, 0.05)
    size = (0.0015, length, 0.008) if side[0] else (length, 0.0015, 0.008)
    dark = Material((0.03, 0.03, 0.03, 1), specular=0, shininess=0) if rng.random() < 0.6 else stock.plain(rng)
    place = _on_wall(side, half, depth * 0.78, lean, -0.001, 0.0)
    return [Part("box", dark, size, place, _lean(side, lean), solid=False)]


def _rim(
    rng: np.random.Generator, material: Material, half: tuple[float, float], depth: float, lean: float
) -> list[Part]:
    """A flat border around the upper edge."""
    spread = depth * float(np.tan(np.radians(lean)))
    a, b, width = half[0] + spread, half[1] + spread, rng.uniform(0.004, 0.014)
    sizes = ((width, b + 2 * width, 0.003), (a + 2 * width, width, 0.003))
    places: NDArray[np.float64] = np.array([(a + width, 0, depth), (0, b + width, depth)])
    parts = []
    for size, place in zip(sizes, places, strict=True):
        for sign in (1, -1):
            parts.append(Part("box", material, size, (sign * float(place[0]), sign * float(place[1]), depth)))
    return parts


def _floor_ribs(rng: np.random.Generator, material: Material, a: float, b: float) -> list[Part]:
    """Low ribs or grooves on the floor."""
    count = int(rng.integers(2, 9))
    if rng.random() < 0.5:
        return [
            Part("box", material, (0.002, b, 0.001), (float(x), 0, 0.0045)) for x in np.linspace(-0.8, 0.8, count) * a
        ]
    return [Part("box", material, (a, 0.002, 0.001), (0, float(y), 0.0045)) for y in np.linspace(-0.8, 0.8, count) * b]


def _sticker(rng: np.random.Generator, stock: MaterialStock, a: float, b: float) -> Part:
    """A label on the floor that belongs to the container."""
    size = (rng.uniform(0.01, 0.04), rng.uniform(0.01, 0.03), 0.0003)
    place = (rng.uniform(-0.8, 0.8) * a, rng.uniform(-0.8, 0.8) * b, 0.0042)
    return Part("box", stock.paper_page(rng), size, place, turned((0, 0, 1), rng.uniform(0, 360)), solid=False)


def _flap(
    rng: np.random.Generator,
    material: Material,
    side: Side,
    half: tuple[float, float],
    depth: float,
    width: float,
) -> Part:
    """A flap at the upper edge of a wall that leans outwards or hangs down."""
    a, b = half
    x, y = side
    reach = rng.uniform(0.25, 0.6) * min(a, b)
    lean = rng.uniform(-60, 75)
    out, up = reach * np.cos(np.radians(lean)), reach * np.sin(np.radians(lean))
    size = (reach, b * width, 0.0015) if x else (a * width, reach, 0.0015)
    rotation = turned((0, 1, 0), -x * lean) if x else turned((1, 0, 0), y * lean)
    return Part("box", material, size, (x * (a + out), y * (b + out), depth + float(up)), rotation)
