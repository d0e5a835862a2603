"""COCO annotations into a project, whole or not at all (COCO format)."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, cast

from rise_engine.errors import RiseError
from rise_engine.formats.coco.file import CocoFile
from rise_engine.formats.coco.merge import Merge, OnConflict, merge
from rise_engine.formats.coco.prepared import UNFIT, PreparedAnnotation, PreparedFile
from rise_engine.formats.watch import Watch, unwatched
from rise_engine.project.annotations import insert_category
from rise_engine.project.database.bulk_import import COLUMNS, Incoming, incoming, let_others
from rise_engine.project.database.journal import Edit
from rise_engine.project.database.schema import INSTANCES
from rise_engine.project.frames import found_frame
from rise_engine.project.project import Project
from rise_engine.project.records import Source
from rise_engine.project.wording import number_of

_LARGEST_ID = 2**63 - 1
"""Of the database's numbers; a category with a larger one gets another."""
_FRAMES_A_TRANSACTION = 1000
_ATTEMPTS = 3
_IMPORTED = Source.IMPORTED.value


class _OvertakenError(Exception):
    """Somebody changed meanwhile what all decisions stand on."""


class ImportConflictError(RiseError):
    """Frames have other instances already and nobody said what is to happen with them; nothing was changed."""


@dataclass(frozen=True, slots=True)
class ImportReport:
    """Counts: images of the file that are there, instances added, images whose file is absent, and instances that were
    not added: of dropped categories, already there, kept out by a conflict, without a mask or without an image."""

    images: int
    instances: int
    missing_files: int
    dropped: int
    known: int
    kept_out: int
    skipped: int
    dropped_categories: frozenset[str] = frozenset()
    """Their names in the file, also of those without instances."""


def import_coco(
    project: Project,
    path: Path,
    *,
    drop_categories: Collection[str] = (),
    empty_is_labelled: bool = False,
    on_conflict: OnConflict | None = None,
    watch: Watch = unwatched,
) -> ImportReport:
    """Read a COCO file into a project as one edit; images with an instance become labelled.

    ``drop_categories`` are names, upper or lower case. ``on_conflict`` says what happens to a frame that has other
    instances already: ``keep`` those, ``replace`` them, or hold ``both``; what is there already is never added twice.
    ``watch`` sees the annotations being read and stored, and may end that.
    Raises RiseError, and changes nothing, when the file is no COCO dataset, a file name leaves the image folder, no
    image is found, or frames have instances and ``on_conflict`` is None.
    """
    try:
        file = PreparedFile(CocoFile(Path(path)), project.images, watch)
        for _ in range(_ATTEMPTS):
            with suppress(_OvertakenError), incoming(project) as coming:
                work = _Import(project, file, drop_categories, on_conflict)
                work.decide()
                return work.carry_out(coming, watch, empty_is_labelled=empty_is_labelled)
        raise RiseError(f"The categories changed again and again while {path} was imported; import it once more.")
    except UnicodeEncodeError as error:
        # JSON can spell halves of characters, which no text may hold.
        raise RiseError(
            f"The file {path} has a name that is no text ({error.object[:40]!r}); export it again with plain names."
        ) from error


_Row = tuple[Any, ...]
"""A value for each of ``COLUMNS``."""


