"""Import COCO annotations into a project, completely or not at all (COCO format)."""

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
from rise_engine.formats.coco.placement import Fit
from rise_engine.formats.coco.prepared import UNFIT, PreparedAnnotation, PreparedFile
from rise_engine.formats.watch import Watch, unwatched
from rise_engine.project.database.bulk_import import BulkImport
from rise_engine.project.database.journal import Edit
from rise_engine.project.project import Project
from rise_engine.project.records import Category, Source, StoredAnnotation
from rise_engine.project.wording import number_of

_LARGEST_ID = 2**63 - 1
"""Of the database's numbers; a category with a larger id gets another one."""
_ATTEMPTS = 3


class _OvertakenError(Exception):
    """Another process changed the categories after the importer had decided."""


class ImportConflictError(RiseError):
    """Frames have other instances already and ``on_conflict`` is not given; nothing was changed."""


@dataclass(frozen=True, slots=True)
class ImportReport:
    """Counts: images of the file that exist, instances added, images of the file that are missing, and instances that
    were not added: of dropped categories, known already, kept out by a conflict, without a mask or without an image."""

    images: int
    instances: int
    missing_files: int
    dropped: int
    known: int
    kept_out: int
    skipped: int
    pixelless: int = 0
    """Instances that cover no pixel of their image, and were not imported."""
    doubled_images: int = 0
    """Images that the file lists twice with the same annotations; each counts once."""
    turned: int = 0
    """Images with polygons of the photo before EXIF orientation, which were turned with it."""
    undecided: int = 0
    """Images whose photo EXIF turns, while their annotations fit both ways; they were taken as upright."""
    scaled: int = 0
    """Images with annotations of another size, which were scaled."""
    another_size: int = 0
    """Images with annotations of another size, which are refused wherever they are used."""
    dropped_categories: frozenset[str] = frozenset()
    """Their names in the file, also the names of categories without instances."""

    def notices(self) -> list[str]:
        """A sentence for each kind of thing in the file that was not used, or not used unchanged."""
        number = number_of
        return [
            sentence
            for count, sentence in (
                (
                    self.missing_files,
                    f"{number(self.missing_files, 'image')} of the file missing in the image folder, and skipped.",
                ),
                (self.doubled_images, f"{number(self.doubled_images, 'image')} listed twice in the file, used once."),
                (self.pixelless, f"{number(self.pixelless, 'annotation')} have no pixels and were not imported."),
                (
                    self.turned,
                    f"{number(self.turned, 'frame')} with polygons of the photo before EXIF orientation: they were "
                    "turned with the photo.",
                ),
                (
                    self.undecided,
                    f"Warning: {number(self.undecided, 'frame')} where EXIF turns the photo and the file does not show "
                    "whether its annotations are of the turned one: they were taken as they are, check them.",
                ),
                (self.scaled, f"{number(self.scaled, 'frame')} with annotations scaled to the size of the image."),
                (
                    self.another_size,
                    f"Warning: {number(self.another_size, 'frame')} with annotations of another size than the image, "
                    "which cannot be used; --scale-annotations scales them where the aspect ratio agrees.",
                ),
            )
            if count
        ]


def import_coco(
    project: Project,
    path: Path,
    *,
    drop_categories: Collection[str] = (),
    empty_is_labelled: bool = False,
    on_conflict: OnConflict | None = None,
    scale_annotations: bool = False,
    watch: Watch = unwatched,
) -> ImportReport:
    """Import a COCO file into a project as one edit; images with an instance become labelled.

    ``drop_categories`` are category names; case is ignored. ``on_conflict`` decides about frames that have other
    instances already: ``keep`` them, ``replace`` them, or keep ``both``. An instance that is stored already is never
    added twice. ``scale_annotations`` scales those of an image of another size where the aspect ratio agrees.
    ``watch`` observes the annotations being read and stored, and can cancel the import.
    Raises RiseError and changes nothing when the file is no COCO dataset, a file name leaves the image folder, no
    image is found, or frames have instances and ``on_conflict`` is None.
    """
    try:
        file = PreparedFile(CocoFile(Path(path)), project.images, watch, scale=scale_annotations)
        for _ in range(_ATTEMPTS):
            with suppress(_OvertakenError), project.bulk_import() as rows:
                work = _Import(project, file, drop_categories, on_conflict)
                work.decide()
                return work.carry_out(rows, watch, empty_is_labelled=empty_is_labelled)
        raise RiseError(f"The categories changed repeatedly while {path} was imported; import it again.")
    except UnicodeEncodeError as error:
        # JSON can contain lone surrogates, which are no valid text.
        raise RiseError(
            f"The file {path} has a name that is no text ({error.object[:40]!r}); export it again with plain names."
        ) from error


