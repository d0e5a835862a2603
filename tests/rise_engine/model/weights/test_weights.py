from __future__ import annotations

import argparse
import json
import pickle
import sys
import types
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from rise_engine.config import ModelConfig
from rise_engine.errors import RiseError
from rise_engine.model import build_segmenter
from rise_engine.model.deformable_detr.segmenter import DeformableSegmenter
from rise_engine.model.weights.load import load_pretrained, save_weights

IMAGES = torch.rand(1, 3, 64, 96, generator=torch.Generator().manual_seed(5))


def other_start(config: ModelConfig) -> DeformableSegmenter:
    torch.manual_seed(99)
    return build_segmenter(config).eval()


def test_what_is_saved_is_loaded(tiny_model: DeformableSegmenter, tiny_config: ModelConfig, tmp_path: Path) -> None:
    file = tmp_path / "new" / "weights.safetensors"
    save_weights(tiny_model, file, metadata={"run": "3"})
    model = other_start(tiny_config)
    report = load_pretrained(model, file)
    assert report.naming == "rise"
    assert not (report.missing or report.unexpected or report.mismatched)
    assert len(report.loaded) == len(tiny_model.state_dict())
    assert torch.equal(model(IMAGES).mask_logits, tiny_model(IMAGES).mask_logits)
    with safe_open(file, framework="pt") as weights:
        assert weights.metadata() == {"run": "3"}
    assert [path.name for path in file.parent.iterdir()] == ["weights.safetensors"]


def test_weights_of_half_precision_fill_a_network_of_single(
    tiny_model: DeformableSegmenter, tiny_config: ModelConfig, tmp_path: Path
) -> None:
    save_weights(tiny_model.half(), tmp_path / "half.safetensors", metadata={})
    model = other_start(tiny_config)
    load_pretrained(model, tmp_path / "half.safetensors")
    assert model.level_embed.dtype == torch.float32
    torch.testing.assert_close(model.level_embed, tiny_model.level_embed.float())


