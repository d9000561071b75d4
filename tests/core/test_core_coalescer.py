"""The coalescer: nothing is lost or changed, whatever frames are taken in between."""

from __future__ import annotations

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from triolet.core.coalescer import READ, TOOLS_SHOWN, Coalescer, Frame, Prompt, Reasoning
from triolet.core.conversation import Ending, Message, ToolCallPart, ToolResultPart
from triolet.core.events import (
    ApprovalAsked,
    ApprovalEnded,
    Finished,
    FinishReason,
    ReasoningDelta,
    RoundEnded,
    RoundStarted,
    Steered,
    TextCompleted,
    TextDelta,
    ToolCallDelta,
    ToolEnded,
    ToolStarted,
    TurnBatch,
    TurnEvent,
    UsageReported,
)
from triolet.core.hidden import Hidden


def test_an_answer_step_by_step() -> None:
    coalescer = Coalescer()
    rows: list[tuple[TurnBatch, Frame, Ending]] = [
        ((), Frame("", 0), Ending.FAILED),
        ((ReasoningDelta("hm"),), Frame("", 0), Ending.FAILED),
        ((TextDelta("a"),), Frame("a", 1), Ending.FAILED),
        ((TextDelta("b"), ReasoningDelta("hm"), TextDelta("c")), Frame("abc", 3), Ending.FAILED),
        ((ToolCallDelta(0, "id", "name", "{}"),), Frame("abc", 3), Ending.FAILED),
        ((TextDelta("d"), Finished("stop")), Frame("abcd", 4), Ending.COMPLETE),
        ((UsageReported(1, 2),), Frame("abcd", 4), Ending.COMPLETE),
    ]
    for batch, frame, ending in rows:
        coalescer.receive(batch)
        assert coalescer.take_frame() == frame
        assert coalescer.take_frame() == frame, "taking a frame takes nothing away"
        assert (coalescer.text, coalescer.revision, coalescer.ending) == (frame.text, frame.revision, ending)
    assert coalescer.finished == Finished("stop")


def test_a_new_coalescer_knows_nothing() -> None:
    coalescer = Coalescer()
    assert (coalescer.text, coalescer.revision, coalescer.finished) == ("", 0, None)
    assert not coalescer.is_silent
    assert coalescer.finish() == Frame("", 0)


ENDINGS: list[tuple[FinishReason, Ending]] = [
    ("stop", Ending.COMPLETE),
    ("length", Ending.LENGTH),
    ("tool_calls", Ending.COMPLETE),
    ("content_filter", Ending.FILTERED),
    ("other", Ending.COMPLETE),
]


@pytest.mark.parametrize(("reason", "ending"), ENDINGS)
def test_how_a_stream_ended(reason: FinishReason, ending: Ending) -> None:
    coalescer = Coalescer()
    coalescer.receive((Finished(reason),))
    assert coalescer.ending is ending


def test_a_frame_taken_never_changes() -> None:
    coalescer = Coalescer()
    coalescer.receive((TextDelta("a"),))
    frame = coalescer.take_frame()
    coalescer.receive((TextDelta("b"), ToolStarted("1", "search"), TextDelta("c")))
    assert frame == Frame("a", 1)


@pytest.mark.parametrize(("text", "blank"), [("", True), (" \n\u200b", True), (" a", False)])
def test_a_frame_is_as_blank_as_its_live_text(text: str, blank: bool) -> None:
    assert Frame(text, 1, ("before",), "status").is_blank is blank


# Segments and tools

SEARCH, FETCH = ToolStarted("1", "search"), ToolStarted("2", "fetch")

