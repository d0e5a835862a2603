"""Simulated totes: plain descriptions without MuJoCo, then settled and rendered scenes with it."""

from __future__ import annotations

import importlib.util
import sys
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from rise_engine.errors import RiseError
from rise_engine.synthetic.simulation import ToteSimulator
from rise_engine.synthetic.simulation.arrangement import DENSE_KINDS, KINDS, MOST_THINGS, sample_scene
from rise_engine.synthetic.simulation.camera import MOST_TILT, motion_blur, sample_pose, shade_recesses
from rise_engine.synthetic.simulation.containers import KINDS as CONTAINER_KINDS
from rise_engine.synthetic.simulation.containers import sample_container
from rise_engine.synthetic.simulation.description import Mesh, Thing, towards
from rise_engine.synthetic.simulation.materials import MaterialStock
from rise_engine.synthetic.simulation.meshes import cushion, lathe, printed_box, prism, sheet, star_outline, tube
from rise_engine.synthetic.simulation.physics import build_model, settle
from rise_engine.synthetic.simulation.render import render
from rise_engine.synthetic.simulation.scene import SMALLEST_VISIBLE, visible_masks
from rise_engine.synthetic.textures import TextureAtlas

SIZE = (96, 128)
needs_mujoco = pytest.mark.skipif(
    importlib.util.find_spec("mujoco") is None, reason="MuJoCo, the extra `starter`, is not installed"
)


@pytest.fixture(scope="module")
def stock() -> MaterialStock:
    return MaterialStock(TextureAtlas(np.random.default_rng(3), 8))


def enclosed_volume(mesh: Mesh) -> float:
    """Positive if the faces are anticlockwise from outside."""
    a, b, c = (mesh.vertices[mesh.faces[:, corner]] for corner in range(3))
    return float((a * np.cross(b, c)).sum() / 6)


def test_meshes_face_outwards_and_enclose_their_volume() -> None:
    rng = np.random.default_rng(0)
    assert enclosed_volume(printed_box((0.1, 0.2, 0.3))) == pytest.approx(8 * 0.006)
    circle = [(0, -1), (1, -1), (1, 1), (0, 1)]
    assert enclosed_volume(lathe(circle, 64)) == pytest.approx(2 * np.pi, rel=0.01)
    straight = np.linspace((0, 0, 0), (2, 0, 0), 5)
    assert enclosed_volume(tube(straight, 1.0, 64)) == pytest.approx(2 * np.pi, rel=0.01)
    assert enclosed_volume(prism(star_outline(rng, 4, 1.0), 0.5)) == pytest.approx(2 * 0.5)
    assert enclosed_volume(cushion(rng, (1, 1, 0.3), crinkle=0.1)) > 0.3
    assert enclosed_volume(sheet(rng, (1, 1, 0.3), folds=0.3)) > 0


@pytest.mark.parametrize(
    "mesh", [printed_box((1, 1, 1)), lathe([(1, 0), (1, 1)]), prism([(1, 0), (0, 1), (-1, -1)], 1)]
)
def test_meshes_have_texture_coordinates_for_every_vertex(mesh: Mesh) -> None:
    assert mesh.uv.shape == (len(mesh.vertices), 2)
    assert mesh.faces.min() >= 0
    assert mesh.faces.max() < len(mesh.vertices)


@pytest.mark.parametrize("direction", [(0, 0, 1), (0, 0, -1), (1, 0, 0), (0.3, -0.5, 0.2)])
def test_towards_turns_the_z_axis(direction: tuple[float, float, float]) -> None:
    w, x, y, z = towards(direction)
    moved = Rotation.from_quat((x, y, z, w)).apply((0, 0, 1))
    assert moved == pytest.approx(np.array(direction) / np.linalg.norm(direction), abs=1e-9)


@pytest.mark.parametrize("maker", [maker for maker, _ in KINDS], ids=lambda maker: maker.__name__)
def test_every_kind_of_thing_can_be_seen_and_collides(maker: object, stock: MaterialStock) -> None:
    for seed in range(4):
        thing = maker(np.random.default_rng(seed), stock)  # type: ignore[operator]
        assert isinstance(thing, Thing)
        assert any(part.visible for part in thing.parts)
        assert any(part.solid for part in thing.parts)
        for part in thing.parts:
            assert np.linalg.norm(part.position) <= thing.radius * 1.01
            if isinstance(part.shape, Mesh):
                assert np.isfinite(part.shape.vertices).all()
        assert thing.scaled(2).radius == pytest.approx(2 * thing.radius)


@pytest.mark.parametrize("maker", [maker for maker, _ in CONTAINER_KINDS], ids=lambda maker: maker.__name__)
def test_every_kind_of_container_has_room(maker: object, stock: MaterialStock) -> None:
    container = maker(np.random.default_rng(1), stock)  # type: ignore[operator]
    assert min(container.half_sides) > 0.05
    assert container.depth >= 0


def test_a_scene_follows_from_its_generator(stock: MaterialStock) -> None:
    first, second = (sample_scene(np.random.default_rng(4), stock) for _ in range(2))
    assert first.starts == second.starts
    assert first.container.half_sides == second.container.half_sides


