"""The frames of a project: their image files, sizes, states and splits."""

from __future__ import annotations

import json
import os
import re
import sqlite3
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import Any

from rise_engine.errors import RiseError
from rise_engine.project.database.damage import reading
from rise_engine.project.database.journal import Journal
from rise_engine.project.database.store import Store
from rise_engine.project.image_file import read_header
from rise_engine.project.image_folder import image_names, leads_out
from rise_engine.project.records import FrameRecord, FrameState, ScanReport, Split
from rise_engine.project.upright import usable_size
from rise_engine.project.wording import number_of

_FRAMES_A_TRANSACTION = 10_000
"""The limit of one transaction; other writers wait for it. After a crash, the next scan adds the missing frames."""
_COLUMNS = "id, name, width, height, state, split"
# Looked up tens of thousands of times; calling the enumerations takes three times as long.
_STATES = {state.value: state for state in FrameState}
_SPLITS = {split.value: split for split in Split}


class Frames:
    """The table ``frames`` and its image files. ``project.frames``."""

    def __init__(self, store: Store, journal: Journal) -> None:
        self._store = store
        self._journal = journal

    def scan(self, root: Path, *, inside: str | None = None) -> ScanReport:
        """Add the new image files in ``root`` and its subfolders; no image is decoded.

        ``inside``: only files in folders of this name; other folders of a dataset have depth, labels and so on.
        """
        if not root.is_dir():
            raise RiseError(f"The image folder {root} does not exist; give its new place with `rise relink`.")
        found, passed_over = image_names(root)
        if inside is not None:
            found = [name for name in found if PurePosixPath(name).parent.name == inside]
        known = {str(row["name"]) for row in self._store.read("SELECT name FROM frames")}
        new = sorted((name for name in found if name not in known), key=natural_key)
        for start in range(0, len(new), _FRAMES_A_TRANSACTION):
            with self._store.write() as connection:
                for name in new[start : start + _FRAMES_A_TRANSACTION]:
                    add_frame(connection, name)
            if not self._store.writing:
                self._store.let_others_begin()
        return ScanReport(
            added=len(new), missing=len(known - set(found)), skipped_files=passed_over.files, passed_over=passed_over
        )

    @reading("frames")
    def all(self, *, state: FrameState | None = None, split: Split | None = None) -> list[FrameRecord]:
        """The frames in natural order of their names (``tote2`` before ``tote10``)."""
        rows = self._store.read(
            f"SELECT {_COLUMNS} FROM frames WHERE (?1 IS NULL OR state = ?1) AND (?2 IS NULL OR split = ?2) "
            "ORDER BY sort_key, name",
            (state, split),
        )
        return [_record(row) for row in rows]

    def annotated(self, *, split: Split | None = None) -> list[FrameRecord]:
        """The labelled and the reviewed frames, in natural order of their names."""
        return [frame for frame in self.all(split=split) if frame.state.is_annotated]

    @reading("frames")
    def get(self, name_or_id: str | int) -> FrameRecord:
        """One frame, by file name or id. Raises RiseError when the project does not have it."""
        column = "name" if isinstance(name_or_id, str) else "id"
        rows = self._store.read(f"SELECT {_COLUMNS} FROM frames WHERE {column} = ?", (name_or_id,))
        if not rows:
            raise RiseError(
                f"The project has no frame {name_or_id!r}; a name is the path relative to the image folder."
            )
        return _record(rows[0])

    @reading("frames")
    def counts(self) -> dict[FrameState, int]:
        """How many frames are in each state, zero included."""
        counts = dict.fromkeys(FrameState, 0)
        for row in self._store.read("SELECT state, count(*) AS n FROM frames GROUP BY state"):
            counts[FrameState(row["state"])] = int(row["n"])
        return counts

    def probe(self, root: Path, frames: Iterable[int]) -> dict[int, tuple[int, int]]:
        """(width, height) of each frame after EXIF orientation, read from the file headers where unknown.

        Raises RiseError that names a file with an unreadable header; the sizes found before it are stored.
        """
        sizes: dict[int, tuple[int, int]] = {}
        fresh: list[tuple[int, int, int]] = []
        try:
            for frame in frames:
                record = self.get(frame)
                if record.width is None or record.height is None:
                    header = read_header(root / record.name)
                    fresh.append((header.width, header.height, frame))
                    sizes[frame] = (header.width, header.height)
                else:
                    sizes[frame] = (record.width, record.height)
        finally:
            if fresh and not self._store.read_only:
                # The sizes can be read again, so a full disk is no reason to stop.
                with suppress(RiseError), self._store.write() as connection:
                    connection.executemany("UPDATE frames SET width = ?, height = ? WHERE id = ?", fresh)
        return sizes

    @reading("frames")
    def annotated_size(self, frame: int) -> tuple[int, int] | None:
        """(width, height) of the image that imported annotations were made on; None when no file has a usable one."""
        rows = self._store.read("SELECT origin FROM frames WHERE id = ?", (frame,))
        origin = json.loads(rows[0]["origin"]) if rows and rows[0]["origin"] else {}
        return usable_size(origin)

    @reading("frames")
    def origins(self) -> dict[int, dict[str, Any]]:
        """By frame id, in natural order of the names, the entry of the imported file that names the frame."""
        rows = self._store.read("SELECT id, origin FROM frames WHERE origin IS NOT NULL ORDER BY sort_key, name")
        return {row["id"]: json.loads(row["origin"]) for row in rows}

    def feature_vectors(self) -> dict[int, bytes]:
        """By frame id, the appearance vectors that ``set_feature_vectors`` stored."""
        return {int(row["frame"]): row["vector"] for row in self._store.read("SELECT frame, vector FROM features")}

    def set_feature_vectors(self, vectors: Iterable[tuple[int, bytes]]) -> None:
        """Store the appearance vectors of frames, given by their ids; no edit, so never undone."""
        with self._store.write() as connection:
            connection.executemany("INSERT OR REPLACE INTO features VALUES (?, ?)", vectors)

    def set_state(self, frame: int, state: FrameState) -> None:
        """Mark a frame as labelled (also when it is empty), reviewed, skipped or unlabelled; one edit."""
        record = self.get(frame)
        with self._journal.edit(f"marked as {state}", frame=record.id) as edit:
            edit.update("frames", record.id, {"state": state.value})

    def set_split(self, frames: Sequence[int], split: Split) -> None:
        """Move frames into the hold-out, or back into training; one edit."""
        records = [self.get(frame) for frame in frames]
        only = records[0].id if len(records) == 1 else None
        place = "the hold-out" if split is Split.HOLDOUT else "training"
        with self._journal.edit(f"moved {number_of(len(records), 'frame')} to {place}", frame=only) as edit:
            edit.update_many("frames", "split", {record.id: split.value for record in records})


