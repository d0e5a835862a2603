"""A real interaction in place of a staged one: the next frame of a recording as the after view."""

from __future__ import annotations

from dataclasses import replace

from rise_engine.pseudo_sequences.views import PseudoSequence


def with_next_frame(sequence: PseudoSequence, following: PseudoSequence) -> PseudoSequence:
    """``sequence`` with the after view of ``following``: the next frame, staged with equal draws and nothing pasted.

    So a camera that stood still shows both frames as if the staged motion had moved it. What moved in between nobody
    knows. A frame of another size is no next frame: the sequence then stays as it was.
    """
    if following.after.image.shape != sequence.after.image.shape:
        return sequence
    return replace(sequence, after=following.after, covered=following.covered, recorded=True)
