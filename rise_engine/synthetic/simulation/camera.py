"""The camera: its position, and the blur of its lens and shutter."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from rise_engine.synthetic.simulation.description import Container, Vector

MOST_TILT = 55.0
"""Degrees between the line of sight and the vertical, at most."""
FILL = (0.25, 1.1)
"""Between these is the longer side of the container over the side of the frame that it fills most."""


@dataclass(frozen=True, slots=True)
class CameraPose:
    """A camera that looks at ``target`` from ``distance`` metres.

    ``tilt`` degrees: 0 is straight from above. ``azimuth`` degrees turns it about the vertical. ``field_of_view`` is
    the vertical angle of the picture in degrees.
    """

    target: Vector
    distance: float
    tilt: float
    azimuth: float
    field_of_view: float


def sample_pose(rng: np.random.Generator, container: Container, size: tuple[int, int]) -> CameraPose:
    """A pose from which the container fills a part of a frame of ``size`` (height, width)."""
    tilt = abs(rng.normal(0, 12)) if rng.random() < 0.5 else rng.uniform(0, MOST_TILT)
    tilt = float(min(tilt, MOST_TILT))
    azimuth = 90.0 * int(rng.integers(4)) + rng.normal(0, 8) if rng.random() < 0.6 else rng.uniform(0, 360)
    fill = rng.uniform(*FILL) if rng.random() < 0.4 else rng.uniform(0.75, FILL[1])
    angle = rng.uniform(28, 60)
    a, b = container.half_sides
    turn = np.radians(azimuth)
    # MuJoCo's azimuth 90 shows the x axis from left to right.
    wide = abs(a * np.sin(turn)) + abs(b * np.cos(turn))
    high = (abs(a * np.cos(turn)) + abs(b * np.sin(turn))) * np.cos(np.radians(tilt)) + container.depth * 0.5 * np.sin(
        np.radians(tilt)
    )
    half_view = np.tan(np.radians(angle) / 2)
    aspect = size[1] / size[0]
    distance = max(wide / (half_view * aspect), high / half_view) / fill + container.depth
    shift = rng.normal(0, 0.08, 2) * (a, b)
    target = (float(shift[0]), float(shift[1]), container.depth * 0.3)
    return CameraPose(target, float(distance), tilt, float(azimuth), float(angle))


def shade_recesses(picture: NDArray[np.float32], depth: NDArray[np.float32], strength: float) -> NDArray[np.float32]:
    """Darkens gaps and contacts, where little light arrives: ambient occlusion from the ``depth`` (H, W) in metres.

    ``picture`` float (H, W, 3); a pixel is darker where its surroundings are nearer to the camera.
    """
    reach = 0.03 * float(np.median(depth))
    shade = np.zeros_like(depth)
    for share in (0.008, 0.025):
        radius = max(1.0, share * min(depth.shape))
        nearer = np.clip(depth - ndimage.uniform_filter(depth, 2 * round(radius) + 1, mode="nearest"), 0, reach)
        shade += nearer / reach
    shade = ndimage.uniform_filter(shade, 3, mode="nearest")
    factor = 1 - np.float32(strength) * np.clip(shade, 0, 1)
    return np.asarray(picture * factor[..., None], np.float32)


def motion_blur(picture: NDArray[np.float32], length: float, angle: float) -> NDArray[np.float32]:
    """Moves the picture float (H, W, 3) by ``length`` pixels along ``angle`` (radians) while the shutter is open."""
    steps = max(2, round(length) + 1)
    total = np.zeros_like(picture)
    for share in np.linspace(-0.5, 0.5, steps):
        offset = (share * length * np.sin(angle), share * length * np.cos(angle), 0)
        total += ndimage.shift(picture, offset, order=1, mode="nearest")
    return np.asarray(total / np.float32(steps), np.float32)


def expose(rng: np.random.Generator, picture: NDArray[np.float32]) -> NDArray[np.float32]:
    """Clips highlights softly, as a sensor's response does, and sometimes blurs by motion; float (H, W, 3), 0..1."""
    if rng.random() < 0.12:
        length = rng.uniform(0.004, 0.014) * min(picture.shape[:2])
        picture = motion_blur(picture, length, rng.uniform(0, np.pi))
    knee = np.float32(rng.uniform(0.75, 0.95))
    over = np.clip(picture - knee, 0, None)
    return np.minimum(picture, knee) + (1 - knee) * (1 - np.exp(-over / (1 - knee)))
