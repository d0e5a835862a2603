"""Import and export of annotation formats and datasets, through the public parts of a project."""
