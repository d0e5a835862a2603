"""A full memory: frames are split into smaller micro-batches, and nothing else changes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from rise_engine.method.supervised import supervised_losses
from rise_engine.method.unsupervised import unsupervised_losses
from rise_engine.project.project import Project
from rise_engine.project.records import FrameState, Instance
from rise_engine.project.segmentation import from_mask
from rise_engine.pseudo_sequences.views import PseudoSequence
from rise_engine.synthetic import write_sample_folder
from rise_engine.training.events import Event, Failed, Finished, Losses, Notice
from rise_engine.training.memory import MicroBatches, is_full
from rise_engine.training.trainer import Trainer
from tests.rise_engine.tiny import KEEP_UNTRAINED, tiny_config

SETTINGS = (
    *KEEP_UNTRAINED,
    "model.backbone=resnet18",
    "model.decoder_layers=2",
    "model.dropout=0.1",
    "loader.labelled_per_step=4",
    "loader.unlabelled_per_step=4",
    "schedule.steps=2",
    "schedule.unsupervised_after=0",
    "schedule.holdout_every=100",
)

TrainerOf = Callable[..., Trainer]


@pytest.fixture
def trainer_of(tmp_path: Path) -> TrainerOf:
    """Trainers on one drawn project, with settings of their own."""
    frames = write_sample_folder(tmp_path / "totes", count=6, seed=5, size=(96, 128))
    project = Project.create(tmp_path / "totes.rise", tmp_path / "totes")
    project.scan()
    category = project.annotations.add_category("object").id
    for record, frame in list(zip(project.frames.all(), frames, strict=True))[:4]:
        project.annotations.add(
            record.id, [Instance(None, record.id, category, from_mask(mask)) for mask in frame.masks]
        )
        project.frames.set_state(record.id, FrameState.LABELLED)

    def build(*settings: str) -> Trainer:
        config = tiny_config(*SETTINGS, *settings)
        return Trainer(project, config)

    return build


def refuse(trainer: Trainer, when: Callable[[int, int], bool]) -> None:
    """Makes some passes of the student run out of memory; ``when`` takes the number of the pass and of its images."""
    model, passes = trainer.learner.model, [0]
    forward: Any = model.forward

    def guarded(images: torch.Tensor, padding_mask: torch.Tensor | None = None) -> Any:
        if model.training:
            passes[0] += 1
            if when(passes[0], len(images)):
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 1 GiB")
        return forward(images, padding_mask)

    model.forward = guarded


def notices(events: list[Event]) -> list[str]:
    return [event.message for event in events if isinstance(event, Notice)]


def test_a_step_that_did_not_fit_equals_one_with_smaller_micro_batches_from_the_start(trainer_of: TrainerOf) -> None:
    began = trainer_of("loader.accumulate=2")
    expected = list(began.run())
    halved = trainer_of("loader.accumulate=1")
    # The second pass is over the unlabelled frames. Gradients of the labelled ones exist by then and must not count.
    refuse(halved, lambda number, images: number == 2)
    events = list(halved.run())
    assert isinstance(events[-1], Finished)
    assert [sentence for sentence in notices(events) if "memory" in sentence] == [
        "The memory of cpu is full: the frames of a step are now split into 2 micro-batches instead of 1."
    ]
    for (name, wanted), tensor in zip(
        began.learner.model.state_dict().items(), halved.learner.model.state_dict().values(), strict=True
    ):
        torch.testing.assert_close(tensor, wanted, atol=0, rtol=0, msg=name)
    losses = [[event for event in run if isinstance(event, Losses)] for run in (expected, events)]
    assert losses[0] == losses[1]
    assert len(losses[0]) == 2


def test_micro_batches_are_halved_as_often_as_needed(trainer_of: TrainerOf) -> None:
    trainer = trainer_of("loader.accumulate=1", "schedule.steps=1")
    refuse(trainer, lambda number, images: images > 2)
    events = list(trainer.run())
    assert isinstance(events[-1], Finished)
    assert [sentence.split("into ")[1].split(" micro-batches")[0] for sentence in notices(events)] == ["2", "4"]


def test_a_single_frame_that_does_not_fit_ends_the_training(trainer_of: TrainerOf) -> None:
    trainer = trainer_of("loader.accumulate=1")
    before = {name: tensor.clone() for name, tensor in trainer.learner.model.state_dict().items()}
    refuse(trainer, lambda number, images: True)
    events = list(trainer.run())
    assert isinstance(events[-1], Failed)
    assert events[-1].kind == "memory"
    assert not any(isinstance(event, Losses) for event in events)
    for name, tensor in trainer.learner.model.state_dict().items():
        assert torch.equal(tensor, before[name]), name


def gradients(trainer: Trainer, step: int, *sequences: list[PseudoSequence | None]) -> dict[str, torch.Tensor]:
    trainer.learner.gradients(step, *sequences)
    found = {
        name: tensor.grad.clone()
        for name, tensor in trainer.learner.model.named_parameters()
        if tensor.grad is not None
    }
    trainer.learner.optimiser.zero_grad(set_to_none=True)
    return found


@pytest.mark.parametrize(("labelled", "unlabelled", "micro_batches"), [(4, 4, 4), (3, 3, 2), (2, 4, 2)])
def test_frames_of_equal_content_have_equal_weight_whatever_the_number_of_micro_batches(
    trainer_of: TrainerOf, labelled: int, unlabelled: int, micro_batches: int
) -> None:
    trainer = trainer_of("model.dropout=0")
    trainer.source.fill_bank()
    known, unknown = (trainer.source.sequences(0, kind, [True] * 4)[:1] for kind in ("labelled", "unlabelled"))
    trainer.learner.memory = MicroBatches(1, torch.device("cpu"))
    together = gradients(trainer, 0, known * labelled, unknown * unlabelled)
    trainer.learner.memory = MicroBatches(micro_batches, torch.device("cpu"))
    apart = gradients(trainer, 0, known * labelled, unknown * unlabelled)
    largest = max(float(gradient.abs().max()) for gradient in together.values())
    for name, gradient in together.items():
        torch.testing.assert_close(apart[name], gradient, atol=1e-5 * largest, rtol=1e-4, msg=name)


@pytest.mark.parametrize("micro_batches", [1, 3])
def test_objects_of_unlabelled_frames_weigh_no_more_in_micro_batches_without_a_labelled_one(
    trainer_of: TrainerOf, monkeypatch: pytest.MonkeyPatch, micro_batches: int
) -> None:
    trainer = trainer_of("loss.equal_objects=true", "pseudo_labels.threshold_start=0", "pseudo_labels.threshold_peak=0")
    trainer.source.fill_bank()
    known, unknown = (trainer.source.sequences(0, kind) for kind in ("labelled", "unlabelled"))
    matched: list[int] = []
    divisors: list[float] = []

    def supervised(*arguments: Any, **options: Any) -> Any:
        result = supervised_losses(*arguments, **options)
        matched.append(result.matched)
        return result

    def unsupervised(*arguments: Any, **options: Any) -> Any:
        divisors.extend(options["totals"].divisors([0]))
        return unsupervised_losses(*arguments, **options)

    monkeypatch.setattr("rise_engine.training.step.supervised_losses", supervised)
    monkeypatch.setattr("rise_engine.training.step.unsupervised_losses", unsupervised)
    trainer.learner.memory = MicroBatches(micro_batches, torch.device("cpu"))
    trainer.learner.gradients(0, known[:1], unknown[:3])
    # Each micro-batch has a third of the unlabelled frames, and its loss a third of the weight.
    assert len(matched) == 1 and matched[0] > micro_batches
    assert divisors == pytest.approx([matched[0] / micro_batches] * micro_batches)


def test_by_default_a_gpu_starts_with_one_micro_batch_and_a_cpu_with_one_per_frame() -> None:
    assert MicroBatches(0, torch.device("cuda")).count(8) == 1
    assert MicroBatches(0, torch.device("cpu")).count(8) == 8
    assert MicroBatches(4, torch.device("cuda")).count(8) == 4
    assert MicroBatches(4, torch.device("cuda")).count(2) == 2


def test_the_memory_of_any_device_can_be_full() -> None:
    assert is_full(torch.OutOfMemoryError("CUDA out of memory."))
    assert is_full(RuntimeError("[enforce fail at alloc_cpu.cpp:118] DefaultCPUAllocator: can't allocate memory"))
    assert not is_full(RuntimeError("The size of tensor a (3) must match the size of tensor b (4)"))
    assert not is_full(ValueError("out of memory"))
