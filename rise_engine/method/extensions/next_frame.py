"""Objects recognised in the next frame of a recording, where nobody knows what became of them (paper, Eq. 3)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from rise_engine.config import RiseConfig
from rise_engine.method.association import association_scores, identities_by_score
from rise_engine.method.extensions.test_time import predict_augmented
from rise_engine.method.pseudo_labels import (
    KNOWN_IOU,
    PseudoLabels,
    make_pseudo_labels,
    mask_iou,
    multi_label_matching,
)
from rise_engine.method.targets import Targets
from rise_engine.model.segmenter import SegmenterOutput
from rise_engine.pseudo_sequences.views import PseudoSequence


@dataclass(frozen=True, slots=True)
class NextFrameObjects:
    """The K objects that the teacher sees in an after view, one prediction each, and their embeddings (K, E)."""

    targets: Targets
    embeddings: Tensor


@torch.no_grad()
def predict_next_frames(
    teacher: nn.Module,
    sequences: Sequence[PseudoSequence],
    config: RiseConfig,
    *,
    canvas: tuple[int, int],
    step: int,
    device: torch.device,
) -> dict[int, NextFrameObjects]:
    """What the teacher, in evaluation mode, sees in those after views that are next frames, by the sequence's place."""
    places = [place for place, sequence in enumerate(sequences) if sequence.recorded]
    if not places:
        return {}
    images = [sequences[place].after.image for place in places]
    output = predict_augmented(
        teacher,
        images,
        scales=config.pseudo_labels.teacher_scales,
        mirror=config.pseudo_labels.teacher_mirror,
        device=device,
    )
    seen = {}
    for row, (place, image) in enumerate(zip(places, images, strict=True)):
        pseudo = make_pseudo_labels(
            output,
            row,
            image_size=(image.shape[-2], image.shape[-1]),
            canvas=canvas,
            config=config.pseudo_labels,
            step=step,
            steps=config.schedule.steps,
            picture=image.to(device),
        )
        one_each = multi_label_matching(pseudo.masks, pseudo.labels, most=1)
        targets = Targets(pseudo.labels[one_each], pseudo.boxes[one_each], pseudo.masks[one_each])
        seen[place] = NextFrameObjects(targets, output.embeddings[row, pseudo.queries[one_each]])
    return seen


def match_next_frame(
    reference: SegmenterOutput, image: int, pseudo: PseudoLabels, pasted: Targets, after: NextFrameObjects
) -> tuple[Tensor, Targets]:
    """Queries of the before view and, row by row, what Eq. 3 takes for the same objects in the next frame.

    Objects pasted into the before view are not in the next frame, so pseudo-labels that show them have no say. Of
    several that Eq. 3 takes for one object only the best match has.
    """
    own = torch.nonzero(~(mask_iou(pseudo.masks, pasted.masks) > KNOWN_IOU).any(1))[:, 0]
    own = own[multi_label_matching(pseudo.masks[own], pseudo.labels[own], most=1)]
    queries = pseudo.queries[own]
    anchors = reference.embeddings[image, queries]
    rows, columns = identities_by_score(anchors, after.embeddings)
    if len(rows):
        mutual = association_scores(anchors, after.embeddings).argmax(0)[columns] == rows
        rows, columns = rows[mutual], columns[mutual]
    return queries[rows], after.targets.select(columns)
