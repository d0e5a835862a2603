"""Read a COCO file: its structure is checked, and its annotations are read one by one (COCO format)."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rise_engine.errors import RiseError
from rise_engine.formats.coco.identity import as_flag, as_id, as_reference

_SPACE = re.compile(r"[ \t\r\n]*")
_PLAIN = r"""[^{}"]++|"(?:[^"\\]++|\\.)*+\""""
_FLAT_OBJECT = re.compile(rf"\{{(?:{_PLAIN}|\{{(?:{_PLAIN})*+\}})*+\}}", re.DOTALL)
"""Matches an object with objects of one more level inside, as annotations have."""
_DECODER = json.JSONDecoder()


class CocoFile:
    """``header`` has the top-level fields besides the three lists; ``images`` and ``categories`` are read at once."""

    def __init__(self, path: Path) -> None:
        """Read and check the file. Raises RiseError when it is no COCO dataset."""
        self.path = path
        self.header: dict[str, Any] = {}
        self.annotation_count = 0
        self._annotations_at: int | None = None
        try:
            self._text = Path(path).read_text(encoding="utf-8-sig")
        except (OSError, UnicodeDecodeError) as error:
            raise RiseError(f"The file {path} cannot be read ({error}); give a COCO JSON file.") from error
        try:
            self._read()
        except (ValueError, RecursionError) as error:
            raise self._no_json(error) from error
        self.images = self._entries("images", ("id", "file_name"))
        self.categories = self._entries("categories", ("id", "name"))
        self._image_ids = {entry["id"] for entry in self.images}
        self._category_ids = {entry["id"] for entry in self.categories}
        if self._annotations_at is None:
            raise self._refusal("has no list of annotations")
        if not self.images:
            raise self._refusal("lists no images")

    def annotations(self) -> Iterator[dict[str, Any]]:
        """The annotations in their order. Raises RiseError for one that lacks its image or category."""
        assert self._annotations_at is not None
        at = self._skip(self._annotations_at + 1)
        number = 0
        while self._text[at : at + 1] != "]":
            number += 1
            try:
                entry, at = _DECODER.raw_decode(self._text, at)
                at = self._next(at, "]")
            except (ValueError, RecursionError) as error:
                raise self._no_json(error) from error
            if not isinstance(entry, dict):
                raise self._refusal(f"has an annotation (number {number}) that is no object")
            for name, known in (("image_id", self._image_ids), ("category_id", self._category_ids)):
                reference = as_reference(entry.get(name), known)
                if reference is None:
                    raise self._refusal(f"has an annotation (number {number}) without image_id or category_id")
                entry[name] = reference
            if "iscrowd" in entry:
                flag = as_flag(entry["iscrowd"])
                if flag is None:
                    value = repr(entry["iscrowd"])[:40]
                    raise self._refusal(f"has an annotation (number {number}) with the iscrowd {value}, not 0 or 1")
                entry["iscrowd"] = flag
            yield entry

    def _read(self) -> None:
        at = self._skip(0)
        if self._text[at : at + 1] != "{":
            _DECODER.raw_decode(self._text, at)
            raise self._refusal("has no object with images, annotations and categories")
        at = self._skip(at + 1)
        while self._text[at : at + 1] != "}":
            key, at = _DECODER.raw_decode(self._text, at)
            at = self._skip(at)
            if not isinstance(key, str) or self._text[at : at + 1] != ":":
                raise ValueError(f"unexpected text at character {at}")
            at = self._skip(at + 1)
            if key == "annotations":
                # Only skipped: hundreds of thousands of masks as Python numbers would fill the memory.
                if self._text[at : at + 1] != "[":
                    raise self._refusal("has annotations that are no list")
                self._annotations_at, self.annotation_count = at, 0
                at = self._end_of_list(at)
            else:
                self.header[key], at = _DECODER.raw_decode(self._text, at)
            at = self._next(at, "}")

    def _end_of_list(self, at: int) -> int:
        """The position after the list that starts at ``at``; its elements are only counted here and read later."""
        at = self._skip(at + 1)
        while self._text[at : at + 1] != "]":
            found = _FLAT_OBJECT.match(self._text, at)
            at = found.end() if found else _DECODER.raw_decode(self._text, at)[1]
            at = self._next(at, "]")
            self.annotation_count += 1
        return at + 1

    def _next(self, at: int, closing: str) -> int:
        at = self._skip(at)
        if self._text[at : at + 1] == ",":
            return self._skip(at + 1)
        if self._text[at : at + 1] != closing:
            raise ValueError(f"unexpected text at character {at}")
        return at

    def _skip(self, at: int) -> int:
        match = _SPACE.match(self._text, at)
        return match.end() if match else at

    def _entries(self, key: str, fields: tuple[str, str]) -> list[dict[str, Any]]:
        entries = self.header.pop(key, None)
        if not isinstance(entries, list):
            raise self._refusal(f"has no list of {key}")
        seen: set[Any] = set()
        for entry in entries:
            if not isinstance(entry, dict) or any(name not in entry for name in fields):
                raise self._refusal(f"has an entry under {key} without {' or '.join(fields)}")
            number = as_id(entry["id"])
            if number is None or not isinstance(entry[fields[1]], str):
                raise self._refusal(f"has an entry under {key} whose {' or '.join(fields)} is of the wrong kind")
            entry["id"] = number
            if entry["id"] in seen:
                raise self._refusal(f"uses the id {entry['id']} twice under {key}")
            seen.add(entry["id"])
        return entries

    def _no_json(self, error: Exception) -> RiseError:
        return RiseError(f"The file {self.path} is not JSON ({error}); give a COCO JSON file.")

    def _refusal(self, what: str) -> RiseError:
        return RiseError(f"The file {self.path} is not a COCO dataset: it {what}; give a COCO JSON file.")
