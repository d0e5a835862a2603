"""Weights on disk: written as safetensors, read under this project's names and those of two others."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from rise_engine.atomic import atomic_path
from rise_engine.errors import RiseError
from rise_engine.model.foreign_names import Naming, naming_of, to_own_names

HEADS = ("class_head.", "box_head.", "mask_controller.", "mask_features.", "embed_head.")
"""What a detector trained elsewhere may lack."""


@dataclass(frozen=True)
class LoadReport:
    """What a weights file gave and did not give; names are this project's, except those of ``unexpected``."""

    naming: Naming
    """Whose names the file uses."""
    loaded: tuple[str, ...]
    missing: tuple[str, ...]
    """Tensors of heads that the file lacks; they keep the values they had."""
    unexpected: tuple[str, ...]
    """Tensors of the file that the network has no place for, under the names that they were given here."""
    mismatched: tuple[str, ...]
    """Tensors of heads with another size, as of a class head for other classes; class heads start afresh."""


def save_weights(model: nn.Module, path: Path, *, metadata: Mapping[str, str]) -> None:
    """Write all parameters and buffers to a safetensors file, in one piece or not at all."""
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
    with atomic_path(Path(path)) as part:
        save_file(tensors, part, metadata=dict(metadata))


def load_pretrained(model: nn.Module, path: Path) -> LoadReport:
    """Give ``model`` the weights of a safetensors or ``.pth`` file.

    Names may be this project's, the original Deformable DETR's, or those of the transformers library. A head of
    another size, or one that the file lacks, keeps the model's fresh values and is reported. Raises ``RiseError``
    and changes nothing when the file cannot be read, fits no known naming, or lacks anything else.
    """
    path = Path(path)
    state = _read(path)
    own = model.state_dict()
    # Half of the names are enough: what is lacking is told below, name by name.
    naming: Naming | None = "rise" if 2 * len(own.keys() & state.keys()) > len(own) else naming_of(state)
    if naming is None:
        raise RiseError(f"{path} holds no weights of a Deformable DETR and none of this network: choose another file")
    layers = sum(name.startswith("class_head.") and name.endswith(".bias") for name in own)
    given = to_own_names(state, naming, decoder_layers=layers)
    loaded = {name: tensor for name, tensor in given.items() if name in own and tensor.shape == own[name].shape}
    mismatched = [name for name in own if name in given and name not in loaded]
    # Other frameworks' frozen BatchNorm counts no batches; nor does ours look at that number.
    missing = [name for name in own if name not in given and not name.endswith("num_batches_tracked")]
    for names, what in ((missing, "lacks"), (mismatched, "has another size of")):
        wrong = [name for name in names if not name.startswith(HEADS)]
        if wrong:
            raise RiseError(
                f"{path} {what} {len(wrong)} of the network's tensors ({', '.join(wrong[:3])}, ...): "
                "choose the preset and settings that these weights were trained with, or other weights"
            )
    if any(name.startswith("class_head.") for name in mismatched):
        loaded = {name: tensor for name, tensor in loaded.items() if not name.startswith("class_head.")}
        reset: Any = getattr(model, "reset_class_heads", None)
        if reset is not None:
            reset()
    model.load_state_dict(loaded, strict=False)
    return LoadReport(
        naming=naming,
        loaded=tuple(loaded),
        missing=tuple(missing),
        unexpected=tuple(name for name in given if name not in own),
        mismatched=tuple(mismatched),
    )


def _read(path: Path) -> dict[str, Tensor]:
    if not path.is_file():
        raise RiseError(f"there is no weights file {path}: check the path")
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        content = torch.load(path, map_location="cpu", weights_only=True)
    except (SafetensorError, OSError) as error:
        raise RiseError(f"{path} is no readable safetensors file ({error}): choose another one") from error
    except Exception as error:  # whatever torch's restricted reader finds wrong; it names no common type
        raise RiseError(f"{path} holds more than plain tensors, or is damaged: choose another file") from error
    for key in ("model", "state_dict"):
        if isinstance(content, dict) and isinstance(content.get(key), dict):
            content = content[key]
    if not isinstance(content, dict):
        return {}
    return {name: value for name, value in content.items() if isinstance(name, str) and isinstance(value, Tensor)}
