"""Choice of the device (CPU, CUDA, MPS), of half precision, and copies to the device."""

from __future__ import annotations

import torch

from rise_engine.errors import DeviceError


def choose_device(name: str) -> torch.device:
    """``auto`` takes CUDA, then Apple's MPS, then the CPU; ``DeviceError`` when the requested device is missing."""
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        device = None
    if device is None or device.type not in ("cpu", "cuda", "mps"):
        raise DeviceError(f"Device {name!r} is unknown: use auto, cpu, cuda, cuda:N or mps.")
    count = torch.cuda.device_count()
    if device.type == "cuda" and (device.index or 0) >= count:
        raise DeviceError(f"Device {name!r} is missing: this machine has {count} CUDA device(s); use --device cpu.")
    if device.type == "mps" and not torch.backends.mps.is_available():
        raise DeviceError("Device 'mps' is missing: use --device cpu.")
    return device


def half_precision_pays(device: torch.device) -> bool:
    """False when the device converts bfloat16 to single precision and back, which is slow.

    On CPUs: x86 without AVX-512. torch does not report whether a CPU with AVX-512 computes in bfloat16.
    """
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return device.type != "cpu" or torch.backends.cpu.get_cpu_capability() not in ("NO AVX", "AVX2")


def moved(tensor: torch.Tensor, device: torch.device) -> torch.Tensor:
    """The tensor on ``device``; from CPU to GPU through pinned memory, without waiting for running kernels."""
    if device.type != "cuda" or tensor.device.type != "cpu":
        return tensor.to(device)
    return tensor.pin_memory().to(device, non_blocking=True)
