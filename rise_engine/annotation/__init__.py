"""Assisted annotation: masks from a box or a click, and splitting of instances."""
