"""Sample totes, drawn on the spot; nothing is downloaded."""

from __future__ import annotations

from typing import Any

import numpy as np

SEED = 7
SIZE = (480, 640)


def sample_totes() -> list[tuple[Any, dict[str, Any], str]]:
    """One drawn tote and its true masks as a Labels layer."""
    from rise_engine.totes import draw_tote

    tote = draw_tote(np.random.default_rng(SEED), size=SIZE)
    labels = np.zeros(tote.image.shape[:2], np.int32)
    for label, mask in enumerate(tote.masks, start=1):
        labels[mask] = label
    return [
        (tote.image, {"name": "tote", "rgb": True}, "image"),
        (labels, {"name": "tote annotations", "opacity": 0.5}, "labels"),
    ]
