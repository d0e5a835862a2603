"""OCID's folder as a project, with the traps that a careless reader falls into."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rise_engine.cli import main
from rise_engine.commands.predict import ocid_scores
from rise_engine.config import RiseConfig
from rise_engine.evaluation.ground_truth import ground_truth_of
from rise_engine.experiments.reproduce.cell import Cell, counted
from rise_engine.experiments.reproduce.grid import Grid
from rise_engine.experiments.reproduce.job import Job
from rise_engine.formats.ocid import find_ocid, scene_of
from rise_engine.project.project import Project
from rise_engine.project.records import FrameState, Split
from rise_engine.project.segmentation import to_mask
from rise_engine.project.splits import read_name_list

WIDTH, HEIGHT = 64, 48
FLOOR, TABLE = "ARID20/floor/top/seq01", "ARID20/table/bottom/seq07"


def _numbers(objects: int, *, table: bool) -> np.ndarray:
    """0 unknown, 1 floor or surroundings, 2 the table in table scenes, then the objects."""
    numbers = np.ones((HEIGHT, WIDTH), dtype=np.int32)
    numbers[:4] = 0
    if table:
        numbers[20:] = 2
    for index in range(objects):
        numbers[10 + 8 * index : 16 + 8 * index, 10:30] = (3 if table else 2) + index
    return numbers


def _sequence(folder: Path, *, table: bool, mode: str = "I;16", frames: int = 3) -> None:
    for kind in ("rgb", "depth", "label", "pcd"):
        (folder / kind).mkdir(parents=True)
    for frame in range(frames):
        name = f"result_2018-08-20-10-26-3{frame}.png"
        Image.new("RGB", (WIDTH, HEIGHT), (60, 60, 60)).save(folder / "rgb" / name)
        Image.fromarray(np.full((HEIGHT, WIDTH), 900, dtype=np.uint16)).save(folder / "depth" / name)
        numbers = _numbers(frame, table=table)
        if mode == "P":
            palette = Image.fromarray(numbers.astype(np.uint8), mode="P")
            palette.putpalette([200, 10, 10] * 256)
            palette.save(folder / "label" / name)
        else:
            Image.fromarray(numbers.astype(np.uint16 if mode == "I;16" else np.uint8)).save(folder / "label" / name)
        (folder / "pcd" / name.replace("png", "pcd")).write_text("points")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A path with the words that tell scenes apart, which must not count."""
    root = tmp_path / "table" / "rgb" / "OCID-dataset"
    _sequence(root / FLOOR, table=False)
    _sequence(root / TABLE, table=True)
    return root


def _new(*arguments: str | Path) -> int:
    with pytest.raises(SystemExit) as ended:
        main(["new", *map(str, arguments)])
    return int(ended.value.code or 0)


def _objects(project: Project, name: str) -> list[list[int]]:
    """Top row, left column, area of each mask."""
    found = []
    for instance in project.annotations.of_frame(project.frames.get(name).id):
        mask = to_mask(instance.segmentation, HEIGHT, WIDTH)
        rows, columns = np.nonzero(mask)
        found.append([int(rows.min()), int(columns.min()), int(mask.sum())])
    return found


def test_only_pictures_are_frames_and_the_background_depends_on_the_scene(root: Path, tmp_path: Path) -> None:
    assert _new(tmp_path / "o.rise", "--ocid", root) == 0
    with Project.open(tmp_path / "o.rise") as project:
        assert project.setting("source") == "ocid"
        assert len(project.frames.all()) == 6
        assert all("/rgb/" in frame.name for frame in project.frames.all())
        # A later look at the folder, as a window takes it, finds nothing new either.
        assert project.scan().added == 0
        for sequence in (FLOOR, TABLE):
            for frame in range(3):
                expected = [[10 + 8 * index, 10, 120] for index in range(frame)]
                assert _objects(project, f"{sequence}/rgb/result_2018-08-20-10-26-3{frame}.png") == expected
        assert project.frames.counts()[FrameState.LABELLED] == 6
        numbers = [
            instance.extra["ocid_number"]
            for instance in project.annotations.of_frame(
                project.frames.get(f"{TABLE}/rgb/result_2018-08-20-10-26-32.png").id
            )
        ]
        assert numbers == [3, 4]


