"""IDOL's weights give IDOL's numbers, with and without padding, masks and embeddings included."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from rise_engine.config import ModelConfig
from rise_engine.model import build_segmenter
from rise_engine.model.deformable_detr.segmenter import DeformableSegmenter
from rise_engine.model.weights import load_pretrained
from tests.rise_engine.model.foreign_states import State, in_idol_names, randomised
from tests.rise_engine.model.idol_reference import idol_forward


def loaded(config: ModelConfig, folder: Path) -> tuple[DeformableSegmenter, State]:
    """A network with weights from a file of IDOL, and these weights in IDOL's names."""
    state = in_idol_names(randomised(config, 1).state_dict())
    torch.save({"model": state}, folder / "idol.pth")
    model = build_segmenter(config.model_copy()).eval()
    assert load_pretrained(model, folder / "idol.pth").naming == "idol"
    return model, state


def padded_batch(sizes: list[tuple[int, int]]) -> tuple[torch.Tensor, torch.Tensor]:
    """Random images (B, 3, H, W) of these (height, width) on one canvas of whole 32s, and the padding (B, H, W)."""
    height, width = (-(-max(sides) // 32) * 32 for sides in zip(*sizes, strict=True))
    generator = torch.Generator().manual_seed(3)
    images = torch.zeros(len(sizes), 3, height, width)
    padding = torch.ones(len(sizes), height, width, dtype=torch.bool)
    for index, (h, w) in enumerate(sizes):
        images[index, :, :h, :w] = torch.rand(3, h, w, generator=generator)
        padding[index, :h, :w] = False
    return images, padding


@pytest.mark.parametrize(
    "sizes",
    [[(96, 128)], [(90, 100)], [(128, 96), (97, 70)], [(480, 320), (418, 300)]],
    ids=["unpadded", "padded", "mixed sizes", "mixed sizes, coarsest level differs"],
)
def test_every_output_equals_that_of_idol(
    tiny_config: ModelConfig, tmp_path: Path, sizes: list[tuple[int, int]]
) -> None:
    config = tiny_config.model_copy(update={"backbone": "resnet26", "encoder_layers": 2})
    model, state = loaded(config, tmp_path)
    images, padding = padded_batch(sizes)
    with torch.no_grad():
        found = model(images, padding if padding.any() else None)
        expected = idol_forward(state, model.backbone(images, padding), padding, sizes)
    for name in ("logits", "boxes", "embeddings", "masks"):
        ours = {"logits": found.class_logits, "masks": found.mask_logits}.get(name, getattr(found, name, None))
        wanted = getattr(expected, name)
        assert wanted.std() > 0.05, "numbers that hardly differ would agree by themselves"
        torch.testing.assert_close(ours / wanted.std(), wanted / wanted.std(), atol=1e-4, rtol=0)


def test_our_own_padding_differs_from_idols_beside_the_padding_only(tiny_config: ModelConfig, tmp_path: Path) -> None:
    model, _ = loaded(tiny_config.model_copy(update={"backbone": "resnet26"}), tmp_path)
    images, padding = padded_batch([(96, 100)])
    with torch.no_grad():
        theirs = model(images, padding)
        model.config.padding = "rise"
        ours = model(images, padding)
    assert torch.equal(ours.class_logits, theirs.class_logits), "padded pixels are no value of any attention"
    difference = (ours.mask_logits - theirs.mask_logits).abs().amax((0, 1, 2))
    assert difference[:12].max() == 0 and difference[12:25].max() > 0


def test_how_padding_is_treated_outlives_the_file_of_idol(tiny_config: ModelConfig, tmp_path: Path) -> None:
    from rise_engine.model.weights.load import save_weights

    model, _ = loaded(tiny_config.model_copy(update={"backbone": "resnet26"}), tmp_path)
    save_weights(model, tmp_path / "own.safetensors", metadata={"config": model.config.model_dump_json()})
    other = build_segmenter(tiny_config.model_copy(update={"backbone": "resnet26"}))
    assert load_pretrained(other, tmp_path / "own.safetensors").naming == "rise"
    assert other.config.padding == "idol"