WALKS: list[tuple[str, list[tuple[TurnBatch, Frame]]]] = [
    (
        "a tool ends a segment, and says that it runs and has run",
        [
            ((TextDelta("first"),), Frame("first", 1)),
            ((SEARCH,), Frame("", 2, ("first",), "⏳ search")),
            ((ToolEnded("1"),), Frame("", 3, ("first",), "✓ search")),
            ((TextDelta("second"),), Frame("second", 4, ("first",), "✓ search")),
            ((FETCH,), Frame("", 5, ("first", "second"), "⏳ fetch")),
        ],
    ),
    (
        "tools at once",
        [
            ((SEARCH, FETCH), Frame("", 2, (), "⏳ search · ⏳ fetch")),
            ((ToolEnded("2"),), Frame("", 3, (), "⏳ search · ✓ fetch")),
            ((ToolEnded("1"),), Frame("", 4, (), "✓ search · ✓ fetch")),
        ],
    ),
    (
        "tools one after the other, with nothing said in between",
        [
            ((SEARCH, ToolEnded("1"), TextDelta(" \n")), Frame("", 2, (), "✓ search")),
            ((FETCH,), Frame("", 3, (), "✓ search · ⏳ fetch")),
        ],
    ),
    ("a tool of that sign", [((ToolStarted("1", "⏳"), ToolEnded("1")), Frame("", 2, (), "✓ ⏳"))]),
    (
        "an end of nothing",
        [
            ((ToolEnded("1"),), Frame("", 0)),
            ((SEARCH, TextDelta("a"), FETCH, ToolEnded("1")), Frame("", 3, ("a",), "⏳ fetch")),
        ],
    ),
    (
        "what the provider says is whole counts",
        [
            ((TextDelta("fir"), TextCompleted("First.")), Frame("First.", 2)),
            ((TextDelta(" And"), SEARCH), Frame("", 4, ("First. And",), "⏳ search")),
            ((TextCompleted("Second."),), Frame("Second.", 5, ("First. And",), "⏳ search")),
            ((TextCompleted(""),), Frame("", 6, ("First. And",), "⏳ search")),
        ],
    ),
    (
        "a segment that repeats the one before it is said once",
        [
            ((TextDelta("Let me look.\n"), SEARCH), Frame("", 2, ("Let me look.\n",), "⏳ search")),
            ((TextDelta("\nLet me "),), Frame("", 3, ("Let me look.\n",), "⏳ search")),
            ((TextDelta("look."),), Frame("", 4, ("Let me look.\n",), "⏳ search")),
            ((FETCH,), Frame("", 5, ("Let me look.\n",), "⏳ fetch")),
            ((TextDelta("Let me think"),), Frame("Let me think", 6, ("Let me look.\n",), "⏳ fetch")),
        ],
    ),
    (
        "whatever white space is around it",
        [((TextDelta("\n a b"), SEARCH, TextDelta("a")), Frame("", 3, ("\n a b",), "⏳ search"))],
    ),
    (
        "one that goes on is another",
        [
            ((TextDelta("Yes"), SEARCH, TextDelta("Yes")), Frame("", 3, ("Yes",), "⏳ search")),
            ((TextDelta(", but"),), Frame("Yes, but", 4, ("Yes",), "⏳ search")),
            ((FETCH, TextDelta("Yes")), Frame("", 6, ("Yes", "Yes, but"), "⏳ fetch")),
        ],
    ),
    (
        "one that repeats an earlier one is said again",
        [
            ((TextDelta("a"), SEARCH, TextDelta("b"), FETCH), Frame("", 4, ("a", "b"), "⏳ fetch")),
            ((TextDelta("a"), ToolStarted("3", "x")), Frame("", 6, ("a", "b", "a"), "⏳ x")),
        ],
    ),
]


@pytest.mark.parametrize("rows", [pytest.param(row[1], id=row[0]) for row in WALKS])
def test_segments_and_tools(rows: list[tuple[TurnBatch, Frame]]) -> None:
    coalescer = Coalescer()
    for batch, frame in rows:
        coalescer.receive(batch)
        assert coalescer.take_frame() == frame
        assert coalescer.take_frame() == frame, "taking a frame takes nothing away"


FINISHED: list[tuple[str, TurnBatch, Frame, str]] = [
    ("text", (TextDelta("a"),), Frame("a", 1), "a"),
    ("after a tool", (TextDelta("a"), SEARCH, TextDelta("b")), Frame("b", 3, ("a",)), "a\n\nb"),
    ("with a tool", (TextDelta("a"), SEARCH), Frame("", 2, ("a",)), "a"),
    ("nothing but a tool", (SEARCH, ToolEnded("1")), Frame("", 2), ""),
    ("white space", (TextDelta(" \n"),), Frame("", 0), ""),
    ("white space after a tool", (TextDelta("a"), SEARCH, TextDelta("\n")), Frame("", 2, ("a",)), "a"),
    ("a repetition", (TextDelta("a b"), SEARCH, TextDelta(" a b\n")), Frame("", 3, ("a b",)), "a b"),
    ("white space around", (TextDelta(" a\n"), SEARCH, TextDelta("\nb ")), Frame("\nb ", 3, (" a\n",)), " a\n\n\n\nb "),
]


