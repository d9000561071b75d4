"""Messages: each field's meaning as a table, then the corpus in every feeding and with every cut."""

from __future__ import annotations

import json
import re
from itertools import pairwise
from typing import Any, Final

import pytest
from anthropic_streams import END, PING, STREAMS, Recorded, args, begin, delta, finish, say, sse, start, stop
from hypothesis import example, given
from hypothesis import strategies as st

from triolet.core.conversation import OpaquePart
from triolet.core.dialects.anthropic_messages import AnthropicDecoder, decode_answer
from triolet.core.events import (
    BlockCompleted,
    Finished,
    FinishReason,
    ReasoningDelta,
    StreamEvent,
    TextDelta,
    ToolCallDelta,
    UsageReported,
)
from triolet.errors import ProviderUnavailable, RemoteProtocolError

ERRORS: Final = (RemoteProtocolError, ProviderUnavailable)


def decode(*chunks: bytes) -> list[StreamEvent]:
    decoder = AnthropicDecoder()
    return [event for chunk in chunks for event in decoder.receive_data(chunk)]


def outcome(*chunks: bytes) -> tuple[list[StreamEvent], str]:
    """The events, those before an error too, and the error's text if there was one."""
    decoder = AnthropicDecoder()
    events: list[StreamEvent] = []
    for chunk in chunks:
        try:
            events += decoder.receive_data(chunk)
        except ERRORS as error:
            return [*events, *decoder.before_error], str(error)
    return events, ""


def byte_by_byte(stream: bytes) -> list[bytes]:
    return [stream[i : i + 1] for i in range(len(stream))]


def cut_at(stream: bytes, cuts: list[int]) -> list[bytes]:
    places = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    return [stream[first:last] for first, last in pairwise(places)]


def opaque(kind: str, **data: Any) -> BlockCompleted:
    return BlockCompleted(OpaquePart("anthropic", {"type": kind, **data}))


# One event

KNOWN: Final = ("text", "thinking", "tool_use")
ODD: Final = {"text": "x", "thinking": "x", "signature": "x", "partial_json": "x"}

