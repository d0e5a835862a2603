"""The engine trains where there is neither napari nor Qt."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from rise_engine.project.project import Project
from rise_engine.project.records import Instance
from rise_engine.project.segmentation import from_mask
from rise_engine.synthetic import write_sample_folder

ROOT = Path(__file__).resolve().parents[1]
PROGRAM = """
import sys

ABSENT = {"napari", "qtpy", "magicgui", "superqt", "pyqtgraph", "PyQt5", "PyQt6", "PySide6"}

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ABSENT:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Absent())
from rise_engine.cli import main
main(sys.argv[1:])
"""


@pytest.mark.slow
def test_rise_train_needs_no_napari_and_no_qt(tmp_path: Path) -> None:
    frames = write_sample_folder(tmp_path / "totes", count=3, seed=5, size=(96, 128))
    with Project.create(tmp_path / "totes.rise", tmp_path / "totes") as project:
        project.scan()
        frame, category = project.frames.all()[0].id, project.annotations.add_category("object").id
        project.annotations.add(frame, [Instance(None, frame, category, from_mask(mask)) for mask in frames[0].masks])
    settings = ["model.hidden_dim=32", "loader.short_sides=[64]", "loader.crop=96", "schedule.unsupervised_after=1"]
    options = ["--steps", "2", "--weights", "none", "--preset", "laptop", "--device", "cpu"]
    options += [argument for setting in settings for argument in ("--set", setting)]
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, "train", str(tmp_path / "totes.rise"), *options],
        cwd=ROOT,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
    )
    assert done.returncode == 0, done.stderr
    with Project.open(tmp_path / "totes.rise", read_only=True) as project:
        assert project.runs.get().steps == 2
        assert (project.runs.get().folder / "weights.safetensors").is_file()
