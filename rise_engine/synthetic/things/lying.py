"""Round things on their side: cans, tubes, cups, bottles, pens and stemmed glasses; and balls."""

from __future__ import annotations

import numpy as np

from rise_engine.synthetic.raster import Patch, Plane, Stencil, circle
from rise_engine.synthetic.studio import Spot, Sprite, Studio
from rise_engine.synthetic.things.turned import METAL, mesh, paint_lid, round_shade, wrap_label


def _paint_lying(
    rng: np.random.Generator,
    spot: Spot,
    studio: Studio,
    *,
    stations: list[tuple[float, float]],
    length: float,
    radius: float,
    label: tuple[float, float] | None,
    end: float,
    metal_end: bool,
    opened: bool,
    meshed: bool,
    clear: float,
    cap_from: float = 2.0,
    gloss: float = 0.3,
) -> Sprite | None:
    """A turned body on its side.

    ``stations`` are (place 0..1 along, radius 0..1); ``end`` squashes the disc seen at 1.
    """
    long, thick = length * spot.unit, radius * spot.unit
    reach = np.array(
        [
            (-0.5 * length - radius, -radius),
            (0.5 * length + radius, -radius),
            (0.5 * length + radius, radius),
            (-0.5 * length - radius, radius),
        ]
    )
    patch = Patch(spot.place(reach), studio.size)
    if patch.empty:
        return None
    along, across = patch.grid(spot.middle, spot.angle)
    place = along / np.float32(long) + np.float32(0.5)
    knots = np.array(stations, np.float32)
    # The near edge of a round body bulges along its axis, because the camera looks down onto it.
    bulge = np.float32(end * thick / long)
    bent = place + bulge * np.sqrt(np.clip(1 - (across / np.float32(thick)) ** 2, 0, 1)) if end > 0 else place
    local = np.interp(place, knots[:, 0], knots[:, 1]).astype(np.float32) * np.float32(thick)
    cover = np.clip(local - np.abs(across) + 0.5, 0, 1)
    cover = (
        cover * np.clip((bent - 0) * np.float32(long) + 0.5, 0, 1) * np.clip((1 - place) * np.float32(long) + 0.5, 0, 1)
    )
    ratio = across / np.maximum(local, 1)
    bright, shine = round_shade(ratio, studio, spot.angle, gloss)
    body_colour = studio.colour(rng)
    colour = np.broadcast_to(body_colour, (*patch.shape, 3)).astype(np.float32)
    if label is not None:
        first, last = label
        quad = spot.place(
            [
                ((first - 0.5) * length, -radius),
                ((last - 0.5) * length, -radius),
                ((last - 0.5) * length, radius),
                ((first - 0.5) * length, radius),
            ]
        )
        print_ = wrap_label(studio.textures.package(rng, (int(2 * thick) + 4, int((last - first) * long) + 4)))
        band = np.clip((bent - first) * np.float32(long) + 0.5, 0, 1) * np.clip(
            (last - place) * np.float32(long) + 0.5, 0, 1
        )
        colour = colour + band[..., None] * (patch.warp(print_, quad) - colour)
    if cap_from < 1:
        cap = np.clip((place - cap_from) * np.float32(long) + 0.5, 0, 1)
        ribs = 1 + 0.15 * np.sin(ratio * np.float32(rng.uniform(10, 40)))
        colour = colour + cap[..., None] * (studio.colour(rng) * ribs[..., None] - colour)
    if metal_end:
        for where in (0.02, 0.97):
            ring = np.exp(-(((bent - where) * np.float32(long) / max(1.0, 0.1 * thick)) ** 2))
            colour = colour + ring[..., None] * (METAL - colour)
    if meshed:
        colour = colour * (0.6 + 0.8 * mesh(patch, spot.middle, spot.angle, max(2.5, 0.018 * spot.unit))[..., None])
    colour = (colour * bright[..., None] + shine[..., None]).astype(np.float32)
    mouth_cover: Plane | None = None
    if end > 0.05:
        mouth = spot.place([(0.5 * length, 0)])[0]
        mouth_radius = float(knots[-1, 1]) * thick
        if opened:
            mouth_cover = Stencil(patch).polygon(circle(mouth, mouth_radius, squash=end, angle=spot.angle)).plane()
            inner = Stencil(patch).polygon(circle(mouth, mouth_radius * 0.9, squash=end, angle=spot.angle)).plane()
            colour += mouth_cover[..., None] * (body_colour * 1.1 + 0.05 - colour)
            colour += inner[..., None] * (body_colour * np.float32(rng.uniform(0.2, 0.6)) - colour)
        else:
            tint = METAL * np.float32(rng.uniform(0.6, 1.2)) if metal_end else studio.colour(rng)
            mouth_cover = paint_lid(
                rng,
                colour,
                patch,
                mouth,
                mouth_radius,
                end,
                spot.angle,
                tint,
                studio,
                tab=metal_end and rng.random() < 0.5,
            )
        cover = np.maximum(cover, mouth_cover)
    opacity = None
    if clear > 0:
        edge = np.clip(np.abs(ratio), 0, 1) ** 4
        streak = np.exp(-(((ratio - np.float32(rng.uniform(-0.6, 0.6))) / 0.08) ** 2)) * np.float32(
            rng.uniform(0.1, 0.6)
        )
        opacity = clear * (0.25 + 0.75 * edge) + shine + streak
        if label is not None:
            opacity = np.maximum(opacity, band * 0.95)
        if cap_from < 1:
            opacity = np.maximum(opacity, cap)
        if mouth_cover is not None:
            opacity = (
                np.maximum(opacity, np.clip(mouth_cover - inner, 0, 1) * 0.8)
                if opened
                else np.maximum(opacity, mouth_cover * 0.8)
            )
        colour = colour + streak[..., None]
        opacity = np.clip(opacity, 0, 1) * cover
    return Sprite(patch, colour, cover, 2 * thick * 0.7, opacity)


