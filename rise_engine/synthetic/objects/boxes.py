"""Draw objects with flat faces: cartons, bricks, trays, books, notebooks and open books."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from rise_engine.synthetic.palette import vary
from rise_engine.synthetic.raster import Patch, Points, Stencil, circle
from rise_engine.synthetic.studio import Spot, Sprite, Studio


def _rectangle(length: float, width: float) -> NDArray[np.float32]:
    return np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)], np.float32) * (length / 2, width / 2)


def _texture_shape(quad: Points) -> tuple[int, int]:
    across = np.linalg.norm(quad[1] - quad[0])
    down = np.linalg.norm(quad[3] - quad[0])
    return int(np.clip(down, 6, 400)), int(np.clip(across, 6, 400))


class _Extrusion:
    """A convex outline on the floor raised by a height, of which the camera sees the top and some sides."""

    def __init__(self, rng: np.random.Generator, outline: Points, height: float, studio: Studio) -> None:
        self.base, self.top = outline, studio.lift(outline, height)
        self.studio, self.height = studio, height
        self.patch = Patch(np.concatenate([self.base, self.top]), studio.size)
        middle = outline.mean(0)
        self.sides: list[tuple[Points, Points]] = []
        for index in range(len(outline)):
            here, there = index, (index + 1) % len(outline)
            edge = outline[there] - outline[here]
            normal = np.array((edge[1], -edge[0]), np.float32) / (np.linalg.norm(edge) + 1e-6)
            halfway = (outline[here] + outline[there]) / 2
            if normal @ (halfway - middle) < 0:
                normal = -normal
            if normal @ (studio.centre - halfway) > 0:
                quad = np.stack([self.top[here], self.top[there], outline[there], outline[here]])
                self.sides.append((quad, normal))

    def paint(
        self, rng: np.random.Generator, top: NDArray[np.uint8], sides: list[NDArray[np.uint8]], *, gloss: float
    ) -> Sprite:
        patch, light = self.patch, self.studio.light
        colour = np.zeros((*patch.shape, 3), np.float32)
        stencil = Stencil(patch)
        for (quad, normal), print_ in zip(self.sides, sides, strict=True):
            stencil.polygon(quad)
            side = Stencil(patch).polygon(quad).plane()[..., None]
            colour += side * (patch.warp(print_, quad) * light.side(normal) - colour)
        face = Stencil(patch).polygon(self.top).plane()
        picture = patch.warp(top, self.top[:4])
        along, _ = patch.grid(self.top.mean(0), float(rng.uniform(0, 6.3)))
        reach = float(np.ptp(self.top, axis=0).max()) + 1
        bright = 1 + along * np.float32(rng.uniform(-0.35, 0.35) / reach)
        if gloss > 0:
            shine = np.exp(-(((along - reach * rng.uniform(-0.4, 0.4)) / (reach * rng.uniform(0.05, 0.3))) ** 2))
            picture = picture + (shine * np.float32(gloss))[..., None]
        dents = self.studio.textures.noise(rng, patch.shape, float(rng.choice([4.0, 10.0, 28.0])))
        bright = bright * (1 + dents * np.float32(rng.uniform(0, 0.05)))
        colour += face[..., None] * (picture * bright[..., None] - colour)
        if rng.random() < 0.7:
            rim = Stencil(patch).stroke(np.concatenate([self.top, self.top[:1]]), 1.0).plane() * face
            colour += (rim * np.float32(rng.uniform(-0.12, 0.2)))[..., None]
        cover = np.maximum(stencil.plane(), face)
        return Sprite(patch, colour, cover, self.height)


def _plain(
    rng: np.random.Generator, colour: NDArray[np.float32], shape: tuple[int, int], studio: Studio
) -> NDArray[np.uint8]:
    grain = studio.textures.noise(rng, shape, float(rng.choice([0.7, 1.6, 4.0]))) * rng.uniform(0, 0.05)
    return (255 * np.clip(colour + grain[..., None], 0, 1)).astype(np.uint8)


def _add_tape(rng: np.random.Generator, picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    picture = picture.copy()
    height = picture.shape[0]
    thick = max(1, int(height * rng.uniform(0.1, 0.25)))
    top = int(height * rng.uniform(0.3, 0.6))
    picture[top : top + thick] = (picture[top : top + thick] * 0.7 + 255 * rng.uniform(0.1, 0.3)).astype(np.uint8)
    return picture


def _add_label(rng: np.random.Generator, picture: NDArray[np.uint8], studio: Studio) -> NDArray[np.uint8]:
    picture = picture.copy()
    height, width = picture.shape[:2]
    h, w = max(3, int(height * rng.uniform(0.2, 0.6))), max(3, int(width * rng.uniform(0.2, 0.6)))
    y, x = int(rng.integers(0, height - h + 1)), int(rng.integers(0, width - w + 1))
    label = studio.textures.page(rng, (h, w)) if rng.random() < 0.6 else studio.textures.package(rng, (h, w))
    picture[y : y + h, x : x + w] = label
    return picture


def paint_box(rng: np.random.Generator, spot: Spot, studio: Studio) -> Sprite | None:
    """A carton, packet or block lying on any side: printed, plain with a label, or cardboard with tape."""
    length = float(np.exp(rng.uniform(np.log(0.12), np.log(0.55))))
    width = length * rng.uniform(0.3, 1.0)
    height = min(0.4, length * rng.uniform(0.08, 0.9))
    body = _Extrusion(rng, spot.place(_rectangle(length, width)), height * spot.unit, studio)
    if body.patch.empty:
        return None
    style = rng.random()
    base = studio.colour(rng)
    if style > 0.85:
        base = vary(rng, np.array([0.68, 0.5, 0.33], np.float32), 0.1)

    def face(quad: Points) -> NDArray[np.uint8]:
        shape = _texture_shape(quad)
        if style < 0.6:
            return studio.textures.package(rng, shape)
        plain = _plain(rng, base, shape, studio)
        if style > 0.85 and rng.random() < 0.6:
            plain = _add_tape(rng, plain)
        return _add_label(rng, plain, studio) if rng.random() < 0.55 else plain

    sides = [
        face(quad) if rng.random() < 0.7 else _plain(rng, base, _texture_shape(quad), studio) for quad, _ in body.sides
    ]
    gloss = rng.uniform(0, 0.35) if style < 0.6 and rng.random() < 0.6 else 0.0
    return body.paint(rng, face(body.top), sides, gloss=gloss)


def paint_brick(rng: np.random.Generator, spot: Spot, studio: Studio) -> Sprite | None:
    """A block with round pits in a row; the pits belong to it."""
    length = rng.uniform(0.12, 0.22)
    width, height = length * rng.uniform(0.4, 0.7), length * rng.uniform(0.2, 0.5)
    body = _Extrusion(rng, spot.place(_rectangle(length, width)), height * spot.unit, studio)
    if body.patch.empty:
        return None
    colour = studio.colour(rng) if rng.random() < 0.5 else vary(rng, np.array([0.6, 0.3, 0.2], np.float32), 0.1)
    sides = [_plain(rng, colour, _texture_shape(quad), studio) for quad, _ in body.sides]
    sprite = body.paint(rng, _plain(rng, colour, _texture_shape(body.top), studio), sides, gloss=0.0)
    count = int(rng.integers(1, 5))
    pits = Stencil(body.patch)
    start, end = body.top[[0, 3]].mean(0), body.top[[1, 2]].mean(0)
    for index in range(count):
        pits.disc(start + (end - start) * (index + 0.5) / count, length * spot.unit * min(0.11, 0.35 / count))
    sprite.colour *= (1 - 0.75 * pits.plane())[..., None]
    return sprite


def paint_tray(rng: np.random.Generator, spot: Spot, studio: Studio) -> Sprite | None:
    """An open box, dish or lid seen from above: a bright rim around a darker inside."""
    length = rng.uniform(0.12, 0.4)
    width, height = length * rng.uniform(0.5, 1.0), length * rng.uniform(0.1, 0.5)
    body = _Extrusion(rng, spot.place(_rectangle(length, width)), height * spot.unit, studio)
    if body.patch.empty:
        return None
    colour = studio.colour(rng)
    sides = [_plain(rng, colour, _texture_shape(quad), studio) for quad, _ in body.sides]
    sprite = body.paint(rng, _plain(rng, colour, _texture_shape(body.top), studio), sides, gloss=0.1)
    middle = body.top.mean(0)
    rim = middle + (body.top - middle) * rng.uniform(0.84, 0.94)
    floor = body.base.mean(0) + (body.base - body.base.mean(0)) * rng.uniform(0.7, 0.88)
    inside = Stencil(body.patch).polygon(rim).plane()
    bottom = inside * Stencil(body.patch).polygon(floor).plane()
    shade = 1 - inside * rng.uniform(0.25, 0.6) + bottom * rng.uniform(0.0, 0.3)
    sprite.colour *= shade[..., None].astype(np.float32)
    return sprite


def paint_book(rng: np.random.Generator, spot: Spot, studio: Studio) -> Sprite | None:
    """A closed book or notebook: printed or plain cover, paper edges, sometimes a wire spine."""
    length = rng.uniform(0.22, 0.5)
    width, height = length * rng.uniform(0.55, 0.8), length * rng.uniform(0.02, 0.14)
    body = _Extrusion(rng, spot.place(_rectangle(length, width)), height * spot.unit, studio)
    if body.patch.empty:
        return None
    cover_colour = studio.colour(rng)
    shape = _texture_shape(body.top)
    if rng.random() < 0.55:
        cover = studio.textures.package(rng, shape)
    else:
        cover = _plain(rng, cover_colour, shape, studio)
        if rng.random() < 0.6:
            cover = _add_label(rng, cover, studio)
    sides = []
    for quad, _ in body.sides:
        h, w = _texture_shape(quad)
        leaves = np.clip(0.86 + 0.1 * rng.standard_normal((h, 1)), 0, 1) * np.ones((1, w))
        sides.append((255 * leaves[..., None] * np.array([1.0, 0.98, 0.92])).astype(np.uint8))
    if sides and rng.random() < 0.6:
        index = int(rng.integers(len(sides)))
        sides[index] = _plain(rng, cover_colour, _texture_shape(body.sides[index][0]), studio)
    sprite = body.paint(rng, cover, sides, gloss=rng.uniform(0, 0.3))
    if rng.random() < 0.4:
        wire = Stencil(body.patch)
        start, end = body.top[0], body.top[1]
        inward = (body.top[3] - body.top[0]) * 0.04
        for share in np.linspace(0.03, 0.97, int(rng.integers(14, 30))):
            point = start + (end - start) * share
            wire.stroke(np.stack([point - inward * 0.6, point + inward]), max(0.6, 0.006 * spot.unit))
        drawn = wire.plane()
        sprite.colour += drawn[..., None] * (studio.colour(rng) * rng.uniform(0.3, 1.0) - sprite.colour)
        sprite.cover = np.maximum(sprite.cover, drawn)
    return sprite


def paint_open_book(rng: np.random.Generator, spot: Spot, studio: Studio) -> Sprite | None:
    """A book lying open: two curved pages with text and pictures that darken towards the gutter."""
    length = rng.uniform(0.3, 0.55)
    width, height = length * rng.uniform(0.55, 0.85), length * rng.uniform(0.02, 0.1)
    skew = rng.uniform(-0.06, 0.06, 4) * length
    left = np.array(
        [(-length / 2, -width / 2 + skew[0]), (0, -width / 2), (0, width / 2), (-length / 2, width / 2 + skew[1])]
    )
    right = np.array(
        [(0, -width / 2), (length / 2, -width / 2 + skew[2]), (length / 2, width / 2 + skew[3]), (0, width / 2)]
    )
    pages = [studio.lift(spot.place(page), height * spot.unit) for page in (left, right)]
    shift = np.array([rng.uniform(-1, 1), rng.uniform(-1, 1)], np.float32) * 0.02 * spot.unit
    patch = Patch(np.concatenate([*pages, pages[0] + shift, pages[1] + shift]), studio.size)
    if patch.empty:
        return None
    stack = Stencil(patch)
    for share in (1.0, 0.5):
        for page in pages:
            stack.polygon(page + shift * share)
    under = stack.plane()
    lines = 0.75 + 0.12 * studio.textures.noise(rng, patch.shape, 1.6)
    colour = np.repeat(lines[..., None], 3, axis=2).astype(np.float32)
    cover = under
    along, _ = patch.grid(spot.middle, spot.angle)
    for index, page in enumerate(pages):
        picture = patch.warp(studio.textures.page(rng, _texture_shape(page)), page)
        distance = np.abs(along) / np.float32(length * spot.unit / 2)
        bend = 1 - np.float32(rng.uniform(0.1, 0.5)) * np.exp(-distance * np.float32(rng.uniform(4, 12)))
        bend = bend * np.float32(rng.uniform(0.82, 1.05) if index else 1.0)
        face = Stencil(patch).polygon(page).plane()
        colour += face[..., None] * (picture * bend[..., None] - colour)
        cover = np.maximum(cover, face)
    return Sprite(patch, colour, cover, height * spot.unit)


def paint_card(rng: np.random.Generator, spot: Spot, studio: Studio) -> Sprite | None:
    """Something flat: a leaflet, card, envelope, game case or disc sleeve, sometimes with round corners."""
    length = rng.uniform(0.1, 0.4)
    width = length * rng.uniform(0.4, 1.0)
    corners = spot.place(_rectangle(length, width))
    patch = Patch(corners, studio.size)
    if patch.empty:
        return None
    maker = studio.textures.page if rng.random() < 0.35 else studio.textures.package
    picture = patch.warp(maker(rng, _texture_shape(corners)), corners)
    if rng.random() < 0.4:
        radius = length * rng.uniform(0.03, 0.12)
        inner = spot.place(_rectangle(length - 2 * radius, width - 2 * radius))
        stencil = Stencil(patch)
        r = radius * spot.unit
        for index in range(4):
            stencil.stroke(inner[[index, (index + 1) % 4]], 2 * r)
        cover = stencil.polygon(inner).plane()
    else:
        cover = Stencil(patch).polygon(corners).plane()
    if rng.random() < 0.15:
        hole = Stencil(patch).polygon(circle(spot.middle, 0.06 * spot.unit * rng.uniform(0.3, 1))).plane()
        picture = picture * (1 - 0.6 * hole[..., None])
    bend = studio.textures.noise(rng, patch.shape, 28.0) * np.float32(rng.uniform(0, 0.08))
    picture = picture * (1 + bend[..., None])
    return Sprite(patch, picture, cover, 0.012 * spot.unit)
