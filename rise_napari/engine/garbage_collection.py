"""Keeps Python's garbage collector from blocking the window during a training.

A full collection in a napari window takes an eighth of a second and more. During a training, the collector skips the
objects that existed at its start.
"""

from __future__ import annotations

import gc

from rise_napari.training.session import TrainingSession


class PausedGarbageCollection:
    """Follows a training session. Call ``resume`` when the window closes."""

    def __init__(self, training: TrainingSession) -> None:
        self._training = training
        self._frozen = False
        training.state_changed.connect(self._follow)

    def _follow(self) -> None:
        if self._training.running and not self._frozen:
            self._frozen = True
            # Unreachable objects are freed now, because frozen ones would stay until the end of the training.
            gc.collect()
            gc.freeze()
        elif not self._training.running:
            self.resume()

    def resume(self) -> None:
        """Lets the collector inspect all objects again."""
        if self._frozen:
            self._frozen = False
            gc.unfreeze()
