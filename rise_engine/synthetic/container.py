"""Draw an empty tote: floor, walls in perspective, rim, grooves, stickers, and the surroundings."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from rise_engine.synthetic.palette import Colour, draw_colour, to_bytes, vary
from rise_engine.synthetic.raster import Patch, Points, Stencil, smooth
from rise_engine.synthetic.studio import Light
from rise_engine.synthetic.textures import TextureAtlas

_PLASTICS = (
    (0.55, 0.6, 0.64),
    (0.42, 0.5, 0.54),
    (0.62, 0.64, 0.66),
    (0.8, 0.81, 0.8),
    (0.3, 0.32, 0.34),
    (0.1, 0.1, 0.11),
    (0.12, 0.28, 0.6),
    (0.2, 0.45, 0.75),
    (0.9, 0.75, 0.15),
    (0.15, 0.45, 0.25),
    (0.7, 0.15, 0.13),
    (0.72, 0.56, 0.38),
    (0.6, 0.45, 0.28),
)
_CLEAR = np.array((0.42, 0.49, 0.53), np.float32)
_WEIGHTS = np.array([5, 4, 4, 3, 2, 2, 2, 2, 2, 1, 1, 1.5, 1])


@dataclass(frozen=True, slots=True)
class Container:
    """An empty tote: its picture float32 (H, W, 3), its floor (x0, y0, x1, y1) in pixels and its floor's colour."""

    picture: NDArray[np.float32]
    floor: tuple[float, float, float, float]
    colour: Colour


def _corners(box: tuple[float, float, float, float], rng: np.random.Generator, wobble: float) -> Points:
    x0, y0, x1, y1 = box
    points = np.array([(x0, y0), (x1, y0), (x1, y1), (x0, y1)], np.float32)
    return points + rng.uniform(-wobble, wobble, (4, 2)).astype(np.float32)


def _rounded(points: Points, inset: float, bend: float, rng: np.random.Generator) -> list[tuple[float, float]]:
    """A closed groove inside four corners, its sides bent in or out."""
    middle = points.mean(0)
    p = middle + (points - middle) * (1 - inset)
    path = []
    for index in range(4):
        a, b = p[index], p[(index + 1) % 4]
        for t in np.linspace(0.06, 0.94, 9):
            bulge = bend * np.sin(np.pi * t)
            point = a + (b - a) * t
            path.append(tuple(point + (middle - point) * bulge))
    return [(float(x), float(y)) for x, y in [*path, path[0]]]


