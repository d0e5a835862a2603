"""What becomes of a frame that has annotations when a file brings others (COCO format)."""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

from rise_engine.project.database.bulk_import import COLUMNS

OnConflict = Literal["keep", "replace", "both"]


class Merge(NamedTuple):
    """Rows to store, numbers of annotations to take out, and how many of the file's are there already or kept out."""

    insert: list[tuple[Any, ...]]
    delete: list[int]
    known: int
    kept_out: int


def merge(
    stored: Sequence[sqlite3.Row], rows: Sequence[tuple[Any, ...]], on_conflict: OnConflict | None
) -> Merge | None:
    """Bring a file's rows (values of ``COLUMNS``) into a frame; None when that needs a decision.

    What is there already is never added twice. ``on_conflict``: ``keep`` what is there, ``replace`` it, or hold
    ``both``.
    """
    named = [dict(zip(COLUMNS, row, strict=True)) for row in rows]
    there = Counter(_identity(row) for row in stored)
    coming = Counter(_identity(row) for row in named)
    settled = coming == there or (on_conflict != "replace" and not coming - there)
    if stored and (settled or on_conflict == "keep"):
        known = (coming & there).total()
        return Merge([], [], known, len(rows) - known)
    if stored and on_conflict is None:
        return None
    delete: list[int] = []
    if on_conflict == "replace":
        delete = [row["id"] for row in stored]
        there.clear()
    insert: list[tuple[Any, ...]] = []
    for row, values in zip(rows, named, strict=True):
        identity = _identity(values)
        if there[identity] > 0:
            there[identity] -= 1
        else:
            insert.append(row)
    return Merge(insert, delete, len(rows) - len(insert), 0)


def _identity(values: sqlite3.Row | dict[str, Any]) -> tuple[Any, ...]:
    origin = json.loads(values["origin"]) if values["origin"] else {}
    return values["category"], values["crowd"], values["segmentation"], json.dumps(origin.get("id"))
