"""The button that is proposed after a failed training."""

from __future__ import annotations

import pytest

from rise_engine.config import RiseConfig
from rise_engine.training.events import Failed
from rise_napari.training.remedies import remedy


def failed(kind: str) -> Failed:
    return Failed(3, kind=kind, message="", hint="")  # type: ignore[arg-type]


def test_remedies_for_full_memory_end_with_a_training_that_fits() -> None:
    config = RiseConfig.preset("r50").with_settings(["device=cuda"])
    tried = []
    while (cure := remedy(failed("memory"), config, checkpoint=False)) is not None:
        tried.append(cure.words)
        config = config.with_settings(cure.settings)
        assert len(tried) < 20
    assert tried[0] == "Try again with activation checkpointing"
    assert tried[1] == "Try again with crops of 448 pixels"
    assert tried[-1] == "Try again on the CPU"
    assert config.device == "cpu"
    assert config.loader.crop >= 128
    assert max(config.loader.short_sides) <= 408


@pytest.mark.parametrize(
    ("kind", "checkpoint", "settings", "resume"),
    [
        ("device", False, ("device=cpu",), False),
        ("weights", False, ("weights=none",), False),
        ("crash", True, (), True),
        ("crash", False, (), False),
        ("disk", True, (), True),
        ("data", True, (), True),
    ],
)
def test_other_failures_have_remedies_of_their_own(
    kind: str, checkpoint: bool, settings: tuple[str, ...], resume: bool
) -> None:
    cure = remedy(failed(kind), RiseConfig.preset("laptop"), checkpoint=checkpoint)
    assert cure is not None
    assert (cure.settings, cure.resume) == (settings, resume)


def test_bad_data_has_no_automatic_remedy() -> None:
    assert remedy(failed("data"), RiseConfig.preset("laptop"), checkpoint=False) is None
