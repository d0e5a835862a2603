"""Draw a synthetic tote: a container, a heap of objects in it, their visible masks, and the camera's image."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageChops, ImageFilter

from rise_engine.project.frame import LabelledFrame
from rise_engine.synthetic.camera import photograph
from rise_engine.synthetic.container import Container, draw_container
from rise_engine.synthetic.objects import boxes, lying, packs, soft_things, standing, tools
from rise_engine.synthetic.studio import Light, Spot, Sprite, Studio
from rise_engine.synthetic.textures import TextureAtlas

Painter = Callable[[np.random.Generator, Spot, Studio], Sprite | None]

# How often each kind of object is in a tote, relative to the others.
KINDS: tuple[tuple[Painter, float], ...] = (
    (boxes.paint_box, 5.0),
    (boxes.paint_brick, 0.6),
    (boxes.paint_tray, 0.7),
    (boxes.paint_book, 1.6),
    (boxes.paint_open_book, 0.8),
    (boxes.paint_card, 1.2),
    (standing.paint_can, 2.2),
    (standing.paint_jar, 1.2),
    (standing.paint_cup, 1.6),
    (standing.paint_mesh_pot, 0.7),
    (standing.paint_clear_cup, 0.9),
    (lying.paint_lying_can, 2.2),
    (lying.paint_lying_cup, 1.2),
    (lying.paint_bottle, 2.6),
    (lying.paint_stick, 1.0),
    (lying.paint_wine_glass, 1.0),
    (lying.paint_ball, 0.9),
    (soft_things.paint_pouch, 3.0),
    (packs.paint_blister, 0.9),
    (packs.paint_multipack, 0.3),
    (packs.paint_filled_bag, 1.2),
    (soft_things.paint_lump, 1.2),
    (soft_things.paint_glove, 1.6),
    (soft_things.paint_cloth, 1.0),
    (soft_things.paint_toy, 1.4),
    (soft_things.paint_banana, 0.6),
    (tools.paint_scissors, 1.3),
    (tools.paint_wrench, 1.1),
    (tools.paint_pliers, 1.3),
    (tools.paint_keys, 0.8),
    (tools.paint_cord, 0.6),
    (tools.paint_ring, 0.6),
    (tools.paint_cutlery, 0.9),
)
_FAINTER = [round(0.7 * level) for level in range(256)]
_SMALLEST_VISIBLE = 30
_SMALLEST_SHARE = 0.06


class ToteArtist:
    """Draws totes with a set of textures that is made once.

    ``seed`` and ``texture_count`` determine the textures. With these textures, ``draw`` depends on its generator only.
    """

    def __init__(self, seed: int = 0, texture_count: int = 96) -> None:
        self._textures = TextureAtlas(np.random.default_rng(seed), texture_count)
        weights = np.array([weight for _, weight in KINDS])
        self._shares = weights / weights.sum()

    def draw(
        self, rng: np.random.Generator, *, size: tuple[int, int] = (256, 344), max_objects: int = 24
    ) -> LabelledFrame:
        """A frame of ``size`` (H, W) with 1 to ``max_objects`` objects; masks are the visible parts and disjoint."""
        light = Light.draw(rng)
        container = draw_container(rng, size, light, self._textures)
        unit = float(min(size))
        centre = np.array([size[1] / 2, size[0] / 2]) + rng.normal(0, 0.06, 2) * unit
        studio = Studio(
            size, light, self._textures, centre.astype(np.float32), unit * rng.uniform(1.3, 3.5), container.colour
        )
        heap = _Heap(container.picture, size)
        wanted = _draw_count(rng, max_objects)
        scale = (
            unit
            * float(np.clip(rng.normal(1.08, 0.2), 0.65, 1.6))
            * (1.15 if wanted < 5 else 1.0 if wanted < 14 else 0.85)
        )
        piles = self._pile_centres(rng, container)
        item: tuple[Painter, int] | None = None
        for _ in range(3 * wanted):
            if heap.count >= wanted:
                break
            if item is None or rng.random() > 0.12:
                item = (KINDS[int(rng.choice(len(KINDS), p=self._shares))][0], int(rng.integers(2**31)))
            painter, seed = item
            spot = _draw_spot(rng, container, piles, scale)
            sprite = painter(np.random.default_rng(seed), spot, studio)
            if sprite is not None:
                heap.lay(sprite, light, unit)
        masks = heap.masks()
        image = photograph(rng, heap.picture, self._textures)
        return LabelledFrame("", image, masks, np.zeros(len(masks), np.int64))

    def _pile_centres(self, rng: np.random.Generator, container: Container) -> NDArray[np.float64]:
        x0, y0, x1, y1 = container.floor
        return rng.uniform((x0, y0), (x1, y1), (int(rng.integers(1, 4)), 2))


def _draw_count(rng: np.random.Generator, most: int) -> int:
    kind = rng.random()
    if kind < 0.08:
        count = 1
    elif kind < 0.3:
        count = int(rng.integers(2, 8))
    elif kind < 0.85:
        count = int(rng.integers(8, 17))
    else:
        count = int(rng.integers(16, 25))
    return max(1, min(count, most))


def _draw_spot(rng: np.random.Generator, container: Container, piles: NDArray[np.float64], scale: float) -> Spot:
    x0, y0, x1, y1 = container.floor
    if rng.random() < 0.35:
        pile = piles[int(rng.integers(len(piles)))]
        x, y = pile + rng.normal(0, 0.14, 2) * scale
        x, y = float(np.clip(x, x0, x1)), float(np.clip(y, y0, y1))
    else:
        reach = 0.03 * scale
        x, y = float(rng.uniform(x0 - reach, x1 + reach)), float(rng.uniform(y0 - reach, y1 + reach))
    return Spot(x, y, float(rng.uniform(0, 2 * np.pi)), scale)


class _Heap:
    """The scene so far and, for each pixel, the object that is uppermost there."""

    def __init__(self, picture: NDArray[np.float32], size: tuple[int, int]) -> None:
        self.picture = picture
        self.count = 0
        self._top = np.zeros(size, np.int16)
        self._areas: list[int] = []

    def lay(self, sprite: Sprite, light: Light, unit: float) -> None:
        """Put a sprite onto the heap, unless almost all of it is outside the frame."""
        solid = sprite.cover > 0.5
        area = int(np.count_nonzero(solid))
        if area < _SMALLEST_VISIBLE:
            return
        self._cast_shadow(sprite, light, unit)
        patch = sprite.patch
        window = (slice(patch.y, patch.y + patch.height), slice(patch.x, patch.x + patch.width))
        strength = sprite.cover if sprite.opacity is None else sprite.opacity
        below = self.picture[window]
        below += strength[..., None] * (np.clip(sprite.colour, 0, 1.3) - below)
        self.count += 1
        self._areas.append(area)
        self._top[window][solid] = self.count

    def _cast_shadow(self, sprite: Sprite, light: Light, unit: float) -> None:
        patch = sprite.patch
        height, width = self._top.shape
        blur = max(0.8, min(0.03 * unit, sprite.height * 0.35) * light.softness)
        throw = min(sprite.height, 0.2 * unit) * 0.6 / max(0.4, float(light.towards[2]))
        dx, dy = -float(light.towards[0]) * throw, -float(light.towards[1]) * throw
        pad = int(2.5 * blur) + 2
        x0, x1 = max(0, patch.x - pad + min(0, int(dx))), min(width, patch.x + patch.width + pad + max(0, int(dx)))
        y0, y1 = max(0, patch.y - pad + min(0, int(dy))), min(height, patch.y + patch.height + pad + max(0, int(dy)))
        weight = light.shadow * (1.0 if sprite.opacity is None else 0.35)
        cover = Image.fromarray((np.float32(255) * sprite.cover).astype(np.uint8))
        contact = Image.new("L", (x1 - x0, y1 - y0))
        contact.paste(cover, (patch.x - x0, patch.y - y0))
        contact = contact.filter(ImageFilter.BoxBlur(max(0.7, 0.006 * unit))).point(_FAINTER)
        # A wide shadow has no detail, so half the resolution is enough.
        step = 2 if blur > 2 and min(patch.shape) > 8 else 1
        thrown = Image.new("L", (-(-(x1 - x0) // step), -(-(y1 - y0) // step)))
        corner = (round((patch.x + dx - x0) / step), round((patch.y + dy - y0) / step))
        thrown.paste(cover.reduce(step) if step > 1 else cover, corner)
        thrown = thrown.filter(ImageFilter.GaussianBlur(blur / step))
        if step > 1:
            thrown = thrown.resize(contact.size, Image.Resampling.BILINEAR)
        shade = np.asarray(ImageChops.lighter(contact, thrown), np.float32)
        dark = 1 - np.float32(weight / 255) * shade
        self.picture[y0:y1, x0:x1] *= dark[..., None]

    def masks(self) -> NDArray[np.bool_]:
        """Visible masks bool (N, H, W) of all objects of which enough is visible."""
        seen = np.bincount(self._top.ravel(), minlength=self.count + 1)[1:]
        kept = [
            index + 1
            for index, (visible, area) in enumerate(zip(seen, self._areas, strict=True))
            if visible >= max(_SMALLEST_VISIBLE, _SMALLEST_SHARE * area)
        ]
        return self._top[None] == np.array(kept, np.int16).reshape(-1, 1, 1)
