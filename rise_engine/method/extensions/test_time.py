"""A teacher that looks more than once: test-time augmentation by scale and mirror image, merged by agreement.

Each look predicts by itself. A prediction's score is then the mean over all looks of what the best prediction in the
same place scores there, 0 where a look sees nothing, and its mask is the mean of theirs. So the teacher knows more than
the learner, even where both are the same network, and the learner has something to learn from it. Not in the paper.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.ops import box_convert, box_iou, nms

from rise_engine.method.batch import collate
from rise_engine.model.segmenter import LayerOutput, Segmenter, SegmenterOutput
from rise_engine.training.distributed import WHOLE, Share

SAME_PLACE = 0.5
"""Box IoU above which predictions of two looks show the same object."""
DUPLICATE_IOU = 0.7
"""Within a look, the worse of two boxes that overlap more than this has no say, as in inference."""
MASK_STRIDE = 4


@dataclass(frozen=True, slots=True)
class Look:
    """One look at a batch: what was predicted, and how to bring its masks back.

    ``boxes`` (B, Q, 4) lie in the original image; ``sizes`` are the images' heights and widths in this look.
    """

    output: SegmenterOutput
    boxes: Tensor
    sizes: tuple[tuple[int, int], ...]
    mirrored: bool

    def masks(self, image: int, queries: Tensor, *, size: tuple[int, int], canvas: tuple[int, int]) -> Tensor:
        """Mask probabilities (n, H / 4, W / 4) on the original's ``canvas`` (H, W), for an image of ``size`` (h, w)."""
        probabilities = self.output.masks(image, queries).float().sigmoid()
        own = self.sizes[image]
        rows, columns = (
            torch.linspace(0.5, length - 0.5, length, device=probabilities.device) * MASK_STRIDE / full
            for length, full in zip((canvas[0] // MASK_STRIDE, canvas[1] // MASK_STRIDE), size, strict=True)
        )
        if self.mirrored:
            columns = 1 - columns
        height, width = (side * MASK_STRIDE for side in probabilities.shape[-2:])
        y, x = torch.meshgrid(2 * rows * own[0] / height - 1, 2 * columns * own[1] / width - 1, indexing="ij")
        grid = torch.stack([x, y], dim=-1)[None]
        return F.grid_sample(probabilities[None], grid, padding_mode="border", align_corners=False)[0]


@dataclass(eq=False)
class MergedOutput:
    """All looks' predictions side by side, (B, L * Q, ...), after they were asked about each other; a
    ``SegmenterOutput`` whose ``layers`` are empty, since nothing is trained through it."""

    class_logits: Tensor
    boxes: Tensor
    embeddings: Tensor
    layers: Sequence[LayerOutput]
    looks: Sequence[Look]
    partners: Tensor
    """int64 (B, L * Q, L): which query of each look shows the same object, -1 where none does."""
    sizes: tuple[tuple[int, int], ...]
    canvas: tuple[int, int]

    def masks(self, image: int, queries: Tensor) -> Tensor:
        """As ``SegmenterOutput.masks``: logits of the mean of the looks' masks, weighted by their scores."""
        size = self.sizes[image]
        total: Tensor | float = 0.0
        weight: Tensor | float = 0.0
        for place, look in enumerate(self.looks):
            partner = self.partners[image, queries, place]
            distinct, rows = torch.unique(partner.clamp(min=0), return_inverse=True)
            score = look.output.class_logits[image, distinct].float().sigmoid().amax(1)[rows]
            score = torch.where(partner < 0, 0.0, score)
            masks = look.masks(image, distinct, size=size, canvas=self.canvas)[rows]
            total = total + masks * score[:, None, None]
            weight = weight + score
        return (total / torch.as_tensor(weight).clamp(min=1e-6)[:, None, None]).logit(eps=1e-6)

    def picked_masks(self, queries: Tensor) -> Tensor:
        """As ``SegmenterOutput.picked_masks``."""
        return torch.stack([self.masks(image, own) for image, own in enumerate(queries)])

    @property
    def mask_logits(self) -> Tensor:
        """(B, L * Q, H / 4, W / 4)."""
        everything = torch.arange(self.class_logits.shape[1], device=self.class_logits.device)
        return self.picked_masks(everything.expand(len(self.class_logits), -1))


@torch.no_grad()
def predict_augmented(
    teacher: Segmenter,
    images: Sequence[Tensor],
    *,
    scales: Sequence[float],
    mirror: bool,
    device: torch.device,
    share: Share = WHOLE,
) -> SegmenterOutput:
    """What the teacher sees in images (3, h_i, w_i), 0..1, looking at them once at each scale.

    With ``mirror`` every second look is at the mirror image. Masks are on the canvas of the images at their own size. A
    single look at scale 1 is the teacher's plain output.
    """
    plain = collate(images, device=device, share=share)
    looks = []
    for number, scale in enumerate(scales):
        mirrored = mirror and number % 2 == 1
        batch = plain
        if mirrored or scale != 1:
            resized = [_resized(image, scale) for image in images]
            seen = [image.flip(-1) for image in resized] if mirrored else resized
            batch = collate(seen, device=device, share=share)
        output = teacher(batch.images, batch.padding_mask)
        boxes = output.boxes.float()
        if mirrored:
            boxes = torch.cat([1 - boxes[..., :1], boxes[..., 1:]], dim=-1)
        looks.append(Look(output, boxes, batch.sizes, mirrored))
    if len(looks) == 1 and scales[0] == 1:
        return looks[0].output
    return merge(looks, canvas=plain.canvas, sizes=plain.sizes)


def _resized(image: Tensor, scale: float) -> Tensor:
    if scale == 1:
        return image
    size = [max(1, round(side * scale)) for side in image.shape[-2:]]
    return F.interpolate(image[None], size, mode="bilinear", antialias=scale < 1, align_corners=False)[0]


def merge(looks: Sequence[Look], *, canvas: tuple[int, int], sizes: Sequence[tuple[int, int]]) -> MergedOutput:
    """The looks as one output on ``canvas`` (H, W), for images of ``sizes`` (h, w) at scale 1."""
    logits, partners = [], []
    for image in range(len(sizes)):
        scores = [look.output.class_logits[image].float().sigmoid() for look in looks]
        corners = [box_convert(look.boxes[image], "cxcywh", "xyxy") for look in looks]
        peaks = [nms(box, score.amax(1), DUPLICATE_IOU) for box, score in zip(corners, scores, strict=True)]
        merged, found = [], []
        for mine, (score, box, peak) in enumerate(zip(scores, corners, peaks, strict=True)):
            sum_of_scores = torch.zeros_like(score)
            chosen = box.new_full((len(box), len(looks)), -1, dtype=torch.int64)
            for other in range(len(looks)):
                if other == mine:
                    sum_of_scores[peak] += score[peak]
                    chosen[peak, other] = peak
                    continue
                near = box_iou(box[peak], corners[other][peaks[other]]) > SAME_PLACE
                best, at = torch.where(near, scores[other][peaks[other]].amax(1), -1.0).max(1)
                seen = best >= 0
                partner = peaks[other][at[seen]]
                sum_of_scores[peak[seen]] += scores[other][partner]
                chosen[peak[seen], other] = partner
            merged.append(sum_of_scores / len(looks))
            found.append(chosen)
        logits.append(torch.cat(merged).logit(eps=1e-6))
        partners.append(torch.cat(found))
    return MergedOutput(
        class_logits=torch.stack(logits),
        boxes=torch.cat([look.boxes for look in looks], dim=1),
        embeddings=torch.cat([look.output.embeddings for look in looks], dim=1),
        layers=[],
        looks=looks,
        sizes=tuple(sizes),
        partners=torch.stack(partners),
        canvas=canvas,
    )
