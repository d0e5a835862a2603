"""Proposes a button for a failed training: other settings, or a resume from the last checkpoint."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rise_engine.config import RiseConfig
from rise_engine.training.events import Failed

SMALLEST_CROP = 128
CROP_STEP = 32


@dataclass(frozen=True, slots=True)
class Remedy:
    """A button with this ``words``. It restarts the training with other ``settings`` or resumes it."""

    words: str
    settings: tuple[str, ...] = ()
    resume: bool = False


def remedy(failure: Failed, config: RiseConfig, *, checkpoint: bool) -> Remedy | None:
    """The remedy for a failure; None when there is no automatic one. ``checkpoint``: whether one was saved."""
    match failure.kind:
        case "memory":
            return _smaller(config)
        case "device":
            return Remedy("Try again on the CPU", ("device=cpu",))
        case "weights":
            return Remedy("Try again from random weights", ("weights=none",))
        case "disk" | "crash" | "data" if checkpoint:
            return Remedy("Resume from the last checkpoint", resume=True)
        case "disk" | "crash":
            return Remedy("Start again")
        case _:
            return None


def _smaller(config: RiseConfig) -> Remedy | None:
    """Less memory: first activation checkpointing, which does not change the result, then smaller crops, then the CPU.

    The trainer has tried smaller micro-batches before.
    """
    if config.model.kind == "deformable_detr" and not config.model.checkpointing:
        return Remedy("Try again with activation checkpointing", ("model.checkpointing=true",))
    return _cropped(config)


def _cropped(config: RiseConfig) -> Remedy | None:
    crop = config.loader.crop * 3 // 4 // CROP_STEP * CROP_STEP
    if crop < SMALLEST_CROP:
        return None if config.device == "cpu" else Remedy("Try again on the CPU", ("device=cpu",))
    sides: Sequence[int] = [max(SMALLEST_CROP, side * 3 // 4) for side in config.loader.short_sides]
    return Remedy(
        f"Try again with crops of {crop} pixels", (f"loader.crop={crop}", f"loader.short_sides={list(sides)}")
    )