ROWS: list[tuple[str, list[dict[str, Any]], list[StreamEvent]]] = [
    ("text", [begin(0, "text", text=""), say(0, "a")], [TextDelta("a")]),
    ("text in the start", [begin(0, "text", text="a"), say(0, "b")], [TextDelta("a"), TextDelta("b")]),
    ("empty text is no event", [begin(0, "text"), say(0, "")], []),
    ("null text is no event", [begin(0, "text", text=None), delta(0, "text_delta", text=None)], []),
    ("text of a block that never began", [say(7, "a")], [TextDelta("a")]),
    ("text after the stop of its block", [begin(0, "text"), stop(0), say(0, "a")], [TextDelta("a")]),
    ("a block that is null", [{"type": "content_block_start", "content_block": None}, say(0, "a")], [TextDelta("a")]),
    ("a start without a block", [{"type": "content_block_start", "index": 0}, say(0, "a")], [TextDelta("a")]),
    ("a delta of nothing", [{"type": "content_block_delta", "index": 0}], []),
    ("a null delta", [{"type": "content_block_delta", "index": 0, "delta": None}], []),
    ("a stop of nothing", [stop(0), {"type": "content_block_stop"}], []),
    ("thinking is not text", [begin(0, "thinking"), say(0, "a"), delta(0, "thinking_delta", thinking="")], []),
    ("no text of a call", [begin(0, "tool_use", id="c"), say(0, "a")], [ToolCallDelta(0, "c", "", "")]),
    ("arguments of text", [begin(0, "text"), args(0, "{}")], []),
    ("arguments of thinking", [begin(0, "thinking"), args(0, "{}")], []),
    ("a text block is not kept", [begin(0, "text"), say(0, "a"), stop(0)], [TextDelta("a")]),
    (
        "thinking is kept at its stop, with what is unknown",
        [begin(0, "thinking", thinking="a", extra=[1]), delta(0, "thinking_delta", thinking="b"), stop(0)],
        [ReasoningDelta("a"), ReasoningDelta("b"), opaque("thinking", thinking="ab", extra=[1])],
    ),
    (
        "a signature in the start is the one",
        [begin(0, "thinking", signature="s"), delta(0, "signature_delta", signature=""), stop(0)],
        [opaque("thinking", thinking="", signature="s")],
    ),
    (
        "no stop of the one before is needed",
        [begin(0, "thinking", signature="s"), begin(0, "text"), say(0, "a")],
        [opaque("thinking", thinking="", signature="s"), TextDelta("a")],
    ),
    (
        "two blocks at once",
        [
            begin(0, "tool_use", id="a", name="f"),
            begin(1, "tool_use", id="b", name="g"),
            *(args(0, "{"), args(1, "["), args(0, "}"), args(1, "]")),
        ],
        [
            ToolCallDelta(0, "a", "f", ""),
            ToolCallDelta(1, "b", "g", ""),
            *(ToolCallDelta(number, "", "", piece) for number, piece in ((0, "{"), (1, "["), (0, "}"), (1, "]"))),
        ],
    ),
    (
        "starts without an index are counted",
        [
            *({"type": "content_block_start", "content_block": {"type": "tool_use", "id": one}} for one in "ab"),
            *(args(0, "{"), args(1, "["), args(0, "}"), stop(0), args(1, "]")),
        ],
        [
            *(ToolCallDelta(0, "a", "", ""), ToolCallDelta(1, "b", "", "")),
            *(ToolCallDelta(number, "", "", piece) for number, piece in ((0, "{"), (1, "["), (0, "}"), (1, "]"))),
        ],
    ),
    (
        "deltas of an unknown type, whatever they hold",
        [
            *(
                event
                for n, kind in enumerate(KNOWN)
                for event in (begin(n, kind, id="c"), delta(n, "odd_delta", **ODD), stop(n))
            ),
        ],
        [opaque("thinking", id="c", thinking=""), ToolCallDelta(0, "c", "", "")],
    ),
    ("null thinking", [begin(0, "thinking"), delta(0, "thinking_delta"), stop(0)], [opaque("thinking", thinking="")]),
    (
        "a whole input that is followed by fragments is no input",
        [begin(0, "tool_use", id="a", name="f", input={"x": 1}), args(0, "{}"), stop(0)],
        [ToolCallDelta(0, "a", "f", ""), ToolCallDelta(0, "", "", "{}")],
    ),
    (
        "a call without arguments",
        [begin(0, "tool_use", id="a", name="f", input=None), args(0, ""), stop(0)],
        [ToolCallDelta(0, "a", "f", "")],
    ),
    (
        "a call of nulls",
        [
            *(begin(0, "tool_use", id=None, name="f"), delta(0, "input_json_delta", partial_json=None), stop(0)),
            *(begin(1, "tool_use", id="c", name=None, input=None), {"type": "content_block_delta"}, stop(1)),
        ],
        [ToolCallDelta(0, "", "f", ""), ToolCallDelta(1, "c", "", "")],
    ),
    (
        "a server's call of nulls",
        [begin(0, "server_tool_use", input={"q": 1}), delta(0, "input_json_delta", partial_json=None), stop(0)],
        [opaque("server_tool_use", input={"q": 1})],
    ),
    (
        "a server's call, a character of it cut in two",
        [begin(0, "server_tool_use"), args(0, '{"q": "\ud83d'), args(0, '\ude00\ud83d"}'), stop(0)],
        [opaque("server_tool_use", input={"q": "😀\ufffd"})],
    ),
    (
        "what does not count may mean other things by known names",
        [{"type": "hint", "delta": 1, "index": "a"}, begin(0, "text"), say(0, "a")],
        [TextDelta("a")],
    ),
    ("a server's call of nonsense", [begin(0, "server_tool_use"), args(0, "[]"), stop(0)], []),
    ("a finish", [finish("end_turn")], [UsageReported(0, 0), Finished("stop")]),
    ("a finish without usage", [{"type": "message_delta", "delta": {"stop_reason": "end_turn"}}], [Finished("stop")]),
    ("a finish of nulls", [{"type": "message_delta", "delta": {"stop_reason": None}, "usage": None}], []),
    ("a null finish", [{"type": "message_delta", "delta": None}], []),
    ("a start without usage", [{"type": "message_start", "message": {}}, {"type": "message_start"}], []),
    ("usage alone", [{"type": "message_delta", "usage": {"output_tokens": 3}}], [UsageReported(0, 3)]),
    (
        "usage is carried forward",
        [
            start(input_tokens=1, cache_read_input_tokens=20, cache_creation_input_tokens=300, output_tokens=4),
            {"type": "message_delta", "usage": {"input_tokens": 0, "cache_read_input_tokens": None}},
            {"type": "message_delta", "usage": {"cache_creation_input_tokens": 400, "output_tokens": 50}},
        ],
        [UsageReported(321, 4, 20, 300), UsageReported(321, 4, 20, 300), UsageReported(421, 50, 20, 400)],
    ),
    ("a ping", [PING], []),
    ("no type", [{"delta": {"type": "text_delta", "text": "a"}} | {"type": None}], []),
]


