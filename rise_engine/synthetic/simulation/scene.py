"""Simulated totes: things fall into a container, and a camera takes photos of the heap."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from rise_engine.project.frame import LabelledFrame
from rise_engine.synthetic.camera import photograph
from rise_engine.synthetic.simulation.arrangement import sample_scene
from rise_engine.synthetic.simulation.camera import expose, sample_pose, shade_recesses
from rise_engine.synthetic.simulation.materials import MaterialStock
from rise_engine.synthetic.simulation.physics import build_model, settle
from rise_engine.synthetic.simulation.render import Rendering, render
from rise_engine.synthetic.textures import TextureAtlas

SMALLEST_VISIBLE = 16
"""Pixels below which the visible part of a thing is a sliver and no object."""
SMALLEST_SHARE = 2e-4
"""The same as a share of the shorter side squared, because slivers grow with the size of the frame."""
_ATTEMPTS = 8


class ToteSimulator:
    """Simulates totes; needs the extra ``starter``.

    The stock of textures follows from ``seed`` and ``texture_count``; with them fixed, frames follow from their
    generator alone, on one machine and one version of MuJoCo.
    """

    def __init__(self, seed: int = 0, texture_count: int = 96) -> None:
        self._atlas = TextureAtlas(np.random.default_rng(seed), texture_count)
        self._stock = MaterialStock(self._atlas)

    def simulate(self, rng: np.random.Generator, *, size: tuple[int, int], views: int = 1) -> list[LabelledFrame]:
        """Photos of ``size`` (H, W) of one settled scene from several poses.

        Masks are the visible parts and disjoint; a frame may have none. Raises ``RuntimeError`` if no scene settles.
        """
        for _ in range(_ATTEMPTS):
            scene = sample_scene(rng, self._stock)
            model = build_model(scene, size)
            data = settle(model)
            if data is None:
                continue
            poses = [sample_pose(rng, scene.container, size) for _ in range(views)]
            return [self._photo(rng, rendering) for rendering in render(model, data, poses, size)]
        raise RuntimeError(f"None of {_ATTEMPTS} simulated scenes settled.")

    def _photo(self, rng: np.random.Generator, rendering: Rendering) -> LabelledFrame:
        picture = rendering.picture.astype(np.float32) / np.float32(255)
        picture = shade_recesses(picture, rendering.depth, rng.uniform(0.1, 0.7))
        image = photograph(rng, expose(rng, picture), self._atlas)
        masks = visible_masks(rendering.things)
        return LabelledFrame("", image, masks, np.zeros(len(masks), np.int64))


def visible_masks(things: NDArray[np.int32]) -> NDArray[np.bool_]:
    """Masks bool (N, H, W) of all things in an instance map (H, W) that show more than a sliver."""
    smallest = max(SMALLEST_VISIBLE, SMALLEST_SHARE * min(things.shape) ** 2)
    counts = np.bincount(things.ravel())
    kept = [number for number in range(1, len(counts)) if counts[number] >= smallest]
    return things[None] == np.array(kept, np.int32).reshape(-1, 1, 1)
