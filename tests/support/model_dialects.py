"""The three dialects of `model_server`, from the server's side: what a request may hold, and how a story is told.

A `Teller` tells one answer: `tell` gives the bytes for an event of `core.events`, with all that the real server sends
around it (items, blocks, indices, pings); `end` gives the rest; `whole` is the same answer for a request without
``stream``. A `Dialect`'s ``objection`` names the first field that its server would not take.

Sources: the API references of Chat Completions, Responses (OpenAI) and Messages (Anthropic), and their SDKs' types.
"""

from __future__ import annotations

import json
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, Literal, TypeAlias

import attrs

from triolet.core.events import (
    Finished,
    FinishReason,
    ReasoningDelta,
    TextDelta,
    ToolCallDelta,
    TurnEvent,
    UsageReported,
)

Event: TypeAlias = dict[str, Any]


@attrs.define
class Block:
    """A stretch of an answer: text, thoughts, or one call with its arguments."""

    kind: Literal["text", "thinking", "call"]
    content: str = ""
    index: int = 0
    call_id: str = ""
    name: str = ""


class Teller(ABC):
    """Tells one answer; what was told so far is in ``blocks``."""

    def __init__(self) -> None:
        self.blocks: list[Block] = []
        self.tokens: tuple[int, int] | None = None
        self._began = False

    def tell(self, event: TurnEvent) -> bytes:
        """The bytes for an event; usage and the finish are told by `end`."""
        if isinstance(event, UsageReported):
            self.tokens = (event.input_tokens, event.output_tokens)
            return b""
        told = self._begin() + self._turn_to(event)
        block = self.blocks[-1]
        more = event.arguments if isinstance(event, ToolCallDelta) else _text_of(event)
        block.content += more
        return _wire([*told, *(self._more(block, more) if more else ())], named=self.named)

    def end(self, reason: FinishReason) -> bytes:
        told = self._begin() + ([*self._close(self.blocks[-1])] if self.blocks else [])
        return _wire([*told, *self._end(reason)], named=self.named) + self.last

    def _begin(self) -> list[Event]:
        began, self._began = self._began, True
        return [] if began else self._start()

    def _turn_to(self, event: TurnEvent) -> list[Event]:
        """Close the block that is open, and open another, if the event belongs to another."""
        wanted = _block_for(event)
        if self.blocks and (self.blocks[-1].kind, self.blocks[-1].index) == (wanted.kind, wanted.index):
            return []
        closed = [*self._close(self.blocks[-1])] if self.blocks else []
        self.blocks.append(wanted)
        return [*closed, *self._open(wanted)]

    named = False
    """Whether events have names of their own."""
    last = b""
    """What ends the transport."""

    @abstractmethod
    def _start(self) -> list[Event]: ...

    @abstractmethod
    def _open(self, block: Block) -> list[Event]: ...

    @abstractmethod
    def _more(self, block: Block, text: str) -> list[Event]: ...

    @abstractmethod
    def _close(self, block: Block) -> list[Event]: ...

    @abstractmethod
    def _end(self, reason: FinishReason) -> list[Event]: ...

    @abstractmethod
    def whole(self, reason: FinishReason) -> Event:
        """The answer in one piece."""

    def _texts(self) -> str:
        return "".join(block.content for block in self.blocks if block.kind == "text")


def _text_of(event: TurnEvent) -> str:
    assert isinstance(event, TextDelta | ReasoningDelta), "what a provider says; tools are run by others"
    return event.text


def _block_for(event: TurnEvent) -> Block:
    if isinstance(event, ToolCallDelta):
        return Block("call", index=event.index, call_id=event.call_id, name=event.name)
    assert not isinstance(event, Finished), "told by `end`"
    return Block("thinking" if isinstance(event, ReasoningDelta) else "text", index=-1)


def _wire(events: list[Event], *, named: bool) -> bytes:
    return b"".join(sse(event, event["type"] if named else "") for event in events)


