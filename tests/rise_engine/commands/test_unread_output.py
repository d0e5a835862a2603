"""Commands with an output that nobody reads: the pipe is closed after a line, or before the first one."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from rise_engine.project.project import Project


def _run_unread(*arguments: str | Path, lines: int) -> tuple[int, str]:
    """The exit code and the standard error of a command whose output is closed after so many lines."""
    command = [sys.executable, "-m", "rise_engine.cli", *map(str, arguments)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stderr is not None
    for _ in range(lines):
        process.stdout.readline()
    process.stdout.close()
    error = process.stderr.read()
    process.stderr.close()
    return process.wait(timeout=120), error


@pytest.mark.parametrize("lines", [0, 1, 3])
def test_a_finished_project_is_kept(tmp_path: Path, images: Path, coco: Path, lines: int) -> None:
    path = tmp_path / "p.rise"
    assert _run_unread("new", path, "--images", images, "--coco", coco, lines=lines) == (0, "")
    with Project.open(path, read_only=True) as project:
        assert project.frames.all()
        assert project.annotations.frames_with_annotations()


def test_other_commands_do_their_work(project: Path, coco: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.json"
    assert _run_unread("export", "coco", project, out, lines=0) == (0, "")
    assert json.loads(out.read_text())["annotations"]
    for command in (("status", project), ("check", project), ("import", project, coco), ("--help",)):
        assert _run_unread(*command, lines=0) == (0, ""), command
