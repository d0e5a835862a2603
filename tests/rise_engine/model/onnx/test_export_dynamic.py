"""An export whose height and width are free, against torch at several sizes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import product
from typing import Any

import pytest
import torch
from timm.layers.conv2d_same import Conv2dSame
from torch import nn

from rise_engine.config import ModelConfig
from rise_engine.model import build_segmenter
from rise_engine.model import onnx as onnx_export
from rise_engine.model.backbone.same_padding import make_same_padding_static
from rise_engine.model.deformable_detr.segmenter import DeformableSegmenter
from rise_engine.model.onnx import ExportReport, check_export, export_onnx

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")

SIZES = [(64, 96), (96, 64), (64, 64), (128, 224)]
"""The first is the one that the file was meant for."""


def frames(count: int, size: tuple[int, int]) -> torch.Tensor:
    return torch.rand(count, 3, *size, generator=torch.Generator().manual_seed(size[0] + count))


@pytest.fixture(scope="module")
def model() -> DeformableSegmenter:

    torch.manual_seed(0)
    config = ModelConfig(
        backbone="resnet10t", num_classes=2, hidden_dim=64, encoder_layers=1, decoder_layers=1,
        num_queries=10, num_heads=2, num_points=2, feedforward_dim=32, freeze_stages=0,
    )  # fmt: skip
    network = build_segmenter(config).eval()
    for head in network.class_head:
        nn.init.normal_(head.weight, std=0.3)
    return network


@pytest.fixture(scope="module", autouse=True)
def traced_once() -> Iterator[None]:
    """Tracing with free sides takes most of the time, and both precisions begin with the same trace."""
    programs: list[Any] = []

    def trace(*arguments: Any, **options: Any) -> Any:
        if not programs:
            programs.append(original(*arguments, **options))
        return programs[0]

    original = onnx_export._trace
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(onnx_export, "_trace", trace)
        yield


@pytest.fixture(scope="module", params=[False, True], ids=["full", "half"])
def exported(
    request: pytest.FixtureRequest, model: DeformableSegmenter, tmp_path_factory: pytest.TempPathFactory
) -> ExportReport:
    return export_onnx(
        model,
        tmp_path_factory.mktemp("export") / "model.onnx",
        size=SIZES[0],
        class_names=["box", "bottle"],
        metadata={},
        check_images=frames(1, SIZES[0]),
        half=request.param,
        dynamic=True,
    )


@pytest.mark.slow
@pytest.mark.timeout(900)  # the exporter takes minutes on a busy machine
def test_one_file_serves_every_size_and_batch(model: DeformableSegmenter, exported: ExportReport) -> None:
    graph = onnx.load(exported.path)
    half = any(entry.data_type == onnx.TensorProto.FLOAT16 for entry in graph.graph.initializer)
    bound = 1e-2 if half else 1e-4
    assert exported.max_difference <= bound
    assert "GridSample" not in {node.op_type for node in graph.graph.node}
    assert all(not side.HasField("dim_value") for side in _sides(graph.graph.input[0])[::2])  # N and H
    properties = {entry.key: json.loads(entry.value) for entry in graph.metadata_props}
    assert properties["size"] == [64, 96]
    assert properties["dynamic_size"] is True
    assert properties["size_multiple"] == 32
    session = onnxruntime.InferenceSession(exported.path)
    for size, batch in product(SIZES, (1, 2)):
        images = frames(batch, size)
        scores, _, boxes, masks = session.run(None, {"images": images.numpy()})
        assert masks.shape == (batch, 20, size[0] // 4, size[1] // 4)
        with torch.no_grad():
            output = model(images)
        expected = output.class_logits.sigmoid().flatten(1).topk(20).values
        torch.testing.assert_close(torch.from_numpy(scores), expected, atol=bound, rtol=0)
        assert boxes[..., 2].max() > 0.4 * size[1]  # pixels of this size, not of the one that was traced
    for size in SIZES:
        assert check_export(exported.path, model, frames(2, size), bound) <= bound


def _sides(value: onnx.ValueInfoProto) -> list[onnx.TensorShapeProto.Dimension]:
    return list(value.type.tensor_type.shape.dim)


@pytest.mark.parametrize(("kernel", "stride", "dilation"), [(3, 2, 1), (5, 2, 1), (4, 2, 1), (2, 2, 1), (3, 2, 2)])
def test_padding_that_is_spelt_out_is_what_timm_calculates(kernel: int, stride: int, dilation: int) -> None:
    torch.manual_seed(kernel)
    network = nn.Sequential(nn.Sequential(Conv2dSame(4, 6, (kernel, 3), stride=stride, dilation=dilation, groups=2)))
    images = torch.rand(2, 4, 16, 24)
    expected = network(images)
    make_same_padding_static(network)
    assert not [module for module in network.modules() if isinstance(module, Conv2dSame)]
    assert torch.equal(network(images), expected)
