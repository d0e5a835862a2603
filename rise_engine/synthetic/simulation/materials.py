"""Surfaces of things and containers: printed, plain, metal, clear, cloth, wood and cardboard."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image

from rise_engine.synthetic.palette import Colour, draw_colour, vary
from rise_engine.synthetic.simulation.description import Material
from rise_engine.synthetic.simulation.meshes import FACE_COLUMNS, FACE_ROWS
from rise_engine.synthetic.textures import TextureAtlas

_SIDE = 96
"""Pixels of the shorter side of a texture."""
_CARDBOARD = np.array((0.66, 0.5, 0.34), np.float32)
_WOOD = np.array((0.62, 0.45, 0.28), np.float32)
_STEEL = np.array((0.6, 0.61, 0.63), np.float32)
_VIVID = ((0.85, 0.1, 0.1), (0.1, 0.3, 0.8), (0.95, 0.8, 0.1), (0.1, 0.6, 0.25), (0.95, 0.5, 0.1), (0.9, 0.9, 0.9))


class MaterialStock:
    """Makes materials from a stock of artwork that is drawn once."""

    def __init__(self, atlas: TextureAtlas) -> None:
        self._atlas = atlas

    def plain(self, rng: np.random.Generator) -> Material:
        """Painted or moulded material of one colour, matt or glossy."""
        return _glossy(rng, draw_colour(rng))

    def vivid(self, rng: np.random.Generator) -> Material:
        """A strong colour, as of toys and plastic parts."""
        base = np.array(_VIVID[int(rng.integers(len(_VIVID)))], np.float32)
        return _glossy(rng, vary(rng, base, 0.1))

    def metal(self, rng: np.random.Generator) -> Material:
        """Bare metal: grey or tinted, with streaks and strong highlights."""
        colour = vary(rng, _STEEL * np.float32(rng.uniform(0.45, 1.45)), 0.03)
        if rng.random() < 0.12:
            colour = vary(rng, np.array((0.72, 0.52, 0.25), np.float32), 0.08)
        shape = (48, 48)
        noise = self._atlas.noise(rng, shape, float(rng.choice([1.6, 4.0, 10.0])))
        streaks = np.repeat(noise.mean(0, keepdims=True), shape[0], 0) * 3
        shade = 1 + rng.uniform(0.02, 0.14) * (noise * 0.5 + streaks)
        return Material(
            (1, 1, 1, 1), _image(colour * shade[..., None]), specular=rng.uniform(0.5, 1), shininess=rng.uniform(0.4, 1)
        )

    def clear(self, rng: np.random.Generator) -> Material:
        """Glass or clear plastic, sometimes tinted."""
        colour = vary(rng, np.full(3, rng.uniform(0.55, 1.0), np.float32), 0.05)
        if rng.random() < 0.3:
            colour = draw_colour(rng)
        red, green, blue = (float(channel) for channel in colour)
        return Material((red, green, blue, rng.uniform(0.2, 0.55)), specular=1.0, shininess=rng.uniform(0.6, 1.0))

    def printed(self, rng: np.random.Generator, shape: tuple[int, int] = (_SIDE, 128)) -> Material:
        """A label or package print that covers the surface once."""
        return Material(
            (1, 1, 1, 1),
            self._atlas.package(rng, shape),
            specular=rng.uniform(0, 0.7),
            shininess=rng.uniform(0.1, 0.9),
        )

    def printed_faces(self, rng: np.random.Generator, half_sides: ArrayLike) -> Material:
        """Prints for the six sides of ``meshes.printed_box``: the large sides show artwork, others may be plain."""
        x, y, z = (float(side) for side in np.asarray(half_sides))
        base = draw_colour(rng)
        front = self._face(rng, (x, y), base, plain=0.1)
        faces = [
            front,
            front if rng.random() < 0.3 else self._face(rng, (x, y), base, plain=0.2),
            self._face(rng, (y, z), base, plain=0.4),
            self._face(rng, (y, z), base, plain=0.4),
            self._face(rng, (x, z), base, plain=0.4),
            self._face(rng, (x, z), base, plain=0.4),
        ]
        return _of_faces(faces, specular=rng.uniform(0, 0.6), shininess=rng.uniform(0.1, 0.8))

    def page_faces(self, rng: np.random.Generator, half_sides: ArrayLike) -> Material:
        """The six sides of a book: printed covers, a coloured back, and paper edges."""
        x, y, _ = (float(side) for side in np.asarray(half_sides))
        cover, base = self._face(rng, (x, y), draw_colour(rng), plain=0.1), draw_colour(rng)
        paper = _image(np.full((_SIDE, _SIDE, 3), 0.88, np.float32) * rng.uniform(0.85, 1.05, (_SIDE, 1, 1)))
        return _of_faces([cover, cover, paper, _plain_face(base), paper, paper], specular=0.2, shininess=0.4)

    def cardboard(self, rng: np.random.Generator) -> Material:
        """Brown or white carton, sometimes with print or tape."""
        colour = vary(rng, _CARDBOARD * np.float32(rng.uniform(0.75, 1.3)), 0.05)
        if rng.random() < 0.15:
            colour = vary(rng, np.full(3, 0.85, np.float32), 0.06)
        picture = self._grained(rng, colour, 0.03, (_SIDE, _SIDE))
        if rng.random() < 0.35:
            picture = self._stamped(rng, picture)
        return Material((1, 1, 1, 1), picture, specular=0.05, shininess=0.1)

    def wood(self, rng: np.random.Generator) -> Material:
        """Boards with grain along one direction."""
        colour = vary(rng, _WOOD * np.float32(rng.uniform(0.5, 1.45)), 0.08)
        fine = self._atlas.noise(rng, (_SIDE, _SIDE), 1.6)
        rows = np.asarray(Image.fromarray(fine[:, :6].copy()).resize((_SIDE, _SIDE), Image.Resampling.BICUBIC))
        shade = 1 + rng.uniform(0.05, 0.2) * rows
        return Material(
            (1, 1, 1, 1), _image(colour * shade[..., None]), specular=rng.uniform(0, 0.4), shininess=rng.uniform(0, 0.6)
        )

    def cloth(self, rng: np.random.Generator) -> Material:
        """A matt woven surface: plain, patterned or striped."""
        if rng.random() < 0.4:
            picture = self._atlas.package(rng, (_SIDE, _SIDE))
        else:
            picture = self._grained(rng, draw_colour(rng), rng.uniform(0.04, 0.14), (_SIDE, _SIDE))
        times = float(rng.uniform(1, 4))
        return Material((1, 1, 1, 1), picture, (times, times), specular=0.0, shininess=0.0)

    def paper_page(self, rng: np.random.Generator) -> Material:
        """A printed page."""
        return Material((1, 1, 1, 1), self._atlas.page(rng, (128, _SIDE)), specular=0.05, shininess=0.1)

    def wall(self, rng: np.random.Generator, colour: NDArray[np.float32]) -> Material:
        """A wall or floor of a plastic container: nearly one colour, with stains and scratches."""
        scale = float(rng.choice([1.6, 4.0, 28.0]))
        shade = 1 + rng.uniform(0.01, 0.08) * self._atlas.noise(rng, (_SIDE, _SIDE), scale)
        return Material(
            (1, 1, 1, 1), _image(colour * shade[..., None]), specular=rng.uniform(0, 0.7), shininess=rng.uniform(0, 0.9)
        )

    def ground(self, rng: np.random.Generator) -> Material:
        """What a container stands on: table, belt, concrete, tiles, wooden floor, carpet, or a photo's texture."""
        kind = rng.random()
        repeat = float(np.exp(rng.uniform(np.log(2), np.log(14))))
        if kind < 0.2:
            return _repeated(self.wood(rng), repeat)
        if kind < 0.35:
            return _repeated(Material((1, 1, 1, 1), self._carpet(rng), specular=0, shininess=0), repeat)
        if kind < 0.5:
            return _repeated(self._tiles(rng), repeat)
        if kind < 0.6:
            picture = self._atlas.photo(rng, (160, 160))
            return Material((1, 1, 1, 1), picture, (repeat / 2, repeat / 2), specular=0.1, shininess=0.3)
        picture = self._grained(rng, subdued(rng, draw_colour(rng)), rng.uniform(0.01, 0.15), (128, 128))
        return Material(
            (1, 1, 1, 1),
            picture,
            (repeat, repeat),
            specular=rng.uniform(0, 0.5),
            shininess=rng.uniform(0, 0.8),
        )

    def _carpet(self, rng: np.random.Generator) -> NDArray[np.uint8]:
        colour = subdued(rng, draw_colour(rng))
        fine, coarse = self._atlas.noise(rng, (160, 160), 0.7), self._atlas.noise(rng, (160, 160), 10.0)
        picture = colour * (1 + 0.25 * fine + 0.12 * coarse)[..., None]
        if rng.random() < 0.4:
            pattern = self._atlas.package(rng, (160, 160)).astype(np.float32) / 255
            return _image(0.6 * picture + 0.4 * pattern)
        return _image(picture)

    def _tiles(self, rng: np.random.Generator) -> Material:
        colour = subdued(rng, draw_colour(rng))
        picture = colour * (1 + 0.05 * self._atlas.noise(rng, (128, 128), 4.0))[..., None]
        joint = int(rng.integers(1, 6))
        dark = rng.uniform(0.3, 1.2)
        picture[:joint] *= dark
        picture[:, :joint] *= dark
        return Material((1, 1, 1, 1), _image(picture), specular=rng.uniform(0, 0.8), shininess=rng.uniform(0.2, 0.9))

    def _face(
        self, rng: np.random.Generator, sides: tuple[float, float], base: NDArray[np.float32], *, plain: float
    ) -> NDArray[np.uint8]:
        if rng.random() < plain:
            return _plain_face(base)
        width, height = sides
        longest = max(width, height)
        return self._atlas.package(rng, (max(24, round(120 * height / longest)), max(24, round(120 * width / longest))))

    def _grained(
        self, rng: np.random.Generator, colour: NDArray[np.float32], strength: float, shape: tuple[int, int]
    ) -> NDArray[np.uint8]:
        scale = float(rng.choice([0.7, 1.6, 4.0, 10.0]))
        return _image(colour * (1 + strength * self._atlas.noise(rng, shape, scale))[..., None])

    def _stamped(self, rng: np.random.Generator, picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Cardboard with dark print or a strip of tape."""
        stamped = picture.copy()
        height, width = int(rng.integers(20, 60)), int(rng.integers(30, 80))
        y, x = int(rng.integers(0, _SIDE - height)), int(rng.integers(0, _SIDE - width))
        area = stamped[y : y + height, x : x + width]
        if rng.random() < 0.5:
            print_ = self._atlas.package(rng, (height, width)).mean(-1, keepdims=True) / 255
            area[:] = (area * (0.25 + 0.75 * print_)).astype(np.uint8)
        else:
            area[:] = (area * 0.5 + 255 * draw_colour(rng) * 0.5).astype(np.uint8)
        return stamped


def subdued(rng: np.random.Generator, colour: Colour) -> Colour:
    """The colour (3,) moved towards grey, mostly far, as floors and large surfaces seldom are vivid."""
    share = rng.uniform(0.4, 1.0) if rng.random() < 0.75 else 0.0
    return np.asarray(colour + np.float32(share) * (colour.mean() - colour), np.float32)


def _glossy(rng: np.random.Generator, colour: NDArray[np.float32]) -> Material:
    red, green, blue = (float(channel) for channel in colour)
    gloss = rng.random()
    return Material((red, green, blue, 1.0), specular=gloss * rng.uniform(0.3, 1), shininess=gloss)


def _repeated(material: Material, times: float) -> Material:
    return Material(
        material.colour, material.texture, (times, times), specular=material.specular, shininess=material.shininess
    )


def _plain_face(colour: NDArray[np.float32]) -> NDArray[np.uint8]:
    return _image(np.broadcast_to(colour, (_SIDE, _SIDE, 3)))


def _of_faces(faces: list[NDArray[np.uint8]], *, specular: float, shininess: float) -> Material:
    """Six pictures in one texture, in the order of ``meshes.printed_box``."""
    cell = 112
    texture = np.zeros((FACE_ROWS * cell, FACE_COLUMNS * cell, 3), np.uint8)
    for index, face in enumerate(faces):
        row, column = index // FACE_COLUMNS, index % FACE_COLUMNS
        scaled = np.asarray(Image.fromarray(face).resize((cell, cell), Image.Resampling.BILINEAR))
        texture[row * cell : (row + 1) * cell, column * cell : (column + 1) * cell] = scaled
    return Material((1, 1, 1, 1), texture, specular=specular, shininess=shininess)


def _image(picture: ArrayLike) -> NDArray[np.uint8]:
    return (255 * np.clip(np.asarray(picture), 0, 1)).astype(np.uint8)
