"""docs/evidence.md: its tables and charts show the CSV files of docs/evidence, and each of those has its command."""

from __future__ import annotations

import csv
import hashlib
import importlib.util
import re
import sys
from pathlib import Path
from statistics import mean, stdev
from types import ModuleType

import pytest

DOCS = Path(__file__).resolve().parents[1] / "docs"
FOLDER = DOCS / "evidence"
PAGE = (DOCS / "evidence.md").read_text(encoding="utf-8")
README = (DOCS.parent / "README.md").read_text(encoding="utf-8")
CSV_FILES = sorted(path.name for path in FOLDER.glob("*.csv"))


def read(name: str) -> list[dict[str, str]]:
    with (FOLDER / name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def table(text: str, first_cell: str) -> list[list[str]]:
    """The cells of the table whose title row begins with ``first_cell``, without that row and the line below it."""
    block = re.search(rf"^\| {re.escape(first_cell)} \|.*\n\|[-|]+\n((?:\|.*\n)+)", text, flags=re.MULTILINE)
    assert block is not None, f"no table begins with {first_cell!r}"
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in block[1].splitlines()]


def number(cell: str) -> float:
    """A number as the page writes it, with a minus sign of its own."""
    return float(cell.replace("\N{MINUS SIGN}", "-"))


def last_ap(method: str, labelled: int) -> list[float]:
    """AP after 1,000 steps, one number for each split."""
    return [
        float(row["AP"])
        for row in read("labels.csv")
        if (row["method"], row["labelled"], row["step"]) == (method, str(labelled), "1000")
    ]


@pytest.fixture(scope="module")
def draw() -> ModuleType:
    specification = importlib.util.spec_from_file_location("draw_evidence", FOLDER / "draw.py")
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    sys.modules["draw_evidence"] = module
    specification.loader.exec_module(module)
    return module


def test_every_csv_file_has_a_section_with_its_command() -> None:
    text = (FOLDER / "README.md").read_text(encoding="utf-8")
    sections = dict(re.findall(r"^## (\S+\.csv)\n(.*?)(?=^## |\Z)", text, flags=re.MULTILINE | re.DOTALL))
    assert sorted(sections) == CSV_FILES
    assert [name for name, section in sections.items() if "```sh\n" not in section] == []


def test_the_page_names_every_csv_file_and_shows_every_chart(draw: ModuleType) -> None:
    assert [name for name in CSV_FILES if f"evidence/{name}" not in PAGE] == []
    assert set(re.findall(r"!\[[^]]+\]\(evidence/(\S+\.svg)\)", PAGE)) == set(draw.CHARTS)


def test_charts_were_drawn_from_the_csv_files_as_they_are(draw: ModuleType, tmp_path: Path) -> None:
    draw.draw(tmp_path)
    assert {path.name for path in FOLDER.glob("*.svg")} == set(draw.CHARTS)
    for name, (source, _) in draw.CHARTS.items():
        digest = hashlib.sha256((FOLDER / source).read_bytes()).hexdigest()
        for folder in (FOLDER, tmp_path):
            assert digest in (folder / name).read_text(encoding="utf-8"), f"{name}: run python docs/evidence/draw.py"


def test_the_page_shows_the_numbers_of_each_split() -> None:
    methods = {"supervised baseline": "supervised", "RISE": "RISE"}
    rows = {(row["method"], row["labelled"], row["split"], row["step"]): row for row in read("labels.csv")}
    shown = 0
    for labelled, method, *cells in table(PAGE, "labelled"):
        count = labelled.split(",")[0]
        for split, cell in enumerate(cells[:3]):
            if cell:
                row = rows[methods[method], count, str(split), "1000"]
                assert cell == f"{row['AP']} / {row['AP50']}"
                shown += 1
        if cells[3]:
            expected = mean(last_ap(methods[method], int(count)))
            assert float(cells[3].split(" / ")[0]) == pytest.approx(expected, abs=0.051)
    assert shown == sum(row["step"] == "1000" for row in read("labels.csv"))


def test_differences_follow_from_the_csv_file() -> None:
    rows = table(PAGE, "difference")
    assert len(rows) == 8
    for name, *cells in rows:
        (first, count), (second, other) = re.findall(r"(\w+)\((\d+)\)", name)
        pairs = zip(last_ap(first, int(count)), last_ap(second, int(other)), strict=True)
        differences = [one - another for one, another in pairs]
        # The page rounds differences of unrounded values; the file has rounded values.
        shown = [number(cell) for cell in cells[:3]]
        assert shown == pytest.approx(differences, abs=0.101)
        average, deviation = (number(part) for part in cells[3].split(" ± "))
        assert average == pytest.approx(mean(shown), abs=0.101)
        assert deviation == pytest.approx(stdev(shown), abs=0.101)


@pytest.mark.parametrize(("title", "number"), [("trained parts", "3"), ("strategy", "4")], ids=["parts", "cascades"])
def test_parts_and_cascades_are_those_of_the_csv_file(title: str, number: str) -> None:
    last = [row for row in read("parts.csv") if row["step"] == "1000" and row["table"] == number]
    shown = [cells[1:] for cells in table(PAGE, title)]
    assert shown == [[row["AP"], row["AP50"], row["AP75"]] for row in last]


def test_other_tables_are_those_of_the_csv_files() -> None:
    queue = {(row["order"], row["frames"]): row for row in read("queue.csv")}
    for frames, *cells in table(PAGE, "frames"):
        for order, (ap, ap50, objects) in (("queue", cells[:3]), ("random", cells[3:6])):
            row = queue[order, frames]
            assert [ap, ap50, objects] == [f"{row['AP']} ± {row['AP_sd']}", row["AP50"], row["objects"]]
    edges = {(row["weights"], row["masks"]): row for row in read("edges.csv")}
    for weights, *cells in table(PAGE, "weights"):
        rows = [edges[weights, masks] for masks in ("network", "edges")]
        assert cells == [f"{row['AP']} / {row['AP50']} / {row['AP75']}" for row in rows]
    passes = {(row["passes"], row["masks"]): row for row in read("test_time.csv")}
    for name, *cells in table(PAGE, "passes, shortest side in pixels"):
        rows = [passes[name.split(" (")[0], masks] for masks in ("network", "edges")]
        assert cells == [f"{row['AP']} / {row['AP50']}" for row in rows]


def test_the_results_table_of_the_readme_is_that_of_the_csv_files() -> None:
    rows = table(README, "labelled frames")
    assert len(rows) <= 8
    assert [int(labelled.split()[0]) for labelled, *_ in rows] == sorted(
        {int(row["labelled"]) for row in read("labels.csv")}
    )
    shown = 0
    for labelled, *cells in rows:
        count = int(labelled.split()[0])
        starter = [float(row["AP"]) for row in read("labels.csv") if row["method"] == "starter" and count == 0]
        rise, supervised = last_ap("RISE", count), last_ap("supervised", count)
        differences = [one - other for one, other in zip(rise, supervised, strict=True)] if rise else []
        for cell, values in zip(cells, (starter, supervised, rise, differences), strict=True):
            assert bool(cell) == bool(values)
            if cell:
                average, _, deviation = cell.partition(" ± ")
                assert number(average) == pytest.approx(mean(values), abs=0.051)
                assert bool(deviation) == (len(values) > 1)
                assert not deviation or float(deviation) == pytest.approx(stdev(values), abs=0.101)
                shown += 1
    assert shown == 13
