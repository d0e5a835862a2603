"""The cache of decoded masks and outlines."""

from __future__ import annotations

import numpy as np
import pytest

from rise_engine.errors import RiseError
from rise_engine.project.segmentation import from_mask
from rise_napari.layers.mask_cache import MaskCache

SIZE = (30, 40)


def square(place: int, side: int = 8) -> np.ndarray:
    mask = np.zeros(SIZE, bool)
    mask[place : place + side, place : place + side] = True
    return mask


@pytest.mark.parametrize(
    "stored", [from_mask(square(3)), [[3.0, 3.0, 11.0, 3.0, 11.0, 11.0, 3.0, 11.0]]], ids=["run lengths", "polygon"]
)
def test_a_mask_is_decoded_once_and_another_mask_has_another_entry(stored: object) -> None:
    cache = MaskCache()
    patch = cache.decoded(stored, SIZE)
    assert np.array_equal(patch.whole(SIZE), square(3))
    assert cache.decoded(stored, SIZE) is patch
    assert np.array_equal(cache.decoded(from_mask(square(4)), SIZE).whole(SIZE), square(4))


def test_an_outline_is_computed_once_per_width() -> None:
    cache = MaskCache()
    stored = from_mask(square(3))
    thin, thick = (cache.outlined(stored, SIZE, width=width) for width in (1, 2))
    assert cache.outlined(stored, SIZE, width=1) is thin and cache.outlined(stored, SIZE, width=2) is thick
    assert (thin.row, thin.column, thin.mask.shape) == (3, 3, (8, 8))
    assert (thin.inner.sum(), thick.inner.sum()) == (6 * 6, 4 * 4)
    assert cache.decoded(stored, SIZE) is cache.decoded(stored, SIZE)


def test_a_cached_mask_is_still_refused_on_a_frame_of_another_size() -> None:
    cache = MaskCache()
    stored = from_mask(square(3))
    cache.decoded(stored, SIZE)
    with pytest.raises(RiseError):
        cache.decoded(stored, (40, 30))
    with pytest.raises(RiseError):
        cache.decoded(stored | {"size": [40, 30]}, SIZE)


def test_the_least_recently_used_entry_is_dropped() -> None:
    cache = MaskCache(max_bytes=2 * 8 * 8)
    first, second, third = (from_mask(square(place)) for place in (1, 2, 3))
    kept, dropped = cache.decoded(first, SIZE), cache.decoded(second, SIZE)
    assert cache.decoded(first, SIZE) is kept
    cache.decoded(third, SIZE)
    assert cache.decoded(first, SIZE) is kept
    assert cache.decoded(second, SIZE) is not dropped
