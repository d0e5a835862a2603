"""Draws the charts of docs/evidence.md from the CSV files of this folder.

python docs/evidence/draw.py            every chart, into this folder
python docs/evidence/draw.py --out DIR  into another one

Each SVG file records the SHA-256 of the CSV file that it was drawn from; a test compares the two.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
from collections.abc import Callable, Iterable
from pathlib import Path
from statistics import mean, stdev

import matplotlib

matplotlib.use("svg")

from matplotlib import pyplot
from matplotlib.axes import Axes
from matplotlib.figure import Figure

FOLDER = Path(__file__).resolve().parent
Row = dict[str, str]

RISE, SUPERVISED, STARTER = "#0072b2", "#d55e00", "#666666"
"""Colours that people with colour blindness tell apart (Okabe and Ito)."""
NAMES = {"RISE": "RISE", "supervised": "supervised baseline"}
COLOURS = {"RISE": RISE, "supervised": SUPERVISED}
MARKERS = {"RISE": "o", "supervised": "s"}
LAST_STEP = "1000"


def read(name: str) -> list[Row]:
    """The rows of a CSV file of this folder."""
    with (FOLDER / name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def digest(name: str) -> str:
    """The SHA-256 of a CSV file of this folder, in hexadecimal."""
    return hashlib.sha256((FOLDER / name).read_bytes()).hexdigest()


def mean_and_deviation(values: Iterable[str]) -> tuple[float, float]:
    """Mean and sample standard deviation; the latter is 0 for a single value."""
    numbers = [float(value) for value in values]
    return mean(numbers), stdev(numbers) if len(numbers) > 1 else 0.0


def by_labels(rows: list[Row]) -> Figure:
    """AP against the number of labelled frames: mean and standard deviation over three random splits."""
    figure, axes = _axes("labelled frames (of 77)", "mask AP, 33 test frames")
    last = [row for row in rows if row["step"] == LAST_STEP]
    for method in ("RISE", "supervised"):
        counts = sorted({int(row["labelled"]) for row in last if row["method"] == method})
        points = [
            mean_and_deviation(row["AP"] for row in last if row["method"] == method and int(row["labelled"]) == count)
            for count in counts
        ]
        axes.errorbar(
            counts,
            [point[0] for point in points],
            yerr=[point[1] for point in points],
            color=COLOURS[method],
            marker=MARKERS[method],
            capsize=4,
            label=f"{NAMES[method]}, 1,000 steps",
        )
    starter = next(float(row["AP"]) for row in rows if row["method"] == "starter")
    axes.axhline(starter, color=STARTER, linestyle="--", label="starter weights, no labels")
    axes.set_xscale("log", base=2)
    ticks = [4, 8, 16, 19, 38, 77]
    axes.set_xticks(ticks, [str(tick) for tick in ticks])
    axes.set_ylim(40.5, 54)
    axes.legend(loc="upper left")
    return figure


def over_steps(rows: list[Row]) -> Figure:
    """AP during training with 4, 8 and 19 labelled frames: each split as a thin line, their mean as a thick one."""
    figure, panels = pyplot.subplots(1, 3, figsize=(9.6, 3.4), sharey=True, layout="constrained")
    for axes, labelled in zip(panels, ("4", "8", "19"), strict=True):
        axes.set(title=f"{labelled} labelled frames", xlabel="step")
        for method in ("RISE", "supervised"):
            mine = [row for row in rows if row["method"] == method and row["labelled"] == labelled]
            for split in ("0", "1", "2"):
                line = [row for row in mine if row["split"] == split]
                axes.plot(_numbers(line, "step"), _numbers(line, "AP"), color=COLOURS[method], alpha=0.35, linewidth=1)
            steps = sorted({int(row["step"]) for row in mine})
            means = [mean(float(row["AP"]) for row in mine if int(row["step"]) == step) for step in steps]
            axes.plot(steps, means, color=COLOURS[method], marker=MARKERS[method], label=NAMES[method])
        axes.grid(alpha=0.3)
    panels[0].set_ylabel("mask AP, 33 test frames")
    panels[2].legend(loc="lower right")
    return figure


def over_minutes(rows: list[Row]) -> Figure:
    """AP over the minutes of a training with 8 labelled frames, one or three unlabelled frames a step."""
    figure, axes = _axes("minutes", "mask AP, 33 test frames")
    for count, colour, marker in (("1", RISE, "o"), ("3", "#009e73", "^")):
        mine = [row for row in rows if row["unlabelled_per_step"] == count]
        minutes = sorted({int(row["minutes"]) for row in mine})
        points = [mean_and_deviation(row["AP"] for row in mine if int(row["minutes"]) == minute) for minute in minutes]
        axes.errorbar(
            minutes,
            [point[0] for point in points],
            yerr=[point[1] for point in points],
            color=colour,
            marker=marker,
            capsize=4,
            label=f"{count} unlabelled frame{'s' if count != '1' else ''} per step",
        )
    axes.legend(loc="lower right")
    return figure


def by_parts(rows: list[Row]) -> Figure:
    """AP after 1,000 steps with and without each part of the method: one training per line."""
    last = [row for row in rows if row["step"] == LAST_STEP]
    figure, axes = pyplot.subplots(figsize=(7.6, 4.2), layout="constrained")
    names = [row["line"] for row in last]
    colours = [SUPERVISED if "supervised" in row["line"] else {"3": RISE, "4": "#009e73"}[row["table"]] for row in last]
    places = list(range(len(last)))[::-1]
    values = _numbers(last, "AP")
    axes.scatter(values, places, c=colours, s=50, zorder=3)
    for place, value in zip(places, values, strict=True):
        axes.annotate(f"{value:.1f}", (value, place), xytext=(8, 0), textcoords="offset points", va="center")
    axes.set_yticks(places, names)
    axes.set(xlabel="mask AP, 33 test frames, one training per line", xlim=(40, 48.5))
    axes.grid(alpha=0.3)
    return figure


def from_imagenet(rows: list[Row]) -> Figure:
    """AP over the steps from an ImageNet backbone and otherwise random weights, 19 labelled frames of split 1."""
    figure, axes = _axes("step", "mask AP, 33 test frames")
    for method in ("RISE", "supervised"):
        mine = [row for row in rows if row["method"] == method]
        axes.plot(
            _numbers(mine, "step"),
            _numbers(mine, "AP"),
            color=COLOURS[method],
            marker=MARKERS[method],
            label=NAMES[method],
        )
    axes.legend(loc="lower right")
    return figure


def by_order(rows: list[Row]) -> Figure:
    """AP against the number of annotated frames, chosen by the queue or at random: three seeds each."""
    figure, axes = _axes("annotated frames", "mask AP, 33 test frames")
    for order, colour, marker, name in (
        ("queue", RISE, "o", "order of the review queue"),
        ("random", SUPERVISED, "s", "random order"),
    ):
        mine = [row for row in rows if row["order"] == order]
        axes.errorbar(
            _numbers(mine, "frames"),
            _numbers(mine, "AP"),
            yerr=_numbers(mine, "AP_sd"),
            color=colour,
            marker=marker,
            capsize=4,
            label=name,
        )
    axes.set_xscale("log", base=2)
    ticks = [2, 4, 8, 16]
    axes.set_xticks(ticks, [str(tick) for tick in ticks])
    axes.legend(loc="lower right")
    return figure


CHARTS: dict[str, tuple[str, Callable[[list[Row]], Figure]]] = {
    "labels.svg": ("labels.csv", by_labels),
    "steps.svg": ("labels.csv", over_steps),
    "equal_time.svg": ("equal_time.csv", over_minutes),
    "parts.svg": ("parts.csv", by_parts),
    "imagenet.svg": ("imagenet.csv", from_imagenet),
    "queue.svg": ("queue.csv", by_order),
}
"""Each chart, the CSV file that it is drawn from, and the function that draws it."""


def draw(out: Path) -> list[Path]:
    """Writes every chart into ``out`` and returns the paths."""
    out.mkdir(parents=True, exist_ok=True)
    paths = []
    # A fixed salt and no date: the same numbers make the same file.
    style = {"svg.hashsalt": "rise", "font.size": 10, "axes.spines.top": False, "axes.spines.right": False}
    with matplotlib.rc_context(style):
        for name, (source, make) in CHARTS.items():
            figure = make(read(source))
            description = f"Drawn by docs/evidence/draw.py from {source}, SHA-256 {digest(source)}"
            figure.savefig(out / name, facecolor="white", metadata={"Date": None, "Description": description})
            pyplot.close(figure)
            paths.append(out / name)
    return paths


def _axes(x_label: str, y_label: str) -> tuple[Figure, Axes]:
    figure, axes = pyplot.subplots(figsize=(6.4, 3.8), layout="constrained")
    axes.set(xlabel=x_label, ylabel=y_label)
    axes.grid(alpha=0.3)
    return figure, axes


def _numbers(rows: list[Row], column: str) -> list[float]:
    return [float(row[column]) for row in rows]


def main() -> None:
    """Reads the arguments and draws."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=FOLDER, metavar="DIR")
    for path in draw(parser.parse_args().out):
        print(path)


if __name__ == "__main__":
    main()
