"""The programs of docs/deploy.md and of examples/, each in a process of its own that cannot import this project."""

from __future__ import annotations

import importlib.util
import json
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from pycocotools import mask as rle_codec
from torchvision.ops import batched_nms

from rise_engine.config import ModelConfig
from rise_engine.model import build_segmenter
from rise_engine.model.onnx import export_onnx
from rise_engine.prediction.postprocess import full_size_mask

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

DOCUMENT = Path(__file__).resolve().parents[1] / "docs" / "deploy.md"
SIZE = (64, 96)
"""Height and width of the model's input."""
METADATA = {"class_names": ["box", "bottle"], "size": list(SIZE), "thresholds": {"score": 0.3}}


@pytest.fixture
def program(tmp_path: Path) -> Path:
    """The one Python block of the document."""
    (block,) = re.findall(r"```python\n(.*?)```", DOCUMENT.read_text(encoding="utf-8"), flags=re.DOTALL)
    path = tmp_path / "masks.py"
    path.write_text(block, encoding="utf-8")
    return path


def run_program(program: Path, model: Path, photo: Path, picture: Path) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-I", str(program), str(model), str(photo), str(picture)],
        cwd=program.parent,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def write_colour_model(path: Path, metadata: dict[str, Any] = METADATA, *, free: bool = False) -> None:
    """Writes a model with the outputs of an export. It "segments" red pixels (twice) and green pixels.

    Query 3 would segment blue pixels, but its score is too low. The input size is fixed, or ``free``.
    """
    from onnx import TensorProto, helper, numpy_helper

    height, width = (None, None) if free else SIZE
    quarter = (None, None) if free else (SIZE[0] // 4, SIZE[1] // 4)
    constants = {
        "scores": np.array([[0.6, 0.9, 0.8, 0.2]], np.float32),
        "labels": np.array([[1, 0, 0, 0]], np.int64),
        "boxes": np.array([[[0, 0, 1, 1], [16, 8, 48, 24], [16, 8, 47, 24], [0, 0, 1, 1]]], np.float32),
    }
    nodes = [
        helper.make_node("Constant", [], [name], value=numpy_helper.from_array(value))
        for name, value in constants.items()
    ]
    parts = {"channel": np.array([1, 0, 0, 2]), "half": np.array(0.5, np.float32)}
    nodes += [
        helper.make_node("AveragePool", ["images"], ["pooled"], kernel_shape=[4, 4], strides=[4, 4]),
        helper.make_node("Gather", ["pooled", "channel"], ["picked"], axis=1),
        helper.make_node("Sub", ["picked", "half"], ["mask_logits"]),
    ]
    graph = helper.make_graph(
        nodes,
        "colours",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, ["batch", 3, height, width])],
        [
            helper.make_tensor_value_info("scores", TensorProto.FLOAT, [1, 4]),
            helper.make_tensor_value_info("labels", TensorProto.INT64, [1, 4]),
            helper.make_tensor_value_info("boxes", TensorProto.FLOAT, [1, 4, 4]),
            helper.make_tensor_value_info("mask_logits", TensorProto.FLOAT, ["batch", 4, *quarter]),
        ],
        initializer=[numpy_helper.from_array(value, name) for name, value in parts.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    helper.set_model_props(model, {key: json.dumps(value) for key, value in metadata.items()})
    onnx.save(model, path)


def test_the_program_is_as_short_as_promised(program: Path) -> None:
    lines = [line for line in program.read_text(encoding="utf-8").splitlines() if line.strip()]
    assert len(lines) <= 32


def test_masks_come_back_at_the_size_and_place_of_the_photo(program: Path, tmp_path: Path) -> None:
    model, photo, picture = tmp_path / "colours.onnx", tmp_path / "photo.png", tmp_path / "painted.png"
    write_colour_model(model)
    pixels = np.zeros((128, 96, 3), np.uint8)  # twice as high as the input, and as wide
    pixels[16:48, 32:80, 0] = 255
    pixels[80:112, 16:48, 1] = 255
    pixels[80:112, 64:88, 2] = 255
    Image.fromarray(pixels).save(photo)

    lines = run_program(program, model, photo, picture)

    assert lines == ["box 0.90 at [16.0, 16.0, 48.0, 48.0]", "bottle 0.60 at [0.0, 0.0, 1.0, 2.0]"]
    changed = (np.asarray(Image.open(picture)) != pixels).any(axis=2)
    expected = (pixels[:, :, 0] > 0) | (pixels[:, :, 1] > 0)
    assert (changed & expected).sum() / (changed | expected).sum() > 0.9


def test_a_photo_with_an_exif_rotation_is_turned_upright(program: Path, tmp_path: Path) -> None:
    model, photo, picture = tmp_path / "colours.onnx", tmp_path / "photo.jpg", tmp_path / "painted.png"
    write_colour_model(model)
    turn = Image.Exif()
    turn[0x0112] = 6
    Image.new("RGB", (60, 40)).save(photo, exif=turn)
    run_program(program, model, photo, picture)
    with Image.open(picture) as painted:
        assert painted.size == (40, 60)


@pytest.mark.slow
@pytest.mark.timeout(900)  # the exporter takes minutes on a busy machine
def test_it_runs_what_the_export_writes(program: Path, tmp_path: Path) -> None:
    torch.manual_seed(0)
    config = ModelConfig(
        backbone="tf_efficientnet_lite0",
        hidden_dim=32,
        encoder_layers=1,
        decoder_layers=1,
        num_queries=5,
        feedforward_dim=64,
        num_classes=2,
    )
    network = build_segmenter(config).eval()
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if name.startswith("class_head") and name.endswith("bias"):
                parameter.copy_(torch.tensor([2.0, -9.0]))  # high scores of the first class for any input
    photo, picture = tmp_path / "photo.png", tmp_path / "painted.png"
    noise = np.random.default_rng(0).integers(0, 256, (50, 40, 3), np.uint8)
    Image.fromarray(noise).save(photo)
    model = tmp_path / "tiny.onnx"
    export_onnx(
        network,
        model,
        size=SIZE,
        class_names=["box", "bottle"],
        metadata={"thresholds": METADATA["thresholds"]},
        check_images=torch.rand(1, 3, *SIZE),
    )
    lines = run_program(program, model, photo, picture)
    assert 1 <= len(lines) <= 5
    assert all(re.fullmatch(r"box 0\.\d\d at \[.*\]", line) for line in lines)
    with Image.open(picture) as painted:
        assert painted.size == (40, 50)


EXAMPLE = DOCUMENT.parents[1] / "examples" / "segment_folder.py"
ALONE = """
import runpy
import sys

ABSENT = {"torch", "torchvision", "timm", "rise_engine", "rise_napari", "pycocotools", "scipy", "skimage", "onnx"}

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ABSENT:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

class Camera:
    def __init__(self, number):
        assert number == 7
        self.left = 3
    def isOpened(self):
        return True
    def read(self):
        import numpy
        self.left -= 1
        picture = numpy.zeros((64, 96, 3), numpy.uint8)
        picture[16:32, 16:48, 2] = 255  # red, as OpenCV has it
        return self.left >= 0, picture
    def release(self):
        pass

sys.meta_path.insert(0, Absent())
sys.modules["cv2"] = type(sys)("cv2")
sys.modules["cv2"].VideoCapture = Camera
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def run_example(folder: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-I", "-c", ALONE, str(EXAMPLE), *map(str, arguments)],
        cwd=folder,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
    )


def records_of(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out / "instances.jsonl").read_text(encoding="utf-8").splitlines()]


@pytest.fixture(scope="module")
def example() -> ModuleType:
    specification = importlib.util.spec_from_file_location("segment_folder", EXAMPLE)
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    sys.modules["segment_folder"] = module
    specification.loader.exec_module(module)
    return module


@pytest.mark.parametrize("free", [False, True], ids=["fixed size", "free size"])
def test_the_example_segments_a_folder_without_torch_and_without_this_project(free: bool, tmp_path: Path) -> None:
    sizes = {"dynamic_size": True, "size_multiple": 32, "short_side": 64, "long_side": 200} if free else {}
    write_colour_model(tmp_path / "colours.onnx", METADATA | sizes, free=free)
    photos = tmp_path / "photos"
    (photos / "later").mkdir(parents=True)
    pixels = np.zeros((128, 192, 3), np.uint8)
    pixels[16:48, 32:80, 0] = 255
    pixels[96:128, 160:192, 1] = 255  # up to the last pixel
    Image.fromarray(pixels).save(photos / "later" / "a.png")
    Image.new("RGB", (96, 64)).save(photos / "b.png")
    (photos / "broken.jpg").write_bytes(b"no image")

    done = run_example(tmp_path, "colours.onnx", "photos", "out")

    assert done.returncode == 0, done.stderr
    assert "broken.jpg cannot be read" in done.stderr
    assert done.stdout.startswith("2 frames")
    empty, record = records_of(tmp_path / "out")
    assert (empty["frame"], empty["instances"]) == ("b.png", [])
    assert (record["frame"], record["height"], record["width"]) == ("later/a.png", 128, 192)
    assert [(one["label"], one["category"], one["score"]) for one in record["instances"]] == [
        (1, "box", 0.9),
        (2, "bottle", 0.6),
    ]
    with Image.open(tmp_path / "out" / record["mask"]) as picture:
        assert picture.mode.startswith("I;16")
        labels = np.asarray(picture)
    assert labels.shape == (128, 192)
    for channel, one in enumerate(record["instances"]):
        expected = pixels[:, :, channel] > 0
        mask = labels == one["label"]
        assert (mask & expected).sum() / (mask | expected).sum() > 0.85
        rle = rle_codec.frPyObjects(one["rle"], 128, 192)
        assert (rle_codec.decode(rle).astype(bool) == mask).all()
        rows, columns = np.nonzero(mask)
        assert one["box"] == [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]


def test_the_example_reads_a_camera(tmp_path: Path) -> None:
    write_colour_model(tmp_path / "colours.onnx")
    done = run_example(tmp_path, "colours.onnx", "camera:7", "out", "--limit", "2", "--score", "0.7")
    assert done.returncode == 0, done.stderr
    records = records_of(tmp_path / "out")
    assert [record["frame"] for record in records] == ["frame_000001", "frame_000002"]
    assert records[0]["instances"][0]["box"] == pytest.approx([16, 16, 48, 32], abs=1)


def test_the_example_refuses_bad_input_with_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "text.onnx").write_text("no model")
    write_colour_model(tmp_path / "bare.onnx", {})
    write_colour_model(tmp_path / "colours.onnx")
    (tmp_path / "empty").mkdir()
    for model, source, sentence in (
        ("absent.onnx", "empty", "There is no model absent.onnx."),
        ("text.onnx", "empty", "text.onnx was not written by `rise export onnx` ("),
        (
            "bare.onnx",
            "empty",
            "bare.onnx was not written by `rise export onnx`: class_names, size, thresholds missing.",
        ),
        ("colours.onnx", "absent", "There is no folder absent."),
        ("colours.onnx", "empty", "empty has no images."),
    ):
        done = run_example(tmp_path, model, source, "out")
        assert done.returncode == 2
        assert sentence in done.stderr
        assert "Traceback" not in done.stderr
    assert not (tmp_path / "out").exists()


def test_the_example_reads_outputs_as_prediction_does(example: ModuleType) -> None:
    random = np.random.default_rng(0)
    for size in ((64, 96), (150, 77), (16, 24)):
        logits = random.normal(-1, 1, (16, 24)).astype(np.float32)
        logits[4:9, 10:] += 3
        ours, theirs = example.enlarged(logits, size), full_size_mask(logits, (64, 96), size)
        assert ours is not None
        assert theirs is not None
        rle, box = theirs
        found = example.Instance("box", 1.0, *ours)
        assert found.box == box
        assert (rle_codec.decode(rle_codec.frPyObjects(found.rle(size), *size)) == rle_codec.decode(rle)).all()
    assert example.enlarged(np.full((16, 24), -1, np.float32), (64, 96)) is None

    corners = random.uniform(0, 40, (60, 2))
    boxes = np.concatenate([corners, corners + random.uniform(10, 40, (60, 2))], axis=1).astype(np.float32)
    scores, labels = random.uniform(0, 1, 60).astype(np.float32), random.integers(0, 2, 60)
    kept = example.best_of_each_place(scores, labels, boxes, score=0.25, overlap=0.4)
    expected = batched_nms(*map(torch.from_numpy, (boxes, scores, labels)), 0.4).tolist()
    assert kept == [row for row in expected if scores[row] >= 0.25]
    assert 5 < len(kept) < 40
