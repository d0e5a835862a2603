"""Pseudo-sequences: an interaction with the scene, staged from one still frame (paper, Sec. 3.2 and Fig. 2)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from rise_engine.config import AugmentConfig, LoaderConfig, SequenceConfig
from rise_engine.interaction.augment import WeakAugmentation, draw_object, draw_weak, strong_augmentation
from rise_engine.interaction.bank import CutOut, InstanceBank
from rise_engine.interaction.geometry import Matrix, sampling_grid, scaling, translation, warp
from rise_engine.interaction.paste import Canvas, ObjectPatch
from rise_engine.interaction.placement import draw_corner
from rise_engine.interaction.scene import PseudoSequence, Scene
from rise_engine.project.frame import LabelledFrame, UnlabelledFrame

ALIASING_SCALE = 0.75
"""Below this scale plain bilinear sampling would skip pixels, so the frame is first reduced with a filter."""

MAX_SIDE_SHARE = 0.75
"""A pasted object spans at most this share of the scene's height and width; a larger one is shrunk."""


@dataclass(frozen=True, slots=True, eq=False)
class _Pasted:
    """An object in the before view, and where it is there."""

    patch: ObjectPatch
    label: int
    identity: int
    pose: Matrix


class _StillFrame:
    """The frame as tensors, seen through any map: ``size`` (h, w) of a view and the map from frame to view."""

    def __init__(self, frame: LabelledFrame | UnlabelledFrame, scale: float) -> None:
        image = torch.from_numpy(frame.image.transpose(2, 0, 1).astype(np.float32))
        height, width = frame.image.shape[:2]
        if isinstance(frame, LabelledFrame):
            self.labels = torch.from_numpy(frame.categories.astype(np.int64))
            values = torch.cat([image, torch.from_numpy(frame.masks.astype(np.float32))])
        else:
            self.labels = torch.zeros(0, dtype=torch.int64)
            values = image
        if scale < ALIASING_SCALE:
            reduced = [max(1, round(height * scale)), max(1, round(width * scale))]
            values = F.interpolate(values[None], reduced, mode="bilinear", antialias=True)[0]
        self._values = values
        self.size: tuple[int, int] = (values.shape[1], values.shape[2])

    def seen(self, matrix: Matrix, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
        """Image float (3, h, w) 0..1 and masks bool (N, h, w).

        Beyond the frame's edge its outermost pixels go on, so no black wedge gives the motion away; masks end there.
        """
        grid = sampling_grid(matrix, self.size, size)
        values = F.grid_sample(self._values[None], grid, padding_mode="border", align_corners=False)[0]
        inside = (grid[0].abs() <= 1).all(dim=-1)
        return values[:3] / 255, (values[3:] > 0.5) & inside


class SequenceMaker:
    """Stages before, after and strong views of a frame.

    The before view is psi1 of the frame with K objects from the bank. The after view is psi2 of the before view, where
    some of them were moved or removed and others added. The strong view is the before view in other colours.
    """

    def __init__(self, config: SequenceConfig, augment: AugmentConfig, loader: LoaderConfig) -> None:
        self._config = config
        self._augment = augment
        self._loader = loader

    def make(
        self, frame: LabelledFrame | UnlabelledFrame, bank: InstanceBank | None, rng: np.random.Generator
    ) -> PseudoSequence:
        """One pseudo-sequence; without a bank, or with an empty one, nothing is pasted.

        A labelled frame's objects have the identities 0..N-1 in its order, pasted ones the next. All draws are from
        ``rng``: equal frames, banks and states of ``rng`` give equal sequences.
        """
        short_side = int(rng.choice(self._loader.short_sides))
        still = _StillFrame(frame, short_side / min(frame.image.shape[:2]))
        to_scene, size = self._draw_crop(rng, still.size, short_side)
        first = draw_weak(rng, self._augment, size, flip=self._augment.flip)
        second = draw_weak(rng, self._augment, size, flip=False)
        pasted, added = self._draw_cut_outs(rng, bank)

        to_before = first.matrix @ to_scene
        before = Canvas(*still.seen(to_before, size), still.labels, room=len(pasted))
        first_identity = len(still.labels)
        objects = []
        for identity, cut_out in enumerate(pasted, start=first_identity):
            patch, pose = self._augmented(rng, cut_out, size, short_side)
            if (place := self._paste(rng, before, patch, pose, label=cut_out.label, identity=identity)) is not None:
                objects.append(_Pasted(patch, cut_out.label, identity, place))

        after = Canvas(*still.seen(second.matrix @ to_before, size), still.labels, room=len(objects) + len(added))
        self._interact(rng, after, objects, second.matrix)
        for identity, cut_out in enumerate(added, start=first_identity + len(pasted)):
            patch, pose = self._augmented(rng, cut_out, size, short_side)
            self._paste(rng, after, patch, pose, label=cut_out.label, identity=identity)

        before_scene = self._finished(before, first.brightness)
        again = draw_weak(rng, self._augment, size, flip=False) if self._augment.reweaken else None
        return PseudoSequence(
            name=frame.name,
            before=before_scene,
            after=self._finished(after, first.brightness * second.brightness),
            strong=strong_augmentation(_moved(before_scene.image, again), rng, self._augment),
            motion=torch.from_numpy(second.matrix[:2]).float(),
            covered=after.covered(),
            labelled=isinstance(frame, LabelledFrame),
            strong_motion=None if again is None else torch.from_numpy(again.matrix[:2]).float(),
        )

    def _finished(self, canvas: Canvas, brightness: float) -> Scene:
        return canvas.scene(brightness=brightness, min_visible=self._config.min_visible, min_area=self._config.min_area)

    def _draw_crop(
        self, rng: np.random.Generator, frame_size: tuple[int, int], short_side: int
    ) -> tuple[Matrix, tuple[int, int]]:
        """The map from the frame to the scene, and the scene's size (h, w): shortest side as drawn, then a crop."""
        height, width = (max(1, round(side * short_side / min(frame_size))) for side in frame_size)
        size = min(height, self._loader.crop), min(width, self._loader.crop)
        top, left = (int(rng.integers(spare + 1)) for spare in (height - size[0], width - size[1]))
        return translation(-left, -top) @ scaling(width / frame_size[1], height / frame_size[0]), size

    def _draw_cut_outs(self, rng: np.random.Generator, bank: InstanceBank | None) -> tuple[list[CutOut], list[CutOut]]:
        """What is pasted into the before view, and what is added to the after view."""
        config = self._config
        if not (config.enabled and config.paste) or not bank:
            return [], []
        pasted = int(rng.integers(config.min_pasted, max(config.min_pasted, config.max_pasted) + 1))
        added = int(rng.integers(config.max_added + 1))
        cut_outs = bank.sample_distinct(rng, pasted + added)
        return cut_outs[:pasted], cut_outs[pasted:]

    def _augmented(
        self, rng: np.random.Generator, cut_out: CutOut, size: tuple[int, int], short_side: int
    ) -> tuple[ObjectPatch, Matrix]:
        """The object with its own augmentation, and its pose at the origin, as large as it is in its own frame."""
        augmentation = draw_object(rng, self._augment)
        patch = ObjectPatch(cut_out, augmentation)
        relative = short_side / cut_out.frame_side if cut_out.frame_side else 1.0
        pose = scaling(relative, relative) @ augmentation.matrix
        x0, y0, x1, y1 = patch.extent(pose)
        shrink = min(1.0, MAX_SIDE_SHARE * size[1] / (x1 - x0), MAX_SIDE_SHARE * size[0] / (y1 - y0))
        return patch, patch.at_origin(scaling(shrink, shrink) @ pose)

    def _interact(self, rng: np.random.Generator, after: Canvas, objects: list[_Pasted], motion: Matrix) -> None:
        """Put the before view's objects into the after view, except those removed; those moved come to lie on top."""
        moved = []
        for item in objects:
            draw = rng.random()
            if draw < self._config.remove_probability:
                continue
            if draw < self._config.remove_probability + self._config.move_probability:
                moved.append(item)
            elif (stamp := item.patch.render(motion @ item.pose, after.size)) is not None:
                after.paste(stamp, label=item.label, identity=item.identity)
        for item in moved:
            pose = item.patch.at_origin(motion @ item.pose)
            self._paste(rng, after, item.patch, pose, label=item.label, identity=item.identity)

    def _paste(
        self, rng: np.random.Generator, canvas: Canvas, patch: ObjectPatch, pose: Matrix, *, label: int, identity: int
    ) -> Matrix | None:
        """Find a place for the object and paste it; returns its pose there, or None when every try hid too much."""
        stamp = patch.render(pose, canvas.size)
        if stamp is None:
            return None
        config = self._config
        for _ in range(config.placement_tries):
            left, top = draw_corner(rng, canvas.size, stamp.size, config.beta_alpha, config.beta_beta)
            stamp = stamp.moved_to(left, top)
            if canvas.allows(stamp, config.max_overlap, pasted_only=not config.protect_labelled):
                canvas.paste(stamp, label=label, identity=identity)
                return translation(left, top) @ pose
        return None


def _moved(image: Tensor, augmentation: WeakAugmentation | None) -> Tensor:
    """``image`` (3, H, W) after a weak augmentation of its own, if there is one."""
    if augmentation is None:
        return image
    size = (image.shape[-2], image.shape[-1])
    return (warp(image, augmentation.matrix, size, padding="border") * augmentation.brightness).clamp(0, 1)
