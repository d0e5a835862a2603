"""Figures of photos: which colour a mask has."""

from __future__ import annotations

import numpy as np
import torch

from rise_engine.experiments.reproduce.mask_figures import ViewPredictions, _colours, _own_colours
from rise_engine.pseudo_sequences.views import View


def test_a_prediction_has_the_colour_of_the_object_it_fits_best() -> None:
    masks = torch.zeros(3, 8, 12, dtype=torch.bool)
    masks[0, :4, :4] = masks[1, :4, 6:10] = masks[2, 6:, :2] = True
    soft = torch.zeros(3, 8, 12)
    soft[0, :4, 6:10] = 0.9  # The second object, all of it.
    soft[1, :4, :2] = 0.9  # Half of the first one,
    soft[2, :3, :4] = 0.9  # and three quarters of it.
    scene = View(torch.zeros(3, 8, 12), masks, torch.zeros(3).long(), torch.arange(3), torch.zeros(3).bool())
    colours = _own_colours(ViewPredictions(scene, soft, torch.zeros(3).bool()))
    truth = _colours(3)
    assert np.array_equal(colours, [truth[1], [1, 1, 1], truth[0]])
    assert np.array_equal(_own_colours(ViewPredictions(scene, soft[:0], torch.ones(3).bool())), np.ones((0, 3)))
