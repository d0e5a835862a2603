"""The next frame of a recording as the after view: a real interaction instead of a simulated one."""

from __future__ import annotations

from dataclasses import replace

from rise_engine.pseudo_sequences.views import PseudoSequence


def with_next_frame(sequence: PseudoSequence, following: PseudoSequence) -> PseudoSequence:
    """``sequence`` with the after view of ``following``: the next frame, augmented with the same random numbers
    and without pasted objects.

    With a camera that did not move, both frames have the same augmentation; how objects moved between them is unknown.
    A frame of another size is not used: the sequence is then returned unchanged.
    """
    if following.after.image.shape != sequence.after.image.shape:
        return sequence
    return replace(sequence, after=following.after, covered=following.covered, recorded=True)
