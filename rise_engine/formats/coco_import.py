"""COCO annotations into a project, whole or not at all (COCO format)."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

from rise_engine.errors import RiseError
from rise_engine.formats.coco_file import CocoFile
from rise_engine.project.annotations import insert_category, new_category, pack
from rise_engine.project.frames import add_frame, frame_name
from rise_engine.project.journal import Edit
from rise_engine.project.project import Project
from rise_engine.project.records import FrameState, Source

OnConflict = Literal["keep", "replace", "both"]
_IMAGE_FOLDERS = frozenset({"images", "JPEGImages"})
"""What labelling tools call the folder that they put images in."""
_LARGEST_ID = 2**63 - 1
"""Of the database's numbers; a category with a larger one gets another."""
_COLUMNS = ("frame", "category", "segmentation", "source", "crowd", "extra", "origin")
_IMPORTED = Source.IMPORTED.value
_UNFIT = "null"
_NAMED = frozenset({"id", "image_id", "category_id", "segmentation", "area", "bbox", "iscrowd"})


class ImportConflictError(RiseError):
    """Frames have other instances already and nobody said what is to happen with them; nothing was changed."""


@dataclass(frozen=True, slots=True)
class ImportReport:
    """Counts: images of the file that are there, instances added, images whose file is absent, instances of dropped
    categories, and instances not added (already there, kept out by a conflict, without a mask or without an image)."""

    images: int
    instances: int
    missing_files: int
    dropped: int
    skipped: int


def import_coco(
    project: Project,
    path: Path,
    *,
    drop_categories: Collection[str] = (),
    empty_is_labelled: bool = False,
    on_conflict: OnConflict | None = None,
) -> ImportReport:
    """Read a COCO file into a project as one edit; images with an instance become labelled.

    ``drop_categories`` are names, upper or lower case. ``on_conflict`` says what happens to a frame that has other
    instances already: ``keep`` those, ``replace`` them, or hold ``both``; what is there already is never added twice.
    Raises RiseError, and changes nothing, when the file is no COCO dataset, a file name leaves the image folder, no
    image is found, or frames have instances and ``on_conflict`` is None.
    """
    # All that takes long is done before the transaction, which keeps others from writing.
    try:
        file = _Prepared(CocoFile(Path(path)), project.images)
        with project.journal.edit(f"imported {file.path.name}") as edit:
            return _Import(project, file, edit, drop_categories, on_conflict).run(empty_is_labelled=empty_is_labelled)
    except UnicodeEncodeError as error:
        # JSON can spell halves of characters, which no text may hold.
        raise RiseError(
            f"The file {path} has a name that is no text ({error.object[:40]!r}); export it again with plain names."
        ) from error


class _Annotation(NamedTuple):
    """An annotation of the file in the form in which it is kept."""

    number: Any
    image: int | str
    category: int | str
    segmentation: str
    """Empty where there is none, ``null`` where it is neither polygons nor run lengths."""
    crowd: int
    extra: str
    origin: str


class _Prepared:
    """A COCO file, its images found and its annotations ready to be stored."""

    def __init__(self, file: CocoFile, root: Path) -> None:
        self.path, self.header, self.categories = file.path, file.header, file.categories
        self.images = file.images
        # All of them are checked before the first is looked for.
        names = {entry["id"]: frame_name(root, entry["file_name"]) for entry in file.images}
        self.names = {number: _inside(root, name) for number, name in names.items()}
        """The names of the images by their ids, None where the file is absent."""
        self.annotations = [_prepared(entry) for entry in file.annotations()]


