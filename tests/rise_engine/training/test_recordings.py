"""Which frame follows which, from names alone."""

from __future__ import annotations

from rise_engine.project.records import FrameRecord, FrameState, Split
from rise_engine.training.data.recordings import next_frames


def frames(*names: str) -> list[FrameRecord]:
    return [
        FrameRecord(place, name, None, None, FrameState.UNLABELLED, Split.TRAIN)
        for place, name in enumerate(names, start=1)
    ]


def test_the_images_of_a_folder_follow_each_other() -> None:
    ocid = frames(
        "ARID20/floor/top/seq01/rgb/result_2018-08-20-10-26-39.png",
        "ARID20/floor/top/seq01/rgb/result_2018-08-20-10-27-09.png",
        "ARID20/floor/top/seq01/rgb/result_2018-08-20-10-28-01.png",
        "ARID20/floor/top/seq02/rgb/result_2018-08-20-11-00-00.png",
        "alone.png",
    )
    assert next_frames(ocid, "folder") == {1: 2, 2: 3}
    assert next_frames([ocid[0], ocid[2]], "folder") == {1: 3}, "what is not there is not waited for"


def test_names_that_differ_in_their_last_number_follow_each_other() -> None:
    flat = frames("left-10 cam2.png", "left-9 cam2.png", "right-1 cam2.png", "tote9_0100.png", "tote9_099.png", "x.png")
    # The last number is the camera's in the first three, so each of those is a recording of its own.
    assert next_frames(flat, "number") == {5: 4}
    assert next_frames(frames("a10.png", "a9.png", "a2.png", "b3.png", "d/a3.png"), "number") == {3: 2, 2: 1}
