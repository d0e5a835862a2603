"""OCID: sequences of scenes on a table or a floor, one more object per frame, with masks as label images.

Layout: ``ARID20/{floor,table}/{top,bottom}/seqNN/{rgb,depth,label,pcd}/NAME.png``; ARID10 and YCB10 have one more
folder above ``seqNN``. ``label/NAME.png`` has an integer for each pixel of ``rgb/NAME.png``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np

from rise_engine.errors import RiseError
from rise_engine.formats.label_fractions import LabelFractions, Unit, checksum_of, whole_units
from rise_engine.formats.watch import Watch, unwatched
from rise_engine.project.image_file import read_header, read_numbers
from rise_engine.project.project import Project
from rise_engine.project.records import FrameRecord, FrameState, Instance, Source, Split, StoredAnnotation
from rise_engine.project.segmentation import from_mask

PICTURES = "rgb"
LABELS = "label"
CATEGORY = "object"
"""The masks distinguish objects but not their categories."""
PERCENTS = (5, 10, 100)
_BACKGROUND = {"floor": (0, 1), "table": (0, 1, 2)}
"""0 is unknown; 1 is the floor, or all but the table; 2 is the table where there is one."""
_VIEWS = frozenset({"top", "bottom"})
_SETS = ("ARID20", "ARID10", "YCB10")
_ONE_IN = 5


@dataclass(frozen=True, slots=True)
class Scene:
    """The scene of a frame, according to its name relative to the image folder."""

    sequence: str
    """The folder of the sequence, relative to the image folder."""
    place: str
    """The sequence without its camera: both views of the same place have the same value."""
    surface: str
    """``floor`` or ``table``."""
    subset: str
    """Such as ``ARID20/table/top``."""


def find_ocid(folder: Path) -> Path:
    """The folder with ARID20, ARID10 or YCB10: ``folder`` or one in it. Raises RiseError when there is none."""
    folder = Path(folder).absolute()
    for candidate in (folder, folder / "OCID-dataset"):
        if any((candidate / name).is_dir() for name in _SETS):
            return candidate
    raise RiseError(f"There is no OCID in {folder}: it should contain {', '.join(_SETS)}; give the unpacked folder.")


def scene_of(name: str) -> Scene | None:
    """The scene of a frame by its name; None when it is no image of a sequence.

    Only the name is used: words such as ``table`` in the path of the image folder itself have no effect.
    """
    *folders, kind = PurePosixPath(name).parent.parts or ("",)
    surface = next((part for part in folders if part in _BACKGROUND), None)
    if kind != PICTURES or surface is None:
        return None
    views = [part for part in folders if part in _VIEWS]
    subset = "/".join([folders[0], surface, *views[:1]])
    return Scene("/".join(folders), "/".join(part for part in folders if part not in _VIEWS), surface, subset)


def import_ocid(project: Project, *, watch: Watch = unwatched) -> tuple[int, int]:
    """Import all masks as one edit and hold one place in five out; (instances, frames without a label image).

    ``watch`` observes the frames being read, and can cancel the import. A scene without objects is labelled and empty.
    Raises RiseError, and changes nothing, when a label image is broken or has another size than its image.
    """
    frames = [frame for frame in project.frames.all() if scene_of(frame.name) is not None]
    known = {category.name: category.id for category in project.annotations.categories()}
    category = known.get(CATEGORY, max(known.values(), default=0) + 1)
    labelled: list[int] = []
    with project.bulk_import() as rows:
        count = rows.add(_rows(project, watch(frames, total=len(frames), doing="reading masks"), category, labelled))
        rows.prepare_frames({}, labelled)
        with project.journal.edit(f"imported OCID: {count:,} instances in {len(labelled):,} frames") as edit:
            if rows.find_or_add_category(edit, CATEGORY, wanted=category).id != category:
                raise RiseError("The categories changed while OCID was imported; import it again.")
            held_out = _held_out_places(frames)
            project.frames.set_split([frame.id for frame in frames if _is_held_out(frame, held_out)], Split.HOLDOUT)
            rows.show(edit)
    return count, len(frames) - len(labelled)


def _rows(
    project: Project, frames: Iterable[FrameRecord], category: int, labelled: list[int]
) -> Iterator[StoredAnnotation]:
    """Every mask as an annotation; frames with a label image are added to ``labelled``."""
    for frame in frames:
        label = _label_of(project, frame.name)
        if label.is_file():
            labelled.append(frame.id)
            for instance in _instances(project, frame, label, category):
                yield StoredAnnotation.of(frame.id, instance)


def ocid_fractions(project: Project, *, seed: int) -> LabelFractions:
    """The paper's fractions of labelled training frames, nested, in whole sequences."""
    sequences = _sequences(project)
    labels = [_label_of(project, name) for sequence in sequences for name in sequence.frames]
    return LabelFractions.draw(
        sequences,
        dataset="OCID",
        source="label images of the training sequences",
        sha256=checksum_of(sorted(labels), root=project.images),
        percents=PERCENTS,
        seed=seed,
    )


def whole_sequences(project: Project, *, count: int, seed: int) -> tuple[str, ...]:
    """About ``count`` labelled training frames, by name, in whole sequences; a smaller count's are among them."""
    return whole_units(_sequences(project), count, seed=seed)


def _sequences(project: Project) -> list[Unit]:
    """The labelled training frames, grouped by sequence."""
    sequences: dict[str, list[str]] = {}
    for frame in project.frames.all(state=FrameState.LABELLED, split=Split.TRAIN):
        scene = scene_of(frame.name)
        if scene is not None:
            sequences.setdefault(scene.sequence, []).append(frame.name)
    return [Unit(sequence, tuple(names)) for sequence, names in sequences.items()]


def _instances(project: Project, frame: FrameRecord, label: Path, category: int) -> list[Instance]:
    numbers = read_numbers(label)
    header = read_header(project.images / frame.name)
    if numbers.shape != (header.height, header.width):
        raise RiseError(
            f"The label image {label} has {numbers.shape[1]} x {numbers.shape[0]} pixels, but its image has "
            f"{header.width} x {header.height}; unpack the data set again."
        )
    scene = scene_of(frame.name)
    background = _BACKGROUND["floor" if scene is None else scene.surface]
    return [
        Instance(
            None,
            frame.id,
            category,
            from_mask(numbers == number),
            source=Source.IMPORTED,
            extra={"ocid_number": int(number)},
        )
        for number in np.unique(numbers)
        if number not in background
    ]


def _label_of(project: Project, name: str) -> Path:
    path = project.images / name
    return path.parent.parent / LABELS / path.name


def _held_out_places(frames: Sequence[FrameRecord]) -> set[str]:
    """One place in five, always the same ones; none when there is only one place."""
    places = {scene.place for frame in frames if (scene := scene_of(frame.name)) is not None}
    order = sorted(places, key=lambda place: hashlib.sha256(f"hold-out:{place}".encode()).digest())
    return set(order[: max(1, round(len(order) / _ONE_IN))]) if len(order) > 1 else set()


def _is_held_out(frame: FrameRecord, places: set[str]) -> bool:
    scene = scene_of(frame.name)
    return scene is not None and scene.place in places
