"""The window opens a project without loading torch."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import sys
from pathlib import Path

import napari
from qtpy.QtWidgets import QApplication

viewer = napari.Viewer(show=False)
dock, workbench = viewer.window.add_plugin_dock_widget("rise-napari", "RISE: train from annotations")
workbench.workspace.open_folder(Path(sys.argv[1]))
for _ in range(20):
    QApplication.processEvents()
assert workbench.workspace.project is not None
heavy = {"torch", "torchvision", "timm", "kornia", "transformers", "onnx", "onnxruntime", "tensorboard"}
print("loaded:", *sorted(heavy & sys.modules.keys()))
viewer.close()
"""


@pytest.mark.slow
def test_the_window_opens_a_folder_without_torch(folder: Path, tmp_path: Path) -> None:
    own = {f"XDG_{kind}_HOME": str(tmp_path / kind) for kind in ("CONFIG", "CACHE", "DATA")}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(folder)],
        env=os.environ | own | {"QT_API": os.environ.get("QT_API", "pyqt5")},
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "loaded:"
