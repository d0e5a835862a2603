"""Rasterise shapes and warp textures inside the rectangle of a frame that one object covers."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image, ImageDraw, ImageFilter

Points = NDArray[np.float32]
Plane = NDArray[np.float32]
_OVERSAMPLING = 2


class Patch:
    """The rectangle of the frame around ``points`` (n, 2) in x, y pixels, clipped to the frame ``size`` (H, W)."""

    def __init__(self, points: ArrayLike, size: tuple[int, int], *, margin: float = 2.0) -> None:
        spots = np.asarray(points, np.float32).reshape(-1, 2)
        low = np.floor(spots.min(0) - margin)
        high = np.ceil(spots.max(0) + margin)
        self.x = int(np.clip(low[0], 0, size[1]))
        self.y = int(np.clip(low[1], 0, size[0]))
        self.width = int(np.clip(high[0], 0, size[1])) - self.x
        self.height = int(np.clip(high[1], 0, size[0])) - self.y

    @property
    def empty(self) -> bool:
        """Whether nothing of the rectangle lies inside the frame."""
        return self.width < 3 or self.height < 3

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self.height, self.width

    def grid(self, origin: ArrayLike, angle: float) -> tuple[Plane, Plane]:
        """Every pixel centre's place along and across the direction ``angle``, seen from ``origin``, in pixels."""
        ox, oy = np.asarray(origin, np.float32)
        x = np.arange(self.x, self.x + self.width, dtype=np.float32)[None, :] + np.float32(0.5 - ox)
        y = np.arange(self.y, self.y + self.height, dtype=np.float32)[:, None] + np.float32(0.5 - oy)
        cos, sin = np.float32(np.cos(angle)), np.float32(np.sin(angle))
        return x * cos + y * sin, y * cos - x * sin

    def warp(self, picture: NDArray[np.uint8], quad: ArrayLike) -> NDArray[np.float32]:
        """``picture`` (h, w, 3) laid onto the four corners ``quad`` (top left, then clockwise), float32 0..1."""
        corners = np.asarray(quad, np.float64) - (self.x, self.y)
        h, w = picture.shape[:2]
        inset = 0.75
        targets = np.array([(inset, inset), (w - inset, inset), (w - inset, h - inset), (inset, h - inset)])
        rows = []
        for (x, y), (u, v) in zip(corners, targets, strict=True):
            rows.append((x, y, 1, 0, 0, 0, -u * x, -u * y))
            rows.append((0, 0, 0, x, y, 1, -v * x, -v * y))
        system = np.array(rows) + 1e-9 * np.eye(8)
        factors = np.linalg.solve(system, targets.reshape(-1))
        warped = Image.fromarray(np.ascontiguousarray(picture)).transform(
            (self.width, self.height), Image.Transform.PERSPECTIVE, tuple(factors), Image.Resampling.BILINEAR
        )
        return np.asarray(warped, np.float32) / np.float32(255)


class Stencil:
    """Draws one coverage plane of a patch, with smooth edges."""

    def __init__(self, patch: Patch) -> None:
        self._origin = np.array((patch.x, patch.y), np.float32)
        self._image = Image.new("L", (patch.width * _OVERSAMPLING, patch.height * _OVERSAMPLING))
        self._pen = ImageDraw.Draw(self._image)

    def _scaled(self, points: ArrayLike) -> NDArray[np.float32]:
        return (np.asarray(points, np.float32).reshape(-1, 2) - self._origin) * _OVERSAMPLING

    def polygon(self, points: ArrayLike, value: int = 255) -> Stencil:
        """Fill the closed outline ``points`` (n, 2)."""
        self._pen.polygon(self._scaled(points).ravel().tolist(), fill=value)
        return self

    def disc(self, centre: ArrayLike, radius: float, value: int = 255) -> Stencil:
        """Fill a circle."""
        (x, y), r = self._scaled(centre)[0].tolist(), max(0.5, radius * _OVERSAMPLING)
        self._pen.ellipse((x - r, y - r, x + r, y + r), fill=value)
        return self

    def stroke(self, points: ArrayLike, width: float, value: int = 255) -> Stencil:
        """Draw a thick line through ``points`` with round ends."""
        path = self._scaled(points)
        thick = max(1, round(width * _OVERSAMPLING))
        self._pen.line(path.ravel().tolist(), fill=value, width=thick, joint="curve")
        for x, y in (path[0].tolist(), path[-1].tolist()):
            r = thick / 2
            self._pen.ellipse((x - r, y - r, x + r, y + r), fill=value)
        return self

    def plane(self) -> Plane:
        """What was drawn, float32 (h, w) in 0..1."""
        return np.asarray(self._image.reduce(_OVERSAMPLING), np.float32) / np.float32(255)


def circle(centre: ArrayLike, radius: float, *, squash: float = 1.0, angle: float = 0.0, count: int = 28) -> Points:
    """The outline (count, 2) of an ellipse whose radius along ``angle`` is ``radius * squash``."""
    turn = np.linspace(0, 2 * np.pi, count, endpoint=False, dtype=np.float32)
    along, across = radius * squash * np.cos(turn), radius * np.sin(turn)
    cos, sin = np.cos(angle), np.sin(angle)
    offset = np.stack([along * cos - across * sin, along * sin + across * cos], 1)
    return (np.asarray(centre, np.float32) + offset).astype(np.float32)


def smooth(plane: Plane, radius: float) -> Plane:
    """The plane 0..1 blurred with a deviation of about ``radius`` pixels; wide blurs are made at half size."""
    picture = Image.fromarray((np.float32(255) * np.clip(plane, 0, 1)).astype(np.uint8))
    if radius < 2.5 or min(picture.size) < 8:
        blurred = picture.filter(ImageFilter.GaussianBlur(max(0.3, radius)))
    else:
        half = picture.reduce(2).filter(ImageFilter.GaussianBlur(radius / 2))
        blurred = half.resize(picture.size, Image.Resampling.BILINEAR)
    return np.asarray(blurred, np.float32) * np.float32(1 / 255)
