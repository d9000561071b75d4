"""JSON text for what the store keeps: written out by hand, because a file outlives a class's field names."""

from __future__ import annotations

import json
from typing import Any

from triolet.core.conversation import OpaquePart, Part, TextPart, ToolCallPart, ToolResultPart


def render_json(value: object) -> str:
    """Compact ASCII: a lone surrogate or a NUL is escaped, and so can be stored."""
    return json.dumps(value, separators=(",", ":"))


def render_parts(parts: tuple[Part, ...]) -> str:
    return render_json([_render_part(part) for part in parts])


def parse_parts(text: str) -> tuple[Part, ...]:
    """What `render_parts` was given; two halves of a surrogate pair in a row come back as one character."""
    return tuple(_parse_part(part) for part in json.loads(text))


def _render_part(part: Part) -> dict[str, Any]:
    if isinstance(part, TextPart):
        return {"text": part.text}
    if isinstance(part, ToolCallPart):
        return {"call": part.call_id, "name": part.name, "arguments": part.arguments}
    if isinstance(part, ToolResultPart):
        return {"result": part.call_id, "content": part.content, "error": part.is_error}
    return {"dialect": part.dialect, "data": part.data}


def _parse_part(part: dict[str, Any]) -> Part:
    if "text" in part:
        return TextPart(part["text"])
    if "call" in part:
        return ToolCallPart(part["call"], part["name"], part["arguments"])
    if "result" in part:
        return ToolResultPart(part["result"], part["content"], part["error"])
    return OpaquePart(part["dialect"], part["data"])