@pytest.mark.parametrize(("events", "expected"), [pytest.param(*row[1:], id=row[0]) for row in ROWS])
def test_what_events_say(events: list[dict[str, Any]], expected: list[StreamEvent]) -> None:
    assert decode(sse(*events)) == expected


REASONS: list[tuple[str, FinishReason]] = [
    ("end_turn", "stop"),
    ("stop_sequence", "stop"),
    ("max_tokens", "length"),
    ("model_context_window_exceeded", "length"),
    ("tool_use", "tool_calls"),
    ("refusal", "content_filter"),
    ("pause_turn", "other"),
    ("moonrise", "other"),
]


@pytest.mark.parametrize(("stop_reason", "reason"), REASONS)
def test_why_an_answer_ended(stop_reason: str, reason: FinishReason) -> None:
    assert decode(sse(finish(stop_reason)))[-1] == Finished(reason)
    assert decode_answer(json.dumps({"content": [], "stop_reason": stop_reason}).encode()) == (Finished(reason),)


def test_the_name_of_an_event_stands_in_for_its_type() -> None:
    nameless = json.dumps({"delta": {"type": "text_delta", "text": "a"}})
    assert decode(f"event: content_block_delta\ndata: {nameless}\n\n".encode()) == [TextDelta("a")]
    assert decode(f"data: {nameless}\n\n".encode()) == []
    assert decode(b"event: ping\n" + b"data: " + json.dumps(say(0, "a")).encode() + b"\n\n") == [TextDelta("a")]


@pytest.mark.parametrize("end", [sse(END), b"data: [DONE]\n\n"])
def test_nothing_at_all_follows_the_stop(end: bytes) -> None:
    late = end + sse(say(0, "a"), finish("end_turn"), {"type": "error"}) + b"data: {\n\n"
    assert decode(late) == []
    assert decode(*byte_by_byte(late)) == []


def test_nothing_but_usage_follows_the_finish() -> None:
    late = [begin(0, "text", text="b"), say(0, "c"), stop(0), finish("refusal", output_tokens=3), begin(1, "tool_use")]
    assert decode(sse(finish("end_turn"), *late))[-2:] == [Finished("stop"), UsageReported(0, 3)]


@pytest.mark.case("L7", "RR10")
def test_a_stop_without_a_reason_is_no_finish() -> None:
    assert decode(sse(begin(0, "text"), say(0, "a"), stop(0), END)) == [TextDelta("a")]


def test_what_a_decoder_tells_of_its_stream() -> None:
    decoder = AnthropicDecoder()
    rows = [
        (b": comment\n\n", (False, False, False)),
        (sse(PING), (True, False, False)),
        (sse(finish("end_turn")), (True, True, False)),
        (sse(END), (True, True, True)),
    ]
    for chunk, expected in rows:
        decoder.receive_data(chunk)
        assert (decoder.began, decoder.finished, decoder.done) == expected


TROUBLES: list[tuple[bytes, str]] = [
    (sse({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}), "Overloaded"),
    (sse({"type": "error", "error": {"type": "api_error"}}), "api_error"),
    (sse({"type": "error"}), "it gave no reason"),
    (b'event: error\ndata: {"error": {"message": "busy"}}\n\n', "busy"),
    (b'data: {"error": "busy"}\n\n', "busy"),
]


@pytest.mark.parametrize(("end", "reason"), TROUBLES)
def test_an_error_inside_the_stream(end: bytes, reason: str) -> None:
    decoder = AnthropicDecoder()
    with pytest.raises(ProviderUnavailable) as caught:
        decoder.receive_data(sse(say(0, "a"), say(0, "b")) + end)
    assert str(caught.value) == f"the provider broke off: {reason}"
    assert decoder.before_error == (TextDelta("a"), TextDelta("b"))


