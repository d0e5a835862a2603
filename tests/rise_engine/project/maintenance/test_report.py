from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from rise_engine.project.maintenance.report import write_report
from rise_engine.project.project import Project
from rise_engine.project.records import Instance, Split

MakeProject = Callable[[int], Project]


def test_the_report_counts_frames_instances_and_runs(make_project: MakeProject, tmp_path: Path) -> None:
    project = make_project(4)
    cup, tin = project.annotations.add_category("cup").id, project.annotations.add_category("tin").id
    polygon = [[1.0, 1.0, 9.0, 1.0, 9.0, 9.0]]
    project.annotations.add(1, [Instance(None, 1, cup, polygon), Instance(None, 1, tin, polygon)])
    project.annotations.add(2, [Instance(None, 2, cup, polygon)])
    project.frames.set_split([2], Split.HOLDOUT)
    run = project.runs.start(preset="laptop", recipe="recommended", steps=9, base="starter")
    (run.folder / "metrics.jsonl").write_text(
        '{"event": "HoldoutScore", "step": 5, "ap": 41.26, "best": true}\n'
        '{"event": "HoldoutScore", "step": 9, "ap": 40.0, "best": false}\n'
        '{"event": "Finished", "ste'
    )
    project.runs.finish(run.number, steps=9)
    project.predictions.store(run.number, {3: [Instance(None, 3, cup, polygon, score=0.5)]})
    path = tmp_path / "report.md"
    write_report(project, path, now=datetime(2026, 5, 4, 3, 2))
    text = path.read_text()
    assert "2026-05-04 03:02" in text
    for line in ("| labelled | 2 |", "| unlabelled | 2 |", "| hold-out | 1 |", "| cup | 2 |", "| tin | 1 |"):
        assert line in text
    assert "| drawn | 3 |" in text
    assert "| predicted, not reviewed | 1 |" in text
    assert "| 1 | laptop | recommended | 9 | starter | 41.3 | in use |" in text


def test_an_empty_project_has_a_report(make_project: MakeProject, tmp_path: Path) -> None:
    write_report(make_project(0), tmp_path / "report.md", now=datetime(2026, 1, 1))
    assert (tmp_path / "report.md").read_text().startswith("# ")
