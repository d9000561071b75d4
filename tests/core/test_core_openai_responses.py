"""Responses: items as servers repeat, lose and leave them out, answers in one piece, and requests."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from openai_streams import (
    THOUGHT,
    USED,
    calling,
    ended,
    event,
    feed,
    function_call,
    histories,
    message,
    named,
    said,
    sse,
    thinking,
    writing,
)

from triolet.core.conversation import Message, OpaquePart, TextPart, ToolCallPart, ToolResultPart
from triolet.core.dialects.openai_items import Entry, Items, Written
from triolet.core.dialects.openai_responses import OpenAIResponsesDecoder, decode_answer, render_request
from triolet.core.dialects.wire import sendable
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
from triolet.core.ports import ModelRequest, ToolSpec
from triolet.errors import ProviderUnavailable, RemoteProtocolError

DELTA = event("output_text.delta", delta="a")
BLOCK = OpaquePart("openai-responses", THOUGHT)


def added(index: int | None = None, **item: Any) -> dict[str, Any]:
    return event("output_item.added", output_index=index, item=item)


def done(index: int | None = None, **item: Any) -> dict[str, Any]:
    return event("output_item.done", output_index=index, item=item)


def arguments(kind: str, text: Any, **fields: Any) -> dict[str, Any]:
    return event(f"function_call_arguments.{kind}", **{"delta" if kind == "delta" else "arguments": text}, **fields)


STREAMS: list[tuple[str, list[dict[str, Any]], list[StreamEvent]]] = [
    ("text", [DELTA], [TextDelta("a")]),
    ("an empty delta", [event("output_text.delta", delta="")], []),
    ("a delta of null", [event("output_text.delta", delta=None)], []),
    ("a done that says nothing", [DELTA, event("output_text.done", text="")], [TextDelta("a")]),
    ("a done that says less", [DELTA, event("output_text.done", text="b")], [TextDelta("a"), TextCompleted("b")]),
    (
        "a done that is right, though the item's is not",
        [
            *writing("a", "b")[:4],
            event("output_text.done", text="abc", output_index=0, content_index=0),
            done(0, id="msg_1", type="message", content=[{"text": "abcd"}]),
        ],
        [TextDelta("ab"), TextCompleted("abc"), TextCompleted("abcd")],
    ),
    (
        "an item's text and no delta, twice",
        [done(0, **message("a")), done(0, **message("a")), *writing("a")],
        [TextDelta("a")],
    ),
    (
        "an item whose end said more is written again",
        [*(each for each in writing("a", whole="ab") if "text.done" not in each["type"]), *writing("a", "b")],
        [TextDelta("a"), TextCompleted("ab")],
    ),
    (
        "a call that the end knows by another id",
        [
            *(arguments("delta", "{}", item_id="x"), done(id="x", type="function_call", call_id="c", name="f")),
            event("completed", response={"output": [function_call("{}", "y", "c") | {"name": "f"}]}),
        ],
        [ToolCallDelta(0, "", "", "{}"), ToolCallCompleted(0, "c", "f", "{}"), Finished("tool_calls")],
    ),
    ("an item without content", [*writing("a")[:3], done(0, id="msg_1", type="message")], [TextDelta("a")]),
    ("an item of null", [event("output_item.added", item=None), event("output_item.done")], []),
    ("an item of no type", [added(0), done(0, type=None, id=3)], []),
    (
        "two items at one index",
        [*writing("a"), *writing("b", name="msg_2")],
        [TextDelta("a\n\nb")],
    ),
    (
        "two items with neither id nor index",
        [added(type="message"), DELTA, added(type="message"), DELTA],
        [TextDelta("a\n\na")],
    ),
    ("two ids that nothing began", [DELTA | {"item_id": "x"}, DELTA | {"item_id": "y"}], [TextDelta("a\n\na")]),
    (
        "parts of one message",
        [DELTA | {"content_index": 0}, event("refusal.delta", delta="b", content_index=1)],
        [TextDelta("ab")],
    ),
    (
        "messages that are written at once",
        [
            *(DELTA | {"output_index": 0}, DELTA | {"output_index": 1}, DELTA | {"output_index": 0}),
            event("output_text.done", output_index=0, text="aa"),
        ],
        [TextDelta("a\n\naa"), TextCompleted("aa\n\na")],
    ),
    ("a call whose end alone came", [done(0, **function_call("{}"))], [ToolCallDelta(0, "call_1", "find", "{}")]),
    (
        "arguments alone",
        [arguments("done", {"a": 1}), done(id="fc", type="function_call", call_id="c", name="f")],
        [ToolCallCompleted(0, "", "", '{"a": 1}'), ToolCallDelta(1, "c", "f", "")],
    ),
    (
        "arguments before their names",
        [arguments("delta", "{}", output_index=0), done(0, **function_call("{}"))],
        [ToolCallDelta(0, "", "", "{}"), ToolCallCompleted(0, "call_1", "find", "{}")],
    ),
    (
        "a call by its id alone",
        [added(id="x", type="function_call", name="f"), arguments("delta", "{}", item_id="x")],
        [ToolCallDelta(0, "x", "f", "{}")],
    ),
    (
        "a call that is added again under another id",
        [
            *calling("{}", index=2),
            added(call_id="call_1", id="fc_9", type="function_call"),
            *calling("{", "}", index=2),
        ],
        [ToolCallDelta(0, "call_1", "find", "{}")],
    ),
    (
        "a call with another id of its own at the same place",
        [*calling("{}"), *calling("{}", call_id="call_2")],
        [ToolCallDelta(0, "call_1", "find", "{}"), ToolCallDelta(1, "call_2", "find", "{}")],
    ),
    (
        "a call that only the end knows",
        [ended(function_call("{}"), {"type": "function_call", "name": "nameless"})],
        [ToolCallDelta(0, "call_1", "find", "{}"), USED, Finished("tool_calls")],
    ),
    (
        "reasoning that only its end knows",
        [done(0, **THOUGHT)],
        [ReasoningDelta("One.\n\nTwo."), BlockCompleted(BLOCK)],
    ),
    ("reasoning that cannot go back", [done(0, type="reasoning", id="rs", summary=[])], []),
    ("reasoning twice", [*thinking(), *thinking()], [ReasoningDelta("One.\n\nTwo."), BlockCompleted(BLOCK)]),
    ("an end of nothing", [event("completed", response=None)], [Finished("stop")]),
    ("nothing follows the end", [event("completed"), DELTA, event("failed")], [Finished("stop")]),
    ("an end that knows better", [event("completed", response={"status": "incomplete"})], [Finished("length")]),
    ("an end that is behind", [event("completed", response={"status": "in_progress"})], [Finished("stop")]),
    (
        "an unknown limit",
        [event("incomplete", response={"incomplete_details": {"reason": "steered"}})],
        [Finished("length")],
    ),
    ("usage of nulls", [event("completed", response={"usage": {}})], [UsageReported(0, 0), Finished("stop")]),
    ("a number of no meaning", [DELTA | {"sequence_number": n} for n in (-1, -1, None, "x", 0)], [TextDelta("aaaaa")]),
    ("numbers that were passed", [DELTA | {"sequence_number": n} for n in (5, 5, 4, 6)], [TextDelta("aa")]),
]


@pytest.mark.parametrize(("events", "expected"), [pytest.param(*row[1:], id=row[0]) for row in STREAMS])
def test_one_stream(events: list[dict[str, Any]], expected: list[StreamEvent]) -> None:
    found, error = feed(OpenAIResponsesDecoder(), named(*events))
    assert said(found) == said(expected)
    assert not error


ERRORS: list[tuple[dict[str, Any], str]] = [
    (event("failed", response={"error": {"message": "m"}}), "the provider broke off: m"),
    (event("failed"), "the provider broke off: failed"),
    (event("cancelled"), "the provider broke off: cancelled"),
    (event("completed", response={"status": "failed", "error": {"code": "c"}}), "the provider broke off: c"),
    ({"type": "error", "message": "m"}, "the provider broke off: m"),
    ({"type": "error", "error": {"message": "m"}}, "the provider broke off: m"),
    ({"error": "m"}, "the provider broke off: m"),
    ({"type": 3, "error": "m"}, "the provider broke off: m"),
]


@pytest.mark.parametrize(("payload", "text"), ERRORS)
def test_an_error_ends_the_answer(payload: dict[str, Any], text: str) -> None:
    decoder = OpenAIResponsesDecoder()
    assert feed(decoder, sse(DELTA, payload)) == ([TextDelta("a")], text)
    assert not decoder.finished


@pytest.mark.parametrize(
    "payload",
    [
        *([], DELTA | {"delta": 3}, done(0, type="message", content=3), ended({"type": "message", "content": 3})),
        done(0, type="message", **{"\ud83d": 3}),
    ],
)
def test_nonsense_is_the_peer_s_mistake(payload: Any) -> None:
    with pytest.raises(RemoteProtocolError, match="makes no sense"):
        OpenAIResponsesDecoder().receive_data(sse(payload))


def test_the_type_may_be_the_event_s_name() -> None:
    stream = b'event: response.output_text.delta\ndata: {"delta": "a"}\n\ndata: [DONE]\n\n'
    decoder = OpenAIResponsesDecoder()
    assert decoder.receive_data(stream) == (TextDelta("a"),)
    assert decoder.done
    assert not decoder.finished


def test_a_text_that_is_written_again() -> None:
    written = Written()
    assert [written.write(delta) for delta in ("ab", "c")] == ["ab", "c"]
    written.restart()
    assert [written.write(delta) for delta in ("a", "bcd", "e")] == ["", "d", "e"]
    assert written.text == "abcde"


def test_items_have_numbers_and_parts() -> None:
    items = Items()
    assert [items.entry("function_call", name).number for name in "aba"] == [0, 1, 0]
    entry = Entry("message", 0, "")
    entry.settle("ab")
    assert entry.text == "ab"


# An answer in one piece


def test_an_answer_in_one_piece() -> None:
    output = [THOUGHT, message("a"), {"type": "web_search_call"}, message("b\ud83d", "msg_2"), function_call("{}")]
    found = decode_answer(json.dumps(ended(*output)["response"]).encode())
    assert said(found) == [
        ReasoningDelta("One.\n\nTwo."),
        BlockCompleted(BLOCK),
        TextDelta("a\n\nb"),
        ToolCallDelta(0, "call_1", "find", "{}"),
        USED,
        TextDelta("\ufffd"),
        Finished("tool_calls"),
    ]
    limit = {"output": [message("a")], "status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}}
    assert decode_answer(json.dumps(limit).encode()) == (TextDelta("a"), Finished("length"))
    assert decode_answer(b'{"output": []}') == (Finished("stop"),)


def test_what_is_no_answer() -> None:
    for body in (b"", b"<html>", b"{}", b'{"output": 3}', b'{"output": null}'):
        with pytest.raises(RemoteProtocolError):
            decode_answer(body)
    for body in (b'{"error": {"message": "m"}}', b'{"output": [], "status": "queued"}'):
        with pytest.raises(ProviderUnavailable, match=r"broke off: (m|queued)$"):
            decode_answer(body)


# Requests


def test_tools_are_rendered() -> None:
    spec = ToolSpec("find", "Finds.", {"type": "object"})
    tool = {"type": "function", "name": "find", "description": "Finds.", "parameters": {"type": "object"}}
    body = {"input": [], "tools": [tool | {"strict": False}]}
    assert render_request(ModelRequest([], tools=[spec])) == body
    assert render_request(ModelRequest([], tools=[spec], may_call=False)) == body | {"tool_choice": "none"}
    assert render_request(ModelRequest([], "be\ud83d", may_call=False)) == {"input": [], "instructions": "be\ufffd"}


def test_items_are_rendered_in_their_order() -> None:
    other = OpaquePart("anthropic", {"x": 1})
    history = [
        Message.of("user", "u"),
        Message.of("user", "v"),
        Message("assistant", (other, BLOCK, ToolCallPart("a", "f", "{"), TextPart("t"), ToolCallPart("b", "g"), BLOCK)),
        Message("tool", (ToolResultPart("b", "B"), ToolResultPart("a", "A"))),
        Message("assistant", (BLOCK, TextPart("x"), TextPart("y"))),
    ]
    assert render_request(ModelRequest(history))["input"] == [
        {"type": "message", "role": "user", "content": "u\n\nv"},
        THOUGHT,
        {"type": "function_call", "call_id": "a", "name": "f", "arguments": "{}"},
        {"type": "message", "role": "assistant", "content": "t"},
        {"type": "function_call", "call_id": "b", "name": "g", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "a", "output": "A"},
        {"type": "function_call_output", "call_id": "b", "output": "B"},
        {"type": "message", "role": "assistant", "content": "xy"},
    ]


def judge(items: list[dict[str, Any]]) -> None:
    """What the strictest server says."""
    json.dumps(items, ensure_ascii=False, allow_nan=False).encode()
    asked: list[str] = []
    answered, reasoned, role = False, False, ""
    for item in items:
        kind = item.get("type", "message")
        if kind == "function_call":
            assert not answered, "calls come before the results of any"
            assert item["call_id"]
            assert item["name"]
            assert item["call_id"] not in asked
            assert isinstance(json.loads(item["arguments"]), dict)
            asked.append(item["call_id"])
            reasoned = False
        elif kind == "function_call_output":
            assert item["call_id"] == asked.pop(0)
            assert item["output"]
            answered = bool(asked)
        elif kind == "reasoning":
            reasoned = True
        else:
            assert item["content"]
            assert not answered
            assert not asked or item["role"] == "assistant", "nobody else speaks between a call and its result"
            assert item["role"] != role, "roles in turn"
        role = item.get("role", "")
    assert not asked, "a call leads to a result"
    assert not reasoned, "reasoning leads to a call"


@given(histories())
def test_any_history_gives_a_request_that_the_strictest_server_takes(messages: list[Message]) -> None:
    items = render_request(ModelRequest(messages))["input"]
    judge(items)
    found = "".join(item["content"] for item in items if "role" in item)
    spoken = "".join(
        sendable(part.text)
        for each in messages
        for part in each.parts
        if each.role != "tool"
        if isinstance(part, TextPart)
    )
    assert found.replace("\n\n", "") == spoken, "all that was said, in its order"
