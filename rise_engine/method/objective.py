"""The total loss of RISE (paper, Sec. 3.4, Eq. 9)."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from rise_engine.config import LossConfig
from rise_engine.method.losses import LossTerms


@dataclass(frozen=True, slots=True)
class TotalLoss:
    """Eq. 9 of some frames: ``segmentation`` holds the terms of L_s or lambda_4 L_u, ``association`` is
    lambda_3 L_embed. All are scalars with gradients."""

    segmentation: LossTerms
    association: Tensor

    @property
    def value(self) -> Tensor:
        """L_total, a scalar."""
        return self.segmentation.total + self.association


def total_loss(
    segmentation: LossTerms, embed: Tensor, config: LossConfig, *, labelled: bool, share: float = 1.0
) -> TotalLoss:
    """L_total = 1[y given] L_s + lambda_3 L_embed + 1[y absent] lambda_4 L_u (Eq. 9).

    ``segmentation`` is L_s where the frames are ``labelled`` (Eq. 1), else L_u (Eq. 5): the same five terms. ``embed``
    is L_embed (Eq. 4), a scalar. The result is multiplied by ``share``, the share that these frames are of all frames
    of their kind in the step.
    """
    lambda_3, lambda_4 = config.association, config.unsupervised
    return TotalLoss(segmentation * ((1.0 if labelled else lambda_4) * share), lambda_3 * embed * share)
