"""Chat Completions: each field's meaning as a table, then a recorded stream in every feeding and with every cut."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from triolet.core.conversation import Message, OpaquePart, TextPart
from triolet.core.dialects.openai_chat import OpenAIChatDecoder, render_request
from triolet.core.events import Finished, ReasoningDelta, StreamEvent, TextDelta, ToolCallDelta, UsageReported
from triolet.core.ports import ModelRequest
from triolet.errors import ProviderUnavailable, RemoteProtocolError


def sse(*chunks: Any) -> bytes:
    return b"".join(f"data: {json.dumps(chunk)}\n\n".encode() for chunk in chunks)


def choice(finish_reason: str | None = None, index: int | None = 0, **delta: Any) -> dict[str, Any]:
    return {"choices": [{"index": index, "delta": delta, "finish_reason": finish_reason}]}


def decode(*chunks: bytes) -> list[StreamEvent]:
    decoder = OpenAIChatDecoder()
    return [event for chunk in chunks for event in decoder.receive_data(chunk)]


def tool_call(index: int | None = 0, **fields: Any) -> dict[str, Any]:
    return {"tool_calls": [{"index": index, **fields}]}


CHUNKS: list[tuple[str, Any, list[StreamEvent]]] = [
    ("text", choice(content="a"), [TextDelta("a")]),
    ("empty text is no event", choice(content="", role="assistant"), []),
    ("null text is no event", choice(content=None), []),
    ("a refusal is text", choice(refusal="no"), [TextDelta("no")]),
    ("text before its refusal", choice(content="a", refusal="b"), [TextDelta("ab")]),
    ("reasoning", choice(reasoning_content="r"), [ReasoningDelta("r")]),
    ("reasoning by its other name", choice(reasoning="r"), [ReasoningDelta("r")]),
    ("reasoning by both names is one", choice(reasoning_content="r", reasoning="s"), [ReasoningDelta("r")]),
    ("reasoning before text", choice(reasoning="r", content="a"), [ReasoningDelta("r"), TextDelta("a")]),
    (
        "a tool call begins",
        choice(**tool_call(1, id="c", type="function", function={"name": "f", "arguments": ""})),
        [ToolCallDelta(0, "c", "f", "")],
    ),
    ("a tool call goes on", choice(**tool_call(function={"arguments": "{}"})), [ToolCallDelta(0, "", "", "{}")]),
    ("a tool call of nulls", choice(**tool_call(2, id=None, function=None)), []),
    ("a tool call of inner nulls", choice(**tool_call(function={"name": None})), []),
    ("a tool call without index", choice(tool_calls=[{"id": "c"}]), [ToolCallDelta(0, "c", "", "")]),
    ("a tool call of null index", choice(**tool_call(None, id="c")), [ToolCallDelta(0, "c", "", "")]),
    ("a choice of null index", choice(index=None, content="a"), [TextDelta("a")]),
    ("null tool calls", choice(tool_calls=None), []),
    ("text and a call", choice(content="a", **tool_call(id="c")), [TextDelta("a"), ToolCallDelta(0, "c", "", "")]),
    ("a finish", choice("stop"), [Finished("stop")]),
    ("a finish with text", choice("length", content="a"), [TextDelta("a"), Finished("length")]),
    ("a finish without delta", {"choices": [{"finish_reason": "stop"}]}, [Finished("stop")]),
    ("a null delta", {"choices": [{"index": 0, "delta": None}]}, []),
    ("an empty finish is none", choice(""), []),
    ("tool calls finish", choice("tool_calls"), [Finished("tool_calls")]),
    ("its old name", choice("function_call"), [Finished("tool_calls")]),
    ("a filter finishes", choice("content_filter"), [Finished("content_filter")]),
    ("an unknown reason", choice("eos_token"), [Finished("other")]),
    ("another choice", choice("stop", index=1, content="b"), []),
    ("no choices", {"choices": []}, []),
    ("null choices", {"choices": None, "usage": None, "error": None}, []),
    ("an empty object", {}, []),
    ("usage", {"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 4}}, [UsageReported(3, 4, 0)]),
    (
        "usage in detail",
        {"usage": {"prompt_tokens": 3, "completion_tokens": 4, "prompt_tokens_details": {"cached_tokens": 2}}},
        [UsageReported(3, 4, 2)],
    ),
    ("usage of nulls", {"usage": {"prompt_tokens": None, "prompt_tokens_details": None}}, [UsageReported(0, 0, 0)]),
    ("null details", {"usage": {"prompt_tokens_details": {"cached_tokens": None}}}, [UsageReported(0, 0, 0)]),
    ("usage with the finish", choice("stop") | {"usage": {}}, [Finished("stop"), UsageReported(0, 0, 0)]),
    ("fields of a server's own", choice(content="a", extra=[1]) | {"x_groq": {}, "id": None}, [TextDelta("a")]),
]


@pytest.mark.parametrize(("chunk", "expected"), [pytest.param(*row[1:], id=row[0]) for row in CHUNKS])
def test_one_chunk(chunk: Any, expected: list[StreamEvent]) -> None:
    assert decode(sse(chunk)) == expected


def test_an_answer_finishes_once() -> None:
    """Some servers repeat the reason, with the usage or in a chunk for each choice."""
    assert decode(sse(choice("stop")), sse(choice("length"))) == [Finished("stop")]


def test_two_choices_of_one_chunk_give_one_answer() -> None:
    both = {"choices": [{"index": n, "delta": {"content": f"{n}"}, "finish_reason": "stop"} for n in (1, 0)]}
    assert decode(sse(both)) == [TextDelta("0"), Finished("stop")]


def test_done_is_the_end_of_the_transport_only() -> None:
    decoder = OpenAIChatDecoder()
    assert decoder.receive_data(sse(choice("stop"))) == (Finished("stop"),)
    assert not decoder.done, "the usage comes after the finish"
    assert decoder.receive_data(b"data: [DONE]\n\n") == ()
    assert decoder.done


def test_a_finish_is_not_made_up_from_done() -> None:
    assert decode(sse(choice(content="a")) + b"data: [DONE]\n\n") == [TextDelta("a")]


def test_comments_and_empty_events_are_nothing() -> None:
    assert decode(b": PROCESSING\n\ndata\n\ndata: \n\n") == []


def test_no_text_follows_the_finish_but_the_usage_does() -> None:
    late = [choice(content="b"), choice("stop", content="c"), {"usage": {"prompt_tokens": 1}}]
    assert decode(sse(choice("stop"), *late)) == [Finished("stop"), UsageReported(1, 0)]


def test_nothing_at_all_follows_done() -> None:
    late = b"data: [DONE]\n\n" + sse(choice(content="a"), {"usage": {}}, {"error": "late"}) + b"data: {\n\n"
    assert decode(late) == []
    assert decode(*(late[i : i + 1] for i in range(len(late)))) == []


def test_what_a_decoder_tells_of_its_stream() -> None:
    decoder = OpenAIChatDecoder()
    rows = [
        (b": PROCESSING\n\n", (False, False, False)),
        (sse(choice(content="a")), (True, False, False)),
        (sse(choice("stop")), (True, True, False)),
        (b"data: [DONE]\n\n", (True, True, True)),
    ]
    for chunk, expected in rows:
        decoder.receive_data(chunk)
        assert (decoder.began, decoder.finished, decoder.done) == expected


@pytest.mark.parametrize("end", [sse({"error": "overloaded"}), b"data: {\n\n"])
def test_what_stood_before_an_error_is_not_lost(end: bytes) -> None:
    decoder = OpenAIChatDecoder()
    decoder.receive_data(sse(choice(content="a")))
    assert not decoder.before_error
    with pytest.raises((ProviderUnavailable, RemoteProtocolError)):
        decoder.receive_data(sse(choice(content="b"), choice(content="c")) + end)
    assert decoder.before_error == (TextDelta("b"), TextDelta("c"))


RECORDED = (
    b": OPENROUTER PROCESSING\n\n"
    + sse(choice(role="assistant", content=""))
    + sse(choice(reasoning="hm"))
    + 'data: {"choices":[{"delta":{"content":"Grüße 😀"}}]}\r\n\r\n'.encode()
    + sse(choice(content=" and \n\n😀"))
    + sse(choice(**tool_call(id="c", function={"name": "f", "arguments": "{"})))
    + sse(choice(**tool_call(function={"arguments": "}"})))
    + sse(choice("tool_calls"))
    + sse({"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 4}})
    + b"data: [DONE]\n\n"
)
EVENTS: list[StreamEvent] = [
    ReasoningDelta("hm"),
    TextDelta("Grüße 😀"),
    TextDelta(" and \n\n😀"),
    ToolCallDelta(0, "c", "f", "{"),
    ToolCallDelta(0, "", "", "}"),
    Finished("tool_calls"),
    UsageReported(3, 4),
]


def test_a_recorded_stream_in_every_feeding() -> None:
    assert decode(RECORDED) == EVENTS
    assert decode(*(RECORDED[i : i + 1] for i in range(len(RECORDED)))) == EVENTS
    assert decode(RECORDED + b"data: {") == EVENTS
    for cut in range(len(RECORDED)):
        assert decode(RECORDED[:cut], RECORDED[cut:]) == EVENTS, cut


def test_every_cut_of_a_recorded_stream_gives_a_prefix() -> None:
    """What was complete when the connection broke, and a finish only if it was complete itself."""
    finish_ends = RECORDED.index(b"\n\n", RECORDED.index(b'"tool_calls"}')) + 2
    for cut in range(len(RECORDED)):
        decoder = OpenAIChatDecoder()
        found = list(decoder.receive_data(RECORDED[:cut]))
        assert found == EVENTS[: len(found)], cut
        assert (Finished("tool_calls") in found) == (cut >= finish_ends), cut
        assert not decoder.done


def test_the_events_of_a_read_come_as_one_batch() -> None:
    assert OpenAIChatDecoder().receive_data(RECORDED) == tuple(EVENTS)


NONSENSE = [
    "{",
    "null",
    "[]",
    "3",
    '"text"',
    "[DONE] ",
    '{"choices": {}}',
    '{"choices": [3]}',
    '{"choices": [{"delta": []}]}',
    '{"choices": [{"delta": {"content": 3}}]}',
    '{"choices": [{"delta": {"content": "\\ud83d", "refusal": 3}}]}',
    '{"choices": [{"index": "0"}]}',
    '{"usage": {"prompt_tokens": 1e400}}',
    '{"usage": []}',
    '{"choices": [{"delta": {"tool_calls": [{"function": {"arguments": []}}]}}]}',
    '{"x": ' + "[" * 100_000,
    '{"x": ' + "[" * 100_000 + "]" * 100_000 + "}",
]


@pytest.mark.parametrize("data", NONSENSE, ids=lambda data: data[:40])
def test_nonsense_is_the_peer_s_mistake(data: str) -> None:
    with pytest.raises(RemoteProtocolError, match=r"^the provider sent a chunk that makes no sense: "):
        decode(f"data: {data}\n\n".encode())


ERRORS: list[tuple[Any, str]] = [
    ({"message": "overloaded", "code": 529}, "overloaded"),
    ({"message": "", "code": 529}, "529"),
    ({"code": "server_error"}, "server_error"),
    ({"message": None}, "it gave no reason"),
    ({"message": {"deep": 1}}, "it gave no reason"),
    ({}, "it gave no reason"),
    ([], "it gave no reason"),
    ("", "it gave no reason"),
    (False, "it gave no reason"),
    ("overloaded", "overloaded"),
    (500, "500"),
    ({"message": "x" * 301}, "x" * 300),
]


@pytest.mark.parametrize(("error", "text"), ERRORS)
def test_an_error_inside_the_stream(error: Any, text: str) -> None:
    stream = sse(choice(content="a"), {"error": error, "choices": None})
    for chunks in ([stream], [stream[i : i + 1] for i in range(len(stream))]):
        with pytest.raises(ProviderUnavailable) as caught:
            decode(*chunks)
        assert str(caught.value) == f"the provider broke off: {text}"
        assert caught.value.retry_after is None


@pytest.mark.parametrize("depth", [1, 500, 900, *range(930, 1010)])
def test_a_nested_error_is_reported_at_any_depth(depth: int) -> None:
    """Near the bound of recursion it can be decoded but not printed."""
    with pytest.raises((ProviderUnavailable, RemoteProtocolError)):
        decode(f'data: {{"error": {{"message": {"[" * depth + "]" * depth}}}}}\n\n'.encode())


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)
FIELDS = [
    "choices",
    "index",
    "delta",
    "finish_reason",
    "content",
    "refusal",
    "tool_calls",
    "function",
    "arguments",
    "usage",
    "prompt_tokens",
    "error",
]
LIKELY = st.recursive(
    JSON,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(FIELDS), inner, max_size=3),
    max_leaves=8,
)


@given(st.one_of(st.binary(), st.text().map(str.encode), JSON.map(sse), LIKELY.map(sse)))
@example(b'data: {"choices": [{"finish_reason": "stop"}]}\n\n')
def test_junk_raises_nothing_else_and_never_finishes_by_chance(junk: bytes) -> None:
    body = junk if junk.startswith(b"data: ") else b"data: " + junk + b"\n\n"
    try:
        found = decode(body)
    except (RemoteProtocolError, ProviderUnavailable):
        return
    assert b"finish_reason" in body or not any(isinstance(event, Finished) for event in found)


def test_messages_are_rendered_by_role() -> None:
    messages = [
        Message.of("user", "hello"),
        Message("assistant", (OpaquePart("anthropic", {"x": 1}), TextPart("a"), TextPart("b"))),
        Message("assistant", (OpaquePart("anthropic", {}),)),
        Message.of("user", ""),
        Message.of("user", "bye"),
    ]
    said = [
        {"role": "user", "content": "hello"},
        {"role": "assistant", "content": "ab"},
        {"role": "user", "content": "bye"},
    ]
    assert render_request(ModelRequest(messages, "be kind"))["messages"] == [
        {"role": "system", "content": "be kind"},
        *said,
    ]
    assert render_request(ModelRequest(messages, ""))["messages"] == said


def test_half_of_a_pair_is_replaced_in_a_request() -> None:
    """UTF-8 cannot carry one, and JSON from Telegram may bring it in."""
    assert render_request(ModelRequest([Message.of("user", "a\ud83d😀")], "\ude00"))["messages"][-1] == {
        "role": "user",
        "content": "a\ufffd😀",
    }
