"""Turns a description into a MuJoCo model and lets the things fall. MuJoCo is in the extra ``starter``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from rise_engine.synthetic.simulation.description import Lighting, Material, Mesh, Part, SceneDescription
from rise_engine.synthetic.simulation.mujoco_import import import_mujoco

if TYPE_CHECKING:
    import mujoco

TIMESTEP = 0.004
SETTLE_SECONDS = 2.0
HIDDEN_GROUP = 3
"""MuJoCo's group of parts that collide but are not rendered."""
_THING_DENSITY = 450.0


class ModelBuilder:
    """Adds parts to a MuJoCo specification; equal materials and meshes are stored once."""

    def __init__(self, size: tuple[int, int]) -> None:
        self._mujoco = mujoco = import_mujoco()
        self.spec = spec = mujoco.MjSpec()
        spec.option.timestep = TIMESTEP
        spec.option.integrator = mujoco.mjtIntegrator.mjINT_IMPLICITFAST
        spec.option.iterations = 20
        spec.option.tolerance = 1e-5
        spec.visual.global_.offheight, spec.visual.global_.offwidth = size
        spec.visual.quality.offsamples = 4
        spec.visual.quality.shadowsize = 2048
        spec.visual.map.znear, spec.visual.map.zfar = 0.02, 12.0
        self._materials: dict[int, str] = {}
        self._meshes: dict[int, str] = {}
        self._kept: list[Material | Mesh] = []

    def add_part(self, body: mujoco.MjsBody, part: Part, *, friction: float) -> None:
        """Adds one part to a body."""
        types = self._mujoco.mjtGeom
        shapes = {
            "box": types.mjGEOM_BOX,
            "sphere": types.mjGEOM_SPHERE,
            "capsule": types.mjGEOM_CAPSULE,
            "cylinder": types.mjGEOM_CYLINDER,
            "ellipsoid": types.mjGEOM_ELLIPSOID,
        }
        geom = body.add_geom(pos=list(part.position), quat=list(part.rotation), material=self._material(part.material))
        if isinstance(part.shape, Mesh):
            geom.type = types.mjGEOM_MESH
            geom.meshname = self._mesh(part.shape)
        else:
            geom.type = shapes[part.shape]
            geom.size = list(part.size)
        geom.friction = [friction, 0.01, 0.001]
        geom.density = _THING_DENSITY
        geom.condim = 4
        if not part.visible:
            geom.group = HIDDEN_GROUP
        if not part.solid:
            geom.contype = geom.conaffinity = 0
            geom.mass = 0

    def add_ground(self, material: Material) -> None:
        """Adds the plane on which everything stands."""
        self.spec.worldbody.add_geom(
            type=self._mujoco.mjtGeom.mjGEOM_PLANE, size=[4, 4, 0.1], material=self._material(material)
        )

    def add_lighting(self, lighting: Lighting) -> None:
        """Adds the lamps; the light from the camera is MuJoCo's headlight."""
        head = self.spec.visual.headlight
        head.ambient, head.diffuse, head.specular = [lighting.ambient] * 3, [lighting.front] * 3, [lighting.front] * 3
        for lamp in lighting.lamps:
            self.spec.worldbody.add_light(
                pos=list(lamp.position),
                dir=list(lamp.direction),
                diffuse=list(lamp.colour),
                specular=list(lamp.colour),
                castshadow=lamp.casts_shadow,
                cutoff=80,
            )

    def _material(self, material: Material) -> str:
        known = self._materials.get(id(material))
        if known is not None:
            return known
        name = f"material{len(self._materials)}"
        made = self.spec.add_material(
            name=name,
            rgba=list(material.colour),
            specular=material.specular,
            shininess=material.shininess,
            texrepeat=list(material.repeat),
        )
        if material.texture is not None:
            height, width = material.texture.shape[:2]
            texture = self.spec.add_texture(
                name=f"texture{len(self._materials)}",
                type=self._mujoco.mjtTexture.mjTEXTURE_2D,
                width=width,
                height=height,
                nchannel=3,
            )
            texture.data = np.ascontiguousarray(material.texture).tobytes()
            textures = made.textures
            textures[self._mujoco.mjtTextureRole.mjTEXROLE_RGB] = texture.name
            made.textures = textures
        self._materials[id(material)] = name
        self._kept.append(material)
        return name

    def _mesh(self, mesh: Mesh) -> str:
        known = self._meshes.get(id(mesh))
        if known is not None:
            return known
        name = f"mesh{len(self._meshes)}"
        self.spec.add_mesh(
            name=name,
            uservert=mesh.vertices.ravel().tolist(),
            userface=mesh.faces.ravel().tolist(),
            usertexcoord=mesh.uv.ravel().tolist(),
            inertia=self._mujoco.mjtMeshInertia.mjMESH_INERTIA_SHELL,
            maxhullvert=24,
        )
        self._meshes[id(mesh)] = name
        self._kept.append(mesh)
        return name


def build_model(scene: SceneDescription, size: tuple[int, int]) -> mujoco.MjModel:
    """The compiled model; body 0 holds the container, body n + 1 is the n-th thing. ``size`` (height, width)."""
    builder = ModelBuilder(size)
    builder.add_ground(scene.container.ground)
    builder.add_lighting(scene.lighting)
    for part in scene.container.parts:
        builder.add_part(builder.spec.worldbody, part, friction=0.5)
    for thing, (position, rotation) in zip(scene.things, scene.starts, strict=True):
        body = builder.spec.worldbody.add_body(pos=list(position), quat=list(rotation))
        body.add_freejoint()
        for part in thing.parts:
            builder.add_part(body, part, friction=0.7)
    return builder.spec.compile()


def settle(model: mujoco.MjModel, seconds: float = SETTLE_SECONDS) -> mujoco.MjData | None:
    """The state after the things have fallen for ``seconds``; None if the simulation became unstable."""
    module = import_mujoco()
    data = module.MjData(model)
    # Things come to rest sooner if the air slows them.
    model.opt.viscosity, model.opt.density = 2e-3, 1.2
    for _ in range(round(seconds / TIMESTEP)):
        module.mj_step(model, data)
    if data.warning[module.mjtWarning.mjWARN_BADQACC].number or not np.isfinite(data.qpos).all():
        return None
    return data