def paint_lying_can(rng: np.random.Generator, spot: Spot, studio: Studio) -> Sprite | None:
    """A tin or long printed tube on its side, its end sometimes in view."""
    radius = rng.uniform(0.05, 0.12)
    length = radius * rng.uniform(1.2, 5.5)
    metal = rng.random() < 0.7
    return _paint_lying(
        rng,
        spot,
        studio,
        stations=[(0, 1), (1, 1)],
        length=length,
        radius=radius,
        label=(rng.uniform(0, 0.08), rng.uniform(0.92, 1.0)),
        end=rng.uniform(0.05, 0.7),
        metal_end=metal,
        opened=rng.random() < 0.1,
        meshed=False,
        clear=0.0,
        gloss=rng.uniform(0.05, 0.5),
    )


def paint_lying_cup(rng: np.random.Generator, spot: Spot, studio: Studio) -> Sprite | None:
    """A cup, beaker or mesh pot on its side, with its mouth in view; some are see-through."""
    radius = rng.uniform(0.07, 0.13)
    foot = rng.uniform(0.55, 1.0)
    clear = float(rng.choice([0.0, 0.0, 0.35, 0.6, 0.85]))
    return _paint_lying(
        rng,
        spot,
        studio,
        stations=[(0, foot), (1, 1)],
        length=radius * rng.uniform(1.4, 3.2),
        radius=radius,
        label=(0.2, 0.8) if rng.random() < 0.2 else None,
        end=rng.uniform(0.08, 0.7),
        metal_end=False,
        opened=True,
        meshed=clear == 0 and rng.random() < 0.4,
        clear=clear,
    )


def paint_bottle(rng: np.random.Generator, spot: Spot, studio: Studio) -> Sprite | None:
    """A bottle, spray or tube lying down: shoulder, neck and cap, with a label or bare, opaque or see-through."""
    length, slim = rng.uniform(0.2, 0.5), rng.uniform(0.12, 0.28)
    shoulder, neck = rng.uniform(0.5, 0.78), rng.uniform(0.2, 0.6)
    waist = rng.uniform(0.75, 1.0) if rng.random() < 0.4 else 1.0
    stations = [
        (0.0, 0.86),
        (0.03, 1.0),
        (shoulder * 0.5, waist),
        (shoulder, 1.0),
        (shoulder + 0.06, 0.85 + 0.1 * neck),
        (min(0.92, shoulder + 0.17), neck),
        (1.0, neck * rng.uniform(0.4, 1.0)),
    ]
    return _paint_lying(
        rng,
        spot,
        studio,
        stations=stations,
        length=length,
        radius=length * slim,
        label=(rng.uniform(0.08, 0.2), shoulder * rng.uniform(0.75, 1.0)) if rng.random() < 0.75 else None,
        end=rng.uniform(0, 0.15),
        metal_end=False,
        opened=False,
        meshed=False,
        clear=float(rng.choice([0.0, 0.0, 0.0, 0.35, 0.6])),
        cap_from=rng.uniform(0.8, 0.92),
        gloss=rng.uniform(0.1, 0.7),
    )


