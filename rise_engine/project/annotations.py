"""What people said about frames: categories and instances."""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Collection, Iterable, Sequence

from rise_engine.errors import RiseError
from rise_engine.project.database.damage import reading
from rise_engine.project.database.journal import Edit, Journal
from rise_engine.project.database.schema import INSTANCES
from rise_engine.project.database.store import Store
from rise_engine.project.records import Category, FrameState, Instance, Source
from rise_engine.project.segmentation import Segmentation
from rise_engine.project.wording import number_of


class Annotations:
    """Rows of the tables ``categories`` and ``instances``."""

    def __init__(self, store: Store, journal: Journal) -> None:
        self._store = store
        self._journal = journal

    @reading("categories")
    def categories(self) -> list[Category]:
        """All categories; the position in this list is the class index."""
        rows = self._store.read("SELECT id, name FROM categories ORDER BY position, id")
        return [Category(row["id"], row["name"]) for row in rows]

    def add_category(self, name: str) -> Category:
        """The category of that name, made when there is none yet."""
        name = name.strip()
        if not name:
            raise RiseError("A category needs a name; type one.")
        with self._journal.edit(f"added the category {name}") as edit:
            return new_category(edit, name)

    def rename_category(self, category: int, name: str) -> None:
        """Give a category another name. Raises RiseError when it does not exist or the name is taken."""
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

    @reading("annotations")
    def of_frame(self, frame: int) -> list[Instance]:
        """Annotations of a frame, lowest first."""
        rows = self._store.read(f"SELECT * FROM {INSTANCES} WHERE frame = ? ORDER BY id", (frame,))
        return [_instance(row) for row in rows]

    def frames_with_objects(self) -> set[int]:
        """The frames that have at least one instance that is no crowd."""
        return {row["frame"] for row in self._store.read(f"SELECT DISTINCT frame FROM {INSTANCES} WHERE crowd = 0")}

    def annotated_categories(self, frames: Collection[int]) -> set[int]:
        """The categories of the frames' instances that are no crowd."""
        rows = self._store.read(f"SELECT DISTINCT frame, category FROM {INSTANCES} WHERE crowd = 0")
        return {row["category"] for row in rows if row["frame"] in frames}

    def add(self, frame: int, instances: Iterable[Instance]) -> list[int]:
        """Store new instances on top of a frame's others and return their ids; one edit.

        An unlabelled frame becomes labelled. Raises RiseError for an unknown category.
        """
        added = list(instances)
        ids: list[int] = []
        with self._journal.edit(f"drew {number_of(len(added), 'instance')}", frame=frame) as edit:
            known = {row["id"] for row in edit.connection.execute("SELECT id FROM categories")}
            for instance in added:
                require_category(known, instance.category)
                ids.append(edit.insert("instances", row_values(instance, frame)))
            if added:
                mark(edit, frame, when={FrameState.UNLABELLED}, state=FrameState.LABELLED)
        return ids

    def update(self, instance: int, *, segmentation: Segmentation | None = None, category: int | None = None) -> None:
        """Change the mask or the category of an instance; one edit. Its id and extra fields stay."""
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
                values["segmentation"] = pack(segmentation)
                if row["origin"] is not None:
                    # The imported area and box no longer fit the mask.
                    origin = json.loads(row["origin"])
                    values["origin"] = json.dumps({k: v for k, v in origin.items() if k not in ("area", "bbox")})
            if values:
                edit.update("instances", instance, values)

    def delete(self, instances: Sequence[int]) -> None:
        """Take instances out; one edit. A labelled frame that loses its last instance is unlabelled again."""
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

    def set_bank_excluded(self, instance: int, excluded: bool) -> None:
        """Keep an instance out of the instance bank, or let it in again; one edit."""
        action = "kept an instance out of the bank" if excluded else "let an instance into the bank"
        with self._journal.edit(action, frame=self._row(instance)["frame"]) as edit:
            edit.update("instances", instance, {"bank_excluded": int(excluded)})

    def bank_excluded(self) -> set[int]:
        """Ids of the instances that stay out of the bank."""
        return {row["id"] for row in self._store.read(f"SELECT id FROM {INSTANCES} WHERE bank_excluded = 1")}

    def _row(self, instance: int) -> sqlite3.Row:
        rows = self._store.read(f"SELECT id, frame FROM {INSTANCES} WHERE id = ?", (instance,))
        if not rows:
            raise RiseError(f"The project has no instance {instance}; it may have been deleted meanwhile, look again.")
        return rows[0]


def new_category(edit: Edit, name: str, *, wanted: int | None = None, extra: str = "{}") -> Category:
    """The category called ``name``, made inside a running edit when missing, under the id ``wanted`` if it is free."""
    for row in edit.connection.execute("SELECT id, name FROM categories ORDER BY position, id"):
        if row["name"] == name:
            return Category(row["id"], name)
    return insert_category(edit, name, wanted=wanted, extra=extra)


def insert_category(edit: Edit, name: str, *, wanted: int | None = None, extra: str = "{}") -> Category:
    """A category of its own, even if another has the same name, as some files have it."""
    rows = edit.connection.execute("SELECT id, position FROM categories").fetchall()
    taken = {row["id"] for row in rows}
    number = wanted if wanted is not None and wanted not in taken else max(taken, default=0) + 1
    position = max((row["position"] for row in rows), default=-1) + 1
    edit.insert("categories", {"id": number, "name": name, "position": position, "extra": extra})
    return Category(number, name)


def mark(edit: Edit, frame: int, *, when: set[FrameState], state: FrameState) -> None:
    """Change a frame's state inside a running edit if it is one of ``when``."""
    row = edit.connection.execute("SELECT state FROM frames WHERE id = ?", (frame,)).fetchone()
    if row is None:
        raise RiseError(f"The project has no frame {frame}; scan the image folder again.")
    if FrameState(row["state"]) in when:
        edit.update("frames", frame, {"state": state.value})


def require_category(known: set[int], category: int) -> None:
    """Raise RiseError when a category is not one of the project's."""
    if category not in known:
        raise RiseError(f"The project has no category {category}; add it first, it has {sorted(known)}.")


def row_values(instance: Instance, frame: int) -> dict[str, object]:
    """The columns of a new instance."""
    return {
        "frame": frame,
        "category": instance.category,
        "segmentation": pack(instance.segmentation),
        "score": instance.score,
        "source": instance.source.value,
        "run": instance.run,
        "crowd": int(instance.crowd),
        "extra": json.dumps(instance.extra),
    }


def pack(segmentation: Segmentation) -> str:
    """A segmentation as it is kept in the table."""
    return json.dumps(segmentation, separators=(",", ":"))


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
