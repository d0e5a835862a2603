"""Frame sizes are read in the background, without decoding images."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from rise_engine.project.project import Project

FRAMES = 5_000


@pytest.fixture
def large(tmp_path: Path) -> Path:
    """Thousands of frames in subfolders, of two sizes, and one file that is no image."""
    folder = tmp_path / "many"
    patterns = {}
    for name, size in (("wide", (6, 9)), ("tall", (9, 6))):
        pattern = tmp_path / f"{name}.png"
        Image.fromarray(np.zeros((*size, 3), np.uint8)).save(pattern)
        patterns[name] = pattern.read_bytes()
    for index in range(FRAMES):
        place = folder / f"day_{index % 5}" / f"frame_{index}.png"
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(patterns["tall" if index % 100 == 7 else "wide"])
    (folder / "broken.png").write_bytes(b"no image")
    return folder


def test_sizes_are_probed_and_only_shown_frames_are_decoded(
    workbench: Any, large: Path, monkeypatch: pytest.MonkeyPatch, qtbot: Any
) -> None:
    decoded: list[int] = []
    read: Callable[..., Any] = Project.image

    def counting(project: Project, frame: int) -> Any:
        decoded.append(frame)
        return read(project, frame)

    monkeypatch.setattr(Project, "image", counting)
    workspace, sizes = workbench.workspace, workbench.project.sizes
    assert workspace.open_path(large)
    assert len(workspace.frames) == FRAMES + 1
    workspace.show(workspace.frames[10].id)
    qtbot.waitUntil(lambda: len(sizes.unreadable) == 1 and "4,950" in sizes.summary(), timeout=60_000)
    assert sizes.summary() == "9 x 6 (4,950), 6 x 9 (50)"
    assert "broken.png" in workbench.header.message.text()
    assert "9 x 6 (4,950)" in workbench.project.where.text()
    assert len(set(decoded)) <= 6, "two frames were looked at, and their neighbours read ahead"
    workspace.close_project()
    assert sizes.summary() == ""
    workspace.open_path(large)
    assert "4,950" in sizes.summary(), "the store remembers them"