class _Import:
    def __init__(
        self,
        project: Project,
        file: _Prepared,
        edit: Edit,
        drop_categories: Collection[str],
        on_conflict: OnConflict | None,
    ) -> None:
        self._root = project.images
        self._file = file
        self._edit = edit
        self._on_conflict = on_conflict
        self._dropped_names = {name.casefold() for name in drop_categories}
        self._frames: dict[Any, int] = {}
        self._categories: dict[Any, int] = {}
        self._instances = self._missing = self._dropped = self._skipped = self._maskless = 0

    def run(self, *, empty_is_labelled: bool) -> ImportReport:
        self._take_images()
        self._take_categories()
        self._take_header()
        filled = self._take_annotations()
        self._mark_labelled(set(self._frames.values()) if empty_is_labelled else filled)
        if self._maskless and not self._instances and self._skipped == self._maskless:
            raise RiseError(
                f"The file {self._file.path} has boxes only and no masks; export it again with segmentations."
            )
        return ImportReport(len(self._frames), self._instances, self._missing, self._dropped, self._skipped)

    def _take_images(self) -> None:
        rows = self._edit.connection.execute("SELECT id, name, origin FROM frames").fetchall()
        known = {row["name"]: (row["id"], row["origin"]) for row in rows}
        origins: dict[int, str] = {}
        for entry in self._file.images:
            name = self._file.names[entry["id"]]
            if name is None:
                self._missing += 1
                continue
            frame, origin = known.get(name) or (add_frame(self._edit.connection, name), None)
            if origin is None:
                origin = origins[frame] = json.dumps(entry)
            known[name] = (frame, origin)
            self._frames[entry["id"]] = frame
        if not self._frames:
            first = self._file.images[0]["file_name"]
            raise RiseError(
                f"None of the {self._missing} images of {self._file.path} is in {self._root} "
                f"(looked for {first} and so on); file names must be relative to the image folder."
            )
        self._edit.update_many("frames", "origin", origins)

    def _mark_labelled(self, frames: Collection[int]) -> None:
        rows = self._edit.connection.execute("SELECT id FROM frames WHERE state = ?", (FrameState.UNLABELLED,))
        unlabelled = {row["id"] for row in rows}
        labelled = FrameState.LABELLED.value
        self._edit.update_many("frames", "state", {frame: labelled for frame in frames if frame in unlabelled})

    def _take_categories(self) -> None:
        rows = self._edit.connection.execute("SELECT id, name FROM categories ORDER BY position, id").fetchall()
        # Two entries of one name stay two, as the file has them; each joins a category of that name that is there.
        free = {row["id"]: row["name"] for row in rows}
        for entry in self._file.categories:
            name = entry["name"]
            if name.casefold() in self._dropped_names:
                continue
            same = [number for number, other in free.items() if other == name]
            wanted = _usable(entry["id"])
            if same:
                number = wanted if wanted is not None and wanted in same else same[0]
                del free[number]
            else:
                extra = json.dumps({key: value for key, value in entry.items() if key not in ("id", "name")})
                number = insert_category(self._edit, name, wanted=wanted, extra=extra).id
            self._categories[entry["id"]] = number

    def _take_header(self) -> None:
        content = json.dumps(self._file.header)
        row = self._edit.connection.execute("SELECT 1 FROM documents WHERE content = ?", (content,)).fetchone()
        if row is None and self._file.header:
            self._edit.insert("documents", {"name": self._file.path.name, "content": content})

    def _take_annotations(self) -> set[int]:
        """Insert the annotations and return the frames that have some."""
        occupied = {row["frame"] for row in self._edit.connection.execute("SELECT DISTINCT frame FROM instances")}
        waiting: dict[int, list[dict[str, Any]]] = {}
        filled: set[int] = set()
        fresh: list[tuple[Any, ...]] = []
        for values in self._rows():
            frame = values[0]
            filled.add(frame)
            if frame in occupied:
                waiting.setdefault(frame, []).append(dict(zip(_COLUMNS, values, strict=True)))
            else:
                fresh.append(values)
        self._edit.insert_many("instances", _COLUMNS, fresh)
        self._instances += len(fresh)
        conflicts = [frame for frame, rows in waiting.items() if not self._settle(frame, rows)]
        if conflicts:
            name = self._edit.connection.execute("SELECT name FROM frames WHERE id = ?", (conflicts[0],)).fetchone()[0]
            raise ImportConflictError(
                f"{len(conflicts)} frames of {self._file.path} have other instances already, {name} for one; "
                "say with --on-conflict whether to keep, replace or hold both."
            )
        return filled

    def _rows(self) -> Iterator[tuple[Any, ...]]:
        """The values of ``_COLUMNS`` of each annotation that can be taken."""
        known = {entry["id"] for entry in self._file.categories}
        absent = {entry["id"] for entry in self._file.images} - set(self._frames)
        for entry in self._file.annotations:
            if entry.image in absent:
                continue
            frame = self._frames.get(entry.image)
            number = entry.category
            category = self._categories.get(number)
            if category is None and number in known:
                self._dropped += 1
            elif frame is None or not entry.segmentation:
                self._skipped += 1
                self._maskless += frame is not None
            else:
                if category is None:
                    # A category that the file uses without naming it keeps its number and is named by it.
                    name = f"category {number}"
                    category = new_category(self._edit, name, wanted=_usable(number)).id
                    self._categories[number] = category
                yield self._values(entry, frame, category)

    def _values(self, entry: _Annotation, frame: int, category: int) -> tuple[Any, ...]:
        if entry.segmentation == _UNFIT:
            raise RiseError(
                f"The annotation {entry.number} of {self._file.path} has a segmentation that is neither "
                "polygons nor run lengths; export it again from the tool that made it."
            )
        return frame, category, entry.segmentation, _IMPORTED, entry.crowd, entry.extra, entry.origin

    def _settle(self, frame: int, rows: list[dict[str, Any]]) -> bool:
        """Merge annotations into a frame that has some; False when that needs a decision."""
        stored = self._edit.connection.execute(
            "SELECT id, category, segmentation, crowd, origin FROM instances WHERE frame = ?", (frame,)
        ).fetchall()
        there = Counter(_identity(dict(row)) for row in stored)
        coming = Counter(_identity(row) for row in rows)
        if coming == there or (self._on_conflict != "replace" and not coming - there):
            self._skipped += len(rows)
            return True
        if self._on_conflict is None:
            return False
        if self._on_conflict == "keep":
            self._skipped += len(rows)
            return True
        if self._on_conflict == "replace":
            for row in stored:
                self._edit.delete("instances", row["id"])
            there.clear()
        for values in rows:
            identity = _identity(values)
            if there[identity] > 0:
                there[identity] -= 1
                self._skipped += 1
            else:
                self._insert(values)
        return True

    def _insert(self, values: dict[str, Any]) -> None:
        self._edit.insert("instances", values)
        self._instances += 1