def paint_stick(rng: np.random.Generator, spot: Spot, studio: Studio) -> Sprite | None:
    """A pen, marker, battery, candle, screwdriver or brush: long, thin and round."""
    length = rng.uniform(0.08, 0.4)
    stations = (
        [(0.0, 1.0), (1.0, 1.0)]
        if rng.random() < 0.4
        else [
            (0, 0.9),
            (rng.uniform(0.3, 0.5), 1),
            (rng.uniform(0.5, 0.6), rng.uniform(0.25, 1)),
            (1, rng.uniform(0.2, 0.8)),
        ]
    )
    return _paint_lying(
        rng,
        spot,
        studio,
        stations=stations,
        length=length,
        radius=max(0.008, length * rng.uniform(0.03, 0.1)),
        label=(0.1, 0.7) if rng.random() < 0.3 else None,
        end=0.0,
        metal_end=False,
        opened=False,
        meshed=False,
        clear=0.0,
        cap_from=rng.uniform(0.4, 0.8) if rng.random() < 0.6 else 2.0,
        gloss=rng.uniform(0, 0.7),
    )


def paint_wine_glass(rng: np.random.Generator, spot: Spot, studio: Studio) -> Sprite | None:
    """A stemmed glass lying down: foot, stem and bowl, nearly all background with bright edges."""
    length = rng.uniform(0.25, 0.4)
    stations = [
        (0, 0.75),
        (0.04, 0.75),
        (0.06, 0.08),
        (0.42, 0.08),
        (0.5, 0.5),
        (0.62, 0.95),
        (0.75, 1.0),
        (1.0, rng.uniform(0.75, 0.95)),
    ]
    return _paint_lying(
        rng,
        spot,
        studio,
        stations=stations,
        length=length,
        radius=length * rng.uniform(0.2, 0.3),
        label=None,
        end=rng.uniform(0.15, 0.6),
        metal_end=False,
        opened=True,
        meshed=False,
        clear=rng.uniform(0.25, 0.6),
        gloss=rng.uniform(0.4, 1.0),
    )


def paint_ball(rng: np.random.Generator, spot: Spot, studio: Studio) -> Sprite | None:
    """A ball, fruit or egg: a shaded, slightly dented spheroid, plain, speckled or patterned."""
    radius = rng.uniform(0.03, 0.13) * spot.unit
    squash = rng.uniform(0.75, 1.0)
    patch = Patch(np.stack([spot.middle - radius, spot.middle + radius]), studio.size)
    if patch.empty:
        return None
    along, across = patch.grid(spot.middle, spot.angle)
    along = along / np.float32(squash * radius)
    across = across / np.float32(radius)
    square = along * along + across * across
    cover = np.clip((1 - np.sqrt(square)) * np.float32(radius) + 0.5, 0, 1)
    up = np.sqrt(np.clip(1 - square, 0, 1))
    x, y = patch.grid(spot.middle, 0.0)
    lx, ly, lz = (float(v) for v in studio.light.towards)
    facing = np.maximum(0, (x * np.float32(lx) + y * np.float32(ly)) / np.float32(radius) + up * np.float32(lz))
    bright = studio.light.ambient * (0.5 + 0.5 * up) + (1 - studio.light.ambient) * facing * 1.2
    shine = np.maximum(
        0, x * np.float32(lx * 0.55 / radius) + y * np.float32(ly * 0.55 / radius) + up * np.float32(0.83 + 0.1 * lz)
    )
    body = studio.colour(rng)
    style = rng.random()
    if style < 0.3:
        quad = spot.middle + radius * np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)], np.float32)
        surface = patch.warp(studio.textures.package(rng, (int(2 * radius) + 3,) * 2), quad)
    else:
        spots = studio.textures.noise(rng, patch.shape, float(rng.choice([0.7, 1.6, 4.0, 10.0])))
        surface = body + (spots * np.float32(rng.uniform(0, 0.1)))[..., None]
    colour = surface * bright[..., None] + (np.minimum(shine, 1.2) ** 32 * np.float32(rng.uniform(0, 0.5)))[..., None]
    return Sprite(patch, colour.astype(np.float32), cover, float(radius * 1.4))
