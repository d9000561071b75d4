"""Chat Completions with tools: calls however servers spell them, answers in one piece, and requests."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai_streams import chunk, feed, histories, sse

from triolet.core.conversation import Ending, Message, OpaquePart, TextPart, ToolCallPart, ToolResultPart
from triolet.core.dialects.openai_chat import OpenAIChatDecoder, decode_answer, render_request
from triolet.core.dialects.wire import sendable
from triolet.core.events import (
    BlockCompleted,
    Finished,
    ReasoningDelta,
    StreamEvent,
    TextDelta,
    ToolCallDelta,
    UsageReported,
)
from triolet.core.ports import ModelRequest, ToolSpec
from triolet.errors import ProviderUnavailable, RemoteProtocolError


def calls(*fragments: dict[str, Any], finish: str | None = None) -> dict[str, Any]:
    return chunk(finish, tool_calls=list(fragments))


def function(**fields: Any) -> dict[str, Any]:
    return {"function": fields}


def kept(**data: Any) -> OpaquePart:
    return OpaquePart("openai-chat", data)


F = ToolCallDelta(0, "", "f", "")
C = ToolCallDelta(0, "c", "", "")

CHUNKS: list[tuple[str, Any, list[StreamEvent]]] = [
    (
        "numbers are our own",
        calls({"index": 5, "id": "c"}, {"index": 7, "id": "d"}),
        [C, ToolCallDelta(1, "d", "", "")],
    ),
    ("arguments in an object", calls(function(arguments={"é": [1]})), [ToolCallDelta(0, "", "", '{"é": [1]}')]),
    ("arguments in an empty object", calls(function(arguments={})), [ToolCallDelta(0, "", "", "{}")]),
    ("the old kind of call", chunk(function_call={"name": "f"}), [F]),
    ("an id again", calls({"id": "c"}, {"id": "c"} | function(arguments="1")), [C, ToolCallDelta(0, "", "", "1")]),
    (
        "a name again",
        calls({"index": 0} | function(name="f"), {"index": 0} | function(name="f", arguments="1")),
        [F, ToolCallDelta(0, "", "", "1")],
    ),
    ("a name and no index", calls(function(name="f"), function(name="f")), [F, ToolCallDelta(1, "", "f", "")]),
    ("neither name nor index", calls(function(name="f"), function(arguments="1")), [F, ToolCallDelta(0, "", "", "1")]),
    ("an id that comes late", calls({"index": 0} | function(name="f"), {"index": 0, "id": "c"}), [F, C]),
    (
        "two ids at one index, in turn",
        calls(*({"index": 0, "id": name} | function(arguments=name) for name in "aba")),
        [ToolCallDelta(0, "a", "", "a"), ToolCallDelta(1, "b", "", "b"), ToolCallDelta(0, "", "", "a")],
    ),
    (
        "one id at two indices",
        calls({"index": 0, "id": "c"}, {"index": 1, "id": "c"}),
        [C, ToolCallDelta(1, "c", "", "")],
    ),
    (
        "an index that is left out later",
        calls({"index": 1, "id": "c"}, function(arguments="{}")),
        [C, ToolCallDelta(0, "", "", "{}")],
    ),
    ("a signature of no call", calls({"extra_content": {"a": 1}}), []),
    (
        "a signature of its own",
        calls({"index": 0, "id": "c"}, {"index": 0, "extra_content": {"a": 1}}),
        [C, BlockCompleted(kept(call_id="c", extra_content={"a": 1}))],
    ),
    ("a stop with a call", calls({"id": "c"}, finish="stop"), [C, Finished("tool_calls")]),
    ("a limit with a call", calls({"id": "c"}, finish="length"), [C, Finished("length")]),
    (
        "empty reasoning goes back too",
        chunk("stop", reasoning_content="", tool_calls=[{"id": "c"}]),
        [C, BlockCompleted(kept(reasoning_content="")), Finished("tool_calls")],
    ),
    (
        "reasoning without a call is not kept",
        chunk("stop", reasoning_content="r"),
        [ReasoningDelta("r"), Finished("stop")],
    ),
    ("text in parts", chunk(content=[{"type": "text", "text": "a"}, {"text": None}, {"text": "b"}]), [TextDelta("ab")]),
    ("no parts", chunk(content=[]), []),
    ("thoughts as text", chunk(content=[{"type": "thinking", "thinking": "t"}]), [ReasoningDelta("t")]),
    ("thoughts of null", chunk(content=[{"thinking": None}, {"thinking": [{"text": None}]}]), []),
    ("half a character", chunk(content="\ud83d"), []),
    ("half a character in the end", chunk("stop", content="\ud83d"), [TextDelta("\ufffd"), Finished("stop")]),
]


@pytest.mark.parametrize(("payload", "expected"), [pytest.param(*row[1:], id=row[0]) for row in CHUNKS])
def test_one_chunk_of_calls(payload: Any, expected: list[StreamEvent]) -> None:
    assert feed(OpenAIChatDecoder(), sse(payload)) == (expected, "")


@pytest.mark.parametrize("reason", ["error", "abort", "insufficient_system_resource"])
def test_a_reason_to_finish_that_is_a_cut(reason: str) -> None:
    decoder = OpenAIChatDecoder()
    assert feed(decoder, sse(chunk(reason, content="a"))) == ([TextDelta("a")], f"the provider broke off: {reason}")
    assert not decoder.finished
    stated = sse({"choices": [{"finish_reason": reason, "error": {"message": "why"}}]})
    assert feed(OpenAIChatDecoder(), stated) == ([], "the provider broke off: why")


@pytest.mark.parametrize("error", [b'event: error\ndata: {"message": "m"}', b'data: {"object":"error","message":"m"}'])
def test_an_error_by_another_name(error: bytes) -> None:
    assert feed(OpenAIChatDecoder(), error + b"\n\n") == ([], "the provider broke off: m")


# An answer in one piece


def answer(finish_reason: str | None = "stop", **message: Any) -> dict[str, Any]:
    return {
        "object": "chat.completion",
        "choices": [{"message": message, "finish_reason": finish_reason}],
        "error": None,
    }


ANSWERS: list[tuple[str, Any, list[StreamEvent]]] = [
    ("text", answer(content="a"), [TextDelta("a"), Finished("stop")]),
    ("no reason", answer(None, content="a"), [TextDelta("a"), Finished("other")]),
    ("no message", {"choices": [{"finish_reason": "length"}]}, [Finished("length")]),
    ("usage", answer() | {"usage": {"prompt_tokens": 1}}, [UsageReported(1, 0), Finished("stop")]),
    ("half a character", answer(content="a\ud83d"), [TextDelta("a"), TextDelta("\ufffd"), Finished("stop")]),
    ("two choices", {"choices": [{"index": 1}, *answer(content="a")["choices"]]}, [TextDelta("a"), Finished("stop")]),
    (
        "calls",
        answer(reasoning_content="r", tool_calls=[{"id": "c"}, function(name="g")]),
        [
            ReasoningDelta("r"),
            C,
            ToolCallDelta(1, "", "g", ""),
            BlockCompleted(kept(reasoning_content="r")),
            Finished("tool_calls"),
        ],
    ),
]


@pytest.mark.parametrize(("body", "expected"), [pytest.param(*row[1:], id=row[0]) for row in ANSWERS])
def test_an_answer_in_one_piece(body: Any, expected: list[StreamEvent]) -> None:
    assert decode_answer(json.dumps(body).encode()) == tuple(expected)


def test_what_is_no_answer() -> None:
    for body in (b"", b"<html>", b"{}", b'{"choices": []}', b'{"choices": [{"index": 1}]}'):
        with pytest.raises(RemoteProtocolError):
            decode_answer(body)
    with pytest.raises(ProviderUnavailable, match="broke off: m"):
        decode_answer(b'{"error": {"message": "m"}}')


# Requests


SPEC = ToolSpec("find", "Finds\ud83d.", {"type": "object", "properties": {}})


def test_tools_are_rendered() -> None:
    tool = {"name": "find", "description": "Finds\ufffd.", "parameters": {"type": "object", "properties": {}}}
    body = {"messages": [], "tools": [{"type": "function", "function": tool}]}
    assert render_request(ModelRequest([], tools=[SPEC])) == body
    assert render_request(ModelRequest([], tools=[SPEC], may_call=False)) == body | {"tool_choice": "none"}
    assert render_request(ModelRequest([], may_call=False)) == {"messages": []}


def test_calls_are_rendered_with_what_must_go_back() -> None:
    parts = (
        *(kept(reasoning_content="r"), kept(call_id="a", extra_content={"x": 1}), OpaquePart("anthropic", {})),
        *(TextPart("t"), ToolCallPart("a", "f", '{"q": 1}'), ToolCallPart("b", "g"), ToolCallPart("c", "h")),
    )
    history = [
        Message.of("user", "u"),
        Message.of("assistant", "half", Ending.STOPPED),
        Message("assistant", parts),
        Message("tool", (ToolResultPart("b", "", is_error=True), ToolResultPart("a", "A"))),
        Message("assistant", (kept(reasoning_content="s"), TextPart("end"))),
    ]
    rendered = [
        {"id": "a", "type": "function", "function": {"name": "f", "arguments": '{"q": 1}'}, "extra_content": {"x": 1}},
        {"id": "b", "type": "function", "function": {"name": "g", "arguments": "{}"}},
    ]
    assert render_request(ModelRequest(history, ""))["messages"] == [
        {"role": "user", "content": "u"},
        {"role": "assistant", "content": "half\n\nt", "tool_calls": rendered, "reasoning_content": "r"},
        {"role": "tool", "tool_call_id": "a", "content": "A"},
        {"role": "tool", "tool_call_id": "b", "content": "Error: (nothing)"},
        {"role": "assistant", "content": "end"},
    ]


def test_a_call_without_text_has_no_content() -> None:
    history = [Message("assistant", (ToolCallPart("a", "f"),)), Message("tool", (ToolResultPart("a", "A"),))]
    assert render_request(ModelRequest(history, ""))["messages"][0]["content"] is None


def judge(messages: list[dict[str, Any]]) -> None:
    """What the strictest server says."""
    json.dumps(messages, ensure_ascii=False, allow_nan=False).encode()
    asked: list[str] = []
    role = ""
    for message in messages:
        before, role = role, message["role"]
        if role == "tool":
            assert message["tool_call_id"] == asked.pop(0)
            assert message["content"]
            continue
        assert not asked, "every call has its result before anybody speaks"
        assert role != before, "roles in turn"
        assert role != "system" or not before
        wanted = message.get("tool_calls", [])
        assert message["content"] or (wanted and message["content"] is None)
        assert role == "assistant" or not wanted
        asked = [call["id"] for call in wanted]
        assert len({*asked, ""}) == len(asked) + 1, "ids are unique, and none is empty"
        for call in wanted:
            assert call["function"]["name"]
            assert isinstance(json.loads(call["function"]["arguments"]), dict)
    assert not asked


@given(histories(), st.sampled_from(["", "be kind", "\ud83d"]))
def test_any_history_gives_a_request_that_the_strictest_server_takes(messages: list[Message], prompt: str) -> None:
    rendered = render_request(ModelRequest(messages, prompt))["messages"]
    judge(rendered)
    found = "".join(each["content"] or "" for each in rendered if each["role"] in {"user", "assistant"})
    spoken = "".join(sendable(message.text) for message in messages if message.role != "tool")
    assert found.replace("\n\n", "") == spoken, "all that was said, in its order"
