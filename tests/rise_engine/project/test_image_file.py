from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from rise_engine.errors import RiseError
from rise_engine.project import image_file
from rise_engine.project.image_file import read_header, read_image


def _turned(path: Path, orientation: int) -> np.ndarray:
    pixels = np.zeros((40, 60, 3), dtype=np.uint8)
    pixels[:20, :30] = (255, 0, 0)
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(pixels).save(path, exif=exif)
    return pixels


@pytest.mark.parametrize(("orientation", "turn"), [(1, 0), (3, 2), (6, 3), (8, 1)])
def test_exif_orientation_is_applied_once(tmp_path: Path, orientation: int, turn: int) -> None:
    path = tmp_path / "turned.png"
    pixels = _turned(path, orientation)
    expected = np.rot90(pixels, turn)
    picture = read_image(path)
    assert (picture.pixels == expected).all()
    header = read_header(path)
    assert (header.height, header.width) == expected.shape[:2] == (picture.height, picture.width)


@pytest.mark.parametrize("suffix", ["tif", "jpg", "png", "webp"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_format_and_orientation_is_upright_as_pillow_has_it(
    tmp_path: Path, suffix: str, orientation: int
) -> None:
    path = tmp_path / f"turned.{suffix}"
    _turned(path, orientation)
    expected = ImageOps.exif_transpose(Image.open(path))
    header, whole, small = read_header(path), read_image(path), read_image(path, short_side=20)
    assert (header.width, header.height) == (whole.width, whole.height) == expected.size
    assert np.array_equal(whole.pixels, np.asarray(expected.convert("RGB")))
    assert (small.width, small.height) == expected.size
    assert small.pixels.shape == ((20, 30, 3) if expected.width == 60 else (30, 20, 3))


def test_jpeg_is_resized_to_the_short_side_after_turning(tmp_path: Path) -> None:
    path = tmp_path / "turned.jpg"
    exif = Image.Exif()
    exif[0x0112] = 6
    pixels = np.zeros((400, 800, 3), dtype=np.uint8)
    pixels[:, :400] = 255
    Image.fromarray(pixels).save(path, exif=exif, quality=95)
    picture = read_image(path, short_side=50)
    assert picture.pixels.shape == (100, 50, 3)
    assert (picture.width, picture.height) == (400, 800)
    # What was on the left is on top once the picture is turned clockwise.
    assert picture.pixels[:45].min() > 200
    assert picture.pixels[55:].max() < 50


def test_sixteen_bits_are_scaled_not_cut(tmp_path: Path) -> None:
    path = tmp_path / "deep.png"
    Image.fromarray(np.array([[0, 257, 32896, 65535]], dtype=np.uint16)).save(path)
    assert read_image(path).pixels[0, :, 0].tolist() == [0, 1, 128, 255]
    assert "16-bit" in str(read_header(path).conversion)


@pytest.mark.parametrize(("mode", "colour"), [("L", 90), ("RGBA", (90, 90, 90, 10)), ("P", 90), ("LA", (90, 200))])
def test_other_kinds_become_rgb_and_it_is_said(tmp_path: Path, mode: str, colour: int | tuple[int, ...]) -> None:
    path = tmp_path / "other.png"
    plain = Image.new("RGB", (6, 4), (90, 90, 90))
    (plain.quantize() if mode == "P" else Image.new(mode, (6, 4), colour)).save(path)
    pixels = read_image(path).pixels
    assert pixels.shape == (4, 6, 3)
    assert pixels.dtype == np.uint8
    assert (pixels == 90).all()
    assert read_header(path).conversion is not None


@pytest.mark.parametrize("suffix", ["jpg", "png", "tif", "bmp", "webp"])
def test_a_truncated_file_is_named(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"half.{suffix}"
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(noise).save(path)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(RiseError, match=f"half.{suffix}"):
        read_image(path)


def test_what_is_no_image_and_what_is_not_there_are_named(tmp_path: Path) -> None:
    (tmp_path / "text.jpg").write_text("hello")
    with pytest.raises(RiseError, match=r"text\.jpg"):
        read_header(tmp_path / "text.jpg")
    with pytest.raises(RiseError, match=r"absent\.jpg is missing"):
        read_image(tmp_path / "absent.jpg")


def test_the_size_is_checked_before_decoding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "large.png"
    Image.new("RGB", (50, 50)).save(path)
    monkeypatch.setattr(image_file, "MAX_PIXELS", 2499)

    def refuse(*_: object) -> None:
        raise AssertionError("decoded")

    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", refuse)
    with pytest.raises(RiseError, match=r"large\.png is larger"):
        read_image(path)
