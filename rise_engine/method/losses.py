"""The segmentation loss over every decoder layer: L_s on labels, L_u on pseudo-labels (paper, Eq. 1 and 5)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate

import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.ops import box_convert, generalized_box_iou_loss

from rise_engine.config import LossConfig
from rise_engine.method.batch import at_least_one
from rise_engine.method.matching import Assignment, assign_layers
from rise_engine.method.targets import Targets
from rise_engine.model.device import moved
from rise_engine.model.segmenter import LayerOutput, SegmenterOutput

MASK_STRIDE = 4


@dataclass(frozen=True, slots=True)
class LossTerms:
    """Weighted loss terms, each a scalar with gradient."""

    classification: Tensor
    l1: Tensor
    giou: Tensor
    mask_focal: Tensor
    dice: Tensor

    @property
    def total(self) -> Tensor:
        """L_cls + lambda_1 L_box + lambda_2 L_mask, a scalar: L_s or L_u (Eq. 1 and 5)."""
        return self.classification + self.l1 + self.giou + self.mask_focal + self.dice

    def __mul__(self, factor: float) -> LossTerms:
        return LossTerms(
            classification=self.classification * factor,
            l1=self.l1 * factor,
            giou=self.giou * factor,
            mask_focal=self.mask_focal * factor,
            dice=self.dice * factor,
        )


@dataclass(frozen=True, slots=True)
class _Matches:
    """Matched pairs of all layers and images: int64 (M,) each, and the targets' concatenated index."""

    layers: Tensor
    images: Tensor
    queries: Tensor
    targets: Tensor


class Criterion:
    """Losses of a batch, every decoder layer matched and summed on its own (Deformable DETR; IDOL).

    Each term is divided by the layer's number of matched queries in the batch. It is computed in float32, also under
    autocast. There is no background class: the class target of an unmatched query is all zeros.
    """

    def __init__(self, config: LossConfig) -> None:
        self.config = config

    def __call__(
        self,
        output: SegmenterOutput,
        targets: Sequence[Targets | None],
        *,
        ignore: Sequence[Tensor | None] | None = None,
        divisors: Callable[[Sequence[int]], Sequence[float]] = at_least_one,
    ) -> tuple[LossTerms, list[Assignment]]:
        """The weighted terms, and the last layer's assignment of each image.

        ``targets``: one per image, on the device of the output. None keeps an image out of every loss, whereas targets
        without an instance make all its queries negatives. ``ignore``: bool (Q,) per image, or None; such queries are
        no negatives unless a target claims them. ``divisors`` is that of ``BatchTotals``. Without any matched query the
        box and mask terms are a zero that still reaches every prediction, so that each parameter has a gradient.
        Raises ``ValueError`` unless there is one target per image.
        """
        device = output.class_logits.device
        with torch.autocast(device.type, enabled=False):
            layers = list(output.layers)
            class_logits = torch.stack([layer.class_logits for layer in layers]).float()
            boxes = torch.stack([layer.boxes for layer in layers]).float()
            if len(targets) != class_logits.shape[1]:
                raise ValueError(f"{len(targets)} targets for {class_logits.shape[1]} images: give one per image")
            assignments = assign_layers(class_logits.detach(), boxes.detach(), targets, self.config)
            matches = _gather(assignments, targets, device)
            matched = [sum(len(match.queries) for match in images) for images in assignments]
            weight = moved(1.0 / torch.tensor(divisors(matched)), device)
            classification = self._classification(class_logits, targets, assignments, matches, weight, ignore)
            if len(matches.queries):
                l1, giou = self._boxes(boxes, targets, matches, weight)
                mask_focal, dice = self._masks(layers, targets, assignments, matches, weight)
            else:
                l1 = giou = boxes.sum() * 0.0
                first = torch.zeros(1, dtype=torch.int64, device=device)
                mask_focal = dice = torch.stack([layer.masks(0, first).float().sum() * 0.0 for layer in layers]).sum()
        config = self.config
        terms = LossTerms(
            classification=classification * config.classification,
            l1=l1 * config.l1,
            giou=giou * config.giou,
            mask_focal=mask_focal * config.mask_focal,
            dice=dice * config.dice,
        )
        return terms, [match.to(device) for match in assignments[-1]]

    def _classification(
        self,
        class_logits: Tensor,
        targets: Sequence[Targets | None],
        assignments: Sequence[Sequence[Assignment]],
        matches: _Matches,
        weight: Tensor,
        ignore: Sequence[Tensor | None] | None,
    ) -> Tensor:
        wanted = torch.zeros_like(class_logits)
        counted = torch.stack([torch.stack([~match.ignored for match in layer]) for layer in assignments])
        counted = moved(counted, class_logits.device)
        for image, known in enumerate(targets):
            if known is None:
                counted[:, image] = False
            elif ignore is not None and (mask := ignore[image]) is not None:
                counted[:, image] &= ~mask.to(counted.device)
        if len(matches.queries):
            labels = torch.cat([known.labels for known in targets if known is not None])
            place = (matches.layers, matches.images, matches.queries)
            wanted[(*place, labels[matches.targets])] = 1.0
            counted[place] = True
        loss = focal_loss(class_logits, wanted, alpha=self.config.focal_alpha, gamma=self.config.focal_gamma)
        return ((loss * counted[..., None]).sum((1, 2, 3)) * weight).sum()

    def _boxes(
        self, boxes: Tensor, targets: Sequence[Targets | None], matches: _Matches, weight: Tensor
    ) -> tuple[Tensor, Tensor]:
        predicted = boxes[matches.layers, matches.images, matches.queries]
        wanted = torch.cat([known.boxes for known in targets if known is not None])[matches.targets].float()
        per_pair = weight[matches.layers]
        l1 = ((predicted - wanted).abs().sum(1) * per_pair).sum()
        giou = generalized_box_iou_loss(
            box_convert(predicted, "cxcywh", "xyxy"), box_convert(wanted, "cxcywh", "xyxy"), reduction="none"
        )
        return l1, (giou * per_pair).sum()

    def _masks(
        self,
        layers: Sequence[LayerOutput],
        targets: Sequence[Targets | None],
        assignments: Sequence[Sequence[Assignment]],
        matches: _Matches,
        weight: Tensor,
    ) -> tuple[Tensor, Tensor]:
        focal_sums, dice_sums = [], []
        places = _places(assignments)
        offset = 0
        for image, known in enumerate(targets):
            if known is None or len(known) == 0:
                continue
            sampled: Tensor | None = None
            for index, layer in enumerate(layers):
                place = places[index][image]
                if place.start == place.stop:
                    continue
                logits = layer.masks(image, matches.queries[place]).float()
                if sampled is None:
                    sampled = sample_masks(known.masks, size=(logits.shape[1], logits.shape[2]))
                wanted = sampled[matches.targets[place] - offset]
                focal, dice = mask_losses(logits, wanted, alpha=self.config.focal_alpha, gamma=self.config.focal_gamma)
                focal_sums.append(focal.sum() * weight[index])
                dice_sums.append(dice.sum() * weight[index])
            offset += len(known)
        return torch.stack(focal_sums).sum(), torch.stack(dice_sums).sum()


