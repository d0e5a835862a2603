"""Broken and malicious inputs, made from sound ones: case n of a seed is always the same."""

from __future__ import annotations

import copy
import io
import json
import pickle
import sqlite3
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from safetensors.torch import save

KINDS = ("coco", "image", "weights", "project", "config", "list")
SUFFIXES = ("jpg", "png", "bmp", "tif", "webp")
HOSTILE: tuple[Any, ...] = (
    None,
    True,
    -1,
    0,
    2**31,
    2**63,
    10**40,
    1e308,
    float("nan"),
    float("inf"),
    "",
    "../secret.png",
    "/etc/passwd",
    "C:\\secret.png",
    "..\\..\\secret.png",
    "out/secret.png",
    "a\0b.png",
    "\ud800",
    "x" * 100_000,
    [],
    {},
    [[]],
    [[1, 2, 3]],
    [[1e300, -1e300, 1e300, 1e300, 0, 0]],
    [["a", "b", "c", "d", "e", "f"]],
    {"size": [10**6, 10**6], "counts": [10**12]},
    {"size": [48, 64], "counts": [-5, 3077]},
    {"size": [48, 64], "counts": "oooooooooooooooooooo"},
    {"size": [48, 64], "counts": "é"},
    {"size": "48", "counts": 5},
    {"size": None, "counts": None},
)


class Marker:
    """Unpickled, it would leave a file where the tests look."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        return Path.touch, (self._path,)


def kind_of(case: int) -> str:
    """Every kind in turn."""
    return KINDS[case % len(KINDS)]


def make_case(folder: Path, seed: int, case: int) -> Path:
    """Spoils one input of the sound project in ``folder`` (``totes``, ``totes.rise``) and returns its file."""
    rng = np.random.default_rng((seed, case))
    makers: dict[str, Callable[[Path, np.random.Generator], Path]] = {
        "coco": _coco,
        "image": _image,
        "weights": _weights,
        "project": _project,
        "config": _config,
        "list": _list,
    }
    return makers[kind_of(case)](folder, rng)


def dataset() -> dict[str, Any]:
    """A sound COCO file for the three pictures of the project."""
    square = [[5.5, 5, 30, 5, 30, 30, 5, 30]]
    lengths = {"size": [48, 64], "counts": [100, 20, 2952]}
    return {
        "info": {"year": 2026, "description": "sound"},
        "licenses": [{"id": 1, "name": "none"}],
        "images": [{"id": n, "file_name": f"tote{n}.png", "width": 64, "height": 48} for n in range(3)],
        "categories": [{"id": 1, "name": "object"}, {"id": 2, "name": "Tote"}],
        "annotations": [
            {
                "id": n,
                "image_id": n % 3,
                "category_id": 1,
                "segmentation": square if n % 2 else lengths,
                "area": 625,
                "bbox": [5, 5, 25, 25],
                "iscrowd": n % 4 == 0,
                "extra": {"a": [1, 2]},
            }
            for n in range(6)
        ],
    }


def _spoilt_bytes(data: bytes, rng: np.random.Generator) -> bytes:
    changed = bytearray(data)
    for _ in range(int(rng.integers(1, 8))):
        at = int(rng.integers(0, max(1, len(changed))))
        length = int(rng.integers(1, 64))
        match int(rng.integers(0, 7)):
            case 0 if changed:
                changed[at % len(changed)] ^= 1 << int(rng.integers(0, 8))
            case 1:
                del changed[at : at + length]
            case 2:
                changed[at:at] = rng.bytes(length)
            case 3:
                changed[at : at + 4] = b"\xff\xff\xff\x7f"
            case 4:
                changed[at:at] = changed[:length]
            case 5 if rng.random() < 0.3:
                del changed[at:]
            case _:
                changed[at : at + length] = bytes(length)
    return bytes(changed)


def _spoilt_value(value: Any, rng: np.random.Generator) -> Any:
    """A copy of a JSON value with a few of its parts replaced, taken out or doubled."""
    value = copy.deepcopy(value)
    for _ in range(int(rng.integers(1, 4))):
        parent, key, here = None, None, value
        while isinstance(here, dict | list) and here and (parent is None or rng.random() < 0.8):
            parent = here
            key = str(rng.choice(list(here))) if isinstance(here, dict) else int(rng.integers(0, len(here)))
            here = here[key]
        if parent is None:
            continue
        match int(rng.integers(0, 6)):
            case 0:
                del parent[key]
            case 1 if isinstance(parent, list):
                parent.extend([here] * 3)
            case 2:
                parent[key] = {"nested": here}
            case _:
                parent[key] = HOSTILE[int(rng.integers(0, len(HOSTILE)))]
    return value


def _coco(folder: Path, rng: np.random.Generator) -> Path:
    path = folder / "input.json"
    choice = rng.random()
    if choice < 0.05:
        depth = int(rng.integers(1000, 200_000))
        path.write_text('{"images": ' + "[" * depth + "]" * depth + "}")
    elif choice < 0.1:
        path.write_text(json.dumps(dataset())[:-2] + "," * int(rng.integers(1, 9)) + '{"a": ' * 5000)
    elif choice < 0.3:
        path.write_bytes(_spoilt_bytes(json.dumps(dataset()).encode(), rng))
    else:
        path.write_text(json.dumps(_spoilt_value(dataset(), rng)))
    if rng.random() < 0.3:
        (folder / "totes" / "out").symlink_to(folder / "outside")
    return path


def _image(folder: Path, rng: np.random.Generator) -> Path:
    suffix = str(rng.choice(SUFFIXES))
    path = folder / "totes" / f"tote1.{suffix}"
    (folder / "totes" / "tote1.png").unlink()
    choice = rng.random()
    if choice < 0.1:
        path.write_bytes(_png_bomb(int(rng.choice([20_000, 60_000, 2**31 - 1]))))
    elif choice < 0.15:
        path.write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 64 48\n%%EndComments\n(marker) (w) file\n")
    elif choice < 0.2:
        path.write_bytes(rng.bytes(int(rng.integers(0, 5000))))
    else:
        path.write_bytes(_spoilt_bytes(_sound_picture(suffix, rng), rng))
    return path


def _sound_picture(suffix: str, rng: np.random.Generator) -> bytes:
    pixels = rng.integers(0, 255, (48, 64, 3), dtype=np.uint8)
    picture = Image.fromarray(pixels)
    mode = str(rng.choice(["RGB", "L", "P", "1", "I;16"]))
    if suffix in ("png", "tif"):
        picture = Image.fromarray(pixels[:, :, 0].astype(np.uint16) * 200) if mode == "I;16" else picture.convert(mode)
    file = io.BytesIO()
    kinds = {"jpg": "JPEG", "tif": "TIFF"}
    exif = Image.Exif()
    exif[0x0112] = int(rng.integers(0, 10))
    options = {"exif": exif} if suffix in ("jpg", "png", "webp") else {}
    picture.save(file, kinds.get(suffix, suffix.upper()), **options)
    return file.getvalue()


def _png_bomb(side: int) -> bytes:
    """A small file that says it is a picture of ``side`` x ``side``, most of it zeros that compress well."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    rows = zlib.compress(bytes(20_000_000), 9)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def _weights(folder: Path, rng: np.random.Generator) -> Path:
    tensors = {f"layer{n}.weight": torch.full((4, 4), float(n)) for n in range(4)}
    sound = folder / "totes.rise" / "runs" / "0001-laptop" / "weights.safetensors"
    choice = rng.random()
    if choice < 0.15:
        path = folder / "weights.pth"
        content: Any = Marker(folder / "outside" / "marker")
        if rng.random() < 0.5:
            path.write_bytes(pickle.dumps({"model": content}))
        else:
            torch.save({"model": {**tensors, "x": content}}, path)
    elif choice < 0.45:
        path = folder / "weights.pth"
        file = io.BytesIO()
        torch.save({"model": tensors}, file, _use_new_zipfile_serialization=bool(rng.random() < 0.5))
        path.write_bytes(_spoilt_bytes(file.getvalue(), rng))
    elif choice < 0.6:
        path = folder / "weights.safetensors"
        head = {"x": {"dtype": "F32", "shape": [2**40, 2**20], "data_offsets": [0, 64]}}
        text = json.dumps(_spoilt_value(head, rng)).encode()
        path.write_bytes(struct.pack("<Q", int(rng.choice([len(text), 2**62, 0]))) + text + bytes(64))
    elif choice < 0.8:
        path = folder / "weights.safetensors"
        metadata = {"config": json.dumps(_spoilt_value({"backbone": "x", "num_classes": 1}, rng)), "class_names": "{"}
        path.write_bytes(save(tensors, metadata=metadata))
    else:
        path = sound
        path.write_bytes(_spoilt_bytes(sound.read_bytes(), rng))
    return path


