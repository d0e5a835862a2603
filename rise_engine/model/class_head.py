"""Where class heads begin: each query believes in each class with a probability of 0.01 (RetinaNet, Sec. 4.1)."""

from __future__ import annotations

import math

from torch import nn

CLASS_PRIOR = 0.01


def reset_class_head(head: nn.Linear) -> None:
    """Every probability is the prior, whatever the query."""
    nn.init.zeros_(head.weight)
    nn.init.constant_(head.bias, -math.log((1 - CLASS_PRIOR) / CLASS_PRIOR))
