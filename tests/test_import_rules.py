"""The arrows between the parts: who may import whom, and what an import may cost.

The rules are read off the source, lazy imports inside functions and those for type checking included.
"""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
ENGINE = sorted((ROOT / "rise_engine").rglob("*.py"))
WINDOW = sorted((ROOT / "rise_napari").rglob("*.py"))

WINDOW_LIBRARIES = {"napari", "qtpy", "magicgui", "superqt", "pyqtgraph", "vispy", "npe2", "rise_napari"}
EXTRAS = {"mujoco", "onnx", "onnxruntime", "onnxscript", "tensorboard", "transformers"}
QT_BINDINGS = {"PyQt5", "PyQt6", "PySide2", "PySide6", "sip"}
UNSAFE_LIBRARIES = {"pickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}

GROUND = {"errors", "config", "resources", "atomic", "json_lines"}
"""Files and folders that every part may use; they use each other only."""

LEARNING = {"method", "model", "prediction", "evaluation", "training", "active_learning", "pseudo_sequences", "project"}

MAY_USE = {
    "project": set(),
    "formats": {"project"},
    "model": set(),
    "pseudo_sequences": {"project"},
    "synthetic": {"project"},
    "annotation": {"project"},
    "method": {"model", "pseudo_sequences"},
    "prediction": {"method", "model", "formats", "project"},
    "evaluation": {"formats", "project"},
    "active_learning": {"prediction", "pseudo_sequences", "project"},
    "training": {"method", "prediction", "evaluation", "model", "pseudo_sequences", "project"},
    "experiments": LEARNING | {"formats", "synthetic"},
    "commands": LEARNING | {"formats", "synthetic", "experiments"},
    "cli": {"commands"},
}
"""Besides itself and the ground. A part that is missing here is not allowed to exist: add its arrows."""


def imports(path: Path) -> Iterator[str]:
    """The full dotted names that a file imports, ``from a import b`` as ``a.b``."""
    package = path.relative_to(ROOT).with_suffix("").parts[:-1]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            start = package[: len(package) - node.level + 1] if node.level else ()
            module = ".".join([*start, *([node.module] if node.module else [])])
            yield from (f"{module}.{alias.name}" for alias in node.names)


def part_of(path: Path) -> str:
    """The part of the engine that a file belongs to: its folder, or its own name."""
    return path.relative_to(ROOT / "rise_engine").parts[0].removesuffix(".py")


def label(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def run_python(code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("path", ENGINE, ids=label)
def test_the_engine_never_imports_the_window_or_qt(path: Path) -> None:
    assert {name.split(".")[0] for name in imports(path)}.isdisjoint(WINDOW_LIBRARIES | QT_BINDINGS)


@pytest.mark.parametrize("path", [path for path in ENGINE if part_of(path) != "__init__"], ids=label)
def test_arrows_inside_the_engine_point_one_way(path: Path) -> None:
    part = part_of(path)
    allowed = GROUND if part in GROUND else GROUND | {part} | MAY_USE[part]
    used = {name.split(".")[1] for name in imports(path) if name.startswith("rise_engine.")}
    assert used <= allowed, f"{label(path)} must not use {', '.join(sorted(used - allowed))}"


OUTSIDE_PROJECT = [path for path in ENGINE + WINDOW if not path.is_relative_to(ROOT / "rise_engine" / "project")]


@pytest.mark.parametrize("path", OUTSIDE_PROJECT, ids=label)
def test_only_the_project_package_contains_sql(path: Path) -> None:
    assert not re.search(r"\.store\.(read|write|stream)\b|\bSELECT\b", path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("path", WINDOW, ids=label)
def test_the_window_uses_neither_the_command_line_nor_the_experiments(path: Path) -> None:
    used = {name.split(".")[1] for name in imports(path) if name.startswith("rise_engine.")}
    assert used.isdisjoint({"cli", "commands", "experiments"})


@pytest.mark.parametrize("path", WINDOW, ids=label)
def test_the_window_reaches_qt_through_qtpy_only(path: Path) -> None:
    assert {name.split(".")[0] for name in imports(path)}.isdisjoint(QT_BINDINGS)


@pytest.mark.parametrize("path", ENGINE + WINDOW, ids=label)
def test_nothing_is_ever_unpickled(path: Path) -> None:
    assert {name.split(".")[0] for name in imports(path)}.isdisjoint(UNSAFE_LIBRARIES)
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.Call):
            continue
        keywords = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
        if ast.unparse(node.func) == "torch.load":
            assert keywords.get("weights_only") == "True", f"{label(path)}:{node.lineno}"
        assert keywords.get("allow_pickle", "False") == "False", f"{label(path)}:{node.lineno}"


@pytest.mark.parametrize("module", ["rise_engine", "rise_engine.config", "rise_engine.project", "rise_engine.formats"])
def test_a_light_import_brings_neither_torch_nor_a_window(module: str) -> None:
    loaded = set(run_python(f"import sys, {module}; print(*sys.modules)").split())
    assert module in loaded
    heavy = {"torch", "torchvision", "timm", "kornia", "transformers", "onnx", "onnxruntime"}
    assert loaded.isdisjoint(heavy | WINDOW_LIBRARIES | QT_BINDINGS)


def test_every_module_of_the_engine_imports_without_a_window_and_without_extras() -> None:
    names = [".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__") for path in ENGINE]
    code = f"""
import importlib, sys

for absent in {sorted(WINDOW_LIBRARIES | QT_BINDINGS | EXTRAS)!r}:
    sys.modules[absent] = None
for name in {names!r}:
    importlib.import_module(name)
print(len(sys.modules))
"""
    assert int(run_python(code)) > len(names)
