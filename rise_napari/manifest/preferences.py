"""The plugin's page in napari's preferences, where napari stores it too."""

from __future__ import annotations

from napari.settings import get_plugin_settings

from rise_napari.ui.identity import PLUGIN


def _value(section: str, name: str, default: bool) -> bool:
    try:
        return bool(getattr(getattr(get_plugin_settings(PLUGIN), section), name))
    except (KeyError, AttributeError):
        # The widget may run without its plugin being known to napari, as in a script.
        return default


def reopens_last() -> bool:
    """Whether a new window opens the last project by itself."""
    return _value("opening", "reopen_last", False)


def asks_the_model() -> bool:
    """Whether suggestions may come from the model, which takes its memory."""
    return _value("suggestions", "ask_the_model", True)
