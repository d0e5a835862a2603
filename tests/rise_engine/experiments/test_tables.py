"""Tables of the paper: which trainings they hold, and what stands beside them."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
import torch

from rise_engine.config import RiseConfig
from rise_engine.experiments.reproduce.cell import ALL, Amount, counted
from rise_engine.experiments.reproduce.job import Job
from rise_engine.experiments.reproduce.table_file import write_table
from rise_engine.experiments.reproduce.tables import TABLE_1, TABLE_2, TABLES, with_counts
from rise_engine.method.pseudo_labels import select
from rise_engine.method.thresholds import quantile_level, staircase


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


@pytest.mark.parametrize("recipe", ["recommended", "paper"])
def test_the_strategies_of_table_4_choose_differently(recipe: str) -> None:
    scores = torch.linspace(0.05, 0.95, 200)
    chosen = []
    for cell in TABLES["table4"].cells:
        settings = (*cell.settings, *(cell.for_paper if recipe == "paper" else ()))
        config = RiseConfig.preset("laptop", recipe).with_settings(settings).pseudo_labels  # type: ignore[arg-type]
        kept = []
        for step in range(0, 100, 10):
            gamma = staircase(step, 100, config.threshold_start, config.threshold_peak, config.stairs)
            level = quantile_level(step, 100, config.quantile_start)
            kept.append(len(select(scores, gamma=gamma, level=level, strategy=config.strategy).kept))
        chosen.append(tuple(kept))
    assert len(set(chosen)) == len(chosen) == 4


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


def test_means_and_spreads_stand_beside_the_paper_where_it_is_the_same_data(tmp_path: Path) -> None:
    from rise_engine.experiments.reproduce.table_file import Line

    cell = TABLE_1.cells[3]
    job = Job(cell, 309, 0, RiseConfig.preset("r101"))
    printed = dict(zip(("AP", "AP50", "AP75"), cell.paper["r101"], strict=True))
    scores = [{"AP": ap, "AP50": 70.0, "AP75": ap - 10} for ap in (58.0, 62.0, 62.0)]
    line = Line(cell, 309, {0: scores[:2], 1: scores[2:]}, printed)
    csv_path, markdown = write_table(
        tmp_path, "table1", TABLE_1, [line], jobs=[job], data_set="armbench", held_out="6 frames", command="rise"
    )
    row = next(csv.DictReader(csv_path.read_text().splitlines()))
    assert (row["AP mean"], row["AP spread"], row["AP paper"]) == ("61.0", "1.4142", "73.0"), "of 60 and 62"
    assert (row["subsets"], row["trainings"]) == ("2", "3")
    alone = Line(cell, 309, {0: scores[:2]}, printed)
    assert alone.mean("AP") == 60 and alone.spread("AP") == pytest.approx(8**0.5), "of the seeds 58 and 62"
    text = markdown.read_text()
    assert "61.0 ± 1.4 | 73.00" in text
    assert "YOLACT" in text and "RoboLLM" not in text, "quoted lines of the same column only"
