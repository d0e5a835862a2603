"""Test-time augmentation by scale and mirroring: several passes over an image, merged by agreement. Not in the paper.

Each pass predicts separately. The final score of a prediction is the mean over all passes of the best score at the same
place, 0 where a pass predicts nothing there; its mask is the mean of their masks. So the teacher is better than the
student even where both are the same network, and the student can learn from it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.ops import box_convert, box_iou, nms

from rise_engine.method.batch import Size, canvas_for, collate, size_of
from rise_engine.model.segmenter import LayerOutput, Segmenter, SegmenterOutput

SAME_PLACE = 0.5
"""Predictions of two passes with a larger box IoU show the same object."""
DUPLICATE_IOU = 0.7
"""Of two boxes in one pass with a larger IoU only the better one counts, as in inference."""
MASK_STRIDE = 4


@dataclass(frozen=True, slots=True)
class AugmentedPass:
    """One pass over a batch, with what is needed to map its masks back.

    ``boxes`` (B, Q, 4) are in the original image; ``sizes`` are the images' heights and widths in this pass.
    """

    output: SegmenterOutput
    boxes: Tensor
    sizes: tuple[Size, ...]
    mirrored: bool

    def masks(self, image_index: int, queries: Tensor, *, size: Size, canvas: Size) -> Tensor:
        """Mask probabilities (n, H / 4, W / 4) on the original's ``canvas`` (H, W), for an image of ``size`` (h, w)."""
        probabilities = self.output.masks(image_index, queries).float().sigmoid()
        resized = self.sizes[image_index]
        rows, columns = (
            torch.linspace(0.5, length - 0.5, length, device=probabilities.device) * MASK_STRIDE / full
            for length, full in zip((canvas[0] // MASK_STRIDE, canvas[1] // MASK_STRIDE), size, strict=True)
        )
        if self.mirrored:
            columns = 1 - columns
        height, width = (side * MASK_STRIDE for side in probabilities.shape[-2:])
        y, x = torch.meshgrid(2 * rows * resized[0] / height - 1, 2 * columns * resized[1] / width - 1, indexing="ij")
        grid = torch.stack([x, y], dim=-1)[None]
        return F.grid_sample(probabilities[None], grid, padding_mode="border", align_corners=False)[0]


@dataclass(eq=False)
class MergedOutput:
    """The predictions of P passes, concatenated to (B, P * Q, ...), with merged scores.

    A ``SegmenterOutput`` without ``layers``, because nothing is trained through it.
    """

    class_logits: Tensor
    boxes: Tensor
    embeddings: Tensor
    layers: Sequence[LayerOutput]
    passes: Sequence[AugmentedPass]
    partners: Tensor
    """int64 (B, P * Q, P): the query of each pass that shows the same object, -1 where none does."""
    sizes: tuple[Size, ...]
    canvas: Size

    def masks(self, image_index: int, queries: Tensor) -> Tensor:
        """As ``SegmenterOutput.masks``: logits of the mean of the passes' masks, weighted by their scores."""
        size = self.sizes[image_index]
        total: Tensor | float = 0.0
        weight: Tensor | float = 0.0
        for number, one in enumerate(self.passes):
            partner = self.partners[image_index, queries, number]
            distinct, rows = torch.unique(partner.clamp(min=0), return_inverse=True)
            score = one.output.class_logits[image_index, distinct].float().sigmoid().amax(1)[rows]
            score = torch.where(partner < 0, 0.0, score)
            masks = one.masks(image_index, distinct, size=size, canvas=self.canvas)[rows]
            total = total + masks * score[:, None, None]
            weight = weight + score
        return (total / torch.as_tensor(weight).clamp(min=1e-6)[:, None, None]).logit(eps=1e-6)

    def picked_masks(self, queries: Tensor) -> Tensor:
        """As ``SegmenterOutput.picked_masks``."""
        return torch.stack([self.masks(index, picked) for index, picked in enumerate(queries)])

    @property
    def mask_logits(self) -> Tensor:
        """(B, P * Q, H / 4, W / 4)."""
        every_query = torch.arange(self.class_logits.shape[1], device=self.class_logits.device)
        return self.picked_masks(every_query.expand(len(self.class_logits), -1))


@torch.no_grad()
def predict_augmented(
    teacher: Segmenter,
    images: Sequence[Tensor],
    *,
    scales: Sequence[float],
    mirror: bool,
    device: torch.device,
    room_for: Size = (0, 0),
) -> SegmenterOutput:
    """The teacher's predictions on images (3, h_i, w_i), 0..1, after one pass at each of the ``scales``.

    With ``mirror`` every second pass is over the mirrored images. Masks are on the canvas of the images at scale 1,
    which has room for an image of the size ``room_for``, (height, width). A single pass at scale 1 gives the teacher's
    plain output.
    """
    passes = []
    for number, scale in enumerate(scales):
        mirrored = mirror and number % 2 == 1
        resized = [_resized(image, scale) for image in images]
        batch = collate(
            [image.flip(-1) for image in resized] if mirrored else resized,
            device=device,
            room_for=_scaled_size(room_for, scale),
        )
        output = teacher(batch.images, batch.padding_mask)
        boxes = output.boxes.float()
        if mirrored:
            boxes = torch.cat([1 - boxes[..., :1], boxes[..., 1:]], dim=-1)
        passes.append(AugmentedPass(output, boxes, batch.sizes, mirrored))
    if len(passes) == 1 and scales[0] == 1:
        return passes[0].output
    return merge(passes, canvas=canvas_for(images, room_for=room_for), sizes=[size_of(image) for image in images])


def _scaled_size(size: Size, scale: float) -> Size:
    height, width = (max(1, round(side * scale)) for side in size)
    return height, width


def _resized(image: Tensor, scale: float) -> Tensor:
    if scale == 1:
        return image
    size = _scaled_size(size_of(image), scale)
    return F.interpolate(image[None], size, mode="bilinear", antialias=scale < 1, align_corners=False)[0]


def merge(passes: Sequence[AugmentedPass], *, canvas: Size, sizes: Sequence[Size]) -> MergedOutput:
    """The passes as one output on ``canvas`` (H, W), for images of ``sizes`` (h, w) at scale 1."""
    merged = [_merge_image(passes, index) for index in range(len(sizes))]
    return MergedOutput(
        class_logits=torch.stack([scores.logit(eps=1e-6) for scores, _ in merged]),
        boxes=torch.cat([one.boxes for one in passes], dim=1),
        embeddings=torch.cat([one.output.embeddings for one in passes], dim=1),
        layers=[],
        passes=passes,
        sizes=tuple(sizes),
        partners=torch.stack([partners for _, partners in merged]),
        canvas=canvas,
    )


def _merge_image(passes: Sequence[AugmentedPass], image_index: int) -> tuple[Tensor, Tensor]:
    """Merged scores (P * Q, C) and ``partners`` int64 (P * Q, P) of one image."""
    scores = [one.output.class_logits[image_index].float().sigmoid() for one in passes]
    corners = [box_convert(one.boxes[image_index], "cxcywh", "xyxy") for one in passes]
    peaks = [nms(box, score.amax(1), DUPLICATE_IOU) for box, score in zip(corners, scores, strict=True)]
    merged, partners = [], []
    for this, (score, box, peak) in enumerate(zip(scores, corners, peaks, strict=True)):
        sum_of_scores = torch.zeros_like(score)
        chosen = box.new_full((len(box), len(passes)), -1, dtype=torch.int64)
        for other in range(len(passes)):
            if other == this:
                sum_of_scores[peak] += score[peak]
                chosen[peak, other] = peak
                continue
            near = box_iou(box[peak], corners[other][peaks[other]]) > SAME_PLACE
            best, at = torch.where(near, scores[other][peaks[other]].amax(1), -1.0).max(1)
            found = best >= 0
            partner = peaks[other][at[found]]
            sum_of_scores[peak[found]] += scores[other][partner]
            chosen[peak[found], other] = partner
        merged.append(sum_of_scores / len(passes))
        partners.append(chosen)
    return torch.cat(merged), torch.cat(partners)
