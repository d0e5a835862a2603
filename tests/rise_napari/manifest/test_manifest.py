"""The manifest names the commands of the window, and importing its targets loads no torch."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib import import_module
from pathlib import Path

from npe2 import PluginManifest

import rise_napari
from rise_napari.ui.commands import COMMANDS, PALETTE
from rise_napari.ui.identity import PLUGIN

MANIFEST = Path(rise_napari.__file__).with_name("napari.yaml")


def manifest() -> PluginManifest:
    return PluginManifest.from_file(MANIFEST)


def test_the_manifest_is_valid_and_every_command_can_be_imported() -> None:
    found = manifest()
    found.validate_imports()
    for command in found.contributions.commands or []:
        module, _, name = str(command.python_name).partition(":")
        assert callable(getattr(import_module(module), name))


def test_the_manifest_names_the_commands_of_the_window() -> None:
    offered = {
        command.id: command.title
        for command in manifest().contributions.commands or []
        if str(command.python_name).startswith("rise_napari.manifest.palette:")
    }
    assert offered == {f"{PLUGIN}.{name}": command.title for name, command in PALETTE.items()}
    assert len({command.name for command in COMMANDS}) == len(COMMANDS)


def test_each_palette_command_calls_its_own_function() -> None:
    for command in manifest().contributions.commands or []:
        module, _, name = str(command.python_name).partition(":")
        if module == "rise_napari.manifest.palette":
            assert command.id == f"{PLUGIN}.{name}"


def test_the_menu_shows_the_names_of_plugin_and_widget() -> None:
    found = manifest()
    assert found.display_name == "RISE"
    assert [widget.display_name for widget in found.contributions.widgets or []] == ["RISE: train from annotations"]


def test_nothing_in_the_windows_process_imports_torch() -> None:
    code = (
        "import sys, rise_napari.widget, rise_napari.manifest.reader, rise_napari.manifest.writer;"
        "import rise_napari.manifest.sample_data;"
        "import rise_engine.pseudo_sequences.bank, rise_engine.formats.coco, rise_engine.synthetic;"
        "import rise_engine.training.child_process, rise_engine.active_learning.ranking;"
        "assert 'torch' not in sys.modules, 'torch was imported'"
    )
    environment = os.environ | {"QT_API": os.environ.get("QT_API", "pyqt5")}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_no_file_names_a_qt_binding() -> None:
    for file in Path(rise_napari.__file__).parent.rglob("*.py"):
        text = file.read_text(encoding="utf-8")
        assert not any(name in text for name in ("import PyQt", "from PyQt", "import PySide", "from PySide")), file
