"""Python's garbage collector, kept from holding the window up beside a training.

Every so often it looks through all there is, which in a window of napari takes it an eighth of a second and more. While
a training runs it passes over what was there at the start.
"""

from __future__ import annotations

import gc

from rise_napari.training.session import TrainingSession


class CalmCollector:
    """Follows a training session; ``release`` when the window ends."""

    def __init__(self, training: TrainingSession) -> None:
        self._training = training
        self._calm = False
        training.state_changed.connect(self._follow)

    def _follow(self) -> None:
        if self._training.running and not self._calm:
            self._calm = True
            # What nobody holds any more goes now, for it would stay until the training's end.
            gc.collect()
            gc.freeze()
        elif not self._training.running:
            self.release()

    def release(self) -> None:
        """Lets the collector look through everything again."""
        if self._calm:
            self._calm = False
            gc.unfreeze()
