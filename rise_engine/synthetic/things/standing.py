"""Round things that stand: cans, jars, cups, mugs, pots and glasses, seen into or onto their lid."""

from __future__ import annotations

import numpy as np

from rise_engine.synthetic.palette import vary
from rise_engine.synthetic.raster import Patch, Points, Stencil
from rise_engine.synthetic.studio import Spot, Sprite, Studio
from rise_engine.synthetic.things.turned import METAL, mesh, paint_lid, round_shade, wrap_label


def _side_quad(base: Points, top: Points, base_radius: float, top_radius: float) -> tuple[Points, float]:
    axis = top - base
    angle = float(np.arctan2(axis[1], axis[0]))
    perpendicular = np.array([-np.sin(angle), np.cos(angle)], np.float32)
    quad = np.stack(
        [
            base - perpendicular * base_radius,
            top - perpendicular * top_radius,
            top + perpendicular * top_radius,
            base + perpendicular * base_radius,
        ]
    )
    return quad.astype(np.float32), angle


def _paint_standing(
    rng: np.random.Generator,
    spot: Spot,
    studio: Studio,
    *,
    radius: float,
    height: float,
    taper: float,
    opened: bool,
    metal: bool,
    meshed: bool,
    handle: bool,
    printed: bool,
    clear: bool = False,
) -> Sprite | None:
    """An upright round vessel; ``taper`` is the foot's radius over the rim's."""
    tall = height * spot.unit
    base, top = spot.middle, studio.lift(spot.middle, tall)
    top_radius = radius * spot.unit * studio.distance / (studio.distance - tall)
    base_radius = radius * taper * spot.unit
    reach = max(top_radius, base_radius) * (1.75 if handle else 1.0)
    patch = Patch(np.stack([base - reach, base + reach, top - reach, top + reach]), studio.size)
    if patch.empty:
        return None
    body_colour = studio.colour(rng)
    quad, angle = _side_quad(base, top, base_radius, top_radius)
    outline = Stencil(patch).polygon(quad).disc(base, base_radius).disc(top, top_radius)
    if handle:
        turn = spot.angle
        way = np.array([np.cos(turn), np.sin(turn)], np.float32)
        side = np.array([-way[1], way[0]], np.float32)
        grip = top * 0.7 + base * 0.3
        swing = np.linspace(-np.pi / 2, np.pi / 2, 9)[:, None]
        flat = rng.uniform(0.12, 0.45)
        loop = (
            grip
            + way * (top_radius * 0.85)
            + way * np.cos(swing) * top_radius * 0.6
            + side * np.sin(swing) * top_radius * flat
        )
        outline.stroke(loop, top_radius * rng.uniform(0.16, 0.26))
    cover = outline.plane()
    along, across = patch.grid(base, angle)
    stretch = along / np.float32(max(1.0, float(np.linalg.norm(top - base))))
    local_radius = base_radius + (top_radius - base_radius) * np.clip(stretch, 0, 1)
    bright, shine = round_shade(across / local_radius, studio, angle, rng.uniform(0, 0.6))
    lean = float(np.linalg.norm(top - base))
    if printed and lean > 3:
        label = wrap_label(studio.textures.package(rng, (int(2 * top_radius) + 4, int(lean) + 4)))
        colour = patch.warp(label, quad)
        quad_cover = Stencil(patch).polygon(quad).plane()[..., None]
        colour += (1 - quad_cover) * (body_colour - colour)
    else:
        colour = np.broadcast_to(body_colour, (*patch.shape, 3)).astype(np.float32)
    if meshed:
        holes = mesh(patch, base, angle, max(2.5, 0.018 * spot.unit))
        colour = colour * (0.6 + 0.8 * holes[..., None])
    colour = colour * (bright * 0.9)[..., None] + shine[..., None]
    tint = METAL * np.float32(rng.uniform(0.7, 1.25)) if metal else vary(rng, body_colour, 0.15)
    if rng.random() < 0.15:
        tint = studio.colour(rng)
    if not opened:
        paint_lid(rng, colour, patch, top, top_radius, 1.0, 0.0, tint, studio, tab=metal and rng.random() < 0.6)
        opacity = None
    else:
        rim = Stencil(patch).disc(top, top_radius).plane()
        inner = Stencil(patch).disc(top, top_radius * rng.uniform(0.86, 0.95)).plane()
        bottom_centre = base + (top - base) * 0.06
        bottom = inner * Stencil(patch).disc(bottom_centre, base_radius * 0.9).plane()
        lining = vary(rng, body_colour, 0.05) if rng.random() < 0.7 else studio.colour(rng)
        toward = patch.grid(top, float(np.arctan2(studio.light.towards[1], studio.light.towards[0])))[0] / np.float32(
            top_radius
        )
        inside = lining * (0.55 - np.float32(rng.uniform(0.1, 0.35)) * toward)[..., None]
        inside = inside * (1 - np.float32(rng.uniform(-0.2, 0.5)) * bottom[..., None])
        if rng.random() < 0.2:
            inside = inside + bottom[..., None] * (studio.colour(rng) * 0.8 - inside)
        if meshed:
            inside = inside * (0.6 + 0.8 * mesh(patch, top, angle + 0.3, max(2.5, 0.018 * spot.unit))[..., None])
        colour += rim[..., None] * (body_colour * np.float32(rng.uniform(0.9, 1.4)) + 0.05 - colour)
        colour += inner[..., None] * (inside - colour)
        opacity = None
        if clear:
            wall = np.clip(rim - inner, 0, 1)
            edge = np.clip(np.abs(across) / np.maximum(local_radius, 1), 0, 1) ** 3
            opacity = (
                np.clip(0.1 + rng.uniform(0.0, 0.25) + 0.55 * wall + 0.3 * edge * (1 - inner) + shine, 0, 1) * cover
            )
            colour = colour * 0.4 + np.float32(rng.uniform(0.3, 0.6))
    return Sprite(patch, colour, cover, tall, opacity)


