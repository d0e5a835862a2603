"""The rows of a project's database as typed values."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any, NamedTuple

from rise_engine.project.image_folder import PassedOver
from rise_engine.project.run_folder import RunFolder
from rise_engine.project.segmentation import Segmentation, to_json


class FrameState(StrEnum):
    """What a person has done with a frame."""

    UNLABELLED = "unlabelled"
    LABELLED = "labelled"
    """Annotated by drawing or import; a frame that is marked as done and empty counts too."""
    REVIEWED = "reviewed"
    """Predictions accepted or corrected; trains like labelled."""
    SKIPPED = "skipped"

    @property
    def is_annotated(self) -> bool:
        """Whether the annotations of such a frame are complete, so that they can be targets: labelled or reviewed."""
        return self in ANNOTATED_STATES


ANNOTATED_STATES = (FrameState.LABELLED, FrameState.REVIEWED)


class Split(StrEnum):
    """The use of a frame; hold-out frames are never trained on."""

    TRAIN = "train"
    HOLDOUT = "hold-out"


class Source(StrEnum):
    """The origin of an instance."""

    DRAWN = "drawn"
    IMPORTED = "imported"
    ACCEPTED = "accepted"
    PREDICTED = "predicted"


@dataclass(frozen=True, slots=True)
class FrameRecord:
    """One image of the folder; ``name`` is its path relative to the image folder, with forward slashes.

    ``width`` and ``height`` are in pixels after EXIF orientation, None until the file's header was read.
    """

    id: int
    name: str
    width: int | None
    height: int | None
    state: FrameState
    split: Split


@dataclass(frozen=True, slots=True)
class Category:
    """A kind of object; ``id`` is the one of the imported COCO file where there is one."""

    id: int
    name: str


@dataclass(frozen=True, slots=True)
class Instance:
    """One object in one frame; ``id`` is None until it is stored.

    ``segmentation`` is stored unchanged; ``extra`` has the fields of an imported annotation that COCO does not define.
    """

    id: int | None
    frame: int
    category: int
    segmentation: Segmentation
    score: float | None = None
    source: Source = Source.DRAWN
    run: int | None = None
    crowd: bool = False
    extra: dict[str, Any] = field(default_factory=dict)


class StoredAnnotation(NamedTuple):
    """An annotation in the form in which the database stores it. The JSON texts are kept as they are: numbers that are
    never parsed cannot change between an import and an export.
    """

    frame: int
    category: int
    segmentation: str
    """JSON."""
    source: str
    crowd: int
    """0 or 1."""
    extra: str
    """JSON of the fields that COCO does not name."""
    origin: str | None
    """JSON of the imported ``id``, ``area`` and ``bbox``."""

    @classmethod
    def of(cls, frame: int, instance: Instance) -> StoredAnnotation:
        """An instance that comes from no file."""
        text, extra = to_json(instance.segmentation), json.dumps(instance.extra)
        return cls(frame, instance.category, text, instance.source.value, int(instance.crowd), extra, None)


@dataclass(frozen=True, slots=True)
class BankEntry:
    """One annotation of a labelled training frame; ``excluded`` when a person keeps it out of the instance bank."""

    instance: int
    frame: int
    frame_name: str
    category: int
    excluded: bool


@dataclass(frozen=True, slots=True)
class PredictedInstance:
    """One prediction, on the original frame; ``rle`` is pycocotools' compressed form with ``counts`` as str."""

    rle: dict[str, Any]
    box: tuple[float, float, float, float]
    """Half-open xyxy in pixels of the original frame."""
    label: int
    score: float


@dataclass(frozen=True, slots=True)
class RunRecord:
    """One training; ``steps`` are the planned steps, and once it is ``finished``, the steps that were done."""

    number: int
    folder: Path
    preset: str
    recipe: str
    steps: int
    started: datetime
    finished: datetime | None
    base: str

    @property
    def files(self) -> RunFolder:
        """The files in ``folder``."""
        return RunFolder(self.folder)

    @property
    def untrained(self) -> bool:
        """Finished without a step: the shipped starter weights, stored as a run because predictions belong to a run."""
        return self.finished is not None and self.steps == 0


@dataclass(frozen=True, slots=True)
class EditSummary:
    """An edit that was just undone or redone; ``frame`` is the id of the one frame that it changed, if there is one."""

    action: str
    frame: int | None = None
    frame_name: str | None = None

    def __str__(self) -> str:
        """The edit in words, such as "drew 2 instances in tote1.png"."""
        return self.action if self.frame_name is None else f"{self.action} in {self.frame_name}"


@dataclass(frozen=True, slots=True)
class HistoryEntry:
    """One edit as text; ``frame`` is a file name, None when the edit changed several frames or none.

    ``person`` is the account that made it, None where the system or an older project has none.
    """

    when: datetime
    action: str
    frame: str | None
    undone: bool
    person: str | None = None


@dataclass(frozen=True, slots=True)
class ScanReport:
    """The result of a scan: new frames, frames without their file, and files that are no usable image."""

    added: int
    missing: int
    skipped_files: int
    passed_over: PassedOver = field(default_factory=PassedOver, compare=False)
