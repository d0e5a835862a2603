"""The two benchmarks as projects: annotations, hold-out, and lists of the labelled fractions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import typer

from rise_engine.atomic import write_text
from rise_engine.project.wording import number_of

if TYPE_CHECKING:
    from rise_engine.formats.armbench import ArmbenchFolder
    from rise_engine.formats.coco import ImportReport
    from rise_engine.formats.label_fractions import LabelFractions
    from rise_engine.project.project import Project


def add_armbench(
    project: Project, source: ArmbenchFolder, *, drop_categories: tuple[str, ...], seed: int
) -> list[ImportReport]:
    """Import a subset, hold val and test out, and write the lists; the reports of its parts."""
    from rise_engine.commands.progress import with_progress
    from rise_engine.commands.project import print_import
    from rise_engine.formats.armbench import SUBSETS, armbench_fractions, import_armbench
    from rise_engine.formats.label_fractions import FOLDER

    parts = import_armbench(project, source, drop_categories=drop_categories, watch=with_progress)
    for part, (report, names) in parts.items():
        print_import(source.files[part], report)
        _write_list(project, part, names)
    project.set_setting("dataset", "armbench")
    # The published figures are of the first subset alone.
    project.set_setting("source", "armbench" if source.subset == SUBSETS[0] else f"armbench {source.subset}")
    if "train" in source.files:
        _save(project, armbench_fractions(project, source, seed=seed))
    if "test" in source.files:
        typer.echo(f"The published figures are of the test frames: --frames {project.path / FOLDER / 'test.txt'}.")
    return [report for report, _ in parts.values()]


def add_ocid(project: Project, *, seed: int) -> None:
    """Read the masks, hold one place in five out, and write the lists."""
    from rise_engine.commands.progress import with_progress
    from rise_engine.formats.ocid import import_ocid, ocid_fractions
    from rise_engine.project.records import Split

    instances, missing = import_ocid(project, watch=with_progress)
    typer.echo(f"{number_of(instances, 'instance')} read; {number_of(missing, 'frame')} without a label image.")
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
    typer.echo(f"Labelled fractions ({counts} frames) are listed in {path.parent}.")