@pytest.mark.parametrize(("batch", "frame", "text"), [pytest.param(*row[1:], id=row[0]) for row in FINISHED])
def test_how_an_answer_ends(batch: TurnBatch, frame: Frame, text: str) -> None:
    """The line about tools is gone, and what is blank or said already is not said."""
    coalescer = Coalescer()
    coalescer.receive(batch)
    assert coalescer.finish() == coalescer.finish() == frame
    assert coalescer.text == text


# What is hidden


def test_frames_lack_what_may_be_hidden_and_the_text_does_not() -> None:
    coalescer = Coalescer(["think"])
    rows = [
        ("<thi", Frame("", 0), "<thi"),
        ("nk>secret", Frame("", 0), ""),
        ("</think>a", Frame("a", 1), "a"),
        ("\n<", Frame("a\n", 2), "a\n<"),
        ("b", Frame("a\n<b", 3), "a\n<b"),
    ]
    for delta, frame, text in rows:
        coalescer.receive((TextDelta(delta),))
        assert (coalescer.take_frame(), coalescer.text, coalescer.text) == (frame, text, text)


def test_each_segment_is_searched_for_hidden_text_by_itself() -> None:
    """A block that its segment leaves open hides nothing of the next, and a completed text is another."""
    coalescer = Coalescer(["think"])
    rows: list[tuple[TurnBatch, Frame, str]] = [
        ((TextDelta("a\n<think>secret"),), Frame("a\n", 1), "a\n"),
        ((SEARCH, TextDelta("b")), Frame("b", 3, ("a\n",), "⏳ search"), "a\n\n\nb"),
        ((TextCompleted("<think>secret</think>c"),), Frame("c", 4, ("a\n",), "⏳ search"), "a\n\n\nc"),
        ((TextCompleted("<think>secret"),), Frame("", 5, ("a\n",), "⏳ search"), "a\n"),
        ((FETCH,), Frame("", 6, ("a\n",), "⏳ search · ⏳ fetch"), "a\n"),
        ((TextDelta("d <"),), Frame("d ", 7, ("a\n",), "⏳ search · ⏳ fetch"), "a\n\n\nd <"),
        ((ToolStarted("3", "x"),), Frame("", 8, ("a\n", "d <"), "⏳ x"), "a\n\n\nd <"),
    ]
    for batch, frame, text in rows:
        coalescer.receive(batch)
        assert (coalescer.take_frame(), coalescer.text) == (frame, text)


@pytest.mark.case("C5")
def test_silent_answer_has_neither_frame_nor_text() -> None:
    coalescer = Coalescer()
    rows = [("\nNO", "\nNO", False), ("_REPLY", "", True), ("\n", "", True), ("means", "\nNO_REPLY\nmeans", False)]
    for delta, text, is_silent in rows:
        coalescer.receive((TextDelta(delta),))
        assert (coalescer.text, coalescer.is_silent) == (text, is_silent)
        assert coalescer.take_frame() == (Frame("", 0) if delta != "means" else Frame(text, 1))


def test_an_answer_that_said_something_is_not_silent() -> None:
    coalescer = Coalescer()
    coalescer.receive((TextDelta("a"), SEARCH, TextDelta("NO_REPLY")))
    assert (coalescer.is_silent, coalescer.text) == (False, "a")


def test_silence_may_follow_a_tool() -> None:
    coalescer = Coalescer()
    coalescer.receive((SEARCH, TextDelta("NO_REPLY")))
    assert (coalescer.is_silent, coalescer.text) == (True, "")


# Rounds, reasoning, questions

THOUGHT = Reasoning("hm, well")
ASKED = ApprovalAsked("1", "May I?", "a1", "d1")
OPEN = Prompt("1", "May I?", "a1", "d1")
OPEN_TOO = Prompt("2", "And I?", "a2", "d2")
STEERED = Steered((Message.of("user", "In French!"),))
OTHER = ApprovalAsked("2", "And I?", "a2", "d2")
CALLED = RoundEnded(Message("assistant", (ToolCallPart("1", "search"),)))
FAILED_SEARCH = ToolEnded("1", ToolResultPart("1", "no", is_error=True))
FOUND = ToolEnded("1", ToolResultPart("1", "yes"))