class _Import:
    """Everything is decided, and refused, before the first row is stored."""

    def __init__(
        self,
        project: Project,
        file: PreparedFile,
        drop_categories: Collection[str],
        on_conflict: OnConflict | None,
    ) -> None:
        self._project = project
        self._file = file
        self._on_conflict = on_conflict
        self._dropped_names = {name.casefold() for name in drop_categories}
        self._moment = project.journal.moment()
        self._frames: dict[Any, int | str] = {}
        """By the file's numbers; a frame that the project does not know yet goes by its name."""
        self._origins: dict[int | str, str] = {}
        self._later_origins: dict[int, str] = {}
        """Of frames that an earlier file has named; they count where the annotations are replaced."""
        self._stored_categories = self._read_categories()
        self._new_categories: list[tuple[int, str, str]] = []
        self._categories: dict[Any, int] = {}
        self._fresh: list[_Row] = []
        """For frames without annotations."""
        self._waiting: dict[int, list[_Row]] = {}
        """For frames that have some."""
        self._merges: dict[int, Merge] = {}
        self._late: set[int] = set()
        """Frames that somebody changed meanwhile."""
        self._missing = self._dropped = self._skipped = self._maskless = 0

    def decide(self) -> None:
        """Read what is there, and what is to happen with each annotation. Raises RiseError for a refusal."""
        self._take_images()
        self._take_categories()
        self._take_annotations()
        self._settle(self._waiting)
        if self._maskless and self._skipped == self._maskless and not self._fresh and not self._waiting:
            raise RiseError(
                f"The file {self._file.path} has boxes only and no masks; export it again with segmentations."
            )

    def carry_out(self, coming: Incoming, watch: Watch, *, empty_is_labelled: bool) -> ImportReport:
        """Store the rows and show them at once."""
        coming.require_room(chain(self._fresh, *(merged.insert for merged in self._merges.values())))
        self._add_frames()
        rows = chain(self._fresh, chain.from_iterable(merged.insert for merged in self._merges.values()))
        coming.add(watch(rows, total=self._instances, doing="storing annotations"))
        coming.replace(chain.from_iterable(merged.delete for merged in self._merges.values()))
        frames = cast("dict[Any, int]", self._frames)
        filled = {row[0] for row in self._fresh} | set(self._waiting)
        replaced = (frame for frame, merged in self._merges.items() if merged.delete)
        later = {frame: self._later_origins[frame] for frame in replaced if frame in self._later_origins}
        coming.prepare_frames(
            {**cast("dict[int, str]", self._origins), **later}, set(frames.values()) if empty_is_labelled else filled
        )
        with self._project.journal.edit(f"imported {self._file.path.name}") as edit:
            if self._read_categories() != self._stored_categories:
                raise _OvertakenError
            self._decide_again(edit, coming, filled)
            for number, name, extra in self._new_categories:
                insert_category(edit, name, wanted=number, extra=extra)
            self._take_header(edit)
            for frame in sorted(self._late):
                for number in self._merges[frame].delete:
                    edit.delete("instances", number)
                for row in self._merges[frame].insert:
                    edit.insert("instances", dict(zip(COLUMNS, row, strict=True)))
            coming.show(edit)
            edit.action = self._words(len(filled))
        return ImportReport(
            images=len(self._frames),
            instances=self._instances,
            missing_files=self._missing,
            dropped=self._dropped,
            known=sum(merged.known for merged in self._merges.values()),
            kept_out=sum(merged.kept_out for merged in self._merges.values()),
            skipped=self._skipped,
            dropped_categories=frozenset(entry["name"] for entry in self._file.categories if self._is_dropped(entry)),
        )

    def _words(self, frames: int) -> str:
        instances = number_of(self._instances, "instance")
        return f"imported {self._file.path.name}: {instances} in {number_of(frames, 'frame')}"

    @property
    def _instances(self) -> int:
        fresh = sum(row[0] not in self._late for row in self._fresh) if self._late else len(self._fresh)
        return fresh + sum(len(merged.insert) for merged in self._merges.values())

    def _take_images(self) -> None:
        rows = self._project.store.read("SELECT id, name, origin IS NULL AS bare FROM frames")
        known = {row["name"]: (row["id"], row["bare"]) for row in rows}
        for entry in self._file.images:
            name = self._file.names[entry["id"]]
            if name is None:
                self._missing += 1
                continue
            frame, bare = known.get(name, (name, True))
            if bare and frame not in self._origins:
                self._origins[frame] = json.dumps(entry)
            elif isinstance(frame, int):
                self._later_origins.setdefault(frame, json.dumps(entry))
            self._frames[entry["id"]] = frame
        if not self._frames:
            first = self._file.images[0]["file_name"]
            raise RiseError(
                f"None of the {self._missing} images of {self._file.path} is in {self._project.images} "
                f"(looked for {first} and so on); file names must be relative to the image folder."
            )

    def _add_frames(self) -> None:
        """Frames that the folder has and the project does not know yet, as looking through the folder would do."""
        numbers: dict[int | str, int] = {}
        names = [frame for frame in dict.fromkeys(self._frames.values()) if isinstance(frame, str)]
        for start in range(0, len(names), _FRAMES_A_TRANSACTION):
            with self._project.store.write() as connection:
                for name in names[start : start + _FRAMES_A_TRANSACTION]:
                    numbers[name] = found_frame(connection, name)
            let_others(self._project.store)
        if numbers:
            self._frames = {entry: numbers.get(frame, frame) for entry, frame in self._frames.items()}
            self._origins = {numbers.get(frame, frame): origin for frame, origin in self._origins.items()}
            self._fresh = [(numbers.get(row[0], row[0]), *row[1:]) for row in self._fresh]

    def _read_categories(self) -> list[tuple[int, str]]:
        rows = self._project.store.read("SELECT id, name FROM categories ORDER BY position, id")
        return [(row["id"], row["name"]) for row in rows]

    def _take_categories(self) -> None:
        # Two entries of one name stay two, as the file has them; each joins a category of that name that is there.
        free = dict(self._stored_categories)
        for entry in self._file.categories:
            if self._is_dropped(entry):
                continue
            name = entry["name"]
            same = [number for number, other in free.items() if other == name]
            wanted = _usable(entry["id"])
            if same:
                number = wanted if wanted is not None and wanted in same else same[0]
                del free[number]
            else:
                extra = json.dumps({key: value for key, value in entry.items() if key not in ("id", "name")})
                number = self._new_category(name, wanted, extra)
            self._categories[entry["id"]] = number

    def _is_dropped(self, category: Mapping[str, Any]) -> bool:
        return category["name"].casefold() in self._dropped_names

    def _known_categories(self) -> list[tuple[int, str]]:
        return [*self._stored_categories, *((number, name) for number, name, _ in self._new_categories)]

    def _new_category(self, name: str, wanted: int | None, extra: str = "{}") -> int:
        taken = {known for known, _ in self._known_categories()}
        number = wanted if wanted is not None and wanted not in taken else max(taken, default=0) + 1
        self._new_categories.append((number, name, extra))
        return number

    def _unnamed_category(self, number: Any) -> int:
        """A category that the file uses without naming it keeps its number and is named by it."""
        name = f"category {number}"
        for known, other in self._known_categories():
            if other == name:
                return known
        return self._new_category(name, _usable(number))

    def _take_header(self, edit: Edit) -> None:
        content = json.dumps(self._file.header)
        row = edit.connection.execute("SELECT 1 FROM documents WHERE content = ?", (content,)).fetchone()
        if row is None and self._file.header:
            edit.insert("documents", {"name": self._file.path.name, "content": content})

    def _take_annotations(self) -> None:
        occupied = self._occupied()
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
                    category = self._categories[number] = self._unnamed_category(number)
                row = self._row(entry, frame, category)
                if isinstance(frame, int) and frame in occupied:
                    self._waiting.setdefault(frame, []).append(row)
                else:
                    self._fresh.append(row)

    def _occupied(self) -> set[int]:
        return {row["frame"] for row in self._project.store.read(f"SELECT DISTINCT frame FROM {INSTANCES}")}

    def _row(self, entry: PreparedAnnotation, frame: int | str, category: int) -> _Row:
        if entry.segmentation == UNFIT:
            raise RiseError(
                f"The annotation {entry.number} of {self._file.path} has a segmentation that is neither "
                "polygons nor run lengths; export it again from the tool that made it."
            )
        return frame, category, entry.segmentation, _IMPORTED, entry.crowd, entry.extra, entry.origin

    def _settle(self, waiting: Mapping[int, list[_Row]]) -> None:
        """Merge rows into frames that have some. Raises ImportConflictError where that needs a decision."""
        conflicts = []
        for frame, rows in waiting.items():
            stored = self._project.store.read(f"SELECT * FROM {INSTANCES} WHERE frame = ? ORDER BY id", (frame,))
            merged = merge(stored, rows, self._on_conflict)
            if merged is None:
                conflicts.append(frame)
            else:
                self._merges[frame] = merged
        if conflicts:
            name = self._project.frames.get(conflicts[0]).name
            raise ImportConflictError(
                f"{len(conflicts)} frames of {self._file.path} have other instances already, {name} for one; "
                "say with --on-conflict whether to keep, replace or hold both."
            )

    def _decide_again(self, edit: Edit, coming: Incoming, filled: set[Any]) -> None:
        """For the frames that somebody drew on while the rows were stored."""
        touched = self._project.journal.touched_since(self._moment)
        if touched is None:
            touched = self._occupied() | set(self._waiting)
        self._late = touched & filled
        if not self._late:
            return
        rows: dict[int, list[_Row]] = {frame: self._waiting.get(frame, []) for frame in self._late}
        for row in self._fresh:
            if row[0] in self._late:
                rows[row[0]].append(row)
        for frame in self._late:
            coming.withdraw(edit, frame)
        self._settle(rows)


def _usable(number: object) -> int | None:
    """A file's category number where the project can take it over."""
    return number if isinstance(number, int) and abs(number) <= _LARGEST_ID else None
