"""Pictures made from plans, with nothing read back from the device that makes them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields

import numpy as np
import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode

from rise_engine.config import AugmentConfig, LoaderConfig, SequenceConfig
from rise_engine.project.frame import LabelledFrame, UnlabelledFrame
from rise_engine.pseudo_sequences.augment import ObjectAugmentation
from rise_engine.pseudo_sequences.bank import CutOut, InstanceBank
from rise_engine.pseudo_sequences.sequence import SequenceMaker
from rise_engine.pseudo_sequences.source_frame import SourceFrame
from rise_engine.pseudo_sequences.views import PseudoSequence

EVERYTHING = AugmentConfig(strong_operations=4, reweaken=True)


class HostReads(TorchDispatchMode):
    """Lets the values of tensors on the host be read: nobody waits for those. Each is taken to be true."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if func is torch.ops.aten._local_scalar_dense.default and args[0].device.type == "cpu":
            return True
        return func(*args, **(kwargs or {}))


def staged(maker: SequenceMaker, frame: LabelledFrame, bank: InstanceBank, seeds: range) -> list[PseudoSequence]:
    return [maker.make(frame, bank, np.random.default_rng(seed)) for seed in seeds]


def test_the_background_of_a_cut_out_is_not_pasted(still: AugmentConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    # An L of 12 x 18 pixels in a blue box: its colours come, those around it do not.
    mask = np.zeros((12, 18), bool)
    mask[:, :6] = mask[9:] = True
    image = np.zeros((12, 18, 3), np.uint8)
    image[mask], image[~mask] = (200, 100, 50), (0, 0, 255)
    bank = InstanceBank(1)
    bank.add(CutOut(image, mask, label=0, frame="a"))
    plain = ObjectAugmentation(np.eye(3), 1.0, 1.0)
    monkeypatch.setattr("rise_engine.pseudo_sequences.sequence.sample_object", lambda *_: plain)
    config = SequenceConfig(min_pasted=1, max_pasted=1, max_added=0)
    maker = SequenceMaker(config, still, LoaderConfig(short_sides=(64,), crop=80))
    frame = UnlabelledFrame("black", np.zeros((64, 80, 3), np.uint8))
    before = maker.make(frame, bank, np.random.default_rng(0)).before
    assert int(before.masks[0].sum()) == mask.sum()
    seen = before.image[:, before.masks[0]] * 255
    torch.testing.assert_close(seen, torch.tensor([[200.0], [100], [50]]).expand_as(seen), atol=0.5, rtol=0)
    assert before.image[:, ~before.masks[0]].max() < 0.01


def test_brightness_multiplies_and_clamps(monkeypatch: pytest.MonkeyPatch) -> None:
    augment = AugmentConfig(rotation=0, scale=(1, 1), shift=0, brightness=0.5, flip=False, strong_operations=0)
    maker = SequenceMaker(SequenceConfig(), augment, LoaderConfig(short_sides=(64,), crop=80))
    still = SourceFrame.of(UnlabelledFrame("grey", np.full((64, 80, 3), 204, np.uint8)))
    for seed in range(5):
        plan = maker.plan(still, None, np.random.default_rng(seed))
        sequence = maker.render(plan)
        for scene, view in ((sequence.before, plan.before), (sequence.after, plan.after)):
            expected = torch.full_like(scene.image, min(1.0, 0.8 * view.brightness))
            torch.testing.assert_close(scene.image, expected)


def test_a_plan_makes_the_same_pictures_each_time(noisy_frame: LabelledFrame, bank: InstanceBank) -> None:
    maker = SequenceMaker(SequenceConfig(), EVERYTHING, LoaderConfig(short_sides=(64,), crop=80))
    plan = maker.plan(SourceFrame.of(noisy_frame), bank, np.random.default_rng(1))
    first, second = maker.render(plan), maker.render(plan)
    for one, other in ((first.before, second.before), (first.after, second.after)):
        assert torch.equal(one.image, other.image) and torch.equal(one.masks, other.masks)
    assert torch.equal(first.strong, second.strong) and torch.equal(first.covered, second.covered)


def test_nothing_is_read_back_from_the_device(noisy_frame: LabelledFrame, bank: InstanceBank) -> None:
    # Fake tensors of a GPU have a device and a shape, but no values: reading one, a shape that depends on values, or an
    # operator on tensors of two devices raises.
    loader = LoaderConfig(short_sides=(64,), crop=80)
    maker = SequenceMaker(SequenceConfig(), EVERYTHING, loader, device=torch.device("cuda"))
    still = SourceFrame.of(noisy_frame)
    plans = [maker.plan(still, bank, np.random.default_rng(seed)) for seed in range(2)]
    assert any(plan.before.pastes for plan in plans) and any(plan.after.pastes for plan in plans)
    with FakeTensorMode(allow_non_fake_inputs=True), HostReads():
        for plan in plans:
            sequence = maker.render(plan)
            on_device = [sequence.strong, sequence.covered]
            for scene in (sequence.before, sequence.after):
                on_device += [scene.image, scene.masks]
            assert {tensor.device.type for tensor in on_device} == {"cuda"}
            assert sequence.before.labels.device.type == sequence.motion.device.type == "cpu"


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_makes_the_scenes_of_the_cpu(noisy_frame: LabelledFrame, bank: InstanceBank) -> None:
    loader = LoaderConfig(short_sides=(64, 96), crop=80)
    there, here = (
        SequenceMaker(SequenceConfig(), EVERYTHING, loader, device=torch.device(device)) for device in ("cuda", "cpu")
    )
    for a, b in zip(*(staged(maker, noisy_frame, bank, range(10)) for maker in (there, here)), strict=True):
        assert torch.equal(a.covered.cpu(), b.covered)
        torch.testing.assert_close(a.strong.cpu(), b.strong, atol=2e-3, rtol=0)
        for one, other in ((a.before, b.before), (a.after, b.after)):
            torch.testing.assert_close(one.image.cpu(), other.image, atol=2e-3, rtol=0)
            for field in fields(one):
                if field.name != "image":
                    assert torch.equal(getattr(one, field.name).cpu(), getattr(other, field.name)), field.name


def test_cut_outs_are_kept_on_the_device_only_while_they_are_in_use(
    noisy_frame: LabelledFrame, bank: InstanceBank, maker: Callable[..., SequenceMaker]
) -> None:
    scenes = maker()
    staged(scenes, noisy_frame, bank, range(5))
    kept = scenes._renderer._textures
    assert 0 < len(kept) <= len(bank)
    while len(bank) and len(kept):
        bank._cut_outs.popleft()
    assert not kept
