"""Responses on the wire: server-sent events in, stream events out, and a request's body.

Source: OpenAI's API reference, "Responses", its streaming events, and what llama.cpp, vLLM and others make of it.
Rules beside those of `core.dialects.wire`:

1. An answer is a list of items: messages, calls, reasoning. A second message is a paragraph of its own.
2. ``done`` events and the terminal one repeat what the deltas gave. Where they say something else they are right, and
   the whole is given again; where they say nothing they are no news.
3. After a reconnect a server may repeat events: one whose ``sequence_number`` was passed is ignored, and an item that
   is added again is written again from its beginning, of which nothing is given twice. Numbers below 1 tell nothing:
   some servers send the same in each event.
4. Nothing is stored at the server, so reasoning that a call follows goes back with it, if it came encrypted: nothing
   else can be read there. Without the call it would be refused.
5. What ends a response says how: a failed one is cut, an incomplete one reached a limit or was filtered.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from triolet.core.conversation import Message, OpaquePart, TextPart, ToolCallPart, ToolResultPart
from triolet.core.dialects.openai_items import KINDS, Entry, Item, Items, arguments_of, parse_item, words_of
from triolet.core.dialects.sse import ServerSentEvent
from triolet.core.dialects.wire import (
    WireDecoder,
    arguments_text,
    broken_off,
    decode_json,
    paired,
    result_text,
    sendable,
)
from triolet.core.events import (
    Batch,
    BlockCompleted,
    Finished,
    ReasoningDelta,
    TextCompleted,
    TextDelta,
    ToolCallCompleted,
    ToolCallDelta,
    UsageReported,
)
from triolet.core.ports import ModelRequest, ToolSpec
from triolet.errors import RemoteProtocolError

DIALECT = "openai-responses"


class _InputDetails(msgspec.Struct):
    cached_tokens: int | None = None
    cache_write_tokens: int | None = None


class _Usage(msgspec.Struct):
    input_tokens: int | None = None
    output_tokens: int | None = None
    input_tokens_details: _InputDetails | None = None


class _Incomplete(msgspec.Struct):
    reason: str | None = None


class _Response(msgspec.Struct):
    status: str | None = None
    output: list[dict[str, Any]] | None = None
    usage: _Usage | None = None
    error: Any = None
    incomplete_details: _Incomplete | None = None


class _Head(msgspec.Struct):
    type: Any = None
    sequence_number: Any = None
    error: Any = None
    message: Any = None
    code: Any = None


class _Event(_Head):
    item_id: str | None = None
    output_index: int | None = None
    content_index: int | None = None
    summary_index: int | None = None
    delta: str | None = None
    text: str | None = None
    refusal: str | None = None
    arguments: str | dict[str, Any] | None = None
    item: dict[str, Any] | None = None
    response: _Response | None = None


_HEAD = msgspec.json.Decoder(_Head)
_EVENT = msgspec.json.Decoder(_Event)
_ANSWER = msgspec.json.Decoder(_Response)

_ENDS = frozenset({"completed", "incomplete", "failed", "cancelled"})
_TEXTS = {f"{part}.{step}": part for part in ("output_text", "refusal") for step in ("delta", "done")}
"""The part of a message that an event is about."""
_KNOWN = _ENDS | {
    *("output_item.added", "output_item.done", *_TEXTS),
    *("reasoning_summary_text.delta", "reasoning_text.delta"),
    *("function_call_arguments.delta", "function_call_arguments.done"),
}
"""The events that count, less the ``response.`` before them."""


class OpenAIResponsesDecoder(WireDecoder):
    """Source and rules: above."""

    def __init__(self) -> None:
        super().__init__()
        self._last_number = 0
        self._items = Items()
        self._shown: list[str] = []
        """The text that was given."""
        self._has_thought = False

    def _receive(self, event: ServerSentEvent) -> None:
        if event.data == b"[DONE]":
            self.done = True
            return
        try:
            head: _Head = decode_json(_EVENT, event.data)
        except RemoteProtocolError:  # one that does not count may mean other things by the same names
            head = decode_json(_HEAD, event.data)
        kind = head.type if isinstance(head.type, str) else event.name.decode("utf-8", "replace")
        if kind == "error" or (head.error is not None and not kind.startswith("response.")):
            raise broken_off(head.error or {"message": head.message, "code": head.code})
        kind = kind.removeprefix("response.")
        if not self._is_repeated(head.sequence_number) and kind in _KNOWN:
            self._event(kind, head if isinstance(head, _Event) else decode_json(_EVENT, event.data))

    def _is_repeated(self, number: object) -> bool:
        if not isinstance(number, int) or number < 1:
            return False
        if number <= self._last_number:
            return True
        self._last_number = number
        return False

    def _event(self, kind: str, event: _Event) -> None:
        if part := _TEXTS.get(kind):
            entry, key = self._items.entry("message", event.item_id, event.output_index), (part, event.content_index)
            self._text(entry, key, event.delta or "")
            if whole := event.text or event.refusal:
                entry.settle(whole, key)
                self._compared()
        elif kind in _ENDS:
            self._end(event.response or _Response(), kind)
        elif kind in {"output_item.added", "output_item.done"}:
            if event.item is not None:
                self._item(event.item, event.output_index, is_new=kind == "output_item.added")
        elif kind.startswith("reasoning"):
            entry = self._items.entry("reasoning", event.item_id, event.output_index)
            self._thought(entry, (kind, event.summary_index, event.content_index), event.delta or "")
        else:
            entry = self._items.entry("function_call", event.item_id, event.output_index)
            if new := entry.part(None).write(event.delta or ""):
                self._say(ToolCallDelta(entry.number, "", "", new))
            if event.arguments:
                self._call_done(entry, Item(arguments=event.arguments))

    def _item(self, raw: dict[str, Any], index: int | None, *, is_new: bool) -> None:
        kind = KINDS.get(str(raw.get("type")))
        if kind is None:
            return
        item = parse_item(raw)
        entry = self._items.placed(kind, item, index, is_new=is_new)
        if kind == "function_call":
            self._call_begun(entry, item) if is_new else self._call_done(entry, item)
        elif not is_new:
            self._message_done(entry, item) if kind == "message" else self._reasoning_done(entry, item, raw)

    # Text

    def _text(self, entry: Entry, key: object, delta: str) -> None:
        is_first = not entry.parts
        if delta and (new := entry.part(key).write(delta)):
            text = "\n\n" + new if is_first and self._shown else new
            self._shown.append(text)
            self._say(TextDelta(text))

    def _message_done(self, entry: Entry, item: Item) -> None:
        whole = words_of(item.content)
        if whole and not entry.parts:
            self._text(entry, ("output_text", 0), whole)
        elif whole:
            entry.settle(whole)
            self._compared()

    def _compared(self, whole: str = "") -> None:
        """The whole text, if it is not what was given."""
        texts = [entry.text for entry in self._items.entries if entry.kind == "message"]
        whole = whole or "\n\n".join(filter(None, texts))
        if sendable(whole) != sendable("".join(self._shown)):
            self._shown = [whole]
            self._say(TextCompleted(whole))

    # Reasoning

    def _thought(self, entry: Entry, key: object, delta: str) -> None:
        is_first = key not in entry.parts
        if new := entry.part(key).write(delta):
            self._say(ReasoningDelta("\n\n" + new if is_first and self._has_thought else new))
            self._has_thought = True

    def _reasoning_done(self, entry: Entry, item: Item, raw: dict[str, Any]) -> None:
        if not entry.parts:
            for place, piece in enumerate([*(item.summary or ()), *(item.content or ())]):
                self._thought(entry, place, piece.words)
        if item.encrypted_content and not entry.block_given:
            entry.block_given = True
            self._say(BlockCompleted(OpaquePart(DIALECT, raw)))

    # Calls

    def _call_begun(self, entry: Entry, item: Item) -> None:
        call_id, name = entry.call_id, entry.name
        entry.call_id = call_id or item.call_id or item.id or ""
        entry.name = name or item.name or ""
        new = entry.part(None).write(arguments_of(item))
        if new or (entry.call_id, entry.name) != (call_id, name):
            self._say(ToolCallDelta(entry.number, "" if call_id else entry.call_id, "" if name else entry.name, new))

    def _call_done(self, entry: Entry, item: Item) -> None:
        if not (entry.call_id or entry.name or entry.parts):
            self._call_begun(entry, item)
            return
        given = (item.call_id or entry.call_id, item.name or entry.name, arguments_of(item) or entry.text)
        if given != (entry.call_id, entry.name, entry.text):
            entry.call_id, entry.name, arguments = given
            entry.settle(arguments)
            self._say(ToolCallCompleted(entry.number, *given))

    # The end

    def _end(self, response: _Response, kind: str) -> None:
        output = response.output or []
        texts = [words_of(parse_item(raw).content) for raw in output if raw.get("type") == "message"]
        if whole := "\n\n".join(filter(None, texts)):
            self._compared(whole)
        for raw in output:
            if raw.get("type") == "function_call" and (raw.get("call_id") or raw.get("id")):
                self._item(raw, None, is_new=False)
        self._finish(response, kind)

    def _finish(self, response: _Response, kind: str) -> None:
        if response.usage is not None:
            self._say(_usage(response.usage))
        # A server that says "completed" of whatever ends may know better inside.
        status = response.status if response.status in _ENDS else kind
        if status == "completed":
            called = any(entry.name for entry in self._items.entries)
            self._say(Finished("tool_calls" if called else "stop"))
        elif status == "incomplete":
            details = response.incomplete_details or _Incomplete()
            self._say(Finished("content_filter" if details.reason == "content_filter" else "length"))
        else:
            raise broken_off(response.error or status)
        self.finished = self.done = True

    def answer(self, body: bytes) -> Batch:
        """What the whole body of an answer says that was not streamed."""
        response = decode_json(_ANSWER, body)
        if response.error is not None:
            raise broken_off(response.error)
        if response.output is None:
            raise RemoteProtocolError("the provider sent an answer that holds none: it has no output")
        for place, raw in enumerate(response.output):
            self._item(raw, place, is_new=False)
        self._finish(response, response.status or "completed")
        return tuple(self._said)


def decode_answer(body: bytes) -> Batch:
    """The events of an answer that was not streamed, `Finished` included.

    Raises:
        ProviderUnavailable: the body reports an error.
        RemoteProtocolError: it is no answer.
    """
    return OpenAIResponsesDecoder().answer(body)


def _usage(usage: _Usage) -> UsageReported:
    details = usage.input_tokens_details or _InputDetails()
    cached, written = details.cached_tokens or 0, details.cache_write_tokens or 0
    return UsageReported(usage.input_tokens or 0, usage.output_tokens or 0, cached, written)


# Requests


def render_request(request: ModelRequest) -> dict[str, Any]:
    """The body of a request but for the model, its limits, ``stream``, ``store`` and ``include``."""
    body: dict[str, Any] = {"input": _rendered(request.messages)}
    if request.system_prompt:
        body["instructions"] = sendable(request.system_prompt)
    if request.tools:
        body["tools"] = [_tool(spec) for spec in request.tools]
        if not request.may_call:
            body["tool_choice"] = "none"
    return body


def _rendered(messages: Sequence[Message]) -> list[dict[str, Any]]:
    rendered: list[dict[str, Any]] = []
    for message in paired(messages):
        calls_left = len(message.calls)
        is_new = True
        for part in message.parts:
            if isinstance(part, TextPart) and part.text:
                _add_text(rendered, message.role, sendable(part.text), "\n\n" if is_new else "")
                is_new = False
            elif isinstance(part, OpaquePart) and part.dialect == DIALECT and calls_left:
                rendered.append(part.data)
            elif isinstance(part, ToolCallPart):
                calls_left -= 1
                rendered.append(_call(part))
            elif isinstance(part, ToolResultPart) and message.role == "tool":
                rendered.append(_result(part))
    return rendered


def _add_text(rendered: list[dict[str, Any]], role: str, text: str, separator: str) -> None:
    """Two messages of one role in a row become one: the first of two questions got no answer."""
    if rendered and rendered[-1].get("role") == role:
        text = rendered.pop()["content"] + separator + text
    # OpenAI's server does without the type, llama.cpp's takes an assistant's message for nothing then.
    rendered.append({"type": "message", "role": role, "content": text})


def _call(call: ToolCallPart) -> dict[str, Any]:
    names = {"call_id": sendable(call.call_id), "name": sendable(call.name)}
    return {"type": "function_call", **names, "arguments": arguments_text(call)}


def _result(result: ToolResultPart) -> dict[str, Any]:
    return {"type": "function_call_output", "call_id": sendable(result.call_id), "output": result_text(result)}


def _tool(spec: ToolSpec) -> dict[str, Any]:
    """Not strict: that takes only some of the schemas that tools come with."""
    names = {"name": spec.name, "description": sendable(spec.description)}
    return {"type": "function", **names, "parameters": dict(spec.parameters), "strict": False}
