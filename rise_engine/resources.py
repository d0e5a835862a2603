"""The files that are shipped with the package: icons and starter weights."""

from __future__ import annotations

from pathlib import Path

from rise_engine.errors import RiseError

STARTER = "starter-laptop.safetensors"


def resource_path(name: str) -> Path:
    """The path of the shipped file ``name``, relative to ``resources/`` and with forward slashes.

    A wheel contains the files inside the package; a source tree and an editable install have them next to it.
    Raises ``RiseError`` when there is no such file, or when ``name`` leads out of the folder.
    """
    package = Path(__file__).resolve().parent
    for root in (package / "_resources", package.parent / "resources"):
        path = (root / name).resolve()
        if path.is_file() and path.is_relative_to(root):
            return path
    raise RiseError(f"The shipped file {name!r} is missing from {package}: install rise-napari again.")


def starter_path() -> Path | None:
    """The starter weights of the ``laptop`` preset, or None when this installation has none."""
    try:
        return resource_path(STARTER)
    except RiseError:
        return None
