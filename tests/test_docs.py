"""The documents are true: their links, files, names, settings, values and commands are those of the code."""

from __future__ import annotations

import ast
import importlib.util
import json
import re
import sys
from pathlib import Path
from typing import Any

import pytest
import typer.main

from rise_engine.cli import app
from rise_engine.config import PRESETS, RECIPES, RiseConfig

ROOT = Path(__file__).resolve().parents[1]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
README_LINES, ARCHITECTURE_LINES = 120, 72


def label(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def section(text: str, title: str) -> str:
    """The text below a title, up to the next one of any level."""
    found = re.search(rf"^#+ {re.escape(title)}\n(.*?)(?=^#|\Z)", text, flags=re.MULTILINE | re.DOTALL)
    assert found is not None, f"there is no section {title!r}"
    return found[1]


def tables(text: str) -> list[list[str]]:
    """The cells of all rows of all tables, without titles."""
    rows = []
    for block in re.findall(r"^\|.*\|\n\|[-|: ]+\|\n((?:\|.*\|\n?)+)", text, flags=re.MULTILINE):
        rows += [[cell.strip() for cell in line.strip("|").split(" | ")] for line in block.splitlines()]
    return rows


def flat(config: RiseConfig) -> dict[str, Any]:
    """All settings by their full names."""
    values = {}
    for name, value in config.model_dump(mode="json").items():
        values |= {f"{name}.{key}": entry for key, entry in value.items()} if isinstance(value, dict) else {name: value}
    return values


def value_of(text: str) -> Any:
    """A value as the documents write it: JSON, or a plain word."""
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text


def same(first: Any, second: Any) -> bool:
    """Equal, numbers to the four digits that the documents print."""
    if isinstance(first, float | int) and isinstance(second, float | int) and not isinstance(first, bool):
        return not isinstance(second, bool) and first == pytest.approx(second, rel=1e-4)
    if isinstance(first, list) and isinstance(second, list):
        return len(first) == len(second) and all(map(same, first, second))
    return type(first) is type(second) and first == second


def anchors(document: Path) -> set[str]:
    """The anchors of a document's titles, as GitHub makes them."""
    titles = re.findall(r"^#+ (.+)$", document.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("document", DOCUMENTS, ids=label)
def test_relative_links_lead_to_files_and_sections(document: Path) -> None:
    broken = []
    for target in re.findall(r"\]\((?!https?://|mailto:)([^)\s]+)", document.read_text(encoding="utf-8")):
        name, _, anchor = target.partition("#")
        path = document.parent / name if name else document
        if not path.exists() or (anchor and anchor not in anchors(path)):
            broken.append(target)
    assert broken == []


def test_the_readme_fits_three_screens() -> None:
    assert len(read("README.md").splitlines()) <= README_LINES


# Settings and their values


def test_values_in_the_comparison_with_the_paper_are_those_of_the_recipe_called_paper() -> None:
    paper = flat(RiseConfig.preset("r50", "paper"))
    text = read("docs/paper_vs_code.md")
    rows = [row for row in tables(text) if len(row) == 4 and not row[0].startswith("`")]
    assert len(rows) > 40
    checked, wrong = set(), []
    for _, _, settings, _ in rows:
        where = ""
        for name, value in re.findall(r"`((?:\w+)?\.?\w+)(?:=([^`]+))?`", settings):
            if name.startswith("."):
                name = f"{where}{name}"
            where = name.split(".")[0]
            if name not in paper:
                wrong += [name] if value or "." in name else []
            elif value and same(value_of(value), paper[name]):
                checked.add(name)
            elif value:
                wrong.append(f"{name}={value}")
    assert wrong == []
    assert len(checked) > 75


def test_every_setting_of_the_method_is_in_the_comparison_with_the_paper() -> None:
    text = read("docs/paper_vs_code.md")
    named = set()
    where = ""
    for name in re.findall(r"`((?:\w+)?\.\w+)(?:=[^`]+)?`", text):
        where = name.split(".")[0] or where
        named.add(f"{where}.{name.split('.')[1]}")
    method = {
        name for name in flat(RiseConfig()) if name.split(".")[0] in {"sequence", "augment", "pseudo_labels", "loss"}
    }
    assert method - named == set()


def test_the_recipes_are_compared_in_full() -> None:
    recipes = {name: flat(RiseConfig.preset("r50", name)) for name in ("paper", "idol", "recommended")}
    assert set(recipes) == set(RECIPES)
    different = {
        name for name in recipes["paper"] if len({json.dumps(values[name]) for values in recipes.values()}) > 1
    }
    rows = {
        row[0].strip("`"): row[1:] for row in tables(section(read("docs/paper_vs_code.md"), "The recipes compared"))
    }
    assert set(rows) == different - {"recipe_name"}
    for name, cells in rows.items():
        for cell, values in zip(cells, recipes.values(), strict=True):
            assert same(value_of(cell), values[name]), f"{name}: {cell} is {values[name]}"


def test_the_presets_are_compared_in_full() -> None:
    presets = {name: flat(RiseConfig.preset(name)) for name in ("laptop", "r50")}
    text = section(read("docs/commands.md"), "Presets")
    assert all(f"`{preset}`" in text for preset in PRESETS)
    different = {name for name, value in presets["r50"].items() if presets["laptop"][name] != value}
    rows = {row[0].strip("`"): row[1:] for row in tables(text) if len(row) == 3 and "," not in row[0]}
    rows.pop("laptop", None)
    assert set(rows) == different - {"preset_name"}
    for name, cells in rows.items():
        for cell, values in zip(cells, presets.values(), strict=True):
            assert same(value_of(cell), values[name]), f"{name}: {cell} is {values[name]}"


@pytest.mark.parametrize("document", DOCUMENTS, ids=label)
def test_settings_that_a_document_names_exist(document: Path) -> None:
    settings = RiseConfig().model_dump()
    sections = "|".join(name for name, value in settings.items() if isinstance(value, dict))
    # A dot and more after the name is a path or a tensor, not a setting.
    named = re.findall(rf"[` ]({sections})\.(\w+)(?=[`=, ])", document.read_text(encoding="utf-8"))
    tensors = {("model", "level_embed")}
    assert [name for name in named if name not in tensors and name[1] not in settings[name[0]]] == []


def test_settings_named_for_the_network_exist() -> None:
    settings = RiseConfig().model_dump()
    named = re.findall(r"[` ](model|optimiser)\.(?!level_embed)(\w+)", read("docs/network.md"))
    assert len(named) >= 4
    assert [name for section, name in named if name not in settings[section]] == []


# Commands


def commands() -> dict[str, set[str]]:
    """The options of every command by its name; those of a group have two words."""
    found: dict[str, set[str]] = {}
    for name, command in typer.main.get_command(app).commands.items():  # type: ignore[attr-defined]
        for part, one in getattr(command, "commands", {"": command}).items():
            options = {option for parameter in one.params for option in parameter.opts if option.startswith("--")}
            found[f"{name} {part}".strip()] = options
    return found


def test_the_list_of_commands_and_options_is_complete() -> None:
    listed = {}
    for command, _, options in tables(section(read("docs/commands.md"), "All commands")):
        words = command.strip("`").split()[1:]
        name = " ".join(words[: 2 if words[0] == "export" else 1])
        listed[name] = set(re.findall(r"`(--[\w-]+)`", options))
    assert listed == commands()


@pytest.mark.parametrize("document", DOCUMENTS, ids=label)
def test_commands_that_a_document_shows_exist(document: Path) -> None:
    text = document.read_text(encoding="utf-8").replace("\\\n", " ")
    known = commands()
    for line in re.findall(r"^rise (.+)$", text, flags=re.MULTILINE):
        words = line.split("#")[0].split()
        name = " ".join(words[: 2 if words[0] == "export" else 1])
        assert name in known, line
        assert {word for word in words if word.startswith("--")} - {"--help"} <= known[name], line


def test_the_readme_shows_a_round_on_the_command_line() -> None:
    named = {line.split()[1] for line in read("README.md").splitlines() if line.startswith("rise ")}
    assert {"new", "train", "evaluate", "export"} <= named


# Files and names of the code


def names_of(path: Path) -> set[str]:
    """The functions and classes that a file defines, and a class's methods as ``Class.method``."""
    names = set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(node.name)
        if isinstance(node, ast.ClassDef):
            names |= {f"{node.name}.{entry.name}" for entry in node.body if isinstance(entry, ast.FunctionDef)}
    return names


def test_the_method_page_names_files_and_functions_that_exist() -> None:
    text = read("docs/method.md")
    rows = [
        row
        for title in ("Equations and sections", "From an image to the loss", "Not in the paper")
        for row in tables(section(text, title))
    ]
    assert len(rows) > 25
    for *_, file, names in rows:
        links = re.findall(r"\[(\S+)\]\((\S+)\)", file)
        assert links, file
        for shown, target in links:
            path = (ROOT / "docs" / target).resolve()
            assert path == ROOT / "rise_engine" / shown
            assert set(re.findall(r"`([\w.]+)`", names)) <= names_of(path), file


def test_the_method_page_has_every_equation_once() -> None:
    named = " ".join(row[0] for row in tables(section(read("docs/method.md"), "Equations and sections")))
    numbers = {
        int(number) for group in re.findall(r"Eq\. ((?:\d+(?:, )?)+)", named) for number in re.findall(r"\d+", group)
    }
    assert numbers == set(range(1, 10))


def test_the_method_page_names_every_file_of_the_method() -> None:
    linked = set(re.findall(r"\(\.\./rise_engine/(method/\S+\.py)\)", read("docs/method.md")))
    supporting = {"method/batch.py"}
    there = {path.relative_to(ROOT / "rise_engine").as_posix() for path in (ROOT / "rise_engine/method").rglob("*.py")}
    assert {name for name in there if not name.endswith("__init__.py")} - linked == supporting


@pytest.mark.parametrize("document", DOCUMENTS, ids=label)
def test_paths_of_the_code_that_a_document_names_exist(document: Path) -> None:
    named = re.findall(
        r"`((?:rise_engine/|rise_napari/|tests/|benchmarks/|docs/|examples/)?[\w/]+/(?:\w+\.py)?)`",
        document.read_text(encoding="utf-8"),
    )
    places = [ROOT, ROOT / "rise_engine", ROOT / "rise_napari"]
    named = [name for name in named if "NAME" not in name]
    ours = [
        name for name in named if name.endswith(".py") or name.startswith(("rise_", "tests/", "benchmarks/", "docs/"))
    ]
    assert [name for name in ours if not any((place / name).exists() for place in places)] == []


# The rooms and their arrows


def import_rules() -> Any:
    specification = importlib.util.spec_from_file_location("import_rules", ROOT / "tests" / "test_import_rules.py")
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    sys.modules["import_rules"] = module
    specification.loader.exec_module(module)
    return module


def test_the_arrows_of_the_architecture_are_those_that_the_imports_are_tested_with() -> None:
    rules = import_rules()
    text = section(read("docs/architecture.md"), "Rooms and arrows")
    arrows = {row[0].strip("`"): set(re.findall(r"`(\w+)`", row[2])) for row in tables(text)}
    assert arrows == rules.MAY_USE
    (files,) = re.findall(r"root files ((?:`\w+` ?)+)", text)
    assert set(re.findall(r"`(\w+)`", files)) == rules.GROUND
    there = {path.name for path in (ROOT / "rise_engine").iterdir() if (path / "__init__.py").exists()}
    assert there - rules.GROUND == set(arrows) - {"cli"}
    (window,) = re.findall(r"Rooms of the window: (.*?)\.\s", text, flags=re.DOTALL)
    there = {path.name for path in (ROOT / "rise_napari").iterdir() if (path / "__init__.py").exists()}
    assert there == set(re.findall(r"`(\w+)`", window))


def test_the_architecture_fits_one_screen() -> None:
    assert len(read("docs/architecture.md").splitlines()) <= ARCHITECTURE_LINES


def test_the_table_of_the_method_package_names_functions_that_exist() -> None:
    table_text = ast.get_docstring(ast.parse(read("rise_engine/method/__init__.py")))
    assert table_text is not None
    places = re.findall(r"  ([a-z_]+)\.([A-Za-z_]+)$", table_text, flags=re.MULTILINE)
    places = [(module, name) for module, name in places if module != "extensions"]
    assert len(places) > 15
    for module, name in places:
        assert name in names_of(ROOT / "rise_engine" / "method" / f"{module}.py"), f"{module}.{name}"
    shown = {
        name for row in tables(section(read("docs/method.md"), "Equations and sections")) for name in row[-1].split()
    }
    equations = re.findall(r"^Eq\. \d.*  [a-z_]+\.(\w+)$", table_text, flags=re.MULTILINE)
    assert [name for name in equations if f"`{name}`" not in {entry.strip(",") for entry in shown}] == []


# The window


def literals_of(folder: Path) -> list[str]:
    """The texts in the code below a folder; of an f-string its fixed parts, joined by a space."""
    found = []
    for path in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.JoinedStr):
                parts = [part.value for part in node.values if isinstance(part, ast.Constant)]
                found.append(" ".join(str(part).strip() for part in parts))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.append(node.value)
    return found


def test_the_tour_names_buttons_that_the_window_has() -> None:
    keys = {"Enter", "Space", "Tab", "F6"}
    named = {" ".join(name.split()) for name in re.findall(r"\*\*(.+?)\*\*", read("docs/tour.md"), flags=re.DOTALL)}
    buttons = {name for name in named if len(name) > 1 and " + " not in name and name not in keys}
    texts = literals_of(ROOT / "rise_napari")
    assert len(buttons) > 12
    missing = []
    for name in sorted(buttons):
        pattern = re.compile(
            r"\b.*".join(re.escape(part) for part in name.split(" … ")) + r"(?!\w)", flags=re.IGNORECASE
        )
        if not any(pattern.match(text) for text in texts):
            missing.append(name)
    assert missing == []
