"""A pseudo-sequence as an image and as text, to inspect what the network is trained on."""

from __future__ import annotations

import colorsys
from collections.abc import Mapping
from dataclasses import replace
from enum import StrEnum

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from skimage.segmentation import find_boundaries
from torch import Tensor

from rise_engine.pseudo_sequences.change_symbols import ChangeSymbols
from rise_engine.pseudo_sequences.geometry import warp_masks
from rise_engine.pseudo_sequences.views import PseudoSequence, View

TINT = 0.35
GAP = 6
FONT_SIZE = 11
SYMBOL_SIZE, SYMBOL_SHARE = 7, 1 / 22
"""Half a symbol's length: minimum in pixels, and as a share of the view's shorter side."""
SAME_PLACE = 0.5
"""An object is kept when the warped mask and the new one share at least this part of the smaller of the two."""


class Change(StrEnum):
    """The change of one known object from the before to the after view."""

    KEPT = "kept"
    MOVED = "moved"
    ADDED = "added"
    REMOVED = "removed"
    HIDDEN = "hidden"
    OUT_OF_VIEW = "out of view"


def changes(sequence: PseudoSequence) -> dict[int, Change]:
    """The change of each known object, by identity, as visible in the two views."""
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
    """One short line per kind of change, such as ``moved: 4, 6``; the numbers are those in the image."""
    found = changes(sequence)
    lines = []
    for change in Change:
        numbers = [str(identity) for identity, other in found.items() if other is change]
        if numbers:
            lines.append(f"{change}: {', '.join(numbers)}")
    return lines or ["no known objects"]


def render_panels(sequence: PseudoSequence, *, scale: int = 1) -> list[NDArray[np.uint8]]:
    """Before, after and strong view, each uint8 (H * scale, W * scale, 3).

    Each known object is tinted and outlined in the colour of its identity, the same in all views, and its number is
    written on it. A cross in the before view shows a removal, a plus in the after view an addition. An arrow there runs
    from the expected place of a moved object to its actual place.
    """
    found = changes(sequence)
    before, after = sequence.before, sequence.after
    return [
        _panel(before.image, before, found, leaving=True, scale=scale, came_from={}),
        _panel(after.image, after, found, leaving=False, scale=scale, came_from=_expected(sequence)),
        _panel(sequence.strong, _strong_view(sequence), {}, leaving=True, scale=scale, came_from={}),
    ]


def render_sequence(sequence: PseudoSequence, *, scale: int = 1) -> NDArray[np.uint8]:
    """The panels of ``render_panels`` side by side, uint8 (H * scale, 3 * W * scale + 2 * 6, 3)."""
    before, after, strong = render_panels(sequence, scale=scale)
    gap = np.full((before.shape[0], GAP, 3), 255, np.uint8)
    return np.concatenate([before, gap, after, gap, strong], axis=1)


def _strong_view(sequence: PseudoSequence) -> View:
    """The objects of the before view at their places in the strong view."""
    before, motion = sequence.before, sequence.strong_motion
    return before if motion is None else replace(before, masks=warp_masks(before.masks, motion))


def _expected(sequence: PseudoSequence) -> dict[int, tuple[float, float]]:
    """The place (x, y) in the after view of each object of the before view if it is not moved."""
    centres = {}
    for identity, mask in _masks_by_id(sequence.before).items():
        rows, columns = np.nonzero(mask.numpy())
        if len(rows):
            point = torch.tensor([columns.mean() + 0.5, rows.mean() + 0.5, 1.0])
            x, y = (sequence.motion.float() @ point.float()).tolist()
            centres[identity] = (x, y)
    return centres


def _panel(
    image: Tensor,
    scene: View,
    found: Mapping[int, Change],
    *,
    leaving: bool,
    scale: int,
    came_from: Mapping[int, tuple[float, float]],
) -> NDArray[np.uint8]:
    """One view with its objects; ``leaving``: it shows removals, else additions and moves."""
    pixels = (image.permute(1, 2, 0).numpy() * 255).round().astype(np.float32).repeat(scale, 0).repeat(scale, 1)
    shown = (Change.HIDDEN, Change.OUT_OF_VIEW) if leaving else ()
    objects = []
    for identity, mask in _masks_by_id(scene).items():
        area = mask.numpy().repeat(scale, 0).repeat(scale, 1)
        colour = _colour(identity)
        pixels[area] = (1 - TINT) * pixels[area] + TINT * colour
        rows, columns = np.nonzero(area)
        if len(rows):
            # Around the object only: finding its outline in the whole image took longer than all the rest.
            around = slice(max(0, rows.min() - 1), rows.max() + 2), slice(max(0, columns.min() - 1), columns.max() + 2)
            pixels[around][find_boundaries(area[around], mode="inner")] = colour
            objects.append((identity, found.get(identity), (float(columns.mean()), float(rows.mean())), colour))
    panel = Image.fromarray(pixels.round().astype(np.uint8))
    draw = ImageDraw.Draw(panel)
    symbols = ChangeSymbols(draw, size=max(SYMBOL_SIZE * scale, min(panel.size) * SYMBOL_SHARE))
    for identity, change, centre, own in objects:
        red, green, blue = (int(value) for value in own)
        if leaving and change is Change.REMOVED:
            symbols.cross(centre, (red, green, blue))
        if not leaving and change is Change.ADDED:
            symbols.plus(centre, (red, green, blue))
        if not leaving and change is Change.MOVED and identity in came_from:
            x, y = came_from[identity]
            symbols.arrow((x * scale, y * scale), centre, (red, green, blue))
    font = ImageFont.load_default(FONT_SIZE * scale)
    for identity, change, centre, _ in objects:
        text = f"{identity} {change}" if change in shown else str(identity)
        left, top, right, bottom = draw.textbbox((0, 0), text, font=font)
        # The label stays inside the image, also for an object at its edge.
        x = min(max(centre[0] - right / 2, 0), max(panel.width - right, 0))
        y = min(max(centre[1] - bottom / 2, 0), max(panel.height - bottom, 0))
        draw.rectangle((x + left - 1, y + top - 1, x + right, y + bottom), fill=(0, 0, 0))
        draw.text((x, y), text, fill=(255, 255, 255), font=font)
    return np.asarray(panel)


def _masks_by_id(scene: View) -> dict[int, Tensor]:
    return dict(zip(scene.ids.tolist(), scene.masks, strict=True))


def _shared(first: Tensor, second: Tensor) -> float:
    smaller = min(int(first.sum()), int(second.sum()))
    return int((first & second).sum()) / smaller if smaller else 0.0


def _gone(mask: Tensor, warped: Tensor, covered: Tensor, *, pasted: bool) -> Change:
    """The reason why an object of the before view is not in the after view."""
    area = int(torch.sum(warped))
    if area < SAME_PLACE * int(mask.sum()):
        return Change.OUT_OF_VIEW
    if int((warped & covered).sum()) > SAME_PLACE * area:
        return Change.HIDDEN
    return Change.REMOVED if pasted else Change.OUT_OF_VIEW


def _colour(identity: int) -> NDArray[np.float32]:
    """A distinct colour for each identity: hues a golden section apart stay distinct for any number of identities."""
    hue = (0.05 + identity * 0.618034) % 1.0
    return np.asarray(colorsys.hsv_to_rgb(hue, 0.85, 1.0), dtype=np.float32) * 255
