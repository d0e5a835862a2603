"""Draw round objects that lie on their side: cans, tubes, cups, bottles, pens, stemmed glasses; and balls."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from rise_engine.synthetic.objects.turned import METAL, mesh, paint_lid, round_shade, wrap_label
from rise_engine.synthetic.palette import Colour
from rise_engine.synthetic.raster import Patch, Plane, Stencil, circle
from rise_engine.synthetic.studio import Spot, Sprite, Studio

Image: TypeAlias = NDArray[np.float32]
"""RGB (h, w, 3) 0..1."""


@dataclass(frozen=True, slots=True)
class _Body:
    """A turned body on its side; lengths are in tote units, places along the axis 0..1."""

    stations: Sequence[tuple[float, float]]
    """The profile: (place along the axis 0..1, radius 0..1)."""
    length: float
    radius: float
    end: float
    """How wide the disc at place 1 appears, as a share of its height; 0 hides it."""
    label: tuple[float, float] | None = None
    """First and last place of a printed label."""
    metal_end: bool = False
    opened: bool = False
    meshed: bool = False
    clear: float = 0.0
    """0 for an opaque body, else the opacity of its walls."""
    cap_from: float = 2.0
    """Place where a cap begins; above 1 for none."""
    gloss: float = 0.3


class _View:
    """A body in one frame: coordinates float32 (h, w) of the patch's pixels along and across the body."""

    def __init__(self, body: _Body, spot: Spot, patch: Patch) -> None:
        self.patch, self.spot = patch, spot
        self.long, self.thick = body.length * spot.unit, body.radius * spot.unit
        along, self.across = patch.grid(spot.middle, spot.angle)
        self.place = along / np.float32(self.long) + np.float32(0.5)
        knots = np.array(body.stations, np.float32)
        self.end_radius = float(knots[-1, 1]) * self.thick
        # The near edge of a round body bulges along its axis, because the camera looks down onto it.
        bulge = np.float32(body.end * self.thick / self.long)
        self.bent = self.place
        if body.end > 0:
            self.bent = self.place + bulge * np.sqrt(np.clip(1 - (self.across / np.float32(self.thick)) ** 2, 0, 1))
        radius = np.interp(self.place, knots[:, 0], knots[:, 1]).astype(np.float32) * np.float32(self.thick)
        cover = np.clip(radius - np.abs(self.across) + 0.5, 0, 1)
        self.cover = cover * self.after(self.bent, 0) * self.before(self.place, 1)
        self.ratio = self.across / np.maximum(radius, 1)
        """-1..1 from edge to edge."""

    def after(self, places: Plane, start: float) -> Plane:
        """Coverage 0..1 of what is beyond a place along the axis."""
        return np.clip((places - start) * np.float32(self.long) + 0.5, 0, 1)

    def before(self, places: Plane, stop: float) -> Plane:
        """Coverage 0..1 of what is before a place along the axis."""
        return np.clip((stop - places) * np.float32(self.long) + 0.5, 0, 1)


@dataclass(slots=True)
class _Mouth:
    """Coverage (h, w) of the disc at the end of a body, and of the inside of an open one."""

    cover: Plane
    inner: Plane | None


def _paint_lying(rng: np.random.Generator, spot: Spot, studio: Studio, body: _Body) -> Sprite | None:
    """A turned body on its side; None outside of the frame."""
    far, near = 0.5 * body.length + body.radius, body.radius
    patch = Patch(spot.place(np.array([(-far, -near), (far, -near), (far, near), (-far, near)])), studio.size)
    if patch.empty:
        return None
    view = _View(body, spot, patch)
    bright, shine = round_shade(view.ratio, studio, spot.angle, body.gloss)
    body_colour = studio.colour(rng)
    colour = np.broadcast_to(body_colour, (*patch.shape, 3)).astype(np.float32)
    label = cap = None
    if body.label is not None:
        label, colour = _print_label(rng, colour, view, studio, body, body.label)
    if body.cap_from < 1:
        cap = view.after(view.place, body.cap_from)
        ribs = 1 + 0.15 * np.sin(view.ratio * np.float32(rng.uniform(10, 40)))
        colour = colour + cap[..., None] * (studio.colour(rng) * ribs[..., None] - colour)
    if body.metal_end:
        for where in (0.02, 0.97):
            ring = np.exp(-(((view.bent - where) * np.float32(view.long) / max(1.0, 0.1 * view.thick)) ** 2))
            colour = colour + ring[..., None] * (METAL - colour)
    if body.meshed:
        colour = colour * (0.6 + 0.8 * mesh(patch, spot.middle, spot.angle, max(2.5, 0.018 * spot.unit))[..., None])
    colour = (colour * bright[..., None] + shine[..., None]).astype(np.float32)
    mouth, cover = None, view.cover
    if body.end > 0.05:
        mouth = _paint_mouth(rng, colour, view, studio, body, body_colour)
        cover = np.maximum(cover, mouth.cover)
    opacity = None
    if body.clear > 0:
        opacity, streak = _see_through(rng, view, body.clear, shine)
        for opaque, share in ((label, 0.95), (cap, 1.0)):
            if opaque is not None:
                opacity = np.maximum(opacity, opaque * share)
        if mouth is not None:
            rim = mouth.cover if mouth.inner is None else np.clip(mouth.cover - mouth.inner, 0, 1)
            opacity = np.maximum(opacity, rim * 0.8)
        colour = colour + streak[..., None]
        opacity = np.clip(opacity, 0, 1) * cover
    return Sprite(patch, colour, cover, 2 * view.thick * 0.7, opacity)


