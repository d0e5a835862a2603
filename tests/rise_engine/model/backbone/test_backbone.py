from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from rise_engine.config import ModelConfig, OptimiserConfig
from rise_engine.errors import RiseError
from rise_engine.model import build_segmenter
from rise_engine.model.backbone.timm_backbone import Backbone
from rise_engine.training.optimiser import build_optimiser


def trained_prefixes(backbone: Backbone, depth: int) -> set[str]:
    return {
        ".".join(name.split(".")[1 : 1 + depth])
        for name, parameter in backbone.named_parameters()
        if parameter.requires_grad
    }


@pytest.mark.parametrize(
    ("name", "channels"),
    [
        ("resnet18", [128, 256, 512]),
        ("tf_efficientnet_lite0", [40, 112, 320]),
        ("convnext_atto", [80, 160, 320]),
        ("mobilenetv3_small_100", [24, 48, 576]),
        ("regnety_002", [56, 152, 368]),
        ("swin_tiny_patch4_window7_224", [192, 384, 768]),
    ],
)
def test_maps_have_stride_8_16_and_32(name: str, channels: list[int]) -> None:
    backbone = Backbone(name)
    maps = backbone(torch.rand(1, 3, 64, 96))
    assert backbone.channels == channels
    assert [tuple(each.shape) for each in maps] == [
        (1, count, 64 // stride, 96 // stride) for count, stride in zip(channels, (8, 16, 32), strict=True)
    ]


@pytest.mark.parametrize("name", ["vit_tiny_patch16_224", "nest_tiny"])
def test_a_network_without_those_strides_is_refused(name: str) -> None:
    with pytest.raises(RiseError, match=f"{name}' has feature maps of stride .*16 and none of stride (8, )?32"):
        Backbone(name)


def test_a_network_for_one_size_of_image_is_refused() -> None:
    with pytest.raises(RiseError, match="'coatnet_pico_rw_224' takes images of one size only"):
        Backbone("coatnet_pico_rw_224")


def test_stages_that_cannot_be_told_apart_are_not_frozen() -> None:
    with pytest.raises(RiseError, match=r"--set model\.freeze_stages=0"):
        Backbone("twins_svt_small", freeze_stages=2)


def test_a_similar_name_is_offered() -> None:
    with pytest.raises(RiseError, match="similar names are convnext_tiny"):
        Backbone("convnext_tinny")


@pytest.mark.parametrize("size", [(36, 68), (100, 64)])
def test_token_networks_take_any_size(size: tuple[int, int]) -> None:
    height, width = size
    maps = Backbone("swin_tiny_patch4_window7_224")(torch.rand(1, 3, *size))
    assert [tuple(each.shape[2:]) for each in maps] == [
        (-(-height // stride), -(-width // stride)) for stride in (8, 16, 32)
    ]


def test_token_networks_leave_normalised() -> None:
    maps = Backbone("swin_tiny_patch4_window7_224")(torch.rand(1, 3, 64, 64))
    for each in maps:
        torch.testing.assert_close(each.mean(1), torch.zeros_like(each[:, 0]), atol=1e-5, rtol=0)
        torch.testing.assert_close(each.var(1, unbiased=False), torch.ones_like(each[:, 0]), atol=1e-2, rtol=0)


@pytest.mark.parametrize(
    ("stages", "trained"),
    [
        (0, {"conv1", "layer1", "layer2", "layer3", "layer4"}),
        (1, {"layer1", "layer2", "layer3", "layer4"}),
        (2, {"layer2", "layer3", "layer4"}),
        (3, {"layer3", "layer4"}),
    ],
)
def test_freezing_a_resnet_counts_from_the_stem(stages: int, trained: set[str]) -> None:
    assert trained_prefixes(Backbone("resnet18", freeze_stages=stages), 1) == trained


@pytest.mark.parametrize(
    ("name", "frozen"),
    [
        ("convnext_atto", {"stem_0", "stem_1", "stages_0"}),
        ("swin_tiny_patch4_window7_224", {"patch_embed", "layers_0"}),
        ("regnety_002", {"stem", "s1"}),
    ],
)
def test_the_stem_and_the_first_stage_of_other_networks(name: str, frozen: set[str]) -> None:
    backbone = Backbone(name, freeze_stages=2)
    parts = {part for part, _ in backbone.net.named_children() if any(True for _ in backbone.net[part].parameters())}
    assert trained_prefixes(backbone, 1) - {"0", "1", "2"} == parts - frozen


def test_freezing_an_efficientnet_reaches_the_same_stride() -> None:
    first = {f"blocks.{stage}" for stage in range(7)}
    backbone = "tf_efficientnet_lite0"
    assert trained_prefixes(Backbone(backbone, freeze_stages=1), 2) == first - {"blocks.0"}
    assert trained_prefixes(Backbone(backbone, freeze_stages=2), 2) == first - {"blocks.0", "blocks.1"}


def test_more_stages_than_there_are_cannot_be_frozen() -> None:
    with pytest.raises(RiseError, match="freeze_stages=7"):
        Backbone("resnet18", freeze_stages=7)


def test_no_graph_is_kept_for_frozen_parts() -> None:
    backbone = Backbone("resnet18", freeze_stages=2)
    assert not backbone.net.layer1(torch.rand(1, 64, 8, 8)).requires_grad
    sum(each.sum() for each in backbone(torch.rand(1, 3, 64, 64))).backward()
    assert backbone.net.conv1.weight.grad is None
    assert backbone.net.layer2[0].conv1.weight.grad is not None


def test_batch_norm_never_learns_or_counts() -> None:
    backbone = Backbone("tf_efficientnet_lite0").train()
    before = {name: buffer.clone() for name, buffer in backbone.named_buffers()}
    first = backbone(torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0)))[0]
    for name, buffer in backbone.named_buffers():
        torch.testing.assert_close(buffer, before[name])
    backbone.eval()
    torch.testing.assert_close(backbone(torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0)))[0], first)
    assert not any(parameter.requires_grad for norm in backbone.batch_norms for parameter in norm.parameters())


