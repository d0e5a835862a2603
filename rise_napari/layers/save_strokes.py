"""What a stroke changed, written to the store."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext

from rise_engine.project.project import Project
from rise_engine.project.records import Instance, Source
from rise_engine.project.segmentation import from_patch
from rise_napari.layers.label_view import Change
from rise_napari.workspace import Workspace


def store(workspace: Workspace, frame_id: int, changes: Sequence[Change], size: tuple[int, int]) -> list[int | None]:
    """Carries the changes of a frame (H, W) out as one undoable edit; the id behind each label afterwards, None where
    it is gone.

    Raises RiseError when the store cannot be written.
    """
    project = workspace.project
    assert project is not None
    category = workspace.category_for_new() if any(one.instance is None for one in changes) else 0
    together = project.journal.edit(f"painted {len(changes)} instances", frame=frame_id)
    with together if len(changes) > 1 else nullcontext():
        return [_carry_out(project, frame_id, change, category, size) for change in changes]


def _carry_out(project: Project, frame_id: int, change: Change, category: int, size: tuple[int, int]) -> int | None:
    if change.piece is None:
        if change.instance is not None:
            project.annotations.delete([change.instance])
        return None
    height, width = size
    piece = change.piece
    shape = from_patch(piece.mask, row=piece.row, column=piece.column, height=height, width=width)
    if change.instance is None:
        return project.annotations.add(frame_id, [Instance(None, frame_id, category, shape, source=Source.DRAWN)])[0]
    project.annotations.update(change.instance, segmentation=shape)
    return change.instance
