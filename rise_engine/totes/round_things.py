"""Things turned on a lathe: cans, cups, jars, bottles, tubes, glasses and balls, standing or lying."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from rise_engine.totes.palette import Colour, vary
from rise_engine.totes.raster import Patch, Plane, Points, Stencil, circle
from rise_engine.totes.studio import Spot, Sprite, Studio

METAL = np.array([0.72, 0.72, 0.74], np.float32)


def _wrap_label(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Squeeze the picture's rows towards its long edges, as on a cylinder seen from the side."""
    height = picture.shape[0]
    rows = np.arcsin(np.linspace(-0.98, 0.98, height)) / (2 * np.arcsin(0.98)) + 0.5
    return np.ascontiguousarray(picture[(rows * (height - 1)).astype(np.intp)])


def _round_shade(across: Plane, studio: Studio, angle: float, gloss: float) -> tuple[Plane, Plane]:
    """Brightness and highlight of a lying cylinder; ``across`` (h, w) is -1..1 from edge to edge."""
    lx, ly, lz = (float(v) for v in studio.light.towards)
    lateral = ly * np.cos(angle) - lx * np.sin(angle)
    v = np.clip(across, -1, 1)
    up = np.sqrt(1 - v * v * np.float32(0.96))
    facing = np.maximum(0, v * np.float32(lateral) + up * np.float32(lz))
    bright = studio.light.ambient * (0.55 + 0.45 * up) + (1 - studio.light.ambient) * facing * np.float32(1.15)
    half = np.array([lateral, lz + 1.0]) / np.hypot(lateral, lz + 1.0)
    shine = np.maximum(0, v * np.float32(half[0]) + up * np.float32(half[1]))
    return bright, (shine**24 * np.float32(gloss)).astype(np.float32)


def _paint_lid(
    rng: np.random.Generator,
    colour: NDArray[np.float32],
    patch: Patch,
    centre: Points,
    radius: float,
    squash: float,
    angle: float,
    tint: Colour,
    studio: Studio,
    *,
    tab: bool,
) -> Plane:
    """Paint a lid with concentric rings onto ``colour`` and return its coverage."""
    cover = Stencil(patch).polygon(circle(centre, radius, squash=squash, angle=angle)).plane()
    along, across = patch.grid(centre, angle)
    along = along / np.float32(max(squash, 0.05))
    r = np.sqrt(along * along + across * across) / np.float32(radius)
    rings = np.ones_like(r)
    for _ in range(int(rng.integers(1, 5))):
        where, thick = rng.uniform(0.3, 0.97), rng.uniform(0.02, 0.06)
        rings += np.float32(rng.uniform(-0.35, 0.35)) * np.exp(-(((r - where) / thick) ** 2))
    rings += np.float32(rng.uniform(0.1, 0.5)) * np.exp(-(((r - 0.95) / 0.04) ** 2))
    turn = np.arctan2(across, along)
    sheen = np.float32(rng.uniform(0.05, 0.35)) * np.cos(2 * turn + np.float32(rng.uniform(0, 6)))
    lid = tint * (rings + sheen)[..., None]
    if tab and squash > 0.5:
        way = np.array([np.cos(angle), np.sin(angle)])
        spin = rng.uniform(0, 6.28)
        way = np.array([np.cos(spin), np.sin(spin)], np.float32)
        path = np.stack([centre, centre + way * radius * 0.55])
        bar = (
            Stencil(patch).stroke(path, radius * 0.28).plane()
            - 0.8 * Stencil(patch).disc(path[1], radius * 0.1).plane()
        )
        edge = np.roll(bar, (1, 1), (0, 1))
        lid = (
            lid * (1 - 0.35 * np.clip(edge, 0, 1)[..., None])
            + 0.25 * bar[..., None] * np.clip(1 - edge * 0.5, 0, 1)[..., None]
        )
    colour += cover[..., None] * (lid.astype(np.float32) - colour)
    return cover


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


def _mesh(patch: Patch, centre: Points, angle: float, pitch: float) -> Plane:
    along, across = patch.grid(centre, angle + 0.7)
    return (
        (np.sin(along * np.float32(2 * np.pi / pitch)) * np.sin(across * np.float32(2 * np.pi / pitch))) > 0.2
    ).astype(np.float32)


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
    stretch = along / np.float32(max(1.0, np.linalg.norm(top - base)))
    local_radius = base_radius + (top_radius - base_radius) * np.clip(stretch, 0, 1)
    bright, shine = _round_shade(across / local_radius, studio, angle, rng.uniform(0, 0.6))
    lean = float(np.linalg.norm(top - base))
    if printed and lean > 3:
        label = _wrap_label(studio.textures.package(rng, (int(2 * top_radius) + 4, int(lean) + 4)))
        colour = patch.warp(label, quad)
        quad_cover = Stencil(patch).polygon(quad).plane()[..., None]
        colour += (1 - quad_cover) * (body_colour - colour)
    else:
        colour = np.broadcast_to(body_colour, (*patch.shape, 3)).astype(np.float32)
    if meshed:
        holes = _mesh(patch, base, angle, max(2.5, 0.018 * spot.unit))
        colour = colour * (0.6 + 0.8 * holes[..., None])
    colour = colour * (bright * 0.9)[..., None] + shine[..., None]
    tint = METAL * np.float32(rng.uniform(0.7, 1.25)) if metal else vary(rng, body_colour, 0.15)
    if rng.random() < 0.15:
        tint = studio.colour(rng)
    if not opened:
        _paint_lid(rng, colour, patch, top, top_radius, 1.0, 0.0, tint, studio, tab=metal and rng.random() < 0.6)
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
            inside = inside * (0.6 + 0.8 * _mesh(patch, top, angle + 0.3, max(2.5, 0.018 * spot.unit))[..., None])
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
    """A turned body on its side. ``stations`` are (place 0..1 along, radius 0..1); ``end`` squashes the disc seen at 1."""
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
    bright, shine = _round_shade(ratio, studio, spot.angle, gloss)
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
        print_ = _wrap_label(studio.textures.package(rng, (int(2 * thick) + 4, int((last - first) * long) + 4)))
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
        colour = colour * (0.6 + 0.8 * _mesh(patch, spot.middle, spot.angle, max(2.5, 0.018 * spot.unit))[..., None])
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
            mouth_cover = _paint_lid(
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
        [(0, 1), (1, 1)]
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
        quad = np.stack([spot.middle + (dx * radius, dy * radius) for dx, dy in ((-1, -1), (1, -1), (1, 1), (-1, 1))])
        surface = patch.warp(studio.textures.package(rng, (int(2 * radius) + 3,) * 2), quad)
    else:
        spots = studio.textures.noise(rng, patch.shape, float(rng.choice([0.7, 1.6, 4.0, 10.0])))
        surface = body + (spots * np.float32(rng.uniform(0, 0.1)))[..., None]
    colour = surface * bright[..., None] + (np.minimum(shine, 1.2) ** 32 * np.float32(rng.uniform(0, 0.5)))[..., None]
    return Sprite(patch, colour.astype(np.float32), cover, float(radius * 1.4))
