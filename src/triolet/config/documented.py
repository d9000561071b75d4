"""The settings as a file: every key with its default and what it is for."""

from __future__ import annotations

import json
from typing import Any, Final

import attrs

from triolet.config.settings import KEYS, SECTIONS, FallbackSettings, McpSettings

_EXAMPLES: Final[dict[str, tuple[tuple[str, Any, dict[str, object]], ...]]] = {
    "model": (
        (
            "[[model.fallback]]",
            FallbackSettings,
            {
                "name": "gpt-5.4-mini",
                "provider": "openai-responses",
                "base_url": "https://eu.api.openai.com/v1",
                "api_key": "${OPENAI_API_KEY}",
            },
        ),
    ),
    "tools": (
        (
            "[mcp.files]",
            McpSettings,
            {
                "command": ["files-server", "/srv/shared"],
                "env": ["LANG"],
                "allow": ["list", "read", "write"],
                "trusted": ["list", "read"],
            },
        ),
        (
            "[mcp.search]",
            McpSettings,
            {"url": "https://search.example/mcp", "token": "${SEARCH_TOKEN}", "allow": ["*"]},
        ),
    ),
}
"""The tables of which there may be any number, in the section that they follow."""


def documented_defaults() -> str:
    """A configuration file that sets every key to its default and says what it is for.

    Tables that the defaults hold none of are there as comments, with an example of every key.
    """
    return "\n".join(
        text
        for name, cls in SECTIONS.items()
        for text in (_document(name, cls), *(_example(*table) for table in _EXAMPLES.get(name, ())))
    )


def _example(header: str, cls: Any, values: dict[str, object]) -> str:
    about = {key.name: key.metadata.get("about") for key in attrs.fields(cls)}
    lines = [f"# {name} = {render_toml(value)}  # {about[name]}" for name, value in values.items()]
    return "\n".join([f"# {header}", *lines, ""])


def _document(section: str, cls: Any) -> str:
    keys = [key for key in attrs.fields(cls) if f"{section}.{key.name}" in KEYS]
    lines = [f"{key.name} = {render_toml(_written(key))}  # {key.metadata['about']}" for key in keys]
    return "\n".join([f"[{section}]", *lines, ""])


def _written(key: attrs.Attribute[Any]) -> object:
    return key.metadata.get("written", key.default)


def render_toml(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)
