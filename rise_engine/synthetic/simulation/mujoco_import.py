"""MuJoCo, the extra ``starter``, imported when the first scene is simulated."""

from __future__ import annotations

import os
import sys
from types import ModuleType

from rise_engine.errors import RiseError


def import_mujoco() -> ModuleType:
    """The module ``mujoco``; on Linux it renders through EGL, which needs no display.

    Raises ``RiseError`` where it is not installed.
    """
    if sys.platform == "linux":
        # MuJoCo reads this once, when it is imported.
        os.environ.setdefault("MUJOCO_GL", "egl")
    try:
        import mujoco
    except ImportError as error:
        raise RiseError("Simulated totes need MuJoCo: pip install 'rise-napari[starter]'.") from error
    return mujoco