NONSENSE: Final = [
    "{",
    "null",
    "[]",
    '"text"',
    '{"type": 3}',
    '{"type": "message_start", "message": []}',
    '{"type": "message_delta", "usage": {"output_tokens": "3"}}',
    '{"type": "content_block_start", "content_block": 3}',
    '{"type": "content_block_start", "content_block": {"\\ud83d": 3}}',
    '{"type": "content_block_start", "content_block": {"type": "text", "text": {}}}',
    '{"type": "content_block_start", "content_block": {"type": "x", "y": 1e999}}',
    '{"type": "content_block_delta", "index": "0"}',
    '{"type": "content_block_start", "content_block": {"input": {}, "id": 3}}',
    '{"type": "content_block_start", "content_block": {"type": "x", "y": ' + "[" * 100_000 + "]" * 100_000 + "}}",
]


@pytest.mark.parametrize("data", NONSENSE, ids=lambda data: data[:60])
def test_nonsense_is_the_peer_s_mistake(data: str) -> None:
    with pytest.raises(
        RemoteProtocolError, match=r"^the provider sent (a chunk|a block|arguments) that makes? no sense: "
    ):
        decode(f"data: {data}\n\n".encode())


def test_arguments_of_any_depth_are_said_or_refused() -> None:
    """Near the bound of recursion they can be decoded but not written; the bounds are not those of one Python."""
    for depth in range(1, 2000, 3):
        block = '{"type": "tool_use", "id": "a", "input": {"x": ' + "[" * depth + "]" * depth + "}}"
        event = '{"type": "content_block_start", "index": 0, "content_block": ' + block + "}"
        found, error = outcome(f"data: {event}\n\n".encode(), sse(stop(0)))
        assert bool(error) != (len(found) == 2), depth


# The corpus

CORPUS: Final = [pytest.param(recorded, id=name) for name, recorded in STREAMS.items()]


@pytest.mark.parametrize("recorded", CORPUS)
def test_a_recorded_stream_in_every_feeding(recorded: Recorded) -> None:
    body, expected = recorded.body, (list(recorded.events), recorded.error)
    assert outcome(body) == expected
    assert outcome(*byte_by_byte(body)) == expected
    for cut in range(len(body)):
        assert outcome(body[:cut], body[cut:]) == expected, cut


@pytest.mark.case("RR9", "RR10", "L7")
@pytest.mark.parametrize("recorded", CORPUS)
def test_every_cut_of_a_recorded_stream_gives_a_prefix(recorded: Recorded) -> None:
    """Each character once, and a finish only if that was whole itself."""
    assert (recorded.finish_at is None) == bool(recorded.error)
    seen = 0
    for cut in range(len(recorded.body) + 1):
        found, error = outcome(recorded.body[:cut])
        assert found == list(recorded.events[: len(found)]), cut
        said = "".join(event.text for event in found if isinstance(event, TextDelta))
        assert recorded.text.startswith(said)
        assert len(said) >= seen, "what was said stays said"
        seen = len(said)
        is_whole = recorded.finish_at is not None and cut >= recorded.finish_at
        assert any(isinstance(event, Finished) for event in found) == is_whole, cut
        assert not error or cut == len(recorded.body)
    assert seen == len(recorded.text)


# Answers in one piece


def test_an_answer_that_was_not_streamed() -> None:
    content = [
        {"type": "thinking", "thinking": "Hm", "signature": "s"},
        {"type": "redacted_thinking", "data": "d"},
        {"type": "text", "text": "Grüße", "citations": None},
        {"type": "tool_use", "id": "a", "name": "f", "input": {"x": "ü"}},
        {"type": "tool_use", "id": "b", "name": "g", "input": {}},
        {"type": "web_search_tool_result", "content": []},
    ]
    usage = {"input_tokens": 1, "cache_read_input_tokens": 2, "output_tokens": 3}
    body = {"id": "msg", "type": "message", "content": content, "stop_reason": "tool_use", "usage": usage}
    assert decode_answer(json.dumps(body, ensure_ascii=False).encode()) == (
        ReasoningDelta("Hm"),
        opaque("thinking", thinking="Hm", signature="s"),
        opaque("redacted_thinking", data="d"),
        TextDelta("Grüße"),
        ToolCallDelta(0, "a", "f", ""),
        ToolCallDelta(0, "", "", '{"x": "\\u00fc"}'),
        ToolCallDelta(1, "b", "g", ""),
        opaque("web_search_tool_result", content=[]),
        UsageReported(3, 3, 2),
        Finished("tool_calls"),
    )


