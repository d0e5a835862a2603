"""Draw round objects that stand upright: cans, jars, cups, mugs, pots and glasses, open or with a lid."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rise_engine.synthetic.objects.turned import METAL, mesh, paint_lid, round_shade, wrap_label
from rise_engine.synthetic.palette import Colour, vary
from rise_engine.synthetic.raster import Patch, Plane, Stencil
from rise_engine.synthetic.studio import Spot, Sprite, Studio


@dataclass(frozen=True, slots=True)
class _Vessel:
    """An upright round vessel; ``radius`` of the rim and ``height`` are in tote units."""

    radius: float
    height: float
    taper: float
    """The radius of the foot as a share of the radius of the rim."""
    opened: bool = False
    metal: bool = False
    meshed: bool = False
    handle: bool = False
    printed: bool = False
    clear: bool = False


class _View:
    """A vessel in one frame: foot and rim in pixels, and its patch."""

    def __init__(self, vessel: _Vessel, spot: Spot, studio: Studio) -> None:
        self.tall = vessel.height * spot.unit
        self.base, self.top = spot.middle, studio.lift(spot.middle, self.tall)
        self.top_radius = vessel.radius * spot.unit * studio.distance / (studio.distance - self.tall)
        self.base_radius = vessel.radius * vessel.taper * spot.unit
        reach = max(self.top_radius, self.base_radius) * (1.75 if vessel.handle else 1.0)
        self.patch = Patch(
            np.stack([self.base - reach, self.base + reach, self.top - reach, self.top + reach]), studio.size
        )
        axis = self.top - self.base
        self.lean = float(np.linalg.norm(axis))
        """Length of the visible side, in pixels."""
        self.angle = float(np.arctan2(axis[1], axis[0]))
        side = np.array([-np.sin(self.angle), np.cos(self.angle)], np.float32)
        self.side_quad = np.stack(
            [
                self.base - side * self.base_radius,
                self.top - side * self.top_radius,
                self.top + side * self.top_radius,
                self.base + side * self.base_radius,
            ]
        ).astype(np.float32)
        self.mesh_pitch = max(2.5, 0.018 * spot.unit)


def _paint_standing(rng: np.random.Generator, spot: Spot, studio: Studio, vessel: _Vessel) -> Sprite | None:
    """An upright round vessel; None outside of the frame."""
    view = _View(vessel, spot, studio)
    patch, base, top = view.patch, view.base, view.top
    if patch.empty:
        return None
    body_colour = studio.colour(rng)
    outline = Stencil(patch).polygon(view.side_quad).disc(base, view.base_radius).disc(top, view.top_radius)
    if vessel.handle:
        _add_handle(rng, outline, view, spot.angle)
    cover = outline.plane()
    along, across = patch.grid(base, view.angle)
    stretch = along / np.float32(max(1.0, view.lean))
    local_radius = view.base_radius + (view.top_radius - view.base_radius) * np.clip(stretch, 0, 1)
    bright, shine = round_shade(across / local_radius, studio, view.angle, rng.uniform(0, 0.6))
    colour = _side_colours(rng, view, studio, body_colour, vessel)
    colour = colour * (bright * 0.9)[..., None] + shine[..., None]
    tint = METAL * np.float32(rng.uniform(0.7, 1.25)) if vessel.metal else vary(rng, body_colour, 0.15)
    if rng.random() < 0.15:
        tint = studio.colour(rng)
    opacity = None
    if not vessel.opened:
        tab = vessel.metal and rng.random() < 0.6
        paint_lid(rng, colour, patch, top, view.top_radius, 1.0, 0.0, tint, studio, tab=tab)
    else:
        rim, inner = _paint_opening(rng, colour, view, studio, body_colour, meshed=vessel.meshed)
        if vessel.clear:
            wall = np.clip(rim - inner, 0, 1)
            edge = np.clip(np.abs(across) / np.maximum(local_radius, 1), 0, 1) ** 3
            opacity = (
                np.clip(0.1 + rng.uniform(0.0, 0.25) + 0.55 * wall + 0.3 * edge * (1 - inner) + shine, 0, 1) * cover
            )
            colour = colour * 0.4 + np.float32(rng.uniform(0.3, 0.6))
    return Sprite(patch, colour, cover, view.tall, opacity)


def _add_handle(rng: np.random.Generator, outline: Stencil, view: _View, turn: float) -> None:
    way = np.array([np.cos(turn), np.sin(turn)], np.float32)
    side = np.array([-way[1], way[0]], np.float32)
    grip = view.top * 0.7 + view.base * 0.3
    swing = np.linspace(-np.pi / 2, np.pi / 2, 9)[:, None]
    flat = rng.uniform(0.12, 0.45)
    loop = (
        grip
        + way * (view.top_radius * 0.85)
        + way * np.cos(swing) * view.top_radius * 0.6
        + side * np.sin(swing) * view.top_radius * flat
    )
    outline.stroke(loop, view.top_radius * rng.uniform(0.16, 0.26))


def _side_colours(
    rng: np.random.Generator, view: _View, studio: Studio, body_colour: Colour, vessel: _Vessel
) -> NDArray[np.float32]:
    """Colours float32 (h, w, 3) of the side, before any light: plain, printed or of wire mesh."""
    patch = view.patch
    if vessel.printed and view.lean > 3:
        label = wrap_label(studio.textures.package(rng, (int(2 * view.top_radius) + 4, int(view.lean) + 4)))
        colour = patch.warp(label, view.side_quad)
        quad_cover = Stencil(patch).polygon(view.side_quad).plane()[..., None]
        colour += (1 - quad_cover) * (body_colour - colour)
    else:
        colour = np.broadcast_to(body_colour, (*patch.shape, 3)).astype(np.float32)
    if vessel.meshed:
        colour = colour * (0.6 + 0.8 * mesh(patch, view.base, view.angle, view.mesh_pitch)[..., None])
    return colour


def _paint_opening(
    rng: np.random.Generator,
    colour: NDArray[np.float32],
    view: _View,
    studio: Studio,
    body_colour: Colour,
    *,
    meshed: bool,
) -> tuple[Plane, Plane]:
    """Paints the rim and the inside onto ``colour``; returns the coverage (h, w) of the top disc and of the inside."""
    patch, base, top = view.patch, view.base, view.top
    rim = Stencil(patch).disc(top, view.top_radius).plane()
    inner = Stencil(patch).disc(top, view.top_radius * rng.uniform(0.86, 0.95)).plane()
    bottom_centre = base + (top - base) * 0.06
    bottom = inner * Stencil(patch).disc(bottom_centre, view.base_radius * 0.9).plane()
    lining = vary(rng, body_colour, 0.05) if rng.random() < 0.7 else studio.colour(rng)
    toward = patch.grid(top, float(np.arctan2(studio.light.towards[1], studio.light.towards[0])))[0] / np.float32(
        view.top_radius
    )
    inside = lining * (0.55 - np.float32(rng.uniform(0.1, 0.35)) * toward)[..., None]
    inside = inside * (1 - np.float32(rng.uniform(-0.2, 0.5)) * bottom[..., None])
    if rng.random() < 0.2:
        inside = inside + bottom[..., None] * (studio.colour(rng) * 0.8 - inside)
    if meshed:
        inside = inside * (0.6 + 0.8 * mesh(patch, top, view.angle + 0.3, view.mesh_pitch)[..., None])
    colour += rim[..., None] * (body_colour * np.float32(rng.uniform(0.9, 1.4)) + 0.05 - colour)
    colour += inner[..., None] * (inside - colour)
    return rim, inner


def paint_can(rng: np.random.Generator, spot: Spot, studio: Studio) -> Sprite | None:
    """A tin standing: metal lid with rings and a tab, printed side leaning out of the picture's middle."""
    radius = rng.uniform(0.055, 0.11)
    return _paint_standing(
        rng,
        spot,
        studio,
        _Vessel(
            radius=radius,
            height=radius * rng.uniform(0.6, 3.2),
            taper=1.0,
            opened=rng.random() < 0.08,
            metal=rng.random() < 0.85,
            printed=True,
        ),
    )


