"""Chat Completions on the wire: server-sent events in, stream events out, and a request's body.

Source: OpenAI's API reference, "Chat Completions", objects ``chat.completion.chunk`` and ``chat.completion``, and what
the servers that imitate it send. Rules beside those of `core.dialects.wire`:

1. The answer is the choice with index 0; nobody asks for more than one.
2. ``finish_reason`` is the terminal event; ``[DONE]`` only ends the transport, and some servers omit it.
3. ``usage`` comes in a chunk of its own after the finish, if asked for by ``stream_options``. Nothing else counts
   after the finish, and nothing at all after ``[DONE]``: no text may follow the event that says "all".
4. Some servers report an error inside the stream as ``{"error": {...}}``, some by the name of the server-sent event,
   some as a reason to finish: then the answer is cut, whatever else the chunk says.
5. A call has no place that can be relied upon: some servers leave ``index`` out, some send 0 for each. So another id
   is another call, and so is a name where there is no index; the numbers that we give are our own.
6. Some servers refuse the next round unless they get back what they said with a call: Gemini its ``extra_content``,
   DeepSeek and Kimi the ``reasoning_content``. Both are kept as they came, in the order of their arrival. OpenRouter's
   ``reasoning_details`` are not: it does without.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import attrs
import msgspec

from triolet.core.conversation import Message, OpaquePart, ToolResultPart
from triolet.core.dialects.sse import ServerSentEvent
from triolet.core.dialects.wire import (
    WireDecoder,
    arguments_text,
    broken_off,
    decode_json,
    json_text,
    paired,
    result_text,
    sendable,
)
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
from triolet.core.ports import ModelRequest, ToolSpec
from triolet.errors import RemoteProtocolError

DIALECT = "openai-chat"


class _Function(msgspec.Struct):
    name: str | None = None
    arguments: str | dict[str, Any] | None = None


class _ToolCall(msgspec.Struct):
    index: int | None = None
    id: str | None = None
    function: _Function | None = None
    extra_content: dict[str, Any] | None = None


class _Text(msgspec.Struct):
    text: str | None = None


class _Part(msgspec.Struct):
    """A piece of a content that is a list, as Mistral sends it."""

    text: str | None = None
    thinking: str | list[_Text] | None = None


class _Delta(msgspec.Struct):
    content: str | list[_Part] | None = None
    refusal: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    tool_calls: list[_ToolCall] | None = None
    function_call: _Function | None = None


class _Choice(msgspec.Struct):
    index: int | None = None
    delta: _Delta | None = None
    message: _Delta | None = None
    finish_reason: str | None = None
    error: Any = None


class _PromptDetails(msgspec.Struct):
    cached_tokens: int | None = None
    cache_write_tokens: int | None = None


class _Usage(msgspec.Struct):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    prompt_tokens_details: _PromptDetails | None = None


class _Chunk(msgspec.Struct):
    choices: list[_Choice] | None = None
    usage: _Usage | None = None
    error: Any = None
    kind: Any = msgspec.field(default=None, name="object")
    message: Any = None


_CHUNK = msgspec.json.Decoder(_Chunk)

_FINISH: dict[str, FinishReason] = {
    "stop": "stop",
    "length": "length",
    "tool_calls": "tool_calls",
    "function_call": "tool_calls",
    "content_filter": "content_filter",
}
_BROKEN = frozenset({"error", "abort", "insufficient_system_resource"})
"""Reasons to finish that mean a cut: OpenRouter's, vLLM's, DeepSeek's."""


class OpenAIChatDecoder(WireDecoder):
    """Source and rules: above."""

    def __init__(self) -> None:
        super().__init__()
        self._calls = _Calls()
        self._reasoning: list[str] = []
        """What came as ``reasoning_content``, which may have been empty."""

    def _receive(self, event: ServerSentEvent) -> None:
        if event.data == b"[DONE]":
            self.done = True
            return
        chunk = decode_json(_CHUNK, event.data)
        if chunk.error is not None:
            raise broken_off(chunk.error)
        if event.name == b"error" or chunk.kind == "error":
            raise broken_off(chunk.message)
        for choice in chunk.choices or ():
            if not (choice.index or self.finished):
                self._take(choice, choice.delta, choice.finish_reason)
        if chunk.usage is not None:
            self._say(_usage(chunk.usage))

    def _take(self, choice: _Choice, said: _Delta | None, reason: str | None) -> None:
        if said is not None:
            self._hear(said)
        if reason in _BROKEN:
            raise broken_off(choice.error or reason)
        if reason:
            if self._calls.count and self._reasoning:
                self._say(BlockCompleted(OpaquePart(DIALECT, {"reasoning_content": "".join(self._reasoning)})))
            self.finished = True
            found = _FINISH.get(reason, "other")
            self._say(Finished("tool_calls" if found == "stop" and self._calls.count else found))

    def _hear(self, delta: _Delta) -> None:
        if delta.reasoning_content is not None:
            self._reasoning.append(delta.reasoning_content)
        content = delta.content
        thought, text = ("", content) if isinstance(content, str) else _split(content or ())
        if reasoning := (delta.reasoning_content or delta.reasoning or "") + thought:
            self._say(ReasoningDelta(reasoning))
        if text := text + (delta.refusal or ""):
            self._say(TextDelta(text))
        for call in delta.tool_calls or ():
            self._call(call)
        if delta.function_call is not None:  # what calls were before there could be several
            self._call(_ToolCall(index=0, function=delta.function_call))

    def _call(self, fragment: _ToolCall) -> None:
        for event in self._calls.receive(fragment):
            self._say(event)

    def answer(self, body: bytes) -> Batch:
        """What the whole body of an answer says that was not streamed."""
        chunk = decode_json(_CHUNK, body)
        if chunk.error is not None:
            raise broken_off(chunk.error)
        choice = next((choice for choice in chunk.choices or () if not choice.index), None)
        if choice is None:
            raise RemoteProtocolError("the provider sent an answer that holds none: it has no choice of index 0")
        if chunk.usage is not None:
            self._say(_usage(chunk.usage))
        # Nothing can be missing from what came in one piece, even if no reason is given.
        self._take(choice, choice.message, choice.finish_reason or "other")
        return tuple(self._said)