REASONED: list[tuple[str, list[tuple[TurnBatch, Frame]]]] = [
    (
        "reasoning is a segment of its own",
        [
            ((ReasoningDelta("hm, "),), Frame("", 1, reasoning="hm, ")),
            ((ReasoningDelta("well"),), Frame("", 2, reasoning="hm, well")),
            ((TextDelta("Yes"),), Frame("Yes", 3, (THOUGHT,))),
            ((ReasoningDelta("but"),), Frame("", 4, (THOUGHT, "Yes"), reasoning="but")),
            ((TextDelta("no"),), Frame("no", 5, (THOUGHT, "Yes", Reasoning("but")))),
            ((TextCompleted("Yesno!"),), Frame("no!", 6, (THOUGHT, "Yes", Reasoning("but")))),
        ],
    ),
    ("blank reasoning is none", [((ReasoningDelta(" \n"), TextDelta("Yes")), Frame("Yes", 2))]),
    (
        "a round's end is a segment's end, before any tool has started",
        [
            ((TextDelta("I look."), ReasoningDelta("hm, well"), CALLED), Frame("", 2, ("I look.", THOUGHT))),
            ((RoundStarted("m"), TextDelta("I look")), Frame("", 3, ("I look.", THOUGHT))),
        ],
    ),
    (
        "the text of a round is completed without that of the rounds before",
        [
            ((TextDelta("One"), ReasoningDelta("hm, well"), CALLED), Frame("", 2, ("One", THOUGHT))),
            ((TextDelta("One mor"), TextCompleted("One more")), Frame("One more", 4, ("One", THOUGHT))),
        ],
    ),
    (
        "another attempt takes back nothing that was seen, reasoning included",
        [
            ((RoundStarted("m"), ReasoningDelta("hm, well")), Frame("", 1, reasoning="hm, well")),
            ((RoundStarted("m", "late"),), Frame("", 2, (THOUGHT,), note="late")),
            ((TextDelta("Yes"),), Frame("Yes", 3, (THOUGHT,))),
            ((RoundStarted("m", "later"),), Frame("Yes", 4, (THOUGHT,), note="later")),
            ((TextDelta("<"),), Frame("Yes", 4, (THOUGHT,), note="later")),
            ((TextDelta("b>"),), Frame("Yes<b>", 5, (THOUGHT,))),
        ],
    ),
    (
        "and forgets what was not seen",
        [
            ((RoundStarted("m"), TextDelta("<think>hm")), Frame("", 0)),
            ((RoundStarted("m", "late"), TextDelta("Yes")), Frame("Yes", 2)),
        ],
    ),
    (
        "a note is that of its round",
        [
            ((SEARCH, FOUND), Frame("", 2, (), "✓ search")),
            ((RoundStarted("m", "late"),), Frame("", 3, (), "✓ search", note="late")),
            ((RoundStarted("m"),), Frame("", 4, (), "✓ search")),
            ((RoundStarted("m"),), Frame("", 4, (), "✓ search")),
        ],
    ),
    (
        "a note is old when there is a thought",
        [
            ((RoundStarted("m", "late"),), Frame("", 1, note="late")),
            ((ReasoningDelta("hm"),), Frame("", 2, reasoning="hm")),
        ],
    ),
    (
        "a note is old when there is a whole text",
        [((RoundStarted("m", "late"),), Frame("", 1, note="late")), ((TextCompleted("Yes"),), Frame("Yes", 2))],
    ),
    (
        "a note is old when there is the end of a round",
        [((RoundStarted("m", "late"),), Frame("", 1, note="late")), ((CALLED,), Frame("", 2))],
    ),
    (
        "a note is old when there is a tool",
        [((RoundStarted("m", "late"),), Frame("", 1, note="late")), ((SEARCH,), Frame("", 3, (), "⏳ search"))],
    ),
    (
        "what was said meanwhile is told of until more can be seen",
        [
            ((SEARCH, FOUND, STEERED), Frame("", 3, (), "✓ search", note=READ)),
            ((RoundStarted("m"),), Frame("", 3, (), "✓ search", note=READ)),
            ((RoundStarted("m", "late"),), Frame("", 4, (), "✓ search", note=f"{READ} · late")),
            ((RoundStarted("m"),), Frame("", 5, (), "✓ search", note=READ)),
            ((TextDelta("Yes"),), Frame("Yes", 6, (), "✓ search")),
        ],
    ),
    (
        "or until it thinks, or wants tools again",
        [
            ((STEERED,), Frame("", 1, note=READ)),
            ((ReasoningDelta("hm, well"),), Frame("", 2, reasoning="hm, well")),
            ((STEERED,), Frame("", 3, reasoning="hm, well", note=READ)),
            ((CALLED,), Frame("", 4, (THOUGHT,))),
        ],
    ),
    ("a tool that failed", [((SEARCH, FAILED_SEARCH), Frame("", 2, (), "✗ search"))]),
    (
        "a question stands where it was asked, and keeps its place when it is answered",
        [
            ((TextDelta("I look."), ASKED), Frame("", 2, ("I look.", OPEN))),
            ((OTHER,), Frame("", 3, ("I look.", OPEN, OPEN_TOO))),
            (
                (ApprovalEnded("1", "allowed"), SEARCH),
                Frame(
                    "", 5, ("I look.", evolve(OPEN, verdict="allowed"), Prompt("2", "And I?", "a2", "d2")), "⏳ search"
                ),
            ),
        ],
    ),
    (
        "of two questions about calls of one id the open one is answered",
        [
            ((ASKED, ApprovalEnded("1", "denied")), Frame("", 2, (evolve(OPEN, verdict="denied"),))),
            (
                (ASKED, ApprovalEnded("1", "unanswered")),
                Frame("", 4, (evolve(OPEN, verdict="denied"), evolve(OPEN, verdict="unanswered"))),
            ),
        ],
    ),
]


