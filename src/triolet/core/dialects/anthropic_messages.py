"""Anthropic's Messages on the wire: server-sent events in, stream events out.

Source: Anthropic's API reference, "Messages", "Streaming messages" and "Errors". The other direction is
`core.dialects.anthropic_request`. Beside the rules of `core.dialects.wire`:

1. An answer is a list of blocks, each with a start, deltas and a stop. A block without an index is the next one, or
   the last one that began.
2. The reason in ``message_delta`` is the terminal event: all text came before it. ``message_stop`` only ends the
   transport, and some servers omit it.
3. Counts of tokens are cumulative, and one that is left out, or 0, stands as it was.
4. Thinking, and every block of an unknown type that came whole, is kept as it came. Nothing of it is text.
"""

from __future__ import annotations

import json
from typing import Any

import attrs
import msgspec

from triolet.core.conversation import OpaquePart
from triolet.core.dialects.anthropic_request import DIALECT, render_request
from triolet.core.dialects.sse import ServerSentEvent
from triolet.core.dialects.wire import WireDecoder, broken_off, decode_json, sendable, whole_batch
from triolet.core.events import (
    Batch,
    BlockCompleted,
    Finished,
    FinishReason,
    ReasoningDelta,
    StreamEvent,
    TextDelta,
    ToolCallDelta,
    UsageReported,
)
from triolet.errors import RemoteProtocolError

__all__ = ["AnthropicDecoder", "decode_answer", "render_request"]


class _Head(msgspec.Struct):
    type: str | None = None
    error: Any = None


class _Usage(msgspec.Struct):
    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_read_input_tokens: int | None = None
    cache_creation_input_tokens: int | None = None


class _Message(msgspec.Struct):
    usage: _Usage | None = None


class _Delta(msgspec.Struct):
    type: str | None = None
    text: str | None = None
    thinking: str | None = None
    signature: str | None = None
    partial_json: str | None = None
    stop_reason: str | None = None


class _Event(_Head):
    index: int | None = None
    message: _Message | None = None
    content_block: Any = None
    delta: _Delta | None = None
    usage: _Usage | None = None


class _Start(msgspec.Struct):
    type: str | None = None
    id: str | None = None
    name: str | None = None
    text: str | None = None
    thinking: str | None = None
    input: Any = None


class _Answer(msgspec.Struct):
    content: list[Any] | None = None
    stop_reason: str | None = None
    usage: _Usage | None = None
    error: Any = None


_HEAD = msgspec.json.Decoder(_Head)
_EVENT = msgspec.json.Decoder(_Event)
_OBJECT = msgspec.json.Decoder(dict[str, Any])
_ANSWER = msgspec.json.Decoder(_Answer)

_BLOCK_EVENTS = frozenset({"content_block_start", "content_block_delta", "content_block_stop"})

_FINISH: dict[str, FinishReason] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
}


class AnthropicDecoder(WireDecoder):
    """Source and rules: above."""

    def __init__(self) -> None:
        super().__init__()
        self._content = _Content()
        self._usage = _Usage()

    def _receive(self, event: ServerSentEvent) -> None:
        if event.data == b"[DONE]":  # from servers that know it from Chat Completions
            self.done = True
            return
        try:
            head: _Head = decode_json(_EVENT, event.data)
        except RemoteProtocolError:  # one that does not count may mean other things by the same names
            head = decode_json(_HEAD, event.data)
        kind = head.type or event.name.decode("utf-8", "replace")
        if kind == "error" or (head.type is None and head.error is not None):
            raise broken_off(head.error)
        if kind in _BLOCK_EVENTS:
            said = [] if self.finished else self._block(kind, _typed(head, event.data))
        elif kind in {"message_start", "message_delta"}:
            said = self._message(_typed(head, event.data))
        else:
            self.done = kind == "message_stop"
            return
        for each in said:
            self._say(each)

    def _message(self, event: _Event) -> list[StreamEvent]:
        events: list[StreamEvent] = []
        if usage := event.usage or (event.message and event.message.usage):
            self._usage = _carried(self._usage, usage)
            events.append(_report(self._usage))
        if event.delta and event.delta.stop_reason and not self.finished:
            self.finished = True
            events = [*self._content.end_all(), *events, _finished(event.delta.stop_reason)]
        return events

    def _block(self, kind: str, event: _Event) -> list[StreamEvent]:
        if kind == "content_block_delta":
            return self._content.take(event.index, event.delta or _Delta())
        if kind == "content_block_start":
            return self._content.begin(event.index, event.content_block)
        return self._content.end(event.index)


def _typed(head: _Head, data: bytes) -> _Event:
    return head if isinstance(head, _Event) else decode_json(_EVENT, data)


def decode_answer(body: bytes) -> Batch:
    """What an answer that was not streamed says, its `Finished` included.

    Raises:
        ProviderUnavailable: it reports an error.
        RemoteProtocolError: it is no answer.
    """
    answer = decode_json(_ANSWER, body)
    if answer.error is not None:
        raise broken_off(answer.error)
    if answer.content is None:
        raise RemoteProtocolError("the provider sent an answer without content")
    content = _Content()
    events = [event for block in answer.content for event in (*content.begin(None, block), *content.end(None))]
    usage = [_report(answer.usage)] if answer.usage else []
    return whole_batch((*events, *usage, _finished(answer.stop_reason or "")))


