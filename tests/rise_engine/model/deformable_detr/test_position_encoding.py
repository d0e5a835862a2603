from __future__ import annotations

import math

import torch

from rise_engine.model.deformable_detr.position_encoding import sine_position_encoding


def test_rows_come_first_and_run_to_two_pi() -> None:
    encoding = sine_position_encoding((2, 4), 8, torch.tensor([[2.0, 4.0]]))[0]
    last = encoding[7]  # row 1 of 2, column 3 of 4: phases 3/4 and 7/8 of the circle
    for half, phase in ((last[:4], 0.75 * 2 * math.pi), (last[4:], 0.875 * 2 * math.pi)):
        slow = phase / 10_000**0.5
        expected = torch.tensor([math.sin(phase), math.cos(phase), math.sin(slow), math.cos(slow)])
        torch.testing.assert_close(half, expected, atol=1e-5, rtol=0)


def test_padding_does_not_move_the_pixels_of_the_image() -> None:
    alone = sine_position_encoding((3, 4), 16, torch.tensor([[3.0, 4.0]]))[0].view(3, 4, 16)
    padded = sine_position_encoding((5, 6), 16, torch.tensor([[3.0, 4.0], [5.0, 6.0]]))[0].view(5, 6, 16)
    torch.testing.assert_close(padded[:3, :4], alone)
