"""Pseudo-sequences: a simulated interaction with the scene, from one frame (paper, Sec. 3.2 and Fig. 2)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from rise_engine.config import AugmentConfig, LoaderConfig, SequenceConfig
from rise_engine.project.frame import LabelledFrame, UnlabelledFrame
from rise_engine.pseudo_sequences.augment import sample_object, sample_strong, sample_strong_motion, sample_weak
from rise_engine.pseudo_sequences.bank import CutOut, InstanceBank
from rise_engine.pseudo_sequences.geometry import Matrix, scaling, translation
from rise_engine.pseudo_sequences.instance_map import InstanceMap, moved_layers
from rise_engine.pseudo_sequences.layout import Layout, ObjectPatch, Stamp
from rise_engine.pseudo_sequences.placement import sample_corner
from rise_engine.pseudo_sequences.plan import Paste, SequencePlan, ViewPlan
from rise_engine.pseudo_sequences.render import SequenceRenderer
from rise_engine.pseudo_sequences.source_frame import SourceFrame
from rise_engine.pseudo_sequences.views import PseudoSequence

ALIASING_SCALE = 0.75
"""Below this scale bilinear sampling would skip pixels, so that the frame is first resized with a filter."""

MAX_SIDE_SHARE = 0.75
"""A pasted object spans at most this share of the view's height and width; a larger one is scaled down."""


@dataclass(frozen=True, slots=True, eq=False)
class _Pasted:
    """An object pasted into the before view, and its pose there."""

    patch: ObjectPatch
    label: int
    identity: int
    pose: Matrix


class _ViewLayout:
    """A view under construction: the frame's objects moved by ``matrix``, and what was pasted."""

    def __init__(
        self, source: SourceFrame, reduced: tuple[int, int], matrix: Matrix, size: tuple[int, int], *, room: int
    ) -> None:
        (height, width), objects = source.size, source.objects
        layers = moved_layers(objects.layers, matrix @ scaling(reduced[1] / width, reduced[0] / height), size)
        self.layout = Layout(InstanceMap(layers, objects.layer_of), source.labels, room=room)
        self.size = size
        self._matrix = matrix
        self._pastes: list[Paste] = []

    def paste(self, patch: ObjectPatch, stamp: Stamp, *, label: int, identity: int) -> None:
        self.layout.paste(stamp, label=label, identity=identity)
        self._pastes.append(Paste(patch.cut_out, patch.augmentation, stamp))

    def plan(self, config: SequenceConfig, *, brightness: float) -> ViewPlan:
        visible = self.layout.visible(min_visible=config.min_visible, min_area=config.min_area)
        layers = torch.from_numpy(visible.layers)
        return ViewPlan(self._matrix, tuple(self._pastes), brightness, visible, layers)


