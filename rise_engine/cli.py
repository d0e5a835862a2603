"""The ``rise`` command: everything that the window does, without a window."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import typer

from rise_engine.commands import export, inspect, machine, maintenance, predict, project, reproduce, train
from rise_engine.errors import RiseError

LONGEST = 1_500
"""Characters of a refusal."""

app = typer.Typer(
    name="rise",
    help="Instance segmentation of totes from a handful of annotated frames.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    add_completion=False,
)
app.command("demo")(machine.demo)
app.command("new")(project.new)
app.command("import")(project.import_annotations)
app.command("relink")(maintenance.relink)
app.command("check")(maintenance.check)
app.command("backup")(maintenance.backup)
app.command("history")(maintenance.history)
app.command("status")(project.status)
app.command("runs")(project.runs)
app.command("train")(train.train)
app.command("predict")(predict.predict)
app.command("evaluate")(predict.evaluate)
app.command("queue")(inspect.queue)
app.command("bank")(inspect.bank)
app.command("preview")(inspect.preview)
app.add_typer(export.app, name="export")
app.command("reproduce")(reproduce.reproduce)
app.command("doctor")(machine.doctor)


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs one command and exits: 0 when it is done, 2 with one sentence when what was asked for cannot be done."""
    try:
        app(arguments, prog_name="rise")
    except RiseError as error:
        sentence = str(error)
    except (FileNotFoundError, PermissionError, IsADirectoryError, NotADirectoryError) as error:
        sentence = f"{error.filename}: {error.strerror}" if error.filename else str(error)
    print(f"rise: {_printable(sentence)}", file=sys.stderr)
    sys.exit(2)


def _printable(sentence: str) -> str:
    """A sentence may quote what a file holds, of any length and with characters that command a terminal."""
    clean = "".join(
        letter if letter.isprintable() or letter == "\n" else "\N{REPLACEMENT CHARACTER}" for letter in sentence
    )
    return clean if len(clean) <= LONGEST else f"{clean[: LONGEST // 2]} ... {clean[-LONGEST // 2 :]}"


if __name__ == "__main__":
    main()
