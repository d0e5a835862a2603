"""Read the tensors of a weights file without running any code from the file."""

from __future__ import annotations

import argparse
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from rise_engine.errors import RiseError

PICKLE_START = b"\x80"
TORCH_START = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."
"""How files of ``torch.save`` before version 1.6 begin; later ones are zip archives."""
NESTED_IN = ("model", "state_dict")
"""Where detectron2 and others keep the tensors in a checkpoint, next to the state of the optimiser."""


def read_tensors(path: Path) -> dict[str, Tensor]:
    """The named tensors of a ``.safetensors`` file or of a file of ``torch.save``.

    Arrays of numpy become tensors; everything else in a checkpoint is ignored. Raises ``RiseError`` when the file is
    missing, damaged, a bare Python pickle (as in detectron2's model zoo), or has more than plain data: no code from a
    file is ever run.
    """
    if not path.is_file():
        raise RiseError(f"There is no weights file {path}: check the path.")
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        _refuse_bare_pickle(path)
        with torch.serialization.safe_globals([*_numpy_parts(), *_settings_parts()]):
            content = torch.load(path, map_location="cpu", weights_only=True)
    except (SafetensorError, OSError) as error:
        raise RiseError(f"{path} is no readable weights file ({error}): choose another one.") from error
    except RiseError:
        raise
    except Exception as error:  # torch's restricted reader has no common exception type
        raise RiseError(f"{path} holds more than plain tensors, or is damaged: choose another file.") from error
    for key in NESTED_IN:
        if isinstance(content, dict) and isinstance(content.get(key), dict):
            content = content[key]
    if not isinstance(content, dict):
        return {}
    named = {name: _as_tensor(value) for name, value in content.items() if isinstance(name, str)}
    return {name: tensor for name, tensor in named.items() if tensor is not None}


def _refuse_bare_pickle(path: Path) -> None:
    with path.open("rb") as file:
        start = file.read(len(TORCH_START))
    if start.startswith(PICKLE_START) and start != TORCH_START:
        raise RiseError(
            f"{path} is a bare Python pickle, like detectron2's .pkl files, and reading it would run any program "
            "inside: use the .pth or .safetensors file of these weights, or convert this file with torch.save if you "
            "trust its source."
        )


def _numpy_parts() -> list[Any]:
    """The classes of plain numpy arrays in a checkpoint, under the names of numpy 1 and 2."""
    rebuild, scalar = np.empty(0).__reduce__()[0], np.float64(0).__reduce__()[0]
    dtypes = {type(np.dtype(name)) for name in ("float16", "float32", "float64", "int32", "int64", "bool")}
    modules = ("numpy.core.multiarray", "numpy._core.multiarray")
    functions = ((rebuild, "_reconstruct"), (scalar, "scalar"))
    return [
        np.ndarray,
        np.dtype,
        *dtypes,
        *((function, f"{module}.{name}") for function, name in functions for module in modules),
    ]


def _settings_parts() -> list[Any]:
    """What trainers save beside the tensors: argparse's options, and detectron2's settings as dicts."""
    nodes = ("yacs.config.CfgNode", "fvcore.common.config.CfgNode", "detectron2.config.config.CfgNode")
    return [argparse.Namespace, *((OrderedDict, name) for name in nodes)]


def _as_tensor(value: object) -> Tensor | None:
    if isinstance(value, np.ndarray) and value.dtype.kind in "fi":
        return torch.from_numpy(np.ascontiguousarray(value))
    return value if isinstance(value, Tensor) and value.layout == torch.strided else None
