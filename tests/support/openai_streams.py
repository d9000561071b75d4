"""Streams of OpenAI's two dialects as servers send them, with what they say in no dialect.

Written after the public references and the observed habits of llama.cpp, vLLM, LM Studio, Ollama, OpenRouter, Mistral,
Gemini, DeepSeek and Azure. `feed` gives a stream to a decoder; `said` joins the deltas that follow each other, so that
streams can be compared whatever their pieces are.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any, Final, TypeAlias

import attrs
from hypothesis import strategies as st

from triolet.core.conversation import Ending, Message, OpaquePart, Role, TextPart, ToolCallPart, ToolResultPart
from triolet.core.dialects.openai_chat import OpenAIChatDecoder
from triolet.core.dialects.openai_responses import OpenAIResponsesDecoder
from triolet.core.dialects.wire import WireDecoder
from triolet.core.events import (
    BlockCompleted,
    Finished,
    ReasoningDelta,
    StreamEvent,
    TextCompleted,
    TextDelta,
    ToolCallCompleted,
    ToolCallDelta,
    UsageReported,
)
from triolet.errors import ProviderUnavailable, RemoteProtocolError


@attrs.frozen
class Recorded:
    """``error`` begins what the stream ends with, if that is an error; ``events`` is what comes before it."""

    data: bytes
    events: tuple[StreamEvent, ...]
    error: str = ""

    @property
    def text(self) -> str:
        return text_of(self.events)


def text_of(events: Iterable[StreamEvent]) -> str:
    """The text that a reader has in the end."""
    text = ""
    for event in events:
        if isinstance(event, TextDelta):
            text += event.text
        elif isinstance(event, TextCompleted):
            text = event.text
    return text


def said(events: Iterable[StreamEvent]) -> list[StreamEvent]:
    """The events, with neighbouring deltas of one kind as one."""
    joined: list[StreamEvent] = []
    for event in events:
        last = joined[-1] if joined else None
        if isinstance(event, TextDelta) and isinstance(last, TextDelta):
            joined[-1] = TextDelta(last.text + event.text)
        elif isinstance(event, ReasoningDelta) and isinstance(last, ReasoningDelta):
            joined[-1] = ReasoningDelta(last.text + event.text)
        elif isinstance(event, ToolCallDelta) and isinstance(last, ToolCallDelta) and last.index == event.index:
            names = (last.call_id + event.call_id, last.name + event.name)
            joined[-1] = ToolCallDelta(event.index, *names, last.arguments + event.arguments)
        else:
            joined.append(event)
    return joined


def feed(decoder: WireDecoder, *chunks: bytes) -> tuple[list[StreamEvent], str]:
    """What the chunks say, and the error's text if there was one; after an error nothing more is fed."""
    events: list[StreamEvent] = []
    for chunk in chunks:
        try:
            events += decoder.receive_data(chunk)
        except (ProviderUnavailable, RemoteProtocolError) as error:
            return [*events, *decoder.before_error], str(error)
    return events, ""


def sse(*payloads: Any) -> bytes:
    """Events without a name; text goes out as it is, anything else as JSON."""
    texts = [each if isinstance(each, str) else json.dumps(each) for each in payloads]
    return "".join(f"data: {text}\n\n" for text in texts).encode()


def named(*payloads: dict[str, Any]) -> bytes:
    """Events named after their type, as Responses sends them."""
    return b"".join(b"event: " + each["type"].encode() + b"\n" + sse(each) for each in payloads)


# Chat Completions


def chunk(finish_reason: str | None = None, /, **delta: Any) -> dict[str, Any]:
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
    return {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice]}


def usage(prompt: int, completion: int, **details: Any) -> dict[str, Any]:
    counts = {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}
    return {"object": "chat.completion.chunk", "choices": [], "usage": counts | details}


def call(**fields: Any) -> dict[str, Any]:
    """A fragment of one call; ``name`` and ``arguments`` are those of its function."""
    function = {key: fields.pop(key) for key in ("name", "arguments") if key in fields}
    return chunk(tool_calls=[fields | {"function": function}])


PLAIN: Final = sse(
    chunk(role="assistant", content="", refusal=None),
    chunk(content="Hel"),
    chunk(content="lo, 世界 😀"),
    chunk("stop"),
    usage(9, 3, prompt_tokens_details={"cached_tokens": 4, "audio_tokens": 0}),
    "[DONE]",
)
CHAT: Final[dict[str, Recorded]] = {
    "openai, plain": Recorded(
        PLAIN, (TextDelta("Hel"), TextDelta("lo, 世界 😀"), Finished("stop"), UsageReported(9, 3, 4))
    ),
    "CRLF": Recorded(
        PLAIN.replace(b"\n", b"\r\n"),
        (TextDelta("Hel"), TextDelta("lo, 世界 😀"), Finished("stop"), UsageReported(9, 3, 4)),
    ),
    "openai, two calls": Recorded(
        sse(
            chunk(role="assistant", content=None),
            call(index=0, id="call_a", type="function", name="get", arguments=""),
            call(index=0, arguments='{"city":'),
            call(index=0, arguments='"Bern"}'),
            call(index=1, id="call_b", type="function", name="get", arguments=""),
            call(index=1, arguments="{}"),
            chunk("tool_calls"),
            "[DONE]",
        ),
        (
            ToolCallDelta(0, "call_a", "get", '{"city":"Bern"}'),
            ToolCallDelta(1, "call_b", "get", "{}"),
            Finished("tool_calls"),
        ),
    ),
    "ollama, index 0 for each": Recorded(
        sse(
            call(index=0, id="call_1", type="function", name="a", arguments='{"x":1}'),
            call(index=0, id="call_2", type="function", name="b", arguments='{"y":2}'),
            chunk("stop", content=""),
        ),
        (
            ToolCallDelta(0, "call_1", "a", '{"x":1}'),
            ToolCallDelta(1, "call_2", "b", '{"y":2}'),
            Finished("tool_calls"),
        ),
    ),
    "gemini, no index, signatures": Recorded(
        sse(
            chunk(
                role="assistant",
                tool_calls=[
                    {
                        "id": "function-call-1",
                        "type": "function",
                        "function": {"name": "a", "arguments": '{"x":'},
                        "extra_content": {"google": {"thought_signature": "c2ln"}},
                    },
                ],
            ),
            chunk(tool_calls=[{"function": {"arguments": "1}"}}]),
            chunk(tool_calls=[{"function": {"name": "b", "arguments": "{}"}, "id": "function-call-2"}]),
            chunk("stop"),
            "[DONE]",
        ),
        (
            ToolCallDelta(0, "function-call-1", "a", '{"x":'),
            BlockCompleted(
                OpaquePart(
                    "openai-chat",
                    {
                        "call_id": "function-call-1",
                        "extra_content": {"google": {"thought_signature": "c2ln"}},
                    },
                )
            ),
            ToolCallDelta(0, "", "", "1}"),
            ToolCallDelta(1, "function-call-2", "b", "{}"),
            Finished("tool_calls"),
        ),
    ),
    "deepseek, thinking before a call": Recorded(
        b": keep-alive\n\n"
        + sse(
            chunk(role="assistant", content=None, reasoning_content=""),
            chunk(content=None, reasoning_content="Let me "),
            chunk(content=None, reasoning_content="look."),
            chunk(content="One moment.", reasoning_content=None),
            call(index=0, id="call_00", type="function", name="find", arguments=""),
            call(index=0, arguments='{"q": "x"}'),
            chunk("tool_calls", content="", reasoning_content=None)
            | {"usage": {"prompt_tokens": 5, "completion_tokens": 6}},
            "[DONE]",
        ),
        (
            ReasoningDelta("Let me look."),
            TextDelta("One moment."),
            ToolCallDelta(0, "call_00", "find", '{"q": "x"}'),
            BlockCompleted(OpaquePart("openai-chat", {"reasoning_content": "Let me look."})),
            Finished("tool_calls"),
            UsageReported(5, 6),
        ),
    ),
    "mistral, content in parts": Recorded(
        sse(
            chunk(role="assistant", content=[{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}]),
            chunk(content=[{"type": "text", "text": "So "}, {"type": "reference", "reference_ids": [1]}]),
            chunk(content="it is."),
            chunk("stop", content="") | {"usage": {"prompt_tokens": 1, "completion_tokens": 2}},
            "[DONE]",
        ),
        (ReasoningDelta("hm"), TextDelta("So it is."), Finished("stop"), UsageReported(1, 2)),
    ),
    "azure, filters first": Recorded(
        sse(
            {"choices": [], "prompt_filter_results": [{"prompt_index": 0, "content_filter_results": {}}], "model": ""},
            chunk(role="assistant", content=""),
            chunk(content="Well"),
            {"choices": [{"index": 0, "finish_reason": None, "content_filter_offsets": {}, "delta": {}}]},
            chunk("content_filter"),
            "[DONE]",
        ),
        (TextDelta("Well"), Finished("content_filter")),
    ),
    "characters cut in two": Recorded(
        b'data: {"choices":[{"delta":{"content":"a\\ud83d"}}]}\n\ndata: {"choices":[{"delta":{"content":"\\ude00b"}}]}'
        b'\n\ndata: {"choices":[{"delta":{"content":"\\uD83D"},"finish_reason":"length"}]}\n\n',
        (TextDelta("a😀b\ufffd"), Finished("length")),
    ),
    "openrouter, an error halfway": Recorded(
        b": OPENROUTER PROCESSING\n\n"
        + sse(
            chunk(role="assistant", content="Half"),
            chunk("error", content="") | {"error": {"code": 502, "message": "Provider disconnected"}},
        ),
        (TextDelta("Half"),),
        "the provider broke off: Provider disconnected",
    ),
    "lm studio, an error by name": Recorded(
        sse(chunk(content="Half")) + b'event: error\ndata: {"message": "Model unloaded."}\n\n',
        (TextDelta("Half"),),
        "the provider broke off: Model unloaded.",
    ),
    "vllm, aborted": Recorded(
        sse(chunk(content="Half") | {"usage": None}, chunk("abort", content="way"), "[DONE]"),
        (TextDelta("Halfway"),),
        "the provider broke off: abort",
    ),
    "cut": Recorded(sse(chunk(content="Half"), "[DONE]"), (TextDelta("Half"),)),
}


# Responses


def numbered(*events: dict[str, Any]) -> list[dict[str, Any]]:
    return [event | {"sequence_number": number} for number, event in enumerate(events)]


def event(kind: str, /, **fields: Any) -> dict[str, Any]:
    return {"type": f"response.{kind}"} | fields


def begun() -> list[dict[str, Any]]:
    response: dict[str, Any] = {
        "id": "resp_1",
        "object": "response",
        "status": "in_progress",
        "output": [],
        "error": None,
    }
    return [event("created", response=response), event("in_progress", response=response)]


def message(text: str, name: str = "msg_1") -> dict[str, Any]:
    content = [{"type": "output_text", "annotations": [], "logprobs": [], "text": text}]
    return {"id": name, "type": "message", "status": "completed", "role": "assistant", "content": content}


def writing(*deltas: str, index: int = 0, name: str = "msg_1", whole: str | None = None) -> list[dict[str, Any]]:
    """All events of a message."""
    at = {"item_id": name, "output_index": index, "content_index": 0}
    text = "".join(deltas) if whole is None else whole
    part = {"type": "output_text", "annotations": [], "text": ""}
    return [
        event("output_item.added", output_index=index, item=message("", name) | {"content": []}),
        event("content_part.added", part=part, **at),
        *(event("output_text.delta", delta=delta, logprobs=[], obfuscation="xyz", **at) for delta in deltas),
        event("output_text.annotation.added", annotation={"type": "url_citation"}, annotation_index=0, **at),
        event("output_text.done", text=text, logprobs=[], **at),
        event("content_part.done", part=part | {"text": text}, **at),
        event("output_item.done", output_index=index, item=message(text, name)),
    ]


def function_call(arguments: str, name: str = "fc_1", call_id: str = "call_1") -> dict[str, Any]:
    head = {"id": name, "type": "function_call", "status": "completed"}
    return head | {"arguments": arguments, "call_id": call_id, "name": "find"}


def calling(*deltas: str, index: int = 0, name: str = "fc_1", call_id: str = "call_1") -> list[dict[str, Any]]:
    """All events of a call."""
    at = {"item_id": name, "output_index": index}
    text = "".join(deltas)
    return [
        event("output_item.added", output_index=index, item=function_call("", name, call_id)),
        *(event("function_call_arguments.delta", delta=delta, **at) for delta in deltas),
        event("function_call_arguments.done", arguments=text, **at),
        event("output_item.done", output_index=index, item=function_call(text, name, call_id)),
    ]


def ended(*output: dict[str, Any], kind: str = "completed", **fields: Any) -> dict[str, Any]:
    counts = {"input_tokens": 7, "output_tokens": 8, "input_tokens_details": {"cached_tokens": 2}}
    response = {"id": "resp_1", "status": kind, "error": None, "incomplete_details": None, "usage": counts}
    return event(kind, response=response | {"output": list(output)} | fields)


USED: Final = UsageReported(7, 8, 2)
THOUGHT: Final[dict[str, Any]] = {
    "id": "rs_1",
    "type": "reasoning",
    "summary": [{"type": "summary_text", "text": "One."}, {"type": "summary_text", "text": "Two."}],
    "encrypted_content": "gAAAA",
}


def thinking() -> list[dict[str, Any]]:
    at = {"item_id": "rs_1", "output_index": 0}
    item = THOUGHT | {"summary": [], "encrypted_content": "gA"}
    summary = [
        each
        for place, text in enumerate(("One.", "Two."))
        for each in (
            event("reasoning_summary_part.added", part={"type": "summary_text", "text": ""}, summary_index=place, **at),
            event("reasoning_summary_text.delta", delta=text, summary_index=place, **at),
            event("reasoning_summary_text.done", text=text, summary_index=place, **at),
        )
    ]
    added = event("output_item.added", output_index=0, item=item)
    return [added, *summary, event("output_item.done", output_index=0, item=THOUGHT)]


def told(*events: dict[str, Any]) -> bytes:
    return named(*numbered(*begun(), *events))


RESPONSES: Final[dict[str, Recorded]] = {
    "plain": Recorded(
        told(*writing("Hel", "lo 😀"), ended(message("Hello 😀"))), (TextDelta("Hello 😀"), USED, Finished("stop"))
    ),
    "two messages": Recorded(
        told(*writing("One"), *writing("Two", index=1, name="msg_2"), ended(message("One"), message("Two", "msg_2"))),
        (TextDelta("One\n\nTwo"), USED, Finished("stop")),
    ),
    "reasoning and two calls": Recorded(
        told(
            *thinking(),
            *calling('{"q":', '"x"}', index=1),
            *calling("{}", index=2, name="fc_2", call_id="call_2"),
            ended(THOUGHT, function_call('{"q":"x"}'), function_call("{}", "fc_2", "call_2")),
        ),
        (
            ReasoningDelta("One.\n\nTwo."),
            BlockCompleted(OpaquePart("openai-responses", THOUGHT)),
            ToolCallDelta(0, "call_1", "find", '{"q":"x"}'),
            ToolCallDelta(1, "call_2", "find", "{}"),
            USED,
            Finished("tool_calls"),
        ),
    ),
    "the last delta is lost": Recorded(
        told(*writing("It is ", whole="It is up"), ended(message("It is up"))),
        (TextDelta("It is "), TextCompleted("It is up"), USED, Finished("stop")),
    ),
    "no deltas at all": Recorded(
        told(event("output_item.done", output_index=0, item=message("All.")), ended(message("All."))),
        (TextDelta("All."), USED, Finished("stop")),
    ),
    "a call changed at the end": Recorded(
        told(*calling("{"), ended(function_call("{}"))),
        (
            ToolCallDelta(0, "call_1", "find", "{"),
            ToolCallCompleted(0, "call_1", "find", "{}"),
            USED,
            Finished("tool_calls"),
        ),
    ),
    "a reconnect repeats numbers": Recorded(
        named(
            *(events := numbered(*begun(), *writing("Hel", "lo")))[:6],
            *events[2:],
            ended(message("Hello")) | {"sequence_number": len(events)},
        ),
        (TextDelta("Hello"), USED, Finished("stop")),
    ),
    "a reconnect repeats items": Recorded(
        told(
            *writing("One"),
            *writing("Tw", index=1, name="msg_2")[:3],
            *thinking(),
            *writing("One"),
            *writing("T", "wo", index=1, name="msg_2"),
            *thinking(),
            *calling("{}", index=2),
            *calling("{", "}", index=2),
            ended(message("One"), message("Two", "msg_2")),
        ),
        (
            TextDelta("One\n\nTw"),
            ReasoningDelta("One.\n\nTwo."),
            BlockCompleted(OpaquePart("openai-responses", THOUGHT)),
            TextDelta("o"),
            ToolCallDelta(0, "call_1", "find", "{}"),
            USED,
            Finished("tool_calls"),
        ),
    ),
    "llama.cpp, no indices and no numbers": Recorded(
        named(
            *begun(),
            event("output_item.added", item={"id": "rs_9", "type": "reasoning", "summary": [], "content": []}),
            event("reasoning_text.delta", item_id="rs_9", delta="hm"),
            event("output_item.done", item={"id": "rs_9", "type": "reasoning", "encrypted_content": ""}),
            event("output_item.added", item={"id": "msg_9", "type": "message", "content": []}),
            event("output_text.delta", item_id="msg_9", delta="Hel"),
            event("output_text.delta", item_id="msg_9", delta="lo"),
            event("output_text.done", item_id="msg_9", text="Hello"),
            event("output_item.added", item={"call_id": "fc_a", "type": "function_call", "name": "f", "arguments": ""}),
            event("function_call_arguments.delta", item_id="fc_a", delta="{}"),
            event("output_item.added", item={"call_id": "fc_b", "type": "function_call", "name": "f", "arguments": ""}),
            event("function_call_arguments.delta", item_id="fc_b", delta='{"x":1}'),
            event("completed", response={"status": "completed", "output": [], "usage": None}),
        )
        + b"data: [DONE]\n\n",
        (
            ReasoningDelta("hm"),
            TextDelta("Hello"),
            ToolCallDelta(0, "fc_a", "f", "{}"),
            ToolCallDelta(1, "fc_b", "f", '{"x":1}'),
            Finished("tool_calls"),
        ),
    ),
    "no ids and no places": Recorded(
        named(
            event("output_text.delta", delta="Hel", sequence_number=0),
            event("output_text.delta", delta="lo", sequence_number=0),
            event("output_text.done", text="Hello", sequence_number=0),
            event("completed", sequence_number=0),
        ),
        (TextDelta("Hello"), Finished("stop")),
    ),
    "a gateway changes ids": Recorded(
        named(
            event("output_item.added", output_index=0, item=message("", "a")),
            event("output_text.delta", output_index=0, item_id="b", delta="Hel"),
            event("output_text.delta", output_index=0, item_id="c", delta="lo"),
            event("output_item.done", output_index=0, item=message("Hello", "d")),
            ended(message("Hello", "e")),
        ),
        (TextDelta("Hello"), USED, Finished("stop")),
    ),
    "a refusal": Recorded(
        told(
            event("output_item.added", output_index=0, item=message("") | {"content": []}),
            event("refusal.delta", output_index=0, item_id="msg_1", content_index=0, delta="I can"),
            event("refusal.delta", output_index=0, item_id="msg_1", content_index=0, delta="not."),
            event("refusal.done", output_index=0, item_id="msg_1", content_index=0, refusal="I cannot."),
            ended(message("") | {"content": [{"type": "refusal", "refusal": "I cannot."}]}),
        ),
        (TextDelta("I cannot."), USED, Finished("stop")),
    ),
    "the limit": Recorded(
        told(
            *writing("Half"),
            ended(message("Half"), kind="incomplete", incomplete_details={"reason": "max_output_tokens"}),
        ),
        (TextDelta("Half"), USED, Finished("length")),
    ),
    "filtered": Recorded(
        told(*writing("Half"), ended(kind="incomplete", incomplete_details={"reason": "content_filter"})),
        (TextDelta("Half"), USED, Finished("content_filter")),
    ),
    "failed": Recorded(
        told(*writing("Half"), ended(kind="failed", error={"code": "server_error", "message": "Oops."}, usage=None)),
        (TextDelta("Half"),),
        "the provider broke off: Oops.",
    ),
    "an error": Recorded(
        told(*writing("Half"), {"type": "error", "code": "rate_limit", "message": "Too fast.", "param": None}),
        (TextDelta("Half"),),
        "the provider broke off: Too fast.",
    ),
    "a nested error": Recorded(
        told(*writing("Half")) + sse({"error": {"message": "Gone.", "type": "server_error"}}),
        (TextDelta("Half"),),
        "the provider broke off: Gone.",
    ),
    "characters cut in two": Recorded(
        b'data: {"type":"response.output_text.delta","delta":"a\\ud83d"}\n\n'
        b'data: {"type":"response.output_text.delta","delta":"\\ude00b"}\n\n'
        b'data: {"type":"response.output_text.done","text":"a\\ud83d\\ude00b"}\n\n'
        b'data: {"type":"response.completed"}\n\n',
        (TextDelta("a😀b"), Finished("stop")),
    ),
    "unknown events": Recorded(
        told(
            event("web_search_call.searching", output_index=0, item_id="ws_1"),
            event("output_item.done", output_index=0, item={"type": "web_search_call", "id": 7}),
            event("custom.delta", delta={"deep": []}),
            {"type": "keepalive"},
            *writing("Hi", index=1),
            ended({"type": "web_search_call"}, message("Hi")),
        ),
        (TextDelta("Hi"), USED, Finished("stop")),
    ),
    "cut": Recorded(told(*writing("Half")) + b"data: [DONE]\n\n", (TextDelta("Half"),)),
}