def test_pixels_are_normalised_and_padding_is_zero_after_it() -> None:
    backbone = Backbone("resnet18")
    seen = []
    backbone.net.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    images = torch.full((1, 3, 32, 64), 0.5)
    padding = torch.zeros(1, 32, 64, dtype=torch.bool)
    padding[:, :, 40:] = True
    backbone(images, padding)
    expected = torch.tensor([(0.5 - 0.485) / 0.229, (0.5 - 0.456) / 0.224, (0.5 - 0.406) / 0.225])
    torch.testing.assert_close(seen[0][0, :, 3, 39], expected)
    assert (seen[0][..., 40:] == 0).all()


@pytest.mark.parametrize(
    ("name", "trained"), [("resnet18", "layer2.0.conv1.weight"), ("convnext_atto", "stages_1.blocks.0.mlp.fc1.weight")]
)
def test_a_training_step_leaves_what_is_frozen(tiny_config: ModelConfig, name: str, trained: str) -> None:
    """With weight decay, which would shrink whatever the optimiser holds, gradient or none."""
    config = tiny_config.model_copy(update={"backbone": name, "freeze_stages": 2})
    model = build_segmenter(config).train()
    optimiser = build_optimiser(model, OptimiserConfig(weight_decay=0.1))
    held = {id(parameter) for group in optimiser.param_groups for parameter in group["params"]}
    frozen = {each for each, parameter in model.named_parameters() if not parameter.requires_grad}
    assert frozen
    assert held == {id(parameter) for each, parameter in model.named_parameters() if each not in frozen}
    before = {each: tensor.clone() for each, tensor in model.state_dict().items()}
    model(torch.rand(2, 3, 64, 64)).embeddings.square().sum().backward()
    optimiser.step()
    after = model.state_dict()
    statistics = {each for each in after if "running_" in each or "num_batches" in each}
    for each in frozen | statistics:
        assert torch.equal(after[each], before[each]), each
    for each in ("level_embed", f"backbone.net.{trained}"):
        assert not torch.equal(after[each], before[each])


@pytest.mark.parametrize("name", ["resnet18", "swin_tiny_patch4_window7_224"])
def test_weights_of_a_file_are_taken(name: str, tmp_path: Path) -> None:
    source = Backbone(name)
    state = {key.replace("layers_", "layers."): tensor for key, tensor in source.net.state_dict().items()}
    file = tmp_path / "backbone.safetensors"
    save_file(state | {"head.weight": torch.zeros(5, 5)}, file)
    loaded = Backbone(name, pretrained=file)
    for key, tensor in source.net.state_dict().items():
        torch.testing.assert_close(loaded.net.state_dict()[key], tensor)


def test_what_cannot_be_had_is_named(tmp_path: Path) -> None:
    with pytest.raises(RiseError, match="no_such_net"):
        Backbone("no_such_net")
    with pytest.raises(RiseError, match=r"absent\.safetensors"):
        Backbone("resnet18", pretrained=tmp_path / "absent.safetensors")
    other = tmp_path / "other.safetensors"
    save_file({"something": torch.zeros(1)}, other)
    with pytest.raises(RiseError, match=r"other\.safetensors"):
        Backbone("resnet18", pretrained=other)