def sse(payload: Any, name: str = "") -> bytes:
    """One server-sent event; text goes out as it is, anything else as JSON."""
    text = payload if isinstance(payload, str) else json.dumps(payload, ensure_ascii=False)
    head = f"event: {name}\n" if name else ""
    return f"{head}data: {text}\n\n".encode()


# Chat Completions


class ChatTeller(Teller):
    """Chunks with one choice, the usage in one without any, and ``[DONE]``."""

    last = sse("[DONE]")

    def _start(self) -> list[Event]:
        return [self._chunk({"role": "assistant", "content": ""})]

    def _open(self, block: Block) -> list[Event]:
        if block.kind != "call":
            return []
        function = {"name": block.name, "arguments": ""}
        call = {"index": block.index, "id": block.call_id, "type": "function", "function": function}
        return [self._chunk({"tool_calls": [call]})]

    def _more(self, block: Block, text: str) -> list[Event]:
        if block.kind == "call":
            return [self._chunk({"tool_calls": [{"index": block.index, "function": {"arguments": text}}]})]
        return [self._chunk({"content" if block.kind == "text" else "reasoning_content": text})]

    def _close(self, block: Block) -> list[Event]:
        return []

    def _end(self, reason: FinishReason) -> list[Event]:
        usage = {**self._chunk({}), "choices": [], "usage": self._usage()}
        return [self._chunk({}, reason), *([usage] if self.tokens else [])]

    def whole(self, reason: FinishReason) -> Event:
        calls = [
            {"id": block.call_id, "type": "function", "function": {"name": block.name, "arguments": block.content}}
            for block in self.blocks
            if block.kind == "call"
        ]
        thoughts = "".join(block.content for block in self.blocks if block.kind == "thinking")
        message = {"role": "assistant", "content": self._texts() or None, "reasoning_content": thoughts or None}
        choice = {"index": 0, "message": message | ({"tool_calls": calls} if calls else {}), "finish_reason": reason}
        return {"id": "chatcmpl-1", "object": "chat.completion", "choices": [choice], "usage": self._usage()}

    def _usage(self) -> Event | None:
        if self.tokens is None:
            return None
        prompt, completion = self.tokens
        return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}

    def _chunk(self, delta: Event, finish_reason: str | None = None) -> Event:
        choice = {"index": 0, "delta": delta, "finish_reason": finish_reason}
        head = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "test"}
        return {**head, "choices": [choice]}


# Responses


