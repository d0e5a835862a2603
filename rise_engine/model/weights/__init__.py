"""Weights on disk: read under this project's names and those of other projects, written as safetensors."""

from rise_engine.model.weights.load import LoadReport, load_pretrained

__all__ = ["LoadReport", "load_pretrained"]
