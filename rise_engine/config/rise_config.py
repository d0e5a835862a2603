"""All settings of a run in one object; it reads presets, recipes and ``section.key=value``."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from pydantic import Field, ValidationError, model_validator

from rise_engine.config.presets import PRESETS, RECIPES, PresetName, RecipeName
from rise_engine.config.sections import (
    AugmentConfig,
    LoaderConfig,
    LossConfig,
    ModelConfig,
    OptimiserConfig,
    PseudoLabelConfig,
    ScheduleConfig,
    Section,
    SequenceConfig,
)

DERIVED = {
    "preset_name": "--preset sets it, together with the settings of that preset",
    "recipe_name": "--recipe sets it, together with the settings of that recipe",
    "model.num_classes": "it follows from the project's categories and from --per-class",
}
"""Settings that cannot be changed directly, and where they come from."""


class RiseConfig(Section):
    """All settings of a run; they are written to its ``config.json``."""

    preset_name: PresetName = "laptop"
    recipe_name: RecipeName = "recommended"
    class_agnostic: bool = True
    weights: str = "starter"
    """``starter``, ``imagenet``, ``coco``, ``last``, ``run:N``, ``none`` or a file."""
    device: str = "auto"
    model: ModelConfig = Field(default_factory=ModelConfig)
    loader: LoaderConfig = Field(default_factory=LoaderConfig)
    sequence: SequenceConfig = Field(default_factory=SequenceConfig)
    augment: AugmentConfig = Field(default_factory=AugmentConfig)
    pseudo_labels: PseudoLabelConfig = Field(default_factory=PseudoLabelConfig)
    loss: LossConfig = Field(default_factory=LossConfig)
    optimiser: OptimiserConfig = Field(default_factory=OptimiserConfig)
    schedule: ScheduleConfig = Field(default_factory=ScheduleConfig)

    @model_validator(mode="after")
    def _single_pass_with_gradient(self) -> RiseConfig:
        # The anchors of L_embed are queries of the pass with gradient; merged passes have queries that it lacks.
        merged = self.pseudo_labels.teacher_scales != (1.0,)
        if merged and self.schedule.before_gradient:
            raise ValueError(
                "The setting schedule.before_gradient needs a single teacher pass: "
                "set pseudo_labels.teacher_scales=[1.0]."
            )
        return self

    @classmethod
    def preset(cls, name: PresetName, recipe: RecipeName = "recommended") -> RiseConfig:
        """The settings of a preset (the size of the training) with a recipe (its method).

        Raises ``ValueError`` with the known names when one of them is unknown.
        """
        if name not in PRESETS:
            raise ValueError(f"There is no preset {name!r}: choose one of {', '.join(PRESETS)}.")
        if recipe not in RECIPES:
            raise ValueError(f"There is no recipe {recipe!r}: choose one of {', '.join(RECIPES)}.")
        settings: dict[str, Any] = {"preset_name": name, "recipe_name": recipe} | PRESETS[name]
        for section, values in RECIPES[recipe].items():
            settings[section] = settings.get(section, {}) | values
        return cls.model_validate(settings)

    def with_settings(self, settings: Iterable[str]) -> RiseConfig:
        """A copy changed by ``section.key=value`` strings; a value is parsed as JSON, or else taken as text.

        Raises ``ValueError`` with one sentence that names the setting which is unknown or does not fit.
        """
        changed = self.model_dump()
        for setting in settings:
            name, separator, text = setting.partition("=")
            if name.strip() in DERIVED:
                raise ValueError(f"The setting {name.strip()} cannot be changed: {DERIVED[name.strip()]}.")
            path = name.strip().split(".")
            section = changed
            for key in path[:-1]:
                section = section.get(key, {}) if isinstance(section, dict) else {}
            if not separator or not isinstance(section, dict) or path[-1] not in section:
                known = ", ".join(section) if isinstance(section, dict) and section else ", ".join(changed)
                raise ValueError(f"There is no setting {setting!r}: write section.key=value; known here: {known}.")
            try:
                section[path[-1]] = json.loads(text)
            except json.JSONDecodeError:
                section[path[-1]] = text.strip()
        try:
            return RiseConfig.model_validate(changed)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"])
            if first["type"] == "value_error":
                raise ValueError(str(first["ctx"]["error"])) from error
            raise ValueError(f"The setting {where} does not fit: {first['msg'].lower()}.") from error
