"""The live plots are saved as CSV and as PNG."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

from rise_engine.training import events


def test_curves_are_saved_as_csv_and_as_png(workbench: Any, script: Any, disc: Any, tmp_path: Path) -> None:
    for batch in script("a", [disc(20, 20)], steps=3):
        workbench.curves.follow(batch)
    workbench.curves.save_csv(tmp_path / "curves.csv")
    rows = list(csv.DictReader((tmp_path / "curves.csv").read_text().splitlines()))
    assert [row["step"] for row in rows] == ["1", "2", "3"]
    assert float(rows[1]["total"]) == 2.0
    assert float(rows[1]["gamma_cls"]) == 0.5
    workbench.curves.follow([events.HoldoutScore(3, 41.5, 60.0, best=True)])
    told = workbench.curves.describe_step(2)
    assert "total 2," in told
    assert "class threshold 0.5" in told
    assert "mask AP 41.5" in told
    workbench.curves.save_png(tmp_path / "curves.png")
    assert (tmp_path / "curves.png").stat().st_size > 1000
