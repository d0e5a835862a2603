"""Checks of a project: damage of the database, orphaned rows, unusable masks and images."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress

from rise_engine.errors import RiseError
from rise_engine.project.database.schema import INSTANCES
from rise_engine.project.image_file import page_count, read_header, read_image
from rise_engine.project.project import Project
from rise_engine.project.records import FrameRecord, FrameState, Source, Split
from rise_engine.project.segmentation import area_of
from rise_engine.project.upright import imported_polygons, size_conflict
from rise_engine.project.wording import number_of

_DECODED_SIDE = 64
"""Images are decoded at a small size: a JPEG is still read to its end, in a fraction of the time."""

# References between tables, each with a query for the rows with a missing one.
_ORPHANS = (
    ("annotation", "frame", f"SELECT id FROM {INSTANCES} WHERE frame NOT IN (SELECT id FROM frames)"),
    ("annotation", "category", f"SELECT id FROM {INSTANCES} WHERE category NOT IN (SELECT id FROM categories)"),
    ("prediction", "frame", "SELECT id FROM predictions WHERE frame NOT IN (SELECT id FROM frames)"),
    ("prediction", "category", "SELECT id FROM predictions WHERE category NOT IN (SELECT id FROM categories)"),
    ("prediction", "run", "SELECT id FROM predictions WHERE run NOT IN (SELECT number FROM runs)"),
)


def check_store(project: Project) -> list[str]:
    """The problems of the database and the run folders, one message each."""
    found = [f"project.sqlite: {row[0]}" for row in project.store.read("PRAGMA integrity_check") if row[0] != "ok"]
    for what, lacks, query in _ORPHANS:
        numbers = [row["id"] for row in project.store.read(query)]
        if numbers:
            first = ", ".join(map(str, numbers[:5]))
            found.append(f"{number_of(len(numbers), what)} with a missing {lacks}, for example number {first}")
    for table, column, known in (
        ("frames", "state", FrameState),
        ("frames", "split", Split),
        ("instances", "source", Source),
    ):
        values = {row[0] for row in project.store.read(f"SELECT DISTINCT {column} FROM {table}")}
        found += [f"project.sqlite: {table} have the unknown {column} {value!r}" for value in values - set(known)]
    return found + list(_runs(project))


def check_frame(project: Project, frame: FrameRecord, *, decode: bool = True) -> list[str]:
    """The problems of a frame's image file and its masks, one message each.

    Without ``decode`` only the header of the image is read, so that a truncated file is not found.
    """
    path = project.images / frame.name
    found: list[str] = []
    size: tuple[int, int] | None = None
    try:
        header = read_header(path)
        size = header.width, header.height
        if decode:
            read_image(path, short_side=_DECODED_SIDE)
    except RiseError as error:
        found.append(f"{frame.name}: {error}")
    known = (frame.width, frame.height)
    if size is not None and None not in known and known != size:
        found.append(
            f"{frame.name}: the image is {size[0]} x {size[1]} pixels, it was {known[0]} x {known[1]} when the project "
            "first read it; restore the old file"
        )
    if size is not None:
        found += [f"{frame.name}: {problem}" for problem in _polygons(project, frame, size)]
    # Masks are checked even if the image is missing, with the size that the project has stored.
    width, height = size or known
    if width is not None and height is not None:
        found += [f"{frame.name}: {problem}" for problem in _masks(project, frame, width, height)]
    return found


def unused_content(project: Project, frame: FrameRecord) -> list[str]:
    """What of a frame's image file is not used, in words: further pages, and bits beyond eight."""
    path = project.images / frame.name
    try:
        header, pages = read_header(path), page_count(path)
    except RiseError:
        # Reported by ``check_frame``.
        return []
    unused = ["further pages"] if pages > 1 else []
    if header.conversion is not None and "bit" in header.conversion:
        unused.append(header.conversion)
    return unused


def _masks(project: Project, frame: FrameRecord, width: int, height: int) -> Iterator[str]:
    for row in project.store.read(f"SELECT id, segmentation FROM {INSTANCES} WHERE frame = ?", (frame.id,)):
        try:
            if not area_of(json.loads(row["segmentation"]), height, width):
                yield f"annotation {row['id']}: its mask has no pixel in the image; delete or redraw it"
        except RiseError as error:
            yield f"annotation {row['id']}: {error}"
        except (ValueError, TypeError, KeyError):
            yield f"annotation {row['id']}: its mask cannot be read; undo its last change or delete it"


def _polygons(project: Project, frame: FrameRecord, size: tuple[int, int]) -> Iterator[str]:
    """Polygons do not contain the size of their image; the imported file may have it."""
    imported = f"SELECT 1 FROM {INSTANCES} WHERE frame = ? AND source = ? AND segmentation LIKE '[%' LIMIT 1"
    if project.store.read(imported, (frame.id, Source.IMPORTED.value)):
        try:
            made_for = project.frames.annotated_size(frame.id)
        except RiseError as error:
            yield str(error)
            return
        # Masks that cannot be read are reported one by one elsewhere.
        with suppress(RiseError, ValueError, TypeError):
            words = size_conflict(made_for, size, imported_polygons(project.annotations.of_frame(frame.id)))
            if words is not None:
                yield words


def _runs(project: Project) -> Iterator[str]:
    runs = project.runs.all()
    for run in runs:
        if not run.folder.is_dir():
            yield f"run {run.number}: its folder {run.folder} is missing; delete the run"
        elif run.finished is not None and not run.files.weights.is_file():
            yield f"run {run.number}: its weights {run.files.weights} are missing; delete the run"
    folder = project.runs.folder
    known = {run.folder.name for run in runs}
    others = sorted(entry.name for entry in folder.iterdir() if entry.name not in known) if folder.is_dir() else []
    for name in others:
        yield f"{folder.name}/{name} belongs to no run; it can be deleted"