class ResponsesTeller(Teller):
    """Numbered events of items that are added, grow and are done; the last one holds the whole response."""

    named = True

    def __init__(self) -> None:
        super().__init__()
        self._number = 0

    def _start(self) -> list[Event]:
        response = {**self._response("in_progress"), "output": []}
        return [
            self._event("response.created", response=response),
            self._event("response.in_progress", response=response),
        ]

    def _open(self, block: Block) -> list[Event]:
        empty = attrs.evolve(block, content="")
        added = self._event("response.output_item.added", **self._place(), item=self._item(empty, done=False))
        if block.kind == "call":
            return [added]
        if block.kind == "text":
            return [added, self._event("response.content_part.added", **self._part(), part=self._text_part(""))]
        summary = {"type": "summary_text", "text": ""}
        return [added, self._event("response.reasoning_summary_part.added", **self._summary(), part=summary)]

    def _more(self, block: Block, text: str) -> list[Event]:
        if block.kind == "call":
            return [self._event("response.function_call_arguments.delta", **self._place(), **self._id(), delta=text)]
        if block.kind == "text":
            return [self._event("response.output_text.delta", **self._part(), delta=text, logprobs=[])]
        return [self._event("response.reasoning_summary_text.delta", **self._summary(), delta=text)]

    def _close(self, block: Block) -> list[Event]:
        done = self._event("response.output_item.done", **self._place(), item=self._item(block, done=True))
        if block.kind == "call":
            given = {"name": block.name, "arguments": block.content}
            return [self._event("response.function_call_arguments.done", **self._place(), **self._id(), **given), done]
        if block.kind == "text":
            part = self._text_part(block.content)
            return [
                self._event("response.output_text.done", **self._part(), text=block.content, logprobs=[]),
                self._event("response.content_part.done", **self._part(), part=part),
                done,
            ]
        summary = {"type": "summary_text", "text": block.content}
        return [
            self._event("response.reasoning_summary_text.done", **self._summary(), text=block.content),
            self._event("response.reasoning_summary_part.done", **self._summary(), part=summary),
            done,
        ]

    def _end(self, reason: FinishReason) -> list[Event]:
        whole = self.whole(reason)
        return [self._event(f"response.{whole['status']}", response=whole)]

    def whole(self, reason: FinishReason) -> Event:
        why = {"length": "max_output_tokens", "content_filter": "content_filter"}.get(reason)
        response = self._response("incomplete" if why else "completed")
        return {**response, "incomplete_details": {"reason": why} if why else None}

    def _response(self, status: str) -> Event:
        output = [self._item(block, done=True, at=at) for at, block in enumerate(self.blocks)]
        head = {"id": "resp_1", "object": "response", "created_at": 1, "status": status, "error": None, "model": "test"}
        return {**head, "output": output, "usage": self._usage() if status != "in_progress" else None, "store": False}

    def _usage(self) -> Event | None:
        if self.tokens is None:
            return None
        given, made = self.tokens
        return {
            "input_tokens": given,
            "input_tokens_details": {"cached_tokens": 0},
            "output_tokens": made,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": given + made,
        }

    def _item(self, block: Block, *, done: bool, at: int | None = None) -> Event:
        place = len(self.blocks) - 1 if at is None else at
        status = "completed" if done else "in_progress"
        if block.kind == "call":
            call = {"call_id": block.call_id, "name": block.name, "arguments": block.content}
            return {"id": f"item_{place}", "type": "function_call", "status": status, **call}
        if block.kind == "text":
            content = [self._text_part(block.content)] if done else []
            return {"id": f"item_{place}", "type": "message", "status": status, "role": "assistant", "content": content}
        summary = [{"type": "summary_text", "text": block.content}] if done else []
        return {"id": f"item_{place}", "type": "reasoning", "summary": summary, "encrypted_content": "sealed"}

    def _text_part(self, text: str) -> Event:
        return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}

    def _place(self) -> Event:
        return {"output_index": len(self.blocks) - 1}

    def _id(self) -> Event:
        return {"item_id": f"item_{len(self.blocks) - 1}"}

    def _part(self) -> Event:
        return {**self._place(), **self._id(), "content_index": 0}

    def _summary(self) -> Event:
        return {**self._place(), **self._id(), "summary_index": 0}

    def _event(self, kind: str, **fields: Any) -> Event:
        self._number += 1
        return {"type": kind, "sequence_number": self._number - 1, **fields}


# Messages

_STOP: dict[FinishReason, str] = {
    "stop": "end_turn",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "content_filter": "refusal",
}


class MessagesTeller(Teller):
    """Blocks that start, grow and stop within one message; a ping now and then."""

    named = True

    def _start(self) -> list[Event]:
        message = {**self._message(), "content": [], "usage": {"input_tokens": 5, "output_tokens": 1}}
        return [{"type": "message_start", "message": message}, {"type": "ping"}]

    def _open(self, block: Block) -> list[Event]:
        kinds: dict[str, Event] = {
            "text": {"type": "text", "text": ""},
            "thinking": {"type": "thinking", "thinking": "", "signature": ""},
            "call": {"type": "tool_use", "id": block.call_id, "name": block.name, "input": {}},
        }
        empty = kinds[block.kind]
        return [{"type": "content_block_start", **self._place(), "content_block": empty}, {"type": "ping"}]

    def _more(self, block: Block, text: str) -> list[Event]:
        delta = {
            "text": {"type": "text_delta", "text": text},
            "thinking": {"type": "thinking_delta", "thinking": text},
            "call": {"type": "input_json_delta", "partial_json": text},
        }[block.kind]
        return [{"type": "content_block_delta", **self._place(), "delta": delta}]

    def _close(self, block: Block) -> list[Event]:
        signed = {"type": "signature_delta", "signature": "signed"}
        signature: Event = {"type": "content_block_delta", **self._place(), "delta": signed}
        stop: Event = {"type": "content_block_stop", **self._place()}
        return [signature, stop] if block.kind == "thinking" else [stop]

    def _end(self, reason: FinishReason) -> list[Event]:
        given, made = self.tokens or (5, 2)
        usage = {"input_tokens": given, "output_tokens": made}
        delta = {"stop_reason": _STOP[reason], "stop_sequence": None}
        return [{"type": "message_delta", "delta": delta, "usage": usage}, {"type": "message_stop"}]

    def whole(self, reason: FinishReason) -> Event:
        given, made = self.tokens or (5, 2)
        usage = {"input_tokens": given, "output_tokens": made}
        return {**self._message(), "stop_reason": _STOP[reason], "usage": usage}

    def _place(self) -> Event:
        return {"index": len(self.blocks) - 1}

    def _message(self) -> Event:
        head = {"id": "msg_1", "type": "message", "role": "assistant", "model": "test"}
        content = [self._block(block) for block in self.blocks]
        return {**head, "content": content, "stop_reason": None, "stop_sequence": None}

    def _block(self, block: Block) -> Event:
        if block.kind == "call":
            arguments = json.loads(block.content or "{}")
            return {"type": "tool_use", "id": block.call_id, "name": block.name, "input": arguments}
        if block.kind == "thinking":
            return {"type": "thinking", "thinking": block.content, "signature": "signed"}
        return {"type": "text", "text": block.content}


# What a request may hold

Check: TypeAlias = Callable[[Any], bool]

_TOOL_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")


def _is_text(value: Any) -> bool:
    """Some servers refuse empty text, so it is refused here."""
    return isinstance(value, str) and bool(value)


def _is_object(value: Any, needed: set[str], allowed: set[str] | None = None) -> bool:
    return isinstance(value, dict) and needed <= value.keys() <= needed | (allowed or set())


def _is_limit(value: Any) -> bool:
    return type(value) is int and value > 0


def _is_effort(value: Any) -> bool:
    return value in {"low", "medium", "high"}


def _is_json_object(value: Any) -> bool:
    if not isinstance(value, str):
        return False
    try:
        return isinstance(json.loads(value), dict)
    except ValueError:
        return False


def _is_schema(value: Any) -> bool:
    """A JSON schema for the arguments of a tool, as strict as the strictest of the three."""
    return isinstance(value, dict) and value.get("type") == "object" and isinstance(value.get("properties", {}), dict)


def _is_function(value: Any, schema: str) -> bool:
    known = _is_object(value, {"name", schema}, {"description"}) and isinstance(value["name"], str)
    return (
        known
        and _TOOL_NAME.fullmatch(value["name"]) is not None
        and isinstance(value.get("description", ""), str)
        and _is_schema(value[schema])
    )


def _all(check: Check) -> Check:
    return lambda value: isinstance(value, list) and bool(value) and all(map(check, value))


def _is_chat_message(message: Any) -> bool:
    role = message.get("role") if isinstance(message, dict) else None
    if role == "tool":
        return _is_object(message, {"role", "content", "tool_call_id"}) and _is_text(message["tool_call_id"])
    if role == "assistant" and "tool_calls" in message:
        content = message.get("content")
        known = _is_object(message, {"role", "tool_calls"}, {"content"})
        return known and (content is None or _is_text(content)) and _all(_is_chat_call)(message["tool_calls"])
    known = _is_object(message, {"role", "content"}) and _is_text(message["content"])
    return known and role in {"system", "developer", "user", "assistant"}


def _is_chat_call(call: Any) -> bool:
    if not _is_object(call, {"id", "type", "function"}) or call["type"] != "function" or not _is_text(call["id"]):
        return False
    function = call["function"]
    return _is_object(function, {"name", "arguments"}) and _is_json_object(function["arguments"])


def _are_chat_messages(messages: Any) -> bool:
    """Each call's results stand right behind it, all of them and no others."""
    if not _all(_is_chat_message)(messages):
        return False
    waiting: set[str] = set()
    for message in messages:
        if message["role"] == "tool":
            if message["tool_call_id"] not in waiting:
                return False
            waiting.remove(message["tool_call_id"])
            continue
        if waiting:
            return False
        waiting = {call["id"] for call in message.get("tool_calls", ())}
    return not waiting


def _is_input_item(item: Any) -> bool:
    kind = item.get("type", "message") if isinstance(item, dict) else None
    if kind == "message":
        known = _is_object(item, {"role", "content"}, {"type"}) and _is_text(item["content"])
        return known and item["role"] in {"system", "developer", "user", "assistant"}
    if kind == "function_call":
        return _is_object(item, {"type", "call_id", "name", "arguments"}) and _is_json_object(item["arguments"])
    if kind == "function_call_output":
        return _is_object(item, {"type", "call_id", "output"}) and isinstance(item["output"], str)
    return _is_object(item, {"type", "summary", "encrypted_content"}, {"id", "status"}) and kind == "reasoning"


def _are_input_items(items: Any) -> bool:
    if not _all(_is_input_item)(items):
        return False
    calls = [item["call_id"] for item in items if item.get("type") == "function_call"]
    outputs = [item["call_id"] for item in items if item.get("type") == "function_call_output"]
    return sorted(calls) == sorted(outputs) and len(set(calls)) == len(calls)


def _is_block(block: Any) -> bool:
    kind = block.get("type") if isinstance(block, dict) else None
    if kind == "text":
        return _is_object(block, {"type", "text"}) and _is_text(block["text"]) and bool(block["text"].strip())
    if kind == "tool_use":
        return _is_object(block, {"type", "id", "name", "input"}) and isinstance(block["input"], dict)
    if kind == "tool_result":
        return _is_object(block, {"type", "tool_use_id", "content"}, {"is_error"})
    if kind == "thinking":
        return _is_object(block, {"type", "thinking", "signature"})
    return kind == "redacted_thinking" and _is_object(block, {"type", "data"})


def _is_turn(message: Any) -> bool:
    if not _is_object(message, {"role", "content"}):
        return False
    return _is_text(message["content"]) or _all(_is_block)(message["content"])


def _are_turns(messages: Any) -> bool:
    """From the user, in turn; results first, for all calls of the turn before; no prefill with a space at its end."""
    if not _all(_is_turn)(messages):
        return False
    if any(message["role"] != ("user", "assistant")[at % 2] for at, message in enumerate(messages)):
        return False
    blocks = [_blocks(message) for message in messages]
    called = [[block["id"] for block in turn if block["type"] == "tool_use"] for turn in blocks]
    results = [[block["tool_use_id"] for block in turn if block["type"] == "tool_result"] for turn in blocks]
    for before, after, turn in zip([[], *called], [*results, []], [*blocks, []], strict=True):
        leading = [block["type"] for block in turn[: len(after)]]
        if sorted(before) != sorted(after) or set(leading) - {"tool_result"}:
            return False
    last = blocks[-1][-1]
    return messages[-1]["role"] == "user" or last["type"] != "text" or not last["text"][-1].isspace()


def _blocks(message: Event) -> list[Event]:
    content = message["content"]
    return [{"type": "text", "text": content}] if isinstance(content, str) else content


def _is_chat_tool(tool: Any) -> bool:
    known = _is_object(tool, {"type", "function"}) and tool["type"] == "function"
    return known and _is_function(tool["function"], "parameters")


def _is_responses_tool(tool: Any) -> bool:
    known = isinstance(tool, dict) and tool.get("type") == "function" and tool.get("strict") is False
    return known and _is_function({k: v for k, v in tool.items() if k not in {"type", "strict"}}, "parameters")


def _equals(expected: Any) -> Check:
    return lambda value: bool(value == expected)


def _is_bool(value: Any) -> bool:
    return isinstance(value, bool)


# The dialects