def _gather(
    assignments: Sequence[Sequence[Assignment]], targets: Sequence[Targets | None], device: torch.device
) -> _Matches:
    columns: list[Tensor] = []
    for layer, images in enumerate(assignments):
        offset = 0
        for image, match in enumerate(images):
            place = torch.tensor([[layer], [image]]).expand(2, len(match.queries))
            columns.append(torch.cat((place, match.queries[None], match.targets[None] + offset)))
            known = targets[image]
            offset += 0 if known is None else len(known)
    layers, images_, queries, wanted = moved(torch.cat(columns, dim=1), device)
    return _Matches(layers=layers, images=images_, queries=queries, targets=wanted)


def _places(assignments: Sequence[Sequence[Assignment]]) -> list[list[slice]]:
    """The rows of each layer's and image's pairs in the result of ``_gather``."""
    ends = list(accumulate(len(match.queries) for images in assignments for match in images))
    flat = [slice(start, end) for start, end in zip([0, *ends], ends, strict=False)]
    count = len(assignments[0])
    return [flat[layer * count : (layer + 1) * count] for layer in range(len(assignments))]


def focal_loss(logits: Tensor, wanted: Tensor, *, alpha: float, gamma: float) -> Tensor:
    """Sigmoid focal loss of each element, in the shape of ``logits``; ``wanted`` is float, 0 or 1."""
    # Products in place of torch.where, which costs more than everything else here on a CPU.
    wrong = logits * (1 - 2 * wanted)
    weight = (1 - alpha) + (2 * alpha - 1) * wanted
    return wrong.sigmoid() ** gamma * F.softplus(wrong) * weight


def mask_losses(logits: Tensor, wanted: Tensor, *, alpha: float, gamma: float) -> tuple[Tensor, Tensor]:
    """Focal loss averaged over pixels, and dice loss, each (M,), of logits (M, h, w) against masks (M, h, w) of 0 or 1.

    Dice is 1 - (2 sum(m t) + 1) / (sum(m) + sum(t) + 1) with m = sigmoid(logits).
    """
    focal = focal_loss(logits, wanted, alpha=alpha, gamma=gamma).mean((1, 2))
    probability = logits.sigmoid()
    overlap = (probability * wanted).sum((1, 2))
    dice = 1 - (2 * overlap + 1) / (probability.sum((1, 2)) + wanted.sum((1, 2)) + 1)
    return focal, dice


def sample_masks(masks: Tensor, *, size: tuple[int, int]) -> Tensor:
    """Masks bool (N, H, W) as float (N, *size): each fourth pixel from the third on, cut or zero-padded to ``size``."""
    half = MASK_STRIDE // 2
    sampled = masks[:, half::MASK_STRIDE, half::MASK_STRIDE][:, : size[0], : size[1]]
    missing = (0, size[1] - sampled.shape[2], 0, size[0] - sampled.shape[1])
    return F.pad(sampled.float(), missing)
