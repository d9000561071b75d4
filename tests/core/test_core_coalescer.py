"""The coalescer: nothing is lost or changed, whatever frames are taken in between."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from triolet.core.coalescer import Coalescer, Frame
from triolet.core.conversation import Ending
from triolet.core.events import (
    Batch,
    Finished,
    FinishReason,
    ReasoningDelta,
    StreamEvent,
    TextDelta,
    ToolCallDelta,
    UsageReported,
)
from triolet.core.hidden import Hidden


def test_an_answer_step_by_step() -> None:
    coalescer = Coalescer()
    rows: list[tuple[Batch, Frame, Ending]] = [
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
    assert coalescer.usage == UsageReported(1, 2)


def test_frames_lack_what_may_be_hidden_and_the_text_does_not() -> None:
    coalescer = Coalescer(Hidden(["think"]))
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


@pytest.mark.case("C5")
def test_silent_answer_has_neither_frame_nor_text() -> None:
    coalescer = Coalescer()
    rows = [("\nNO", "\nNO", False), ("_REPLY", "", True), ("\n", "", True), ("means", "\nNO_REPLY\nmeans", False)]
    for delta, text, is_silent in rows:
        coalescer.receive((TextDelta(delta),))
        assert (coalescer.text, coalescer.is_silent) == (text, is_silent)
        assert coalescer.take_frame() == (Frame("", 0) if delta != "means" else Frame(text, 1))


def test_a_new_coalescer_knows_nothing() -> None:
    coalescer = Coalescer()
    assert (coalescer.text, coalescer.revision, coalescer.finished, coalescer.usage) == ("", 0, None, None)


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
    coalescer.receive((TextDelta("b"),))
    assert frame == Frame("a", 1)


EVENTS: st.SearchStrategy[StreamEvent] = st.one_of(
    st.builds(TextDelta, st.text(min_size=1, max_size=3)),
    st.builds(ReasoningDelta, st.text(min_size=1, max_size=3)),
    st.builds(UsageReported, st.integers(0, 9), st.integers(0, 9)),
)


@given(st.lists(st.tuples(st.lists(EVENTS, max_size=4), st.booleans())))
def test_any_batches_and_frames_give_the_same_text(batches: list[tuple[list[StreamEvent], bool]]) -> None:
    coalescer = Coalescer()
    text, revisions = "", {0: ""}
    for batch, take in batches:
        coalescer.receive(tuple(batch))
        text += "".join(event.text for event in batch if isinstance(event, TextDelta))
        if take:
            frame = coalescer.take_frame()
            assert text.startswith(frame.text)
            assert coalescer.text == text
            assert revisions.setdefault(frame.revision, frame.text) == frame.text, "a revision is one text"
    assert coalescer.text == text