@attrs.frozen
class Dialect:
    """One API: ``fields`` are what a request may hold, ``needed`` what it must."""

    name: str
    """As the settings name it."""
    path: str
    """Of the request, behind the server's address."""
    base: str
    """What ``base_url`` has behind the server's address."""
    teller: Callable[[], Teller]
    needed: set[str]
    fields: Mapping[str, Check]
    headers: Mapping[str, re.Pattern[str]] = attrs.field(factory=dict)

    def objection(self, body: Any, headers: Mapping[str, str]) -> str:
        """What is wrong with a request, or nothing."""
        if headers.get("content-type") != "application/json" or not isinstance(body, dict):
            return "the body is not a JSON object"
        for name, pattern in self.headers.items():
            if not pattern.fullmatch(headers.get(name, "")):
                return f"the header {name} is missing or wrong"
        if missing := self.needed - body.keys():
            return f"missing: {', '.join(sorted(missing))}"
        if {"max_tokens", "max_completion_tokens"} <= body.keys():
            return "max_tokens and max_completion_tokens exclude each other"
        if "tool_choice" in body and "tools" not in body:
            return "tool_choice without tools"
        wrong = [name for name, value in body.items() if name not in self.fields or not self.fields[name](value)]
        return f"unknown or wrong: {', '.join(wrong)}" if wrong else ""

    def stream_error(self, message: str) -> bytes:
        """An error inside a stream that began well."""
        if self.name == "anthropic":
            error = {"type": "error", "error": {"type": "overloaded_error", "message": message}}
            return sse(error, "error")
        if self.name == "openai-responses":
            return sse({"type": "error", "code": "server_error", "message": message, "param": None}, "error")
        return sse({"error": {"message": message}})

    def refusal(self, message: str, *, code: str | None = None, param: str | None = None) -> Event:
        """The body of an answer that is no success."""
        if self.name == "anthropic":
            kind = code or "invalid_request_error"
            return {"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_1"}
        return {"error": {"message": message, "type": "invalid_request_error", "param": param, "code": code}}


CHAT = Dialect(
    "openai-chat",
    "/v1/chat/completions",
    "/v1",
    ChatTeller,
    {"model", "messages", "stream"},
    {
        "model": _is_text,
        "messages": _are_chat_messages,
        "stream": _is_bool,
        "stream_options": _equals({"include_usage": True}),
        "max_tokens": _is_limit,
        "max_completion_tokens": _is_limit,
        "reasoning_effort": _is_effort,
        "tools": _all(_is_chat_tool),
        "tool_choice": _equals("none"),
    },
)
RESPONSES = Dialect(
    "openai-responses",
    "/v1/responses",
    "/v1",
    ResponsesTeller,
    {"model", "input", "stream", "store"},
    {
        "model": _is_text,
        "input": _are_input_items,
        "instructions": _is_text,
        "stream": _is_bool,
        "store": _equals(False),
        "include": _equals(["reasoning.encrypted_content"]),
        "max_output_tokens": _is_limit,
        "reasoning": lambda value: _is_object(value, {"effort", "summary"}) and _is_effort(value["effort"]),
        "tools": _all(_is_responses_tool),
        "tool_choice": _equals("none"),
    },
)
MESSAGES = Dialect(
    "anthropic",
    "/v1/messages",
    "",
    MessagesTeller,
    {"model", "messages", "max_tokens", "stream"},
    {
        "model": _is_text,
        "messages": _are_turns,
        "system": _is_text,
        "stream": _is_bool,
        "max_tokens": _is_limit,
        "thinking": _equals({"type": "adaptive", "display": "summarized"}),
        "output_config": lambda value: _is_object(value, {"effort"}) and _is_effort(value["effort"]),
        "tools": _all(lambda tool: _is_function(tool, "input_schema")),
        "tool_choice": _equals({"type": "none"}),
    },
    {"anthropic-version": re.compile(r"\d{4}-\d\d-\d\d")},
)
DIALECTS = {dialect.path: dialect for dialect in (CHAT, RESPONSES, MESSAGES)}
