"""Published weights trained on COCO, by backbone, and their download."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from rise_engine.errors import WeightsError
from rise_engine.model.weights.hub import HubFile, fetch

IDOL_REPOSITORY = "QHL067/VNext_ECCV"
IDOL_COMMIT = "87060237c1f5fe5bd53e83b0df0dbfe24ee1095a"
"""The commit that added the files: later changes of the repository have no effect."""


def _idol(name: str) -> HubFile:
    return HubFile(IDOL_REPOSITORY, f"IDOL/{name}.pth", IDOL_COMMIT)


DETECTION_ONLY = HubFile(
    "SenseTime/deformable-detr-with-box-refine",
    "model.safetensors",
    sha256="4113700fe8aade398808424b7c5c1304cfbf886adc6450a6ca5d50a702be3373",
)
"""Deformable DETR's own weights, in transformers' names: neither masks nor embeddings."""

COCO_WEIGHTS: dict[str, tuple[HubFile, ...]] = {
    "resnet50": (_idol("cocopretrain_R50"), DETECTION_ONLY),
    "resnet101": (_idol("cocopretrain_R101"),),
    "swin_large_patch4_window12_384": (_idol("cocopretrain_SWINL"),),
}
"""Best first: IDOL's weights, from which the paper starts, have mask and embedding heads too (IDOL, model zoo)."""


def fetch_coco(backbone: str, *, download: Callable[[HubFile], Path] = fetch) -> tuple[Path, HubFile]:
    """The best available COCO weights for a network with this timm backbone, in its published size.

    Raises ``WeightsError`` with instructions for a manual download, or when there are none for this backbone.
    """
    files = COCO_WEIGHTS.get(backbone.split(".")[0], ())
    if not files:
        raise WeightsError(
            f"No COCO weights are known for backbone {backbone!r}, only for {', '.join(COCO_WEIGHTS)}: "
            "give your own with --weights FILE."
        )
    reasons = []
    for file in files:
        try:
            return download(file), file
        except WeightsError as error:
            reasons.append(str(error))
    name = Path(files[0].name).name
    raise WeightsError(f"{reasons[0]}: download the file manually and use it with --weights {name}.")
