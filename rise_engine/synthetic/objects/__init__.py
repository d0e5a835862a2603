"""Painters of the kinds of objects in synthetic totes."""
