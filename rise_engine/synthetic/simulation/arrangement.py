"""Which things a scene has, where they are before they fall, and how the scene is lit."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.spatial.transform import Rotation

from rise_engine.synthetic.simulation.containers import sample_container
from rise_engine.synthetic.simulation.description import (
    Container,
    Lamp,
    Lighting,
    Quaternion,
    SceneDescription,
    Thing,
    Vector,
    quaternion,
    vector,
)
from rise_engine.synthetic.simulation.materials import MaterialStock
from rise_engine.synthetic.simulation.things import long, packaged, small, soft, turned

ThingMaker = Callable[[np.random.Generator, MaterialStock], Thing]

KINDS: tuple[tuple[ThingMaker, float], ...] = (
    (packaged.box, 4.0),
    (packaged.flat_box, 1.6),
    (packaged.book, 1.0),
    (packaged.card, 0.8),
    (packaged.cardboard_box, 0.9),
    (packaged.open_carton, 0.7),
    (packaged.bag, 2.4),
    (packaged.clear_bag, 1.0),
    (packaged.blister_pack, 1.2),
    (turned.bottle, 2.4),
    (turned.jar, 1.2),
    (turned.can, 1.4),
    (turned.cup, 1.2),
    (turned.bowl, 0.8),
    (turned.squeeze_tube, 1.0),
    (turned.ball, 1.2),
    (turned.roll, 1.0),
    (long.screwdriver, 1.4),
    (long.scissors, 1.4),
    (long.wrench, 1.2),
    (long.pliers, 1.2),
    (long.hammer, 0.8),
    (long.cutlery, 1.6),
    (long.pen, 1.6),
    (long.stick, 1.0),
    (long.cable, 1.2),
    (long.key, 0.5),
    (long.bent_tube, 0.7),
    (soft.cloth, 1.2),
    (soft.folded_cloth, 0.8),
    (soft.plush, 1.2),
    (soft.glove, 1.0),
    (soft.sponge, 0.6),
    (small.block, 2.0),
    (small.brick, 1.2),
    (small.screw, 0.6),
    (small.nut, 0.5),
    (small.peg, 0.7),
    (small.gear, 0.6),
    (small.stone, 1.0),
    (small.compound, 1.0),
)
"""Each kind of thing and its relative frequency in mixed scenes."""

DENSE_KINDS: tuple[ThingMaker, ...] = (
    small.block,
    small.brick,
    small.screw,
    small.nut,
    small.peg,
    small.gear,
    small.stone,
    small.compound,
    turned.roll,
    long.pen,
)
"""What lies in bins by the hundred."""
BLOCK_KINDS: tuple[ThingMaker, ...] = (small.block, small.brick, small.stone, small.gear, turned.ball, packaged.box)
"""What toy boxes and sorting trays hold."""
MOST_THINGS = 300
DROP_HEIGHT = 0.02
"""Metres between the floor and the lowest thing before it falls."""
LAYER = 12
"""Things that start side by side, if there are fewer than ``MANY``."""
MANY = 60


def sample_scene(rng: np.random.Generator, stock: MaterialStock) -> SceneDescription:
    """A container, and the things above it."""
    container = sample_container(rng, stock)
    things = _sample_things(rng, stock, container)
    return SceneDescription(container, things, _starts(rng, container, things), sample_lighting(rng))


def sample_lighting(rng: np.random.Generator) -> Lighting:
    """One to three lamps, hard or diffuse, warm or cold."""
    lamps = []
    for index in range(int(rng.integers(1, 4))):
        place = np.array([*rng.uniform(-1.2, 1.2, 2), rng.uniform(0.9, 2.2)])
        warmth = rng.uniform(-0.12, 0.12)
        colour = rng.uniform(0.25, 0.75) * np.array([1 + warmth, 1.0, 1 - warmth])
        aim = vector(np.array([*rng.uniform(-0.15, 0.15, 2), 0]) - place)
        lamps.append(Lamp(vector(place), aim, vector(colour), casts_shadow=index < 2))
    return Lighting(tuple(lamps), rng.uniform(0.2, 0.5), rng.uniform(0.0, 0.35))


def _sample_things(rng: np.random.Generator, stock: MaterialStock, container: Container) -> tuple[Thing, ...]:
    kind = rng.random()
    if kind < 0.12:
        return _equal_things(rng, stock, container)
    if kind < 0.27:
        maker: tuple[ThingMaker, ...] = BLOCK_KINDS
        weights = np.ones(len(maker))
        count = int(rng.integers(4, 60))
    else:
        maker = tuple(made for made, _ in KINDS)
        weights = np.array([weight for _, weight in KINDS])
        if rng.random() < 0.3:
            # A container often holds a few kinds only.
            weights = weights * (rng.random(len(maker)) < 0.2) + 1e-9
        count = 1 + round(min(48.0, rng.gamma(2.0, 8.5)))
    scale = _thing_scale(rng, container)
    things: list[Thing] = []
    room = _room(container)
    while len(things) < count and room > 0:
        thing = maker[int(rng.choice(len(maker), p=weights / weights.sum()))](rng, stock).scaled(scale)
        things.append(thing)
        if rng.random() < 0.08:
            # The same product once more.
            things.append(thing)
        room -= (0.8 * thing.radius) ** 2
    return tuple(things)


def _thing_scale(rng: np.random.Generator, container: Container) -> float:
    """Things grow with their container, so that a small tray does not hold two books only."""
    return float(container.half_sides[0] / 0.2) ** 0.6 * float(np.exp(rng.normal(0, 0.18)))


def _room(container: Container) -> float:
    """Sum of the squared radii that the container may hold, in a heap of a few layers."""
    a, b = container.half_sides
    return 4 * a * b * (0.8 + 7.0 * min(container.depth, 0.15))


def _equal_things(rng: np.random.Generator, stock: MaterialStock, container: Container) -> tuple[Thing, ...]:
    """Many copies of one small part, or of a few."""
    count = int(np.exp(rng.uniform(np.log(30), np.log(MOST_THINGS))))
    a, b = container.half_sides
    models = [
        DENSE_KINDS[int(rng.integers(len(DENSE_KINDS)))](rng, stock) for _ in range(1 if rng.random() < 0.7 else 3)
    ]
    # As large as fits into about two layers.
    wanted = 1.3 * float(np.sqrt(4 * a * b * (1.0 + 6 * min(container.depth, 0.1)) / count)) / 2
    models = [model.scaled(min(3.0, wanted / model.radius)) for model in models]
    return tuple(models[int(rng.integers(len(models)))] for _ in range(count))


def _starts(
    rng: np.random.Generator, container: Container, things: tuple[Thing, ...]
) -> tuple[tuple[Vector, Quaternion], ...]:
    """Poses above the container in layers, so that no two things overlap before they fall."""
    a, b = container.half_sides
    starts: list[tuple[Vector, Quaternion]] = []
    bottom = DROP_HEIGHT + (container.depth if rng.random() < 0.3 else 0.0)
    most_a_layer = LAYER if len(things) < MANY else len(things)
    index = 0
    while index < len(things):
        widest = max(thing.radius for thing in things[index : index + LAYER])
        columns, rows = max(1, int(a / widest)), max(1, int(b / widest))
        layer = things[index : index + min(columns * rows, most_a_layer)]
        widest = max(thing.radius for thing in layer)
        cells = rng.permutation(columns * rows)[: len(layer)]
        for thing, cell in zip(layer, cells, strict=True):
            x = (2 * (cell % columns) + 1 - columns) * a / columns
            y = (2 * (cell // columns) + 1 - rows) * b / rows
            slack_x, slack_y = max(0.0, a / columns - thing.radius), max(0.0, b / rows - thing.radius)
            place = (
                float(x + rng.uniform(-slack_x, slack_x)),
                float(y + rng.uniform(-slack_y, slack_y)),
                bottom + widest,
            )
            starts.append((place, _rotation(rng, thing)))
        bottom += 2 * widest
        index += len(layer)
    return tuple(starts)


def _rotation(rng: np.random.Generator, thing: Thing) -> Quaternion:
    if thing.keep_upright or rng.random() < 0.3:
        return quaternion(Rotation.from_euler("z", rng.uniform(0, 360), degrees=True))
    return quaternion(Rotation.random(random_state=int(rng.integers(2**31))))
