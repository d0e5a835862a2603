"""The kinds of things that fall into simulated containers."""
