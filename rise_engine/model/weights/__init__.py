"""Weights files: load weights of this project and of others, save as safetensors."""

from rise_engine.model.weights.load import LoadReport, load_pretrained

__all__ = ["LoadReport", "load_pretrained"]
