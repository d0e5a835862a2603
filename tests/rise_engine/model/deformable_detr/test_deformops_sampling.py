"""Sampling by the optional package deformops: what it is given, and on a GPU what comes out."""

from __future__ import annotations

import sys
from types import ModuleType

import pytest
import torch
from torch import Tensor

from rise_engine.config import ModelConfig
from rise_engine.errors import RiseError
from rise_engine.model import build_segmenter
from rise_engine.model.deformable_detr.attention import sample
from rise_engine.model.deformable_detr.deformops_sampling import sample_deformops

SIZES = [(6, 8), (3, 4)]


def inputs(dtype: torch.dtype = torch.double, *, heads: int = 4, channels: int = 8, points: int = 4) -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    values = torch.randn(2, heads, 60, channels, generator=generator, dtype=torch.double)
    locations = torch.rand(2, 5, heads, 2, points, 2, generator=generator, dtype=torch.double) * 1.4 - 0.2
    weights = torch.rand(2, 5, heads, 2, points, generator=generator, dtype=torch.double)
    return [part.to(dtype) for part in (values, locations, weights)]


def documented(value: Tensor, shapes: Tensor, starts: Tensor, locations: Tensor, weights: Tensor) -> Tensor:
    """What the package's documentation promises of ``msda`` for value (B, S, G, D) and weights (B, Q, G, L, K)."""
    assert starts.tolist() == [0, *(shapes[:-1, 0] * shapes[:-1, 1]).cumsum(0).tolist()]
    sizes = [(height, width) for height, width in shapes.tolist()]
    return sample(value.transpose(1, 2), sizes, locations, weights, form="grid")


@pytest.fixture
def described(monkeypatch: pytest.MonkeyPatch) -> None:
    """The package as documented, where it is not installed."""
    for name in ("deformops", "deformops.registry"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    sys.modules["deformops.registry"].msda = documented  # type: ignore[attr-defined]


@pytest.mark.usefixtures("described")
def test_the_package_is_called_as_documented() -> None:
    values, locations, weights = inputs()
    expected = sample(values, SIZES, locations, weights, form="gather")
    torch.testing.assert_close(sample_deformops(values, SIZES, locations, weights), expected)


def test_without_the_package_the_sentence_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "deformops.registry", None)
    values, locations, weights = inputs()
    with pytest.raises(RiseError, match="pip install deformops"):
        sample_deformops(values, SIZES, locations, weights)


def test_a_cpu_samples_in_torch_whatever_is_set(tiny_config: ModelConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "deformops.registry", None)
    boxes = []
    for attention in ("torch", "deformops"):
        torch.manual_seed(0)
        model = build_segmenter(tiny_config.model_copy(update={"attention": attention})).eval()
        boxes.append(model(torch.full((1, 3, 64, 96), 0.5)).boxes)
    assert torch.equal(*boxes)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_on_a_gpu_values_and_gradients_are_those_of_torch() -> None:
    pytest.importorskip("deformops")
    results = []
    for form in ("grid", "fused"):
        values, locations, weights = (part.cuda().requires_grad_() for part in inputs(torch.float32))
        result = sample(values, SIZES, locations, weights, form=form)  # type: ignore[arg-type]
        weighting = torch.linspace(-1, 1, result.numel(), device="cuda").view_as(result)
        gradients = torch.autograd.grad((result * weighting).sum(), (values, locations, weights))
        results.append((result, *gradients))
    for expected, found in zip(*results, strict=True):
        torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)