class SequenceMaker:
    """Makes before, after and strong views of a frame.

    The before view is psi1 of the frame with K objects from the bank. The after view is psi2 of the before view, where
    some of them were moved or removed and others added. The strong view is the before view in other colours.
    """

    def __init__(
        self,
        config: SequenceConfig,
        augment: AugmentConfig,
        loader: LoaderConfig,
        *,
        device: torch.device | None = None,
    ) -> None:
        """Images and masks are computed on ``device``, by default the CPU; random numbers do not depend on it."""
        self._config = config
        self._augment = augment
        self._loader = loader
        self._renderer = SequenceRenderer(device or torch.device("cpu"))

    def make(
        self, frame: LabelledFrame | UnlabelledFrame, bank: InstanceBank | None, rng: np.random.Generator
    ) -> PseudoSequence:
        """One pseudo-sequence; without a bank, or with an empty one, nothing is pasted.

        A labelled frame's objects have the identities 0..N-1 in its order, pasted ones the next. All random
        numbers come from ``rng``: equal frames, banks and states of ``rng`` give equal sequences.
        """
        return self.render(self.plan(SourceFrame.of(frame), bank, rng))

    def render(self, plan: SequencePlan) -> PseudoSequence:
        """The images and masks of a plan."""
        return self._renderer.render(plan)

    def plan(self, source: SourceFrame, bank: InstanceBank | None, rng: np.random.Generator) -> SequencePlan:
        """All decisions of ``make``; thread-safe as long as the bank does not change."""
        short_side = int(rng.choice(self._loader.short_sides))
        reduced = _reduced(source.size, short_side / min(source.size))
        to_view, size = self._sample_crop(rng, reduced, short_side)
        first = sample_weak(rng, self._augment, size, flip=self._augment.flip)
        second = sample_weak(rng, self._augment, size, flip=False)
        pasted, added = self._sample_cut_outs(rng, bank)

        to_before = first.matrix @ to_view
        before = _ViewLayout(source, reduced, to_before, size, room=len(pasted))
        first_identity = len(source.labels)
        objects = []
        for identity, cut_out in enumerate(pasted, start=first_identity):
            patch, pose = self._augmented(rng, cut_out, size, short_side)
            if (place := self._paste(rng, before, patch, pose, label=cut_out.label, identity=identity)) is not None:
                objects.append(_Pasted(patch, cut_out.label, identity, place))

        after = _ViewLayout(source, reduced, second.matrix @ to_before, size, room=len(objects) + len(added))
        self._interact(rng, after, objects, second.matrix)
        for identity, cut_out in enumerate(added, start=first_identity + len(pasted)):
            patch, pose = self._augmented(rng, cut_out, size, short_side)
            self._paste(rng, after, patch, pose, label=cut_out.label, identity=identity)

        reweaken = sample_strong_motion(rng, self._augment, size) if self._augment.reweaken else None
        return SequencePlan(
            name=source.name,
            image=torch.from_numpy(source.image),
            reduced=reduced,
            size=size,
            before=before.plan(self._config, brightness=first.brightness),
            after=after.plan(self._config, brightness=first.brightness * second.brightness),
            reweaken=reweaken,
            strong=sample_strong(rng, self._augment),
            motion=second.matrix,
            labelled=source.labelled,
        )

    def _sample_crop(
        self, rng: np.random.Generator, frame_size: tuple[int, int], short_side: int
    ) -> tuple[Matrix, tuple[int, int]]:
        """The map from the frame to the view, and the view's size (h, w): shortest side ``short_side``, then a crop."""
        height, width = (max(1, round(side * short_side / min(frame_size))) for side in frame_size)
        size = min(height, self._loader.crop), min(width, self._loader.crop)
        top, left = (int(rng.integers(spare + 1)) for spare in (height - size[0], width - size[1]))
        return translation(-left, -top) @ scaling(width / frame_size[1], height / frame_size[0]), size

    def _sample_cut_outs(
        self, rng: np.random.Generator, bank: InstanceBank | None
    ) -> tuple[list[CutOut], list[CutOut]]:
        """The cut-outs pasted into the before view, and those added to the after view."""
        config = self._config
        if not (config.enabled and config.paste) or not bank:
            return [], []
        pasted = int(rng.integers(config.min_pasted, config.max_pasted + 1))
        added = int(rng.integers(config.max_added + 1))
        cut_outs = bank.sample_distinct(rng, pasted + added)
        return cut_outs[:pasted], cut_outs[pasted:]

    def _augmented(
        self, rng: np.random.Generator, cut_out: CutOut, size: tuple[int, int], short_side: int
    ) -> tuple[ObjectPatch, Matrix]:
        """The object with its augmentation, and its pose at the origin, at the size that it has in its own frame."""
        augmentation = sample_object(rng, self._augment)
        patch = ObjectPatch(cut_out, augmentation)
        relative = short_side / cut_out.frame_side if cut_out.frame_side else 1.0
        pose = scaling(relative, relative) @ augmentation.matrix
        x0, y0, x1, y1 = patch.extent(pose)
        shrink = min(1.0, MAX_SIDE_SHARE * size[1] / (x1 - x0), MAX_SIDE_SHARE * size[0] / (y1 - y0))
        return patch, patch.at_origin(scaling(shrink, shrink) @ pose)

    def _interact(self, rng: np.random.Generator, after: _ViewLayout, objects: list[_Pasted], motion: Matrix) -> None:
        """Put the before view's objects into the after view, except removed ones; moved ones are on top."""
        moved = []
        for item in objects:
            chance = rng.random()
            if chance < self._config.remove_probability:
                continue
            if chance < self._config.remove_probability + self._config.move_probability:
                moved.append(item)
            elif (stamp := item.patch.stamp(motion @ item.pose, after.size)) is not None:
                after.paste(item.patch, stamp, label=item.label, identity=item.identity)
        for item in moved:
            pose = item.patch.at_origin(motion @ item.pose)
            self._paste(rng, after, item.patch, pose, label=item.label, identity=item.identity)

    def _paste(
        self,
        rng: np.random.Generator,
        view: _ViewLayout,
        patch: ObjectPatch,
        pose: Matrix,
        *,
        label: int,
        identity: int,
    ) -> Matrix | None:
        """Find a place for the object and paste it; returns its pose there, None when every attempt hides too much."""
        stamp = patch.stamp(pose, view.size)
        if stamp is None:
            return None
        config = self._config
        for _ in range(config.placement_tries):
            left, top = sample_corner(rng, view.size, stamp.size, config.beta_alpha, config.beta_beta)
            stamp = stamp.moved_to(left, top)
            if view.layout.allows(stamp, config.max_overlap, pasted_only=not config.protect_labelled):
                view.paste(patch, stamp, label=label, identity=identity)
                return translation(left, top) @ pose
        return None


def _reduced(size: tuple[int, int], scale: float) -> tuple[int, int]:
    """The size (h, w) that a frame is resized to before it is sampled at ``scale``; its own size if that is similar."""
    if scale >= ALIASING_SCALE:
        return size
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))
