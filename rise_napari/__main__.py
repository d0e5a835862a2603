"""Opens napari with the RISE window on a project or a folder of images: ``python -m rise_napari PATH``."""

from __future__ import annotations

import sys
from pathlib import Path

import napari

from rise_napari.ui.identity import PLUGIN, WIDGET


def main(path: Path | None) -> None:
    """Runs until the window is closed; without a path, the window starts without a project."""
    viewer = napari.Viewer()
    _, window = viewer.window.add_plugin_dock_widget(PLUGIN, WIDGET)
    if path is not None:
        window.open_path(path)
    napari.run()


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else None)