def _draw_grooves(rng: np.random.Generator, pen: ImageDraw.ImageDraw, floor: Points, rim: Points, unit: float) -> None:
    """Mark every moulded line of the floor and the walls; relief turns them into light and dark edges."""
    style = rng.random()
    width = max(1, round(unit * rng.uniform(0.006, 0.02)))
    if style < 0.35:
        for inset in rng.uniform(0.03, 0.5, int(rng.integers(1, 4))):
            pen.line(
                _rounded(floor, float(inset), float(rng.uniform(-0.08, 0.15)), rng),
                fill=int(rng.integers(90, 256)),
                width=width,
                joint="curve",
            )
        if rng.random() < 0.5:
            middle = floor.mean(0)
            for index in (0, 1):
                half = (floor[index] + floor[index + 1]) / 2
                other = 2 * middle - half
                pen.line([tuple(half), tuple(half + (middle - half) * 0.4)], fill=200, width=width)
                pen.line([tuple(other), tuple(other + (middle - other) * 0.4)], fill=200, width=width)
    elif style < 0.6:
        count = int(rng.integers(3, 16))
        sides = [(0, 1, 3, 2)] if rng.random() < 0.5 else [(0, 3, 1, 2)]
        if rng.random() < 0.4:
            sides = [(0, 1, 3, 2), (0, 3, 1, 2)]
        for a, b, c, d in sides:
            for t in np.linspace(0, 1, count + 2)[1:-1]:
                pen.line(
                    [tuple(floor[a] + (floor[b] - floor[a]) * t), tuple(floor[c] + (floor[d] - floor[c]) * t)],
                    fill=180,
                    width=width,
                )
    elif style < 0.68:
        for _ in range(int(rng.integers(2, 6))):
            x, y = floor.mean(0) + rng.normal(0, 0.25, 2) * unit
            r = unit * rng.uniform(0.01, 0.12)
            pen.ellipse((x - r, y - r, x + r, y + r), outline=160, width=width)
    if rng.random() < 0.6:
        count = int(rng.integers(1, 12))
        for index in range(4):
            a, b = floor[index], floor[(index + 1) % 4]
            c, d = rim[index], rim[(index + 1) % 4]
            for t in np.linspace(0, 1, count + 2)[1:-1]:
                pen.line([tuple(a + (b - a) * t), tuple(c + (d - c) * t)], fill=150, width=width)
    if rng.random() < 0.5:
        share = rng.uniform(0.2, 0.8)
        level = floor + (rim - floor) * np.float32(share)
        pen.line([tuple(p) for p in [*level, level[0]]], fill=170, width=width)
    if rng.random() < 0.25:
        x, y = floor.mean(0) + rng.normal(0, 0.2, 2) * unit
        r = unit * rng.uniform(0.02, 0.05)
        pen.rounded_rectangle((x - 2 * r, y - r, x + 2 * r, y + r), radius=r / 2, outline=190, width=1)
        pen.text((x - 1.5 * r, y - 0.8 * r), "PP 5", fill=150)


def _fill_walls(
    rng: np.random.Generator, light: Light, pen: ImageDraw.ImageDraw, floor: Points, rim: Points, colour: Colour
) -> None:
    normals = ((0.0, 1.0), (-1.0, 0.0), (0.0, -1.0), (1.0, 0.0))
    flat = rng.random() < 0.3
    for index, normal in enumerate(normals):
        bright = rng.uniform(0.85, 1.1) if flat else light.side(normal) * rng.uniform(0.85, 1.15)
        there = (index + 1) % 4
        quad = np.stack([floor[index], floor[there], rim[there], rim[index]])
        pen.polygon(
            [(float(x), float(y)) for x, y in quad], fill=to_bytes(vary(rng, colour * np.float32(bright), 0.03))
        )


def _paste_stickers(
    rng: np.random.Generator,
    picture: NDArray[np.float32],
    size: tuple[int, int],
    floor: Points,
    unit: float,
    textures: TextureAtlas,
) -> None:
    """Labels and tape that belong to the tote: they are no objects, so they cast no shadow and have no mask."""
    for _ in range(int(rng.integers(0, 5))):
        side = int(rng.integers(4))
        t = rng.uniform(-0.05, 1.05)
        middle = floor[side] + (floor[(side + 1) % 4] - floor[side]) * t
        outward = middle - floor.mean(0)
        middle = middle + outward / (np.linalg.norm(outward) + 1e-6) * unit * rng.uniform(-0.02, 0.16)
        w, h = unit * rng.uniform(0.02, 0.14), unit * rng.uniform(0.01, 0.05)
        angle = rng.choice([0, np.pi / 2]) + rng.normal(0, 0.08)
        cos, sin = np.cos(angle), np.sin(angle)
        quad = middle + np.array([(-w, -h), (w, -h), (w, h), (-w, h)]) / 2 @ np.array([(cos, sin), (-sin, cos)])
        patch = Patch(quad, size)
        if patch.empty:
            continue
        cover = Stencil(patch).polygon(quad).plane()[..., None] * np.float32(rng.uniform(0.3, 0.95))
        if rng.random() < 0.6:
            ink = np.full(3, rng.uniform(0.7, 0.95), np.float32)
        else:
            ink = patch.warp(textures.page(rng, (int(h) + 4, int(w) + 4)), quad)
        area = picture[patch.y : patch.y + patch.height, patch.x : patch.x + patch.width]
        area += cover * (ink - area)


