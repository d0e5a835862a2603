"""Matches objects with the next frame of a recording by Eq. 3, as their motion is unknown (the paper's future work)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from rise_engine.config import RiseConfig
from rise_engine.method.association import association_scores, identities_by_score
from rise_engine.method.batch import Size
from rise_engine.method.pseudo_labels import KNOWN_IOU, PseudoLabels, mask_iou, multi_label_matching
from rise_engine.method.targets import Targets
from rise_engine.method.teacher import teacher_pass
from rise_engine.model.segmenter import SegmenterOutput
from rise_engine.pseudo_sequences.views import PseudoSequence


@dataclass(frozen=True, slots=True)
class NextFrameObjects:
    """The K objects that the teacher finds in a next frame, one prediction each, and their embeddings (K, E)."""

    targets: Targets
    embeddings: Tensor


def predict_next_frames(
    teacher: nn.Module,
    sequences: Sequence[PseudoSequence],
    config: RiseConfig,
    *,
    canvas: Size,
    step: int,
    device: torch.device,
) -> dict[int, NextFrameObjects]:
    """The teacher's objects in those after views that are next frames, by the position of the sequence."""
    positions = [position for position, sequence in enumerate(sequences) if sequence.recorded]
    if not positions:
        return {}
    images = [sequences[position].after.image for position in positions]
    reference = teacher_pass(teacher, images, config, step=step, device=device, canvas=canvas)
    found = {}
    for row, (position, pseudo) in enumerate(zip(positions, reference.pseudo_labels, strict=True)):
        one_each = multi_label_matching(pseudo.masks, pseudo.labels, most=1)
        targets = Targets(pseudo.labels[one_each], pseudo.boxes[one_each], pseudo.masks[one_each])
        found[position] = NextFrameObjects(targets, reference.output.embeddings[row, pseudo.queries[one_each]])
    return found


@torch.no_grad()
def match_next_frame(
    reference: SegmenterOutput, image_index: int, pseudo: PseudoLabels, pasted: Targets, after: NextFrameObjects
) -> tuple[Tensor, Targets]:
    """Queries of the before view and, row by row, the objects of the next frame that Eq. 3 takes for the same.

    Objects pasted into the before view are not in the next frame, so that pseudo-labels of them are left out. Of
    several that Eq. 3 assigns to one object only the best match is kept.
    """
    others = torch.nonzero(~(mask_iou(pseudo.masks, pasted.masks) > KNOWN_IOU).any(1))[:, 0]
    others = others[multi_label_matching(pseudo.masks[others], pseudo.labels[others], most=1)]
    queries = pseudo.queries[others]
    anchors = reference.embeddings[image_index, queries]
    rows, columns = identities_by_score(anchors, after.embeddings)
    if len(rows):
        mutual = association_scores(anchors, after.embeddings).argmax(0)[columns] == rows
        rows, columns = rows[mutual], columns[mutual]
    return queries[rows], after.targets.select(columns)