@pytest.mark.parametrize(("name", "walk"), REASONED, ids=[name for name, _ in REASONED])
def test_rounds_reasoning_and_questions(name: str, walk: list[tuple[TurnBatch, Frame]]) -> None:
    coalescer = Coalescer(["think"], reasoning=True)
    for batch, frame in walk:
        coalescer.receive(batch)
        assert coalescer.take_frame() == frame


def test_a_status_line_has_room_for_so_many_tools() -> None:
    coalescer = Coalescer()
    coalescer.receive(tuple(ToolStarted(str(number), f"n{number}") for number in range(TOOLS_SHOWN)))
    assert coalescer.take_frame().status.startswith("⏳ n0 · ")
    coalescer.receive((ToolStarted("x", "last"),))
    assert coalescer.take_frame().status.startswith("… · ⏳ n1 · ")
    assert coalescer.take_frame().status.endswith(" · ⏳ last")


def test_what_stands_before_the_live_text_is_another_when_it_changes_and_only_then() -> None:
    coalescer = Coalescer()
    begun = coalescer.before
    coalescer.receive((TextDelta("a"), TextDelta("b")))
    assert coalescer.before is begun
    coalescer.receive((ASKED,))
    assert coalescer.before == coalescer.take_frame().before == ("ab", OPEN)
    asked = coalescer.before
    coalescer.receive((ApprovalEnded(OPEN.call_id, "allowed"),))
    assert coalescer.before is not asked


def test_the_end_closes_what_is_open() -> None:
    coalescer = Coalescer(reasoning=True)
    coalescer.receive((ASKED, RoundStarted("m", "late"), ReasoningDelta("hm, well")))
    assert coalescer.finish() == Frame("", 3, (evolve(OPEN, verdict="unanswered"),), reasoning="hm, well")
    assert (coalescer.text, coalescer.finish().texts) == ("", ())


def test_reasoning_and_questions_are_no_answer() -> None:
    coalescer = Coalescer(reasoning=True)
    coalescer.receive((ReasoningDelta("hm"), ASKED, TextDelta("NO_REPLY"), Finished("stop")))
    assert (coalescer.text, coalescer.is_silent) == ("", True)


def test_another_attempt_begins_in_no_hidden_block() -> None:
    coalescer = Coalescer(["think"])
    coalescer.receive((TextDelta("a <\n<think>b"), RoundStarted("m"), TextDelta("c")))
    assert coalescer.text == "a <\nc"


def test_another_attempt_goes_on_with_what_was_withheld() -> None:
    coalescer = Coalescer(["think"])
    coalescer.receive((TextDelta("a\n<thi"), RoundStarted("m"), TextDelta("s>")))
    assert coalescer.text == "a\n<this>"


def test_completed_text_is_without_earlier_segments_and_hidden_text() -> None:
    coalescer = Coalescer(["think"], reasoning=True)
    coalescer.receive((TextDelta("<think>x</think>a "), ReasoningDelta("hm"), TextDelta("b")))
    coalescer.receive((TextCompleted("<think>x</think>a bc"),))
    assert coalescer.finish() == Frame("bc", 4, ("a ", Reasoning("hm")))


def test_the_end_of_a_round_is_not_that_of_the_next() -> None:
    coalescer = Coalescer()
    coalescer.receive((Finished("tool_calls"), CALLED, RoundStarted("m"), TextDelta("a")))
    assert coalescer.ending is Ending.FAILED


