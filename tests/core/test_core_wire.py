"""What the dialects share: characters cut in two, JSON with halves of them, and calls with their results."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from triolet.core.conversation import Message, OpaquePart, Part, TextPart, ToolCallPart, ToolResultPart
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
    whole_batch,
)
from triolet.core.events import (
    BlockCompleted,
    Finished,
    ReasoningDelta,
    StreamEvent,
    TextCompleted,
    TextDelta,
    ToolCallCompleted,
    ToolCallDelta,
)
from triolet.errors import ProviderUnavailable, RemoteProtocolError

HIGH, LOW = "\ud83d", "\ude00"
END = Finished("stop")

CHARACTERS: list[tuple[str, list[StreamEvent], list[StreamEvent]]] = [
    ("whole text", [TextDelta("a😀"), END], [TextDelta("a😀"), END]),
    ("halves meet", [TextDelta("a" + HIGH), TextDelta(LOW + "b"), END], [TextDelta("a"), TextDelta("😀b"), END]),
    ("a half alone", [TextDelta(HIGH), TextDelta(LOW), END], [TextDelta("😀"), END]),
    ("halves in one", [TextDelta(HIGH + LOW)], [TextDelta("😀")]),
    ("no second half", [TextDelta(HIGH), TextDelta("b"), END], [TextDelta("\ufffdb"), END]),
    ("no first half", [TextDelta(LOW), END], [TextDelta("\ufffd"), END]),
    ("nothing more", [TextDelta("a" + HIGH), END], [TextDelta("a"), TextDelta("\ufffd"), END]),
    ("a cut stream", [TextDelta("a" + HIGH)], [TextDelta("a")]),
    ("empty text", [TextDelta("")], []),
    (
        "kinds do not mix",
        [TextDelta(HIGH), ReasoningDelta(LOW), ReasoningDelta(HIGH), TextDelta(LOW), END],
        [ReasoningDelta("\ufffd"), TextDelta("😀"), ReasoningDelta("\ufffd"), END],
    ),
    (
        "nor do calls",
        [ToolCallDelta(0, "a" + HIGH, "f" + LOW, HIGH), ToolCallDelta(1, "", "", LOW), ToolCallDelta(0, "", "", LOW)],
        [
            ToolCallDelta(0, "a\ufffd", "f\ufffd", ""),
            ToolCallDelta(1, "", "", "\ufffd"),
            ToolCallDelta(0, "", "", "😀"),
        ],
    ),
    (
        "a call ends in half",
        [ToolCallDelta(3, "", "", "x" + HIGH), END],
        [ToolCallDelta(3, "", "", "x"), ToolCallDelta(3, "", "", "\ufffd"), END],
    ),
    ("a call of nothing", [ToolCallDelta(0, "", "", "")], []),
    (
        "what is completed needs no second half",
        [
            TextDelta(HIGH),
            TextCompleted(HIGH + LOW),
            ToolCallDelta(0, "", "", HIGH),
            ToolCallCompleted(0, HIGH, "f", LOW),
            END,
        ],
        [TextCompleted("😀"), ToolCallCompleted(0, "\ufffd", "f", "\ufffd"), END],
    ),
    (
        "a block",
        [BlockCompleted(OpaquePart("d", {"a": [HIGH]}))],
        [BlockCompleted(OpaquePart("d", {"a": ["\ufffd"]}))],
    ),
]


@pytest.mark.parametrize(("events", "expected"), [pytest.param(*row[1:], id=row[0]) for row in CHARACTERS])
def test_characters_come_whole(events: list[StreamEvent], expected: list[StreamEvent]) -> None:
    assert whole_batch(events) == tuple(expected)


DEEP = 200_000
"""Deeper than any Python reads or writes."""


@pytest.mark.parametrize("value", [float("nan"), [1e999], "[" * 2])
def test_blocks_hold_what_can_be_kept(value: Any) -> None:
    deep: Any = value
    for _ in range(DEEP if isinstance(value, str) else 1):
        deep = [deep]
    with pytest.raises(RemoteProtocolError, match="the provider sent a value that cannot be kept"):
        whole_batch([BlockCompleted(OpaquePart("d", {"a": deep}))])
    with pytest.raises(RemoteProtocolError):
        json_text(deep)


class Spelling(WireDecoder):
    """Says each event's data letter by letter, and breaks off at an exclamation mark."""

    def _receive(self, event: ServerSentEvent) -> None:
        for letter in event.data.decode():
            if letter == "!":
                raise broken_off("!")
            self.done = letter == "."
            self._say(TextDelta(letter))


def test_what_an_event_said_before_its_error_counts() -> None:
    decoder = Spelling()
    with pytest.raises(ProviderUnavailable, match=r"broke off: !$"):
        decoder.receive_data(b"data: a\n\ndata: b!c\n\n")
    assert decoder.before_error == (TextDelta("a"), TextDelta("b"))


def test_nothing_follows_the_end() -> None:
    decoder = Spelling()
    assert not decoder.began
    assert decoder.receive_data(b"data: .\n\ndata: a\n\n") == (TextDelta("."),)
    assert decoder.began


