from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rise_engine.project.project import Project


def _draw_images(folder: Path, count: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        pixels = np.full((60, 80, 3), 20 * number % 256, dtype=np.uint8)
        pixels[10:30, 5 * number % 60 : 5 * number % 60 + 15] = (200, 50, 90)
        Image.fromarray(pixels).save(folder / f"tote{number}.png")


@pytest.fixture
def make_project(tmp_path: Path) -> Iterator[Callable[[int], Project]]:
    """Makes a scanned project of n small pictures, 80 wide and 60 high."""
    opened: list[Project] = []

    def make(count: int) -> Project:
        _draw_images(tmp_path / "totes", count)
        project = Project.create(Project.default_path(tmp_path / "totes"), tmp_path / "totes")
        project.scan()
        opened.append(project)
        return project

    yield make
    for project in opened:
        project.close()
