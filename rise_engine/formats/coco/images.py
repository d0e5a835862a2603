"""Find the image folder of a COCO file."""

from __future__ import annotations

from pathlib import Path

from rise_engine.errors import RiseError
from rise_engine.formats.coco.file import CocoFile

SAMPLED_IMAGES = 20
"""Number of the file's images that are searched in each folder."""


def image_folder(path: Path) -> Path:
    """The folder next to the file (or one level above) that contains most of its images.

    Raises RiseError when the file is no COCO dataset, or no folder contains one of its images.
    """
    path = Path(path).absolute()
    images = CocoFile(path).images
    names = [str(image["file_name"]).replace("\\", "/") for image in images[:: max(1, len(images) // SAMPLED_IMAGES)]]
    best, most = path.parent, 0
    for folder in _folders(path.parent):
        found = sum((folder / name).is_file() for name in names)
        if found > most:
            best, most = folder, found
    if not most:
        raise RiseError(
            f"The images of {path} (such as {names[0]}) are not next to it; "
            "open their folder first, then import the file."
        )
    return best


def _folders(nearest: Path) -> list[Path]:
    """The folders to search, the nearest first."""
    places = [nearest]
    for folder in (nearest, nearest.parent):
        if folder not in places:
            places.append(folder)
        inside = (entry for entry in folder.iterdir() if entry.is_dir() and not entry.name.startswith("."))
        places += sorted(entry for entry in inside if entry.suffix != ".rise" and entry not in places)
    return places