ANY = msgspec.json.Decoder(dict[str, Any])
TEXTS = msgspec.json.Decoder(dict[str, str])


def test_json_may_hold_halves_of_characters() -> None:
    for data in ('{"a": "\\ud83d"}', b'{"a": "\\uD83D"}', b'\xef\xbb\xbf{"a": "\\ud83d"}'):
        assert decode_json(TEXTS, data) == {"a": HIGH}
    assert decode_json(TEXTS, b'{"a": "\xff"}') == {"a": "\ufffd"}


@pytest.mark.parametrize(
    "data",
    [
        "{",
        '{"a": "\ud83d"}',
        b"\xff",
        '{"a": 1}',
        '{"a": 1, "b": "\\ud83d"}',
        '{"b": "\\ud83d"',
        '{"a": NaN, "b": "\\ud83d"}',
    ],
)
def test_other_json_makes_no_sense(data: str | bytes) -> None:
    with pytest.raises(RemoteProtocolError, match=r"^the provider sent a chunk that makes no sense: "):
        decode_json(TEXTS, data)


def test_too_deep_json_makes_no_sense() -> None:
    for end in ("", ', "b": "\\ud83d"'):
        with pytest.raises(RemoteProtocolError):
            decode_json(ANY, '{"a": ' + "[" * 100_000 + "]" * 100_000 + end + "}")


def test_half_a_character_in_an_error_is_no_trouble() -> None:
    assert str(broken_off(HIGH)) == "the provider broke off: \ufffd"
    assert sendable(HIGH + LOW + HIGH) == "😀\ufffd"


# Towards a request


def call(name: str, tool: str = "f") -> ToolCallPart:
    return ToolCallPart(name, tool, "{}")


def result(name: str, text: str = "r") -> ToolResultPart:
    return ToolResultPart(name, text)


def asks(*parts: Part) -> Message:
    return Message("assistant", parts)


def gives(*parts: Part) -> Message:
    return Message("tool", parts)


USER = Message.of("user", "u")
PAIRS: list[tuple[str, list[Message], list[Message]]] = [
    ("nothing", [], []),
    ("a pair", [USER, asks(call("a")), gives(result("a"))], [USER, asks(call("a")), gives(result("a"))]),
    (
        "results in the order of their calls",
        [asks(call("a"), call("b")), gives(result("b"), result("a"))],
        [asks(call("a"), call("b")), gives(result("a"), result("b"))],
    ),
    (
        "results in two messages",
        [asks(call("a"), call("b")), gives(result("a")), gives(result("b"))],
        [asks(call("a"), call("b")), gives(result("a"), result("b"))],
    ),
    ("a call alone", [asks(TextPart("t"), call("a")), USER], [asks(TextPart("t")), USER]),
    ("a call at the end", [asks(call("a"))], [asks()]),
    ("a result alone", [USER, gives(result("a"))], [USER]),
    ("a result too late", [asks(call("a")), USER, gives(result("a"))], [asks(), USER]),
    ("a result too many", [asks(call("a")), gives(result("a"), result("b"))], [asks(call("a")), gives(result("a"))]),
    (
        "a result twice",
        [asks(call("a")), gives(result("a", "1"), result("a", "2"))],
        [asks(call("a")), gives(result("a", "1"))],
    ),
    ("a call twice", [asks(call("a"), call("a")), gives(result("a"))], [asks(call("a")), gives(result("a"))]),
    ("one id in two rounds", [asks(call("a")), gives(result("a"))] * 2, [asks(call("a")), gives(result("a"))] * 2),
    ("no id", [asks(call("")), gives(result(""))], [asks()]),
    ("no name", [asks(call("a", "")), gives(result("a"))], [asks()]),
    ("a user's call", [Message("user", (call("a"),)), gives(result("a"))], [Message("user", ())]),
    (
        "other parts",
        [asks(OpaquePart("d", {}), call("a")), gives(TextPart("x"), result("a"))],
        [asks(OpaquePart("d", {}), call("a")), gives(result("a"))],
    ),
]


@pytest.mark.parametrize(("messages", "expected"), [pytest.param(*row[1:], id=row[0]) for row in PAIRS])
def test_calls_have_results_and_results_have_calls(messages: list[Message], expected: list[Message]) -> None:
    assert paired(messages) == expected


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ('{"a": 1}', '{"a": 1}'),
        ("", "{}"),
        (" ", "{}"),
        ("{", "{}"),
        ("[1]", "{}"),
        ('{"a": "\\ud83d"}', '{"a": "\ufffd"}'),
        ('{"a": "' + HIGH + '"}', '{"a": "\ufffd"}'),
        ('{"a": NaN}', "{}"),
        ('{"a": ' + "[" * DEEP + "]" * DEEP + "}", "{}"),
    ],
)
def test_arguments_are_an_object(arguments: str, text: str) -> None:
    assert arguments_text(ToolCallPart("a", "f", arguments)) == text


def test_results_are_text() -> None:
    assert result_text(result("a", " r" + HIGH)) == " r\ufffd"
    assert result_text(result("a", " ")) == "(nothing)"
    assert result_text(ToolResultPart("a", "it is not there", is_error=True)) == "Error: it is not there"
