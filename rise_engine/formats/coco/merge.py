"""Merge the annotations of a file with those that a frame has already (COCO format)."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

from rise_engine.project.records import StoredAnnotation

OnConflict = Literal["keep", "replace", "both"]


class Merge(NamedTuple):
    """Annotations to store, ids of annotations to delete, and how many of the file's are known already or kept out."""

    insert: list[StoredAnnotation]
    delete: list[int]
    known: int
    kept_out: int


def merge(
    stored: Mapping[int, StoredAnnotation], rows: Sequence[StoredAnnotation], on_conflict: OnConflict | None
) -> Merge | None:
    """Merge a file's annotations of a frame with those that it has, by id; None when that needs a decision.

    An annotation that is there already is never added twice. ``on_conflict``: ``keep`` the stored ones, ``replace``
    them, or keep ``both``.
    """
    known = Counter(map(_identity, stored.values()))
    imported = Counter(map(_identity, rows))
    settled = imported == known or (on_conflict != "replace" and not imported - known)
    if stored and (settled or on_conflict == "keep"):
        again = (imported & known).total()
        return Merge([], [], again, len(rows) - again)
    if stored and on_conflict is None:
        return None
    delete: list[int] = []
    if on_conflict == "replace":
        delete = list(stored)
        known.clear()
    insert: list[StoredAnnotation] = []
    for row in rows:
        identity = _identity(row)
        if known[identity] > 0:
            known[identity] -= 1
        else:
            insert.append(row)
    return Merge(insert, delete, len(rows) - len(insert), 0)


def _identity(row: StoredAnnotation) -> tuple[Any, ...]:
    origin = json.loads(row.origin) if row.origin else {}
    return row.category, row.crowd, row.segmentation, json.dumps(origin.get("id"))