def test_an_answer_in_one_piece_is_whole_even_if_it_does_not_say_why() -> None:
    said = b'{"content": [{"type": "text", "text": "a"}, null]}'
    assert decode_answer(said) == (TextDelta("a"), Finished("other"))


@pytest.mark.parametrize("body", [b"", b"{", b"<html>", b"{}", b'{"detail": "x"}', b'{"content": "a"}', b"\xff"])
def test_what_is_no_answer(body: bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        decode_answer(body)


def test_an_error_instead_of_an_answer() -> None:
    with pytest.raises(ProviderUnavailable, match=r"broke off: Overloaded$"):
        decode_answer(b'{"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}')


# Whatever comes

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)
DATA: Final = re.compile(rb"^data: (\{.*)\n\n", re.MULTILINE)
EVENTS: Final = [json.loads(data) for recorded in STREAMS.values() for data in DATA.findall(recorded.body)]
"""Every event of the corpus."""


def fields(value: Any) -> list[tuple[Any, Any]]:
    """Each container in the value, with each of its keys."""
    keys = list(value) if isinstance(value, dict) else list(range(len(value))) if isinstance(value, list) else []
    return [(value, key) for key in keys] + [field for key in keys for field in fields(value[key])]


@st.composite
def odd_events(draw: st.DrawFn) -> bytes:
    """Events of the corpus, in any order, of which some hold another value somewhere, or lack one."""
    events = [json.loads(json.dumps(event)) for event in draw(st.lists(st.sampled_from(EVENTS), max_size=8))]
    for event in events:
        if draw(st.booleans()):
            place, key = draw(st.sampled_from(fields(event)))
            if isinstance(place, dict) and draw(st.booleans()):
                del place[key]
            else:
                place[key] = draw(JSON)
    return b"".join(f"data: {json.dumps(event)}\n\n".encode() for event in events)


@st.composite
def torn_streams(draw: st.DrawFn) -> bytes:
    """Streams of the corpus in which pieces were lost, doubled, mixed or overwritten."""
    body = draw(st.sampled_from(list(STREAMS.values()))).body
    for _ in range(draw(st.integers(1, 4))):
        first, last = sorted(draw(st.tuples(st.integers(0, len(body)), st.integers(0, len(body)))))
        other = draw(st.sampled_from([body, *(recorded.body for recorded in STREAMS.values())]))
        place = draw(st.integers(0, len(other)))
        body = (
            body[:first] + draw(st.just(b"") | st.just(other[place : place + 40]) | st.binary(max_size=6)) + body[last:]
        )
    return body


@given(st.one_of(st.binary(), odd_events(), torn_streams()), st.lists(st.integers(0, 3000), max_size=6))
@example(sse(begin(0, "thinking", signature="s"), finish("end_turn")), [])
def test_no_stream_raises_anything_else_and_no_chunking_changes_it(stream: bytes, cuts: list[int]) -> None:
    found, error = outcome(stream)
    assert outcome(*cut_at(stream, cuts)) == (found, error)
    assert outcome(*byte_by_byte(stream)) == (found, error)
    after = [event for n, event in enumerate(found) if any(isinstance(one, Finished) for one in found[:n])]
    assert all(isinstance(event, UsageReported) for event in after)
    assert not any(isinstance(event, TextDelta | ReasoningDelta) and not event.text for event in found)
    begun = [event.index for event in found if isinstance(event, ToolCallDelta) and not event.arguments]
    assert begun == sorted(set(begun)), "each call has an index of its own"


@given(st.one_of(st.binary(), JSON.map(json.dumps).map(str.encode), st.data()))
def test_no_answer_raises_anything_else(body: Any) -> None:
    if not isinstance(body, bytes):
        blocks = [event["content_block"] for event in EVENTS if event["type"] == "content_block_start"]
        answer = {"content": body.draw(st.lists(st.sampled_from(blocks), max_size=3)), "stop_reason": "end_turn"}
        answer = json.loads(json.dumps(answer | {"usage": {"output_tokens": 3}}))
        place, key = body.draw(st.sampled_from(fields(answer)))
        place[key] = body.draw(JSON)
        body = json.dumps(answer).encode()
    try:
        events = decode_answer(body)
    except ERRORS:
        return
    assert isinstance(events[-1], Finished)
