"""Colours that can be read in a dark and in a light window alike."""

from __future__ import annotations

from rise_napari.training.session import RunState

# White on these has a contrast of at least 4.5 to 1, whatever lies around them.
RUN_STATES = {
    RunState.IDLE: "#5c6470",
    RunState.STARTING: "#946200",
    RunState.TRAINING: "#1e7d49",
    RunState.PAUSING: "#946200",
    RunState.PAUSED: "#946200",
    RunState.STOPPING: "#946200",
    RunState.FINISHED: "#1f6fb2",
    RunState.FAILED: "#b8322f",
}
# No padding here: a label that wraps does not reckon with it, and loses its last line. Such labels have a margin.
# A tint behind text in the theme's own colour: coloured letters would be hard to read in one of the themes.
MESSAGES = {
    "info": "",
    "warning": "background: rgba(224, 176, 58, 75); border-radius: 3px",
    "error": "background: rgba(214, 69, 69, 90); border-radius: 3px",
}
ADVICE = "background: rgba(61, 143, 209, 45); border-radius: 4px"
INTRODUCTION = "border: 1px solid rgba(61, 143, 209, 160); border-radius: 4px"

# At least 3 to 1 against the grounds of both themes. The padding makes room for the ring, so that nothing jumps.
RING = "#2f7fc4"
FOCUS = f"""
QPushButton:focus {{ border: 2px solid {RING}; padding: 2px; }}
QComboBox:focus {{ border: 2px solid {RING}; padding: 1px 8px 1px 6px; }}
QAbstractSpinBox:focus, QLineEdit:focus, QAbstractItemView:focus {{ border: 2px solid {RING}; }}
QSlider:focus {{ border: 1px solid {RING}; border-radius: 3px; }}
QTabBar::tab:focus {{ border: 2px solid {RING}; padding: 2px 5px 1px 5px; }}
"""


def pill(state: RunState) -> str:
    """The look of a run's state: white letters on its colour."""
    return f"background: {RUN_STATES[state]}; color: white; font-weight: bold; padding: 1px 8px; border-radius: 8px"
