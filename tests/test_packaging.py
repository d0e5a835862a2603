"""The wheel: what it carries, and that an install of it works without the source tree."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from rise_engine.errors import RiseError
from rise_engine.resources import resource_path

ROOT = Path(__file__).resolve().parents[1]
SHIPPED = sorted(path.relative_to(ROOT / "resources").as_posix() for path in (ROOT / "resources").rglob("*.*"))


@dataclass(frozen=True)
class Installed:
    """A wheel of this tree, and a folder that it was installed into."""

    wheel: Path
    folder: Path

    def python(self, code: str, *arguments: str) -> str:
        """What ``code`` prints when it runs outside the source tree, the install first on the path."""
        environment = os.environ | {"PYTHONPATH": str(self.folder), "QT_API": os.environ.get("QT_API", "pyqt5")}
        return run([sys.executable, "-c", code, *arguments], cwd=self.folder, environment=environment)


def run(command: Sequence[str], *, cwd: Path, environment: dict[str, str] | None = None) -> str:
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    folder = tmp_path_factory.mktemp("packaging")
    run([sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(ROOT)], cwd=folder)
    (wheel,) = folder.glob("rise_napari-*.whl")
    target = folder / "installed"
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--target", str(target)]
    run([*pip, str(wheel)], cwd=folder)
    return Installed(wheel, target)


def test_the_wheel_carries_both_packages_and_nothing_else(installed: Installed) -> None:
    names = set(zipfile.ZipFile(installed.wheel).namelist())
    metadata = {name for name in names if name.split("/")[0].endswith(".dist-info")}
    assert {name.split("/")[0] for name in names - metadata} == {"rise_engine", "rise_napari"}
    assert {"rise_engine/py.typed", "rise_napari/py.typed", "rise_napari/napari.yaml"} <= names
    assert {f"rise_engine/_resources/{name}" for name in SHIPPED} <= names
    assert {name.split("/")[-1] for name in metadata} >= {"LICENSE", "NOTICE", "entry_points.txt"}


def test_every_module_of_the_source_tree_is_in_the_wheel(installed: Installed) -> None:
    modules = {
        path.relative_to(ROOT).as_posix()
        for package in ("rise_engine", "rise_napari")
        for path in (ROOT / package).rglob("*.py")
    }
    assert modules <= set(zipfile.ZipFile(installed.wheel).namelist())


def test_the_manifest_is_valid_and_every_name_in_it_resolves(installed: Installed) -> None:
    code = """
import importlib
import json
import rise_napari
from npe2 import PluginManifest

manifest = PluginManifest.from_distribution("rise-napari")
manifest.validate_imports()
commands = manifest.contributions.commands or []
for command in commands:
    module, _, name = command.python_name.partition(":")
    assert callable(getattr(importlib.import_module(module), name)), command.id
print(json.dumps([rise_napari.__file__, manifest.name, manifest.display_name, len(commands)]))
"""
    file, name, display_name, commands = json.loads(installed.python(code).splitlines()[-1])
    assert Path(file).is_relative_to(installed.folder)
    assert (name, display_name) == ("rise-napari", "RISE")
    assert commands > 0


def test_the_manifest_offers_the_one_widget_by_its_name(installed: Installed) -> None:
    code = """
from npe2 import PluginManifest
for widget in PluginManifest.from_distribution("rise-napari").contributions.widgets:
    print(widget.display_name)
"""
    assert installed.python(code).splitlines() == ["RISE: train from annotations"]


def test_the_command_starts_from_the_install(installed: Installed) -> None:
    code = """
import sys
from importlib.metadata import distribution
(command,) = [entry for entry in distribution("rise-napari").entry_points if entry.group == "console_scripts"]
main = command.load()
sys.argv = [command.name, "--help"]
main()
"""
    assert "train" in installed.python(code)


def test_shipped_files_are_found_in_the_install(installed: Installed) -> None:
    code = """
import sys
from rise_engine.resources import resource_path
for name in sys.argv[1:]:
    print(resource_path(name))
"""
    found = [Path(line) for line in installed.python(code, *SHIPPED).splitlines()]
    assert len(found) == len(SHIPPED) > 0
    for name, path in zip(SHIPPED, found, strict=True):
        assert path.is_relative_to(installed.folder)
        assert path.read_bytes() == (ROOT / "resources" / name).read_bytes()


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_files_are_found_in_the_source_tree(name: str) -> None:
    assert resource_path(name) == ROOT / "resources" / name


@pytest.mark.parametrize("name", ["icons/no-such.svg", "../pyproject.toml", "icons"])
def test_a_file_that_is_not_shipped_is_an_error_that_names_it(name: str) -> None:
    with pytest.raises(RiseError, match="install rise-napari again") as raised:
        resource_path(name)
    assert repr(name) in str(raised.value)


@pytest.mark.skipif(sys.platform == "win32", reason="git checks symbolic links out as text there")
def test_the_manifest_at_the_root_is_the_shipped_one() -> None:
    assert (ROOT / "napari.yaml").resolve() == ROOT / "rise_napari" / "napari.yaml"
