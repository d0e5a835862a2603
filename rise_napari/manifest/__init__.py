"""The entry points of ``napari.yaml``: reader, writer, sample data, command palette, preferences."""
