"""Experiments on top of the engine: the demo, training of the starter weights, reproduction of the paper."""
