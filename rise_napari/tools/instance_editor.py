"""Edits instances of the current frame: copy, merge, split, cut, accept a suggestion, set the category. No widgets."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from rise_engine.annotation.prompt import Suggestion
from rise_engine.annotation.split import along, connected_parts, cut
from rise_engine.project.project import Project
from rise_engine.project.records import FrameRecord, Instance, Source
from rise_engine.project.segmentation import from_mask, to_mask
from rise_engine.project.wording import number_of
from rise_napari.layers.mask_patch import MaskPatch
from rise_napari.workspace import Workspace

Mask = NDArray[np.bool_]


class InstanceEditor:
    """Each method is one entry of the journal, so one undo reverts it completely."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace

    def copy_from_previous(self) -> None:
        """Copies the annotations of the previous frame that the current frame does not have yet."""
        workspace = self._workspace
        frame, project = workspace.frame, workspace.project
        if frame is None or project is None:
            return
        index = workspace.index_of(frame.id) or 0
        if index == 0:
            workspace.notify("There is no previous frame.")
            return
        before = workspace.frames[index - 1]
        known = workspace.instances_with_strokes()
        copied = [
            replace(one, id=None, frame=frame.id, source=Source.DRAWN, score=None, run=None, extra={})
            for one in project.annotations.of_frame(before.id)
            if not any(one.segmentation == other.segmentation for other in known)
        ]
        if not copied:
            workspace.notify(f"There is nothing to copy from {before.name}.")
            return
        with workspace.reporting_errors():
            if project.probe(before.id) != project.probe(frame.id):
                workspace.notify(
                    f"{before.name} has another size, so its instances cannot be copied to this frame.", "warning"
                )
                return
        words = f"copied {number_of(len(copied), 'instance')} from {before.name}"
        if workspace.edit(words, lambda project, frame: project.annotations.add(frame.id, copied)) is not None:
            workspace.notify(f"{words.capitalize()}.")

    def merge(self, instance_ids: Sequence[int]) -> None:
        """Merges several instances into the lowest one, which keeps its category; the others are deleted."""
        workspace = self._workspace
        chosen = [one for one in workspace.instances_with_strokes() if one.id in set(instance_ids)]
        if len(chosen) < 2:
            workspace.notify("Select two or more instances in the table (Ctrl + click), then merge them.")
            return

        def change(project: Project, frame: FrameRecord) -> int:
            size = _size(project, frame)
            union = np.any([to_mask(one.segmentation, *size) for one in chosen], axis=0)
            kept, *others = [one.id for one in chosen if one.id is not None]
            project.annotations.update(kept, segmentation=from_mask(union))
            project.annotations.delete(others)
            return kept

        kept = workspace.edit(f"merged {number_of(len(chosen), 'instance')}", change)
        workspace.select(kept)

    def split(self, instance_id: int | None) -> None:
        """Splits an instance into its connected regions."""
        instance = self._find(instance_id)
        if instance is None:
            self._workspace.notify("Select an instance first: click on it with the colour picker (5) or in the table.")
            return
        self._split_with(
            instance,
            connected_parts,
            "split an instance",
            "This instance is one connected region. Draw a line through it with Cut (T).",
        )

    def cut(self, path: Sequence[tuple[float, float]]) -> None:
        """Cuts along a line through points (row, column): the selected instance, or the one it crosses most."""
        workspace = self._workspace
        project, frame = workspace.project, workspace.frame
        if project is None or frame is None or len(path) < 2:
            return
        instances = workspace.instances_with_strokes()
        with workspace.reporting_errors():
            size = _size(project, frame)
            line = along(path, size)
            patches = {one.id: MaskPatch.decoded(one.segmentation, size) for one in instances}
            crossed = {number: int((patch.mask & line[patch.region]).sum()) for number, patch in patches.items()}
            selected = workspace.selected if crossed.get(workspace.selected) else None
            target = self._find(
                selected if selected is not None else max(crossed, key=crossed.__getitem__, default=None)
            )
            if target is None or not crossed[target.id]:
                workspace.notify("The line crosses no instance.")
                return
            self._split_with(
                target,
                lambda mask: cut(mask, path),
                "cut an instance",
                "To cut an instance, the line must cross it completely.",
            )

    def accept_suggestion(self, suggestion: Suggestion, prediction: int | None = None) -> int | None:
        """Adds a suggestion as an instance and returns its id; ``prediction`` is the prediction it comes from."""
        workspace = self._workspace

        def change(project: Project, frame: FrameRecord) -> int:
            category = workspace.category_for_new()
            if prediction is not None:
                known = next((one for one in project.predictions.of_frame(frame.id) if one.id == prediction), None)
                if known is not None:
                    category = known.category
                    project.predictions.reject([prediction])
            new = Instance(None, frame.id, category, from_mask(suggestion.mask), score=suggestion.score)
            (number,) = project.annotations.add(frame.id, [new])
            return number

        number = workspace.edit("accepted a suggestion", change)
        workspace.select(number)
        return number

    def set_category(self, instance_ids: Sequence[int], category: int) -> None:
        """Sets the category of instances of the current frame, in one edit."""
        known = {one.id: one.category for one in self._workspace.instances_with_strokes()}
        changed = [number for number in instance_ids if known.get(number, category) != category]
        name = next((one.name for one in self._workspace.categories if one.id == category), "?")

        def change(project: Project, frame: FrameRecord) -> bool:
            for number in changed:
                project.annotations.update(number, category=category)
            return True

        if changed:
            self._workspace.edit(f"made {number_of(len(changed), 'instance')} {name}", change)

    def rename_category(self, category: int, name: str) -> None:
        """Renames a category."""
        project = self._workspace.project
        if project is not None and self._workspace.writable:
            with self._workspace.reporting_errors():
                project.annotations.rename_category(category, name)
                self._workspace.imported()

    def _find(self, instance_id: int | None) -> Instance | None:
        return next((one for one in self._workspace.instances_with_strokes() if one.id == instance_id), None)

    def _split_with(
        self, instance: Instance, divide: Callable[[Mask], list[Mask]], action: str, undivided: str
    ) -> None:
        """The instance keeps its largest region; other regions become new instances of the same category."""
        workspace = self._workspace
        project, frame = workspace.project, workspace.frame
        assert project is not None and frame is not None and instance.id is not None
        number = instance.id
        with workspace.reporting_errors():
            largest, *others = divide(to_mask(instance.segmentation, *_size(project, frame)))
            if not others:
                workspace.notify(undivided)
                return
            added = [
                replace(instance, id=None, segmentation=from_mask(region), source=Source.DRAWN, extra={})
                for region in others
            ]

            def change(project: Project, frame: FrameRecord) -> bool:
                project.annotations.update(number, segmentation=from_mask(largest))
                project.annotations.add(frame.id, added)
                return True

            workspace.edit(f"{action} into {len(others) + 1}", change)
            workspace.select(number)


def union_of_masks(instances: Sequence[Instance], size: tuple[int, int]) -> Mask:
    """The union of the masks, bool (H, W)."""
    union = np.zeros(size, np.bool_)
    for one in instances:
        union |= to_mask(one.segmentation, *size)
    return union


def _size(project: Project, frame: FrameRecord) -> tuple[int, int]:
    width, height = project.probe(frame.id)
    return height, width
