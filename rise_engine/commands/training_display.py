"""The progress of a training: a bar on a terminal, occasional lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from rise_engine.project.wording import duration, number_of
from rise_engine.training.events import Event, HoldoutScore, Losses, Notice, PseudoLabelScore, Started, Thresholds
from rise_engine.training.events import Progress as StepDone

SECONDS_BETWEEN_LINES = 10.0


class TrainingDisplay:
    """Shows the events of a training. A context manager: the bar disappears at its end."""

    def __init__(self, *, note: Callable[[float], str] | None = None, quiet: bool = False) -> None:
        """``note`` returns additional text from the remaining seconds; ``quiet`` shows nothing."""
        self._note = note
        self._console = Console(highlight=False, soft_wrap=True, quiet=quiet)
        columns = (TextColumn("training"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.description}"))
        self._bar = Progress(*columns, console=self._console, disable=not self._console.is_terminal)
        self._task = self._bar.add_task("", total=None)
        self._losses: Losses | None = None
        self._thresholds: Thresholds | None = None
        self._printed_at = 0.0

    def print_line(self, message: str) -> None:
        """Print a line above the bar."""
        self._console.print(message, markup=False)

    def show(self, event: Event) -> None:
        """Show one event."""
        match event:
            case Started():
                self.print_line(f"Run {event.run} on {event.device}: {event.message or event.folder}")
                self.print_line(f"The instance bank has {number_of(event.bank_size, 'object')}.")
                self._bar.update(self._task, total=event.steps, completed=event.step)
            case Losses():
                self._losses = event
            case Thresholds():
                self._thresholds = event
            case StepDone():
                self._step(event)
            case HoldoutScore():
                best = ", the best so far" if event.best else ""
                on = f" on {number_of(event.frames, 'hold-out frame')}" if event.frames else " on the hold-out"
                self.print_line(f"Step {event.step}: mask AP {event.ap:.1f}, AP50 {event.ap50:.1f}{on}{best}.")
            case PseudoLabelScore():
                self.print_line(f"  {_pseudo_label_text(event)}")
            case Notice():
                self.print_line(event.message)
            case _:
                pass

    def _step(self, event: StepDone) -> None:
        summary = f"{duration(event.seconds_left)} left{self._numbers()}"
        if self._note is not None:
            summary += self._note(event.seconds_left)
        self._bar.update(self._task, total=event.steps, completed=event.step, description=summary)
        now = time.monotonic()
        due = now - self._printed_at >= SECONDS_BETWEEN_LINES or event.step == event.steps
        if due and not self._console.is_terminal:
            self._printed_at = now
            self.print_line(f"step {event.step}/{event.steps}, {summary}")

    def _numbers(self) -> str:
        text = ""
        if self._losses is not None:
            losses = self._losses
            text += (
                f", loss {losses.total:.2f} (labelled {losses.supervised:.2f}, unlabelled {losses.unsupervised:.2f})"
            )
        if self._thresholds is not None:
            kept = self._thresholds
            text += (
                f", predictions kept per frame {kept.predictions:.0f} > {kept.after_gamma:.1f} > "
                f"{kept.after_quantile:.1f} > {kept.after_matching:.1f}"
            )
        return text

    def __enter__(self) -> TrainingDisplay:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()


def _pseudo_label_text(event: PseudoLabelScore) -> str:
    if event.precision is None or event.recall is None:
        return f"Pseudo-labels on the hold-out: {event.kept:.1f} per frame."
    return (
        f"Pseudo-labels on the hold-out: {event.kept:.1f} per frame, precision {event.precision:.0%}, "
        f"recall {event.recall:.0%}."
    )
