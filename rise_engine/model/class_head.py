"""Initial class head: each query predicts each class with probability 0.01 (focal loss prior, RetinaNet, Sec. 4.1)."""

from __future__ import annotations

import math

from torch import nn

CLASS_PRIOR = 0.01


def reset_class_head(head: nn.Linear) -> None:
    """Sets weights and biases so that every probability is the prior for any query."""
    nn.init.zeros_(head.weight)
    nn.init.constant_(head.bias, -math.log((1 - CLASS_PRIOR) / CLASS_PRIOR))
