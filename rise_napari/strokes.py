"""What a stroke changed, written to the store."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext

from rise_engine.project.project import Project
from rise_engine.project.records import Instance, Source
from rise_engine.project.segmentation import from_mask
from rise_napari.label_view import Change
from rise_napari.workspace import Workspace


def store(workspace: Workspace, frame_id: int, changes: Sequence[Change]) -> list[int | None]:
    """Carries the changes out as one undoable edit; the id behind each label afterwards, None where it is gone.

    Raises RiseError when the store cannot be written.
    """
    project = workspace.project
    assert project is not None
    category = workspace.category_for_new() if any(one.instance is None for one in changes) else 0
    together = project.together(f"painted {len(changes)} instances", frame=frame_id)
    with together if len(changes) > 1 else nullcontext():
        return [_carry_out(project, frame_id, change, category) for change in changes]


def _carry_out(project: Project, frame_id: int, change: Change, category: int) -> int | None:
    if change.mask is None:
        if change.instance is not None:
            project.delete_instances([change.instance])
        return None
    shape = from_mask(change.mask)
    if change.instance is None:
        return project.add_instances(frame_id, [Instance(None, frame_id, category, shape, source=Source.DRAWN)])[0]
    project.update_instance(change.instance, segmentation=shape)
    return change.instance