def test_a_failed_save_leaves_the_old_file(
    tiny_model: DeformableSegmenter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "weights.safetensors"
    file.write_bytes(b"old")

    def full_disk(tensors: dict[str, Tensor], filename: Path, metadata: dict[str, str]) -> None:
        Path(filename).write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("rise_engine.model.weights.load.save_file", full_disk)
    with pytest.raises(RiseError, match="No space left"):
        save_weights(tiny_model, file, metadata={})
    assert file.read_bytes() == b"old"
    assert len(list(tmp_path.iterdir())) == 1


def test_a_class_head_of_another_size_starts_afresh(
    tiny_model: DeformableSegmenter, tiny_config: ModelConfig, tmp_path: Path
) -> None:
    save_weights(tiny_model, tmp_path / "three.safetensors", metadata={})
    model = other_start(tiny_config.model_copy(update={"num_classes": 5}))
    report = load_pretrained(model, tmp_path / "three.safetensors")
    heads = {f"class_head.{layer}.{kind}" for layer in range(2) for kind in ("weight", "bias")}
    assert set(report.mismatched) == heads
    output = model(IMAGES)
    torch.testing.assert_close(output.boxes, tiny_model(IMAGES).boxes)
    torch.testing.assert_close(output.class_logits.sigmoid(), torch.full((1, 10, 5), 0.01))


def test_heads_may_be_missing_and_nothing_else(
    tiny_model: DeformableSegmenter, tiny_config: ModelConfig, tmp_path: Path
) -> None:
    state = tiny_model.state_dict()
    file = tmp_path / "part.safetensors"
    save_file({name: tensor for name, tensor in state.items() if not name.startswith("mask_")}, file)
    model = other_start(tiny_config)
    fresh = model.mask_features.s8.weight.clone()
    report = load_pretrained(model, file)
    assert {name.split(".")[0] for name in report.missing} == {"mask_features", "mask_controller"}
    assert torch.equal(model.mask_features.s8.weight, fresh)

    save_file({name: tensor for name, tensor in state.items() if name != "decoder.1.norm_self.bias"}, file)
    untouched = other_start(tiny_config)
    before = untouched.level_embed.clone()
    with pytest.raises(RiseError, match=r"decoder\.1\.norm_self\.bias"):
        load_pretrained(untouched, file)
    assert torch.equal(untouched.level_embed, before)


def test_weights_of_another_width_are_refused(
    tiny_model: DeformableSegmenter, tiny_config: ModelConfig, tmp_path: Path
) -> None:
    save_weights(tiny_model, tmp_path / "w.safetensors", metadata={})
    with pytest.raises(RiseError, match="another size"):
        load_pretrained(other_start(tiny_config.model_copy(update={"hidden_dim": 64})), tmp_path / "w.safetensors")


def test_files_that_hold_no_network_are_refused(tiny_model: DeformableSegmenter, tmp_path: Path) -> None:
    with pytest.raises(RiseError, match="no weights file"):
        load_pretrained(tiny_model, tmp_path / "absent.safetensors")
    broken = tmp_path / "broken.safetensors"
    broken.write_bytes(b"not a file of tensors")
    with pytest.raises(RiseError, match=r"broken\.safetensors"):
        load_pretrained(tiny_model, broken)
    other = tmp_path / "other.pth"
    torch.save({"model": {"conv1.weight": torch.zeros(1)}}, other)
    with pytest.raises(RiseError, match="no weights of a Deformable DETR"):
        load_pretrained(tiny_model, other)


def test_objects_in_a_checkpoint_are_not_brought_to_life(tiny_model: DeformableSegmenter, tmp_path: Path) -> None:
    file = tmp_path / "objects.pth"
    torch.save({"model": tiny_model}, file)
    with pytest.raises(RiseError, match="more than plain tensors"):
        load_pretrained(tiny_model, file)


@pytest.mark.parametrize("kept", [0, 100, 0.5, 0.99])
@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
def test_cut_off_files_are_refused(
    tiny_model: DeformableSegmenter, tiny_config: ModelConfig, tmp_path: Path, suffix: str, kept: float
) -> None:
    whole, part = tmp_path / f"whole{suffix}", tmp_path / f"part{suffix}"
    if suffix == ".pth":
        torch.save(tiny_model.state_dict(), whole)
    else:
        save_weights(tiny_model, whole, metadata={})
    content = whole.read_bytes()
    part.write_bytes(content[: int(kept if kept >= 1 else kept * len(content))])
    model = other_start(tiny_config)
    before = model.level_embed.clone()
    with pytest.raises(RiseError, match=rf"part{suffix} (is no readable|holds more than)"):
        load_pretrained(model, part)
    assert torch.equal(model.level_embed, before)


@pytest.mark.parametrize("length", [2**63, 2**40, 99_999_999])
def test_a_header_that_claims_to_be_huge_is_refused(
    tiny_model: DeformableSegmenter, tmp_path: Path, length: int
) -> None:
    file = tmp_path / "huge.safetensors"
    file.write_bytes(length.to_bytes(8, "little") + b"{}" * 20)
    with pytest.raises(RiseError, match=r"huge\.safetensors is no readable weights file"):
        load_pretrained(tiny_model, file)


def test_a_tensor_that_claims_to_be_huge_is_refused(tiny_model: DeformableSegmenter, tmp_path: Path) -> None:
    header = json.dumps({"level_embed": {"dtype": "F32", "shape": [10**9, 10**4], "data_offsets": [0, 4 * 10**13]}})
    file = tmp_path / "huge.safetensors"
    file.write_bytes(len(header).to_bytes(8, "little") + header.encode())
    with pytest.raises(RiseError, match=r"huge\.safetensors is no readable weights file"):
        load_pretrained(tiny_model, file)


@pytest.mark.parametrize("name", ["R-50.pkl", "renamed.pth"])
def test_a_bare_pickle_is_refused_unread(tiny_model: DeformableSegmenter, tmp_path: Path, name: str) -> None:
    class Harmful:
        def __reduce__(self) -> tuple[object, tuple[object, ...]]:
            return Path.touch, (tmp_path / "run",)

    file = tmp_path / name
    file.write_bytes(pickle.dumps({"model": {"stem.conv1.weight": Harmful()}, "__author__": "somebody"}))
    with pytest.raises(RiseError, match=r"bare Python pickle, like detectron2's \.pkl files.*use the \.pth"):
        load_pretrained(tiny_model, file)
    torch.save({"model": {"level_embed": Harmful()}}, file)
    with pytest.raises(RiseError, match="more than plain tensors"):
        load_pretrained(tiny_model, file)
    assert not (tmp_path / "run").exists()


def test_files_of_torch_before_its_zip_archives_are_read(
    tiny_model: DeformableSegmenter, tiny_config: ModelConfig, tmp_path: Path
) -> None:
    torch.save({"state_dict": tiny_model.state_dict()}, tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    model = other_start(tiny_config)
    assert load_pretrained(model, tmp_path / "old.pth").naming == "rise"
    assert torch.equal(model.level_embed, tiny_model.level_embed)


def test_weights_that_went_astray_are_refused(
    tiny_model: DeformableSegmenter, tiny_config: ModelConfig, tmp_path: Path
) -> None:
    tiny_model.level_embed.data[0, 0] = float("nan")
    save_weights(tiny_model, tmp_path / "astray.safetensors", metadata={})
    with pytest.raises(RiseError, match=r"1 of its tensors \(level_embed"):
        load_pretrained(other_start(tiny_config), tmp_path / "astray.safetensors")


class CfgNode(dict[str, object]):
    """Pickled as the settings class of yacs, which is not installed here."""


CfgNode.__module__, CfgNode.__qualname__ = "yacs.config", "CfgNode"


def test_settings_beside_the_tensors_are_read_as_plain_data(
    tiny_model: DeformableSegmenter, tiny_config: ModelConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = types.ModuleType("yacs.config")
    module.CfgNode = CfgNode  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "yacs", types.ModuleType("yacs"))
    monkeypatch.setitem(sys.modules, "yacs.config", module)
    settings = CfgNode(LR=0.1)
    settings.__dict__["__immutable__"] = True
    beside = {
        "args": argparse.Namespace(lr=2e-4, masks=True),  # the original Deformable DETR
        "cfg": settings,
        "best": np.float64(41.5),
        "step": np.int64(7),
    }
    torch.save({"model": tiny_model.state_dict(), **beside}, tmp_path / "checkpoint.pth")
    monkeypatch.delitem(sys.modules, "yacs.config")
    model = other_start(tiny_config)
    assert load_pretrained(model, tmp_path / "checkpoint.pth").missing == ()
    assert torch.equal(model.level_embed, tiny_model.level_embed)