def decode_answer(body: bytes) -> Batch:
    """The events of an answer that was not streamed, `Finished` included.

    Raises:
        ProviderUnavailable: the body reports an error.
        RemoteProtocolError: it is no answer.
    """
    return OpenAIChatDecoder().answer(body)


def _split(content: Sequence[_Part]) -> tuple[str, str]:
    """What of a content is thought, and what is text."""
    return "".join(_thought(part.thinking) for part in content), "".join(part.text or "" for part in content)


def _thought(thinking: str | list[_Text] | None) -> str:
    return thinking if isinstance(thinking, str) else "".join(piece.text or "" for piece in thinking or ())


def _usage(usage: _Usage) -> UsageReported:
    details = usage.prompt_tokens_details or _PromptDetails()
    cached, written = details.cached_tokens or 0, details.cache_write_tokens or 0
    return UsageReported(usage.prompt_tokens or 0, usage.completion_tokens or 0, cached, written)


# Calls


@attrs.define(eq=False)
class _Call:
    """A call that has begun: our number for it, and what is known of it."""

    number: int
    call_id: str = ""
    name: str = ""


class _Calls:
    """Tells the calls of a round apart (rule 5)."""

    def __init__(self) -> None:
        self.count = 0
        self._latest: dict[int | None, _Call] = {}
        """By the server's index; that of None is the newest of all."""
        self._known: dict[tuple[int | None, str], _Call] = {}

    def receive(self, fragment: _ToolCall) -> Iterator[StreamEvent]:
        function = fragment.function or _Function()
        given = function.arguments
        arguments = given if isinstance(given, str) else "" if given is None else json_text(given)
        call = self._call(fragment.index, fragment.id or "", function.name or "")
        call_id, name = "" if call.call_id else fragment.id or "", "" if call.name else function.name or ""
        call.call_id, call.name = call.call_id or call_id, call.name or name
        self._latest[fragment.index] = self._latest[None] = self._known[fragment.index, call.call_id] = call
        yield ToolCallDelta(call.number, call_id, name, arguments)
        if fragment.extra_content and call.call_id:
            data = {"call_id": call.call_id, "extra_content": fragment.extra_content}
            yield BlockCompleted(OpaquePart(DIALECT, data))

    def _call(self, index: int | None, call_id: str, name: str) -> _Call:
        """The call that a fragment belongs to; a new one if it is none of those before."""
        if call_id and (index, call_id) in self._known:
            return self._known[index, call_id]
        call = self._latest.get(index)
        if call is None or (call_id and call.call_id not in {"", call_id}) or (index is None and name and not call_id):
            call = _Call(self.count)
            self.count += 1
        return call


# Requests


def render_request(request: ModelRequest) -> dict[str, Any]:
    """The body of a request but for the model, its limits and ``stream``.

    Messages are as the strictest servers want them: none without text, roles in turn, calls with their results.
    """
    prompt = [{"role": "system", "content": sendable(request.system_prompt)}] if request.system_prompt else []
    body: dict[str, Any] = {"messages": prompt + _rendered(request.messages)}
    if request.tools:
        body["tools"] = [_tool(spec) for spec in request.tools]
        if not request.may_call:
            body["tool_choice"] = "none"
    return body


def _rendered(messages: Sequence[Message]) -> list[dict[str, Any]]:
    rendered: list[dict[str, Any]] = []
    for message in paired(messages):
        if message.role == "tool":
            rendered += [_result(part) for part in message.parts if isinstance(part, ToolResultPart)]
        elif message.text or message.calls:
            said = _said(message)
            # Two of a user's in a row, because the first got no answer, become one.
            if rendered and rendered[-1]["role"] == said["role"]:
                texts = (rendered.pop()["content"], said["content"])
                said["content"] = "\n\n".join(text for text in texts if text)
            rendered.append(said)
    return rendered


def _result(result: ToolResultPart) -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": sendable(result.call_id), "content": result_text(result)}


def _said(message: Message) -> dict[str, Any]:
    said: dict[str, Any] = {"role": message.role, "content": sendable(message.text) or None}
    if not message.calls:
        return said
    kept = [part.data for part in message.parts if isinstance(part, OpaquePart) and part.dialect == DIALECT]
    extras = {data["call_id"]: {"extra_content": data["extra_content"]} for data in kept if "extra_content" in data}
    said["tool_calls"] = [
        {
            "id": sendable(call.call_id),
            "type": "function",
            "function": {"name": sendable(call.name), "arguments": arguments_text(call)},
            **extras.get(call.call_id, {}),
        }
        for call in message.calls
    ]
    for data in kept:
        if "reasoning_content" in data:
            said["reasoning_content"] = data["reasoning_content"]
    return said


def _tool(spec: ToolSpec) -> dict[str, Any]:
    function = {"name": spec.name, "description": sendable(spec.description), "parameters": dict(spec.parameters)}
    return {"type": "function", "function": function}
