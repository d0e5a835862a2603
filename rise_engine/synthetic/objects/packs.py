"""Draw packs of several things that count as one object: blister cards, multipacks and filled bags."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from rise_engine.synthetic.objects.boxes import paint_box, paint_card
from rise_engine.synthetic.objects.lying import paint_ball, paint_lying_can, paint_stick
from rise_engine.synthetic.objects.soft_things import paint_cloth, paint_lump, paint_pouch, paint_toy
from rise_engine.synthetic.objects.standing import paint_can
from rise_engine.synthetic.raster import Patch
from rise_engine.synthetic.studio import Spot, Sprite, Studio


def _joined(below: Sprite, above: Sprite, *, inside: bool) -> Sprite:
    """Two sprites as one; ``inside`` keeps only what of the upper one lies within the lower one's outline."""
    a, b = below.patch, above.patch
    left, top = min(a.x, b.x), min(a.y, b.y)
    right, bottom = max(a.x + a.width, b.x + b.width), max(a.y + a.height, b.y + b.height)
    patch = Patch([(left, top), (right, bottom)], (bottom, right), margin=0.0)
    colour = np.zeros((*patch.shape, 3), np.float32)
    cover = np.zeros(patch.shape, np.float32)
    opacity = np.zeros(patch.shape, np.float32)
    for sprite in (below, above):
        x, y = sprite.patch.x - patch.x, sprite.patch.y - patch.y
        window = (slice(y, y + sprite.patch.height), slice(x, x + sprite.patch.width))
        strength = sprite.cover if sprite.opacity is None else sprite.opacity
        kept = cover[window] if inside and sprite is above else np.float32(1)
        # Weighted by how much of each is seen, so that a clear upper part lets the lower one through.
        total = np.maximum(strength * kept + opacity[window] * (1 - strength * kept), np.float32(1e-4))
        colour[window] += (strength * kept / total)[..., None] * (sprite.colour - colour[window])
        opacity[window] = total
        cover[window] = np.maximum(cover[window], sprite.cover * kept)
    see_through = below.opacity is not None or above.opacity is not None
    opacity = np.where(cover > 0, opacity, np.float32(0)).astype(np.float32)
    return Sprite(patch, colour, cover, max(below.height, above.height), opacity if see_through else None)


def paint_blister(rng: np.random.Generator, spot: Spot, studio: Studio) -> Sprite | None:
    """A printed card with the goods bulging from it."""
    card = paint_card(rng, spot, studio)
    if card is None:
        return None
    painter = (paint_lump, paint_toy, paint_ball, paint_stick)[int(rng.integers(4))]
    goods = painter(rng, replace(spot, unit=spot.unit * 0.6), studio)
    if goods is None:
        return card
    if rng.random() < 0.5:
        goods.colour += np.float32(rng.uniform(0, 0.15))
    return _joined(card, goods, inside=True)


def paint_multipack(rng: np.random.Generator, spot: Spot, studio: Studio) -> Sprite | None:
    """Two to four of the same thing held together in a row."""
    painter = paint_can if rng.random() < 0.5 else paint_lying_can
    look = int(rng.integers(2**31))
    pitch = rng.uniform(0.1, 0.15) * spot.unit
    count = int(rng.integers(2, 5))
    upright = painter is paint_can
    way = spot.angle if upright else spot.angle + np.pi / 2
    joined: Sprite | None = None
    for index in range(count):
        shift = (index - (count - 1) / 2) * pitch
        there = replace(spot, x=spot.x + shift * float(np.cos(way)), y=spot.y + shift * float(np.sin(way)))
        piece = painter(np.random.default_rng(look), there, studio)
        if piece is not None:
            joined = piece if joined is None else _joined(joined, piece, inside=False)
    return joined


def paint_filled_bag(rng: np.random.Generator, spot: Spot, studio: Studio) -> Sprite | None:
    """A clear or milky bag around a box, cloth or toy; bag and goods are one object."""
    goods_painter = (paint_box, paint_cloth, paint_toy, paint_lump)[int(rng.integers(4))]
    goods = goods_painter(rng, replace(spot, unit=spot.unit * 0.7), studio)
    bag = paint_pouch(rng, spot, studio)
    if goods is None or bag is None:
        return bag
    milk = np.float32(rng.uniform(0.1, 0.55))
    bright = bag.colour.mean(2)
    bag.opacity = np.clip(milk + np.clip(bright - 0.6, 0, 1), 0, 1).astype(np.float32) * bag.cover
    bag.colour = np.repeat((0.35 + 0.6 * bright)[..., None], 3, axis=2).astype(np.float32)
    return _joined(goods, bag, inside=False)
