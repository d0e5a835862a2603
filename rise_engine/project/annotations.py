"""What people annotated: categories, and the instances of each frame."""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any

from rise_engine.errors import RiseError
from rise_engine.project.database.damage import reading
from rise_engine.project.database.journal import Edit, Journal
from rise_engine.project.database.schema import INSTANCES
from rise_engine.project.database.store import Store
from rise_engine.project.records import (
    ANNOTATED_STATES,
    BankEntry,
    Category,
    FrameState,
    Instance,
    Source,
    Split,
    StoredAnnotation,
)
from rise_engine.project.segmentation import Segmentation, to_json
from rise_engine.project.wording import number_of

_STORED = ", ".join(StoredAnnotation._fields)


class Annotations:
    """The tables ``categories`` and ``instances``, and the headers of imported files. ``project.annotations``."""

    def __init__(self, store: Store, journal: Journal) -> None:
        self._store = store
        self._journal = journal

    # Categories

    @reading("categories")
    def categories(self) -> list[Category]:
        """All categories, oldest first; the position in this list is the class index."""
        rows = self._store.read("SELECT id, name FROM categories ORDER BY position, id")
        return [Category(row["id"], row["name"]) for row in rows]

    @reading("categories")
    def category_fields(self) -> dict[int, dict[str, Any]]:
        """By category id, the fields of an imported category besides its id and name."""
        rows = self._store.read("SELECT id, extra FROM categories")
        return {row["id"]: json.loads(row["extra"]) for row in rows}

    def add_category(self, name: str) -> Category:
        """The category of that name; it is added when there is none yet."""
        name = name.strip()
        if not name:
            raise RiseError("A category needs a name; type one.")
        with self._journal.edit(f"added the category {name}") as edit:
            return new_category(edit, name)

    def rename_category(self, category: int, name: str) -> None:
        """Rename a category; one edit. Raises RiseError when it does not exist or the name is taken."""
        name = name.strip()
        names = {known.id: known.name for known in self.categories()}
        if category not in names:
            raise RiseError(f"The project has no category {category}; choose one of {sorted(names)}.")
        if not name or any(taken == name and other != category for other, taken in names.items()):
            raise RiseError(
                f"The category {names[category]} cannot be called {name!r}; choose a name that is not taken."
            )
        with self._journal.edit(f"renamed the category {names[category]} to {name}") as edit:
            edit.update("categories", category, {"name": name})

    # Instances

    @reading("annotations")
    def of_frame(self, frame: int) -> list[Instance]:
        """The annotations of a frame (drawn, imported, accepted), in drawing order: the topmost instance is last."""
        rows = self._store.read(f"SELECT * FROM {INSTANCES} WHERE frame = ? ORDER BY id", (frame,))
        return [_instance(row) for row in rows]

    def add(self, frame: int, instances: Iterable[Instance]) -> list[int]:
        """Store new annotations on top of the frame's others and return their ids; one edit.

        An unlabelled frame becomes labelled. Raises RiseError for an unknown category.
        """
        added = list(instances)
        ids: list[int] = []
        with self._journal.edit(f"drew {number_of(len(added), 'instance')}", frame=frame) as edit:
            known = {row["id"] for row in edit.connection.execute("SELECT id FROM categories")}
            for instance in added:
                require_category(known, instance.category)
                ids.append(edit.insert("instances", _row_values(instance, frame)))
            if added:
                mark(edit, frame, when={FrameState.UNLABELLED}, state=FrameState.LABELLED)
        return ids

    def update(self, instance: int, *, segmentation: Segmentation | None = None, category: int | None = None) -> None:
        """Change the mask or the category of an annotation; one edit. Its id and extra fields stay.

        Raises RiseError for an unknown annotation or category.
        """
        frame = self._row(instance)["frame"]
        with self._journal.edit("changed the mask of an instance", frame=frame) as edit:
            row = edit.connection.execute("SELECT * FROM instances WHERE id = ?", (instance,)).fetchone()
            values: dict[str, object] = {}
            if category is not None:
                known = dict(edit.connection.execute("SELECT id, name FROM categories").fetchall())
                require_category(set(known), category)
                values["category"] = category
                if segmentation is None:
                    edit.action = f"changed an instance to {known[category]}"
            if segmentation is not None:
                values["segmentation"] = to_json(segmentation)
                if row["origin"] is not None:
                    # The imported area and box no longer fit the mask.
                    origin = json.loads(row["origin"])
                    values["origin"] = json.dumps({k: v for k, v in origin.items() if k not in ("area", "bbox")})
            if values:
                edit.update("instances", instance, values)

    def delete(self, instances: Sequence[int]) -> None:
        """Delete annotations; one edit. A labelled frame that loses its last annotation becomes unlabelled."""
        rows = [self._row(instance) for instance in instances]
        frames = Counter(int(row["frame"]) for row in rows)
        only = next(iter(frames)) if len(frames) == 1 else None
        with self._journal.edit(f"deleted {number_of(len(rows), 'instance')}", frame=only) as edit:
            for instance in instances:
                edit.delete("instances", instance)
            for frame in frames:
                left = edit.connection.execute(
                    f"SELECT 1 FROM {INSTANCES} WHERE frame = ? LIMIT 1", (frame,)
                ).fetchone()
                if left is None:
                    mark(edit, frame, when={FrameState.LABELLED}, state=FrameState.UNLABELLED)

    # Which frames and categories have annotations

    def frames_with_objects(self) -> set[int]:
        """The frames with at least one annotation that is no crowd; the others cannot be measured."""
        return {row["frame"] for row in self._store.read(f"SELECT DISTINCT frame FROM {INSTANCES} WHERE crowd = 0")}

    def frames_with_annotations(self, *, sources: Collection[Source] | None = None) -> set[int]:
        """The frames with at least one annotation, crowds included; with ``sources``, with one from one of these."""
        rows = self._store.read(f"SELECT DISTINCT frame, source FROM {INSTANCES}")
        return {row["frame"] for row in rows if sources is None or row["source"] in sources}

    def annotated_categories(self, frames: Collection[int]) -> set[int]:
        """The categories of the frames' annotations that are no crowds."""
        rows = self._store.read(f"SELECT DISTINCT frame, category FROM {INSTANCES} WHERE crowd = 0")
        return {row["category"] for row in rows if row["frame"] in frames}

    def counts(self) -> dict[int, int]:
        """The number of annotations of each category that has any, crowds included."""
        rows = self._store.read(f"SELECT category, count(*) AS count FROM {INSTANCES} GROUP BY category")
        return {row["category"]: row["count"] for row in rows}

    def crowd_count(self) -> int:
        """The number of annotations that are crowds: they are kept but never trained on."""
        return int(self._store.read(f"SELECT count(*) AS count FROM {INSTANCES} WHERE crowd = 1")[0]["count"])

    # The instance bank

    def bank_entries(self) -> list[BankEntry]:
        """The annotations that the instance bank may use, without their masks, in the order of the frames.

        They belong to labelled and reviewed frames outside the hold-out, and are no crowds.
        """
        rows = self._store.read(
            "SELECT instances.id, instances.frame, name, category, bank_excluded AS excluded "
            f"FROM {INSTANCES} JOIN frames ON frames.id = instances.frame "
            "WHERE frames.state IN (?, ?) AND frames.split = ? AND instances.crowd = 0 "
            "ORDER BY frames.sort_key, frames.name, instances.id",
            (*ANNOTATED_STATES, Split.TRAIN),
        )
        return [BankEntry(row["id"], row["frame"], row["name"], row["category"], bool(row["excluded"])) for row in rows]

    def set_bank_excluded(self, instance: int, excluded: bool) -> None:
        """Exclude an annotation from the instance bank, or include it again; one edit."""
        action = "kept an instance out of the bank" if excluded else "let an instance into the bank"
        with self._journal.edit(action, frame=self._row(instance)["frame"]) as edit:
            edit.update("instances", instance, {"bank_excluded": int(excluded)})

    def bank_excluded(self) -> set[int]:
        """The ids of the annotations that are excluded from the instance bank."""
        return {row["id"] for row in self._store.read(f"SELECT id FROM {INSTANCES} WHERE bank_excluded = 1")}

    # Import and export

    def stored(self, frame: int) -> dict[int, StoredAnnotation]:
        """The annotations of a frame by id, in the form in which they are stored."""
        query = f"SELECT id, {_STORED} FROM {INSTANCES} WHERE frame = ? ORDER BY id"
        return {row["id"]: StoredAnnotation(*tuple(row)[1:]) for row in self._store.read(query, (frame,))}

    def stream(self) -> Iterator[StoredAnnotation]:
        """All annotations of the project one by one, oldest first, as of one moment."""
        for row in self._store.stream(f"SELECT {_STORED} FROM {INSTANCES} ORDER BY id"):
            yield StoredAnnotation(*row)

    def imported_ids(self) -> Iterator[Any]:
        """The ids that annotations had in the files that they were imported from."""
        query = f"SELECT json_extract(origin, '$.id') AS id FROM {INSTANCES} WHERE origin IS NOT NULL"
        return (row["id"] for row in self._store.read(query))

    @reading("headers")
    def headers(self) -> list[dict[str, Any]]:
        """The top-level fields of each imported file besides its lists of images, annotations and categories."""
        return [json.loads(row["content"]) for row in self._store.read("SELECT content FROM documents ORDER BY id")]

    def _row(self, instance: int) -> sqlite3.Row:
        rows = self._store.read(f"SELECT id, frame FROM {INSTANCES} WHERE id = ?", (instance,))
        if not rows:
            raise RiseError(f"The project has no instance {instance}; it may have been deleted; show the frame again.")
        return rows[0]