def _finished(stop_reason: str) -> Finished:
    return Finished(_FINISH.get(stop_reason, "other"))


def _carried(before: _Usage, usage: _Usage) -> _Usage:
    return _Usage(*(new or old for new, old in zip(_counts(usage), _counts(before), strict=True)))


def _report(usage: _Usage) -> UsageReported:
    fresh, said, read, written = _counts(usage)
    return UsageReported(fresh + read + written, said, read, written)


def _counts(usage: _Usage) -> list[int]:
    return [count or 0 for count in msgspec.structs.astuple(usage)]


# Blocks


class _Content:
    """The blocks of one answer that have begun and not ended."""

    def __init__(self) -> None:
        self._blocks: dict[int, _Block] = {}
        self._last = -1
        self._calls = 0

    def begin(self, index: int | None, data: Any) -> list[StreamEvent]:
        index = self._last + 1 if index is None else index
        before = self.end(index)
        self._last = index
        self._blocks[index] = self._opened({} if data is None else data)
        return before + self._blocks[index].begin()

    def _opened(self, data: Any) -> _Block:
        try:
            start = msgspec.convert(data, _Start)
        except ValueError as error:  # a name may hold half a character
            raise RemoteProtocolError(f"the provider sent a block that makes no sense: {error}") from None
        kind = start.type or "text"
        if kind == "text":
            return _Block(start)
        if kind == "tool_use":
            self._calls += 1
            return _Call(start, self._calls - 1)
        return _Thinking(start, data) if kind == "thinking" else _Other(start, data)

    def take(self, index: int | None, delta: _Delta) -> list[StreamEvent]:
        block = self._blocks.get(self._last if index is None else index)
        return (block or _UNKNOWN).take(delta)

    def end(self, index: int | None) -> list[StreamEvent]:
        block = self._blocks.pop(self._last if index is None else index, None)
        return block.end() if block else []

    def end_all(self) -> list[StreamEvent]:
        return [event for index in list(self._blocks) for event in self.end(index)]


@attrs.define
class _Block:
    """A block of text, and what the others have in common: each of these says what is new."""

    start: _Start

    def begin(self) -> list[StreamEvent]:
        return [TextDelta(self.start.text)] if self.start.text else []

    def take(self, delta: _Delta) -> list[StreamEvent]:
        return [TextDelta(delta.text)] if delta.type == "text_delta" and delta.text else []

    def end(self) -> list[StreamEvent]:
        return []


_UNKNOWN = _Block(_Start())
"""The block of a delta that belongs to none: its text counts."""


@attrs.define
class _Call(_Block):
    """Its arguments come in fragments, or whole with the start, where Anthropic itself sends an empty object."""

    number: int
    is_fragmented: bool = False

    def begin(self) -> list[StreamEvent]:
        return [ToolCallDelta(self.number, self.start.id or "", self.start.name or "", "")]

    def take(self, delta: _Delta) -> list[StreamEvent]:
        if delta.type != "input_json_delta" or not delta.partial_json:
            return []
        self.is_fragmented = True
        return [ToolCallDelta(self.number, "", "", delta.partial_json)]

    def end(self) -> list[StreamEvent]:
        if self.is_fragmented or not self.start.input:
            return []
        try:
            return [ToolCallDelta(self.number, "", "", json.dumps(self.start.input))]
        except (ValueError, RecursionError) as error:
            raise RemoteProtocolError(f"the provider sent arguments that make no sense: {error}") from None


@attrs.define
class _Thinking(_Block):
    data: dict[str, Any]
    pieces: list[str] = attrs.Factory(list)

    def begin(self) -> list[StreamEvent]:
        return self._thought(self.start.thinking or "")

    def take(self, delta: _Delta) -> list[StreamEvent]:
        if delta.type == "signature_delta" and delta.signature:
            self.data["signature"] = delta.signature
        return self._thought(delta.thinking or "") if delta.type == "thinking_delta" else []

    def _thought(self, text: str) -> list[StreamEvent]:
        self.pieces.append(text)
        return [ReasoningDelta(text)] if text else []

    def end(self) -> list[StreamEvent]:
        return [BlockCompleted(OpaquePart(DIALECT, self.data | {"thinking": "".join(self.pieces)}))]


@attrs.define
class _Other(_Block):
    """A block that is whole with its start, but for the input of a call that is not ours to make."""

    data: dict[str, Any]
    pieces: list[str] = attrs.Factory(list)
    is_whole: bool = True

    def begin(self) -> list[StreamEvent]:
        return []

    def take(self, delta: _Delta) -> list[StreamEvent]:
        if delta.type == "input_json_delta":
            self.pieces.append(delta.partial_json or "")
        else:
            self.is_whole = False  # nobody here knows what the delta adds
        return []

    def end(self) -> list[StreamEvent]:
        if fragments := "".join(self.pieces):
            try:
                self.data["input"] = decode_json(_OBJECT, sendable(fragments))
            except RemoteProtocolError:
                return []
        return [BlockCompleted(OpaquePart(DIALECT, self.data))] if self.is_whole else []
