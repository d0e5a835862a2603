"""Grids of trainings: what they ask for, that they go on after an interruption, and what is written."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from typer.testing import CliRunner

from rise_engine.cli import app
from rise_engine.config import RiseConfig
from rise_engine.errors import RiseError
from rise_engine.experiments.reproduce.cell import Cell, counted
from rise_engine.experiments.reproduce.curves import panels_of, write_curves
from rise_engine.experiments.reproduce.figures import FIGURES, amount_of
from rise_engine.experiments.reproduce.grid import Grid, InterruptedGridError
from rise_engine.experiments.reproduce.grid_records import CELLS_FILE, GridRecords
from rise_engine.experiments.reproduce.job import Job, select_jobs
from rise_engine.experiments.reproduce.table_file import lines_of, write_table
from rise_engine.experiments.reproduce.tables import TABLE_1, TABLE_3, TABLES, Table, with_counts
from rise_engine.project.project import Project
from rise_engine.project.records import Split
from rise_engine.training.events import Finished, HoldoutScore, Progress
from rise_engine.training.trainer import Trainer
from tests.rise_engine.tiny import FRESH, TINY

SETTINGS = (
    *FRESH,
    *TINY,
    "schedule.steps=3",
    "schedule.unsupervised_after=0",
)


def config_with(*settings: str) -> RiseConfig:
    return RiseConfig.preset("laptop").with_settings([*SETTINGS, *settings])


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


def test_jobs_are_nested_distinct_and_checked(project: Project, tmp_path: Path) -> None:
    grid = Grid(project, tmp_path / "out")
    assert grid.available == 3
    jobs = grid.jobs(TABLE_1.cells, config_with(), subsets=2, seeds=2)
    assert {job.labelled for job in jobs} == {1, 3}, "0.5, 1, 2 and 10 % of three frames are one"
    assert len(jobs) == 2 * 2 * 2 * 2
    assert [(job.subset, job.seed) for job in jobs[::4]] == [(0, 0), (1, 1), (0, 1000), (1, 1001)], "every line first"
    small, large = (Job(Cell("RISE", counted(count)), count, 1, config_with()) for count in (1, 2))
    assert set(grid.split(small).labelled) < set(grid.split(large).labelled)
    assert set(grid.split(large).labelled).isdisjoint(grid.holdout)
    with pytest.raises(RiseError, match="has 3 outside"):
        grid.jobs([Cell("RISE", counted(4))], config_with())


def test_the_recipe_paper_has_values_of_its_own(project: Project, tmp_path: Path) -> None:
    grid = Grid(project, tmp_path / "out")
    starts = []
    for recipe in ("paper", "recommended"):
        config = RiseConfig.preset("laptop", recipe)  # type: ignore[arg-type]
        threshold_only = grid.jobs(TABLES["table4"].cells, config)[0]
        starts.append(threshold_only.config.pseudo_labels.threshold_start)
    assert starts == [0.85, RiseConfig.preset("laptop").pseudo_labels.threshold_start]


@pytest.mark.parametrize("recipe", ["recommended", "paper", "idol"])
def test_multi_label_matching_keeps_several_of_an_object_in_the_lines_that_show_it(recipe: str) -> None:
    lines = [cell for name in ("table3", "table5") for cell in TABLES[name].cells if "MLM" in cell.method]
    assert len(lines) > 1
    for cell in lines:
        config = RiseConfig.preset("laptop", recipe).with_settings(list(cell.settings))  # type: ignore[arg-type]
        assert config.pseudo_labels.multi_label_matching and config.pseudo_labels.max_overlapping == 3


def test_an_interrupted_grid_goes_on_and_writes_its_table(project: Project, tmp_path: Path) -> None:
    out = tmp_path / "out"
    cells = (Cell("supervised", counted(2), ("schedule.supervised_only=true",)), Cell("RISE", counted(2)))
    table = Table("A table", "armbench", cells)
    grid = Grid(project, out)
    jobs = grid.jobs(cells, config_with())
    grid.run(jobs[:1], follow=follow, say=lambda text: None)
    with pytest.raises(InterruptedGridError):
        grid.run(jobs, follow=follow_one_step, say=lambda text: None)
    assert grid.result(jobs[0]) is not None and grid.result(jobs[1]) is None
    grid.project.close()

    again = Grid(project, out)
    said: list[str] = []
    again.run(jobs, follow=follow, say=said.append)
    assert len(said) == 1
    assert re.match(r"\[2/2\] RISE, 2 labelled frames, subset 0, seed 0; about \d+ s in all", said[0])
    assert len(again.project.runs.all()) == 2, "the half-finished training went on in its own run"
    result = again.result(jobs[1])
    assert result is not None
    log = [json.loads(line) for line in (result.folder / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in log if line["event"] == "Losses"] == [1, 2, 3]
    assert not (result.folder / "training_state").exists() and (result.folder / "weights.safetensors").is_file()
    assert len((out / CELLS_FILE).read_text().splitlines()) == 2
    assert project.runs.all() == [], "the project itself is left alone"

    lines = lines_of(table, again, jobs, comparable=False)
    csv_path, markdown = write_table(
        out, "table1", table, lines, jobs=jobs, data_set="", held_out="1 frame", command="rise reproduce x"
    )
    rows = list(csv.DictReader(csv_path.read_text().splitlines()))
    assert [(row["method"], row["labelled"], row["trainings"]) for row in rows] == [
        ("supervised", "2", "1"),
        ("RISE", "2", "1"),
    ]
    assert "another data set" in markdown.read_text() and "rise reproduce x" in markdown.read_text()


def supervised_and_rise(grid: Grid, count: int = 2, **more: int) -> list[Job]:
    cells = (Cell("supervised", counted(count), ("schedule.supervised_only=true",)), Cell("RISE", counted(count)))
    return grid.jobs(cells, config_with(), **more)


def write_down(grid: Grid, job: Job, ap: float, *, run: str = "0001-laptop") -> None:
    scores = {"AP": ap, "AP50": ap, "AP75": ap}
    GridRecords(grid.folder).add(job.record, {"scores": scores, "frames": 1, "seconds": 60.0, "run": run})


def test_equal_trainings_of_different_tables_are_one(project: Project, tmp_path: Path) -> None:
    grid = Grid(project, tmp_path / "out")
    alone = ("schedule.supervised_only=true",)
    first, unread, averaged, longer, turned, parted = grid.jobs(
        [
            Cell("supervised", counted(2), alone),
            Cell(
                "none",
                counted(2),
                (
                    *alone,
                    "pseudo_labels.mask_to_box=false",
                    "augment.strong_rotation=90",
                    "loader.workers=1",
                ),
            ),
            Cell("averaged", counted(2), (*alone, "pseudo_labels.ema=0.5")),
            Cell("longer", counted(2), (*alone, "schedule.steps=4")),
            Cell("turned", counted(2), (*alone, "augment.rotation=90")),
            # What a loss is divided by is counted within a part.
            Cell("parted", counted(2), (*alone, "loader.accumulate=2")),
        ],
        config_with(),
    )
    assert first.identity == unread.identity, "settings of the unlabelled frames mean nothing without any"
    assert len({job.identity for job in (first, averaged, longer, turned, parted)}) == 5
    unlike = ((), ("pseudo_labels.mask_to_box=false",), ("augment.strong_rotation=90",))
    rise = [Cell("RISE", counted(2), settings) for settings in unlike]
    assert len({job.identity for job in grid.jobs(rise, config_with())}) == 3


def test_a_result_stays_one_when_settings_are_added_later(project: Project, tmp_path: Path) -> None:
    grid = Grid(project, tmp_path / "out")
    job = supervised_and_rise(grid)[1]
    older = json.loads(json.dumps(job.record))
    del older["subset"], older["config"]["pseudo_labels"]["after_view"]
    unknown = json.loads(json.dumps(job.record))
    unknown["config"]["loss"]["long_gone"] = 1
    lines = [
        {"key": key, "scores": {"AP": ap}, "frames": 1, "seconds": 9.0, "run": "r"}
        for key, ap in ((unknown, 1.0), (older, 2.0))
    ]
    (grid.folder / CELLS_FILE).write_text("".join(json.dumps(line) + "\n" for line in lines))
    result = Grid(project, grid.folder).result(job)
    assert result is not None and result.scores == {"AP": 2.0}


def test_two_processes_write_to_one_grid(project: Project, tmp_path: Path) -> None:
    here = Grid(project, tmp_path / "out")
    there = Grid(project, tmp_path / "out")
    first, second = supervised_and_rise(here)
    write_down(there, first, 10.0)
    write_down(here, second, 20.0)
    both = Grid(project, tmp_path / "out")
    assert [both.result(job).scores["AP"] for job in (first, second)] == [10.0, 20.0]  # type: ignore[union-attr]
    here.run([first, second], follow=lambda trainer, note: pytest.fail("nothing is left"), say=lambda text: None)


def test_a_training_that_another_process_has_in_hand_is_passed_over(project: Project, tmp_path: Path) -> None:
    grid, other = Grid(project, tmp_path / "out"), Grid(project, tmp_path / "out")
    jobs = supervised_and_rise(grid)
    said: list[str] = []

    def meanwhile(trainer: Trainer, note: Callable[[float], str]) -> Finished:
        other.run(jobs[:1], follow=lambda *both: pytest.fail("trained twice"), say=said.append)
        return follow(trainer, note)

    grid.run(jobs[:1], follow=meanwhile, say=lambda text: None)
    assert len(said) == 1 and "another process" in said[0]
    assert grid.result(jobs[0]) is not None


def test_a_training_interrupted_before_another_one_goes_on(project: Project, tmp_path: Path) -> None:
    grid = Grid(project, tmp_path / "out")
    jobs = supervised_and_rise(grid)
    with pytest.raises(InterruptedGridError):
        grid.run(jobs[:1], follow=follow_one_step, say=lambda text: None)
    begun = grid.begun(jobs[0])
    assert begun is not None and grid.begun(jobs[1]) is None
    grid.run(jobs[1:], follow=follow, say=lambda text: None)
    grid.run(jobs, follow=follow, say=lambda text: None)
    result = grid.result(jobs[0])
    assert result is not None and result.folder == begun.folder and len(grid.project.runs.all()) == 2
    starts = [json.loads(line) for line in (result.folder / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in starts if line["event"] == "Started"] == [0, 1]


def test_what_was_killed_before_its_first_checkpoint_begins_anew(project: Project, tmp_path: Path) -> None:
    grid = Grid(project, tmp_path / "out")
    job = supervised_and_rise(grid)[0]

    def killed(trainer: Trainer, note: Callable[[float], str]) -> Finished:
        next(iter(trainer.run()))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        grid.run([job], follow=killed, say=lambda text: None)
    assert len(grid.project.runs.all()) == 1
    grid.run([job], follow=follow, say=lambda text: None)
    assert grid.result(job) is not None and len(grid.project.runs.all()) == 1


@pytest.mark.parametrize("damage", ["cut off", "of another version"])
def test_an_unusable_checkpoint_costs_its_training_and_not_the_grid(
    project: Project, tmp_path: Path, damage: str
) -> None:
    grid = Grid(project, tmp_path / "out")
    job = supervised_and_rise(grid)[0]
    with pytest.raises(InterruptedGridError):
        grid.run([job], follow=follow_one_step, say=lambda text: None)
    begun = grid.begun(job)
    assert begun is not None
    state = begun.folder / "training_state/state.safetensors"
    if damage == "cut off":
        state.write_bytes(state.read_bytes()[:5000])
    else:
        save_file({"random": torch.get_rng_state()}, state)
    said: list[str] = []
    grid.run([job], follow=follow, say=said.append)
    result = grid.result(job)
    assert result is not None and "begins anew" in said[1] and str(state) in said[1]
    log = [json.loads(line) for line in (result.folder / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in log if line["event"] == "Losses"] == [1, 2, 3]
    assert [run.folder for run in grid.project.runs.all()] == [result.folder]


def test_a_part_of_a_grid_is_chosen_by_words(project: Project, tmp_path: Path) -> None:
    grid = Grid(project, tmp_path / "out")
    table = with_counts(TABLE_1, [1, 2])
    jobs = grid.jobs(table.cells, config_with(), subsets=2)

    def chosen(*words: str) -> list[tuple[str, int, int]]:
        return [(job.cell.method[:4], job.labelled, job.subset) for job in select_jobs(jobs, words, {})]

    assert len(chosen()) == 8
    assert chosen("2", "rise", "subset=1") == [("RISE", 2, 1)]
    assert chosen("1", "2", "supervised", "subset=0") == [("supe", 1, 0), ("supe", 2, 0)]
    for word in ("3", "subset=2", "teacher", ""):
        with pytest.raises(RiseError, match="matches no training"):
            select_jobs(jobs, [word], {})


def test_a_whole_name_of_a_method_is_that_method_alone(project: Project, tmp_path: Path) -> None:
    table = with_counts(TABLE_3, [1])
    jobs = Grid(project, tmp_path / "out").jobs(table.cells, config_with())

    def chosen(word: str) -> list[str]:
        return [job.cell.method for job in select_jobs(jobs, [word], {})]

    assert chosen("OT") == ["OT"]
    assert chosen("ps + ot") == ["PS + OT"]
    assert chosen("PS +") == ["PS + OT", "PS + OT + M2B", "PS + OT + M2B + MLM"]


def test_a_share_finds_the_training_that_it_has_in_common_with_others(project: Project, tmp_path: Path) -> None:
    jobs = Grid(project, tmp_path / "out").jobs(TABLE_1.cells, config_with())
    shares = {cell.amount.label: cell.amount.frames(3) for cell in TABLE_1.cells}
    assert [job.labelled for job in select_jobs(jobs, ["0.5 %"], shares)] == [1, 1]
    assert (
        select_jobs(jobs, ["1 %"], shares)
        == select_jobs(jobs, ["10 %"], shares)
        == select_jobs(jobs, ["0.5 %"], shares)
    )
    assert [job.labelled for job in select_jobs(jobs, ["100 %", "RISE"], shares)] == [3]


def test_time_is_told_from_finished_trainings_of_the_kind(project: Project, tmp_path: Path) -> None:
    grid = Grid(project, tmp_path / "out")
    alone = ("schedule.supervised_only=true", "schedule.steps=100")
    supervised, supervised_2 = grid.jobs([Cell("supervised", counted(2), alone)], config_with(), subsets=2)
    assert grid.seconds([supervised]) > 0, "some steps are timed when nothing is known"
    write_down(grid, supervised, 1.0)
    again = Grid(project, tmp_path / "out")
    assert again.seconds([supervised, supervised_2]) == 60
    more = [Cell("more", counted(2), (*alone, "loader.labelled_per_step=2"))]
    (longer,) = again.jobs(more, config_with())
    assert 0 < again.seconds([longer]) != 60, "two frames a step take another time"
    assert len(again.project.runs.all()) == 0, "timing leaves no run behind"


def test_a_miniature_does_not_tell_how_long_a_training_takes(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Trainer, "seconds_a_step", lambda trainer: 0.5)
    grid = Grid(project, tmp_path / "out")
    lengths = [("schedule.supervised_only=true", f"schedule.steps={steps}") for steps in (4, 100, 300, 1000)]
    short, middle, long, wanted = grid.jobs([Cell("supervised", counted(2), one) for one in lengths], config_with())
    write_down(grid, short, 1.0)
    assert Grid(project, grid.folder).seconds([wanted]) == 500, "a minute for four steps says nothing"
    write_down(grid, middle, 1.0)
    write_down(grid, long, 1.0)
    assert Grid(project, grid.folder).seconds([wanted]) == 300, "the longer one counts for more"


def test_the_data_sets_own_test_frames_measure_and_the_others_watch(project: Project, tmp_path: Path) -> None:
    frames = project.frames.all()
    project.frames.set_split([frames[2].id], Split.HOLDOUT)
    (project.path / "splits").mkdir()
    (project.path / "splits" / "test.txt").write_text(f"{frames[3].name}\n")
    grid = Grid(project, tmp_path / "out")
    job = supervised_and_rise(grid)[0]
    assert grid.measured == [frames[3].id] and grid.split(job).holdout == [frames[2].id]
    (project.path / "splits" / "test.txt").unlink()
    assert Grid(project, tmp_path / "out").measured == [frames[3].id], "as it was when the grid began"


def test_curves_are_means_of_the_trainings_of_a_line(project: Project, tmp_path: Path) -> None:
    grid = Grid(project, tmp_path / "out")
    jobs = supervised_and_rise(grid, subsets=2)
    for place, job in enumerate(jobs[:3]):
        folder = grid.project.path / "runs" / f"{place}-x"
        folder.mkdir(parents=True)
        events = [HoldoutScore(step, ap=float(step + 10 * place), ap50=0.0, best=True) for step in (1, 2)]
        (folder / "metrics.jsonl").write_text("".join(json.dumps(event.as_record()) + "\n" for event in events))
        write_down(grid, job, 1.0, run=folder.name)
    panels = panels_of(Grid(project, grid.folder), jobs)
    assert list(panels) == ["2 labelled frames"]
    picture, table = write_curves(tmp_path / "c.png", panels)
    rows = [tuple(row.values())[1:] for row in csv.DictReader(table.read_text().splitlines())]
    assert rows == [
        ("supervised", "1", "11.0", "14.1421"),
        ("supervised", "2", "12.0", "14.1421"),
        ("RISE", "1", "11.0", "0.0"),
        ("RISE", "2", "12.0", "0.0"),
    ]
    with Image.open(picture) as drawn:
        assert drawn.size == (640, 420)
    assert write_curves(tmp_path / "none.png", {}) == [] and not (tmp_path / "none.png").exists()


def command_for(project: Project, out: Path, *more: str, weights: bool = True) -> list[str]:
    left_out = ("device",) if weights else ("device", "weights")
    settings = [part for setting in SETTINGS for part in ("--set", setting) if not setting.startswith(left_out)]
    command = ["reproduce", "table1", str(project.path), "--preset", "laptop", "--device", "cpu", "--out", str(out)]
    return [*command, *settings, *more]


def pretend_finished(project: Project, out: Path, steps: int) -> None:
    """A result of the supervised line with one labelled frame, with a curve."""
    with Grid(project, out).project as copy:
        folder = copy.path / "runs" / f"{steps}-x"
        folder.mkdir(parents=True)
    event = HoldoutScore(steps, ap=7.0, ap50=0.0, best=True)
    (folder / "metrics.jsonl").write_text(json.dumps(event.as_record()) + "\n")
    grid = Grid(project, out)
    (job, _) = grid.jobs(with_counts(TABLE_1, [1]).cells, config_with(f"schedule.steps={steps}"))
    write_down(grid, job, 7.0, run=folder.name)


def test_a_table_and_its_curves_stay_until_there_are_others(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*arguments: object, **options: object) -> None:
        raise InterruptedGridError

    monkeypatch.setattr(Grid, "run", interrupted)
    out = tmp_path / "out"

    def said(steps: int) -> str:
        done = CliRunner().invoke(app, command_for(project, out, "--labelled", "1", "--steps", str(steps)))
        assert done.exit_code == 0, done.output
        return done.output

    files = [out / f"table1{end}" for end in (".md", ".csv", "-curves.png", "-curves.csv")]
    assert "table1.md is not written" in said(100) and not any(path.exists() for path in files)
    pretend_finished(project, out, 100)
    assert "| 7.0 |" in said(100)
    before = [path.read_bytes() for path in files]
    assert "table1.md is not written" in said(200) and [path.read_bytes() for path in files] == before
    pretend_finished(project, out, 200)
    (out / "grid.rise" / "runs" / "200-x" / "metrics.jsonl").unlink()
    assert "200 steps per training" in said(200)
    assert [path.exists() for path in files] == [True, True, False, False], "no curves of another length beside it"


@pytest.mark.parametrize("option", [["--weights", "run:1"], ["--set", "weights=run:1"], ["--set", "weights=last"]])
def test_a_run_to_start_from_is_the_projects_own(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, option: list[str]
) -> None:
    run = project.runs.start(preset="laptop", recipe="recommended", steps=1, base="none")
    (run.folder / "weights.safetensors").touch()
    project.runs.finish(run.number, steps=1)
    asked: list[str] = []
    monkeypatch.setattr(Grid, "seconds", lambda grid, jobs: asked.extend(job.config.weights for job in jobs) or 60.0)
    command = command_for(project, tmp_path / "out", "--labelled", "1", "--plan", *option, weights=False)
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 0, done.output
    assert set(asked) == {str(run.folder / "weights.safetensors")}


@pytest.mark.slow
def test_the_command_plans_trains_a_part_and_the_rest_later(project: Project, tmp_path: Path) -> None:
    def said(*more: str) -> str:
        done = CliRunner().invoke(app, command_for(project, tmp_path / "out", "--labelled", "1", *more))
        assert done.exit_code == 0, done.output
        return done.output

    plan = said("--plan", "--subsets", "2")
    assert re.search(r"RISE, 1 labelled frame, subset 1, seed 1: about \d+ s\n", plan)
    assert re.search(r"4 trainings, 0 of them finished, about \d+ s in all; evaluated on 1 hold-out frames", plan)
    assert not (tmp_path / "out" / "table1.md").exists()
    part = said("--only", "supervised")
    assert "1 trainings, 0 of them finished" in part and "| 1 frame (1) | RISE | 0 | - | - | - |" in part
    rest = said()
    assert "2 trainings, 1 of them finished" in rest and rest.count("[2/2] RISE") == 1
    assert "supervised only (paper: DeDETR), 1 labelled frame, subset 0, seed 0: finished, mask AP" in rest
    assert (tmp_path / "out" / "table1-curves.png").is_file()


@pytest.mark.slow
def test_figures_are_drawn_from_finished_trainings(project: Project, tmp_path: Path) -> None:
    grid = Grid(project, tmp_path / "out")
    kept = ("pseudo_labels.threshold_start=0.001", "pseudo_labels.threshold_peak=0.002")
    for name in ("figure3", "figure8", "figure4"):
        config = config_with("schedule.steps=2", *kept)
        jobs = grid.jobs(FIGURES[name].cells(amount_of([1]), 2), config)
        grid.run(jobs, follow=follow, say=lambda text: None)
        paths = FIGURES[name].draw(grid, jobs, grid.folder)
        assert all(path.is_file() for path in paths)
        if name == "figure4":
            again = FIGURES["figure7"].draw(grid, jobs, grid.folder)
            with Image.open(again[0]) as picture:
                assert picture.size == (640, 420)
            steps = [int(row["step"]) for row in csv.DictReader(paths[1].read_text().splitlines())]
            assert steps == [1, 2]
    assert len(grid.project.runs.all()) == 2, "figures 3 and 8 share their training"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["table9"], "table9"),
        (["table1", "--labelled", "4,x"], "4,8,19"),
        (["table1", "--set", "a=b"], "a=b"),
        (["table1", "--set", "schedule.seed=5"], "--subsets or --seeds"),
        (["table1", "--plan", "--weights", "nofile"], "'nofile'"),
        (["table1", "--plan", "--set", "weights=nofile"], "'nofile'"),
        (["figure4", "--labelled", "2,3"], "has 2: give one"),
        (["figure8", "--labelled", "2,3"], "has 2: give one"),
        (["curves"], "--run"),
    ],
)
def test_bad_input_is_a_sentence(project: Project, arguments: list[str], said: str) -> None:
    out = ["--out", str(project.path.parent / "out"), "--device", "cpu"]
    done = CliRunner().invoke(app, ["reproduce", arguments[0], str(project.path), *arguments[1:], *out])
    assert isinstance(done.exception, RiseError) and said in str(done.exception)
    assert not (project.path.parent / "out").exists(), "refused before anything is written"
