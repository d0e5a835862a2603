"""The data of ``store.py``: a large COCO data set, and a project of a few large images."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from rise_engine.project.project import Project
from rise_engine.project.records import Instance
from rise_engine.project.segmentation import from_mask
from rise_engine.synthetic import write_sample_folder

INSTANCES_A_FRAME = 47 / 4
"""On the eight frames in nine that have any: 470,000 on 45,000 frames."""
WIDTH, HEIGHT = 2448, 2048
"""What the file says; the many images themselves are tiny, since nothing may decode them."""
LARGE = (1944, 2592)
LARGE_FRAMES, LARGE_INSTANCES = 6, 30


def write_data(folder: Path, frames: int) -> None:
    """A folder of images, all of them links to one tiny file, and a COCO file with masks of every kind for them."""
    rng = np.random.default_rng(3)
    images = folder / "totes"
    tiny = folder / "tiny.jpg"
    Image.fromarray(rng.integers(0, 255, (48, 64, 3), dtype=np.uint8)).save(tiny)
    entries = []
    for number in range(frames):
        name = f"{number // 1000:03d}/tote{number}.jpg"
        path = images / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if number == 0:
            # The one that is looked at.
            Image.fromarray(rng.integers(0, 255, (HEIGHT // 8, WIDTH // 8, 3), dtype=np.uint8)).resize(
                (WIDTH, HEIGHT)
            ).save(path)
        else:
            os.link(tiny, path)
        entries.append({"id": 10 * number + 1, "file_name": name, "width": WIDTH, "height": HEIGHT, "camera": "left"})
    shapes = [_polygon(rng) for _ in range(400)] + [_run_lengths(rng) for _ in range(100)]
    texts = [json.dumps(shape) for shape in shapes]
    with (folder / "truth.json").open("w") as file:
        head = {"info": {"year": 2026}, "images": entries, "categories": [{"id": 4, "name": "object"}]}
        file.write(json.dumps(head)[:-1] + ', "annotations": [')
        number = 0
        for entry in entries[: frames * 8 // 9]:
            for _ in range(rng.binomial(2 * int(INSTANCES_A_FRAME), INSTANCES_A_FRAME / (2 * int(INSTANCES_A_FRAME)))):
                number += 1
                fields = {"id": number, "image_id": entry["id"], "category_id": 4, "area": 15000.5}
                fields |= {"bbox": [10.5, 20.25, 200.0, 180.75], "iscrowd": 0}
                text = texts[int(rng.integers(len(texts)))]
                file.write(f'{"," if number > 1 else ""}\n{json.dumps(fields)[:-1]}, "segmentation": {text}}}')
        file.write("]}\n")


def _polygon(rng: np.random.Generator) -> list[list[float]]:
    """A closed curve of 20 to 60 corners, its coordinates as odd as those of real files."""
    count = int(rng.integers(20, 60))
    angles = np.sort(rng.uniform(0, 2 * np.pi, count))
    radius = rng.uniform(60, 120, count)
    corners = np.stack([300 + radius * np.cos(angles), 300 + radius * np.sin(angles)], axis=1)
    return [[round(float(value), 2) for value in corners.ravel()]]


def _run_lengths(rng: np.random.Generator) -> dict[str, Any]:
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    row, column = rng.uniform(300, 1500, 2)
    return from_mask((rows - row) ** 2 + 0.6 * (columns - column) ** 2 < 90**2)


def write_large_project(folder: Path) -> None:
    """A few totes of 5 megapixels with 30 instances each."""
    drawn = write_sample_folder(folder / "large", count=LARGE_FRAMES, seed=5, size=(480, 640))
    for path in sorted((folder / "large").iterdir()):
        with Image.open(path) as picture:
            picture.convert("RGB").resize(LARGE[::-1]).save(path.with_suffix(".jpg"), quality=90)
        if path.suffix != ".jpg":
            path.unlink()
    with Project.create(folder / "large.rise", folder / "large") as project:
        project.scan()
        category = project.annotations.add_category("object").id
        for record, frame in zip(project.frames.all(), drawn, strict=True):
            masks = [np.asarray(Image.fromarray(mask).resize(LARGE[::-1])) for mask in frame.masks]
            many = (masks * LARGE_INSTANCES)[:LARGE_INSTANCES]
            project.annotations.add(record.id, [Instance(None, record.id, category, from_mask(one)) for one in many])
