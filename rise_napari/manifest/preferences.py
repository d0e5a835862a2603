"""Reads the plugin's page of napari's preferences."""

from __future__ import annotations

from napari.settings import get_plugin_settings

from rise_napari.ui.identity import PLUGIN


def _value(section: str, name: str, default: bool) -> bool:
    try:
        return bool(getattr(getattr(get_plugin_settings(PLUGIN), section), name))
    except (KeyError, AttributeError):
        # A script may create the widget without a registered plugin.
        return default


def reopens_last() -> bool:
    """Whether a new window opens the last project."""
    return _value("opening", "reopen_last", False)


def asks_the_model() -> bool:
    """Whether mask suggestions may use the model, which then stays in memory."""
    return _value("suggestions", "ask_the_model", True)
