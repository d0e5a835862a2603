"""The state that all tabs share: the open project, the current frame, the running training. No widgets."""

from rise_napari.workspace.workspace import FIRST_CATEGORY, Workspace

__all__ = ["FIRST_CATEGORY", "Workspace"]
