"""The teacher's pass over a weakly augmented view, without gradients, and its pseudo-labels (paper, Sec. 3.3)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from rise_engine.config import RiseConfig
from rise_engine.method.batch import Size, canvas_for, size_of
from rise_engine.method.extensions.test_time import predict_augmented
from rise_engine.method.pseudo_labels import PseudoLabels, make_pseudo_labels
from rise_engine.model.segmenter import SegmenterOutput


@dataclass(frozen=True, slots=True)
class TeacherPass:
    """What the teacher predicts on B images, and a pseudo-label set for each.

    ``sizes`` are the unpadded (height, width) of the images, ``canvas`` is that of the pseudo-masks.
    """

    output: SegmenterOutput
    pseudo_labels: list[PseudoLabels]
    sizes: tuple[Size, ...]
    canvas: Size


@contextmanager
def predicting(model: nn.Module) -> Iterator[None]:
    """Evaluation mode without gradients; the previous mode is restored afterwards."""
    training = model.training
    model.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        model.train(training)


def teacher_pass(
    teacher: nn.Module,
    images: Sequence[Tensor],
    config: RiseConfig,
    *,
    step: int,
    device: torch.device,
    room_for: Size = (0, 0),
    canvas: Size | None = None,
) -> TeacherPass:
    """Predicts images (3, h_i, w_i), 0..1, in evaluation mode and applies Eq. 6 to 8 at ``step`` of the schedule.

    The network's input has room for an image of the size ``room_for``, (height, width). The pseudo-masks are on
    ``canvas``, by default that of the input.
    """
    with predicting(teacher):
        output = predict_augmented(
            teacher,
            images,
            scales=config.pseudo_labels.teacher_scales,
            mirror=config.pseudo_labels.teacher_mirror,
            device=device,
            room_for=room_for,
        )
    canvas = canvas or canvas_for(images, room_for=room_for)
    sizes = tuple(size_of(image) for image in images)
    pseudo_labels = [
        make_pseudo_labels(
            output,
            index,
            image_size=size,
            canvas=canvas,
            config=config.pseudo_labels,
            step=step,
            steps=config.schedule.steps,
            image=image.to(device),
        )
        for index, (image, size) in enumerate(zip(images, sizes, strict=True))
    ]
    return TeacherPass(output, pseudo_labels, sizes, canvas)
