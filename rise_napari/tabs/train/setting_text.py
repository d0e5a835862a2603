"""Settings as text, ``section.key=value, section.key=value``, as the command line's ``--set`` takes them."""

from __future__ import annotations

import json
import re
from typing import Any

_SEPARATOR = re.compile(r"\s*,\s*(?=[a-z][a-z0-9_.]*\s*=)")
"""A comma before a new setting; other commas are part of a value such as ``[240, 256]``."""


def split_settings(text: str) -> list[str]:
    """The settings of a text, each ``section.key=value``."""
    return [one.strip() for one in _SEPARATOR.split(text.strip(" ,")) if one.strip()]


def join_settings(settings: list[str]) -> str:
    """The text of settings."""
    return ", ".join(settings)


def key_of(setting: str) -> str:
    """``section.key`` of a setting."""
    return setting.partition("=")[0].strip()


def format_setting(key: str, value: Any) -> str:
    """A setting from a value as JSON knows it. Text stays unquoted unless JSON would read it as something else."""
    if isinstance(value, str):
        try:
            json.loads(value)
        except json.JSONDecodeError:
            return f"{key}={value}"
    return f"{key}={json.dumps(value)}"


def with_setting(settings: list[str], setting: str) -> list[str]:
    """The settings with one added or, where its key is there already, replaced."""
    changed = [setting if key_of(one) == key_of(setting) else one for one in settings]
    return changed if setting in changed else [*changed, setting]


def without_setting(settings: list[str], key: str) -> list[str]:
    """The settings without those of ``key``."""
    return [one for one in settings if key_of(one) != key]
