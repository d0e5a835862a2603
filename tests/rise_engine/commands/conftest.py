"""A folder of drawn frames, its COCO file, a project of both, and the commands as a person runs them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from PIL import Image, ImageDraw

from rise_engine.cli import main

FRAMES = 8
LABELLED = 4
SIZE = (96, 128)
BOXES = ((10, 10, 50, 40), (60, 45, 110, 85))
"""The two objects of each frame, xyxy in pixels."""


class Outcome(NamedTuple):
    """How a command ended, and what it printed."""

    code: int
    out: str
    err: str


Rise = Callable[..., Outcome]


@pytest.fixture
def rise(capsys: pytest.CaptureFixture[str]) -> Rise:
    """Runs a command in this process."""

    def run(*arguments: str | Path) -> Outcome:
        with pytest.raises(SystemExit) as ended:
            main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return Outcome(int(ended.value.code or 0), captured.out, captured.err)

    return run


@pytest.fixture
def refuses(rise: Rise) -> Callable[..., str]:
    """Runs a command that must be refused with one sentence, and returns the sentence."""

    def run(*arguments: str | Path) -> str:
        outcome = rise(*arguments)
        assert outcome.code == 2, outcome
        assert outcome.err.startswith("rise: ")
        assert outcome.err.count("\n") == 1
        assert "Traceback" not in outcome.err
        return outcome.err

    return run


def coco_of(count: int, **changes: Any) -> dict[str, Any]:
    """COCO annotations of the first ``count`` frames."""
    annotations = [
        {
            "id": 100 * image + place,
            "image_id": image,
            "category_id": 7,
            "segmentation": [[x0, y0, x1, y0, x1, y1, x0, y1]],
            "bbox": [x0, y0, x1 - x0, y1 - y0],
            "area": (x1 - x0) * (y1 - y0),
            "iscrowd": 0,
        }
        for image in range(500, 500 + count)
        for place, (x0, y0, x1, y1) in enumerate(BOXES)
    ]
    images = [
        {"id": image, "file_name": f"tote_{image - 500}.png", "height": SIZE[0], "width": SIZE[1]}
        for image in range(500, 500 + count)
    ]
    return {"images": images, "annotations": annotations, "categories": [{"id": 7, "name": "parcel"}], **changes}


@pytest.fixture
def dataset() -> Callable[..., dict[str, Any]]:
    """Makes annotations, for tests that change something in them."""
    return coco_of


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """A folder of eight frames with two bright objects each."""
    folder = tmp_path / "totes"
    folder.mkdir()
    for number in range(FRAMES):
        picture = Image.new("RGB", (SIZE[1], SIZE[0]), (40, 40, 60 + number))
        draw = ImageDraw.Draw(picture)
        for place, box in enumerate(BOXES):
            draw.rectangle((box[0], box[1], box[2] - 1, box[3] - 1), fill=(200, 150 + 50 * place, 20))
        picture.save(folder / f"tote_{number}.png")
    return folder


@pytest.fixture
def coco(tmp_path: Path) -> Path:
    path = tmp_path / "labels.json"
    path.write_text(json.dumps(coco_of(LABELLED)))
    return path


@pytest.fixture
def project(tmp_path: Path, images: Path, coco: Path, rise: Rise) -> Path:
    path = tmp_path / "totes.rise"
    assert rise("new", path, "--images", images, "--coco", coco).code == 0
    return path
