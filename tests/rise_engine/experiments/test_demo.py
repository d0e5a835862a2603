"""The demonstration from end to end, with a training of two steps; and what it does with what is there already."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from PIL import Image
from pytest import MonkeyPatch

from rise_engine.config import RiseConfig
from rise_engine.errors import RiseError
from rise_engine.experiments import demo
from rise_engine.model import build_segmenter
from rise_engine.model.weights.load import save_weights
from rise_engine.prediction.load import load_model
from rise_engine.project.project import Project
from rise_engine.project.records import FrameState, Split
from rise_engine.training.events import Finished
from rise_engine.training.trainer import Trainer


def follow(trainer: Trainer) -> Finished:
    [finished] = [event for event in trainer.run() if isinstance(event, Finished)]
    return finished


@pytest.fixture
def starter(tmp_path: Path, monkeypatch: MonkeyPatch) -> Path:
    """Starter weights that have learnt nothing, in the place of those that are shipped."""
    config = RiseConfig.preset("laptop")
    path = tmp_path / "starter.safetensors"
    metadata = {
        "config": config.model.model_dump_json(),
        "loader": config.loader.model_dump_json(),
        "class_names": json.dumps(["object"]),
    }
    save_weights(build_segmenter(config.model), path, metadata=metadata)
    monkeypatch.setattr(demo, "starter_path", lambda: path)
    monkeypatch.setattr("rise_engine.training.initial_weights.starter_path", lambda: path)
    monkeypatch.setattr(demo, "FRAMES", 5)
    monkeypatch.setattr(demo, "LABELLED", 2)
    monkeypatch.setattr(demo, "HOLDOUT", 1)
    monkeypatch.setattr(demo, "FRAME_SIZE", (192, 256))
    return path


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_everything_is_written_and_measured(tmp_path: Path, starter: Path) -> None:
    said: list[str] = []
    path = demo.run_demo(tmp_path / "demo", steps=2, say=said.append, follow=follow)
    assert path == tmp_path / "demo" / "totes.rise"
    out = tmp_path / "demo"
    with Project.open(path) as project:
        counts = project.frames.counts()
        assert (counts[FrameState.LABELLED], counts[FrameState.UNLABELLED]) == (3, 2)
        assert len(project.frames.all(split=Split.HOLDOUT)) == 1
        assert project.runs.get().steps == 2
        loaded = load_model(project.runs.get().folder, device="cpu")
        assert loaded.class_names == ("object",)
    annotations = json.loads((out / "annotations.json").read_text())
    assert len(annotations["images"]) == 3
    assert annotations["annotations"]
    for name in ("predictions.png", "sequence.png"):
        assert np.asarray(Image.open(out / name)).ndim == 3
        assert any(name in line for line in said)
    session = onnxruntime.InferenceSession(out / "model.onnx", providers=["CPUExecutionProvider"])
    metadata = session.get_modelmeta().custom_metadata_map
    assert json.loads(metadata["class_names"]) == ["object"]
    assert {"thresholds", "run", "licence", "preprocessing", "size"} <= metadata.keys()
    assert any(line.startswith("  before training") for line in said)


def test_a_demonstration_that_somebody_worked_in_is_kept(tmp_path: Path, monkeypatch: MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "FRAMES", 2)
    monkeypatch.setattr(demo, "LABELLED", 1)
    monkeypatch.setattr(demo, "HOLDOUT", 1)
    monkeypatch.setattr(demo, "FRAME_SIZE", (96, 128))
    with demo.make_project(tmp_path) as project:
        project.frames.set_state(project.frames.all()[0].id, FrameState.SKIPPED)
    with pytest.raises(RiseError, match="worked in"):
        demo.run_demo(tmp_path, steps=1, say=print, follow=follow)
    assert demo.run_demo(tmp_path, steps=1, say=print, follow=follow, reuse=True) == tmp_path / "totes.rise"
    with Project.open(tmp_path / "totes.rise") as project:
        assert project.frames.all()[0].state is FrameState.SKIPPED


def test_a_folder_that_is_not_the_demonstrations_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "totes").mkdir()
    (tmp_path / "totes" / "mine.jpg").write_text("mine")
    with pytest.raises(RiseError, match="another folder"):
        demo.run_demo(tmp_path, steps=1, say=print, follow=follow)
    assert [path.name for path in (tmp_path / "totes").iterdir()] == ["mine.jpg"]