@pytest.mark.parametrize("mode", ["P", "L"])
def test_labels_of_8_bits_and_palettes_are_numbers_too(tmp_path: Path, mode: str) -> None:
    root = tmp_path / "OCID-dataset"
    _sequence(root / FLOOR, table=False, mode=mode)
    assert _new(tmp_path / "o.rise", "--ocid", tmp_path) == 0
    with Project.open(tmp_path / "o.rise") as project:
        assert len(_objects(project, f"{FLOOR}/rgb/result_2018-08-20-10-26-32.png")) == 2


def test_numbers_above_255_stay_apart(tmp_path: Path) -> None:
    root = tmp_path / "OCID-dataset"
    _sequence(root / FLOOR, table=False)
    numbers = np.ones((HEIGHT, WIDTH), dtype=np.uint16)
    numbers[5:10, 5:10], numbers[20:30, 20:30] = 256, 257
    Image.fromarray(numbers).save(root / FLOOR / "label" / "result_2018-08-20-10-26-30.png")
    assert _new(tmp_path / "o.rise", "--ocid", root) == 0
    with Project.open(tmp_path / "o.rise") as project:
        assert _objects(project, f"{FLOOR}/rgb/result_2018-08-20-10-26-30.png") == [[5, 5, 25], [20, 20, 100]]


def test_a_place_is_held_out_whole_with_both_cameras(tmp_path: Path) -> None:
    root = tmp_path / "OCID-dataset"
    for number in range(1, 6):
        for view in ("top", "bottom"):
            _sequence(root / "YCB10" / "floor" / view / "mixed" / f"seq{number:02d}", table=False)
    assert _new(tmp_path / "o.rise", "--ocid", root, "--seed", "1") == 0
    with Project.open(tmp_path / "o.rise") as project:
        held_out = {scene_of(frame.name).place for frame in project.frames.all(split=Split.HOLDOUT)}  # type: ignore[union-attr]
        trains = {scene_of(frame.name).place for frame in project.frames.all(split=Split.TRAIN)}  # type: ignore[union-attr]
        assert len(held_out) == 1
        assert held_out.isdisjoint(trains)
        assert len(project.frames.all(split=Split.HOLDOUT)) == 6
        first = {frame.name for frame in project.frames.all(split=Split.HOLDOUT)}
    splits = tmp_path / "o.rise" / "splits"
    assert set(read_name_list(splits / "test.txt")) == first
    record = json.loads((splits / "label_fractions.json").read_text())
    assert [subset["frames"] for subset in record["subsets"]] == [3, 3, 24]
    labelled = read_name_list(splits / "labelled-5-percent.txt")
    assert len({scene_of(name).sequence for name in labelled}) == 1  # type: ignore[union-attr]
    assert first.isdisjoint(labelled)
    # Another seed draws other labelled sequences, never another hold-out; another label gives another checksum.
    label = sorted((root / "YCB10").rglob("label/*.png"))
    for path in label:
        Image.fromarray(np.ones((HEIGHT, WIDTH), dtype=np.uint16)).save(path)
    assert _new(tmp_path / "p.rise", "--ocid", root, "--seed", "2") == 0
    with Project.open(tmp_path / "p.rise") as project:
        assert {frame.name for frame in project.frames.all(split=Split.HOLDOUT)} == first
    other = json.loads((tmp_path / "p.rise" / "splits" / "label_fractions.json").read_text())
    assert other["order"] != record["order"]
    assert other["sha256"] != record["sha256"]


