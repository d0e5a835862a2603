"""Layers computed twice instead of kept: the same gradients from fewer bytes."""

from __future__ import annotations

import pytest
import torch

from rise_engine.config import ModelConfig
from rise_engine.model import build_segmenter


def gradients_and_bytes(config: ModelConfig) -> tuple[dict[str, torch.Tensor], torch.Tensor, int]:
    """Gradients of all parameters, the sum that they are of, and how much the forward pass kept for them."""
    torch.manual_seed(0)
    model = build_segmenter(config).train()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if not name.startswith("backbone.") and parameter.dim() > 1 and not parameter.any():
                torch.nn.init.normal_(parameter, std=0.3)
    own = {tensor.untyped_storage().data_ptr() for tensor in model.state_dict().values()}
    kept: dict[int, tuple[int, torch.Tensor]] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            # The tensor is held, so that no other one takes its place in memory and in this count.
            kept[storage.data_ptr()] = storage.nbytes(), tensor
        return tensor

    chosen = torch.arange(3)
    images = torch.rand(2, 3, 64, 96, generator=torch.Generator().manual_seed(1))
    padding = torch.zeros(2, 64, 96, dtype=torch.bool)
    padding[0, :, 64:] = True
    torch.manual_seed(2)
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        output = model(images, padding)
        total = sum(
            layer.boxes.square().sum() + layer.class_logits.sigmoid().sum() + layer.masks(0, chosen).tanh().sum()
            for layer in output.layers
        )
        total = total + output.embeddings.square().mean()
    total.backward()
    gradients = {name: tensor.grad for name, tensor in model.named_parameters() if tensor.grad is not None}
    return gradients, total.detach(), sum(size for size, _ in kept.values())


@pytest.mark.parametrize("dropout", [0.0, 0.2])
def test_checkpointing_changes_the_memory_and_nothing_else(tiny_config: ModelConfig, dropout: float) -> None:
    config = tiny_config.model_copy(update={"encoder_layers": 3, "dropout": dropout})
    plain, expected, kept = gradients_and_bytes(config)
    again, total, kept_again = gradients_and_bytes(config.model_copy(update={"checkpointing": True}))
    torch.testing.assert_close(total, expected, atol=1e-6, rtol=1e-6)
    assert plain.keys() == again.keys()
    for name, gradient in plain.items():
        torch.testing.assert_close(again[name], gradient, atol=1e-6, rtol=1e-6, msg=name)
    assert kept_again < 0.7 * kept


def test_predicting_is_not_touched(tiny_config: ModelConfig) -> None:
    torch.manual_seed(0)
    model = build_segmenter(tiny_config.model_copy(update={"checkpointing": True})).eval()
    with torch.no_grad():
        assert model(torch.rand(1, 3, 64, 96)).mask_logits.isfinite().all()
