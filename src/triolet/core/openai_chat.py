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
    Batch,
    Finished,
    FinishReason,
    ReasoningDelta,
    StreamEvent,
    TextDelta,
    ToolCallDelta,
    UsageReported,
)
from triolet.core.sse import SSEDecoder
from triolet.errors import ProviderUnavailable, RemoteProtocolError


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


_decode_chunk = msgspec.json.Decoder(_Chunk).decode

_FINISH: dict[str, FinishReason] = {
    "stop": "stop",
    "length": "length",
    "tool_calls": "tool_calls",
    "function_call": "tool_calls",
    "content_filter": "content_filter",
}


class OpenAIChatDecoder:
    """The bytes of a streamed response body, a chunk at a time, to stream events.

    Raises:
        ProviderUnavailable: the server reported an error inside the stream.
        RemoteProtocolError: an event is not what the dialect allows.
    """

    def __init__(self) -> None:
        self._sse = SSEDecoder()
        self.began = False
        """A server-sent event came: this is a stream."""
        self.finished = False
        """The model ended its answer."""
        self.done = False
        """The server said that nothing more comes."""
        self.before_error: Batch = ()
        """What stood before the error in the chunk that raised it: it was said, so it counts."""

    def receive_data(self, chunk: bytes) -> Batch:
        events: list[StreamEvent] = []
        try:
            for event in self._sse.receive_data(chunk):
                events += self._receive(event.data)
        except (ProviderUnavailable, RemoteProtocolError):
            self.before_error = tuple(events)
            raise
        return tuple(events)

    def _receive(self, data: str) -> list[StreamEvent]:
        self.began = True
        if data == "[DONE]":
            self.done = True
        return [] if self.done or not data else self._events(data)

    def _events(self, data: str) -> list[StreamEvent]:
        try:
            chunk = _decode_chunk(data)
        except (msgspec.DecodeError, RecursionError) as error:
            raise RemoteProtocolError(f"the provider sent a chunk that makes no sense: {error}") from None
        if chunk.error is not None:
            raise ProviderUnavailable(f"the provider broke off: {_error_text(chunk.error)}")
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


def _error_text(error: object) -> str:
    text = (error.get("message") or error.get("code")) if isinstance(error, dict) else error
    # A nested value is nobody's message, and may be too deep to print.
    return str(text)[:300] if text and isinstance(text, str | int) else "it gave no reason"


def render_messages(system_prompt: str, messages: Sequence[Message]) -> list[dict[str, str]]:
    """The ``messages`` of a request, as the strictest servers want them: none without text, roles in turn.

    Two of a user's in a row, because the first got no answer, become one.
    """
    rendered = [{"role": "system", "content": _sendable(system_prompt)}] if system_prompt else []
    spoken = [message for message in messages if message.text]
    for role, group in itertools.groupby(spoken, key=lambda message: message.role):
        rendered.append({"role": role, "content": "\n\n".join(_sendable(message.text) for message in group)})
    return rendered


def _sendable(text: str) -> str:
    """Half of a surrogate pair, which JSON may bring in and UTF-8 cannot carry, becomes a replacement character."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
