"""Sample totes for File > Open Sample, generated locally without a download."""

from __future__ import annotations

from typing import Any

import napari
import numpy as np
from qtpy.QtCore import QTimer

from rise_napari.ui.identity import PLUGIN, WIDGET

SEED = 7
SIZE = (480, 640)


def sample_totes() -> list[tuple[Any, dict[str, Any], str]]:
    """One generated tote and its exact masks as a Labels layer.

    With a viewer, the RISE window also opens a project with such totes. napari requires layers from sample data, so the
    window removes these layers when the project is open.
    """
    from rise_engine.synthetic import draw_tote

    tote = draw_tote(np.random.default_rng(SEED), size=SIZE)
    labels = np.zeros(tote.image.shape[:2], np.int32)
    for label, mask in enumerate(tote.masks, start=1):
        labels[mask] = label
    viewer = napari.current_viewer()
    if viewer is not None:
        _, window = viewer.window.add_plugin_dock_widget(PLUGIN, WIDGET)
        # Later, because napari adds these layers first.
        QTimer.singleShot(0, window.open_samples)
    return [
        (tote.image, {"name": "tote", "rgb": True}, "image"),
        (labels, {"name": "tote annotations", "opacity": 0.5}, "labels"),
    ]
