"""Which device a run uses."""

from __future__ import annotations

import torch

from rise_engine.errors import DeviceError


def choose_device(name: str) -> torch.device:
    """``auto`` takes CUDA, then Apple's MPS, then the CPU; ``DeviceError`` when the device asked for is not there."""
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        device = None
    if device is None or device.type not in ("cpu", "cuda", "mps"):
        raise DeviceError(f"device {name!r} is unknown: use auto, cpu, cuda, cuda:N or mps")
    count = torch.cuda.device_count()
    if device.type == "cuda" and (device.index or 0) >= count:
        raise DeviceError(f"device {name!r} is not there: this machine has {count} CUDA device(s); use --device cpu")
    if device.type == "mps" and not torch.backends.mps.is_available():
        raise DeviceError("device 'mps' is not there: use --device cpu")
    return device


def half_precision_pays(device: torch.device) -> bool:
    """False where bfloat16 must be converted to single precision and back, which is slow.

    Of CPUs that are those of x86 without AVX-512; whether one with AVX-512 has bfloat16 itself, torch does not tell.
    """
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return device.type != "cpu" or torch.backends.cpu.get_cpu_capability() not in ("NO AVX", "AVX2")


def moved(tensor: torch.Tensor, device: torch.device) -> torch.Tensor:
    """A tensor of the CPU on the device; to a GPU by way of pinned memory, so that nobody waits for what runs there."""
    if device.type != "cuda" or tensor.device.type != "cpu":
        return tensor.to(device)
    return tensor.pin_memory().to(device, non_blocking=True)
