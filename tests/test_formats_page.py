"""docs/formats.md names exactly the tables, columns and events of the code."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

from rise_engine.project.database.store import Store
from rise_engine.training import events

PAGE = (Path(__file__).resolve().parents[1] / "docs" / "formats.md").read_text(encoding="utf-8")


def _rows(text: str) -> list[tuple[str, str]]:
    """The two cells of each table row, without the title rows."""
    return re.findall(r"^\| (.+?) \|(?: (.*?))? \|$", text, flags=re.MULTILINE)


def test_every_table_of_the_database_is_described_column_by_column(tmp_path: Path) -> None:
    store = Store(tmp_path / "project.sqlite")
    tables = {row["name"] for row in store.read("SELECT name FROM sqlite_master WHERE type = 'table'")}
    known = {
        table: {row["name"] for row in store.read(f"PRAGMA table_info({table})")}
        for table in tables
        if not table.startswith("sqlite_")
    }
    store.close()
    described = {}
    for name, text in re.findall(r"^#### `(\w+)`\n(.*?)(?=^#)", PAGE, flags=re.MULTILINE | re.DOTALL):
        described[name] = {column for first, _ in _rows(text) for column in re.findall(r"`(\w+)`", first)}
    assert described == known


def test_every_line_of_the_metrics_is_described_field_by_field() -> None:
    text = PAGE.split("A line of `metrics.jsonl`")[1].split("###")[0]
    described = {first.strip("`"): set(re.findall(r"`(\w+)`", second)) for first, second in _rows(text) if "`" in first}
    known = {
        kind.__name__: {field.name for field in fields(kind)} - {"step"}
        for kind in events.Event.__subclasses__()
        # Images are not written.
        if kind.__name__ != "Preview"
    }
    assert described == known
