"""A pseudo-sequence as a picture and in words, for a person to check what the learner is shown."""

from __future__ import annotations

import colorsys
from collections.abc import Mapping
from enum import StrEnum

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from skimage.segmentation import find_boundaries
from torch import Tensor

from rise_engine.interaction.geometry import warp_masks
from rise_engine.interaction.scene import PseudoSequence, Scene

TINT = 0.35
GAP = 6
FONT_SIZE = 11
SAME_PLACE = 0.5
"""An object stayed where it was when the warped mask and the new one share this much of the smaller of the two."""


class Change(StrEnum):
    """What happened to one known object between the before and the after view."""

    KEPT = "kept"
    MOVED = "moved"
    ADDED = "added"
    REMOVED = "removed"
    HIDDEN = "hidden"
    OUT_OF_VIEW = "out of view"


def changes(sequence: PseudoSequence) -> dict[int, Change]:
    """What happened to each known object, by identity, as far as the two views show it."""
    before, after = _masks_by_id(sequence.before), _masks_by_id(sequence.after)
    warped = dict(zip(before, warp_masks(sequence.before.masks, sequence.motion), strict=True))
    found = {}
    for identity in sorted(before | after):
        if identity not in before:
            pasted = bool(sequence.after.pasted[sequence.after.ids == identity])
            found[identity] = Change.ADDED if pasted else Change.OUT_OF_VIEW
        elif identity in after:
            same = _shared(warped[identity], after[identity]) > SAME_PLACE
            found[identity] = Change.KEPT if same else Change.MOVED
        else:
            pasted = bool(sequence.before.pasted[sequence.before.ids == identity])
            found[identity] = _gone(before[identity], warped[identity], sequence.covered, pasted=pasted)
    return found


def describe_sequence(sequence: PseudoSequence) -> list[str]:
    """One short line per kind of change, such as ``moved: 4, 6``; the numbers are those in the picture."""
    found = changes(sequence)
    lines = []
    for change in Change:
        numbers = [str(identity) for identity, happened in found.items() if happened is change]
        if numbers:
            lines.append(f"{change}: {', '.join(numbers)}")
    return lines or ["no known objects"]


def render_sequence(sequence: PseudoSequence, *, scale: int = 1) -> NDArray[np.uint8]:
    """Before, after and strong view side by side, uint8 (H * scale, 3 * W * scale + 2 * 6, 3).

    Each known object is tinted and outlined in the colour of its identity, the same in all views; its number is
    written on it, with what happens to it unless it is kept.
    """
    found = changes(sequence)
    before, after = sequence.before, sequence.after
    panels = [
        _panel(before.image, before, found, leaving=True, scale=scale),
        _panel(after.image, after, found, leaving=False, scale=scale),
        _panel(sequence.strong, before, {}, leaving=True, scale=scale),
    ]
    gap = np.full((panels[0].shape[0], GAP, 3), 255, np.uint8)
    return np.concatenate([panels[0], gap, panels[1], gap, panels[2]], axis=1)


def _panel(image: Tensor, scene: Scene, found: Mapping[int, Change], *, leaving: bool, scale: int) -> NDArray[np.uint8]:
    """One view with its objects; ``leaving`` names what will be gone or elsewhere, else what has come."""
    pixels = (image.permute(1, 2, 0).numpy() * 255).round().astype(np.float32).repeat(scale, 0).repeat(scale, 1)
    shown = (
        (Change.MOVED, Change.REMOVED, Change.HIDDEN, Change.OUT_OF_VIEW) if leaving else (Change.MOVED, Change.ADDED)
    )
    labels = []
    for identity, mask in _masks_by_id(scene).items():
        area = mask.numpy().repeat(scale, 0).repeat(scale, 1)
        colour = _colour(identity)
        pixels[area] = (1 - TINT) * pixels[area] + TINT * colour
        pixels[find_boundaries(area, mode="inner")] = colour
        change = found.get(identity)
        labels.append((f"{identity} {change}" if change in shown else str(identity), area))
    picture = Image.fromarray(pixels.round().astype(np.uint8))
    draw = ImageDraw.Draw(picture)
    font = ImageFont.load_default(FONT_SIZE)
    for text, area in labels:
        rows, columns = np.nonzero(area)
        left, top, right, bottom = draw.textbbox((0, 0), text, font=font)
        # The plate stays inside the picture, also for an object at its edge.
        x = min(max(columns.mean() - right / 2, 0), max(picture.width - right, 0))
        y = min(max(rows.mean() - bottom / 2, 0), max(picture.height - bottom, 0))
        draw.rectangle((x + left - 1, y + top - 1, x + right, y + bottom), fill=(0, 0, 0))
        draw.text((x, y), text, fill=(255, 255, 255), font=font)
    return np.asarray(picture)


def _masks_by_id(scene: Scene) -> dict[int, Tensor]:
    return dict(zip(scene.ids.tolist(), scene.masks, strict=True))


def _shared(first: Tensor, second: Tensor) -> float:
    smaller = min(int(first.sum()), int(second.sum()))
    return int((first & second).sum()) / smaller if smaller else 0.0


def _gone(mask: Tensor, warped: Tensor, covered: Tensor, *, pasted: bool) -> Change:
    """Why an object of the before view is not in the after view."""
    area = int(torch.sum(warped))
    if area < SAME_PLACE * int(mask.sum()):
        return Change.OUT_OF_VIEW
    if int((warped & covered).sum()) > SAME_PLACE * area:
        return Change.HIDDEN
    return Change.REMOVED if pasted else Change.OUT_OF_VIEW


def _colour(identity: int) -> NDArray[np.float32]:
    """A colour of its own for each identity: hues a golden section apart stay distinct however many there are."""
    hue = (0.05 + identity * 0.618034) % 1.0
    return np.asarray(colorsys.hsv_to_rgb(hue, 0.85, 1.0), dtype=np.float32) * 255
