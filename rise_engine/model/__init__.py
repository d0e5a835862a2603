"""The network, tensors only: images to class scores, boxes, embeddings and masks."""

from __future__ import annotations

from rise_engine.model.build import build_segmenter
from rise_engine.model.segmenter import Segmenter

__all__ = ["Segmenter", "build_segmenter"]
