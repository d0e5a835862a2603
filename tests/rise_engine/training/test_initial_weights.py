from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from rise_engine.config import RiseConfig
from rise_engine.errors import RiseError, WeightsError
from rise_engine.model import build_segmenter
from rise_engine.model.backbone.timm_backbone import Backbone
from rise_engine.model.weights.coco import DETECTION_ONLY
from rise_engine.model.weights.hub import HubFile
from rise_engine.training import initial_weights
from rise_engine.training.initial_weights import build_initial


@pytest.fixture
def config() -> RiseConfig:
    config = RiseConfig.preset("r50").with_settings(
        [
            "model.backbone=resnet18",
            "model.hidden_dim=32",
            "model.encoder_layers=1",
            "model.decoder_layers=2",
            "model.num_queries=10",
            "model.num_heads=4",
            "model.feedforward_dim=48",
        ]
    )
    assert config.weights == "coco"
    return config


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(file: HubFile) -> Path:
        raise WeightsError(f"{file.address} could not be fetched (no route)")

    monkeypatch.setattr("rise_engine.model.backbone.timm_backbone.fetch", unreachable)
    monkeypatch.setattr(
        initial_weights, "fetch_coco", lambda backbone: unreachable(HubFile("someone/coco", f"{backbone}.pth"))
    )


@pytest.mark.usefixtures("offline")
def test_without_a_network_both_ways_out_are_told(config: RiseConfig) -> None:
    with pytest.raises(WeightsError) as failure:
        build_initial(None, config)
    said = str(failure.value)
    assert "https://huggingface.co/someone/coco/resolve/main/resnet18.pth could not be fetched" in said
    assert "ImageNet weights of resnet18 could not be fetched" in said
    assert "--weights none" in said


@pytest.mark.usefixtures("offline")
def test_random_weights_need_no_network(config: RiseConfig) -> None:
    config.weights = "none"
    model, said = build_initial(None, config)
    assert said == "random weights, as asked for"
    assert model.eval()(torch.rand(1, 3, 64, 96)).boxes.shape == (1, 10, 4)


def test_an_imagenet_backbone_is_the_next_best_start(
    config: RiseConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, offline: None
) -> None:
    """timm's file holds a classifier too, and comes from the cache that the hub's client keeps."""
    source = Backbone("resnet18").net
    file = tmp_path / "model.safetensors"
    save_file(source.state_dict() | {"fc.weight": torch.zeros(1000, 512), "fc.bias": torch.zeros(1000)}, file)
    asked = []
    monkeypatch.setattr("rise_engine.model.backbone.timm_backbone.fetch", lambda wanted: asked.append(wanted) or file)
    model, said = build_initial(None, config)
    assert asked == [HubFile("timm/resnet18.a1_in1k", "model.safetensors")]
    assert torch.equal(model.backbone.net.layer3[0].conv1.weight, source.layer3[0].conv1.weight)
    assert said.startswith("an ImageNet backbone (resnet18), the rest new; https://huggingface.co/someone/coco/")


def test_coco_weights_are_taken_and_what_is_new_is_told(
    config: RiseConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(1)
    many = build_segmenter(config.model.model_copy(update={"num_classes": 80}))
    state = {name: each for name, each in many.state_dict().items() if not name.startswith("embed_head")}
    save_file(state, tmp_path / "coco.safetensors")
    monkeypatch.setattr(initial_weights, "fetch_coco", lambda backbone: (tmp_path / "coco.safetensors", DETECTION_ONLY))
    model, said = build_initial(None, config)
    assert said == (
        "COCO weights (SenseTime/deformable-detr-with-box-refine, model.safetensors); new: class_head, embed_head"
    )
    assert torch.equal(model.level_embed, many.level_embed)
    probabilities = model.eval()(torch.rand(1, 3, 64, 96)).class_logits.sigmoid()
    torch.testing.assert_close(probabilities, torch.full((1, 10, 1), 0.01))


def test_a_file_says_what_it_left_new(config: RiseConfig, tmp_path: Path) -> None:
    model = build_segmenter(config.model)
    path = tmp_path / "mine.safetensors"
    save_file({name: each for name, each in model.state_dict().items() if not name.startswith("mask_")}, path)
    config.weights = str(path)
    assert build_initial(None, config)[1].endswith("(mine.safetensors); new: mask_controller, mask_features")


@pytest.mark.parametrize("kind", ["safetensors", "pth"])
def test_a_file_of_the_backbone_alone_gives_the_backbone(config: RiseConfig, tmp_path: Path, kind: str) -> None:
    """As timm distributes it: for who trains where the hub cannot be reached."""
    source = Backbone("resnet18").net
    path = tmp_path / f"resnet18.{kind}"
    state = source.state_dict() | {"fc.weight": torch.zeros(1000, 512), "fc.bias": torch.zeros(1000)}
    if kind == "pth":
        torch.save(state, path)
    else:
        save_file(state, path)
    config.weights = str(path)
    model, said = build_initial(None, config)
    assert said == f"a backbone (resnet18) of {path}, the rest new"
    for name, tensor in source.state_dict().items():
        torch.testing.assert_close(model.backbone.net.state_dict()[name], tensor)


def test_a_file_of_another_backbone_is_refused(config: RiseConfig, tmp_path: Path) -> None:
    path = tmp_path / "wide.safetensors"
    wide = {name: tensor for name, tensor in Backbone("resnet50").net.state_dict().items() if "fc" not in name}
    save_file(wide, path)
    config.weights = str(path)
    with pytest.raises(RiseError, match=r"wide\.safetensors"):
        build_initial(None, config)


@pytest.mark.parametrize("name", ["no_such_name", "run:x", "last"])
def test_names_that_mean_nothing_are_refused(config: RiseConfig, name: str) -> None:
    config.weights = name
    with pytest.raises(RiseError, match=name):
        build_initial(None, config)
