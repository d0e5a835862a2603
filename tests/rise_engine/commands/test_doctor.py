"""The examination of a machine."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from rise_engine.commands import doctor
from rise_engine.commands.doctor import Finding, devices, disk, library

SUBJECTS = (
    "RISE",
    "Python",
    "torch",
    "device",
    "cores",
    "memory",
    "disk",
    "SQLite",
    "starter weights",
    "Qt",
    "display",
)


def test_it_looks_at_everything_and_loads_nothing_that_could_break_it() -> None:
    code = (
        "import sys\nfrom rise_engine.commands.doctor import examine\nfor finding in examine(): print(finding)\n"
        "print('loaded', [name for name in ('torch', 'PyQt5', 'qtpy', 'napari') if name in sys.modules])"
    )
    root = Path(__file__).resolve().parents[3]
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=root, check=True)
    *findings, loaded = done.stdout.splitlines()
    assert loaded == "loaded []"
    assert all(finding.startswith(("ok    ", "warn  ")) for finding in findings)
    assert set(SUBJECTS) <= {finding[6:].split(": ")[0] for finding in findings}
    assert any(finding.startswith("ok    device: cpu") for finding in findings)


def test_what_is_not_there_comes_with_what_to_do() -> None:
    missing = library("a-library-that-nobody-wrote", advice="write it")
    assert not missing.ok
    assert str(missing) == "warn  a-library-that-nobody-wrote: not installed; write it"
    assert str(Finding("numpy", "2.0")) == "ok    numpy: 2.0"


def test_the_disk_is_the_one_of_the_folder(tmp_path: Path) -> None:
    assert str(tmp_path) in disk(tmp_path).found


@pytest.mark.parametrize(("error", "advice"), [
    (doctor.NO_ANSWER, "the machine may be busy"),
    ("OSError: libc10.so", "different builds"),
])  # fmt: skip
def test_a_torch_that_is_slow_to_load_is_not_called_broken(
    monkeypatch: pytest.MonkeyPatch, error: str, advice: str
) -> None:
    monkeypatch.setattr(doctor, "_python", lambda code: ("", error))
    (found,) = devices()
    assert not found.ok
    assert error in str(found)
    assert advice in str(found)
