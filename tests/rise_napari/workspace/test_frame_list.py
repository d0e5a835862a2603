"""The list of frames updates its counts when single frames change."""

from __future__ import annotations

from dataclasses import replace

from rise_engine.project.records import FrameRecord, FrameState, Split
from rise_napari.workspace.frame_list import FrameList


def frames(count: int) -> list[FrameRecord]:
    return [
        FrameRecord(10 + number, f"f{number}.png", None, None, FrameState.UNLABELLED, Split.TRAIN)
        for number in range(count)
    ]


def test_counts_follow_a_change() -> None:
    known = FrameList(frames(4))
    changed = replace(known.all[2], state=FrameState.LABELLED, split=Split.HOLDOUT)
    assert known.update(changed)
    assert not known.update(changed), "nothing more has changed"
    assert known.count(FrameState.UNLABELLED) == 3
    assert known.count(FrameState.LABELLED, FrameState.REVIEWED) == 1
    assert known.holdout == 1
    assert known.get(12) == changed == known.named("f2.png")
    known.update(frames(4)[2])
    assert (known.count(FrameState.LABELLED), known.holdout) == (0, 0)


def test_the_search_for_unlabelled_frames_continues_at_the_start() -> None:
    known = FrameList(frames(3))
    assert known.next_unlabelled(None) == known.all[0]
    assert known.next_unlabelled(2) == known.all[0]
    for frame in frames(3)[:2]:
        known.update(replace(frame, state=FrameState.SKIPPED))
    assert known.next_unlabelled(0) == known.all[2]
    known.update(replace(frames(3)[2], state=FrameState.LABELLED))
    assert known.next_unlabelled(0) is None


def test_unknown_frames_have_no_index() -> None:
    known = FrameList(frames(1))
    assert known.index(None) is None
    assert known.get(99) is None
    assert known.named("none.png") is None
