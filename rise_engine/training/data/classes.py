"""The classes of a network, and the class of each category of the project."""

from __future__ import annotations

from collections.abc import Sequence

from rise_engine.errors import RiseError
from rise_engine.project.project import Project


def class_names(project: Project, frames: Sequence[int], *, class_agnostic: bool) -> list[str]:
    """The classes of a new network: the categories of the frames' annotations, or only "object".

    ``frames`` are the ids of the labelled frames. Categories without an annotation there, for instance from imported
    predictions, could not be learnt and are left out. Raises ``RiseError`` when no annotation has a category.
    """
    if class_agnostic:
        return ["object"]
    annotated = project.annotations.annotated_categories(set(frames))
    names = [category.name for category in project.annotations.categories() if category.id in annotated]
    if not names:
        raise RiseError(
            f"no object of the labelled frames of {project.path} has a category: annotate some, or train class-agnostic"
        )
    return names


def class_indices(project: Project, names: Sequence[str], *, class_agnostic: bool) -> dict[int, int]:
    """The class index of each category id.

    Categories added after the start of the training have none, unless the network is class-agnostic.
    """
    categories = project.annotations.categories()
    if class_agnostic:
        return {category.id: 0 for category in categories}
    return {category.id: names.index(category.name) for category in categories if category.name in names}
