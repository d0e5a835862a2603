"""What the manifest calls the plugin and its widget."""

from __future__ import annotations

PLUGIN, WIDGET = "rise-napari", "RISE: train from annotations"
