"""The commands as a person runs them: files on disk, what is printed, exit codes, one sentence on bad input."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from rise_engine.config import RiseConfig
from rise_engine.project.project import Project
from rise_engine.project.records import FrameState, Instance, Source, Split
from rise_engine.project.segmentation import from_mask, to_mask
from rise_engine.resources import starter_path

SIZE = (96, 128)
LABELLED = 4


def test_status_counts_frames_categories_and_runs(project: Path, rise: Any) -> None:
    lines = [line.split() for line in rise("status", project).out.splitlines()]
    assert ["unlabelled", "4"] in lines
    assert ["labelled", "4"] in lines
    assert ["7", "parcel", "8"] in lines
    assert ["0", "runs"] in lines


def test_import_asks_what_to_do_on_a_conflict(
    project: Path, tmp_path: Path, rise: Any, refuses: Any, dataset: Any
) -> None:
    labels = dataset(1)
    labels["annotations"] = labels["annotations"][:1]
    labels["annotations"][0]["segmentation"] = [[0, 0, 20, 0, 20, 20, 0, 20]]
    path = tmp_path / "other.json"
    path.write_text(json.dumps(labels))
    assert "--on-conflict" in refuses("import", project, path)
    assert rise("import", project, path, "--on-conflict", "replace").code == 0
    with Project.open(project) as opened:
        assert len(opened.annotations.of_frame(opened.frames.get("tote_0.png").id)) == 1


def test_an_import_tells_what_was_there_already_from_what_was_kept_out(
    project: Path, coco: Path, tmp_path: Path, rise: Any, dataset: Any
) -> None:
    assert rise("import", project, coco).out.startswith(f"{coco}: 0 instances imported in 4 frames; 8 already there.\n")
    labels = dataset(1)
    labels["annotations"][0]["segmentation"] = [[0, 0, 20, 0, 20, 20, 0, 20]]
    labels["annotations"].append({**labels["annotations"][0], "id": 9, "segmentation": []})
    path = tmp_path / "other.json"
    path.write_text(json.dumps(labels))
    said = rise("import", project, path, "--on-conflict", "keep").out
    assert "0 instances imported in 1 frame; 1 already there, 1 kept out, 1 unusable.\n" in said


def test_bank_writes_every_object_with_a_transparent_surrounding(project: Path, tmp_path: Path, rise: Any) -> None:
    assert "8 cut-outs" in rise("bank", project, "--out", tmp_path / "bank").out
    files = sorted((tmp_path / "bank").glob("*.png"))
    assert len(files) == 8
    first = np.asarray(Image.open(files[0]))
    assert first.shape == (30, 40, 4)
    assert first[15, 20].tolist() == [200, 150, 20, 255]


def test_bank_leaves_out_what_the_person_left_out(project: Path, tmp_path: Path, rise: Any) -> None:
    with Project.open(project) as opened:
        second = opened.annotations.of_frame(opened.frames.get("tote_2.png").id)[1]
        assert second.id is not None
        opened.annotations.set_bank_excluded(second.id, True)
    rise("bank", project, "--out", tmp_path / "bank")
    assert sorted(path.name for path in (tmp_path / "bank").glob("tote_2_*")) == ["tote_2_000.png"]


def test_preview_follows_from_its_seed(project: Path, tmp_path: Path, rise: Any) -> None:
    pictures = []
    for name, seed in (("a.png", "3"), ("b.png", "3"), ("c.png", "4")):
        out = tmp_path / name
        assert rise("preview", project, "--frame", "tote_1.png", "--seed", seed, "--out", out).code == 0
        pictures.append(np.asarray(Image.open(out)))
    assert np.array_equal(pictures[0], pictures[1])
    assert pictures[0].shape != pictures[2].shape or not np.array_equal(pictures[0], pictures[2])


def test_a_place_that_takes_no_output_is_told_before_the_work(
    project: Path, tmp_path: Path, refuses: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rise_engine.prediction.default_model.starter_path", lambda: None)
    with Project.open(project) as opened:
        opened.frames.set_split([1], Split.HOLDOUT)
    folder, file = tmp_path / "photos.png", tmp_path / "file"
    folder.mkdir()
    file.write_text("kept")
    # There is no run: whatever asks for one first has begun to work.
    for command in (
        ("predict", project, "--out", folder),
        ("evaluate", project, "--json", folder),
        ("export", "onnx", project, folder),
        ("export", "coco", project, folder),
        ("backup", project, folder),
        ("preview", project, "--out", folder),
    ):
        assert f"{folder} is a folder" in refuses(*command)
    assert ".png" in refuses("preview", project, "--out", tmp_path / "seq")
    assert ".png" in refuses("preview", project, "--out", tmp_path / "seq.xyz")
    assert "is a file" in refuses("bank", project, "--out", file)
    assert "no project" in refuses("bank", tmp_path / "nope", "--out", tmp_path / "cut-outs")
    assert file.read_text() == "kept"
    assert list(folder.iterdir()) == []
    assert not (tmp_path / "cut-outs").exists()


def test_a_picture_that_cannot_be_written_whole_leaves_the_old_one(
    project: Path, tmp_path: Path, refuses: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "seq.png"
    out.write_text("old")

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    assert "No space left" in refuses("preview", project, "--out", out)
    assert "No space left" in refuses("bank", project, "--out", tmp_path / "bank")
    assert out.read_text() == "old"
    assert list((tmp_path / "bank").iterdir()) == []


def test_queue_names_frames_with_predictions_and_why(project: Path, rise: Any) -> None:
    mask = np.zeros(SIZE, dtype=bool)
    mask[10:40, 10:50] = True
    with Project.open(project) as opened:
        run = opened.runs.start(preset="laptop", recipe="paper", steps=1, base="none")
        opened.runs.finish(run.number, steps=1)
        frames = opened.frames.all(state=FrameState.UNLABELLED)
        opened.predictions.store(
            run.number,
            {
                frame.id: [
                    Instance(
                        None, frame.id, 7, from_mask(mask), score=0.3 + 0.15 * place, source=Source.PREDICTED, run=1
                    )
                ]
                for place, frame in enumerate(frames)
            },
        )
    lines = rise("queue", project, "--top", "2").out.splitlines()
    assert len(lines) == 3
    assert all("tote_" in line for line in lines[1:])
    assert rise("runs", project).out.splitlines()[1].split()[:4] == ["1*", "laptop", "paper", "1"]
    with Project.open(project) as opened:
        opened.runs.finish(1, steps=1)
    assert rise("runs", project, "--use", "1").out.splitlines()[1].split()[0] == "1*"
    assert "deleted" in rise("runs", project, "--delete", "1").out
    with Project.open(project) as opened:
        assert opened.runs.all() == []


def test_runs_leaves_out_what_a_power_cut_cut_off(project: Path, rise: Any) -> None:
    score = '{"event": "HoldoutScore", "step": 5, "ap": 41.26}'
    with Project.open(project) as opened:
        run = opened.runs.start(preset="laptop", recipe="paper", steps=9, base="none")
        (run.folder / "metrics.jsonl").write_bytes(f"{score}\n{score[:-3]}".encode() + b"\xff")
    outcome = rise("runs", project)
    assert outcome.code == 0
    assert outcome.out.splitlines()[1].endswith("41.3")


def test_export_gives_back_what_came_in(project: Path, tmp_path: Path, rise: Any, dataset: Any) -> None:
    out = tmp_path / "out.json"
    assert rise("export", "coco", project, out).code == 0
    exported = json.loads(out.read_text())
    assert exported["images"] == dataset(LABELLED)["images"]
    assert exported["annotations"] == dataset(LABELLED)["annotations"]
    assert rise("export", "coco", project, out, "--masks", "rle").code == 0
    masks = [to_mask(each["segmentation"], *SIZE) for each in json.loads(out.read_text())["annotations"]]
    assert [int(mask.sum()) for mask in masks] == [1200, 2000] * LABELLED


def test_a_corrupt_image_is_named(project: Path, images: Path, tmp_path: Path, refuses: Any) -> None:
    (images / "tote_1.png").write_bytes(b"\x89PNG\r\n\x1a\n and nothing more")
    assert "tote_1.png" in refuses("preview", project, "--frame", "tote_1.png", "--out", tmp_path / "a.png")


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("--preset", "huge"), "laptop"),
        (("--recipe", "secret"), "recommended"),
        (("--preset", "laptop", "--set", "model.colour=3"), "model.colour"),
        (("--preset", "laptop", "--set", "loss.dice=much"), "loss.dice"),
        (("--labelled-list", "/absent/list.txt"), "/absent/list.txt"),
        (("--steps", "5", "--minutes", "1"), "one of them"),
        (("--labelled-count", "2", "--labelled-fraction", "0.5"), "only one"),
        (("--resume",), "no run"),
        (("--resume", "--steps", "5"), "keeps the settings and frames"),
        (("--device", "toaster"), "toaster"),
        (("--device", "xpu"), "xpu"),
        (("--minutes", "inf"), "finite"),
    ],
)
def test_settings_that_do_not_fit_are_refused(
    arguments: tuple[str, ...], reason: str, project: Path, refuses: Any
) -> None:
    assert reason in refuses("train", project, *arguments)
    with Project.open(project) as opened:
        assert opened.runs.all() == []


@pytest.mark.parametrize("seed", ["-1", str(2**32)])
def test_a_seed_is_no_less_than_nothing(seed: str, project: Path, images: Path, tmp_path: Path, rise: Any) -> None:
    for command in (
        ("train", project),
        ("preview", project, "--out", tmp_path / "a.png"),
        ("new", tmp_path / "p.rise", "--images", images),
    ):
        outcome = rise(*command, "--seed", seed)
        assert outcome.code == 2
        assert "--seed" in outcome.err.splitlines()[-1]


@pytest.mark.skipif(torch.cuda.is_available(), reason="has CUDA")
def test_cuda_without_cuda_is_refused(project: Path, refuses: Any) -> None:
    assert "cpu" in refuses("train", project, "--device", "cuda")


def test_photos_that_came_later_are_taken_up(project: Path, images: Path, rise: Any, refuses: Any) -> None:
    with Project.open(project) as opened:
        before = len(opened.frames.all())
    Image.new("RGB", (SIZE[1], SIZE[0])).save(images / "later.png")
    refuses("train", project, "--resume")
    with Project.open(project) as opened:
        assert len(opened.frames.all()) == before + 1
        assert opened.frames.get("later.png").state is FrameState.UNLABELLED


def test_training_without_a_labelled_frame_is_refused(tmp_path: Path, images: Path, rise: Any, refuses: Any) -> None:
    path = tmp_path / "bare.rise"
    assert rise("new", path, "--images", images).code == 0
    assert "labelled" in refuses("train", path, "--preset", "laptop")
    assert "labelled" in refuses("preview", path, "--out", tmp_path / "a.png")
    assert "labelled" in refuses("bank", path, "--out", tmp_path / "bank")


def test_what_needs_a_run_says_so(project: Path, tmp_path: Path, refuses: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rise_engine.prediction.default_model.starter_path", lambda: None)
    frames = tmp_path / "list.txt"
    frames.write_text("tote_0.png\n")
    assert "train" in refuses("predict", project)
    assert "train" in refuses("evaluate", project, "--frames", frames)
    assert "train" in refuses("export", "onnx", project, tmp_path / "m.onnx")
    assert "hold-out" in refuses("evaluate", project)


def test_the_starter_weights_predict_before_any_training(project: Path, rise: Any) -> None:
    if starter_path() is None:
        pytest.skip("this tree has no starter weights")
    assert rise("predict", project).code == 0
    with Project.open(project, read_only=True) as opened:
        assert [(run.base, run.steps) for run in opened.runs.all()] == [("starter", 0)]
        assert set(opened.predictions.latest_scores()) == {frame.id for frame in opened.frames.all()}
    assert rise("predict", project).code == 0
    with Project.open(project, read_only=True) as opened:
        assert len(opened.runs.all()) == 1


def test_predicting_another_folder_needs_a_file_to_write(project: Path, images: Path, refuses: Any) -> None:
    assert "--out" in refuses("predict", project, "--images", images)


@pytest.mark.parametrize("size", ["256", "100x320", "0x0", "axb"])
def test_an_export_size_that_does_not_fit_is_refused(size: str, project: Path, tmp_path: Path, refuses: Any) -> None:
    assert "256x320" in refuses("export", "onnx", project, tmp_path / "m.onnx", "--size", size)


COMMANDS = ["demo", "new", "import", "status", "runs", "train", "predict", "evaluate", "queue", "bank", "preview"]


@pytest.mark.parametrize("command", [*COMMANDS, "export coco", "export onnx", "doctor"])
def test_every_command_has_help_with_an_example(command: str, rise: Any) -> None:
    outcome = rise(*command.split(), "--help")
    assert outcome.code == 0
    assert f"rise {command}" in outcome.out.split("Example:")[1]


def run_python(code: str) -> str:
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).resolve().parents[2])}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True)
    return done.stdout


def test_help_and_the_package_do_not_load_torch() -> None:
    code = (
        "import sys, rise_engine, rise_engine.cli\n"
        "from rise_engine import Project, RiseConfig, RiseError\n"
        "print('torch' in sys.modules, sorted(rise_engine.__all__) == dir(rise_engine))"
    )
    assert run_python(code).split() == ["False", "True"]


def test_the_public_names_are_there() -> None:
    import rise_engine

    assert rise_engine.RiseConfig is RiseConfig
    assert callable(rise_engine.evaluate)
    with pytest.raises(AttributeError, match="nonsense"):
        rise_engine.nonsense  # noqa: B018
