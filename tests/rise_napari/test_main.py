"""``python -m rise_napari PATH``, which ``rise demo --gui`` calls, opens the window with the project."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import napari
import pytest

from rise_napari.__main__ import main


def test_the_window_opens_with_the_project(
    make_napari_viewer_proxy: Any, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    viewer = make_napari_viewer_proxy()
    shown = []
    monkeypatch.setattr(napari, "Viewer", lambda: viewer)
    monkeypatch.setattr(napari, "run", lambda: shown.append(list(viewer.layers)))
    main(folder)
    assert [layer.name for layer in shown[0]] == ["frames", "annotations"]
    assert Path(f"{folder}.rise").is_dir()