def _print_label(
    rng: np.random.Generator, colour: Image, view: _View, studio: Studio, body: _Body, places: tuple[float, float]
) -> tuple[Plane, Image]:
    """The coverage of a label between two places, and the colours with its print."""
    first, last = places
    x0, x1, y = (first - 0.5) * body.length, (last - 0.5) * body.length, body.radius
    quad = view.spot.place([(x0, -y), (x1, -y), (x1, y), (x0, y)])
    size = (int(2 * view.thick) + 4, int((last - first) * view.long) + 4)
    print_ = wrap_label(studio.textures.package(rng, size))
    band = view.after(view.bent, first) * view.before(view.place, last)
    return band, colour + band[..., None] * (view.patch.warp(print_, quad) - colour)


def _paint_mouth(
    rng: np.random.Generator, colour: Image, view: _View, studio: Studio, body: _Body, body_colour: Colour
) -> _Mouth:
    """Paints the end of a body onto ``colour``: an opening with a rim, or a lid."""
    patch, angle = view.patch, view.spot.angle
    centre = view.spot.place([(0.5 * body.length, 0)])[0]
    if body.opened:
        cover, inner = (
            Stencil(patch).polygon(circle(centre, radius, squash=body.end, angle=angle)).plane()
            for radius in (view.end_radius, view.end_radius * 0.9)
        )
        colour += cover[..., None] * (body_colour * 1.1 + 0.05 - colour)
        colour += inner[..., None] * (body_colour * np.float32(rng.uniform(0.2, 0.6)) - colour)
        return _Mouth(cover, inner)
    tint = METAL * np.float32(rng.uniform(0.6, 1.2)) if body.metal_end else studio.colour(rng)
    tab = body.metal_end and rng.random() < 0.5
    return _Mouth(paint_lid(rng, colour, patch, centre, view.end_radius, body.end, angle, tint, studio, tab=tab), None)


def _see_through(rng: np.random.Generator, view: _View, clear: float, shine: Plane) -> tuple[Plane, Plane]:
    """The opacity of clear walls, denser towards the edges, and the bright streak along them."""
    edge = np.clip(np.abs(view.ratio), 0, 1) ** 4
    streak = np.exp(-(((view.ratio - np.float32(rng.uniform(-0.6, 0.6))) / 0.08) ** 2)) * np.float32(
        rng.uniform(0.1, 0.6)
    )
    return clear * (0.25 + 0.75 * edge) + shine + streak, streak


def paint_lying_can(rng: np.random.Generator, spot: Spot, studio: Studio) -> Sprite | None:
    """A tin or long printed tube on its side, its end sometimes in view."""
    radius = rng.uniform(0.05, 0.12)
    length = radius * rng.uniform(1.2, 5.5)
    metal = rng.random() < 0.7
    return _paint_lying(
        rng,
        spot,
        studio,
        _Body(
            stations=[(0, 1), (1, 1)],
            length=length,
            radius=radius,
            label=(rng.uniform(0, 0.08), rng.uniform(0.92, 1.0)),
            end=rng.uniform(0.05, 0.7),
            metal_end=metal,
            opened=rng.random() < 0.1,
            gloss=rng.uniform(0.05, 0.5),
        ),
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
        _Body(
            stations=[(0, foot), (1, 1)],
            length=radius * rng.uniform(1.4, 3.2),
            radius=radius,
            label=(0.2, 0.8) if rng.random() < 0.2 else None,
            end=rng.uniform(0.08, 0.7),
            opened=True,
            meshed=clear == 0 and rng.random() < 0.4,
            clear=clear,
        ),
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
        _Body(
            stations=stations,
            length=length,
            radius=length * slim,
            label=(rng.uniform(0.08, 0.2), shoulder * rng.uniform(0.75, 1.0)) if rng.random() < 0.75 else None,
            end=rng.uniform(0, 0.15),
            clear=float(rng.choice([0.0, 0.0, 0.0, 0.35, 0.6])),
            cap_from=rng.uniform(0.8, 0.92),
            gloss=rng.uniform(0.1, 0.7),
        ),
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
        _Body(
            stations=stations,
            length=length,
            radius=max(0.008, length * rng.uniform(0.03, 0.1)),
            label=(0.1, 0.7) if rng.random() < 0.3 else None,
            end=0.0,
            cap_from=rng.uniform(0.4, 0.8) if rng.random() < 0.6 else 2.0,
            gloss=rng.uniform(0, 0.7),
        ),
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
        _Body(
            stations=stations,
            length=length,
            radius=length * rng.uniform(0.2, 0.3),
            end=rng.uniform(0.15, 0.6),
            opened=True,
            clear=rng.uniform(0.25, 0.6),
            gloss=rng.uniform(0.4, 1.0),
        ),
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
