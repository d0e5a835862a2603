"""Pictures of totes that the project draws itself, with exact masks."""

from __future__ import annotations

from rise_engine.synthetic.artist import ToteArtist
from rise_engine.synthetic.samples import draw_tote, write_sample_folder

__all__ = ["ToteArtist", "draw_tote", "write_sample_folder"]
