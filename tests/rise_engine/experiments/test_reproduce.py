"""Grids of trainings: what they ask for, that they go on after an interruption, and what is written."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from rise_engine.cli import app
from rise_engine.config import RiseConfig
from rise_engine.errors import RiseError
from rise_engine.experiments.reproduce.cell import ALL, Amount, Cell, counted
from rise_engine.experiments.reproduce.figures import FIGURES, amount_of
from rise_engine.experiments.reproduce.grid import CELLS_FILE, Grid, InterruptedGridError, Job
from rise_engine.experiments.reproduce.table_file import lines_of, write_table
from rise_engine.experiments.reproduce.tables import TABLE_1, TABLE_2, TABLES, Table, with_counts
from rise_engine.learning.events import Finished, Progress
from rise_engine.learning.trainer import Trainer
from rise_engine.project.project import Project
from rise_engine.project.records import FrameState, Instance, Split
from rise_engine.project.segmentation import from_mask

SETTINGS = (
    "weights=none",
    "device=cpu",
    "model.hidden_dim=32",
    "model.encoder_layers=1",
    "model.decoder_layers=1",
    "model.num_queries=12",
    "model.num_heads=4",
    "model.feedforward_dim=32",
    "loader.short_sides=[64]",
    "loader.crop=96",
    "loader.predict_short_side=64",
    "loader.predict_long_side=96",
    "schedule.steps=3",
    "schedule.unsupervised_after=0",
)


def config_with(*settings: str) -> RiseConfig:
    return RiseConfig.preset("laptop").with_settings([*SETTINGS, *settings])


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """Six frames with an object each: four labelled, one of them held out."""
    images = tmp_path / "totes"
    images.mkdir()
    rng = np.random.default_rng(0)
    for index in range(6):
        Image.fromarray(rng.integers(0, 256, (64, 96, 3), dtype=np.uint8)).save(images / f"{index}.png")
    project = Project.create(tmp_path / "totes.rise", images)
    project.scan()
    category = project.add_category("object")
    mask = np.zeros((64, 96), dtype=bool)
    mask[10:40, 12:50] = True
    for frame in project.frames()[:4]:
        project.add_instances(frame.id, [Instance(None, frame.id, category.id, from_mask(mask))])
        project.set_state(frame.id, FrameState.LABELLED)
    project.set_split([project.frames()[3].id], Split.HOLDOUT)
    return project


def follow(trainer: Trainer, note: Callable[[float], str]) -> Finished:
    events = list(trainer.run())
    note(1.0)
    event = events[-1]
    assert isinstance(event, Finished)
    return event


def follow_one_step(trainer: Trainer, note: Callable[[float], str]) -> Finished:
    for event in trainer.run():
        if isinstance(event, Progress):
            trainer.stop()
    assert isinstance(event, Finished)
    return event


def test_shares_become_the_papers_counts_on_armbench_and_rounded_ones_elsewhere() -> None:
    assert [Amount("2 %", 0.02, listed=618).frames(count) for count in (30_992, 1000, 10)] == [618, 20, 1]
    assert ALL.frames(77) == 77 and counted(8).frames(77) == 8


@pytest.mark.parametrize("name", TABLES)
@pytest.mark.parametrize("recipe", ["recommended", "paper", "idol"])
def test_every_cell_is_a_training_of_its_own(name: str, recipe: str) -> None:
    configs = []
    for cell in TABLES[name].cells:
        config = RiseConfig.preset("r50", recipe).with_settings(cell.settings)  # type: ignore[arg-type]
        configs.append((cell.amount.label, config.model_dump_json()))
    assert len(set(configs)) == len(configs)
    assert all(set(cell.paper) <= {"r50", "r101", "swin-l"} for cell in TABLES[name].cells)


def test_numbers_of_the_paper_at_a_glance() -> None:
    rise = {cell.amount.label: cell.paper for cell in TABLE_1.cells if cell.method == "RISE"}
    assert rise["1 %"]["swin-l"] == (73.72, 84.89, 74.89) and rise["0.5 %"]["r50"] == (66.15, 78.80, 69.67)
    assert [cell.paper["r50"][1] for cell in TABLE_2.cells] == [75.1, 77.3, 78.2]
    assert [cell.paper["r101"][0] for cell in TABLES["table3"].cells] == [53.80, 73.85, 62.92, 74.16, 74.35, 74.47]
    assert len(TABLES["table5"].cells) == 9 and len(TABLES["table6"].cells) == 5


def test_counts_replace_shares_and_the_papers_numbers_go() -> None:
    table = with_counts(TABLE_1, [4, 8])
    assert [(cell.amount.frames(77), cell.method[:4]) for cell in table.cells] == [
        (4, "supe"),
        (4, "RISE"),
        (8, "supe"),
        (8, "RISE"),
    ]
    assert not any(cell.paper for cell in table.cells)


def test_jobs_are_nested_distinct_and_checked(project: Project, tmp_path: Path) -> None:
    grid = Grid(project, tmp_path / "out")
    assert grid.available == 3
    jobs = grid.jobs(TABLE_1.cells, config_with(), seeds=2)
    assert {job.labelled for job in jobs} == {1, 3}, "0.5, 1, 2 and 10 % of three frames are one"
    assert len(jobs) == 2 * 2 * 2
    small, large = (Job(Cell("RISE", counted(count)), count, config_with("schedule.seed=1")) for count in (1, 2))
    assert set(grid.split(small).labelled) < set(grid.split(large).labelled)
    assert set(grid.split(large).labelled).isdisjoint(grid.holdout)
    with pytest.raises(RiseError, match="has 3 besides"):
        grid.jobs([Cell("RISE", counted(4))], config_with(), seeds=1)


def test_the_recipe_paper_has_values_of_its_own(project: Project, tmp_path: Path) -> None:
    grid = Grid(project, tmp_path / "out")
    starts = []
    for recipe in ("paper", "recommended"):
        config = RiseConfig.preset("laptop", recipe)  # type: ignore[arg-type]
        threshold_only = grid.jobs(TABLES["table4"].cells, config, seeds=1)[0]
        starts.append(threshold_only.config.pseudo_labels.threshold_start)
    assert starts == [0.85, RiseConfig.preset("laptop").pseudo_labels.threshold_start]


def test_without_a_hold_out_it_says_so(project: Project, tmp_path: Path) -> None:
    project.set_split([project.frames()[3].id], Split.TRAIN)
    with pytest.raises(RiseError, match="no hold-out"):
        Grid(project, tmp_path / "out")


def test_an_interrupted_grid_goes_on_and_writes_its_table(project: Project, tmp_path: Path) -> None:
    out = tmp_path / "out"
    cells = (Cell("supervised", counted(2), ("schedule.supervised_only=true",)), Cell("RISE", counted(2)))
    table = Table("A table", "armbench", cells)
    grid = Grid(project, out)
    jobs = grid.jobs(cells, config_with(), seeds=1)
    grid.run(jobs[:1], follow=follow, say=lambda text: None)
    with pytest.raises(InterruptedGridError):
        grid.run(jobs, follow=follow_one_step, say=lambda text: None)
    assert grid.result(jobs[0]) is not None and grid.result(jobs[1]) is None
    grid.project.close()

    again = Grid(project, out)
    said: list[str] = []
    again.run(jobs, follow=follow, say=said.append)
    assert len(said) == 1 and said[0].startswith("[2/2] RISE, 2 labelled frames, seed 0")
    assert len(again.project.runs()) == 2, "the half-finished training went on in its own run"
    result = again.result(jobs[1])
    assert result is not None
    log = [json.loads(line) for line in (result.folder / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in log if line["event"] == "Losses"] == [1, 2, 3]
    assert not (result.folder / "training_state").exists() and (result.folder / "weights.safetensors").is_file()
    assert len((out / CELLS_FILE).read_text().splitlines()) == 2
    assert project.runs() == [], "the project itself is left alone"

    lines = lines_of(table, again, jobs, comparable=False)
    csv_path, markdown = write_table(out, "table1", table, lines, jobs=jobs, data_set="", command="rise reproduce x")
    rows = list(csv.DictReader(csv_path.open()))
    assert [(row["method"], row["labelled"], row["seeds"]) for row in rows] == [
        ("supervised", "2", "1"),
        ("RISE", "2", "1"),
    ]
    assert "another data set" in markdown.read_text() and "rise reproduce x" in markdown.read_text()


def test_means_and_spreads_stand_beside_the_paper_where_it_is_the_same_data(tmp_path: Path) -> None:
    from rise_engine.experiments.reproduce.table_file import Line

    cell = TABLE_1.cells[3]
    job = Job(cell, 309, RiseConfig.preset("r101"))
    printed = dict(zip(("AP", "AP50", "AP75"), cell.paper["r101"], strict=True))
    line = Line(cell, 309, {"AP": [60.0, 62.0], "AP50": [70.0, 70.0], "AP75": [50.0, 54.0]}, printed)
    csv_path, markdown = write_table(
        tmp_path, "table1", TABLE_1, [line], jobs=[job], data_set="armbench", command="rise"
    )
    row = next(csv.DictReader(csv_path.open()))
    assert (row["AP mean"], row["AP spread"], row["AP paper"]) == ("61.0", "1.4142", "73.0")
    text = markdown.read_text()
    assert "61.0 ± 1.4 | 73.00" in text
    assert "YOLACT" in text and "RoboLLM" not in text, "quoted lines of the same column only"


@pytest.mark.slow
def test_figures_are_drawn_from_finished_trainings(project: Project, tmp_path: Path) -> None:
    grid = Grid(project, tmp_path / "out")
    kept = ("pseudo_labels.threshold_start=0.001", "pseudo_labels.threshold_peak=0.002")
    for name in ("figure3", "figure8", "figure4"):
        config = config_with("schedule.steps=2", *kept)
        jobs = grid.jobs(FIGURES[name].cells(amount_of([1]), 2), config, seeds=1)
        grid.run(jobs, follow=follow, say=lambda text: None)
        paths = FIGURES[name].draw(grid, jobs, grid.folder)
        assert all(path.is_file() for path in paths)
        if name == "figure4":
            again = FIGURES["figure7"].draw(grid, jobs, grid.folder)
            with Image.open(again[0]) as picture:
                assert picture.size == (640, 420)
            steps = [int(row["step"]) for row in csv.DictReader(paths[1].open())]
            assert steps == [1, 2]
    assert len(grid.project.runs()) == 2, "figures 3 and 8 share their training"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [(["table9"], "table9"), (["table1", "--labelled", "4,x"], "4,8,19"), (["table1", "--set", "a=b"], "a=b")],
)
def test_bad_input_is_a_sentence(project: Project, arguments: list[str], said: str) -> None:
    done = CliRunner().invoke(app, ["reproduce", arguments[0], str(project.path), *arguments[1:]])
    assert isinstance(done.exception, RiseError) and said in str(done.exception)