def paint_can(rng: np.random.Generator, spot: Spot, studio: Studio) -> Sprite | None:
    """A tin standing: metal lid with rings and a tab, printed side leaning out of the picture's middle."""
    radius = rng.uniform(0.055, 0.11)
    return _paint_standing(
        rng,
        spot,
        studio,
        radius=radius,
        height=radius * rng.uniform(0.6, 3.2),
        taper=1.0,
        opened=rng.random() < 0.08,
        metal=rng.random() < 0.85,
        meshed=False,
        handle=False,
        printed=True,
    )


def paint_jar(rng: np.random.Generator, spot: Spot, studio: Studio) -> Sprite | None:
    """A jar, tub or roll standing, with a coloured lid."""
    radius = rng.uniform(0.04, 0.14)
    return _paint_standing(
        rng,
        spot,
        studio,
        radius=radius,
        height=radius * rng.uniform(0.3, 2.5),
        taper=rng.uniform(0.8, 1.05),
        opened=False,
        metal=False,
        meshed=False,
        handle=False,
        printed=rng.random() < 0.7,
    )


def paint_cup(rng: np.random.Generator, spot: Spot, studio: Studio) -> Sprite | None:
    """A cup, mug, bowl or pot standing open, plain or printed."""
    radius = rng.uniform(0.06, 0.16)
    return _paint_standing(
        rng,
        spot,
        studio,
        radius=radius,
        height=radius * rng.uniform(0.4, 2.6),
        taper=rng.uniform(0.55, 1.0),
        opened=True,
        metal=False,
        meshed=False,
        handle=rng.random() < 0.5,
        printed=rng.random() < 0.25,
    )


def paint_mesh_pot(rng: np.random.Generator, spot: Spot, studio: Studio) -> Sprite | None:
    """A pen pot or basket of wire mesh, standing."""
    radius = rng.uniform(0.07, 0.15)
    return _paint_standing(
        rng,
        spot,
        studio,
        radius=radius,
        height=radius * rng.uniform(0.8, 2.6),
        taper=rng.uniform(0.85, 1.0),
        opened=True,
        metal=False,
        meshed=True,
        handle=False,
        printed=False,
    )


def paint_clear_cup(rng: np.random.Generator, spot: Spot, studio: Studio) -> Sprite | None:
    """A glass or clear cup standing: rim and highlights over what lies below."""
    radius = rng.uniform(0.06, 0.12)
    return _paint_standing(
        rng,
        spot,
        studio,
        radius=radius,
        height=radius * rng.uniform(1.0, 2.8),
        taper=rng.uniform(0.55, 1.0),
        opened=True,
        metal=False,
        meshed=False,
        handle=rng.random() < 0.15,
        printed=False,
        clear=True,
    )
