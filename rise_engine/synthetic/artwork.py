"""Textures with print: faces of packages, labels, pages and patterns, drawn once and reused."""

from __future__ import annotations

import math
from functools import cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from rise_engine.synthetic.palette import draw_colour, to_bytes, vary

Picture = NDArray[np.uint8]
Box = tuple[int, int, int, int]
_LETTERS = "AAABCDEEEEFGHIIIKLLMNNOOOPRRSSTTTUVWXYZ"


@cache
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)


def _word(rng: np.random.Generator, longest: int = 9) -> str:
    word = "".join(_LETTERS[i] for i in rng.integers(0, len(_LETTERS), rng.integers(2, longest + 1)))
    return word if rng.random() < 0.6 else word.capitalize()


def _corner_box(rng: np.random.Generator, width: int, height: int, low: float, high: float) -> Box:
    w, h = int(width * rng.uniform(low, high)), int(height * rng.uniform(low, high))
    x, y = int(rng.integers(-w // 4, width - w // 2)), int(rng.integers(-h // 4, height - h // 2))
    return x, y, x + max(w, 4), y + max(h, 4)


def _lines_of_text(rng: np.random.Generator, pen: ImageDraw.ImageDraw, box: Box, ink: tuple[int, ...]) -> None:
    size = int(rng.integers(5, 11))
    x0, y0, x1, y1 = box
    for y in range(y0, y1, size + int(rng.integers(1, 4))):
        if rng.random() < 0.12:
            continue
        line = " ".join(_word(rng, 8).lower() for _ in range(max(1, (x1 - x0) // (size * 4))))
        pen.text((x0, y), line, fill=ink, font=_font(size))


def _bars(rng: np.random.Generator, pen: ImageDraw.ImageDraw, box: Box) -> None:
    x0, y0, x1, y1 = box
    pen.rectangle((x0, y0, x1, y1), fill=(250, 250, 250))
    x = x0 + 3
    while x < x1 - 3:
        thickness = int(rng.integers(1, 4))
        pen.rectangle((x, y0 + 3, x + thickness - 1, y1 - 6), fill=(12, 12, 12))
        x += thickness + int(rng.integers(1, 4))


def _star(rng: np.random.Generator, pen: ImageDraw.ImageDraw, box: Box, ink: tuple[int, ...]) -> None:
    x0, y0, x1, y1 = box
    spikes, inner = int(rng.integers(5, 18)), rng.uniform(0.5, 0.9)
    points = []
    for index in range(2 * spikes):
        radius = inner if index % 2 else 1.0
        angle = math.pi * index / spikes
        points.append(
            (
                (x0 + x1) / 2 + radius * (x1 - x0) / 2 * math.cos(angle),
                (y0 + y1) / 2 + radius * (y1 - y0) / 2 * math.sin(angle),
            )
        )
    pen.polygon(points, fill=ink)


def _paste_photo(rng: np.random.Generator, picture: Image.Image, photo: Picture, box: Box) -> None:
    w, h = box[2] - box[0], box[3] - box[1]
    side = int(rng.integers(60, min(photo.shape[:2])))
    y, x = int(rng.integers(0, photo.shape[0] - side)), int(rng.integers(0, photo.shape[1] - side))
    cut = Image.fromarray(photo[y : y + side, x : x + side]).resize((w, h), Image.Resampling.BILINEAR)
    stencil = Image.new("L", (w, h), 0)
    pen = ImageDraw.Draw(stencil)
    if rng.random() < 0.5:
        pen.ellipse((0, 0, w - 1, h - 1), fill=255)
    else:
        pen.rounded_rectangle((0, 0, w - 1, h - 1), radius=int(rng.integers(0, 12)), fill=255)
    picture.paste(cut, box[:2], stencil)


def draw_package(rng: np.random.Generator, photos: list[Picture], size: tuple[int, int] = (160, 224)) -> Picture:
    """A package face uint8 (h, w, 3): colour fields, big words, small print, photos, bar codes."""
    height, width = size
    base = draw_colour(rng)
    picture = Image.new("RGB", (width, height), to_bytes(base))
    pen = ImageDraw.Draw(picture)
    inks = [to_bytes(draw_colour(rng)) for _ in range(4)]
    for _ in range(int(rng.integers(0, 4))):
        ink = inks[int(rng.integers(4))]
        shape = rng.random()
        if shape < 0.4:
            edge = int(height * rng.uniform(0.1, 0.9))
            pen.rectangle((0, edge, width, edge + int(height * rng.uniform(0.08, 0.6))), fill=ink)
        elif shape < 0.6:
            slope = rng.uniform(-0.6, 0.6) * height
            start = height * rng.uniform(0.2, 0.8)
            pen.polygon([(0, start), (width, start + slope), (width, height), (0, height)], fill=ink)
        elif shape < 0.8:
            pen.ellipse(_corner_box(rng, width, height, 0.3, 1.0), fill=ink)
        else:
            _star(rng, pen, _corner_box(rng, width, height, 0.3, 0.8), ink)
    for _ in range(int(rng.integers(0, 3))):
        _paste_photo(rng, picture, photos[int(rng.integers(len(photos)))], _corner_box(rng, width, height, 0.25, 0.75))
    for _ in range(int(rng.integers(0, 4))):
        place = (int(rng.integers(-10, width // 2)), int(rng.integers(0, height - 20)))
        font_size = int(rng.choice([14, 20, 28, 40, 56]))
        word = _word(rng)
        ink = inks[int(rng.integers(4))]
        edge_ink = inks[int(rng.integers(4))]
        pen.text(
            place, word, fill=ink, font=_font(font_size), stroke_width=int(rng.integers(0, 4)), stroke_fill=edge_ink
        )
    if rng.random() < 0.5:
        _lines_of_text(rng, pen, _corner_box(rng, width, height, 0.2, 0.5), inks[int(rng.integers(4))])
    if rng.random() < 0.25:
        _bars(rng, pen, _corner_box(rng, width, height, 0.15, 0.3))
    return np.asarray(picture)


def draw_page(rng: np.random.Generator, photos: list[Picture], size: tuple[int, int] = (224, 160)) -> Picture:
    """A printed or ruled page uint8 (h, w, 3)."""
    height, width = size
    paper = np.array([0.95, 0.94, 0.9], np.float32) * rng.uniform(0.8, 1.05)
    picture = Image.new("RGB", (width, height), to_bytes(vary(rng, paper, 0.04)))
    pen = ImageDraw.Draw(picture)
    ink = (int(rng.integers(10, 110)),) * 3
    margin = int(rng.integers(8, 24))
    style = rng.random()
    if style < 0.7:
        _lines_of_text(rng, pen, (margin, margin, width - margin, height - margin), ink)
        for _ in range(int(rng.integers(0, 3))):
            box = _corner_box(rng, width, height, 0.2, 0.5)
            if rng.random() < 0.5:
                _paste_photo(rng, picture, photos[int(rng.integers(len(photos)))], box)
            else:
                pen.rectangle(box, fill=to_bytes(draw_colour(rng)))
    elif style < 0.9:
        for y in range(margin, height, int(rng.integers(6, 12))):
            pen.line((0, y, width, y), fill=(150, 170, 210))
    return np.asarray(picture)


def draw_pattern(rng: np.random.Generator, size: tuple[int, int] = (160, 160)) -> Picture:
    """A regular pattern uint8 (h, w, 3): stripes, checks, dots or a smooth change of colour."""
    height, width = size
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    angle = rng.uniform(0, math.pi)
    along = x * math.cos(angle) + y * math.sin(angle)
    across = y * math.cos(angle) - x * math.sin(angle)
    period = float(np.exp(rng.uniform(math.log(4), math.log(60))))
    kind = rng.random()
    if kind < 0.35:
        share = (np.sin(along * 2 * math.pi / period) > rng.uniform(-0.7, 0.7)).astype(np.float32)
    elif kind < 0.55:
        share = (np.sin(along * 2 * math.pi / period) * np.sin(across * 2 * math.pi / period) > 0).astype(np.float32)
    elif kind < 0.75:
        dots = np.cos(along * 2 * math.pi / period) + np.cos(across * 2 * math.pi / period)
        share = (dots > rng.uniform(0.2, 1.4)).astype(np.float32)
    else:
        share = 0.5 + 0.5 * np.sin(along * math.pi / max(height, width) + rng.uniform(0, 6))
    first, second = draw_colour(rng), draw_colour(rng)
    mixed = share[..., None] * first + (1 - share[..., None]) * second
    return (255 * mixed).astype(np.uint8)