def add_frame(connection: sqlite3.Connection, name: str) -> int:
    """Insert a frame within a transaction and return its id."""
    cursor = connection.execute("INSERT INTO frames (name, sort_key) VALUES (?, ?)", (name, natural_key(name)))
    return int(cursor.lastrowid or 0)


def found_frame(connection: sqlite3.Connection, name: str) -> int:
    """The id of a frame; the frame is added within the transaction when it is missing."""
    row = connection.execute("SELECT id FROM frames WHERE name = ?", (name,)).fetchone()
    return add_frame(connection, name) if row is None else int(row["id"])


def natural_key(name: str) -> str:
    """A sort key for natural order: ``tote2`` before ``tote10``."""
    return re.sub(r"\d+", lambda digits: digits[0].lstrip("0").zfill(12), name.casefold())


def frame_name(root: Path, file_name: str) -> str:
    """The frame name for the file name in an imported file.

    Raises RiseError when it is absolute, leaves ``root`` with ``..``, or follows a link out of ``root``.
    """
    parts = PurePosixPath(file_name.replace("\\", "/"))
    refusal = RiseError(
        f"The file name {file_name!r} leaves the image folder {root}, so nothing was imported; "
        "file names must be relative to the image folder."
    )
    if not file_name or "\0" in file_name or parts.is_absolute() or re.match(r"[A-Za-z]:", file_name):
        raise refusal
    name = os.path.normpath(str(parts)).replace("\\", "/")
    if name == "." or name.split("/")[0] == "..":
        raise refusal
    if leads_out(root, root / name):
        raise refusal
    return name


def _require_relative(name: str) -> None:
    parts = PurePosixPath(name.replace("\\", "/"))
    if not name or parts.is_absolute() or ".." in parts.parts or re.match(r"[A-Za-z]:", name):
        raise ValueError(f"the name {name[:100]!r} leaves the image folder")


def _record(row: sqlite3.Row) -> FrameRecord:
    state, split = _STATES[row["state"]], _SPLITS[row["split"]]
    name = row["name"]
    # A project may come from another person; its names must not lead out of the image folder.
    if ".." in name or ":" in name or name[:1] in ("", "/", "\\"):
        _require_relative(name)
    return FrameRecord(row["id"], row["name"], row["width"], row["height"], state, split)