def paint_jar(rng: np.random.Generator, spot: Spot, studio: Studio) -> Sprite | None:
    """A jar, tub or roll standing, with a coloured lid."""
    radius = rng.uniform(0.04, 0.14)
    return _paint_standing(
        rng,
        spot,
        studio,
        _Vessel(
            radius=radius,
            height=radius * rng.uniform(0.3, 2.5),
            taper=rng.uniform(0.8, 1.05),
            printed=rng.random() < 0.7,
        ),
    )


def paint_cup(rng: np.random.Generator, spot: Spot, studio: Studio) -> Sprite | None:
    """A cup, mug, bowl or pot standing open, plain or printed."""
    radius = rng.uniform(0.06, 0.16)
    return _paint_standing(
        rng,
        spot,
        studio,
        _Vessel(
            radius=radius,
            height=radius * rng.uniform(0.4, 2.6),
            taper=rng.uniform(0.55, 1.0),
            opened=True,
            handle=rng.random() < 0.5,
            printed=rng.random() < 0.25,
        ),
    )


def paint_mesh_pot(rng: np.random.Generator, spot: Spot, studio: Studio) -> Sprite | None:
    """A pen pot or basket of wire mesh, standing."""
    radius = rng.uniform(0.07, 0.15)
    return _paint_standing(
        rng,
        spot,
        studio,
        _Vessel(
            radius=radius,
            height=radius * rng.uniform(0.8, 2.6),
            taper=rng.uniform(0.85, 1.0),
            opened=True,
            meshed=True,
        ),
    )


def paint_clear_cup(rng: np.random.Generator, spot: Spot, studio: Studio) -> Sprite | None:
    """A glass or clear cup standing: rim and highlights over what lies below."""
    radius = rng.uniform(0.06, 0.12)
    return _paint_standing(
        rng,
        spot,
        studio,
        _Vessel(
            radius=radius,
            height=radius * rng.uniform(1.0, 2.8),
            taper=rng.uniform(0.55, 1.0),
            opened=True,
            handle=rng.random() < 0.15,
            clear=True,
        ),
    )
