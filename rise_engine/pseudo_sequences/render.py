"""The pixels and masks of pseudo-sequences, computed from their plans on the training device."""

from __future__ import annotations

from weakref import WeakKeyDictionary

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from rise_engine.pseudo_sequences.augment import WeakAugmentation, adjust
from rise_engine.pseudo_sequences.bank import CutOut
from rise_engine.pseudo_sequences.geometry import warp
from rise_engine.pseudo_sequences.layout import MARGIN
from rise_engine.pseudo_sequences.plan import Paste, SequencePlan, ViewPlan, motion_of
from rise_engine.pseudo_sequences.views import PseudoSequence, View


class SequenceRenderer:
    """Computes images and masks on ``device``. Nothing is read back from the device, so that it never stalls."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._textures: WeakKeyDictionary[CutOut, Tensor] = WeakKeyDictionary()

    def render(self, plan: SequencePlan) -> PseudoSequence:
        """The sequence: images and masks on the device; labels, identities and motions on the CPU."""
        image = plan.image.to(self._device, non_blocking=True).permute(2, 0, 1).contiguous().float()
        if plan.reduced != tuple(image.shape[-2:]):
            image = F.interpolate(image[None], plan.reduced, mode="bilinear", antialias=True)[0]
        before, _ = self._view(plan.before, image, plan.size)
        after, covered = self._view(plan.after, image, plan.size)
        strong = _moved(before.image, plan.reweaken)
        for recolour in plan.strong:
            strong = recolour(strong)
        return PseudoSequence(
            name=plan.name,
            before=before,
            after=after,
            strong=strong,
            motion=motion_of(plan.motion),
            covered=covered,
            labelled=plan.labelled,
            strong_motion=None if plan.reweaken is None else motion_of(plan.reweaken.matrix),
        )

    def _view(self, view: ViewPlan, image: Tensor, size: tuple[int, int]) -> tuple[View, Tensor]:
        """The view, and the pixels that pasted objects cover, bool (H, W).

        Outside the frame its border pixels are repeated, so that no black corner reveals the motion.
        """
        canvas = warp(image, view.matrix, size, padding="border") / 255
        for paste in view.pastes:
            self._put(canvas, paste)
        layers = view.layers.to(self._device, non_blocking=True)
        visible = view.visible
        scene = View(
            image=(canvas * view.brightness).clamp_(0, 1),
            masks=self._masks(layers, visible.numbers, visible.layer_of),
            labels=torch.from_numpy(visible.labels),
            ids=torch.from_numpy(visible.ids),
            pasted=torch.from_numpy(visible.pasted),
        )
        return scene, layers[0] > visible.own

    def _masks(self, layers: Tensor, numbers: NDArray[np.int64], layer_of: NDArray[np.int64]) -> Tensor:
        wanted = torch.from_numpy(numbers).to(layers.dtype).to(self._device, non_blocking=True)[:, None, None]
        if len(layers) == 1:
            return layers == wanted
        return layers[torch.from_numpy(layer_of).to(self._device, non_blocking=True)] == wanted

    def _put(self, canvas: Tensor, paste: Paste) -> None:
        stamp, augmentation = paste.stamp, paste.augmentation
        texture = self._texture(paste.cut_out)
        colours = adjust(texture[:3].float() / 255, brightness=augmentation.brightness, contrast=augmentation.contrast)
        # Without a margin the colours would be darkened at the edge of the cut-out.
        margin = (MARGIN,) * 4
        values = torch.cat([F.pad(colours[None], margin, "replicate")[0], F.pad(texture[3:].float(), margin)])
        values = warp(values, stamp.matrix, stamp.size)
        rows, columns = stamp.place
        canvas[:, rows, columns].lerp_(values[:3], values[3])

    def _texture(self, cut_out: CutOut) -> Tensor:
        """Colours and alpha (0 or 1) of a cut-out, uint8 (4, h, w), cached on the device with the cut-out."""
        texture = self._textures.get(cut_out)
        if texture is None:
            texture = torch.from_numpy(np.dstack([cut_out.image, cut_out.mask]).transpose(2, 0, 1).copy())
            texture = self._textures[cut_out] = texture.to(self._device)
        return texture


def _moved(image: Tensor, augmentation: WeakAugmentation | None) -> Tensor:
    """``image`` (3, H, W) after a second weak augmentation, if there is one."""
    if augmentation is None:
        return image
    size = (image.shape[-2], image.shape[-1])
    return (warp(image, augmentation.matrix, size, padding="border") * augmentation.brightness).clamp(0, 1)
