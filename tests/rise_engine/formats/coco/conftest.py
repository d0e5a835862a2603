"""A project of the images of ``dataset.coco_dataset`` and one more."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from rise_engine.project.project import Project


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    images = tmp_path / "totes"
    (images / "sub").mkdir(parents=True)
    for name in ("b.png", "sub/a.png", "empty.png", "new.png"):
        Image.new("RGB", (80, 60), (9, 90, 200)).save(images / name)
    with Project.create(tmp_path / "totes.rise", images) as made:
        made.scan()
        yield made
