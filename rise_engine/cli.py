"""The ``rise`` command line: everything that the window can do, without a window."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import typer

from rise_engine.commands import export, inspect, machine, maintenance, new, predict, project, reproduce, train
from rise_engine.commands.unread_output import ignore_closed_pipes
from rise_engine.errors import RiseError

LONGEST = 1_500
"""Characters of an error message."""

app = typer.Typer(
    name="rise",
    help="Instance segmentation of objects from a few annotated frames.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    add_completion=False,
)
app.command("demo")(machine.demo)
app.command("new")(new.new)
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
    """Runs one command and exits: with 0 on success, with 2 and one message when the input does not allow it."""
    ignore_closed_pipes()
    try:
        app(arguments, prog_name="rise")
    except RiseError as error:
        message = str(error)
    except (FileNotFoundError, PermissionError, IsADirectoryError, NotADirectoryError) as error:
        message = f"{error.filename}: {error.strerror}" if error.filename else str(error)
    print(f"rise: {_printable(message)}", file=sys.stderr)
    sys.exit(2)


def _printable(message: str) -> str:
    """A message may quote the content of a file, which may be long or contain control characters for a terminal."""
    clean = "".join(
        letter if letter.isprintable() or letter == "\n" else "\N{REPLACEMENT CHARACTER}" for letter in message
    )
    return clean if len(clean) <= LONGEST else f"{clean[: LONGEST // 2]} ... {clean[-LONGEST // 2 :]}"


if __name__ == "__main__":
    main()
