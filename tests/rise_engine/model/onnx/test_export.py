from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from rise_engine.config import ModelConfig
from rise_engine.errors import RiseError
from rise_engine.model import build_segmenter
from rise_engine.model.deformable_detr.segmenter import DeformableSegmenter
from rise_engine.model.onnx import ExportReport, check_export, export_onnx

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")

SIZE = (64, 96)


def frames(count: int) -> torch.Tensor:
    return torch.rand(count, 3, *SIZE, generator=torch.Generator().manual_seed(count))


def small_model(seed: int) -> DeformableSegmenter:
    torch.manual_seed(seed)
    config = ModelConfig(
        backbone="resnet10t", num_classes=2, hidden_dim=32, encoder_layers=1, decoder_layers=1, num_queries=10,
        num_heads=2, num_points=2, feedforward_dim=32, dropout=0.1, freeze_stages=0,
    )  # fmt: skip
    model = build_segmenter(config).train()
    for head in model.class_head:
        torch.nn.init.normal_(head.weight, std=0.3)
    return model


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> tuple[DeformableSegmenter, ExportReport]:
    """One export for all tests: tracing a network takes a while."""
    model = small_model(0)
    report = export_onnx(
        model,
        tmp_path_factory.mktemp("export") / "model.onnx",
        size=SIZE,
        class_names=["box", "bottle"],
        metadata={"run": 3, "licence": "Apache-2.0"},
        check_images=frames(1),
    )
    return model, report


Exported = tuple[DeformableSegmenter, ExportReport]


def test_the_file_is_checked_complete_and_alone(exported: Exported) -> None:
    _, report = exported
    assert report.size == SIZE
    assert report.frames == 1
    assert 0 <= report.max_difference <= 1e-4
    assert [path.name for path in report.path.parent.iterdir()] == ["model.onnx"]


@pytest.mark.parametrize("batch", [1, 2, 3])
def test_onnxruntime_finds_what_torch_finds_for_any_batch(exported: Exported, batch: int) -> None:
    model, report = exported
    session = onnxruntime.InferenceSession(report.path)
    images = frames(batch)
    scores, labels, boxes, masks = session.run(["scores", "labels", "boxes", "mask_logits"], {"images": images.numpy()})
    assert scores.shape == labels.shape == (batch, 20)
    assert boxes.shape == (batch, 20, 4)
    assert masks.shape == (batch, 20, 16, 24)
    with torch.no_grad():
        output = model.eval()(images)
    model.train()
    expected, order = output.class_logits.sigmoid().flatten(1).topk(20)
    torch.testing.assert_close(torch.from_numpy(scores), expected, atol=1e-4, rtol=0)
    for image in range(batch):
        query, label = divmod(int(order[image, 0]), 2)
        assert labels[image, 0] == label
        x, y, width, height = (output.boxes[image, query] * torch.tensor([96, 64, 96, 64])).tolist()
        corners = [x - width / 2, y - height / 2, x + width / 2, y + height / 2]
        assert boxes[image, 0].tolist() == pytest.approx(corners, abs=1e-2)
        torch.testing.assert_close(
            torch.from_numpy(masks[image, 0]), output.mask_logits[image, query], atol=1e-2, rtol=1e-3
        )


def test_the_graph_has_no_grid_sample_and_says_what_it_is(exported: Exported) -> None:
    graph = onnx.load(exported[1].path)
    assert "GridSample" not in {node.op_type for node in graph.graph.node}
    properties = {entry.key: json.loads(entry.value) for entry in graph.metadata_props}
    assert properties["class_names"] == ["box", "bottle"]
    assert properties["size"] == [64, 96]
    assert properties["run"] == 3
    assert properties["licence"] == "Apache-2.0"


def test_the_model_stays_in_training_with_its_form_of_attention(exported: Exported) -> None:
    model, _ = exported
    assert model.training
    assert model.decoder[0].training
    assert not model.backbone.batch_norms[0].training
    assert model.encoder[0].attn.form == "auto"


@pytest.mark.parametrize("part", ["class_head.0.bias", "box_head.0.layers.2.bias", "mask_controller.layers.2.bias"])
def test_a_file_of_another_network_fails_the_check(exported: Exported, part: str) -> None:
    """Scores, boxes and masks are each enough to fail."""
    model, report = exported
    changed = small_model(0)
    changed.load_state_dict(model.state_dict())
    with torch.no_grad():
        changed.get_parameter(part).add_(0.01)
    assert check_export(report.path, model, frames(2)) <= 1e-4
    with pytest.raises(RiseError, match="differs from torch"):
        check_export(report.path, changed, frames(2))


def test_nothing_is_left_when_the_check_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(b"the model of yesterday")

    def differs(part: Path, *_: object) -> float:
        assert part.stat().st_size > 0
        raise RiseError("the exported model differs from torch")

    class Program:
        """What the exporter returns, as far as it is used."""

        def __init__(self) -> None:
            self.model = self
            self.metadata_props: dict[str, str] = {}

        def save(self, part: Path) -> None:
            part.write_bytes(b"wrong")

    monkeypatch.setattr("rise_engine.model.onnx.check_export", differs)
    monkeypatch.setattr("rise_engine.model.onnx._trace", lambda *_, **__: Program())
    with pytest.raises(RiseError, match="differs"):
        export_onnx(small_model(1), path, size=SIZE, class_names=["a"], metadata={}, check_images=frames(1))
    assert path.read_bytes() == b"the model of yesterday"
    assert len(list(tmp_path.iterdir())) == 1


def test_frames_to_check_on_must_have_the_size(tmp_path: Path) -> None:
    for images in (frames(0), torch.rand(1, 3, 32, 32)):
        with pytest.raises(RiseError, match="64x96"):
            export_onnx(
                small_model(1), tmp_path / "m.onnx", size=SIZE, class_names=["a"], metadata={}, check_images=images
            )


@pytest.mark.slow
def test_half_precision_halves_the_file_and_spares_what_needs_more(exported: Exported, tmp_path: Path) -> None:
    model, full = exported
    path = tmp_path / "half.onnx"
    report = export_onnx(model, path, size=SIZE, class_names=["a", "b"], metadata={}, check_images=frames(1), half=True)
    assert 1e-7 < report.max_difference <= 1e-2
    assert path.stat().st_size < 0.65 * full.path.stat().st_size
    graph = onnx.load(path).graph
    halved = {entry.name for entry in graph.initializer if entry.data_type == onnx.TensorProto.FLOAT16}
    assert any("backbone" in name for name in halved)
    assert not [name for name in halved if any(part in name for part in ("decoder", "box_head", "class_head", "mask_"))]
    assert all(
        value.type.tensor_type.elem_type in (onnx.TensorProto.FLOAT, onnx.TensorProto.INT64)
        for value in [*graph.input, *graph.output]
    )
