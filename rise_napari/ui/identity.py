"""The names of the plugin and of its widget in the manifest."""

from __future__ import annotations

PLUGIN, WIDGET = "rise-napari", "RISE: train from annotations"
