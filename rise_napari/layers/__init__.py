"""The napari layers of the open project. Only this folder writes layers."""
