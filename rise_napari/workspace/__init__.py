"""What the tabs share, without widgets: the open project, the frame in view, the running training."""

from rise_napari.workspace.workspace import FIRST_CATEGORY, Workspace

__all__ = ["FIRST_CATEGORY", "Workspace"]