def new_category(edit: Edit, name: str, *, wanted: int | None = None) -> Category:
    """The category called ``name``; when missing, added within the edit, under the id ``wanted`` if it is free."""
    for row in edit.connection.execute("SELECT id, name FROM categories ORDER BY position, id"):
        if row["name"] == name:
            return Category(row["id"], name)
    return insert_category(edit, name, wanted=wanted)


def insert_category(edit: Edit, name: str, *, wanted: int | None = None, extra: str = "{}") -> Category:
    """Add a category even if another one has the same name, as in some imported files."""
    rows = edit.connection.execute("SELECT id, position FROM categories").fetchall()
    taken = {row["id"] for row in rows}
    number = wanted if wanted is not None and wanted not in taken else max(taken, default=0) + 1
    position = max((row["position"] for row in rows), default=-1) + 1
    edit.insert("categories", {"id": number, "name": name, "position": position, "extra": extra})
    return Category(number, name)


def mark(edit: Edit, frame: int, *, when: set[FrameState], state: FrameState) -> None:
    """Change a frame's state within an edit if it is one of ``when``."""
    row = edit.connection.execute("SELECT state FROM frames WHERE id = ?", (frame,)).fetchone()
    if row is None:
        raise RiseError(f"The project has no frame {frame}; scan the image folder again.")
    if FrameState(row["state"]) in when:
        edit.update("frames", frame, {"state": state.value})


def require_category(known: set[int], category: int) -> None:
    """Raise RiseError when a category is not one of the project's."""
    if category not in known:
        raise RiseError(f"The project has no category {category}; add it first, it has {sorted(known)}.")


def _row_values(instance: Instance, frame: int) -> dict[str, object]:
    """The columns of a new annotation."""
    stored = StoredAnnotation.of(frame, instance)._asdict()
    return stored | {"score": instance.score, "run": instance.run}


def _instance(row: sqlite3.Row) -> Instance:
    return Instance(
        id=row["id"],
        frame=row["frame"],
        category=row["category"],
        segmentation=json.loads(row["segmentation"]),
        score=row["score"],
        source=Source(row["source"]),
        run=row["run"],
        crowd=bool(row["crowd"]),
        extra=json.loads(row["extra"]),
    )