def test_a_grid_of_trainings_draws_whole_sequences(tmp_path: Path) -> None:
    root = tmp_path / "OCID-dataset"
    for number in range(1, 8):
        _sequence(root / "ARID20" / "floor" / "top" / f"seq{number:02d}", table=False)
    assert _new(tmp_path / "o.rise", "--ocid", root) == 0
    config = RiseConfig.preset("laptop")
    with Project.open(tmp_path / "o.rise") as project:
        grid = Grid(project, tmp_path / "out")
        drawn = []
        for wanted in (2, 7):
            split = grid.split(Job(Cell("RISE", counted(wanted)), wanted, 0, config))
            names = [grid.project.frames.get(frame).name for frame in split.labelled]
            drawn.append({scene_of(name).sequence for name in names})  # type: ignore[union-attr]
            assert len(names) == 3 * len(drawn[-1]), "all three frames of each"
            assert not {*split.labelled} & {*split.unlabelled, *grid.holdout}
        assert [len(sequences) for sequences in drawn] == [1, 2]
        assert drawn[0] < drawn[1]
        others = [{*grid.split(Job(Cell("RISE", counted(2)), 2, subset, config)).labelled} for subset in range(6)]
        assert len({frozenset(frames) for frames in others}) > 1
        grid.project.close()


def test_a_frame_without_a_label_stays_unlabelled(root: Path, tmp_path: Path) -> None:
    (root / FLOOR / "label" / "result_2018-08-20-10-26-32.png").unlink()
    assert _new(tmp_path / "o.rise", "--ocid", root) == 0
    with Project.open(tmp_path / "o.rise") as project:
        assert project.frames.counts()[FrameState.UNLABELLED] == 1


@pytest.mark.parametrize(("size", "mode"), [((32, 24), "L"), ((WIDTH, HEIGHT), "RGB")])
def test_a_label_of_another_size_or_in_colour_is_refused_by_name(
    root: Path, tmp_path: Path, size: tuple[int, int], mode: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Image.new(mode, size).save(root / TABLE / "label" / "result_2018-08-20-10-26-31.png")
    assert _new(tmp_path / "o.rise", "--ocid", root) == 2
    assert "label/result_2018-08-20-10-26-31.png" in capsys.readouterr().err
    assert not (tmp_path / "o.rise").exists()


def test_where_ocid_is_not_is_a_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert _new(tmp_path / "o.rise", "--ocid", tmp_path) == 2
    assert capsys.readouterr().err.count("\n") == 1
    (tmp_path / "OCID-dataset" / "YCB10").mkdir(parents=True)
    assert find_ocid(tmp_path) == tmp_path / "OCID-dataset"


@pytest.mark.parametrize(
    ("name", "subset"),
    [
        ("ARID20/table/top/seq01/rgb/a.png", "ARID20/table/top"),
        ("YCB10/floor/bottom/cuboid/seq03/rgb/a.png", "YCB10/floor/bottom"),
        ("ARID20/table/top/seq01/depth/a.png", None),
        ("ARID20/top/seq01/rgb/a.png", None),
        ("a.png", None),
    ],
)
def test_the_name_tells_the_scene(name: str, subset: str | None) -> None:
    scene = scene_of(name)
    assert (None if scene is None else scene.subset) == subset


def test_evaluating_ocid_adds_its_own_measures(root: Path, tmp_path: Path) -> None:
    assert _new(tmp_path / "o.rise", "--ocid", root) == 0
    with Project.open(tmp_path / "o.rise") as project:
        frames = [frame.id for frame in project.frames.all() if "10-26-32" in frame.name]
        truth = ground_truth_of(project, frames)
        # All of the table's two objects, one of the floor's.
        results = [{**annotation, "score": 0.9} for annotation in truth["annotations"]]
        floor = project.frames.get(f"{FLOOR}/rgb/result_2018-08-20-10-26-32.png").id
        results.remove(next(result for result in results if result["image_id"] == floor))
        scores = ocid_scores(project, truth, results)
        assert scores is not None
        assert scores["subsets"]["ARID20/table/bottom"]["%75"] == 100
        assert scores["subsets"]["ARID20/floor/top"]["overlap"] == pytest.approx({"P": 100, "R": 50, "F": 200 / 3})
        assert scores["%75"] == 75
        project.set_setting("dataset", None)
        assert ocid_scores(project, truth, results) is None
