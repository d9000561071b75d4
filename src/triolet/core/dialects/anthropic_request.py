"""A request's body for Anthropic's Messages, made of any history so that nothing in it is refused.

Source: Anthropic's API reference, "Messages", "Errors" and "Preserved thinking", and what the API says when it refuses
a request; one that holds such a thing stays in the history, so every later one would be refused with it. Rules:

1. Roles take turns, and the user begins.
2. Each call has one result in the next message, where results come first; after a call comes nothing but calls.
   Without its other half neither is sent.
3. Ids of calls are unique, and they and names are made of few characters.
4. No text is blank. The last one, if it is the assistant's, does not end in white space.
5. Calls and their results are refused where no tools are named.
6. Thinking begins its message, or is not in it, and never ends it. It may not be left out of a turn that still goes
   on, and is refused later if anything before it has changed. Old turns do go one day, so that only the thinking
   of the turn that goes on is sent.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeAlias

from triolet.core.conversation import Message, OpaquePart, TextPart, ToolCallPart, ToolResultPart
from triolet.core.dialects.wire import sendable
from triolet.core.ports import ModelRequest, ToolSpec

DIALECT = "anthropic"
"""The dialect of the opaque parts that are sent, and of those that an answer gives."""

_Json: TypeAlias = dict[str, Any]

_ID = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_NOT_OF_NAMES = re.compile(r"[^a-zA-Z0-9_-]")
_THINKING = frozenset({"thinking", "redacted_thinking"})
_DEEPEST = 64
"""How deep JSON may be nested; more comes from no honest tool, and a library on its way out may fail at it."""


def render_request(request: ModelRequest) -> dict[str, Any]:
    """``messages``, and where there is any: ``system``, ``tools`` and ``tool_choice``.

    Calls without tools, which are gone by now, get tools by their names, since Anthropic refuses them otherwise.
    """
    messages = _messages(request.messages)
    body: _Json = {"messages": messages}
    if request.system_prompt.strip():
        body["system"] = sendable(request.system_prompt)
    called = {block["name"]: None for turn in messages for block in turn["content"] if block["type"] == "tool_use"}
    if tools := list(map(_tool, request.tools)) or [_tool(ToolSpec(name, "", {"type": "object"})) for name in called]:
        body["tools"] = tools
        if not (request.may_call and request.tools):
            body["tool_choice"] = {"type": "none"}
    return body


def _tool(spec: ToolSpec) -> _Json:
    described = {"description": sendable(spec.description)} if spec.description.strip() else {}
    return {"name": spec.name, **described, "input_schema": _plain(spec.parameters)}


def _messages(messages: Sequence[Message]) -> list[_Json]:
    turns: list[_Json] = []
    for role, blocks in itertools.dropwhile(_is_no_beginning, _said(messages)):
        if turns and turns[-1]["role"] == role:
            turns[-1]["content"] += blocks
        else:
            turns.append({"role": role, "content": blocks})
    _forget_thinking(turns)
    if turns and turns[-1]["role"] == "assistant" and turns[-1]["content"][-1]["type"] == "text":
        turns[-1]["content"][-1]["text"] = turns[-1]["content"][-1]["text"].rstrip()
    return turns


def _is_no_beginning(said: tuple[str, list[_Json]]) -> bool:
    role, blocks = said
    return role == "assistant" or blocks[0]["type"] == "tool_result"


def _said(messages: Sequence[Message]) -> Iterator[tuple[str, list[_Json]]]:
    """The role and the blocks of each message that has any."""
    taken: set[str] = set()
    ids: dict[str, str] = {}
    for message, after in itertools.zip_longest(messages, messages[1:]):
        if message.role == "assistant":
            ids = _ids(message, after, taken)
            blocks = _answered(message, dict(ids))
        else:
            blocks = _results(message, ids) if message.role == "tool" else _texts(message)
        if blocks:
            yield ("assistant" if message.role == "assistant" else "user"), blocks


def _ids(message: Message, after: Message | None, taken: set[str]) -> dict[str, str]:
    """What the calls that have a result in the next message are called in this request."""
    results = after.parts if after is not None and after.role == "tool" else ()
    answered = {part.call_id for part in results if isinstance(part, ToolResultPart)}
    return {
        call_id: _free_id(call_id, taken)
        for call_id in dict.fromkeys(call.call_id for call in message.calls)
        if call_id in answered
    }


def _free_id(call_id: str, taken: set[str]) -> str:
    """The id itself if it may be sent: other dialects have stranger ones, and some servers count anew in each round."""
    if call_id in taken or not _ID.fullmatch(call_id):
        call_id = next(name for n in itertools.count(len(taken)) if (name := f"call_{n}") not in taken)
    taken.add(call_id)
    return call_id


def _texts(message: Message) -> list[_Json]:
    return [block for part in message.parts if isinstance(part, TextPart) for block in _text(part)]


def _text(part: TextPart) -> list[_Json]:
    return [{"type": "text", "text": sendable(part.text)}] if part.text.strip() else []


def _answered(message: Message, ids: dict[str, str]) -> list[_Json]:
    blocks: list[_Json] = []
    for part in message.parts:
        if isinstance(part, TextPart):
            blocks += _text(part)
        elif isinstance(part, ToolCallPart) and part.call_id in ids:
            blocks.append(_call(part, ids.pop(part.call_id)))
        elif isinstance(part, OpaquePart) and part.dialect == DIALECT and isinstance(part.data.get("type"), str):
            blocks.append(_plain(part.data))
    return _ordered(blocks)


def _ordered(blocks: list[_Json]) -> list[_Json]:
    """Calls last, with the thinking between them, and no thinking after all."""
    first = next((n for n, block in enumerate(blocks) if block["type"] == "tool_use"), len(blocks))
    stays = {"tool_use", *_THINKING}
    late = sorted(blocks[first:], key=lambda block: block["type"] in stays)
    blocks = blocks[:first] + late
    while blocks and blocks[-1]["type"] in _THINKING:
        blocks.pop()
    return blocks


def _call(part: ToolCallPart, call_id: str) -> _Json:
    name = _NOT_OF_NAMES.sub("_", part.name)[:128] or "_"
    return {"type": "tool_use", "id": call_id, "name": name, "input": _plain(part.input or {})}


def _results(message: Message, ids: dict[str, str]) -> list[_Json]:
    return [
        _result(part, ids.pop(part.call_id))
        for part in message.parts
        if isinstance(part, ToolResultPart) and part.call_id in ids
    ]


def _result(part: ToolResultPart, call_id: str) -> _Json:
    """Content may be left out, but not be blank; an error must have some."""
    content = sendable(part.content) if part.content.strip() else "failed" * part.is_error
    block: _Json = {"type": "tool_result", "tool_use_id": call_id}
    return block | ({"content": content} if content else {}) | ({"is_error": True} if part.is_error else {})


def _forget_thinking(turns: list[_Json]) -> None:
    """Leave out, in place, thinking that would be refused; it ends no message, so none becomes empty."""
    asked = [
        n for n, turn in enumerate(turns) if turn["role"] == "user" and turn["content"][0]["type"] != "tool_result"
    ]
    for n, turn in enumerate(turns):
        if n < max(asked, default=0) or turn["content"][0]["type"] not in _THINKING:
            turn["content"] = [block for block in turn["content"] if block["type"] not in _THINKING]


def _plain(value: Any, room: int = _DEEPEST) -> Any:
    """The same as JSON that every library can write: no half characters, no endless numbers, no depths."""
    if isinstance(value, str):
        return sendable(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {sendable(key): _plain(inner, room - 1) for key, inner in value.items()} if room else None
    if isinstance(value, Sequence):
        return [_plain(inner, room - 1) for inner in value] if room else None
    return value
