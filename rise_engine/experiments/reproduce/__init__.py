"""Reproduction of the paper's tables and figures (`rise reproduce`).

A *grid* is all trainings of one table or figure. A *cell* is one line of it: a method with a number of labelled frames.
A *job* is one training of a cell, with a labelled subset and a seed. The *pace* is the measured time per step.
"""
