"""The log of a run on disk: its events as JSON, one per line, and as TensorBoard curves where that is installed."""

from __future__ import annotations

import importlib.util
import json
import math
from pathlib import Path
from types import TracebackType
from typing import Any

from rise_engine.atomic import write_text
from rise_engine.project.run_folder import RunFolder
from rise_engine.training.events import Event, HoldoutScore, Losses, Preview, PseudoLabelScore, Thresholds

CURVES = (Losses, Thresholds, HoldoutScore, PseudoLabelScore)


class MetricsLog:
    """Appends events to ``metrics.jsonl`` in the run's folder; previews are pictures, not numbers, and left out."""

    def __init__(self, folder: Path, *, keep_until: int | None = None) -> None:
        """``keep_until``: drop the lines of steps after this one, which a resumed run will write again."""
        self.path = RunFolder(folder).metrics
        if keep_until is not None and self.path.is_file():
            lines = self.path.read_text(encoding="utf-8").splitlines(keepends=True)
            kept = [line for line in lines if line.endswith("\n") and json.loads(line)["step"] <= keep_until]
            write_text(self.path, "".join(kept))
        self._file = self.path.open("a", encoding="utf-8")
        self._board: Any = None
        if importlib.util.find_spec("tensorboard") is not None:
            from torch.utils.tensorboard import SummaryWriter

            self._board = SummaryWriter(str(RunFolder(folder).tensorboard), purge_step=keep_until)

    def write(self, event: Event) -> None:
        """One line per event, flushed at once so that a listener can follow the file."""
        if isinstance(event, Preview):
            return
        # Strict JSON knows no NaN, which the losses of a skipped step may be.
        record = {name: None if _not_finite(value) else value for name, value in event.as_record().items()}
        self._file.write(json.dumps(record, allow_nan=False) + "\n")
        self._file.flush()
        if self._board is not None and isinstance(event, CURVES):
            kind = type(event).__name__.lower()
            for name, value in record.items():
                if name != "step" and isinstance(value, int | float):
                    self._board.add_scalar(f"{kind}/{name}", value, event.step)

    def __enter__(self) -> MetricsLog:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()
        if self._board is not None:
            self._board.close()


def _not_finite(value: Any) -> bool:
    return isinstance(value, float) and not math.isfinite(value)