def test_things_do_not_overlap_before_they_fall(stock: MaterialStock) -> None:
    counts = []
    for seed in range(30):
        scene = sample_scene(np.random.default_rng(seed), stock)
        counts.append(len(scene.things))
        places = np.array([place for place, _ in scene.starts])
        radii = np.array([thing.radius for thing in scene.things])
        for index in range(len(places) - 1):
            apart = np.linalg.norm(places[index + 1 :] - places[index], axis=1)
            small = radii[index + 1 :] + radii[index]
            # A thing that is wider than its container starts alone in its layer.
            assert (apart > 0.6 * small).all()
    assert min(counts) >= 1
    assert max(counts) <= MOST_THINGS + 1
    assert max(counts) > 30
    assert len(DENSE_KINDS) > 5


def test_the_camera_looks_from_above_and_the_container_fills_a_part_of_the_frame(stock: MaterialStock) -> None:
    tilts = []
    for seed in range(200):
        rng = np.random.default_rng(seed)
        container = sample_container(rng, stock)
        pose = sample_pose(rng, container, SIZE)
        tilts.append(pose.tilt)
        shown = 2 * pose.distance * np.tan(np.radians(pose.field_of_view) / 2) * SIZE[1] / SIZE[0]
        widest = 2 * float(np.linalg.norm(container.half_sides))
        assert 0.1 < widest / shown < 2
    assert 0 <= min(tilts) < 5
    assert 40 < max(tilts) <= MOST_TILT


def test_motion_keeps_the_brightness_and_recesses_are_darker() -> None:
    picture = np.zeros((40, 40, 3), np.float32)
    picture[18:22, 18:22] = 1
    moved = motion_blur(picture, 6.0, 0.0)
    assert moved.sum() == pytest.approx(picture.sum(), rel=1e-3)
    assert moved.max() < 1
    depth = np.full((40, 40), 1.0, np.float32)
    depth[:, 20:] = 0.9
    shaded = shade_recesses(np.ones((40, 40, 3), np.float32), depth, 0.5)
    assert shaded[20, 19, 0] < 0.95
    assert shaded[20, 2, 0] == pytest.approx(1)
    assert shaded[20, 37, 0] == pytest.approx(1)


def test_slivers_are_no_objects() -> None:
    things = np.zeros((40, 40), np.int32)
    things[:10, :10] = 2
    things[30, 30 : 30 + SMALLEST_VISIBLE // 2] = 1
    masks = visible_masks(things)
    assert masks.shape == (1, 40, 40)
    assert np.array_equal(masks[0], things == 2)
    assert visible_masks(np.zeros((4, 4), np.int32)).shape == (0, 4, 4)


@pytest.fixture(scope="module")
def simulator() -> ToteSimulator:
    return ToteSimulator(seed=3, texture_count=8)


def few_things(simulator: ToteSimulator, seed: int) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    frame = simulator.simulate(np.random.default_rng(seed), size=SIZE)[0]
    assert frame.image.shape == (*SIZE, 3)
    assert frame.image.dtype == np.uint8
    assert frame.masks.shape == (len(frame.categories), *SIZE)
    return frame.image, frame.masks


def test_without_mujoco_the_error_names_the_extra(simulator: ToteSimulator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mujoco", None)
    with pytest.raises(RiseError, match=r"rise-napari\[starter\]"):
        simulator.simulate(np.random.default_rng(1), size=SIZE)


@needs_mujoco
def test_a_simulated_frame_follows_from_its_generator(simulator: ToteSimulator) -> None:
    image, masks = few_things(simulator, 1)
    again, again_masks = few_things(ToteSimulator(seed=3, texture_count=8), 1)
    other, _ = few_things(simulator, 2)
    assert np.array_equal(image, again)
    assert np.array_equal(masks, again_masks)
    assert not np.array_equal(image, other)


@needs_mujoco
def test_simulated_masks_are_disjoint_and_visible(simulator: ToteSimulator) -> None:
    for seed in range(3, 7):
        _, masks = few_things(simulator, seed)
        assert masks.sum(0).max(initial=0) <= 1
        assert (masks.sum((1, 2)) >= SMALLEST_VISIBLE).all()


@needs_mujoco
@pytest.mark.parametrize("maker", [maker for maker, _ in CONTAINER_KINDS], ids=lambda maker: maker.__name__)
def test_a_container_is_never_an_object(maker: object, stock: MaterialStock) -> None:
    rng = np.random.default_rng(0)
    container = maker(rng, stock)  # type: ignore[operator]
    scene = replace(sample_scene(rng, stock), container=container, things=(), starts=())
    model = build_model(scene, SIZE)
    data = settle(model, seconds=0.01)
    assert data is not None
    pose = sample_pose(rng, container, SIZE)
    rendering = render(model, data, [pose], SIZE)[0]
    assert not rendering.things.any()
    assert rendering.picture.std() > 1
    assert rendering.depth.min() > 0


@needs_mujoco
def test_things_fall_and_stay_apart_from_the_floor(stock: MaterialStock) -> None:
    scene = sample_scene(np.random.default_rng(2), stock)
    data = settle(build_model(scene, SIZE))
    assert data is not None
    started = np.array([place for place, _ in scene.starts])
    ended = data.qpos.reshape(-1, 7)[:, :3]
    assert (ended[:, 2] > -0.01).all()
    assert ended[:, 2].mean() < started[:, 2].mean()
