"""Predicting and measuring, with a network that finds things by their colour: every answer is known."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw
from torch import Tensor
from torch.nn.functional import avg_pool2d

from rise_engine.cli import main
from rise_engine.config import RiseConfig
from rise_engine.formats.coco import import_coco
from rise_engine.prediction.load import LoadedModel
from rise_engine.prediction.onnx_export import OnnxReport
from rise_engine.project.project import Project
from rise_engine.project.records import FrameState, Instance, Source, Split
from rise_engine.project.segmentation import from_mask, to_mask

SIZE = (96, 128)
BOXES = ((10, 10, 50, 40), (60, 45, 110, 85))
COLOURS = ((250, 0, 0), (0, 250, 0))
SCORES = (0.9, 0.2)
"""The red object is found with the first score, the green one with the second."""


@dataclass
class ColourOutput:
    class_logits: Tensor
    boxes: Tensor
    mask_logits: Tensor
    embeddings: Tensor

    def masks(self, image: int, queries: Tensor) -> Tensor:
        return self.mask_logits[image, queries]


class ColourNetwork:
    """One query for what is red, one for what is green."""

    def __call__(self, images: Tensor, padding_mask: Tensor | None = None) -> ColourOutput:
        logits = 10 * (avg_pool2d(images[:, :2], 4) - 0.5)
        scores = torch.tensor(SCORES).logit()[None, :, None].expand(len(images), 2, 1)
        boxes = torch.tensor([[0.2, 0.2, 0.3, 0.3], [0.7, 0.7, 0.3, 0.3]]).expand(len(images), 2, 4)
        return ColourOutput(scores, boxes, logits, torch.zeros(len(images), 2, 4))


def picture(path: Path) -> None:
    canvas = Image.new("RGB", (SIZE[1], SIZE[0]))
    for (x0, y0, x1, y1), colour in zip(BOXES, COLOURS, strict=True):
        ImageDraw.Draw(canvas).rectangle((x0, y0, x1 - 1, y1 - 1), fill=colour)
    canvas.save(path)


def box_mask(box: tuple[int, int, int, int]) -> Any:
    mask = np.zeros(SIZE, dtype=bool)
    mask[box[1] : box[3], box[0] : box[2]] = True
    return from_mask(mask)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Four frames with a finished run: one labelled in the hold-out, one skipped, two bare."""
    folder = tmp_path / "totes"
    folder.mkdir()
    for number in range(4):
        picture(folder / f"tote_{number}.png")
    with Project.create(tmp_path / "totes.rise", folder) as made:
        made.scan()
        category = made.annotations.add_category("parcel")
        first, *_, last = made.frames.all()
        made.annotations.add(first.id, [Instance(None, first.id, category.id, box_mask(box)) for box in BOXES])
        made.frames.set_split([first.id], Split.HOLDOUT)
        made.frames.set_state(last.id, FrameState.SKIPPED)
        run = made.runs.start(preset="laptop", recipe="paper", steps=1, base="none")
        made.runs.finish(run.number, steps=1)

    def load(folder: Path, *, device: str) -> LoadedModel:
        assert folder.name == "0001-laptop"
        return LoadedModel(ColourNetwork(), RiseConfig.preset("laptop"), ("object",), torch.device("cpu"))  # type: ignore[arg-type]

    monkeypatch.setattr("rise_engine.prediction.load.load_model", load)
    return tmp_path / "totes.rise"


def rise(*arguments: str | Path) -> int:
    with pytest.raises(SystemExit) as ended:
        main([str(argument) for argument in arguments])
    return int(ended.value.code or 0)


def iou(first: Any, second: Any) -> float:
    one, other = to_mask(first, *SIZE), to_mask(second, *SIZE)
    return float((one & other).sum() / (one | other).sum())


def test_the_store_gets_predictions_from_the_stored_score_up(project: Path) -> None:
    assert rise("predict", project) == 0
    with Project.open(project) as opened:
        for frame in opened.frames.all():
            found = opened.predictions.of_frame(frame.id)
            if frame.state is FrameState.SKIPPED:
                assert found == []
                continue
            [prediction] = found
            assert prediction.source is Source.PREDICTED
            assert prediction.score == pytest.approx(0.9)
            assert iou(prediction.segmentation, box_mask(BOXES[0])) > 0.95


