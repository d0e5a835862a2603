"""Active learning: which frame to annotate or fix next."""