def test_what_a_frame_shows() -> None:
    assert Frame(" ", 1, reasoning="\n").is_blank
    assert not Frame("", 1, reasoning="a").is_blank
    assert Frame("", 1, ("a", THOUGHT, OPEN, "b")).texts == ("a", "b")


# Any stream

TAGS = ["think"]
WORDS = st.text(st.sampled_from("ab \n"), min_size=1, max_size=3) | st.sampled_from(
    ["<think>", "</think>", "<", "NO_REPLY"]
)
EVENTS: st.SearchStrategy[TurnEvent] = st.one_of(
    st.builds(TextDelta, st.text(min_size=1, max_size=3)),
    st.builds(ReasoningDelta, st.text(min_size=1, max_size=3)),
    st.builds(UsageReported, st.integers(0, 9), st.integers(0, 9)),
)
WITH_TOOLS: st.SearchStrategy[TurnEvent] = st.one_of(
    st.builds(TextDelta, WORDS),
    st.builds(TextCompleted, WORDS),
    st.builds(ToolStarted, st.sampled_from("12"), st.just("tool")),
    st.builds(ToolEnded, st.sampled_from("12")),
)


@given(st.lists(st.tuples(st.lists(EVENTS, max_size=4), st.booleans())))
def test_any_batches_and_frames_give_the_same_text(batches: list[tuple[list[TurnEvent], bool]]) -> None:
    coalescer = Coalescer()
    text, revisions = "", {0: ""}
    for batch, take in batches:
        coalescer.receive(tuple(batch))
        text += "".join(event.text for event in batch if isinstance(event, TextDelta))
        if take:
            frame = coalescer.take_frame()
            assert frame.text == Hidden().feed(text)
            assert revisions.setdefault(frame.revision, frame.text) == frame.text, "a revision is one text"
    assert coalescer.finish().text == coalescer.text == ("" if Frame(text, 0).is_blank else text)


def seen_of(segment: str) -> str:
    hidden = Hidden(TAGS)
    return hidden.feed(segment) + hidden.rest


def said(events: list[TurnEvent]) -> list[str]:
    """What was said, segment after segment, stripped: the second opinion, made from all events at once."""
    segments = [""]
    for event in events:
        if isinstance(event, TextDelta):
            segments[-1] += event.text
        elif isinstance(event, TextCompleted):
            segments[-1] = event.text
        elif isinstance(event, ToolStarted):
            segments.append("")
    visible = [text for segment in segments if (text := seen_of(segment).strip())]
    return [text for text, before in zip(visible, [None, *visible], strict=False) if text != before]


@given(st.lists(st.tuples(WITH_TOOLS, st.booleans()), max_size=30))
def test_any_segments_are_said_once_and_in_order(events: list[tuple[TurnEvent, bool]]) -> None:
    """Whatever frames are taken; a frame is a beginning, without what may turn out to be hidden or a repetition."""
    coalescer = Coalescer(TAGS)
    seen: dict[int, Frame] = {}
    for number, (event, take) in enumerate(events):
        before = coalescer.take_frame().before
        coalescer.receive((event,))
        frame = coalescer.take_frame() if take else coalescer.finish()
        assert frame.before[: len(before)] == before, "what is whole stays"
        if take:
            assert seen.setdefault(frame.revision, frame) == frame, "a revision is one frame"
        expected = said([event for event, _ in events[: number + 1]])
        shown = [text.strip() for text in (*frame.texts, frame.text) if text.strip()]
        assert shown == expected or take
        assert shown[:-1] == expected[: len(shown) - 1] if shown else not frame.before
        assert len(shown) >= len(expected) - 1
        assert all(text.startswith(part) for text, part in zip(expected, shown, strict=False))
    assert coalescer.text.split() == " ".join(said([event for event, _ in events])).split()


@pytest.mark.parametrize(
    ("events", "awaits"),
    [
        ((), ""),
        ((TextDelta("Yes"),), ""),
        ((SEARCH,), "search"),
        ((SEARCH, ToolStarted("2", "⏳ read")), "search, ⏳ read"),
        ((SEARCH, ToolStarted("2", "read"), FOUND), "read"),
        ((SEARCH, FAILED_SEARCH), ""),
        ((SEARCH, OTHER), "permission to use a tool"),
        ((SEARCH, OTHER, ApprovalEnded("2", "denied")), "search"),
    ],
)
def test_what_an_answer_waits_for(events: TurnBatch, awaits: str) -> None:
    coalescer = Coalescer()
    coalescer.receive(events)
    assert coalescer.awaits == awaits
