"""The files of an image folder: those that are frames, and those that are passed over."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from rise_engine.project.image_file import SUFFIXES
from rise_engine.project.wording import number_of

_NAMED = 3
"""Names that a message lists."""


@dataclass(frozen=True, slots=True)
class PassedOver:
    """Files and folders that are no frames: how many for each reason, and the names that are not UTF-8."""

    counts: Counter[str] = field(default_factory=Counter)
    not_utf8: tuple[str, ...] = ()
    """Their ``repr``, because the names cannot be printed or stored."""

    @property
    def files(self) -> int:
        """The number of all of them."""
        return self.counts.total() + len(self.not_utf8)

    def in_words(self) -> str:
        """One line, empty when there is nothing to report."""
        parts = [number_of(count, noun) for noun, count in self.counts.items()]
        if self.not_utf8:
            parts.append(self.not_utf8_in_words())
        return f"Passed over: {', '.join(parts)}." if parts else ""

    def not_utf8_in_words(self) -> str:
        """The count of the names that are not UTF-8, and the first of them."""
        more = ", ..." if len(self.not_utf8) > _NAMED else ""
        return f"{number_of(len(self.not_utf8), 'file name')} not in UTF-8 ({', '.join(self.not_utf8[:_NAMED])}{more})"


def image_names(root: Path) -> tuple[list[str], PassedOver]:
    """The images below ``root`` by their names relative to it, and what was passed over; nothing is decoded."""
    names: list[str] = []
    counts: Counter[str] = Counter()
    not_utf8: list[str] = []
    for entry, relative, unusable in _entries(str(root), ""):
        reason = unusable or _reason(root, entry)
        if not _is_utf8(relative):
            not_utf8.append(repr(relative))
        elif reason is None:
            names.append(relative)
        else:
            counts[reason] += 1
    return names, PassedOver(counts, tuple(not_utf8))


def leads_out(root: Path, path: Path) -> bool:
    """Whether a path goes through a link out of ``root``. Resolving is slow, so it is done only for links."""
    step = path
    while step != root:
        if step.is_symlink():
            return not path.resolve().is_relative_to(root.resolve())
        step = step.parent
    return False


def _reason(root: Path, entry: os.DirEntry[str]) -> str | None:
    """Why a file is no frame."""
    if entry.name.startswith("."):
        return "hidden file"
    if os.path.splitext(entry.name)[1].lower() not in SUFFIXES:  # noqa: PTH122
        return "file of another type"
    if entry.is_symlink() and leads_out(root, Path(entry.path)):
        return "link out of the folder"
    return None


def _entries(folder: str, prefix: str) -> Iterator[tuple[os.DirEntry[str], str, str | None]]:
    """The files below a folder with their relative names, and the reason where one cannot be a frame.

    Linked folders, hidden folders and projects are not entered.
    """
    with os.scandir(folder) as entries:
        for entry in entries:
            relative = prefix + entry.name
            if entry.is_dir(follow_symlinks=False):
                if entry.name.startswith(".") or entry.name.endswith(".rise"):
                    continue
                if os.access(entry.path, os.R_OK | os.X_OK):
                    yield from _entries(entry.path, f"{relative}/")
                else:
                    yield entry, relative, "unreadable folder"
            elif entry.is_file():
                yield entry, relative, None
            elif entry.is_symlink():
                yield entry, relative, "linked folder" if entry.is_dir() else "broken link"


def _is_utf8(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True
