"""Load pretrained weights into a network, with a report, and save weights as safetensors."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from safetensors import safe_open
from safetensors.torch import save_file
from torch import nn

from rise_engine.atomic import atomic_path
from rise_engine.errors import RiseError
from rise_engine.model.weights.file import read_tensors
from rise_engine.model.weights.foreign_names import Naming, naming_of, to_own_names, without_wrapper

HEADS = ("class_head.", "box_head.", "mask_controller.", "mask_features.", "embed_head.")
"""Heads that a detector from elsewhere may not have."""


@dataclass(frozen=True)
class LoadReport:
    """Which tensors were loaded from a weights file and which were not, under this project's names."""

    naming: Naming
    """The project that named the tensors of the file."""
    loaded: tuple[str, ...]
    missing: tuple[str, ...]
    """Tensors of heads that the file lacks; the network keeps its values."""
    unexpected: tuple[str, ...]
    """Tensors of the file that the network does not have."""
    mismatched: tuple[str, ...]
    """Tensors of heads with another size, such as a class head for other classes; class heads are initialised again."""

    @property
    def fresh_heads(self) -> tuple[str, ...]:
        """The heads of the network that keep initial values, entirely or in part."""
        return tuple(sorted({name.split(".")[0] for name in (*self.missing, *self.mismatched)}))


def save_weights(model: nn.Module, path: Path, *, metadata: Mapping[str, str]) -> None:
    """Write all parameters and buffers to a safetensors file, atomically."""
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
    with atomic_path(Path(path)) as part:
        save_file(tensors, part, metadata=dict(metadata))


def load_pretrained(model: nn.Module, path: Path) -> LoadReport:
    """Load into ``model`` the weights of a safetensors or ``.pth`` file.

    Names may be this project's, those of IDOL and SeqFormer (with detectron2's ResNet or the original Swin
    Transformer), the original Deformable DETR's, or those of the transformers library. A head of another size, or one
    that the file lacks, keeps the model's initial values and is reported. Raises ``RiseError`` and changes nothing when
    the file cannot be read, fits no known naming, lacks anything else, or has numbers that are not finite.

    The network then treats padding as the project of the weights does: ``model.config.padding`` is set.
    """
    path = Path(path)
    state = without_wrapper(read_tensors(path))
    own = model.state_dict()
    # Half of the names are enough: missing tensors are reported below.
    naming: Naming | None = "rise" if 2 * len(own.keys() & state.keys()) > len(own) else naming_of(state)
    if naming is None:
        raise RiseError(f"{path} has no weights of a Deformable DETR and none of this network: choose another file.")
    layers = sum(name.startswith("class_head.") and name.endswith(".bias") for name in own)
    given = to_own_names(state, naming, decoder_layers=layers)
    loaded = {name: tensor for name, tensor in given.items() if name in own and tensor.shape == own[name].shape}
    mismatched = [name for name in own if name in given and name not in loaded]
    # Frozen BatchNorm of other frameworks does not count batches, and here the count is unused.
    missing = [name for name in own if name not in given and not name.endswith("num_batches_tracked")]
    for names, what in ((missing, "lacks"), (mismatched, "has another size of")):
        wrong = [name for name in names if not name.startswith(HEADS)]
        if wrong:
            raise RiseError(
                f"{path} {what} {len(wrong)} of the network's tensors ({', '.join(wrong[:3])}, ...): "
                "choose the preset and settings that these weights were trained with, or other weights."
            )
    broken = [name for name, tensor in loaded.items() if not tensor.isfinite().all()]
    if broken:
        raise RiseError(
            f"{path} has infinite or NaN values in {len(broken)} of its tensors ({broken[0]}, ...): "
            "the file is damaged or its training diverged, choose another one."
        )
    if any(name.startswith("class_head.") for name in mismatched):
        loaded = {name: tensor for name, tensor in loaded.items() if not name.startswith("class_head.")}
        reset: Any = getattr(model, "reset_class_heads", None)
        if reset is not None:
            reset()
    model.load_state_dict(loaded, strict=False)
    settings: Any = getattr(model, "config", None)
    if settings is not None:
        settings.padding = _padding_of(path, naming)
    return LoadReport(
        naming=naming,
        loaded=tuple(loaded),
        missing=tuple(missing),
        unexpected=tuple(name for name in given if name not in own),
        mismatched=tuple(mismatched),
    )


def _padding_of(path: Path, naming: Naming) -> Literal["rise", "detr", "idol"]:
    """How the network of a weights file treats padding; files of this project record it when it is not ``rise``."""
    if naming == "idol":
        return "idol"
    if naming != "rise":
        return "detr"
    if path.suffix != ".safetensors":
        return "rise"
    with safe_open(path, framework="pt") as file:
        recorded = json.loads((file.metadata() or {}).get("config", "{}"))
    padding = recorded.get("padding") if isinstance(recorded, dict) else None
    return "idol" if padding == "idol" else "detr" if padding == "detr" else "rise"