def test_a_file_gets_low_scores_too_and_the_project_does_not_change(project: Path, tmp_path: Path) -> None:
    out = tmp_path / "predictions.json"
    assert rise("predict", project, "--out", out) == 0
    written = json.loads(out.read_text())
    assert written["categories"] == [{"id": 1, "name": "object"}]
    assert [image["file_name"] for image in written["images"]] == ["tote_0.png", "tote_1.png", "tote_2.png"]
    assert [round(each["score"], 3) for each in written["annotations"]] == [0.9, 0.2] * 3
    second = written["annotations"][1]
    assert isinstance(second["segmentation"]["counts"], str)
    assert second["bbox"] == pytest.approx([60, 45, 50, 40], abs=1)
    assert second["area"] == pytest.approx(2000, rel=0.05)
    with Project.open(project) as opened:
        assert opened.predictions.of_frame(opened.frames.all()[0].id) == []


def test_a_file_keeps_the_image_ids_of_its_source(project: Path, tmp_path: Path) -> None:
    with Project.open(project) as opened:
        source = tmp_path / "source.json"
        image = {"id": 77, "file_name": "tote_1.png", "height": SIZE[0], "width": SIZE[1]}
        source.write_text(json.dumps({"images": [image], "annotations": [], "categories": []}))
        import_coco(opened, source)
    out = tmp_path / "predictions.json"
    rise("predict", project, "--out", out)
    written = json.loads(out.read_text())
    ids = {image["file_name"]: image["id"] for image in written["images"]}
    assert ids["tote_1.png"] == 77
    assert len(set(ids.values())) == 3
    assert {each["image_id"] for each in written["annotations"]} == set(ids.values())


def test_a_list_selects_frames_and_another_folder_can_be_predicted(project: Path, tmp_path: Path) -> None:
    names = tmp_path / "names.txt"
    names.write_text("new_2.png\n")
    other = tmp_path / "other"
    other.mkdir()
    for number in range(3):
        picture(other / f"new_{number}.png")
    out = tmp_path / "predictions.json"
    assert rise("predict", project, "--images", other, "--frames", names, "--out", out) == 0
    assert [image["file_name"] for image in json.loads(out.read_text())["images"]] == ["new_2.png"]
    assert sorted(path.name for path in other.iterdir()) == ["new_0.png", "new_1.png", "new_2.png"]


def test_an_unreadable_frame_is_reported_and_skipped(
    project: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "totes" / "tote_1.png").write_bytes(b"broken")
    out = tmp_path / "predictions.json"
    assert rise("predict", project, "--out", out) == 0
    assert "tote_1.png" in capsys.readouterr().err
    assert [image["file_name"] for image in json.loads(out.read_text())["images"]] == ["tote_0.png", "tote_2.png"]


def test_evaluate_uses_the_holdout_and_reports_percent(project: Path, tmp_path: Path) -> None:
    out = tmp_path / "scores.json"
    assert rise("evaluate", project, "--json", out) == 0
    scores = json.loads(out.read_text())
    assert scores["frames"] == 1
    assert scores["mask"]["AP50"] == scores["box"]["AP50"] == 100
    assert list(scores["mask"]) == ["AP", "AP50", "AP75", "APs", "APm", "APl"]


