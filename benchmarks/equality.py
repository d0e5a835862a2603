"""The network at its published size against transformers' Deformable DETR: differences of boxes and class logits.

Run it as ``python benchmarks/equality.py``; it takes a minute of CPU time. Both networks get the same random weights,
by way of a file that transformers writes, and the same images: one, one that is padded, and two that are padded
differently. Weights are drawn as wide as trained ones: with fresh ones every box would be nearly the same.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch
import transformers
from torch import Tensor

from rise_engine.config import RiseConfig
from rise_engine.model import build_segmenter
from rise_engine.model.weights.load import load_pretrained

HEIGHT, WIDTH = 480, 640
BATCHES = {
    "one image": [(480, 640)],
    "one padded image": [(480, 517)],
    "two padded images": [(480, 517), (333, 640)],
}
CLASSES = 80
TOLERANCE = 1e-4


def reference_network(backbone: str, *, tied: bool) -> Any:
    """transformers' network in the published size: 6 + 6 layers, 256 channels, 300 queries, box refinement."""
    network = transformers.DeformableDetrForObjectDetection(
        transformers.DeformableDetrConfig(
            use_timm_backbone=True,
            backbone=backbone,
            use_pretrained_backbone=False,
            backbone_config=None,
            num_queries=300,
            with_box_refine=True,
            num_labels=CLASSES,
            tie_word_embeddings=tied,
        )
    ).eval()
    for name, tensor in network.state_dict().items():
        if name.endswith("running_var"):
            tensor.uniform_(0.5, 2)
        elif tensor.dim() > 1 and "backbone" not in name:
            torch.nn.init.xavier_normal_(tensor)
        elif tensor.dtype.is_floating_point and tensor.dim() == 1:
            tensor.add_(torch.randn_like(tensor) * 0.1)
    return network


def padding_of(sizes: list[tuple[int, int]]) -> Tensor:
    padding = torch.ones(len(sizes), HEIGHT, WIDTH, dtype=torch.bool)
    for mask, (height, width) in zip(padding, sizes, strict=True):
        mask[:height, :width] = False
    return padding


@torch.no_grad()
def compare(backbone: str, *, tied: bool) -> float:
    torch.manual_seed(0)
    reference = reference_network(backbone, tied=tied)
    config = RiseConfig.preset("r50").model.model_copy(update={"backbone": backbone, "num_classes": CLASSES})
    model = build_segmenter(config).eval()
    with tempfile.TemporaryDirectory() as folder:
        reference.save_pretrained(folder)
        report = load_pretrained(model, Path(folder) / "model.safetensors")
    heads = "one class head for all layers" if tied else "a class head for each layer"
    print(f"{heads}: {len(report.loaded)} tensors taken; not in the file: {', '.join(report.fresh_heads)}")
    if report.unexpected or report.mismatched:
        raise SystemExit(f"without a place: {report.unexpected}; of another size: {report.mismatched}")
    worst = 0.0
    for what, sizes in BATCHES.items():
        images, padding = torch.rand(len(sizes), 3, HEIGHT, WIDTH), padding_of(sizes)
        pixels = ((images - model.backbone.mean) / model.backbone.std).masked_fill(padding[:, None], 0)
        expected = reference(pixel_values=pixels, pixel_mask=(~padding).long())
        found = model(images, padding)
        boxes = float((found.boxes - expected.pred_boxes).abs().max())
        logits = float((found.class_logits - expected.logits).abs().max())
        spread = float(expected.pred_boxes.std()), float(expected.logits.std())
        print(
            f"  {what:18} largest difference: boxes {boxes:.1e}, logits {logits:.1e} "
            f"(they spread by {spread[0]:.2f} and {spread[1]:.2f})"
        )
        worst = max(worst, boxes, logits)
    return worst


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backbone", default="resnet50", help="a timm backbone (default: %(default)s)")
    backbone = parser.parse_args().backbone
    print(f"{backbone}, {HEIGHT}x{WIDTH}, torch {torch.__version__}, transformers {transformers.__version__}")
    worst = max(compare(backbone, tied=tied) for tied in (True, False))
    print(f"the largest difference of all is {worst:.1e}; {TOLERANCE:.0e} is allowed")
    return 0 if worst <= TOLERANCE else 1


if __name__ == "__main__":
    sys.exit(main())
