"""Ids and flags of a COCO file: those of the wrong type, and files that are listed twice (COCO format)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Hashable, Mapping
from pathlib import Path

from rise_engine.errors import RiseError

_FLAGS = {"0": 0, "1": 1, "false": 0, "true": 1, "": 0}


def as_id(value: object) -> int | str | None:
    """An id: a whole number or text; ``1.0`` is 1. None for anything else."""
    if isinstance(value, bool):
        return None
    if isinstance(value, float):
        return int(value) if value.is_integer() else None
    return value if isinstance(value, int | str) else None


def as_reference(value: object, known: Collection[int | str]) -> int | str | None:
    """The id among ``known`` that is meant: ``"1"`` is 1 where only the number is known, and the other way round."""
    number = as_id(value)
    if number is None or number in known:
        return number
    other: int | str
    if isinstance(number, int):
        other = str(number)
    elif number.strip().isdecimal() and len(number) < 20:
        other = int(number)
    else:
        return number
    return other if other in known else number


def as_flag(value: object) -> int | None:
    """0 or 1 of ``iscrowd``; None where the value has no unique meaning."""
    if value is None or value in (0, 1):
        return int(bool(value))
    return _FLAGS.get(value.strip().lower()) if isinstance(value, str) else None


def doubled_images(
    path: Path, names: Mapping[int | str, str], contents: Mapping[int | str, Counter[Hashable]]
) -> set[int | str]:
    """The ids of images that are in the file a second time, by the frame names of all ids.

    ``contents`` has the annotations of each id. Raises RiseError with both ids where they differ.
    """
    first: dict[str, int | str] = {}
    doubles: set[int | str] = set()
    for number, name in names.items():
        other = first.setdefault(name, number)
        if other == number:
            continue
        if contents.get(other, Counter()) != contents.get(number, Counter()):
            raise RiseError(
                f"The file {path} lists {name} under the image ids {other!r} and {number!r}, with different "
                "annotations: remove one of the two, or give each image a file of its own."
            )
        doubles.add(number)
    return doubles
