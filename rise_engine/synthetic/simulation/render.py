"""Pictures, instance maps and depth of a settled scene, by MuJoCo's offscreen renderer."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from rise_engine.synthetic.simulation.camera import CameraPose
from rise_engine.synthetic.simulation.mujoco_import import import_mujoco
from rise_engine.synthetic.simulation.physics import HIDDEN_GROUP

if TYPE_CHECKING:
    import mujoco


@dataclass(frozen=True, slots=True, eq=False)
class Rendering:
    """What the camera sees.

    ``picture`` uint8 (H, W, 3); ``things`` int32 (H, W): 0 for the container and its surroundings, n for the n-th
    thing; ``depth`` float32 (H, W) in metres.
    """

    picture: NDArray[np.uint8]
    things: NDArray[np.int32]
    depth: NDArray[np.float32]


def render(
    model: mujoco.MjModel, data: mujoco.MjData, poses: list[CameraPose], size: tuple[int, int]
) -> list[Rendering]:
    """One rendering of ``size`` (height, width) for each pose."""
    module = import_mujoco()
    options = module.MjvOption()
    options.geomgroup[HIDDEN_GROUP] = 0
    camera = module.MjvCamera()
    found = []
    with closing(module.Renderer(model, *size)) as renderer:
        for pose in poses:
            model.vis.global_.fovy = pose.field_of_view
            camera.lookat[:] = pose.target
            camera.distance, camera.azimuth, camera.elevation = pose.distance, pose.azimuth, pose.tilt - 90
            renderer.update_scene(data, camera, options)
            picture = renderer.render().copy()
            renderer.enable_segmentation_rendering()
            renderer.update_scene(data, camera, options)
            things = _bodies(model, renderer.render())
            renderer.disable_segmentation_rendering()
            renderer.enable_depth_rendering()
            renderer.update_scene(data, camera, options)
            depth = renderer.render().copy()
            renderer.disable_depth_rendering()
            found.append(Rendering(picture, things, depth))
    return found


def _bodies(model: mujoco.MjModel, segmentation: NDArray[np.int32]) -> NDArray[np.int32]:
    """The body of each pixel from the geom of each pixel; 0, the world, where there is none."""
    object_types = import_mujoco().mjtObj
    geoms, kinds = segmentation[..., 0], segmentation[..., 1]
    bodies = np.asarray(model.geom_bodyid, np.int32)[np.clip(geoms, 0, model.ngeom - 1)]
    return np.where((kinds == int(object_types.mjOBJ_GEOM)) & (geoms >= 0), bodies, 0).astype(np.int32)
