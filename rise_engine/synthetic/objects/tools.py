"""Draw thin and branching objects: scissors, wrenches, pliers, keys, cords, rings and hooks."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from rise_engine.synthetic.objects.soft_things import relief_sprite
from rise_engine.synthetic.objects.turned import METAL
from rise_engine.synthetic.palette import Colour
from rise_engine.synthetic.raster import Patch, Plane, Points, Stencil, circle
from rise_engine.synthetic.studio import Spot, Sprite, Studio


class _Parts:
    """Coloured pieces of one thing, painted in order; a hole shows what lies below."""

    def __init__(self, patch: Patch) -> None:
        self.patch = patch
        self.colour = np.zeros((*patch.shape, 3), np.float32)
        self.cover = np.zeros(patch.shape, np.float32)

    def add(self, plane: Plane, ink: Colour | NDArray[np.float32]) -> None:
        self.colour += plane[..., None] * (ink - self.colour)
        self.cover = np.maximum(self.cover, plane)

    def sprite(self, rng: np.random.Generator, studio: Studio, thick: float, gloss: float) -> Sprite:
        return relief_sprite(
            rng,
            self.patch,
            self.cover,
            self.colour,
            studio,
            thickness=thick,
            roundness=max(0.8, thick * 0.7),
            crinkle=0.0,
            grain=rng.uniform(0, 0.2),
            gloss=gloss,
        )


def _metal(rng: np.random.Generator, studio: Studio, patch: Patch) -> NDArray[np.float32]:
    tint = METAL * np.float32(rng.uniform(0.35, 1.3))
    sheen = studio.textures.noise(rng, patch.shape, 10.0) * np.float32(0.12)
    return (tint + sheen[..., None]).astype(np.float32)


def paint_scissors(rng: np.random.Generator, spot: Spot, studio: Studio) -> Sprite | None:
    """Scissors: two blades that cross and two ring handles with holes."""
    length = rng.uniform(0.18, 0.38)
    opening = rng.uniform(0.02, 0.35)
    reach = length * 0.6
    patch = Patch(spot.place([(-reach, -reach), (reach, -reach), (reach, reach), (-reach, reach)]), studio.size)
    if patch.empty:
        return None
    parts, metal, ink, lining = _Parts(patch), _metal(rng, studio, patch), studio.colour(rng), studio.colour(rng)
    grip = rng.uniform(0.09, 0.14) * length
    for side in (-1.0, 1.0):
        turn = side * opening / 2
        way = np.array([np.cos(turn), np.sin(turn)])
        off = np.array([-way[1], way[0]])
        blade = np.stack(
            [
                -way * 0.08 * length + off * 0.035 * length * side,
                way * 0.52 * length,
                way * 0.02 * length - off * 0.045 * length * side,
            ]
        )
        parts.add(Stencil(patch).polygon(spot.place(blade)).plane(), metal)
    for side in (-1.0, 1.0):
        turn = side * (opening / 2 + 0.25)
        way = np.array([np.cos(turn), np.sin(turn)])
        ring = -way * length * rng.uniform(0.3, 0.36)
        squash, tilt = rng.uniform(1.1, 1.7), spot.angle + turn
        middle = spot.place(ring)[0]
        ring_plane = (
            Stencil(patch)
            .polygon(circle(middle, grip * spot.unit, squash=squash, angle=tilt))
            .stroke(spot.place(np.stack([ring * 0.7, way * 0.05 * length])), 0.07 * length * spot.unit)
            .plane()
        )
        hole = Stencil(patch).polygon(circle(middle, grip * 0.62 * spot.unit, squash=squash, angle=tilt)).plane()
        inner = Stencil(patch).polygon(circle(middle, grip * 0.78 * spot.unit, squash=squash, angle=tilt)).plane()
        parts.add(ring_plane * (1 - hole), ink)
        parts.add(np.clip(inner - hole, 0, 1), lining)
    return parts.sprite(rng, studio, max(1.0, 0.02 * length * spot.unit), rng.uniform(0, 0.5))


def paint_wrench(rng: np.random.Generator, spot: Spot, studio: Studio) -> Sprite | None:
    """A spanner or wrench: a bar with an open jaw at one end and a ring or plain grip at the other."""
    length = rng.uniform(0.16, 0.42)
    patch = Patch(
        spot.place(
            [
                (-0.6 * length, -0.2 * length),
                (0.6 * length, -0.2 * length),
                (0.6 * length, 0.2 * length),
                (-0.6 * length, 0.2 * length),
            ]
        ),
        studio.size,
    )
    if patch.empty:
        return None
    px = length * spot.unit
    parts = _Parts(patch)
    body = Stencil(patch).stroke(spot.place([(-0.4 * length, 0), (0.35 * length, 0)]), px * rng.uniform(0.05, 0.1))
    head = spot.place([(0.42 * length, 0)])[0]
    width = px * rng.uniform(0.09, 0.14)
    body.disc(head, width)
    tail = spot.place([(-0.44 * length, 0)])[0]
    body.disc(tail, width * rng.uniform(0.4, 0.8))
    turn = rng.uniform(-0.5, 0.5)
    way = np.array([np.cos(turn), np.sin(turn)]) * length
    jaw = (
        Stencil(patch)
        .stroke(
            spot.place(np.stack([np.array([0.4 * length, 0]) + way * 0.02, np.array([0.4 * length, 0]) + way * 0.3])),
            width * rng.uniform(0.5, 0.9),
        )
        .plane()
    )
    plane = body.plane() * (1 - jaw)
    if rng.random() < 0.6:
        plane = plane * (1 - Stencil(patch).disc(tail, width * 0.3).plane())
    metal = rng.random() < 0.75
    parts.add(plane, _metal(rng, studio, patch) if metal else studio.colour(rng))
    if rng.random() < 0.3:
        grip = Stencil(patch).stroke(spot.place([(-0.45 * length, 0), (-0.05 * length, 0)]), px * 0.1).plane()
        parts.add(grip, studio.colour(rng))
    return parts.sprite(rng, studio, max(1.0, 0.03 * px), rng.uniform(0, 0.8))


def paint_pliers(rng: np.random.Generator, spot: Spot, studio: Studio) -> Sprite | None:
    """Pliers, a clamp or a clip: two bent levers that meet in a joint."""
    length = rng.uniform(0.15, 0.34)
    opening = rng.uniform(0.15, 0.9)
    patch = Patch(spot.place(np.array([(-0.6, -0.5), (0.6, -0.5), (0.6, 0.5), (-0.6, 0.5)]) * length), studio.size)
    if patch.empty:
        return None
    px = length * spot.unit
    parts = _Parts(patch)
    handle = studio.colour(rng) if rng.random() < 0.5 else np.full(3, rng.uniform(0.03, 0.12), np.float32)
    metal = _metal(rng, studio, patch) if rng.random() < 0.5 else handle
    joint = rng.uniform(0.05, 0.2) * length
    for side in (-1.0, 1.0):
        nose = np.array(
            [
                (joint, 0),
                (0.3 * length, side * opening * rng.uniform(0.08, 0.2) * length),
                (0.5 * length, side * opening * 0.05 * length),
            ]
        )
        parts.add(Stencil(patch).stroke(spot.place(nose), px * rng.uniform(0.07, 0.12)).plane(), metal)
        grip = np.array(
            [
                (joint, 0),
                (-0.1 * length, -side * opening * 0.22 * length),
                (-0.48 * length, -side * opening * 0.36 * length),
            ]
        )
        parts.add(Stencil(patch).stroke(spot.place(grip), px * rng.uniform(0.06, 0.11)).plane(), handle)
    parts.add(Stencil(patch).disc(spot.place([(joint, 0)])[0], px * 0.08).plane(), metal * np.float32(0.8))
    if rng.random() < 0.4:
        tip = Stencil(patch).disc(spot.place([(0.5 * length, 0)])[0], px * 0.05).plane()
        parts.add(tip, studio.colour(rng))
    return parts.sprite(rng, studio, max(1.0, 0.04 * px), rng.uniform(0, 0.4))


def paint_keys(rng: np.random.Generator, spot: Spot, studio: Studio) -> Sprite | None:
    """A few keys on a ring: small, shiny and full of gaps."""
    length = rng.uniform(0.05, 0.1)
    patch = Patch(spot.place(np.array([(-1.5, -1.5), (1.5, -1.5), (1.5, 1.5), (-1.5, 1.5)]) * length), studio.size)
    if patch.empty:
        return None
    parts = _Parts(patch)
    for _ in range(int(rng.integers(1, 5))):
        turn = rng.uniform(0, 6.28)
        way = np.array([np.cos(turn), np.sin(turn)]) * length
        bow = spot.place(way * 0.45)[0]
        key = (
            Stencil(patch)
            .stroke(spot.place(np.stack([way * 0.5, way * 1.25])), 0.16 * length * spot.unit)
            .disc(bow, 0.26 * length * spot.unit)
        )
        hole = Stencil(patch).disc(bow, 0.1 * length * spot.unit).plane()
        metal = (
            METAL
            * np.float32(rng.uniform(0.6, 1.2))
            * np.array([1, rng.uniform(0.85, 1), rng.uniform(0.5, 1)], np.float32)
        )
        parts.add(key.plane() * (1 - hole), metal)
    ring = Stencil(patch).stroke(
        spot.place(np.concatenate([circle((0, 0), 0.32 * length), circle((0, 0), 0.32 * length)[:1]])),
        max(0.8, 0.06 * length * spot.unit),
    )
    parts.add(ring.plane(), METAL * np.float32(rng.uniform(0.5, 1.1)))
    return parts.sprite(rng, studio, max(0.8, 0.06 * length * spot.unit), rng.uniform(0, 0.6))


def paint_cord(rng: np.random.Generator, spot: Spot, studio: Studio) -> Sprite | None:
    """A cable or cord: a loose coil or a wavy line with a plug."""
    length = rng.uniform(0.1, 0.25)
    if rng.random() < 0.5:
        t = np.linspace(0, 2 * np.pi * rng.uniform(1.5, 4.0), 60)
        radius = length * (1 + 0.12 * np.sin(t * rng.uniform(0.2, 0.7)) + rng.normal(0, 0.02, t.size))
        path = np.stack([radius * np.cos(t) + 0.01 * t * length, radius * rng.uniform(0.5, 1) * np.sin(t)], 1)
    else:
        turns = np.cumsum(rng.normal(0, 0.35, 40))
        path = np.cumsum(np.stack([np.cos(turns), np.sin(turns)], 1), 0) * length * 0.08
        path = path - path.mean(0)
    points = spot.place(path)
    width = max(1.0, spot.unit * rng.uniform(0.008, 0.025))
    patch = Patch(points, studio.size, margin=3 * width)
    if patch.empty:
        return None
    parts = _Parts(patch)
    ink = studio.colour(rng)
    parts.add(Stencil(patch).stroke(points, width).plane(), ink)
    if rng.random() < 0.7:
        away = points[-1] - points[-3]
        away = away / (np.linalg.norm(away) + 1e-6)
        parts.add(
            Stencil(patch).stroke(np.stack([points[-1], points[-1] + away * width * 1.5]), width * 2.4).plane(),
            studio.colour(rng),
        )
    return parts.sprite(rng, studio, max(0.8, width * 0.5), rng.uniform(0, 0.4))


def paint_ring(rng: np.random.Generator, spot: Spot, studio: Studio) -> Sprite | None:
    """A roll of tape, a bracelet or a gasket: a flat ring with the floor in its hole."""
    radius = rng.uniform(0.04, 0.12)
    px = radius * spot.unit
    lifted = studio.lift(spot.middle, px * rng.uniform(0.1, 0.6))
    patch = Patch(
        np.stack([spot.middle - px * 1.1, spot.middle + px * 1.1, lifted - px * 1.1, lifted + px * 1.1]), studio.size
    )
    if patch.empty:
        return None
    parts = _Parts(patch)
    ink, inner = studio.colour(rng), rng.uniform(0.5, 0.85)
    hole = Stencil(patch).disc(lifted, px * inner).plane()
    see = hole * Stencil(patch).disc(spot.middle, px * inner).plane()
    parts.add(Stencil(patch).disc(spot.middle, px).disc(lifted, px).plane(), ink * np.float32(0.7))
    parts.add(Stencil(patch).disc(lifted, px).plane(), ink)
    parts.add(Stencil(patch).disc(lifted, px * (inner + 0.06)).plane(), studio.colour(rng))
    parts.add(hole, ink * np.float32(0.4))
    parts.cover = parts.cover * (1 - see)
    return parts.sprite(rng, studio, px * 0.2, rng.uniform(0, 0.4))


def paint_cutlery(rng: np.random.Generator, spot: Spot, studio: Studio) -> Sprite | None:
    """A spoon, spatula, brush, racket or knife: a handle and a wider head, sometimes pierced."""
    length, head = rng.uniform(0.15, 0.4), rng.uniform(0.06, 0.2)
    patch = Patch(
        spot.place(np.array([(-0.55, -0.25), (0.75, -0.25), (0.75, 0.25), (-0.55, 0.25)]) * length), studio.size
    )
    if patch.empty:
        return None
    px = length * spot.unit
    parts = _Parts(patch)
    ink = _metal(rng, studio, patch) if rng.random() < 0.4 else studio.colour(rng)
    parts.add(
        Stencil(patch)
        .stroke(spot.place([(-0.5 * length, 0), (0.4 * length, 0)]), px * rng.uniform(0.03, 0.08))
        .plane(),
        studio.colour(rng) if rng.random() < 0.5 else ink,
    )
    centre: Points = spot.place([(0.42 * length, 0)])[0]
    if rng.random() < 0.7:
        blade = (
            Stencil(patch)
            .polygon(circle(centre, px * head * 0.5, squash=rng.uniform(1.0, 2.2), angle=spot.angle))
            .plane()
        )
    else:
        blade = (
            Stencil(patch)
            .polygon(
                spot.place(
                    np.array([(0.28, -head / 2), (0.6, -head / 1.6), (0.6, head / 1.6), (0.28, head / 2)]) * length
                )
            )
            .plane()
        )
    parts.add(blade, ink)
    return parts.sprite(rng, studio, max(1.0, 0.03 * px), rng.uniform(0, 0.6))
