"""`rise new`: make a project from an image folder or from one of the two benchmarks, ARMBench and OCID."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rise_engine.atomic import write_text
from rise_engine.commands.arguments import ProjectPath, ScaleAnnotations
from rise_engine.commands.printing import print_import, print_status
from rise_engine.errors import RiseError
from rise_engine.project.wording import number_of

if TYPE_CHECKING:
    from rise_engine.formats.armbench import ArmbenchFolder
    from rise_engine.formats.coco import ImportReport
    from rise_engine.formats.label_fractions import LabelFractions
    from rise_engine.project.project import Project


def new(
    project: ProjectPath,
    images: Annotated[
        Path | None, typer.Option(metavar="DIR", help="The image folder. The images are not copied or moved.")
    ] = None,
    armbench: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Unpacked ARMBench segmentation, instead of --images.")
    ] = None,
    subset: Annotated[
        str | None, typer.Option(metavar="NAME", help="Subset of ARMBench; by default mix-object-tote.")
    ] = None,
    ocid: Annotated[Path | None, typer.Option(metavar="DIR", help="Unpacked OCID, instead of --images.")] = None,
    coco: Annotated[
        list[Path] | None, typer.Option(metavar="FILE", help="COCO annotations to import; repeat it for several files.")
    ] = None,
    holdout_list: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Hold-out frames, never trained on: one file name per line."),
    ] = None,
    drop_category: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME", help="Category that is not imported; repeat it for several. For ARMBench by default Tote."
        ),
    ] = None,
    empty_is_labelled: Annotated[
        bool,
        typer.Option("--empty-is-labelled", help="Images of the COCO file without annotations are labelled and empty."),
    ] = False,
    scale_annotations: ScaleAnnotations = False,
    seed: Annotated[
        int,
        typer.Option(metavar="S", min=0, max=2**32 - 1, help="Seed of the labelled fractions of ARMBench and OCID."),
    ] = 0,
) -> None:
    """Make a project from images or from a benchmark.

    The test frames of a benchmark are held out (ARMBench: val and test; OCID: one scene in five). The
    names of the test frames, and of random subsets of the labelled frames, are written to PROJECT/splits. Pass these
    files to --labelled-list or --frames.

    \b
    Example:
      rise new totes.rise --images totes --coco totes.json --drop-category Tote
    \f
    Long because of its options; the work is in the functions below.
    """
    from rise_engine.project.project import Project
    from rise_engine.project.records import Split
    from rise_engine.project.splits import read_name_list

    if sum(given is not None for given in (images, armbench, ocid)) != 1:
        raise RiseError("A project needs images: give exactly one of --images, --armbench and --ocid.")
    _require_companions(subset, armbench, coco, drop_category, empty_is_labelled=empty_is_labelled)
    source = _find_source(images, armbench, subset, ocid)
    with _removed_on_failure(project), Project.create(project, source.folder) as made:
        _scan(made, source)
        # Looked up before the annotations are imported, so that a wrong name is reported at once.
        held_out = [made.frames.get(name).id for name in read_name_list(holdout_list)] if holdout_list else []
        reports = _import_benchmark(made, source, drop_category or [], seed)
        reports += _import_files(
            made,
            coco or [],
            drop_category or [],
            empty_is_labelled=empty_is_labelled,
            scale_annotations=scale_annotations,
        )
        _require_dropped(made, drop_category or [], reports)
        if held_out:
            made.frames.set_split(held_out, Split.HOLDOUT)
        print_status(made)
    typer.echo(f"Next: annotate the objects of a few frames in napari, or run `rise train {project}`.")


@dataclass(frozen=True, slots=True)
class _Source:
    """The image folder of the new project, and the benchmark that it belongs to, if any."""

    folder: Path
    armbench: ArmbenchFolder | None = None
    ocid: bool = False


def _require_companions(
    subset: str | None,
    armbench: Path | None,
    coco: list[Path] | None,
    drop_category: list[str] | None,
    *,
    empty_is_labelled: bool,
) -> None:
    """Raise RiseError for an option that has no effect without another one."""
    if subset is not None and armbench is None:
        raise RiseError("--subset selects a subset of ARMBench: give --armbench too, or leave --subset out.")
    if drop_category and coco is None and armbench is None:
        raise RiseError(
            "--drop-category excludes a category of a COCO file: give --coco or --armbench too, or leave it out."
        )
    if empty_is_labelled and coco is None:
        raise RiseError("--empty-is-labelled applies to the images of a COCO file: give --coco too, or leave it out.")


def _find_source(images: Path | None, armbench: Path | None, subset: str | None, ocid: Path | None) -> _Source:
    from rise_engine.formats.armbench import find_armbench
    from rise_engine.formats.ocid import find_ocid

    if armbench is not None:
        found = find_armbench(armbench, subset)
        return _Source(found.images, armbench=found)
    if ocid is not None:
        return _Source(find_ocid(ocid), ocid=True)
    return _Source(images or Path())


@contextmanager
def _removed_on_failure(folder: Path) -> Iterator[None]:
    """Remove an unfinished project when the block raises; a project that existed before is kept."""
    from rise_engine.project.project import FILE_NAME

    existed, before = folder.is_dir(), _entries(folder)
    try:
        yield
    except BaseException:
        if folder / FILE_NAME not in before:
            for entry in _entries(folder) - before:
                if entry.is_dir():
                    shutil.rmtree(entry)
                else:
                    entry.unlink()
            if not existed and folder.is_dir():
                folder.rmdir()
        raise


def _entries(folder: Path) -> set[Path]:
    return set(folder.iterdir()) if folder.is_dir() else set()


def _scan(project: Project, source: _Source) -> None:
    from rise_engine.formats.ocid import PICTURES

    if source.ocid:
        project.set_setting("frames_inside", PICTURES)
    project.scan()
    if not project.frames.all():
        raise RiseError(f"There are no images in {source.folder}: give the folder that holds the frames.")


def _import_benchmark(project: Project, source: _Source, drop_category: list[str], seed: int) -> list[ImportReport]:
    from rise_engine.formats.armbench import DROPPED

    if source.armbench is not None:
        return _add_armbench(project, source.armbench, drop_categories=tuple(drop_category or DROPPED), seed=seed)
    if source.ocid:
        _add_ocid(project, seed=seed)
    return []


def _import_files(
    project: Project,
    files: list[Path],
    drop_category: list[str],
    *,
    empty_is_labelled: bool,
    scale_annotations: bool,
) -> list[ImportReport]:
    from rise_engine.commands.progress import with_progress
    from rise_engine.formats.coco import import_coco

    reports = []
    for path in files:
        report = import_coco(
            project,
            path,
            drop_categories=tuple(drop_category),
            empty_is_labelled=empty_is_labelled,
            scale_annotations=scale_annotations,
            watch=with_progress,
        )
        print_import(path, report)
        reports.append(report)
    return reports


def _require_dropped(project: Project, names: list[str], reports: list[ImportReport]) -> None:
    """Raise RiseError when a category to drop is in none of the files: its name may be misspelt."""
    dropped = {name.casefold() for report in reports for name in report.dropped_categories}
    for name in names:
        if name.casefold() not in dropped:
            known = ", ".join(category.name for category in project.annotations.categories())
            raise RiseError(f"No file has the category {name} of --drop-category; choose from: {known}.")


def _add_armbench(
    project: Project, source: ArmbenchFolder, *, drop_categories: tuple[str, ...], seed: int
) -> list[ImportReport]:
    """Import a subset, hold val and test out, and write the lists; the reports of its parts."""
    from rise_engine.commands.progress import with_progress
    from rise_engine.formats.armbench import SUBSETS, armbench_fractions, import_armbench
    from rise_engine.formats.label_fractions import FOLDER

    parts = import_armbench(project, source, drop_categories=drop_categories, watch=with_progress)
    for part, (report, names) in parts.items():
        print_import(source.files[part], report)
        _write_list(project, part, names)
    project.set_setting("dataset", "armbench")
    # The published results are those of the first subset only.
    project.set_setting("source", "armbench" if source.subset == SUBSETS[0] else f"armbench {source.subset}")
    if "train" in source.files:
        _save(project, armbench_fractions(project, source, seed=seed))
    if "test" in source.files:
        path = project.path / FOLDER / "test.txt"
        typer.echo(f"The published results were measured on the test frames: evaluate with --frames {path}.")
    return [report for report, _ in parts.values()]


def _add_ocid(project: Project, *, seed: int) -> None:
    """Read the masks, hold one place in five out, and write the lists."""
    from rise_engine.commands.progress import with_progress
    from rise_engine.formats.ocid import import_ocid, ocid_fractions
    from rise_engine.project.records import Split

    instances, missing = import_ocid(project, watch=with_progress)
    typer.echo(f"{number_of(instances, 'instance')} imported; {number_of(missing, 'frame')} without a label image.")
    for name, split in (("train", Split.TRAIN), ("test", Split.HOLDOUT)):
        _write_list(project, name, [frame.name for frame in project.frames.all(split=split)])
    project.set_setting("dataset", "ocid")
    project.set_setting("source", "ocid")
    _save(project, ocid_fractions(project, seed=seed))


def _write_list(project: Project, name: str, frames: Sequence[str]) -> None:
    from rise_engine.formats.label_fractions import FOLDER

    write_text(project.path / FOLDER / f"{name}.txt", "".join(f"{frame}\n" for frame in frames))


def _save(project: Project, fractions: LabelFractions) -> None:
    from rise_engine.formats.label_fractions import FOLDER

    path = fractions.save(project.path / FOLDER)
    counts = ", ".join(f"{percent:g} %: {count:,}" for percent, count in fractions.counts.items())
    typer.echo(f"The lists of the labelled fractions ({counts} frames) are in {path.parent}.")
