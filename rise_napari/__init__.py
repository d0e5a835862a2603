"""The napari plugin: the window for annotation, training, review and export."""
