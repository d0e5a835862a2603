"""Finding the images that a COCO file names."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rise_engine.errors import RiseError
from rise_engine.formats.coco.images import image_folder


def write(path: Path, *names: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    images = [{"id": number, "file_name": name} for number, name in enumerate(names)]
    path.write_text(json.dumps({"images": images, "annotations": [], "categories": []}))
    return path


def touch(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


@pytest.mark.parametrize(
    ("file", "folder"),
    [("a.json", "."), ("a.json", "images"), ("annotations/a.json", "train2017"), ("annotations/a.json", ".")],
)
def test_the_folder_is_found_beside_the_file_or_one_above(tmp_path: Path, file: str, folder: str) -> None:
    touch(tmp_path / folder / "one.jpg", tmp_path / folder / "sub" / "two.jpg", tmp_path / "other" / "one.jpg")
    found = image_folder(write(tmp_path / file, "one.jpg", "sub/two.jpg"))
    assert found.resolve() == (tmp_path / folder).resolve()


def test_the_folder_with_most_of_them_is_taken(tmp_path: Path) -> None:
    touch(tmp_path / "a" / "one.jpg", tmp_path / "b" / "one.jpg", tmp_path / "b" / "two.jpg")
    assert image_folder(write(tmp_path / "x.json", "one.jpg", "two.jpg", "three.jpg")) == tmp_path / "b"


def test_images_that_are_nowhere_are_told(tmp_path: Path) -> None:
    with pytest.raises(RiseError, match="not next to it"):
        image_folder(write(tmp_path / "deep" / "x.json", "one.jpg"))
