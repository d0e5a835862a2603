"""ARMBench segmentation 0.1: a folder for each subset, with COCO files next to ``images/``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from rise_engine.errors import RiseError
from rise_engine.formats.coco.importer import ImportReport, import_coco
from rise_engine.formats.label_fractions import LabelFractions, Unit, checksum_of
from rise_engine.formats.watch import Watch, unwatched
from rise_engine.project.project import Project
from rise_engine.project.records import FrameState, Split

SUBSETS = ("mix-object-tote", "same-object-transfer-set", "zoomed-out-tote-transfer-set")
PARTS = ("test", "val", "train")
"""In this order: an image that an earlier part lists is never trained on."""
DROPPED = ("Tote",)
"""Dropped by default: the benchmark evaluates the objects in the tote, not the tote itself."""
PERCENTS = (0.5, 1, 2, 10, 100)
_PAPER_TRAINS_ON = 30_992
_PAPER_COUNTS = {0.5: 155, 1: 309, 2: 618, 10: 3_099}
"""The paper's numbers of labelled frames; their rounding follows no rule."""


@dataclass(frozen=True, slots=True)
class ArmbenchFolder:
    """One subset on disk; ``files`` are its COCO files by part."""

    images: Path
    files: dict[str, Path]
    subset: str


def find_armbench(folder: Path, subset: str | None = None) -> ArmbenchFolder:
    """The subset in a folder; the folder is the unpacked archive or the folder of the subset.

    Raises RiseError when it is neither, or when there are several subsets and ``subset`` is None.
    """
    folder = Path(folder).absolute()
    if subset is not None and subset not in SUBSETS:
        raise RiseError(f"ARMBench has no subset {subset}; choose one of {', '.join(SUBSETS)}.")
    here = _files(folder)
    if here and subset in (None, folder.name):
        return ArmbenchFolder(folder / "images", here, folder.name)
    there = [name for name in SUBSETS if _files(folder / name)]
    if subset is None and SUBSETS[0] in there:
        subset = SUBSETS[0]
    if subset not in there:
        wanted = f"the subset {subset}" if subset else "a subset"
        raise RiseError(
            f"ARMBench is not in {folder} ({wanted} was expected): it should contain {' or '.join(SUBSETS)}, each with "
            "train.json and images; give the unpacked folder."
        )
    return ArmbenchFolder(folder / subset / "images", _files(folder / subset), subset)


def import_armbench(
    project: Project,
    source: ArmbenchFolder,
    *,
    drop_categories: tuple[str, ...] = DROPPED,
    watch: Watch = unwatched,
) -> dict[str, tuple[ImportReport, list[str]]]:
    """Import each part and hold test and val out, so that they are never trained on; report and frame names by part.

    Images without annotations stay unlabelled. Images that a file lists but the folder lacks are counted.
    """
    parts: dict[str, tuple[ImportReport, list[str]]] = {}
    known: set[str] = set()
    for part, path in source.files.items():
        report = import_coco(project, path, drop_categories=drop_categories, watch=watch)
        imported = project.frames.origins()
        names = [frame.name for frame in project.frames.all() if frame.id in imported and frame.name not in known]
        parts[part] = report, names
        known.update(parts[part][1])
    held_out = [project.frames.get(name).id for part in parts if part != "train" for name in parts[part][1]]
    if held_out:
        project.frames.set_split(held_out, Split.HOLDOUT)
    return parts


def armbench_fractions(project: Project, source: ArmbenchFolder, *, seed: int) -> LabelFractions:
    """The paper's nested fractions of labelled training frames; on the full dataset exactly its counts."""
    labelled = project.frames.all(state=FrameState.LABELLED, split=Split.TRAIN)
    return LabelFractions.draw(
        [Unit(frame.name, (frame.name,)) for frame in labelled],
        dataset=f"ARMBench {source.subset}",
        source=source.files["train"].name,
        sha256=checksum_of([source.files["train"]]),
        percents=PERCENTS,
        counts=_PAPER_COUNTS if len(labelled) == _PAPER_TRAINS_ON else {},
        seed=seed,
    )


def _files(folder: Path) -> dict[str, Path]:
    if not (folder / "images").is_dir():
        return {}
    return {part: folder / f"{part}.json" for part in PARTS if (folder / f"{part}.json").is_file()}
