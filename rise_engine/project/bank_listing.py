"""Which annotations the instance bank may draw from, without reading their masks."""

from __future__ import annotations

from dataclasses import dataclass

from rise_engine.project.database.schema import INSTANCES
from rise_engine.project.project import Project
from rise_engine.project.records import ANNOTATED_STATES, Split


@dataclass(frozen=True, slots=True)
class BankEntry:
    """One annotation of a labelled training frame; ``excluded`` when a person keeps it out of the bank."""

    instance: int
    frame: int
    frame_name: str
    category: int
    excluded: bool


def bank_entries(project: Project) -> list[BankEntry]:
    """All annotations of labelled and reviewed frames outside the hold-out, each once, in the frames' order."""
    rows = project.store.read(
        "SELECT instances.id, instances.frame, frames.name, instances.category, instances.bank_excluded AS excluded "
        f"FROM {INSTANCES} JOIN frames ON frames.id = instances.frame "
        "WHERE frames.state IN (?, ?) AND frames.split = ? AND instances.crowd = 0 "
        "ORDER BY frames.sort_key, frames.name, instances.id",
        (*ANNOTATED_STATES, Split.TRAIN),
    )
    return [BankEntry(row["id"], row["frame"], row["name"], row["category"], bool(row["excluded"])) for row in rows]