def _project(folder: Path, rng: np.random.Generator) -> Path:
    path = folder / "totes.rise" / "project.sqlite"
    if rng.random() < 0.4:
        path.write_bytes(_spoilt_bytes(path.read_bytes(), rng))
        return path
    connection = sqlite3.connect(path)
    tables = ("frames", "categories", "instances", "predictions", "runs", "settings", "journal", "documents", "changes")
    for _ in range(int(rng.integers(1, 4))):
        table = str(rng.choice(tables))
        columns = [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
        if not columns:
            continue  # dropped already
        column = str(rng.choice(columns))
        value = HOSTILE[int(rng.integers(0, len(HOSTILE)))]
        if rng.random() < 0.5 or isinstance(value, list | dict) or (isinstance(value, int) and abs(value) > 2**62):
            value = json.dumps(value)
        action = rng.random()
        try:
            if action < 0.1:
                connection.execute(f"DROP TABLE {table}")
            elif action < 0.15:
                connection.execute(f"DROP TABLE {table}")
                endless = "WITH RECURSIVE n(id) AS (SELECT 1 UNION ALL SELECT id + 1 FROM n) SELECT"
                connection.execute(
                    f"CREATE VIEW {table} AS {endless} {', '.join(f'id AS {c}' for c in columns)} FROM n"
                )
            elif action < 0.2:
                connection.execute(f"CREATE TRIGGER t AFTER UPDATE ON {table} BEGIN DELETE FROM frames; END")
            else:
                connection.execute(f"UPDATE OR REPLACE {table} SET {column} = ?", (value,))
        except (sqlite3.Error, UnicodeEncodeError):
            continue
    connection.commit()
    connection.close()
    return path


def _config(folder: Path, rng: np.random.Generator) -> Path:
    path = folder / "totes.rise" / "runs" / "0001-laptop" / "config.json"
    if rng.random() < 0.3:
        path.write_bytes(_spoilt_bytes(path.read_bytes(), rng))
    else:
        path.write_text(json.dumps(_spoilt_value(json.loads(path.read_text()), rng)))
    return path


def _list(folder: Path, rng: np.random.Generator) -> Path:
    path = folder / "list.txt"
    names = ["tote0.png", "tote1.png", *(str(value) for value in HOSTILE)]
    text = "\n".join(str(rng.choice(np.array(names, dtype=object))) for _ in range(int(rng.integers(0, 6))))
    path.write_bytes(_spoilt_bytes(text.encode("utf-8", "surrogatepass"), rng))
    return path
