"""What a turn leaves in the history, whenever it ends."""

from __future__ import annotations

import pytest

from triolet.core.conversation import Ending, Message, OpaquePart, TextPart, ToolCallPart, ToolResultPart
from triolet.core.events import (
    ApprovalAsked,
    BlockCompleted,
    Finished,
    RoundEnded,
    RoundStarted,
    Steered,
    TextDelta,
    ToolEnded,
    ToolStarted,
    TurnEvent,
)
from triolet.core.transcript import NOT_KNOWN, NOT_RUN, Transcript

SEARCH, FETCH = ToolCallPart("1", "search", "{}"), ToolCallPart("2", "fetch")
ROUND = Message("assistant", (TextPart("I look."), SEARCH, FETCH))
FOUND, FETCHED = ToolResultPart("1", "found"), ToolResultPart("2", "fetched")
ASKED: list[TurnEvent] = [RoundStarted("m"), TextDelta("I look."), Finished("tool_calls"), RoundEnded(ROUND)]
RAN: list[TurnEvent] = [ToolStarted("2", "fetch"), ToolEnded("2", FETCHED), ToolEnded("1", FOUND)]
RESULTS = Message("tool", (FOUND, FETCHED))


SAID = Message.of("user", "In French!")
STEERED = Steered((SAID,))


def lost(call: ToolCallPart, why: str = NOT_RUN) -> ToolResultPart:
    return ToolResultPart(call.call_id, why, is_error=True)


@pytest.mark.parametrize(
    ("events", "messages"),
    [
        pytest.param([], [], id="nothing"),
        pytest.param([RoundStarted("m"), TextDelta("Hi")], [Message.of("assistant", "Hi", Ending.STOPPED)], id="text"),
        pytest.param([RoundStarted("m"), TextDelta(" ")], [], id="blank text"),
        pytest.param([*ASKED, *RAN], [ROUND, RESULTS], id="a round"),
        pytest.param(
            [*ASKED, *RAN, RoundStarted("m"), TextDelta("Hi")],
            [ROUND, RESULTS, Message.of("assistant", "Hi", Ending.STOPPED)],
            id="a round and the answer",
        ),
        pytest.param([*ASKED, *RAN, STEERED], [ROUND, RESULTS, SAID], id="a round and what was said meanwhile"),
        pytest.param(
            [*ASKED, *RAN, STEERED, RoundStarted("m"), TextDelta("Oui")],
            [ROUND, RESULTS, SAID, Message.of("assistant", "Oui", Ending.STOPPED)],
            id="which is answered",
        ),
        pytest.param(
            [*ASKED, *RAN, STEERED, *ASKED, *RAN, Steered((SAID, SAID)), *ASKED],
            [ROUND, RESULTS, SAID, ROUND, RESULTS, SAID, SAID, ROUND, Message("tool", (lost(SEARCH), lost(FETCH)))],
            id="as often as need be",
        ),
        pytest.param([*ASKED, *RAN, *ASKED, *RAN], [ROUND, RESULTS, ROUND, RESULTS], id="two rounds"),
        pytest.param(ASKED, [ROUND, Message("tool", (lost(SEARCH), lost(FETCH)))], id="before the tools ran"),
        pytest.param(
            [*ASKED, ApprovalAsked("1", "?", "a", "d"), *RAN[:2]],
            [ROUND, Message("tool", (lost(SEARCH), FETCHED))],
            id="while a person was asked",
        ),
        pytest.param(
            [*ASKED, ToolStarted("1", "search"), *RAN[:2]],
            [ROUND, Message("tool", (lost(SEARCH, NOT_KNOWN), FETCHED))],
            id="while one of them ran",
        ),
        pytest.param(
            [*ASKED, *RAN, *ASKED, *RAN[:2]],
            [ROUND, RESULTS, ROUND, Message("tool", (lost(SEARCH), FETCHED))],
            id="before one of the second round ran, whose ids are those of the first",
        ),
        pytest.param(
            [*ASKED, *RAN, RoundStarted("m"), TextDelta("<think>x</think>Hi")],
            [ROUND, RESULTS, Message.of("assistant", "Hi", Ending.STOPPED)],
            id="hidden text behind a round",
        ),
        pytest.param(
            [*ASKED, ToolEnded("1"), ToolEnded("2", FETCHED)],
            [ROUND, Message("tool", (lost(SEARCH), FETCHED))],
            id="one of them without a result",
        ),
        pytest.param(
            [RoundStarted("m"), TextDelta("<think>x"), RoundStarted("m", "again"), TextDelta("Hi")],
            [Message.of("assistant", "Hi", Ending.STOPPED)],
            id="an attempt of which nothing was seen",
        ),
        pytest.param(
            [RoundStarted("m"), TextDelta("Hi"), RoundStarted("m", "going on"), TextDelta(" there")],
            [Message.of("assistant", "Hi there", Ending.STOPPED)],
            id="an answer that was continued",
        ),
        pytest.param(
            [BlockCompleted(OpaquePart("x", {})), TextDelta("Hi")],
            [Message.of("assistant", "Hi", Ending.STOPPED)],
            id="blocks are for the next round, and there is none",
        ),
    ],
)
def test_history_is_fit_to_be_sent_again(events: list[TurnEvent], messages: list[Message]) -> None:
    for chunk in ([tuple(events)], [(event,) for event in events]):
        transcript = Transcript(["think"])
        for batch in chunk:
            transcript.receive(batch)
        assert transcript.finish(Ending.STOPPED) == messages


SEARCHING = ToolStarted("1", "search")
GOING_ON: list[TurnEvent] = [RoundStarted("m"), TextDelta("Hi"), RoundStarted("m", "going on"), TextDelta(" there")]
EVENTS: list[TurnEvent] = [*ASKED, SEARCHING, *RAN, STEERED, *ASKED, ApprovalAsked("1", "?", "a", "d"), *RAN, *GOING_ON]


def test_what_is_asked_on_the_way_changes_nothing_and_is_what_an_end_there_would_leave() -> None:
    """A checkpoint, at any time and any number of times."""
    observed = Transcript()
    for number in range(len(EVENTS) + 1):
        plain = Transcript()
        plain.receive(tuple(EVENTS[:number]))
        assert observed.finish(Ending.KILLED) == observed.finish(Ending.KILLED) == plain.finish(Ending.KILLED)
        observed.receive(tuple(EVENTS[number : number + 1]))
    assert observed.finish(Ending.COMPLETE)[-1] == Message.of("assistant", "Hi there")
