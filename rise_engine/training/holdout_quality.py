"""Quality of the pseudo-labels that the cascade would make of the hold-out, at a step of a training (paper, Fig. 4)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from rise_engine.method.extensions.test_time import predict_augmented
from rise_engine.method.pseudo_label_quality import FrameQuality, measure_frame, summarise
from rise_engine.prediction.load import LoadedModel
from rise_engine.prediction.preprocess import resize_for_network
from rise_engine.project.project import Project
from rise_engine.project.segmentation import to_mask
from rise_engine.training.data.classes import class_indices
from rise_engine.training.events import PseudoLabelScore

MOST_FRAMES = 32
"""The training waits for this measurement, and the curves need no more frames."""


@torch.no_grad()
def measure_pseudo_labels(
    loaded: LoadedModel, project: Project, frames: Sequence[int], *, step: int
) -> PseudoLabelScore:
    """The quality of the pseudo-labels of a network in evaluation mode on at least one hold-out frame, evenly chosen.

    They are made as in training, with the same test-time augmentation and mask refinement.
    """
    every = -(-len(frames) // MOST_FRAMES)
    quality = summarise([_measure(loaded, project, frame, step=step) for frame in frames[::every]])
    return PseudoLabelScore(step, **asdict(quality))


def _measure(loaded: LoadedModel, project: Project, frame: int, *, step: int) -> FrameQuality:
    image = project.image(frame)
    resized = resize_for_network(image, loaded.config.loader)
    height, width = resized.size
    seen = resized.images[0, :, :height, :width].to(loaded.device)
    canvas = (resized.images.shape[-2], resized.images.shape[-1])
    config = loaded.config.pseudo_labels
    output = predict_augmented(
        loaded.model, [seen], scales=config.teacher_scales, mirror=config.teacher_mirror, device=loaded.device
    )
    masks, labels = _annotated_objects(
        project,
        frame,
        class_indices(project, loaded.class_names, class_agnostic=loaded.config.class_agnostic),
        original=(image.shape[0], image.shape[1]),
        size=resized.size,
        canvas=canvas,
    )
    return measure_frame(
        output,
        0,
        image_size=resized.size,
        canvas=canvas,
        masks=masks,
        labels=labels,
        config=config,
        step=step,
        steps=loaded.config.schedule.steps,
        image=seen,
    )


def _annotated_objects(
    project: Project,
    frame: int,
    classes: Mapping[int, int],
    *,
    original: tuple[int, int],
    size: tuple[int, int],
    canvas: tuple[int, int],
) -> tuple[Tensor, Tensor]:
    """The frame's objects at the size of the network's input: masks bool (G, *canvas), class indices (G,); no crowds.

    Masks are decoded one at a time, because the frame may be large.
    """
    instances = [
        known for known in project.annotations.of_frame(frame) if not known.crowd and known.category in classes
    ]
    masks = torch.zeros(len(instances), *canvas, dtype=torch.bool)
    for index, instance in enumerate(instances):
        mask = torch.from_numpy(to_mask(instance.segmentation, *original).copy())
        small = interpolate(mask[None, None].float(), size=size, mode="area")[0, 0] >= 0.5
        masks[index, : size[0], : size[1]] = small
    labels = torch.tensor([classes[instance.category] for instance in instances], dtype=torch.int64)
    seen = masks.flatten(1).any(1)
    return masks[seen], labels[seen]