def _add_glare(rng: np.random.Generator, picture: NDArray[np.float32], size: tuple[int, int]) -> None:
    """Soft reflections of windows and lamps on glossy plastic."""
    height, width = size
    small = Image.new("L", (max(8, width // 4), max(8, height // 4)))
    pen = ImageDraw.Draw(small)
    for _ in range(int(rng.integers(1, 6))):
        x, y = rng.uniform(0, small.width), rng.uniform(0, small.height)
        w, h = small.width * rng.uniform(0.02, 0.25), small.height * rng.uniform(0.02, 0.2)
        lean = rng.uniform(-1, 1) * w
        pen.polygon([(x, y), (x + w, y), (x + w + lean, y + h), (x + lean, y + h)], fill=int(rng.integers(40, 200)))
    glare = smooth(np.asarray(small, np.float32) / np.float32(255), rng.uniform(0.5, 5.0))
    glare = np.asarray(Image.fromarray(glare).resize((width, height), Image.Resampling.BILINEAR))
    picture += (glare * np.float32(rng.uniform(0.1, 0.5)))[..., None]


def _stretched(picture: Image.Image, size: tuple[int, int]) -> NDArray[np.float32]:
    return np.asarray(picture.resize((size[1], size[0]), Image.Resampling.BILINEAR), np.float32) / np.float32(255)


def _add_reflections(
    rng: np.random.Generator, picture: NDArray[np.float32], floor: Points, textures: TextureAtlas, *, walls_only: bool
) -> None:
    """Blurred colours and streaks of the surroundings, as clear and glossy walls show them."""
    height, width = picture.shape[:2]
    photo = Image.fromarray(textures.photo(rng, (max(4, height // 10), max(4, width // 10))))
    share = np.full((height, width), rng.uniform(0.03, 0.25), np.float32)
    thin = (max(4, height // 24), width) if rng.random() < 0.5 else (height, max(4, width // 24))
    streaks = Image.fromarray((128 + 40 * np.clip(textures.noise(rng, thin, 1.6), -3, 3)).astype(np.uint8))
    bands = _stretched(streaks, (height, width)) - np.float32(0.5)
    if walls_only:
        stencil = Image.new("L", (width, height), 255)
        ImageDraw.Draw(stencil).polygon([(float(x), float(y)) for x, y in floor], fill=int(rng.integers(0, 90)))
        share *= np.asarray(stencil, np.float32) * np.float32(1 / 255)
    bands = bands * share * np.float32(rng.uniform(0.0, 1.5))
    picture += share[..., None] * (_stretched(photo, (height, width)) - picture) + bands[..., None]


def draw_container(rng: np.random.Generator, size: tuple[int, int], light: Light, textures: TextureAtlas) -> Container:
    """Draw an empty tote that fills a frame of ``size`` (H, W)."""
    height, width = size
    unit = float(min(size))
    clear = rng.random() < 0.4
    colour = _plastic_colour(rng, clear=clear)
    box = _floor_box(rng, size)
    floor = _corners(box, rng, 0.012 * unit)
    spread = rng.uniform(0.1, 0.3) if rng.random() < 0.7 else rng.uniform(0.02, 0.15)
    rim = _corners(
        (box[0] - spread * width, box[1] - spread * height, box[2] + spread * width, box[3] + spread * height),
        rng,
        0.02 * unit,
    )
    picture, floor_colour = _fill_surfaces(rng, size, light, floor, rim, colour, clear=clear)
    picture = picture * (1 + _relief(rng, size, light, textures, floor, rim))[..., None]
    if clear or rng.random() < 0.3:
        _add_reflections(rng, picture, floor, textures, walls_only=clear)
    if rng.random() < 0.3:
        stains = np.clip(
            textures.noise(rng, size, float(rng.choice([4.0, 10.0, 28.0]))) - np.float32(rng.uniform(1.0, 2.2)), 0, 1
        ) * np.float32(rng.uniform(-0.3, 0.3))
        picture += stains[..., None]
    _paste_stickers(rng, picture, size, floor, unit, textures)
    if rng.random() < 0.6:
        _add_glare(rng, picture, size)
    x0, y0, x1, y1 = box
    inside = (max(0.0, x0), max(0.0, y0), min(float(width), x1), min(float(height), y1))
    return Container(np.ascontiguousarray(picture, np.float32), inside, floor_colour)


def _plastic_colour(rng: np.random.Generator, *, clear: bool) -> Colour:
    if clear:
        return vary(rng, _CLEAR, 0.08)
    if rng.random() < 0.85:
        plastic = _PLASTICS[rng.choice(len(_PLASTICS), p=_WEIGHTS / _WEIGHTS.sum())]
        return vary(rng, np.array(plastic, np.float32), 0.07)
    return draw_colour(rng)


def _floor_box(rng: np.random.Generator, size: tuple[int, int]) -> tuple[float, float, float, float]:
    """The floor (x0, y0, x1, y1) in pixels; a wall that is not in view puts its side outside of the frame."""
    height, width = size
    if rng.random() < 0.15:
        walls = np.zeros(4)
    else:
        walls = rng.uniform(0.02, 0.24) * rng.uniform(0.6, 1.4, 4)
        walls[rng.random(4) < 0.08] = -0.02
    return (walls[0] * width, walls[1] * height, width * (1 - walls[2]), height * (1 - walls[3]))


def _fill_surfaces(
    rng: np.random.Generator,
    size: tuple[int, int],
    light: Light,
    floor: Points,
    rim: Points,
    colour: Colour,
    *,
    clear: bool,
) -> tuple[NDArray[np.float32], Colour]:
    """Plain surroundings, rim, walls and floor as an image float32 (H, W, 3), and the colour of the floor."""
    surround = draw_colour(rng) * np.float32(rng.uniform(0.2, 1.0))
    base = Image.new("RGB", (size[1], size[0]), to_bytes(surround))
    pen = ImageDraw.Draw(base)
    middle = rim.mean(0)
    outer = middle + (rim - middle) * np.float32(rng.uniform(1.02, 1.1))
    pen.polygon(
        [(float(x), float(y)) for x, y in outer],
        fill=to_bytes(vary(rng, colour * np.float32(rng.uniform(0.9, 1.25)), 0.03)),
    )
    wall_colour = colour * np.float32(rng.uniform(1.0, 1.6)) if clear else vary(rng, colour, 0.08)
    _fill_walls(rng, light, pen, floor, rim, wall_colour)
    floor_colour = vary(rng, colour * np.float32(rng.uniform(0.75, 1.1)), 0.04)
    pen.polygon([(float(x), float(y)) for x, y in floor], fill=to_bytes(floor_colour))
    return np.asarray(base, np.float32) / np.float32(255), floor_colour


def _relief(
    rng: np.random.Generator, size: tuple[int, int], light: Light, textures: TextureAtlas, floor: Points, rim: Points
) -> NDArray[np.float32]:
    """Relative change of brightness (H, W) by moulded grooves and by an uneven surface."""
    height, width = size
    unit = float(min(size))
    grooves = Image.new("L", (width, height))
    _draw_grooves(rng, ImageDraw.Draw(grooves), floor, rim, unit)
    lines = smooth(np.asarray(grooves, np.float32) / np.float32(255), unit * rng.uniform(0.001, 0.006))
    step = (round(2 * float(light.towards[1])) or 1, round(2 * float(light.towards[0])) or 1)
    relief = (lines - np.roll(lines, step, (0, 1))) * np.float32(rng.uniform(0.1, 0.7))
    relief += lines * np.float32(rng.uniform(-0.2, 0.2))
    relief += textures.noise(rng, size, 70.0) * np.float32(rng.uniform(0, 0.08))
    relief += textures.noise(rng, size, float(rng.choice([0.7, 1.6, 4.0, 10.0]))) * np.float32(
        rng.uniform(0, 0.15) ** 2
    )
    return relief