class _Import:
    """Decides about every annotation, and refuses the file if necessary, before the first row is stored."""

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
        """By image id of the file: the frame's id, or its name while the project does not have it."""
        self._origins: dict[int | str, str] = {}
        self._later_origins: dict[int, str] = {}
        """Entries of frames that an earlier import had too; they are used where the annotations are replaced."""
        self._stored_categories = project.annotations.categories()
        self._new_categories: list[tuple[int, str, str]] = []
        self._categories: dict[Any, int] = {}
        self._fresh: list[StoredAnnotation] = []
        """For frames without annotations; ``frame`` is the frame's name while the project does not have it."""
        self._waiting: dict[int, list[StoredAnnotation]] = {}
        """For frames that have annotations."""
        self._merges: dict[int, Merge] = {}
        self._late: set[int] = set()
        """Frames that were edited while the rows were stored."""
        self._missing = self._dropped = self._skipped = self._maskless = 0

    def decide(self) -> None:
        """Decide what happens to each annotation. Raises RiseError when the file is refused."""
        self._take_images()
        self._take_categories()
        self._take_annotations()
        self._settle(self._waiting)
        unusable = (self._maskless or self._file.pixelless) and self._skipped == self._maskless
        if unusable and not self._fresh and not self._waiting:
            what = "masks without any pixel" if self._file.pixelless else "boxes only and no masks"
            raise RiseError(f"The file {self._file.path} has {what}; export it again with segmentations.")

    def carry_out(self, rows: BulkImport, watch: Watch, *, empty_is_labelled: bool) -> ImportReport:
        """Store the annotations hidden, then show all of them in one edit."""
        rows.require_room(chain(self._fresh, *(merged.insert for merged in self._merges.values())))
        self._add_frames(rows)
        stored = chain(self._fresh, chain.from_iterable(merged.insert for merged in self._merges.values()))
        rows.add(watch(stored, total=self._instances, doing="storing annotations"))
        rows.replace(chain.from_iterable(merged.delete for merged in self._merges.values()))
        filled = {row.frame for row in self._fresh} | set(self._waiting)
        self._prepare_frames(rows, self._annotated(filled) if empty_is_labelled else filled)
        with self._project.journal.edit(f"imported {self._file.path.name}") as edit:
            if self._project.annotations.categories() != self._stored_categories:
                raise _OvertakenError
            self._decide_again(edit, rows, filled)
            for number, name, extra in self._new_categories:
                rows.add_category(edit, name, wanted=number, extra=extra)
            if self._file.header:
                rows.keep_header(edit, self._file.path.name, json.dumps(self._file.header))
            for frame in sorted(self._late):
                rows.change(edit, delete=self._merges[frame].delete, insert=self._merges[frame].insert)
            rows.show(edit)
            edit.action = self._action(len(filled))
        return self._report()

    def _report(self) -> ImportReport:
        return ImportReport(
            images=len(self._frames),
            instances=self._instances,
            missing_files=self._missing,
            dropped=self._dropped,
            known=sum(merged.known for merged in self._merges.values()),
            kept_out=sum(merged.kept_out for merged in self._merges.values()),
            skipped=self._skipped,
            pixelless=self._file.pixelless,
            doubled_images=self._file.doubled_images,
            turned=self._file.placed[Fit.SENSOR],
            undecided=self._file.placed[Fit.UNDECIDED],
            scaled=self._file.scaled_images,
            another_size=self._file.placed[Fit.SCALABLE] + self._file.placed[Fit.ANOTHER],
            dropped_categories=frozenset(entry["name"] for entry in self._file.categories if self._is_dropped(entry)),
        )

    def _action(self, frames: int) -> str:
        instances = number_of(self._instances, "instance")
        return f"imported {self._file.path.name}: {instances} in {number_of(frames, 'frame')}"

    @property
    def _instances(self) -> int:
        fresh = sum(row.frame not in self._late for row in self._fresh) if self._late else len(self._fresh)
        return fresh + sum(len(merged.insert) for merged in self._merges.values())

    def _take_images(self) -> None:
        origins = self._project.frames.origins()
        known = {frame.name: (frame.id, frame.id not in origins) for frame in self._project.frames.all()}
        for entry in self._file.images:
            name = self._file.names[entry["id"]]
            if name is None:
                self._missing += 1
                continue
            frame, without_origin = known.get(name, (name, True))
            if without_origin and frame not in self._origins:
                self._origins[frame] = json.dumps(entry)
            elif isinstance(frame, int):
                self._later_origins.setdefault(frame, json.dumps(entry))
            self._frames[entry["id"]] = frame
        if not self._frames:
            first = self._file.images[0]["file_name"]
            raise RiseError(
                f"None of the {self._missing} images of {self._file.path} is in {self._project.images} "
                f"(the first one is {first}); file names must be relative to the image folder."
            )

    def _add_frames(self, rows: BulkImport) -> None:
        """Add the images that are in the folder but not yet in the project, as a scan of the folder would do."""
        names = [frame for frame in dict.fromkeys(self._frames.values()) if isinstance(frame, str)]
        ids = cast("dict[int | str, int]", rows.add_frames(names))
        if ids:
            self._frames = {entry: ids.get(frame, frame) for entry, frame in self._frames.items()}
            self._origins = {ids.get(frame, frame): origin for frame, origin in self._origins.items()}
            self._fresh = [row._replace(frame=ids.get(row.frame, row.frame)) for row in self._fresh]

    def _annotated(self, filled: set[int]) -> set[int]:
        """All frames of the file, but for those that only have annotations without pixels."""
        frames = cast("dict[Any, int]", self._frames)
        unknown = {frames[number] for number in self._file.pixelless_images if number in frames}
        return set(frames.values()) - (unknown - filled)

    def _prepare_frames(self, rows: BulkImport, labelled: set[int]) -> None:
        """``labelled`` are the frames that become labelled."""
        replaced = (frame for frame, merged in self._merges.items() if merged.delete)
        later = {frame: self._later_origins[frame] for frame in replaced if frame in self._later_origins}
        origins = cast("dict[int, str]", self._origins) | later
        rows.prepare_frames(origins, labelled)

    def _take_categories(self) -> None:
        # Two entries of one name stay two, as in the file; each one is matched with a stored category of that name.
        free = {category.id: category.name for category in self._stored_categories}
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

    def _known_categories(self) -> list[Category]:
        return [*self._stored_categories, *(Category(number, name) for number, name, _ in self._new_categories)]

    def _new_category(self, name: str, wanted: int | None, extra: str = "{}") -> int:
        taken = {known.id for known in self._known_categories()}
        number = wanted if wanted is not None and wanted not in taken else max(taken, default=0) + 1
        self._new_categories.append((number, name, extra))
        return number

    def _unnamed_category(self, number: Any) -> int:
        """A category that the file uses but does not name keeps its id and is named after it."""
        name = f"category {number}"
        for known in self._known_categories():
            if known.name == name:
                return known.id
        return self._new_category(name, _usable(number))

    def _take_annotations(self) -> None:
        occupied = self._project.annotations.frames_with_annotations()
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

    def _row(self, entry: PreparedAnnotation, frame: int | str, category: int) -> StoredAnnotation:
        if entry.segmentation == UNFIT:
            raise RiseError(
                f"The annotation {entry.number} of {self._file.path} has a segmentation that is neither "
                "polygons nor run lengths; export it again from the tool that made it."
            )
        known = cast("int", frame)
        source = Source.IMPORTED.value
        return StoredAnnotation(known, category, entry.segmentation, source, entry.crowd, entry.extra, entry.origin)

    def _settle(self, waiting: Mapping[int, list[StoredAnnotation]]) -> None:
        """Merge rows into frames that have annotations. Raises ImportConflictError where that needs a decision."""
        conflicts = []
        for frame, rows in waiting.items():
            merged = merge(self._project.annotations.stored(frame), rows, self._on_conflict)
            if merged is None:
                conflicts.append(frame)
            else:
                self._merges[frame] = merged
        if conflicts:
            name = self._project.frames.get(conflicts[0]).name
            raise ImportConflictError(
                f"Other instances exist already in {number_of(len(conflicts), 'frame')} of {self._file.path}, "
                f"for example {name}; choose with --on-conflict: keep, replace or both."
            )

    def _decide_again(self, edit: Edit, hidden: BulkImport, filled: set[int]) -> None:
        """Decide again about the frames that were edited while the rows were stored."""
        touched = self._project.journal.touched_since(self._moment)
        if touched is None:
            touched = self._project.annotations.frames_with_annotations() | set(self._waiting)
        self._late = touched & filled
        if not self._late:
            return
        rows: dict[int, list[StoredAnnotation]] = {frame: self._waiting.get(frame, []) for frame in self._late}
        for row in self._fresh:
            if row.frame in self._late:
                rows[row.frame].append(row)
        for frame in self._late:
            hidden.withdraw(edit, frame)
        self._settle(rows)


def _usable(number: object) -> int | None:
    """A file's category id if the project can use it, else None."""
    return number if isinstance(number, int) and abs(number) <= _LARGEST_ID else None
