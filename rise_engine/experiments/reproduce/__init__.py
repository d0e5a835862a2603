"""The tables and figures of the paper as trainings that can be repeated."""
