"""The functions behind napari's command palette, one for each command of ``ui/commands.py``."""

from __future__ import annotations

from collections.abc import Callable

from napari.viewer import Viewer

from rise_napari.ui.commands import PALETTE, Command
from rise_napari.ui.identity import PLUGIN, WIDGET


def __getattr__(name: str) -> Callable[[Viewer], None]:
    """The function of a command, by which ``napari.yaml`` names it."""
    if name not in PALETTE:
        raise AttributeError(f"There is no command {name} in ui/commands.py.")
    return _open_window_and_run(PALETTE[name])


def _open_window_and_run(command: Command) -> Callable[[Viewer], None]:
    def run(viewer: Viewer) -> None:
        _, window = viewer.window.add_plugin_dock_widget(PLUGIN, WIDGET)
        command.run(window)

    return run