def test_frames_without_annotations_and_skipped_ones_are_not_measured_but_counted(
    project: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, names = tmp_path / "scores.json", tmp_path / "names.txt"
    with Project.open(project) as opened:
        opened.frames.set_split([frame.id for frame in opened.frames.all()], Split.HOLDOUT)
    assert rise("evaluate", project, "--json", out) == 0
    scores = json.loads(out.read_text())
    assert (scores["frames"], scores["mask"]["AP50"]) == (1, 100)
    excluded = "Not measured: 2 frames without annotations, 1 skipped frame."
    report = f"run 1 (in use), last weights, on 1 hold-out frame\n{excluded}\n"
    assert capsys.readouterr().out.endswith(report)
    path = tmp_path / "truth.json"
    path.write_text(json.dumps(truth("tote_0.png", "tote_3.png")))
    assert rise("evaluate", project, "--against", path, "--json", out) == 0
    assert json.loads(out.read_text())["frames"] == 1, "a skipped frame is not measured, whatever the file has"
    assert capsys.readouterr().out.endswith(report)
    names.write_text("tote_1.png\ntote_2.png\n")
    assert rise("evaluate", project, "--frames", names) == 2
    assert "None of the 2 frames to evaluate on is annotated" in capsys.readouterr().err


def test_a_frame_that_is_empty_on_purpose_is_measured(
    project: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "scores.json"
    with Project.open(project) as opened:
        empty = opened.frames.get("tote_1.png").id
        opened.frames.set_state(empty, FrameState.LABELLED)
        opened.frames.set_split([empty], Split.HOLDOUT)
    assert rise("evaluate", project, "--json", out) == 0
    scores = json.loads(out.read_text())
    assert scores["frames"] == 2
    assert scores["mask"]["AP50"] < 100, "the same objects are predicted on the empty frame, as false positives"
    assert "Not measured" not in capsys.readouterr().out


def test_best_weights_are_not_measured_on_the_frames_that_chose_them(
    project: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, names = tmp_path / "scores.json", tmp_path / "names.txt"
    with Project.open(project) as opened:
        category = opened.annotations.categories()[0].id
        second = opened.frames.get("tote_1.png").id
        opened.annotations.add(second, [Instance(None, second, category, box_mask(BOXES[0]))])
        opened.frames.set_split([second], Split.HOLDOUT)
        files = opened.runs.get().files
    files.best_weights.write_bytes(b"")
    files.config.write_text(json.dumps({"validation": ["tote_1.png"], "holdout": ["tote_0.png", "tote_1.png"]}))
    assert rise("evaluate", project, "--json", out) == 0
    assert json.loads(out.read_text())["frames"] == 1
    assert capsys.readouterr().out.endswith(
        "run 1 (in use), best weights, on 1 hold-out frame\nNot measured: 1 validation frame that chose the weights.\n"
    )
    names.write_text("tote_0.png\ntote_1.png\n")
    assert rise("evaluate", project, "--frames", names) == 0
    assert capsys.readouterr().out.endswith(
        "run 1 (in use), best weights, on 2 frames\n"
        "The weights were chosen on 1 of these frames, so the AP is optimistic.\n"
    )
    files.config.write_text(json.dumps({"holdout": ["tote_0.png", "tote_1.png"]}))
    assert rise("evaluate", project) == 0
    assert "chosen on 2 of these frames" in capsys.readouterr().out, "a run from before there were validation frames"
    for broken in ("[", "[]", '{"validation": 3}', '{"validation": [[1]]}'):
        files.config.write_text(broken)
        assert rise("evaluate", project) == 2
        assert str(files.config) in capsys.readouterr().err


def truth(*names: str, **changes: Any) -> dict[str, Any]:
    """A COCO dataset that has the red object of each image, which is found; ``changes`` are of the annotations."""
    x0, y0, x1, y1 = BOXES[0]
    red = {"category_id": "box", "segmentation": [[x0, y0, x1, y0, x1, y1, x0, y1]]}
    return {
        "images": [{"id": name, "file_name": name, "height": SIZE[0], "width": SIZE[1]} for name in names],
        "annotations": [{"id": f"of {name}", "image_id": name, **red, **changes} for name in names],
        "categories": [{"id": "box", "name": "box"}, {"id": 6, "name": "bag"}],
    }


def test_evaluate_against_a_file_matches_frames_by_name(
    project: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The file knows one more object, which has another category and is not found: recall one in two."""
    dataset = truth("tote_0.png", "absent.png", "tote_2.png")
    other = {"image_id": "tote_0.png", "category_id": 6, "segmentation": [[90, 0, 120, 0, 120, 20, 90, 20]]}
    dataset["annotations"].append({"id": 2, **other})
    path, out, names = tmp_path / "truth.json", tmp_path / "scores.json", tmp_path / "names.txt"
    path.write_text(json.dumps(dataset))
    assert rise("evaluate", project, "--against", path, "--json", out) == 0
    assert capsys.readouterr().out.endswith("run 1 (in use), last weights, on 1 hold-out frame\n")
    scores = json.loads(out.read_text())
    assert scores["frames"] == 1  # of the hold-out, whatever else the file has
    assert scores["mask"]["AP50"] == pytest.approx(100 * 51 / 101)
    names.write_text("tote_2.png\ntote_1.png\n")
    assert rise("evaluate", project, "--against", path, "--json", out, "--frames", names) == 0
    assert json.loads(out.read_text())["mask"]["AP50"] == 100


@pytest.mark.parametrize(
    "segmentation",
    [
        "text", [], None, [[1, 2, 3, 4]], [[1, 2, 3, 4, 5, 6, 7]], [[1, 2, 3, 4, 5, "6"]], [1, 2, 3, 4, 5, 6],
        [[1, 2, 3, 4, 5, float("inf")]], {"size": 3, "counts": [1]}, {"size": list(SIZE), "counts": ["1"]}, {},
    ],
)  # fmt: skip
def test_ground_truth_with_an_invalid_mask_is_refused_with_its_id(
    segmentation: Any, project: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "truth.json"
    path.write_text(json.dumps(truth("tote_0.png", segmentation=segmentation)))
    assert rise("evaluate", project, "--against", path) == 2
    said = capsys.readouterr().err
    assert "Annotation of tote_0.png of" in said
    assert said.count("\n") == 1


@pytest.mark.parametrize(
    ("part", "field", "value"),
    [
        ("images", "width", "128"), ("images", "width", 100), ("images", "height", None), ("images", "id", [1]),
        ("images", "file_name", ["tote_0.png"]), ("images", "file_name", "tote_1.png"),
        ("annotations", "image_id", [1]), ("annotations", "bbox", "all"), ("annotations", "area", "much"),
        ("categories", "id", [1]),
    ],
)  # fmt: skip
def test_ground_truth_with_invalid_fields_is_refused(
    part: str, field: str, value: Any, project: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    dataset = truth("tote_0.png")
    dataset[part][0][field] = value
    path = tmp_path / "truth.json"
    path.write_text(json.dumps(dataset))
    assert rise("evaluate", project, "--against", path) == 2
    said = capsys.readouterr().err
    assert str(path) in said
    assert said.count("\n") == 1


def test_messages_name_the_run(project: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with Project.open(project) as opened:
        second = opened.runs.start(preset="laptop", recipe="paper", steps=1, base="none")
        opened.runs.finish(second.number, steps=1)
    out = tmp_path / "predictions.json"
    assert rise("predict", project, "--run", "1", "--out", out) == 0
    assert "6 predictions of run 1 on 3 frames" in capsys.readouterr().out
    assert rise("runs", project, "--use", "1") == 0
    assert rise("predict", project, "--out", out) == 0
    assert "6 predictions of run 1 (in use) on 3 frames" in capsys.readouterr().out


def test_frames_that_cannot_be_read_are_not_counted_as_predicted(
    project: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "totes" / "tote_1.png").write_bytes(b"broken")
    assert rise("predict", project) == 0
    assert "2 predictions of run 1 on 2 frames are stored" in capsys.readouterr().out


@pytest.mark.parametrize("text", ["nothing", "{}", '{"images": [], "annotations": [], "categories": []}'])
def test_an_invalid_ground_truth_file_is_refused(
    text: str, project: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "truth.json"
    path.write_text(text)
    assert rise("evaluate", project, "--against", path) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_each_of_two_test_time_augmentation_passes_has_half_the_weight(
    project: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The network ignores mirroring, so that its boxes of the two passes do not overlap."""
    assert rise("predict", project) == 0
    capsys.readouterr()
    assert rise("predict", project, "--looks", "2") == 0
    assert "already been predicted" not in capsys.readouterr().out  # another number of passes is another prediction
    with Project.open(project) as opened:
        found = opened.predictions.of_frame(opened.frames.all()[0].id)
    assert [round(prediction.score or 0, 3) for prediction in found] == [0.45, 0.45]
    assert all(iou(prediction.segmentation, box_mask(BOXES[0])) > 0.9 for prediction in found)
    out = tmp_path / "scores.json"
    assert rise("evaluate", project, "--looks", "2", "--json", out) == 0
    assert json.loads(out.read_text())["frames"] == 1
    assert rise("predict", project, "--looks", "3") == 2
    assert "--looks 3" in capsys.readouterr().err


def test_predicted_frames_are_skipped_without_again(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert rise("predict", project) == 0
    with Project.open(project) as opened:
        [first] = opened.predictions.of_frame(opened.frames.all()[0].id)
        assert first.id is not None
        opened.predictions.reject([first.id])
    capsys.readouterr()
    assert rise("predict", project) == 0
    assert "--again" in capsys.readouterr().out
    with Project.open(project) as opened:
        assert opened.predictions.of_frame(opened.frames.all()[0].id) == []
    assert rise("predict", project, "--again") == 0
    with Project.open(project) as opened:
        assert len(opened.predictions.of_frame(opened.frames.all()[0].id)) == 1


def test_an_export_can_leave_the_size_open(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: dict[str, Any] = {}

    def export(_: Project, path: Path, **options: Any) -> OnnxReport:
        asked.update(options)
        return OnnxReport(path, options["run"], (256, 352), 3, 1e-6, dynamic=options["dynamic"])

    monkeypatch.setattr("rise_engine.prediction.onnx_export.export_run_to_onnx", export)
    assert rise("export", "onnx", project, tmp_path / "m.onnx", "--size", "dynamic") == 0
    assert asked == {"run": 1, "size": None, "half": False, "dynamic": True}
    assert "any multiples of 32, such as 256x352" in capsys.readouterr().out
    assert rise("export", "onnx", project, tmp_path / "m.onnx", "--size", "64x96") == 0
    assert (asked["size"], asked["dynamic"]) == ((64, 96), False)
