"""Draw soft objects without edges: bags, pouches, cloth, gloves, toys and lumps."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from rise_engine.synthetic.palette import vary
from rise_engine.synthetic.raster import Patch, Plane, Points, Stencil, circle, smooth
from rise_engine.synthetic.studio import Spot, Sprite, Studio


def relief_sprite(
    rng: np.random.Generator,
    patch: Patch,
    cover: Plane,
    colour: NDArray[np.float32],
    studio: Studio,
    *,
    thickness: float,
    roundness: float,
    crinkle: float,
    grain: float,
    gloss: float,
) -> Sprite:
    """Shade a silhouette as a body that rises from its outline.

    In pixels: ``thickness`` is how high it rises, ``roundness`` over what distance, ``crinkle`` the height of folds.
    """
    height = smooth(cover, roundness) * np.float32(2 * thickness)
    if crinkle > 0:
        folds = studio.textures.noise(rng, patch.shape, float(rng.choice([4.0, 10.0, 10.0, 28.0])))
        if rng.random() < 0.5:
            folds = np.abs(folds)
        height = height + folds * np.float32(crinkle)
    if grain > 0:
        height = height + studio.textures.noise(rng, patch.shape, 0.7) * np.float32(grain)
    bright, shine = studio.light.relief(height, gloss, int(rng.integers(3, 6)))
    shaded = colour * bright[..., None]
    if shine is not None:
        shaded += shine[..., None]
    return Sprite(patch, shaded.astype(np.float32), cover, thickness)


def _wobbly(rng: np.random.Generator, outline: NDArray[np.float32], amount: float) -> NDArray[np.float32]:
    """The closed outline (n, 2) resampled to 64 points and pushed about smoothly."""
    closed = np.concatenate([outline, outline[:1]])
    steps = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(closed, axis=0), axis=1))])
    at = np.linspace(0, steps[-1], 64, endpoint=False)
    points = np.stack([np.interp(at, steps, closed[:, axis]) for axis in range(2)], 1)
    turn = 2 * np.pi * np.arange(64) / 64
    for order in range(2, 12):
        swing = rng.normal(0, amount / order**0.7, (2, 2))
        points[:, 0] += swing[0, 0] * np.cos(order * turn) + swing[0, 1] * np.sin(order * turn)
        points[:, 1] += swing[1, 0] * np.cos(order * turn) + swing[1, 1] * np.sin(order * turn)
    return points.astype(np.float32)


def _rectangle(length: float, width: float) -> NDArray[np.float32]:
    return np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)], np.float32) * (length / 2, width / 2)


def _printed(rng: np.random.Generator, patch: Patch, quad: Points, studio: Studio) -> NDArray[np.float32]:
    across, down = np.linalg.norm(quad[1] - quad[0]), np.linalg.norm(quad[3] - quad[0])
    return patch.warp(studio.textures.package(rng, (int(down) + 4, int(across) + 4)), quad)


def paint_pouch(rng: np.random.Generator, spot: Spot, studio: Studio) -> Sprite | None:
    """A bag or pouch: wobbly outline, crinkled glossy skin, print, plain or see-through."""
    length = float(np.exp(rng.uniform(np.log(0.14), np.log(0.6))))
    width = length * rng.uniform(0.45, 1.0)
    outline = spot.place(_wobbly(rng, _rectangle(length, width), length * rng.uniform(0.005, 0.04)))
    patch = Patch(outline, studio.size)
    if patch.empty:
        return None
    cover = Stencil(patch).polygon(outline).plane()
    style = rng.random()
    body = studio.colour(rng)
    colour = np.broadcast_to(body, (*patch.shape, 3)).astype(np.float32)
    quad = spot.place(_rectangle(length * 1.08, width * 1.08))
    if style < 0.5:
        colour = _printed(rng, patch, quad, studio)
    elif style < 0.75:
        share = rng.uniform(0.3, 0.8)
        inner = spot.place(
            _rectangle(length * share, width * rng.uniform(0.3, 0.9)) + rng.uniform(-0.05, 0.05, 2) * length
        )
        stamp = Stencil(patch).polygon(inner).plane()[..., None]
        colour = colour + stamp * (_printed(rng, patch, inner, studio) - colour)
    px = spot.unit * length
    sprite = relief_sprite(
        rng,
        patch,
        cover,
        colour,
        studio,
        thickness=px * rng.uniform(0.03, 0.14),
        roundness=px * rng.uniform(0.04, 0.15),
        crinkle=px * rng.uniform(0.0, 0.02),
        grain=0.0,
        gloss=rng.uniform(0.0, 0.7),
    )
    if rng.random() < 0.6:
        seal = np.abs(patch.grid(spot.middle, spot.angle)[0]) / np.float32(0.5 * px)
        ridge = (seal > 0.88) * (0.85 + 0.2 * np.sin(seal * np.float32(rng.uniform(100, 300))))
        sprite.colour *= np.where(seal > 0.88, ridge, 1.0)[..., None].astype(np.float32)
    if style > 0.8:
        edge = cover - smooth(cover, 1.5) * cover
        glare = np.clip(sprite.colour.mean(2) - 0.55, 0, 1)
        sprite.opacity = np.clip(rng.uniform(0.12, 0.5) + 0.9 * edge + glare, 0, 1).astype(np.float32) * cover
    return sprite


def paint_lump(rng: np.random.Generator, spot: Spot, studio: Studio) -> Sprite | None:
    """A shapeless thing with a smooth random outline, plain, patterned or printed."""
    size = rng.uniform(0.05, 0.2)
    turn = np.linspace(0, 2 * np.pi, 72, endpoint=False)
    radius = np.ones_like(turn)
    for order in range(2, 9):
        radius += rng.normal(0, 0.28 / order) * np.cos(order * turn + rng.uniform(0, 6.28))
    radius = np.maximum(radius, 0.2) * size
    outline = spot.place(np.stack([radius * np.cos(turn), radius * rng.uniform(0.4, 1.0) * np.sin(turn)], 1))
    patch = Patch(outline, studio.size)
    if patch.empty:
        return None
    cover = Stencil(patch).polygon(outline).plane()
    colour = np.broadcast_to(studio.colour(rng), (*patch.shape, 3)).astype(np.float32)
    if rng.random() < 0.4:
        colour = _printed(rng, patch, spot.place(_rectangle(size * 3, size * 3)), studio)
    px = spot.unit * size
    return relief_sprite(
        rng,
        patch,
        cover,
        colour,
        studio,
        thickness=px * rng.uniform(0.1, 0.6),
        roundness=px * rng.uniform(0.1, 0.4),
        crinkle=px * rng.uniform(0, 0.06),
        grain=rng.uniform(0, 0.25),
        gloss=rng.uniform(-0.2, 0.6),
    )


def _fabric(rng: np.random.Generator, studio: Studio, patch: Patch, spot: Spot) -> NDArray[np.float32]:
    body = studio.colour(rng) if rng.random() < 0.45 else np.full(3, rng.uniform(0.03, 0.14), np.float32)
    colour = np.broadcast_to(body, (*patch.shape, 3)).astype(np.float32)
    if rng.random() < 0.25:
        along, _ = patch.grid(spot.middle, spot.angle)
        period = np.float32(2 * np.pi / (spot.unit * rng.uniform(0.01, 0.08)))
        stripe = np.sin(along * period) > rng.uniform(-0.5, 0.8)
        colour = np.where(stripe[..., None], studio.colour(rng), colour)
    return colour


def paint_glove(rng: np.random.Generator, spot: Spot, studio: Studio) -> Sprite | None:
    """A glove: palm, cuff and fingers that point every way, mostly dark and of low contrast."""
    size = rng.uniform(0.11, 0.19)
    palm = np.array([(-1.1, -0.45), (0.0, -0.55), (0.55, -0.5), (0.6, 0.5), (0.0, 0.55), (-1.1, 0.45)]) * size
    limbs: list[tuple[Points, float]] = []
    for index, across in enumerate(np.linspace(-0.42, 0.42, 4)):
        reach = rng.uniform(0.45, 0.85) * (1.0 if index in (1, 2) else 0.8)
        turn = across * rng.uniform(0.2, 0.9) + rng.normal(0, 0.2)
        root = np.array([0.5, across])
        knuckle = root + np.array([np.cos(turn), np.sin(turn)]) * reach * 0.5
        turn += rng.normal(0, 0.35)
        tip = knuckle + np.array([np.cos(turn), np.sin(turn)]) * reach * 0.5
        limbs.append(
            (spot.place(np.stack([root, knuckle, tip]) * size), 0.27 * size * spot.unit * rng.uniform(0.85, 1.1))
        )
    side = rng.choice([-1.0, 1.0])
    thumb = np.array(
        [
            (-0.1, 0.35 * side),
            (0.3, rng.uniform(0.7, 0.95) * side),
            (rng.uniform(0.4, 0.8), rng.uniform(0.9, 1.2) * side),
        ]
    )
    limbs.append((spot.place(thumb * size), 0.3 * size * spot.unit))
    outline = spot.place(_wobbly(rng, palm.astype(np.float32), size * 0.03))
    patch = Patch(np.concatenate([outline, *(limb for limb, _ in limbs)]), studio.size, margin=0.2 * size * spot.unit)
    if patch.empty:
        return None
    stencil = Stencil(patch).polygon(outline)
    creases = Stencil(patch)
    for limb, width in limbs:
        stencil.stroke(limb, width)
    for limb, width in limbs[:4]:
        offset = np.array([-(limb[-1] - limb[0])[1], (limb[-1] - limb[0])[0]])
        offset = offset / (np.linalg.norm(offset) + 1e-6) * width / 2
        creases.stroke(limb + offset, max(0.6, width * 0.12))
    px = size * spot.unit
    sprite = relief_sprite(
        rng,
        patch,
        stencil.plane(),
        _fabric(rng, studio, patch, spot),
        studio,
        thickness=px * rng.uniform(0.1, 0.35),
        roundness=px * rng.uniform(0.08, 0.2),
        crinkle=px * rng.uniform(0, 0.05),
        grain=rng.uniform(0, 0.4),
        gloss=0.0,
    )
    sprite.colour *= (1 - np.float32(rng.uniform(0.1, 0.5)) * creases.plane())[..., None]
    return sprite


def paint_cloth(rng: np.random.Generator, spot: Spot, studio: Studio) -> Sprite | None:
    """A folded or crumpled cloth, sock, towel or bag of fabric."""
    length = rng.uniform(0.15, 0.5)
    shape = rng.random()
    outline: NDArray[np.floating]
    if shape < 0.5:
        outline = _rectangle(length, length * rng.uniform(0.35, 1.0))
    elif shape < 0.75:
        outline = (
            np.array([(-0.5, -0.12), (0.2, -0.14), (0.5, 0.1), (0.42, 0.3), (0.22, 0.32), (0.1, 0.14), (-0.5, 0.12)])
            * length
        )
    else:
        outline = np.array([(-0.5, -0.3), (0.1, -0.4), (0.5, -0.1), (0.4, 0.4), (-0.2, 0.3), (-0.4, 0.1)]) * length
    outline = spot.place(_wobbly(rng, outline.astype(np.float32), length * rng.uniform(0.01, 0.05)))
    patch = Patch(outline, studio.size)
    if patch.empty:
        return None
    px = length * spot.unit
    return relief_sprite(
        rng,
        patch,
        Stencil(patch).polygon(outline).plane(),
        _fabric(rng, studio, patch, spot),
        studio,
        thickness=px * rng.uniform(0.03, 0.1),
        roundness=px * rng.uniform(0.03, 0.08),
        crinkle=px * rng.uniform(0.005, 0.03),
        grain=rng.uniform(0, 0.3),
        gloss=0.0,
    )


def paint_toy(rng: np.random.Generator, spot: Spot, studio: Studio) -> Sprite | None:
    """A figure or gadget: several simple parts of a few colours, joined into one thing."""
    size = rng.uniform(0.08, 0.22)
    inks = [studio.colour(rng) for _ in range(3)]
    parts: list[tuple[Points, NDArray[np.float32]]] = []
    place = np.zeros(2)
    for index in range(int(rng.integers(2, 8))):
        reach = size * rng.uniform(0.2, 0.6) * (1.2 if index == 0 else 0.8)
        if rng.random() < 0.55:
            shape = circle((0, 0), reach, squash=rng.uniform(0.4, 1.0), angle=rng.uniform(0, 3.14), count=20)
        else:
            turn = rng.uniform(0, 3.14)
            box = _rectangle(2 * reach, reach * rng.uniform(0.3, 1.8))
            shape = box @ np.array([(np.cos(turn), np.sin(turn)), (-np.sin(turn), np.cos(turn))])
        parts.append((spot.place(shape + place), vary(rng, inks[int(rng.integers(3))], 0.05)))
        place = place + rng.normal(0, size * 0.35, 2)
    patch = Patch(np.concatenate([outline for outline, _ in parts]), studio.size)
    if patch.empty:
        return None
    colour = np.zeros((*patch.shape, 3), np.float32)
    cover = np.zeros(patch.shape, np.float32)
    bumps = np.zeros(patch.shape, np.float32)
    for outline, ink in parts:
        piece = Stencil(patch).polygon(outline).plane()
        colour += piece[..., None] * (ink - colour)
        bumps = bumps * 0.6 + piece
        cover = np.maximum(cover, piece)
    px = size * spot.unit
    sprite = relief_sprite(
        rng,
        patch,
        cover,
        colour,
        studio,
        thickness=px * rng.uniform(0.1, 0.4),
        roundness=px * rng.uniform(0.1, 0.3),
        crinkle=0.0,
        grain=rng.uniform(0, 0.15),
        gloss=rng.uniform(0, 0.6),
    )
    bright, _ = studio.light.relief(smooth(bumps / bumps.max(), max(0.6, 0.03 * px)) * np.float32(px * 0.3))
    sprite.colour *= bright[..., None]
    return sprite


def paint_banana(rng: np.random.Generator, spot: Spot, studio: Studio) -> Sprite | None:
    """Something long and bent: a banana, pepper, sausage or handle."""
    length, bend = rng.uniform(0.12, 0.3), rng.uniform(0.1, 0.9)
    t = np.linspace(-1, 1, 15)
    spine = np.stack([t, bend * 0.5 * (t**2 - 0.5)], 1) * length / 2
    width = length * rng.uniform(0.12, 0.28) * (1 - 0.85 * np.abs(t) ** rng.uniform(3, 6))
    normal = np.stack([-np.gradient(spine[:, 1]), np.gradient(spine[:, 0])], 1)
    normal /= np.linalg.norm(normal, axis=1, keepdims=True)
    outline = spot.place(
        np.concatenate([spine + normal * width[:, None] / 2, (spine - normal * width[:, None] / 2)[::-1]])
    )
    patch = Patch(outline, studio.size)
    if patch.empty:
        return None
    body = np.array([0.93, 0.8, 0.2], np.float32) if rng.random() < 0.4 else studio.colour(rng)
    stains = np.clip(studio.textures.noise(rng, patch.shape, 4.0) - rng.uniform(1, 2.5), 0, 1)[..., None]
    colour = body * (1 - 0.7 * stains)
    px = length * spot.unit
    return relief_sprite(
        rng,
        patch,
        Stencil(patch).polygon(outline).plane(),
        colour.astype(np.float32),
        studio,
        thickness=px * 0.12,
        roundness=px * 0.06,
        crinkle=0.0,
        grain=0.0,
        gloss=rng.uniform(0, 0.5),
    )
