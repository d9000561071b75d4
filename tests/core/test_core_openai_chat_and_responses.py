"""OpenAI's two dialects on recorded streams: whole, byte by byte, with every cut, and with anything changed in them."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from itertools import pairwise
from typing import Any

import attrs
import openai_streams as recorded
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from openai_streams import DECODERS, STREAMS, Recorded, feed, said, text_of

from triolet.core.dialects import openai_chat, openai_responses
from triolet.core.events import Batch, Finished, StreamEvent
from triolet.errors import ProviderUnavailable, RemoteProtocolError

ALL = [(dialect, name) for dialect, streams in STREAMS.items() for name in streams]
ANSWERS: dict[str, Callable[[bytes], Batch]] = {
    "openai-chat": openai_chat.decode_answer,
    "openai-responses": openai_responses.decode_answer,
}
EACH = pytest.mark.parametrize(
    ("dialect", "stream"),
    [pytest.param(dialect, STREAMS[dialect][name], id=f"{dialect}-{name}") for dialect, name in ALL],
)
TERMINAL = re.compile(rb'"finish_reason": ?"(?!error|abort)|"response\.(completed|incomplete)"')


def decode(dialect: str, *chunks: bytes) -> tuple[list[StreamEvent], str]:
    return feed(DECODERS[dialect](), *chunks)


def bytewise(stream: bytes) -> list[bytes]:
    return [stream[place : place + 1] for place in range(len(stream))]


@EACH
def test_a_stream_says_what_it_says(dialect: str, stream: Recorded) -> None:
    events, error = decode(dialect, stream.data)
    assert said(events) == said(stream.events)
    assert error == stream.error
    finishes = [event for event in events if isinstance(event, Finished)]
    assert len(finishes) == bool(TERMINAL.search(stream.data)), "once, if the stream is whole"


@pytest.mark.case("RR9", "RR10", "L7")
@EACH
def test_every_cut_gives_a_beginning_and_finishes_only_what_is_whole(dialect: str, stream: Recorded) -> None:
    whole = decode(dialect, stream.data)
    decoder, found, error = DECODERS[dialect](), list[StreamEvent](), ""
    for place, byte in enumerate(bytewise(stream.data)):
        events, error = feed(decoder, byte)
        found += events
        assert stream.text.startswith(text_of(found)), place
        if any(isinstance(event, Finished) for event in events):
            assert TERMINAL.search(stream.data[: place + 1]), place
            assert byte in {b"\n", b"\r"}, "the event is complete"
        if error:
            break
    assert (found, error) == whole
    assert text_of(found) == stream.text


@EACH
def test_no_cut_into_two_changes_anything(dialect: str, stream: Recorded) -> None:
    whole = decode(dialect, stream.data)
    # Every place has been cut above: for the longest streams some are enough, since each is read whole again.
    for cut in range(0, len(stream.data), 1 + len(stream.data) // 2000):
        assert decode(dialect, stream.data[:cut], stream.data[cut:]) == whole, cut


@pytest.mark.case("S2")
def test_what_a_delta_lost_is_there_when_the_message_is_complete() -> None:
    for end in ("output_text.done", "output_item.done", "completed"):
        events = recorded.writing("It is ", whole="It is up")
        kept = [event for event in events if event["type"] == f"response.{end}" or not event["type"].endswith(".done")]
        last = recorded.ended(*([recorded.message("It is up")] if end == "completed" else []))
        found, _ = decode("openai-responses", recorded.told(*kept, last))
        assert text_of(found) == "It is up", end


@pytest.mark.case("S5")
@pytest.mark.parametrize("numbered", [True, False])
def test_a_stream_that_begins_anew_at_any_event_is_shown_once(numbered: bool) -> None:
    """With the numbers of the first time, or with none."""
    events = recorded.numbered(
        *recorded.begun(),
        *recorded.thinking(),
        *recorded.writing("One ", "😀", index=1),
        *recorded.writing("Two", ".", index=2, name="msg_2"),
        *recorded.calling('{"q":', "1}", index=3),
    )
    if not numbered:
        events = [{key: value for key, value in event.items() if key != "sequence_number"} for event in events]
    end = recorded.ended(
        recorded.message("One 😀"), recorded.message("Two.", "msg_2"), recorded.function_call('{"q":1}')
    )
    once = said(decode("openai-responses", recorded.named(*events, end))[0])
    for cut in range(len(events)):
        for start in range(cut):
            again = recorded.named(*events[:cut], *events[start if numbered else 0 :], end)
            assert without_order(decode("openai-responses", again)[0]) == without_order(once), (start, cut)
            if not numbered:
                break


def without_order(events: list[StreamEvent]) -> list[StreamEvent]:
    return sorted(said(sorted(events, key=kind_of)), key=kind_of)


def kind_of(event: StreamEvent) -> str:
    return type(event).__name__


# Anything


def is_utf8(events: Iterable[StreamEvent]) -> bool:
    """Whether all can be sent and stored: no halves of characters, no numbers that are none."""
    return bool(json.dumps([*map(attrs.asdict, events)], ensure_ascii=False, allow_nan=False).encode())


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=5)
    | st.sampled_from(["\ud83d", "\ude00"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)


def payloads(stream: Recorded) -> list[Any]:
    lines = [line.removeprefix(b"data: ") for line in stream.data.splitlines() if line.startswith(b"data: {")]
    return [json.loads(line) for line in lines]


@st.composite
def changed(draw: st.DrawFn, value: Any) -> Any:
    """The value with one thing in it replaced by anything."""
    inner = list(value) if isinstance(value, dict) else list(range(len(value))) if isinstance(value, list) else []
    if not inner or draw(st.integers(0, 9)) == 0:
        return draw(JSON)
    copy, key = value.copy(), draw(st.sampled_from(inner))
    copy[key] = draw(changed(value[key]))
    return copy


@st.composite
def streams(draw: st.DrawFn) -> tuple[str, bytes]:
    """A stream of the corpus, less some events, with a field of another changed, and with some twice."""
    dialect, name = draw(st.sampled_from(ALL))
    events = payloads(STREAMS[dialect][name])
    for _ in range(draw(st.integers(1, 3))):
        place = draw(st.integers(0, len(events) - 1))
        events[place : place + draw(st.integers(0, 1))] = [draw(changed(events[place]))]
    return dialect, b"".join(b"data: " + json.dumps(event).encode() + b"\n\n" for event in events)


@st.composite
def cuttings(draw: st.DrawFn) -> tuple[str, bytes]:
    """The bytes of a stream with a piece of it elsewhere, and some bytes that are nobody's."""
    dialect, name = draw(st.sampled_from(ALL))
    data = STREAMS[dialect][name].data
    places = st.integers(0, len(data))
    start, end, place = draw(places), draw(places), draw(places)
    return dialect, data[:place] + draw(st.binary(max_size=5)) + data[min(start, end) : max(start, end)] + data[place:]


