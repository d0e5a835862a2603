"""The command line answers before anything heavy is loaded."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import io
import sys
from contextlib import redirect_stdout

from rise_engine.cli import main

for arguments in (["--help"], ["train", "--help"], ["predict", "--help"], ["export", "onnx", "--help"]):
    shown = io.StringIO()
    try:
        with redirect_stdout(shown):
            main(arguments)
    except SystemExit as ended:
        assert not ended.code, arguments
    assert "Usage: rise" in shown.getvalue()
heavy = {"torch", "torchvision", "timm", "kornia", "scipy", "skimage", "PIL", "numpy", "onnx", "onnxruntime"}
windows = {"napari", "qtpy", "magicgui", "superqt", "pyqtgraph", "vispy"}
print(*sorted((heavy | windows) & sys.modules.keys()))
"""


def test_help_loads_neither_torch_nor_a_window_nor_anything_else_that_takes_time() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, stdin=subprocess.DEVNULL)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == []
