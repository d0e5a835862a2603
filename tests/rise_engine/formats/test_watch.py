"""Looking on while annotations are read and stored, and ending that."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from rise_engine.formats.coco import import_coco, to_coco
from rise_engine.project.project import Project

COUNT = 2_500
"""More than two transactions."""


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    images = tmp_path / "totes"
    images.mkdir()
    for name in ("a.png", "b.png"):
        Image.new("RGB", (80, 60), (9, 90, 200)).save(images / name)
    with Project.create(tmp_path / "totes.rise", images) as made:
        made.scan()
        yield made


@pytest.fixture
def file(tmp_path: Path) -> Path:
    square = [[5, 5, 30, 5, 30, 30, 5, 30]]
    annotations = [{"id": n, "image_id": n % 2, "category_id": 7, "segmentation": square} for n in range(COUNT)]
    images = [{"id": n, "file_name": name, "width": 80, "height": 60} for n, name in enumerate(("a.png", "b.png"))]
    path = tmp_path / "many.json"
    path.write_text(json.dumps({"annotations": annotations, "images": images, "categories": [{"id": 7, "name": "x"}]}))
    return path


class Onlooker:
    """Counts what passes, and raises at one item of one kind of work."""

    def __init__(self, ends: tuple[str, int] | None = None) -> None:
        self.ends = ends
        self.passed: dict[str, list[int]] = {}

    def __call__(self, items: Iterable[Any], *, total: int, doing: str) -> Iterator[Any]:
        self.passed[doing] = [0, total]
        for item in items:
            if self.ends == (doing, self.passed[doing][0]):
                raise KeyboardInterrupt
            self.passed[doing][0] += 1
            yield item


def test_everything_that_is_read_and_stored_passes_by(project: Project, file: Path) -> None:
    onlooker = Onlooker()
    assert import_coco(project, file, watch=onlooker).instances == COUNT
    assert onlooker.passed == {"reading annotations": [COUNT, COUNT], "storing annotations": [COUNT, COUNT]}
    # Nothing of it is stored a second time, and nobody is told so.
    again = Onlooker()
    import_coco(project, file, watch=again)
    assert again.passed == {"reading annotations": [COUNT, COUNT], "storing annotations": [0, 0]}


@pytest.mark.parametrize("doing", ["reading annotations", "storing annotations"])
@pytest.mark.parametrize("after", [0, 2_400])
def test_an_import_that_is_ended_leaves_nothing(project: Project, file: Path, doing: str, after: int) -> None:
    before, edits = to_coco(project), project.journal.history()
    with pytest.raises(KeyboardInterrupt):
        import_coco(project, file, watch=Onlooker((doing, after)))
    assert to_coco(project) == before and project.journal.history() == edits
    for table in ("instances", "imports"):
        assert project.store.read(f"SELECT count(*) FROM {table}")[0][0] == 0
    assert import_coco(project, file).instances == COUNT