ANY = st.one_of(streams(), cuttings(), st.tuples(st.sampled_from(list(DECODERS)), st.binary()))


@given(ANY, st.lists(st.integers(0, 10_000), max_size=5))
@example(("openai-responses", recorded.sse({"type": "response.output_item.added", "item": {"type": ["message"]}})), [])
def test_nothing_else_is_raised_and_no_chunking_changes_what_comes_out(
    case: tuple[str, bytes], cuts: list[int]
) -> None:
    dialect, data = case
    places = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    found, error = decode(dialect, data)
    assert decode(dialect, *(data[start:end] for start, end in pairwise(places))) == (found, error)
    assert decode(dialect, *bytewise(data)) == (found, error)
    assert is_utf8(found)
    finishes = [place for place, event in enumerate(found) if isinstance(event, Finished)]
    assert len(finishes) <= 1


ANSWER_OF: dict[str, Any] = {
    "openai-chat": {
        "id": "chatcmpl-1",
        "choices": [
            {
                "index": 0,
                "message": {
                    "role": "assistant",
                    "content": "Hi",
                    "refusal": None,
                    "reasoning_content": "hm",
                    "tool_calls": [{"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
                },
                "finish_reason": "tool_calls",
            }
        ],
        "usage": {"prompt_tokens": 1, "completion_tokens": 2, "prompt_tokens_details": {"cached_tokens": 1}},
    },
    "openai-responses": recorded.ended(
        recorded.THOUGHT, recorded.message("Hi"), recorded.function_call("{}"), {"type": "web_search_call"}
    )["response"],
}


@given(st.sampled_from(list(ANSWERS)), st.data())
def test_an_answer_raises_nothing_else(dialect: str, data: st.DataObject) -> None:
    body = data.draw(st.binary() | changed(ANSWER_OF[dialect]).map(lambda value: json.dumps(value).encode()))
    try:
        found = ANSWERS[dialect](body)
    except (RemoteProtocolError, ProviderUnavailable):
        return
    assert sum(isinstance(event, Finished) for event in found) == 1
    assert is_utf8(found)
