"""Chat Completions on the wire: server-sent events in, stream events out, and a request's body.

Source: OpenAI's API reference, "Chat Completions", object ``chat.completion.chunk``. Compatible servers leave
fields out and add their own, so every field has a default and unknown ones are ignored. Rules:

1. The answer is the choice with index 0; nobody asks for more than one.
2. ``finish_reason`` is the terminal event; ``[DONE]`` only ends the transport, and some servers omit it.
3. ``usage`` comes in a chunk of its own after the finish, if asked for by ``stream_options``. Nothing else counts
   after the finish, and nothing at all after ``[DONE]``: no text may follow the event that says "all".
4. Some servers report an error inside the stream as ``{"error": {...}}``.
5. ``null`` is the same as a field left out.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import msgspec

from triolet.core.conversation import Message
from triolet.core.events import (
    Finished,
    FinishReason,
    ReasoningDelta,
    StreamEvent,
    TextDelta,
    ToolCallDelta,
    UsageReported,
)
from triolet.core.sse import ServerSentEvent
from triolet.core.wire import WireDecoder, broken_off, decode_json, sendable


class _Function(msgspec.Struct):
    name: str | None = None
    arguments: str | None = None


class _ToolCall(msgspec.Struct):
    index: int | None = None
    id: str | None = None
    function: _Function | None = None


class _Delta(msgspec.Struct):
    content: str | None = None
    refusal: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    tool_calls: list[_ToolCall] | None = None


class _Choice(msgspec.Struct):
    index: int | None = None
    delta: _Delta | None = None
    finish_reason: str | None = None


class _PromptDetails(msgspec.Struct):
    cached_tokens: int | None = None


class _Usage(msgspec.Struct):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    prompt_tokens_details: _PromptDetails | None = None


class _Chunk(msgspec.Struct):
    choices: list[_Choice] | None = None
    usage: _Usage | None = None
    error: Any = None


_CHUNK = msgspec.json.Decoder(_Chunk)

_FINISH: dict[str, FinishReason] = {
    "stop": "stop",
    "length": "length",
    "tool_calls": "tool_calls",
    "function_call": "tool_calls",
    "content_filter": "content_filter",
}


class OpenAIChatDecoder(WireDecoder):
    """Source and rules: above."""

    def _receive(self, event: ServerSentEvent) -> list[StreamEvent]:
        if event.data == "[DONE]":
            self.done = True
        return [] if self.done else self._events(event.data)

    def _events(self, data: str) -> list[StreamEvent]:
        chunk = decode_json(_CHUNK, data)
        if chunk.error is not None:
            raise broken_off(chunk.error)
        events = [event for choice in chunk.choices or () for event in self._choice(choice)]
        if chunk.usage is not None:
            events.append(_usage(chunk.usage))
        return events

    def _choice(self, choice: _Choice) -> list[StreamEvent]:
        if choice.index or self.finished:
            return []
        events = _delta(choice.delta) if choice.delta is not None else []
        if choice.finish_reason:
            self.finished = True
            events.append(Finished(_FINISH.get(choice.finish_reason, "other")))
        return events


def _delta(delta: _Delta) -> list[StreamEvent]:
    events: list[StreamEvent] = []
    if reasoning := delta.reasoning_content or delta.reasoning:
        events.append(ReasoningDelta(reasoning))
    if text := (delta.content or "") + (delta.refusal or ""):
        events.append(TextDelta(text))
    events += [_tool_call(call) for call in delta.tool_calls or ()]
    return events


def _tool_call(call: _ToolCall) -> ToolCallDelta:
    function = call.function or _Function()
    return ToolCallDelta(call.index or 0, call.id or "", function.name or "", function.arguments or "")


def _usage(usage: _Usage) -> UsageReported:
    details = usage.prompt_tokens_details or _PromptDetails()
    return UsageReported(usage.prompt_tokens or 0, usage.completion_tokens or 0, details.cached_tokens or 0)


def render_messages(system_prompt: str, messages: Sequence[Message]) -> list[dict[str, str]]:
    """The ``messages`` of a request, as the strictest servers want them: none without text, roles in turn.

    Two of a user's in a row, because the first got no answer, become one.
    """
    rendered = [{"role": "system", "content": sendable(system_prompt)}] if system_prompt else []
    spoken = [message for message in messages if message.text]
    for role, group in itertools.groupby(spoken, key=lambda message: message.role):
        rendered.append({"role": role, "content": "\n\n".join(sendable(message.text) for message in group)})
    return rendered
