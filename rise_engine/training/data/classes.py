"""The classes that a network tells apart, and which of them each category of the project is."""

from __future__ import annotations

from collections.abc import Sequence

from rise_engine.errors import RiseError
from rise_engine.project.project import Project


def class_names(project: Project, frames: Sequence[int], *, class_agnostic: bool) -> list[str]:
    """What a new network learns to tell apart: the categories of what the frames are annotated with, or only "object".

    ``frames`` are the ids of those that it learns from with their labels. A category that nothing there has could not
    be learnt; predictions may have brought one. Raises ``RiseError`` when there is none at all.
    """
    if class_agnostic:
        return ["object"]
    annotated = project.annotations.annotated_categories(set(frames))
    names = [category.name for category in project.annotations.categories() if category.id in annotated]
    if not names:
        raise RiseError(
            f"no object of the labelled frames of {project.path} has a category to tell it by: annotate some, or learn "
            "class-agnostic"
        )
    return names


def class_indices(project: Project, names: Sequence[str], *, class_agnostic: bool) -> dict[int, int]:
    """The class index of each category's id; one that came after the training began has none, unless all are one."""
    categories = project.annotations.categories()
    if class_agnostic:
        return {category.id: 0 for category in categories}
    return {category.id: names.index(category.name) for category in categories if category.name in names}
