from __future__ import annotations

import json

import pytest

from rise_engine.config import RecipeName, RiseConfig


def test_settings_that_exclude_each_other_are_refused_in_one_sentence() -> None:
    config = RiseConfig.preset("laptop")
    with pytest.raises(ValueError, match=r"^The setting schedule\.before_gradient needs a single teacher pass"):
        config.with_settings(["schedule.before_gradient=true", "pseudo_labels.teacher_scales=[1.0, 1.25]"])
    assert config.with_settings(["pseudo_labels.teacher_scales=[1.0, 1.25]"]).pseudo_labels.teacher_scales == (1, 1.25)


@pytest.mark.parametrize("scales", ["[]", "[0]", "[9]"])
def test_a_teacher_makes_at_least_one_pass_at_a_sensible_scale(scales: str) -> None:
    with pytest.raises(ValueError, match=r"^The setting pseudo_labels\.teacher_scales.* does not fit"):
        RiseConfig.preset("laptop").with_settings([f"pseudo_labels.teacher_scales={scales}"])


@pytest.mark.parametrize("recipe", ["paper", "idol"])
def test_a_recipe_leaves_the_size_of_a_preset_alone(recipe: RecipeName) -> None:
    usual, other = RiseConfig.preset("laptop"), RiseConfig.preset("laptop", recipe)
    assert other.model == usual.model
    assert other.loader.predict_edge_reach == 0
    assert other.loader.model_copy(update={"predict_edge_reach": usual.loader.predict_edge_reach}) == usual.loader
    assert other.schedule == usual.schedule


def test_the_published_recipes_keep_their_learning_rate_where_the_preset_has_another() -> None:
    def rate(config: RiseConfig) -> tuple[float, float]:
        return config.optimiser.learning_rate, config.optimiser.decay_at

    assert rate(RiseConfig.preset("laptop")) == (3e-4, 1)
    assert {rate(RiseConfig.preset("laptop", recipe)) for recipe in ("paper", "idol")} == {(1e-4, 2 / 3)}
    assert rate(RiseConfig.preset("r50")) == (1e-4, 2 / 3)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (["sequence.max_pasted=0"], "The setting sequence.min_pasted is 1, more than max_pasted, 0"),
        (
            ["sequence.move_probability=0.9"],
            "The sum of sequence.move_probability and remove_probability is",
        ),
    ],
)
def test_settings_of_a_section_that_cannot_both_hold_are_refused(settings: list[str], said: str) -> None:
    with pytest.raises(ValueError, match=said) as refused:
        RiseConfig.preset("laptop").with_settings(settings)
    assert str(refused.value).startswith(said)
    RiseConfig.preset("laptop").with_settings(["sequence.max_pasted=0", "sequence.min_pasted=0"])


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("loader.short_sides=[]", "loader.short_sides does not fit"),
        ("loader.short_sides=[64, 0]", "loader.short_sides.1 does not fit"),
        ("schedule.seed=-1", "schedule.seed does not fit"),
        (f"schedule.seed={2**64}", "schedule.seed does not fit"),
        (
            "augment.scale=[1.2, 0.8]",
            "augment.scale begins at 1.2 and ends at 0.8: write the smaller number first",
        ),
        ("augment.strong_scale=[0, 1]", "augment.strong_scale.0 does not fit"),
        ("augment.object_scale=[1, Infinity]", "augment.object_scale.1 does not fit"),
        ("augment.strong_jitter=[0.9, 0.1]", "augment.strong_jitter begins at 0.9 and ends at 0.1"),
        ("augment.strong_jitter=[-1, 0.1]", "augment.strong_jitter.0 does not fit"),
        ("augment.rotation=Infinity", "augment.rotation does not fit"),
        ("augment.strong_rotation=NaN", "augment.strong_rotation does not fit"),
        ("augment.object_rotation=Infinity", "augment.object_rotation does not fit"),
        ("loss.dice=Infinity", "loss.dice does not fit"),
        ("model.num_heads=3", "model.num_heads is 3, which does not divide model.hidden_dim, 128"),
        ("preset_name=r50", "preset_name cannot be changed: --preset sets it"),
        ("recipe_name=paper", "recipe_name cannot be changed: --recipe sets it"),
        (
            "model.num_classes=7",
            "model.num_classes cannot be changed: it follows from the project's categories",
        ),
    ],
)
def test_a_setting_that_no_training_could_use_is_refused_by_its_name(setting: str, said: str) -> None:
    with pytest.raises(ValueError) as refused:
        RiseConfig.preset("laptop").with_settings([setting])
    assert str(refused.value).startswith(f"The setting {said}")
    assert "\n" not in str(refused.value)


def test_no_clipping_and_a_black_strong_view_can_be_asked_for() -> None:
    config = RiseConfig.preset("laptop").with_settings(["optimiser.clip_norm=Infinity", "augment.strong_jitter=[0, 1]"])
    assert RiseConfig.model_validate(json.loads(json.dumps(config.model_dump(mode="json")))) == config
