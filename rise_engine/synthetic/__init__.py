"""Synthetic images of totes with exact masks, drawn from a random seed."""

from __future__ import annotations

from rise_engine.synthetic.artist import ToteArtist
from rise_engine.synthetic.samples import draw_tote, write_sample_folder

__all__ = ["ToteArtist", "draw_tote", "write_sample_folder"]
