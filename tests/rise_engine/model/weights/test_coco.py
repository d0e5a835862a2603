from __future__ import annotations

import re
from pathlib import Path

import pytest

from rise_engine.config import RiseConfig
from rise_engine.errors import WeightsError
from rise_engine.model.weights.coco import COCO_WEIGHTS, DETECTION_ONLY, fetch_coco
from rise_engine.model.weights.hub import HubFile


def unreachable(file: HubFile) -> Path:
    raise WeightsError(f"{file.address} could not be fetched (no route)")


@pytest.mark.parametrize(("preset", "file"), [("r50", "R50"), ("r101", "R101"), ("swin-l", "SWINL")])
def test_presets_that_ask_for_coco_have_weights_of_idol(preset: str, file: str) -> None:
    config = RiseConfig.preset(preset)
    assert config.weights == "coco"
    path, source = fetch_coco(config.model.backbone, download=lambda file: Path(file.name))
    assert path == Path(f"IDOL/cocopretrain_{file}.pth")
    assert source.repository == "QHL067/VNext_ECCV"


def test_every_file_is_pinned_to_a_commit_or_to_its_content() -> None:
    for file in (file for files in COCO_WEIGHTS.values() for file in files):
        assert re.fullmatch("[0-9a-f]{40}", file.revision) or re.fullmatch("[0-9a-f]{64}", file.sha256 or "")


def test_detection_weights_are_the_second_choice() -> None:
    def only_transformers(file: HubFile) -> Path:
        return unreachable(file) if file.repository.startswith("QHL067") else Path("detector")

    assert fetch_coco("resnet50", download=only_transformers) == (Path("detector"), DETECTION_ONLY)
    with pytest.raises(WeightsError):
        fetch_coco("resnet101", download=only_transformers)


def test_what_cannot_be_fetched_is_told_how_to_fetch_by_hand() -> None:
    with pytest.raises(WeightsError) as failure:
        fetch_coco("resnet50.a1_in1k", download=unreachable)
    assert str(failure.value) == (
        "https://huggingface.co/QHL067/VNext_ECCV/resolve/87060237c1f5fe5bd53e83b0df0dbfe24ee1095a/"
        "IDOL/cocopretrain_R50.pth could not be fetched (no route): "
        "download the file manually and use it with --weights cocopretrain_R50.pth."
    )


def test_other_backbones_have_none() -> None:
    with pytest.raises(WeightsError, match="No COCO weights are known for backbone 'convnext_tiny', only for resnet50"):
        fetch_coco("convnext_tiny", download=unreachable)
