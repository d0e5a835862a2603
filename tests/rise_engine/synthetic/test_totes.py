"""Drawn totes: reproducible, with masks that tell the truth about the picture."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rise_engine.errors import RiseError
from rise_engine.synthetic import ToteArtist, write_sample_folder
from rise_engine.synthetic.artist import KINDS
from rise_engine.synthetic.studio import Light, Spot, Studio


@pytest.fixture(scope="module")
def artist() -> ToteArtist:
    return ToteArtist(seed=3, texture_count=12)


def test_a_generator_with_the_same_seed_draws_the_same_frame(artist: ToteArtist) -> None:
    first = artist.draw(np.random.default_rng(5), size=(120, 160))
    second = ToteArtist(seed=3, texture_count=12).draw(np.random.default_rng(5), size=(120, 160))
    other = artist.draw(np.random.default_rng(6), size=(120, 160))
    assert np.array_equal(first.image, second.image)
    assert np.array_equal(first.masks, second.masks)
    assert not np.array_equal(first.image, other.image)


@pytest.mark.parametrize("size", [(256, 344), (97, 64), (600, 400)])
def test_frames_have_the_promised_shapes_and_types(artist: ToteArtist, size: tuple[int, int]) -> None:
    frame = artist.draw(np.random.default_rng(1), size=size)
    assert frame.image.shape == (*size, 3)
    assert frame.image.dtype == np.uint8
    assert frame.masks.shape == (len(frame.categories), *size)
    assert frame.masks.dtype == np.bool_
    assert frame.categories.dtype == np.int64
    assert not frame.categories.any()
    assert frame.name == ""


def test_masks_are_disjoint_and_never_empty_and_counts_vary(artist: ToteArtist) -> None:
    counts = []
    for seed in range(40):
        masks = artist.draw(np.random.default_rng(seed), size=(192, 256)).masks
        assert masks.sum(0).max() <= 1
        assert masks.reshape(len(masks), -1).sum(1).min() >= 20
        counts.append(len(masks))
    assert min(counts) >= 1
    assert min(counts) <= 3
    assert 14 <= max(counts) <= 24


def test_max_objects_is_obeyed(artist: ToteArtist) -> None:
    assert (
        max(len(artist.draw(np.random.default_rng(seed), size=(128, 160), max_objects=3).masks) for seed in range(15))
        <= 3
    )


@pytest.mark.parametrize("kind", [painter for painter, _ in KINDS], ids=lambda painter: painter.__name__)
def test_every_kind_paints_something_that_differs_from_the_floor(kind, artist: ToteArtist) -> None:  # type: ignore[no-untyped-def]
    size = (200, 240)
    studio = Studio(
        size,
        Light.draw(np.random.default_rng(0)),
        artist._textures,
        np.array([120.0, 100.0], np.float32),
        500.0,
        np.full(3, 0.5, np.float32),
    )
    for seed in range(12):
        rng = np.random.default_rng(seed)
        sprite = kind(
            rng, Spot(float(rng.uniform(0, 240)), float(rng.uniform(0, 200)), float(rng.uniform(0, 6)), 200.0), studio
        )
        assert sprite is not None
        shape = sprite.patch.shape
        assert sprite.colour.shape == (*shape, 3)
        assert sprite.cover.shape == shape
        assert np.isfinite(sprite.colour).all()
        assert sprite.cover.min() >= 0 and sprite.cover.max() <= 1
        assert (sprite.cover > 0.5).sum() > 10
        strength = sprite.cover if sprite.opacity is None else sprite.opacity
        assert strength.shape == shape
        inside = sprite.cover > 0.5
        change = np.abs(strength[..., None] * (sprite.colour - 0.5))[inside]
        assert change.max() > 0.03
        assert np.count_nonzero(strength[sprite.cover == 0]) == 0


def test_sample_files_hold_the_returned_frames(tmp_path: Path) -> None:
    frames = write_sample_folder(tmp_path / "totes", count=3, seed=9, size=(120, 160))
    assert [frame.name for frame in frames] == ["tote_000.jpg", "tote_001.jpg", "tote_002.jpg"]
    assert sorted(path.name for path in (tmp_path / "totes").iterdir()) == [frame.name for frame in frames]
    for frame in frames:
        stored = np.asarray(Image.open(tmp_path / "totes" / frame.name)).astype(int)
        assert np.abs(stored - frame.image).mean() < 8


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(RiseError, match="file"):
        write_sample_folder(tmp_path / "file" / "totes", count=1)
