"""The documents say what is so: their links lead somewhere, and the settings and commands they name exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import typer.main

from rise_engine.cli import app
from rise_engine.config import RECIPES, RiseConfig

ROOT = Path(__file__).resolve().parents[1]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])


def label(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("document", DOCUMENTS, ids=label)
def test_relative_links_lead_to_files(document: Path) -> None:
    targets = re.findall(r"\]\((?!https?://|#|mailto:)([^)#\s]+)", document.read_text(encoding="utf-8"))
    assert [target for target in targets if not (document.parent / target).exists()] == []


def test_settings_in_the_comparison_with_the_paper_exist() -> None:
    settings = RiseConfig().model_dump()
    text = (ROOT / "docs" / "paper_vs_code.md").read_text(encoding="utf-8")
    rows = [line.split("|")[3] for line in text.splitlines() if line.startswith("| ")]
    unknown = []
    for row in rows:
        section = ""
        for name in re.findall(r"`((?:\w+)?\.\w+)`", row):
            section = name.split(".")[0] or section
            if name.split(".")[1] not in settings.get(section, {}):
                unknown.append(name)
    assert len(rows) > 30
    assert unknown == []


def test_choices_in_the_comparison_with_the_paper_are_the_recipe_called_paper() -> None:
    text = (ROOT / "docs" / "paper_vs_code.md").read_text(encoding="utf-8")
    assert all(f"`{recipe}`" in text for recipe in RECIPES)
    paper = RiseConfig.preset("r50", "paper")
    assert (paper.loss.association, paper.loss.unsupervised) == (0.05, 0.5)
    assert (paper.pseudo_labels.threshold_start, paper.pseudo_labels.threshold_peak) == (0.5, 0.85)
    assert (paper.optimiser.clip_norm, paper.schedule.unsupervised_after) == (0.01, 200)


def test_commands_in_the_readme_exist() -> None:
    known = set(typer.main.get_command(app).commands)  # type: ignore[attr-defined]
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    named = {line.split()[1] for line in text.splitlines() if line.startswith("rise ")}
    assert {"demo", "new", "train", "export"} <= named <= known


def test_settings_named_for_the_network_exist() -> None:
    settings = RiseConfig().model_dump()
    text = (ROOT / "docs" / "network.md").read_text(encoding="utf-8")
    named = re.findall(r"[` ](model|optimiser)\.(?!level_embed)(\w+)", text)  # a tensor is called model.level_embed
    assert len(named) >= 4
    assert [name for section, name in named if name not in settings[section]] == []
