"""The advanced settings of the Train tab: the form and the text of the changes show the same settings."""

from __future__ import annotations

from typing import Any

import pytest

from rise_engine.config import RiseConfig, Section


@pytest.fixture
def settings(workbench: Any) -> Any:
    """The settings of the Train tab, with the form built."""
    workbench.train.settings.advanced_section.expand(False)
    return workbench.train.settings


def widget(settings: Any, section: str, field: str) -> Any:
    return settings.advanced.sections[section].inputs[field].widget


def test_every_setting_of_the_config_has_a_row_or_a_control(settings: Any) -> None:
    config = RiseConfig()
    sections = {name for name in type(config).model_fields if isinstance(getattr(config, name), Section)}
    assert set(settings.advanced.sections) == sections
    shown = {f"{name}.{field}" for name in sections for field in settings.advanced.sections[name].inputs}
    known = {f"{name}.{field}" for name in sections for field in type(getattr(config, name)).model_fields}
    assert known - shown == {"schedule.steps", "schedule.seed", "model.num_classes"}


def test_a_change_in_the_form_is_written_as_text_and_used(settings: Any) -> None:
    widget(settings, "loss", "unsupervised").value = "0.25"
    widget(settings, "schedule", "supervised_only").value = True
    widget(settings, "loader", "short_sides").value = "64, 80"
    assert settings.advanced.more.text() == (
        "loss.unsupervised=0.25, schedule.supervised_only=true, loader.short_sides=[64, 80]"
    )
    config = settings.config()
    assert config.loss.unsupervised == 0.25
    assert config.schedule.supervised_only
    assert config.loader.short_sides == (64, 80)
    assert "1 changed" in settings.advanced._titles["loss"].text()


def test_the_value_of_the_preset_is_no_change(settings: Any) -> None:
    before = settings.config()
    flag = widget(settings, "sequence", "paste")
    flag.value = False
    flag.value = True
    quantile = widget(settings, "pseudo_labels", "edge_reach")
    quantile.value = 0.2
    quantile.value = 1 / 64
    assert settings.advanced.more.text() == ""
    assert settings.config() == before


def test_a_change_in_the_text_is_shown_in_the_form(settings: Any) -> None:
    settings.advanced.more.setText("loss.dice=3, optimiser.bf16=true")
    assert widget(settings, "loss", "dice").value == "3"
    assert widget(settings, "optimiser", "bf16").value is True
    assert settings.advanced.sections["loss"].inputs["dice"].changed
    settings.advanced.reset.click()
    assert settings.advanced.more.text() == ""
    assert widget(settings, "optimiser", "bf16").value is False
    assert not settings.advanced.sections["loss"].inputs["dice"].changed


def test_the_form_follows_preset_and_recipe(settings: Any) -> None:
    assert widget(settings, "model", "num_queries").value == 100
    settings.preset.setCurrentIndex(settings.preset.findData("r50"))
    assert widget(settings, "model", "num_queries").value == 300
    widget(settings, "loss", "dice").value = "4"
    settings.advanced.recipe.setCurrentText("paper")
    assert widget(settings, "loss", "association").value == "0.05"
    assert widget(settings, "loss", "dice").value == "4", "a change stays"


def test_an_invalid_text_is_explained_in_a_sentence(settings: Any, labelled: Any, trainer: Any) -> None:
    error = settings.advanced.error
    assert error.isHidden()
    widget(settings, "loss", "dice").value = "much"
    assert not error.isHidden()
    assert "loss.dice" in error.text()
    assert error.text()[0].isupper() and error.text().endswith(".")
    labelled.train.start_training()
    assert not trainer.alive
    assert "loss.dice" in labelled.header.message.text()
    widget(settings, "loss", "dice").value = "2"
    assert error.isHidden()


def test_rules_between_settings_are_explained_too(settings: Any) -> None:
    widget(settings, "sequence", "min_pasted").value = 9
    assert "min_pasted" in settings.advanced.error.text()
    widget(settings, "sequence", "max_pasted").value = 9
    assert settings.advanced.error.isHidden()
    assert settings.config().sequence.min_pasted == 9


def test_a_search_shows_only_the_sections_with_a_match(settings: Any) -> None:
    settings.advanced.search.setText("learning rate")
    titles = settings.advanced._titles
    assert not titles["optimiser"].isHidden()
    assert titles["model"].isHidden()
    settings.advanced.search.clear()
    assert not titles["model"].isHidden()
