"""The checks of `rise doctor`: what this machine has, and what is missing."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import platform
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from rise_engine.resources import starter_path

LIBRARIES = ("torch", "torchvision", "timm", "numpy", "pycocotools", "kornia", "safetensors")
WINDOW_LIBRARIES = ("napari", "qtpy", "pyqtgraph")
BINDINGS = ("PyQt5", "PyQt6", "PySide6")
EXPORT_LIBRARIES = ("onnx", "onnxruntime", "onnxscript")
ENOUGH_DISK = 5e9
ENOUGH_MEMORY = 4e9
OLDEST_SQLITE = (3, 35, 0)
PROBE_TIMEOUT_SECONDS = 120
NO_ANSWER = f"no answer within {PROBE_TIMEOUT_SECONDS} s"


@dataclass(frozen=True, slots=True)
class Finding:
    """One line: what was checked, the result, and advice when it is not sufficient."""

    subject: str
    found: str
    advice: str | None = None

    @property
    def ok(self) -> bool:
        """Whether the result is sufficient."""
        return self.advice is None

    def __str__(self) -> str:
        line = f"{'ok  ' if self.ok else 'warn'}  {self.subject}: {self.found}"
        return line if self.ok else f"{line}; {self.advice}"


def examine(folder: Path | None = None) -> Iterator[Finding]:
    """Check everything that RISE needs, one finding at a time; ``folder`` will contain the projects."""
    folder = folder or Path.cwd()
    yield Finding("RISE", _version("rise-napari") or "a source tree", None)
    yield Finding("Python", f"{platform.python_version()} on {platform.system()} {platform.machine()}")
    for name in LIBRARIES:
        yield library(name, advice=f"install it again with `pip install {name}`")
    yield from devices()
    yield processors()
    yield memory()
    yield disk(folder)
    yield database()
    yield starter_weights()
    for name in EXPORT_LIBRARIES:
        yield library(name, advice="for `rise export onnx`, run pip install 'rise-napari[onnx]'")
    for name in WINDOW_LIBRARIES:
        yield library(name, advice="for the window, run pip install 'rise-napari[all]'")
    yield binding()
    yield display()


def library(name: str, *, advice: str) -> Finding:
    """The version of a library."""
    version = _version(name)
    return Finding(name, "not installed", advice) if version is None else Finding(name, version)


def devices() -> Iterator[Finding]:
    """The devices of torch. Torch is loaded in another process, so that a broken torch does not end the checks."""
    code = (
        "import torch, torchvision; print('cpu', torch.get_num_threads(), 'threads')\n"
        "for i in range(torch.cuda.device_count()):\n"
        "    p = torch.cuda.get_device_properties(i); print(f'cuda:{i}', p.name, f'{p.total_memory / 2**30:.0f} GB')\n"
        "if torch.backends.mps.is_available(): print('mps')\n"
    )
    output, error = _python(code)
    if error is not None:
        advice = (
            "the machine may be busy; try again later"
            if error == NO_ANSWER
            else "torch and torchvision of different builds do not work together; install both from one index"
        )
        yield Finding("devices", f"torch does not load ({error})", advice)
        return
    lines = output.splitlines()
    for line in lines:
        yield Finding("device", line)
    if len(lines) == 1:
        found = "no GPU that torch can use"
        if shutil.which("nvidia-smi"):
            yield Finding("device", found, "update the NVIDIA driver, or install a torch for its CUDA version")
        else:
            yield Finding("device", f"{found}; the default preset is laptop")


def processors() -> Finding:
    """The number of cores that this process may use."""
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return Finding("cores", str(count), None if count > 1 else "training while the window is open needs two")


def memory() -> Finding:
    """The free memory, where the system reports it."""
    path = Path("/proc/meminfo")
    if not path.is_file():
        return Finding("memory", "not reported by this system")
    fields = dict(line.split(":", 1) for line in path.read_text(encoding="ascii").splitlines())
    free = int(fields["MemAvailable"].split()[0]) * 1024
    return Finding("memory", f"{free / 1e9:.1f} GB free", None if free >= ENOUGH_MEMORY else "close other programs")


def disk(folder: Path) -> Finding:
    """The free disk space for projects, and whether the folder can be written."""
    free = shutil.disk_usage(folder).free
    found = f"{free / 1e9:.1f} GB free in {folder}"
    if not os.access(folder, os.W_OK):
        return Finding("disk", f"{folder} cannot be written", "use a folder that you may write to")
    return Finding("disk", found, None if free >= ENOUGH_DISK else "runs need space for weights; free some")


def database() -> Finding:
    """The SQLite version of this Python."""
    old = sqlite3.sqlite_version_info < OLDEST_SQLITE
    return Finding("SQLite", sqlite3.sqlite_version, "use a newer Python" if old else None)


def starter_weights() -> Finding:
    """Whether the starter weights, which predict before the first annotation, are installed."""
    path = starter_path()
    if path is None:
        return Finding("starter weights", "not shipped with this installation", "train with --weights imagenet or FILE")
    return Finding("starter weights", f"{path.stat().st_size / 1e6:.1f} MB")


def binding() -> Finding:
    """The Qt binding of the window, loaded in another process: a broken binding ends its process without a message."""
    installed = [name for name in BINDINGS if importlib.util.find_spec(name) is not None]
    advice = "for the window, run pip install 'rise-napari[pyqt5]'"
    if not installed:
        return Finding("Qt", "no binding installed", advice)
    output, error = _python("import qtpy, qtpy.QtWidgets as w; print(qtpy.API_NAME, qtpy.QT_VERSION)")
    if error is not None:
        return Finding("Qt", f"{', '.join(installed)} does not load ({error})", advice)
    return Finding("Qt", output.strip())


def display() -> Finding:
    """Whether a window can be shown."""
    if sys.platform != "linux":
        return Finding("display", "provided by the system")
    name = os.environ.get("WAYLAND_DISPLAY") or os.environ.get("DISPLAY")
    if name:
        return Finding("display", name)
    return Finding("display", "none", "the command line needs none; for the window, use a desktop or `xvfb-run`")


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _python(code: str) -> tuple[str, str | None]:
    """The output of another Python process, and the last line of its error if it fails."""
    try:
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, timeout=PROBE_TIMEOUT_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        return "", NO_ANSWER
    if done.returncode == 0:
        return done.stdout, None
    message = done.stderr.strip().splitlines()
    return "", message[-1] if message else f"exit status {done.returncode}"
