"""Image files: sizes from headers, pixels as RGB; limits are checked before anything is decoded."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from rise_engine.errors import RiseError

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp"})
MAX_PIXELS = 200_000_000
_FORMATS = ("JPEG", "PNG", "BMP", "TIFF", "WEBP")
"""Detected from the first bytes, not from the name. Pillow's other readers are slow or start other programs."""
_ORIENTATION = 0x0112
_SIXTEEN_BIT = frozenset({"I;16", "I;16L", "I;16B", "I;16N", "I"})


@dataclass(frozen=True, slots=True)
class ImageHeader:
    """Size in pixels after EXIF orientation; ``conversion`` describes what reading changes, None for nothing.

    ``orientation`` is the EXIF value, 1 to 8; from 5 on, the sensor has the sides swapped.
    """

    width: int
    height: int
    conversion: str | None
    orientation: int = 1


@dataclass(frozen=True, slots=True)
class Picture:
    """``pixels`` uint8 (H, W, 3) RGB; ``width`` and ``height`` are those of the file, before any resizing."""

    pixels: NDArray[np.uint8]
    width: int
    height: int


def read_header(path: Path) -> ImageHeader:
    """Size and mode without decoding. Raises RiseError that names the file."""
    with _opened(path) as image:
        width, height = _upright_size(image)
        return ImageHeader(width, height, _conversion(image.mode), _orientation(image))


def page_count(path: Path) -> int:
    """The number of pages of a TIFF, or of images of an animation; only the first is used.

    Raises RiseError that names the file.
    """
    with _opened(path) as image:
        return int(getattr(image, "n_frames", 1))


def read_image(path: Path, *, short_side: int | None = None) -> Picture:
    """The pixels as RGB with EXIF orientation applied, optionally resized to ``short_side`` at the shortest side.

    Raises RiseError that names the file when it is missing, broken or too large.
    """
    with _opened(path) as image:
        width, height = _upright_size(image)
        target = None if short_side is None else resized_size(width, height, short_side)
        if target is not None and target[0] < width:
            # JPEG can be decoded at a fraction of its size; the antialiased resize below does the rest.
            scale = target[0] / width
            image.draft(image.mode, (max(1, round(image.width * scale)), max(1, round(image.height * scale))))
        # Orientation before conversion: converting may drop the EXIF block.
        upright = _to_rgb(ImageOps.exif_transpose(image), path)
        if target is not None and upright.size != target:
            upright = upright.resize(target, Image.Resampling.BILINEAR)
        return Picture(np.array(upright, dtype=np.uint8), width, height)


def read_numbers(path: Path) -> NDArray[np.int32]:
    """The integers of an image with one channel, int32 (H, W); of a palette image the indices, not the colours.

    Raises RiseError that names the file when it is missing, broken, or in colour.
    """
    with _opened(path) as image:
        if image.mode not in _SIXTEEN_BIT | {"1", "L", "P"}:
            raise RiseError(f"The label image {path} is in colour, but it needs one number per pixel; unpack it again.")
        return np.asarray(image).astype(np.int32)


def resized_size(width: int, height: int, short_side: int) -> tuple[int, int]:
    """(width, height) with the shortest side at ``short_side`` and the same aspect ratio."""
    scale = short_side / min(width, height)
    return max(1, round(width * scale)), max(1, round(height * scale))


@contextmanager
def _opened(path: Path) -> Iterator[Image.Image]:
    try:
        with Image.open(path, formats=_FORMATS) as image:
            if image.width * image.height > MAX_PIXELS:
                raise Image.DecompressionBombError
            yield image
    except FileNotFoundError as error:
        raise RiseError(
            f"The image {path} is missing; restore it, or give the new place of the images with `rise relink`."
        ) from error
    except Image.DecompressionBombError as error:
        raise RiseError(
            f"The image {path} is larger than {MAX_PIXELS // 1_000_000} megapixels; "
            "scale it down or remove it from the folder."
        ) from error
    except RiseError:
        raise
    except Exception as error:  # decoders raise whatever a broken file leads them to
        raise RiseError(
            f"The image {path} cannot be read ({error}); replace it or remove it from the folder."
        ) from error


def _upright_size(image: Image.Image) -> tuple[int, int]:
    # Pillow reports the upright size of a TIFF and turns its pixels when it reads them.
    turned = image.format != "TIFF" and _orientation(image) >= 5
    return (image.height, image.width) if turned else (image.width, image.height)


def _orientation(image: Image.Image) -> int:
    value = image.getexif().get(_ORIENTATION, 1)
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def _to_rgb(image: Image.Image, path: Path) -> Image.Image:
    if image.mode in _SIXTEEN_BIT:
        grey = np.clip(np.asarray(image).astype(np.int64), 0, 65535)
        return Image.fromarray(((grey + 128) // 257).astype(np.uint8)).convert("RGB")
    if image.mode == "F":
        raise RiseError(f"The image {path} holds 32-bit numbers; save it with 8 or 16 bits per channel.")
    return image if image.mode == "RGB" else image.convert("RGB")


def _conversion(mode: str) -> str | None:
    if mode == "RGB":
        return None
    if mode in _SIXTEEN_BIT:
        return "16-bit grey, scaled to 8 bits and used as RGB"
    names = {
        "L": "grey",
        "LA": "grey with transparency",
        "RGBA": "transparency dropped",
        "P": "palette",
        "1": "black and white",
    }
    return f"{names.get(mode, mode)}, used as RGB"
