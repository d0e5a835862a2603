"""Set of textures and noise for the surfaces of all drawn totes."""

from __future__ import annotations

import warnings

import numpy as np
import skimage.data
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from rise_engine.synthetic.artwork import draw_package, draw_page, draw_pattern
from rise_engine.synthetic.palette import draw_colour

# Images inside the scikit-image wheel: reading them needs no network.
_BUNDLED = (
    "astronaut",
    "coffee",
    "chelsea",
    "rocket",
    "immunohistochemistry",
    "hubble_deep_field",
    "retina",
    "brick",
    "grass",
    "gravel",
    "page",
    "text",
    "coins",
    "camera",
    "moon",
)
_TILE = 512
_SCALES = (0.7, 1.6, 4.0, 10.0, 28.0, 70.0)


def bundled_images() -> list[NDArray[np.uint8]]:
    """RGB images uint8 (h, w, 3) of the installed scikit-image, each at most about 512 pixels high."""
    pictures = []
    for name in _BUNDLED:
        picture = np.asarray(getattr(skimage.data, name)())
        if picture.ndim == 2:
            picture = np.repeat(picture[..., None], 3, axis=2)
        step = max(1, min(picture.shape[:2]) // 300)
        pictures.append(np.ascontiguousarray(picture[::step, ::step, :3].astype(np.uint8)))
    return pictures


class TextureAtlas:
    """Noise at several scales, package faces, pages, patterns and photos, made once.

    ``count`` is the number of package faces; pages and patterns are in proportion. Every use recolours, flips and
    crops its texture, so a small set is enough.
    """

    def __init__(self, rng: np.random.Generator, count: int = 96) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self._photos = bundled_images()
        self._packages = [draw_package(rng, self._photos) for _ in range(count)]
        self._pages = [draw_page(rng, self._photos) for _ in range(max(4, count // 5))]
        self._patterns = [draw_pattern(rng) for _ in range(max(6, count // 4))]
        white = rng.standard_normal((_TILE, _TILE)).astype(np.float32)
        self._noise = []
        for scale in _SCALES:
            tile = ndimage.gaussian_filter(white, scale, mode="wrap")
            tile = (tile - tile.mean()) / tile.std()
            self._noise.append(np.tile(tile, (2, 2)))

    def noise(self, rng: np.random.Generator, shape: tuple[int, int], scale: float) -> NDArray[np.float32]:
        """Smooth noise float32 ``shape``, mean 0 and deviation 1; ``scale`` is the size of its spots in pixels."""
        tile = self._noise[int(np.argmin([abs(np.log(scale / known)) for known in _SCALES]))]
        height, width = shape
        y, x = (int(v) for v in rng.integers(0, _TILE, 2))
        if height <= _TILE and width <= _TILE:
            return tile[y : y + height, x : x + width]
        return tile[np.ix_((np.arange(height) + y) % _TILE, (np.arange(width) + x) % _TILE)]

    def package(self, rng: np.random.Generator, shape: tuple[int, int]) -> NDArray[np.uint8]:
        """A package face uint8 (h, w, 3)."""
        kind = rng.random()
        if kind < 0.08:
            source = self._photos[int(rng.integers(len(self._photos)))]
        elif kind < 0.2:
            source = self._patterns[int(rng.integers(len(self._patterns)))]
        else:
            source = self._packages[int(rng.integers(len(self._packages)))]
        return self._take(rng, source, shape, smallest=0.45, recolour=True)

    def page(self, rng: np.random.Generator, shape: tuple[int, int]) -> NDArray[np.uint8]:
        """A page of text uint8 (h, w, 3), upright or upside down."""
        return self._take(rng, self._pages[int(rng.integers(len(self._pages)))], shape, smallest=0.8, recolour=False)

    def photo(self, rng: np.random.Generator, shape: tuple[int, int]) -> NDArray[np.uint8]:
        """A piece of a photo uint8 (h, w, 3)."""
        source = self._photos[int(rng.integers(len(self._photos)))]
        return self._take(rng, source, shape, smallest=0.3, recolour=True)

    def _take(
        self,
        rng: np.random.Generator,
        source: NDArray[np.uint8],
        shape: tuple[int, int],
        *,
        smallest: float,
        recolour: bool,
    ) -> NDArray[np.uint8]:
        height, width = max(2, shape[0]), max(2, shape[1])
        if rng.random() < 0.5:
            source = source[::-1, ::-1]
        if recolour and (height > width) != (source.shape[0] > source.shape[1]) and rng.random() < 0.8:
            source = source.transpose(1, 0, 2)[::-1]
        share = rng.uniform(smallest, 1.0)
        h, w = source.shape[0] * share, source.shape[1] * share
        y, x = rng.uniform(0, source.shape[0] - h), rng.uniform(0, source.shape[1] - w)
        cut = source[int(y) : int(y + h) + 1, int(x) : int(x + w) + 1]
        picture = np.asarray(
            Image.fromarray(np.ascontiguousarray(cut)).resize(
                (width, height), Image.Resampling.BILINEAR, reducing_gap=2.0
            )
        )
        return _recolour(rng, picture) if recolour else picture


def _recolour(rng: np.random.Generator, picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    kind = rng.random()
    if kind < 0.35:
        return picture
    if kind < 0.65:
        return picture[..., rng.permutation(3)]
    if kind < 0.75:
        return 255 - picture
    dark, light = draw_colour(rng), draw_colour(rng)
    steps = np.linspace(0, 1, 256, dtype=np.float32)[:, None]
    ramp = (255 * (dark * (1 - steps) + light * steps)).astype(np.uint8)
    return ramp[picture[..., 1]]
