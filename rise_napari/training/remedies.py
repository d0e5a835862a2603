"""What one button can do about a training that failed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rise_engine.config import RiseConfig
from rise_engine.training.events import Failed

SMALLEST_CROP = 128
CROP_STEP = 32


@dataclass(frozen=True, slots=True)
class Remedy:
    """``words`` for the button. It starts the training again with changed ``settings``, or goes on where it was."""

    words: str
    settings: tuple[str, ...] = ()
    resume: bool = False


def remedy(failure: Failed, config: RiseConfig, *, checkpoint: bool) -> Remedy | None:
    """What to try next; None when only the person can tell. ``checkpoint``: whether something was saved."""
    match failure.kind:
        case "memory":
            return _smaller(config)
        case "device":
            return Remedy("Try again on the CPU", ("device=cpu",))
        case "weights":
            return Remedy("Try again from random weights", ("weights=none",))
        case "disk" | "crash" | "data" if checkpoint:
            return Remedy("Go on from the last checkpoint", resume=True)
        case "disk" | "crash":
            return Remedy("Start again")
        case _:
            return None


def _smaller(config: RiseConfig) -> Remedy | None:
    """Fewer frames at once have been tried by then. Keeping less changes nothing that is learnt; then smaller frames;
    then no GPU."""
    if config.model.kind == "deformable_detr" and not config.model.checkpointing:
        return Remedy("Try again with less kept in memory", ("model.checkpointing=true",))
    return _cropped(config)


def _cropped(config: RiseConfig) -> Remedy | None:
    crop = config.loader.crop * 3 // 4 // CROP_STEP * CROP_STEP
    if crop < SMALLEST_CROP:
        return None if config.device == "cpu" else Remedy("Try again on the CPU", ("device=cpu",))
    sides: Sequence[int] = [max(SMALLEST_CROP, side * 3 // 4) for side in config.loader.short_sides]
    return Remedy(
        f"Try again with crops of {crop} pixels", (f"loader.crop={crop}", f"loader.short_sides={list(sides)}")
    )
