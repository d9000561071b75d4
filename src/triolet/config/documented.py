"""The settings as a file: every key with its default and what it is for."""

from __future__ import annotations

import json
from typing import Any

import attrs

from triolet.config.settings import SECTIONS


def documented_defaults() -> str:
    """A configuration file that sets every key to its default and says what it is for."""
    return "\n".join(_document(name, cls) for name, cls in SECTIONS.items())


def _document(section: str, cls: Any) -> str:
    lines = [f"{key.name} = {render_toml(_written(key))}  # {key.metadata['about']}" for key in attrs.fields(cls)]
    return "\n".join([f"[{section}]", *lines, ""])


def _written(key: attrs.Attribute[Any]) -> object:
    return key.metadata.get("written", key.default)


def render_toml(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)