STREAMS: Final[dict[str, dict[str, Recorded]]] = {"openai-chat": CHAT, "openai-responses": RESPONSES}

DecoderType: TypeAlias = Callable[[], WireDecoder]
DECODERS: Final[dict[str, DecoderType]] = {"openai-chat": OpenAIChatDecoder, "openai-responses": OpenAIResponsesDecoder}


# Histories

_IDS: Final = st.sampled_from(["a", "b", "c", ""])
_WORDS: Final = st.sampled_from(["", " ", "word", "é😀", "\ud83d", "\ude00x"])
_ARGUMENTS: Final = st.sampled_from(["", "{}", '{"a": 1}', "{", "[]", '{"a": NaN}', '{"a": "\\ud83d"}', '"\ud83d"'])
_OPAQUE: Final = st.sampled_from(
    [
        OpaquePart("openai-chat", {"reasoning_content": "hm"}),
        OpaquePart("openai-chat", {"call_id": "a", "extra_content": {"google": {}}}),
        OpaquePart("openai-responses", THOUGHT),
        OpaquePart("anthropic", {"type": "thinking", "signature": "x"}),
    ]
)
_PARTS: Final = st.one_of(
    st.builds(TextPart, _WORDS),
    st.builds(ToolCallPart, _IDS, st.sampled_from(["find", "get", ""]), _ARGUMENTS),
    st.builds(ToolResultPart, _IDS, _WORDS, st.booleans()),
    _OPAQUE,
)
_ROLES: Final[tuple[Role, ...]] = ("user", "assistant", "tool")


def histories() -> st.SearchStrategy[list[Message]]:
    """What a conversation may hold, and much that it may not."""
    parts = st.lists(_PARTS, max_size=5).map(tuple)
    return st.lists(st.builds(Message, st.sampled_from(_ROLES), parts, st.sampled_from(Ending)), max_size=8)
