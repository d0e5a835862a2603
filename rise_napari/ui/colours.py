"""Colours and style sheets that are readable in the dark and in the light theme."""

from __future__ import annotations

from rise_napari.training.session import RunState

# White text on these colours has a contrast of at least 4.5 to 1.
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
# Only the background is coloured: coloured text would be hard to read in one of the themes. Instead of padding,
# these labels have a margin: a label with word wrap ignores padding in its height and cuts off the last line.
MESSAGES = {
    "info": "",
    "warning": "background: rgba(224, 176, 58, 75); border-radius: 3px",
    "error": "background: rgba(214, 69, 69, 90); border-radius: 3px",
}
ADVICE = "background: rgba(61, 143, 209, 45); border-radius: 4px"
INTRODUCTION = "border: 1px solid rgba(61, 143, 209, 160); border-radius: 4px"

# Contrast of at least 3 to 1 with the backgrounds of both themes. The padding keeps controls from moving when the ring
# appears.
RING = "#2f7fc4"
FOCUS = f"""
QPushButton:focus {{ border: 2px solid {RING}; padding: 2px; }}
QComboBox:focus {{ border: 2px solid {RING}; padding: 1px 8px 1px 6px; }}
QAbstractSpinBox:focus, QLineEdit:focus, QAbstractItemView:focus {{ border: 2px solid {RING}; }}
QSlider:focus {{ border: 1px solid {RING}; border-radius: 3px; }}
QTabBar::tab:focus {{ border: 2px solid {RING}; padding: 2px 5px 1px 5px; }}
"""


def run_state_style(state: RunState) -> str:
    """The style of the label that shows a run state: white text on the colour of the state."""
    return f"background: {RUN_STATES[state]}; color: white; font-weight: bold; padding: 1px 8px; border-radius: 8px"
