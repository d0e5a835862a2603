"""The supervised branch: both views of a labelled frame carry L_s, and L_embed ties them (paper, Eq. 1, 4 and 9)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from rise_engine.config import LossConfig
from rise_engine.interaction.scene import PseudoSequence, Scene
from rise_engine.learning.association import association_accuracy, association_loss, views
from rise_engine.learning.batch import collate, known_targets
from rise_engine.learning.losses import Criterion, LossTerms
from rise_engine.learning.matching import Assignment
from rise_engine.model.segmenter import Segmenter, SegmenterOutput


@dataclass(frozen=True, slots=True)
class SupervisedLosses:
    """``association`` is L_embed, unweighted; ``accuracy`` the share of pairs told apart, None without pairs;
    ``assignments`` belong to the before views, for the bank's admission."""

    terms: LossTerms
    association: Tensor
    accuracy: float | None
    output: SegmenterOutput
    assignments: list[Assignment]


def common_objects(before: Scene, after: Scene) -> tuple[Tensor, Tensor]:
    """Rows of the objects that both views show, as two index tensors of equal length."""
    same = before.ids[:, None] == after.ids[None, :]
    rows, columns = torch.nonzero(same, as_tuple=True)
    return rows, columns


def supervised_losses(
    model: Segmenter,
    sequences: Sequence[PseudoSequence],
    criterion: Criterion,
    config: LossConfig,
    *,
    device: torch.device,
    generator: torch.Generator,
) -> SupervisedLosses:
    """Losses of labelled pseudo-sequences; views are batched as before, after, before, after, ..."""
    scenes = [scene for sequence in sequences for scene in (sequence.before, sequence.after)]
    batch = collate([scene.image for scene in scenes], device=device)
    targets = [known_targets(scene, batch.canvas, device=device) for scene in scenes]
    output = model(batch.images, batch.padding_mask)
    terms, assignments = criterion(output, targets)

    association = output.embeddings.sum() * 0
    accuracies = []
    for index, sequence in enumerate(sequences):
        before, after = 2 * index, 2 * index + 1
        rows, columns = common_objects(sequence.before, sequence.after)
        if not len(rows) or config.association == 0:
            continue
        rows, columns = rows.to(device), columns.to(device)
        anchors = output.embeddings[before, assignments[before].best[rows]]
        positives, negatives = views(output.class_logits[after], output.boxes[after], targets[after], config)
        association = association + association_loss(
            anchors,
            output.embeddings[after],
            [positives[column] for column in columns.tolist()],
            [negatives[column] for column in columns.tolist()],
            auxiliary=config.association_auxiliary,
            generator=generator,
        ) / len(sequences)
        partners = output.embeddings[after, assignments[after].best[columns]]
        accuracies.append(association_accuracy(anchors.detach(), partners.detach()))
    accuracy = sum(accuracies) / len(accuracies) if accuracies else None
    return SupervisedLosses(terms, association, accuracy, output, assignments[::2])
