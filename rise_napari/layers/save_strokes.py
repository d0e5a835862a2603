"""Writes a brush stroke on the annotation layer to the store: each changed instance is added, updated or deleted."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext

from rise_engine.project.project import Project
from rise_engine.project.records import Instance, Source
from rise_engine.project.segmentation import from_patch
from rise_napari.layers.label_view import Change
from rise_napari.workspace import Workspace


def save_changes(
    workspace: Workspace, frame_id: int, changes: Sequence[Change], size: tuple[int, int]
) -> list[int | None]:
    """Stores the changes of a frame (H, W) as one undoable edit and returns the annotation id of each.

    The id is None for a deleted annotation. Raises RiseError when the store cannot be written.
    """
    project = workspace.project
    assert project is not None
    category = workspace.category_for_new() if any(one.instance is None for one in changes) else 0
    edit = project.journal.edit(f"painted {len(changes)} instances", frame=frame_id)
    with edit if len(changes) > 1 else nullcontext():
        return [_save(project, frame_id, change, category, size) for change in changes]


def _save(project: Project, frame_id: int, change: Change, category: int, size: tuple[int, int]) -> int | None:
    if change.patch is None:
        if change.instance is not None:
            project.annotations.delete([change.instance])
        return None
    patch, (height, width) = change.patch, size
    shape = from_patch(patch.mask, row=patch.row, column=patch.column, height=height, width=width)
    if change.instance is None:
        return project.annotations.add(frame_id, [Instance(None, frame_id, category, shape, source=Source.DRAWN)])[0]
    project.annotations.update(change.instance, segmentation=shape)
    return change.instance
