"""Camera of a synthetic frame: exposure, colour cast, vignetting, blur, noise and JPEG compression."""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from rise_engine.synthetic.textures import TextureAtlas


def _falloff(rng: np.random.Generator, size: tuple[int, int]) -> NDArray[np.float32]:
    """Uneven light over the frame: one side brighter, corners darker."""
    height, width = size
    x = np.linspace(-1, 1, width, dtype=np.float32)[None, :]
    y = np.linspace(-1, 1, height, dtype=np.float32)[:, None]
    angle, tilt, corner = rng.uniform(0, 6.28), rng.uniform(0, 0.3), rng.uniform(0, 0.22)
    return (
        1
        + np.float32(tilt * np.cos(angle)) * x
        + np.float32(tilt * np.sin(angle)) * y
        - np.float32(corner) * (x * x + y * y)
    )


def photograph(rng: np.random.Generator, scene: NDArray[np.float32], textures: TextureAtlas) -> NDArray[np.uint8]:
    """The scene float32 (H, W, 3), about 0..1, as a photo uint8 of the same size."""
    size = (scene.shape[0], scene.shape[1])
    # Like a camera, expose for the frame's mean brightness, but only part of the way.
    mean = float(scene[::4, ::4].mean())
    exposure = (rng.uniform(0.36, 0.56) / max(mean, 0.05)) ** rng.uniform(0.2, 0.8) * float(
        np.exp(rng.normal(0.0, 0.12))
    )
    balance = np.exp(rng.normal(0, 0.06, 3)).astype(np.float32)
    gamma = float(np.exp(rng.normal(0, 0.14)))
    noise = rng.uniform(0, 6) ** 1.3
    dark = rng.random() < 0.07
    if dark:
        exposure *= rng.uniform(0.2, 0.55)
        noise += 3
    factor = _falloff(rng, size) * np.float32(255 * exposure)
    photo = scene * factor[..., None]
    photo *= balance
    if rng.random() < 0.5:
        scale, strength = (0.7 if rng.random() < 0.6 else 1.6), np.float32(0.6 * noise)
        for channel in range(3):
            photo[..., channel] += textures.noise(rng, size, scale) * strength
    levels = np.linspace(0, 1, 256) ** gamma
    contrast = rng.uniform(0.82, 1.15)
    haze = rng.uniform(0, 0.12) if rng.random() < 0.3 else 0.0
    pivot = 0.0 if dark else 0.5
    levels = np.clip((levels - pivot) * contrast + pivot, 0, 1) * (1 - haze) + haze
    table = np.repeat((255 * levels).astype(np.uint8)[None], 3, 0).reshape(-1).tolist()
    picture = Image.fromarray(np.clip(photo, 0, 255).astype(np.uint8)).point(table)
    if rng.random() < 0.65:
        picture = picture.filter(ImageFilter.BoxBlur(float(rng.uniform(0.15, 1.0) ** 2 * 1.3 * min(size) / 256)))
    elif rng.random() < 0.3:
        picture = picture.filter(ImageFilter.UnsharpMask(1.5, int(rng.integers(40, 160)), 0))
    if rng.random() < 0.3:
        stream = io.BytesIO()
        picture.save(stream, "JPEG", quality=int(rng.integers(25, 92)))
        picture = Image.open(stream)
    return np.array(picture)
