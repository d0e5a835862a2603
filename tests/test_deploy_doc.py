"""The program in docs/deploy.md, run as a reader would run it: in a process of its own, outside the source tree."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from rise_engine.config import ModelConfig
from rise_engine.model import build_segmenter
from rise_engine.model.export import export_onnx

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


def write_colour_model(path: Path) -> None:
    """A model with the outputs of an export, which "segments" what is red (twice) and what is green.

    Query 3 would segment what is blue, but its score is too low to count.
    """
    from onnx import TensorProto, helper, numpy_helper

    height, width = SIZE
    constants = {
        "scores": np.array([[0.6, 0.9, 0.8, 0.2]], np.float32),
        "labels": np.array([[1, 0, 0, 0]], np.int64),
        "boxes": np.array([[[0, 0, 1, 1], [16, 8, 48, 24], [0, 0, 1, 1], [0, 0, 1, 1]]], np.float32),
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
            helper.make_tensor_value_info("mask_logits", TensorProto.FLOAT, ["batch", 4, height // 4, width // 4]),
        ],
        initializer=[numpy_helper.from_array(value, name) for name, value in parts.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    helper.set_model_props(model, {key: json.dumps(value) for key, value in METADATA.items()})
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


def test_a_photo_that_lies_on_its_side_is_turned(program: Path, tmp_path: Path) -> None:
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
                parameter.copy_(torch.tensor([2.0, -9.0]))  # sure of the first class, whatever it sees
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
