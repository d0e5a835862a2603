"""Totes by physics: things fall into containers under gravity and are rendered with exact masks.

Needs MuJoCo, the extra ``starter``; it is imported only when a scene is simulated.
"""

from __future__ import annotations

from rise_engine.synthetic.simulation.scene import ToteSimulator

__all__ = ["ToteSimulator"]
