"""What a model said in a round, put together."""

from __future__ import annotations

import pytest

from triolet.core.conversation import Ending, Message, OpaquePart, Part, TextPart, ToolCallPart
from triolet.core.events import (
    BlockCompleted,
    Finished,
    FinishReason,
    ReasoningDelta,
    StreamEvent,
    TextCompleted,
    TextDelta,
    ToolCallCompleted,
    ToolCallDelta,
    UsageReported,
)
from triolet.core.rounds import Round

BLOCK = OpaquePart("anthropic", {"type": "thinking", "signature": "x"})
ENDED = Finished("tool_calls")
SEARCH = ToolCallDelta(0, "a", "search", "{}")


def told(*events: StreamEvent) -> Round:
    answer = Round(["think"])
    answer.receive(events)
    return answer


@pytest.mark.parametrize(
    ("events", "parts"),
    [
        pytest.param([TextDelta("Hel"), TextDelta("lo"), ENDED], [TextPart("Hello")], id="text"),
        pytest.param([ReasoningDelta("hm"), UsageReported(1, 2)], [], id="what is no part"),
        pytest.param([TextDelta(" \n"), SEARCH, ENDED], [ToolCallPart("a", "search", "{}")], id="blank text"),
        pytest.param(
            [BlockCompleted(BLOCK), TextDelta("Look."), SEARCH, ENDED],
            [BLOCK, TextPart("Look."), ToolCallPart("a", "search", "{}")],
            id="in their order",
        ),
        pytest.param(
            [
                ToolCallDelta(0, "a", "search", ""),
                ToolCallDelta(2, "b", "fetch", '{"u'),
                ToolCallDelta(0, "", "", "{}"),
                ToolCallDelta(2, "", "", 'rl":1}'),
                ENDED,
            ],
            [ToolCallPart("a", "search", "{}"), ToolCallPart("b", "fetch", '{"url":1}')],
            id="fragments of two calls",
        ),
        pytest.param(
            [ToolCallDelta(0, "a", "search", '{"q'), ToolCallCompleted(0, "a", "search", '{"q":2}'), ENDED],
            [ToolCallPart("a", "search", '{"q":2}')],
            id="a completed call",
        ),
        pytest.param(
            [ToolCallDelta(4, "", "search", ""), ToolCallDelta(9, "", "fetch", ""), ENDED],
            [ToolCallPart("call_0", "search"), ToolCallPart("call_1", "fetch")],
            id="calls without ids",
        ),
        pytest.param(
            [ToolCallDelta(0, "a", "search", ""), ToolCallDelta(1, "a", "fetch", ""), ENDED],
            [ToolCallPart("a", "search"), ToolCallPart("call_1", "fetch")],
            id="two calls of one id",
        ),
        pytest.param(
            [
                ToolCallDelta(0, "", "search", ""),
                ToolCallDelta(1, "call_0", "fetch", ""),
                ToolCallDelta(2, "call_0", "save", ""),
                ToolCallDelta(3, "call_2", "send", ""),
                ENDED,
            ],
            [
                ToolCallPart("call_0_", "search"),
                ToolCallPart("call_0", "fetch"),
                ToolCallPart("call_2_", "save"),
                ToolCallPart("call_2", "send"),
            ],
            id="ids that look like ours",
        ),
        pytest.param(
            [SEARCH, ToolCallDelta(1, "b", "", "{}"), ENDED], [ToolCallPart("a", "search", "{}")], id="no name"
        ),
        pytest.param([SEARCH], [], id="a call of a round that was cut"),
        pytest.param([TextDelta("a"), SEARCH, Finished("length")], [TextPart("a")], id="a call that was cut off"),
        pytest.param(
            [TextDelta("a"), SEARCH, TextDelta("b"), TextCompleted("abc"), ENDED],
            [ToolCallPart("a", "search", "{}"), TextPart("abc")],
            id="completed text",
        ),
        pytest.param([TextDelta("<think>secret</think>Hi"), ENDED], [TextPart("Hi")], id="hidden text"),
        pytest.param([TextDelta("a <th"), ENDED], [TextPart("a <th")], id="what might have been hidden"),
    ],
)
def test_message(events: list[StreamEvent], parts: list[Part]) -> None:
    assert told(*events).message() == Message("assistant", tuple(parts))


def test_message_tells_how_it_ended() -> None:
    assert told(TextDelta("a")).message(Ending.STOPPED) == Message.of("assistant", "a", Ending.STOPPED)


@pytest.mark.parametrize(
    ("reason", "wants"),
    [("tool_calls", True), ("stop", True), ("other", True), ("length", False), ("content_filter", False)],
)
def test_who_wants_tools(reason: FinishReason, wants: bool) -> None:
    assert told(SEARCH, Finished(reason)).wants_tools is wants
    assert not told(TextDelta("a"), Finished(reason)).wants_tools


def test_calls_without_names_are_none() -> None:
    assert not told(ToolCallDelta(0, "a", "", "{}"), ENDED).wants_tools


@pytest.mark.parametrize(
    ("text", "spoken"),
    [("", False), (" \n", False), ("<think>much", False), ("<thi", False), ("a", True), ("<think>b</think>a", True)],
)
def test_who_has_spoken(text: str, spoken: bool) -> None:
    assert told(TextDelta(text), ReasoningDelta("hm"), SEARCH).has_spoken is spoken


def test_another_attempt_keeps_what_was_seen() -> None:
    answer = told(BlockCompleted(BLOCK), TextDelta("a"), SEARCH, ENDED)
    answer.begin_again()
    assert (answer.finished, answer.text, answer.message()) == (None, "a", Message.of("assistant", "a"))
    answer.receive((TextDelta("b"), ToolCallDelta(0, "c", "fetch", ""), ENDED))
    assert answer.message() == Message("assistant", (TextPart("ab"), ToolCallPart("c", "fetch")))


def test_another_attempt_forgets_what_was_not() -> None:
    answer = told(BlockCompleted(BLOCK), TextDelta("<think>a"), SEARCH, ENDED)
    answer.begin_again()
    answer.receive((TextDelta("b"), ENDED))
    assert (answer.text, answer.message()) == ("b", Message.of("assistant", "b"))


def test_what_might_have_been_hidden_was_not_seen() -> None:
    answer = told(TextDelta("<thi"))
    answer.begin_again()
    assert answer.text == ""


def test_another_attempt_begins_in_no_hidden_block() -> None:
    answer = told(TextDelta("a\n<think>b"))
    answer.begin_again()
    answer.receive((TextDelta("c"), ENDED))
    assert (answer.text, answer.message()) == ("a\nc", Message.of("assistant", "a\nc"))
