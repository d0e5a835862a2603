"""Random splits of the labelled frames for experiments with few labels: seeded, nested, and saved to files."""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rise_engine.atomic import write_text
from rise_engine.errors import RiseError

FOLDER = "splits"
"""The folder of the lists, in the project folder."""
FILE_NAME = "label_fractions.json"


@dataclass(frozen=True, slots=True)
class Unit:
    """Frames that are always labelled together: one image, or a sequence."""

    name: str
    frames: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class LabelFractions:
    """A random order of frames; the first ``counts[p]`` of them are the labelled frames at ``p`` percent."""

    dataset: str
    source: str
    sha256: str
    seed: int
    order: tuple[str, ...]
    counts: Mapping[float, int]

    @classmethod
    def draw(
        cls,
        units: Sequence[Unit],
        *,
        dataset: str,
        source: str,
        sha256: str,
        percents: Sequence[float],
        seed: int,
        counts: Mapping[float, int] | None = None,
    ) -> LabelFractions:
        """Shuffle the units with the seed, and cut between units, as near to the wanted number of frames as possible.

        ``counts`` replaces the rounded numbers of frames. Raises RiseError when there is no unit.
        """
        if not units:
            raise RiseError(f"{dataset} has no labelled training frame; give the folder with its labels.")
        total = sum(len(unit.frames) for unit in units)
        wanted = {percent: (counts or {}).get(percent, round(percent / 100 * total)) for percent in percents}
        nearest = {percent: len(whole_units(units, number, seed=seed)) for percent, number in wanted.items()}
        return cls(dataset, source, sha256, seed, whole_units(units, total, seed=seed), nearest)

    def frames(self, percent: float) -> tuple[str, ...]:
        """The frames that are labelled at a percentage."""
        return self.order[: self.counts[percent]]

    def save(self, folder: Path) -> Path:
        """Write ``label_fractions.json`` and a list file per fraction for ``--labelled-list``; the JSON path."""
        subsets = []
        for percent in self.counts:
            name = f"labelled-{percent:g}-percent.txt"
            write_text(folder / name, "".join(f"{frame}\n" for frame in self.frames(percent)))
            subsets.append({"percent": percent, "frames": self.counts[percent], "list": name})
        record = {
            "dataset": self.dataset,
            "source": self.source,
            "sha256": self.sha256,
            "seed": self.seed,
            "subsets": subsets,
            "order": self.order,
        }
        write_text(folder / FILE_NAME, json.dumps(record, indent=1) + "\n")
        return folder / FILE_NAME


def whole_units(units: Sequence[Unit], count: int, *, seed: int) -> tuple[str, ...]:
    """The frames of the first units in a random order: as near to ``count`` as possible, at least one unit.

    The frames of a smaller count are the first frames of a larger one.
    """
    shuffled = sorted(units, key=lambda unit: hashlib.sha256(f"{seed}:{unit.name}".encode()).digest())
    ends = list(itertools.accumulate(len(unit.frames) for unit in shuffled))
    nearest = min(range(len(ends)), key=lambda place: abs(ends[place] - count))
    return tuple(frame for unit in shuffled[: nearest + 1] for frame in unit.frames)


def checksum_of(paths: Iterable[Path], *, root: Path | None = None) -> str:
    """SHA-256 of a file, or of several: of the lines ``NAME SHA256`` in the order given, names relative to ``root``."""
    digests = []
    for path in paths:
        with path.open("rb") as file:
            digests.append((path, hashlib.file_digest(file, "sha256").hexdigest()))
    if root is None and len(digests) == 1:
        return digests[0][1]
    lines = "".join(
        f"{path.relative_to(root).as_posix() if root else path.name} {digest}\n" for path, digest in digests
    )
    return hashlib.sha256(lines.encode()).hexdigest()
