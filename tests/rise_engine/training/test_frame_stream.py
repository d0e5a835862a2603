"""The order of frames: from the seed alone, every frame once a round, shuffled once a round and not at each step."""

from __future__ import annotations

import numpy as np
import pytest

from rise_engine.training.data.frame_stream import FrameStream


def test_every_frame_once_a_round_and_another_order_in_the_next() -> None:
    stream = FrameStream(range(100, 150), seed=3, salt=1)
    rounds = [[stream.at(turn * 50 + place) for place in range(50)] for turn in range(2)]
    assert all(sorted(order) == list(range(100, 150)) for order in rounds)
    assert rounds[0] != rounds[1]


def test_any_position_can_be_asked_for_first() -> None:
    forwards, backwards = FrameStream(range(7), 1, 2), FrameStream(range(7), 1, 2)
    positions = list(range(30))
    assert [forwards.at(place) for place in positions] == [backwards.at(place) for place in positions[::-1]][::-1]
    assert FrameStream([], 1, 2).take(5, 3) == []


def test_ten_thousand_frames_are_shuffled_once_a_round(monkeypatch: pytest.MonkeyPatch) -> None:
    shuffles = []
    make = np.random.default_rng
    monkeypatch.setattr(np.random, "default_rng", lambda seed: (shuffles.append(seed), make(seed))[1])
    stream = FrameStream(range(10_000), seed=0, salt=2)
    for step in range(300):
        stream.take(step, 8)
    assert len(shuffles) == 1