def _inside(root: Path, name: str) -> str | None:
    """The name that an image of the file has in the image folder; None when it is not there.

    Tools write names as seen from beside the folder too: ``images/a.png``, or ``totes/a.png`` for ``totes``.
    """
    if (root / name).is_file():
        return name
    folder, _, rest = name.partition("/")
    if rest and folder in {*_IMAGE_FOLDERS, root.name} and (root / rest).is_file():
        return rest
    return None


def _prepared(entry: dict[str, Any]) -> _Annotation:
    segmentation = entry.get("segmentation")
    if not segmentation:
        text = ""
    elif _fits(segmentation):
        text = pack(segmentation)
    else:
        text = _UNFIT
    extra = {key: value for key, value in entry.items() if key not in _NAMED}
    return _Annotation(
        entry.get("id"),
        entry["image_id"],
        entry["category_id"],
        text,
        int(bool(entry.get("iscrowd"))),
        json.dumps(extra) if extra else "{}",
        json.dumps({key: entry[key] for key in ("id", "area", "bbox") if key in entry}),
    )


def _fits(segmentation: object) -> bool:
    if isinstance(segmentation, list):
        return all(isinstance(ring, list) and len(ring) % 2 == 0 for ring in segmentation)
    return isinstance(segmentation, dict) and {"size", "counts"} <= segmentation.keys()


def _usable(number: object) -> int | None:
    """A file's category number where the project can take it over."""
    return number if isinstance(number, int) and abs(number) <= _LARGEST_ID else None


def _identity(values: dict[str, Any]) -> tuple[Any, ...]:
    origin = json.loads(values["origin"]) if values["origin"] else {}
    return values["category"], values["crowd"], values["segmentation"], json.dumps(origin.get("id"))
