"""The image encoder: any timm network with feature maps of stride 8, 16 and 32."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import timm
import torch
from huggingface_hub.errors import EntryNotFoundError
from timm.layers.format import Format
from torch import Tensor, nn

from rise_engine.errors import RiseError, WeightsError
from rise_engine.model.backbone.depthwise import keep_depthwise_precise
from rise_engine.model.backbone.swin_windows import pad_before_shifting
from rise_engine.model.weights.file import read_tensors
from rise_engine.model.weights.hub import HubFile, fetch

STRIDES = (8, 16, 32)
FIRST_STAGE_STRIDE = 4
PROBE = (64, 96)
"""Height and width of a test image that shows whether a network accepts any size."""


class Backbone(nn.Module):
    """Images to one feature map for each of the ``strides``; normalises the pixels itself.

    BatchNorm keeps its pretrained statistics and scale, because batches are too small to estimate them. The first
    ``freeze_stages`` parts are not trained: 1 is everything before the stage of stride 4, 2 includes that stage, 3 the
    one of stride 8, and so on. No gradient is computed for frozen parts. ``pretrained`` is a file of
    weights under timm's names, or True for timm's own, which are downloaded unless its cache has them.
    """

    def __init__(
        self,
        name: str,
        *,
        freeze_stages: int = 0,
        pretrained: Path | bool | None = None,
        strides: Sequence[int] = STRIDES,
    ) -> None:
        super().__init__()
        self.net = _create(name, pretrained)
        keep_depthwise_precise(self.net)
        info = self.net.feature_info
        reductions = info.reduction()
        missing = [stride for stride in strides if stride not in reductions]
        if missing:
            raise RiseError(
                f"Backbone {name!r} has feature maps of stride {_listed(sorted({*reductions}))} and none of stride "
                f"{_listed(missing)}: choose a timm model with stages, such as resnet50 or convnext_tiny."
            )
        self.picked = [reductions.index(stride) for stride in strides]
        if not self._takes_any_size(strides):
            raise RiseError(
                f"Backbone {name!r} takes images of one size only, or its maps do not have the sizes of its strides: "
                "choose another timm model."
            )
        self.channels: list[int] = [info.channels()[index] for index in self.picked]
        self.channels_last = getattr(self.net, "output_fmt", None) == Format.NHWC
        # Stages of token networks (NHWC) have no final normalisation.
        self.out_norms = nn.ModuleList(nn.LayerNorm(count) for count in self.channels if self.channels_last)
        self.mean: Tensor
        self.std: Tensor
        self.register_buffer("mean", torch.tensor(self.net.pretrained_cfg["mean"]).view(3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(self.net.pretrained_cfg["std"]).view(3, 1, 1), persistent=False)
        self.batch_norms = [module for module in self.net.modules() if isinstance(module, nn.BatchNorm2d)]
        for norm in self.batch_norms:
            norm.requires_grad_(False)
        for parameter in self._first_parameters(freeze_stages):
            parameter.requires_grad_(False)
        self.train()

    @torch.no_grad()
    def _takes_any_size(self, strides: Sequence[int]) -> bool:
        """Whether the maps of a small test image have the sizes of the strides."""
        self.net.eval()
        try:
            maps = self.net(torch.zeros(1, 3, *PROBE))
        except Exception:  # networks of a fixed size raise exceptions of any type
            return False
        axes = (1, 2) if getattr(self.net, "output_fmt", None) == Format.NHWC else (2, 3)
        sizes = [tuple(maps[index].shape[axis] for axis in axes) for index in self.picked]
        return sizes == [tuple(side // stride for side in PROBE) for stride in strides]

    def _first_parameters(self, stages: int) -> list[nn.Parameter]:
        """The parameters of the first ``stages`` parts, in the order of the modules."""
        if stages == 0:
            return []
        stride = FIRST_STAGE_STRIDE * 2 ** max(stages - 2, 0)
        modules = {entry["reduction"]: entry["module"] for entry in self.net.feature_info.info}
        if stride not in modules:
            raise RiseError(f"freeze_stages={stages} is more than this backbone has: choose at most 5.")
        # timm replaces the dots of a name where it flattens a network into one list of stages.
        prefixes = (f"{modules[stride]}.", f"{modules[stride].replace('.', '_')}.")
        names = [name for name, _ in self.net.named_parameters()]
        of_stage = [index for index, name in enumerate(names) if name.startswith(prefixes)]
        if not of_stage:
            raise RiseError("The stages of this backbone cannot be separated: use --set model.freeze_stages=0.")
        end = of_stage[0] if stages == 1 else of_stage[-1] + 1
        return list(self.net.parameters())[:end]

    def train(self, mode: bool = True) -> Backbone:
        """As for any module, but BatchNorm stays in evaluation."""
        super().train(mode)
        for norm in self.batch_norms:
            norm.eval()
        return self

    def is_in(self, path: Path) -> bool:
        """Whether a weights file has at least half of this network's tensors under timm's names."""
        state = read_tensors(path)
        places = _places(self.net, state)
        return 2 * sum(key in state for key in places.values()) > len(places)

    def forward(self, images: Tensor, padding_mask: Tensor | None = None) -> list[Tensor]:
        """Feature maps [(B, C_i, H / s_i, W / s_i)] of images (B, 3, H, W) RGB 0..1; ``padding_mask`` (B, H, W)."""
        pixels = (images - self.mean) / self.std
        if padding_mask is not None:
            pixels = pixels.masked_fill(padding_mask[:, None], 0.0)
        if pixels.device.type == "cpu":
            # 10 % faster forward and backward for depthwise convolutions.
            pixels = pixels.contiguous(memory_format=torch.channels_last)
        maps = self.net(pixels)
        picked = [maps[index] for index in self.picked]
        if self.channels_last:
            picked = [norm(tokens).permute(0, 3, 1, 2) for norm, tokens in zip(self.out_norms, picked, strict=True)]
        return picked


def _listed(numbers: Sequence[int]) -> str:
    return ", ".join(map(str, numbers))


def _create(name: str, pretrained: Path | bool | None) -> Any:
    options: dict[str, Any] = {}
    if name.startswith("swin"):
        options = {"strict_img_size": False, "drop_path_rate": 0.3}
    if name.startswith("swin_"):
        # Without it, timm fits the windows of the last stage to ImageNet's crop size and does not shift them.
        options["always_partition"] = True
    if pretrained is True:
        options["pretrained_cfg_overlay"] = _weights_of_timm(name)
    try:
        net = timm.create_model(name, features_only=True, pretrained=pretrained is True, **options)
    except Exception as error:  # timm's loaders raise exceptions of any type: unknown name, no network, broken cache
        wanted = f"Backbone {name!r}" + (" with timm's weights" if pretrained is True else "")
        similar = get_close_matches(name.split(".")[0], timm.list_models(), n=3)
        hint = f"; similar names are {', '.join(similar)}" if similar and not timm.is_model(name) else ""
        raise RiseError(f"{wanted} cannot be loaded ({error}){hint}: check the name and the connection.") from error
    pad_before_shifting(net)
    if isinstance(pretrained, Path):
        _fill(net, pretrained)
    return net


def _weights_of_timm(name: str) -> dict[str, str] | None:
    """timm's weights in the hub's cache, downloaded if missing; None when timm must search itself.

    timm contacts the hub every time, even for cached weights, and waits for a minute without a network connection.
    """
    source = timm.get_pretrained_cfg(name) if timm.is_model(name) else None
    if source is None or not source.hf_hub_id or source.hf_hub_filename:
        return None
    try:
        return {"file": str(fetch(HubFile(source.hf_hub_id, "model.safetensors")))}
    except WeightsError as error:
        if isinstance(error.__cause__, EntryNotFoundError):
            return None
        raise


def _fill(net: nn.Module, path: Path) -> None:
    """Loads all tensors of the network from a file, which may have more, such as a classifier."""
    state = read_tensors(path)
    places = _places(net, state)
    missing = [name for name, key in places.items() if key not in state and not name.endswith("num_batches_tracked")]
    if missing:
        raise RiseError(
            f"{path} lacks {len(missing)} of the backbone's tensors ({missing[0]}, ...): "
            "choose weights of this backbone under timm's names."
        )
    try:
        net.load_state_dict({name: state[key] for name, key in places.items() if key in state}, strict=False)
    except RuntimeError as error:
        raise RiseError(f"{path} does not fit the backbone ({error}): choose weights of this backbone.") from error


def _places(net: nn.Module, state: Mapping[str, Tensor]) -> dict[str, str]:
    """The name in the file of each tensor of a network; timm writes layers.1 as layers_1 in a list of stages."""
    return {name: name if name in state else re.sub(r"^([a-z]+)_(\d+)\.", r"\1.\2.", name) for name in net.state_dict()}
