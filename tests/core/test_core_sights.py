"""What is new to those who look on: a table of turns, and that it adds up to the answer however it came."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from triolet.core.coalescer import Coalescer
from triolet.core.conversation import ConversationKey, Ending
from triolet.core.events import ReasoningDelta, TextCompleted, TextDelta, ToolStarted, TurnEvent
from triolet.core.sentences import Sentences
from triolet.core.sights import Delta, FirstDelta, SegmentEnded, Sentence, Sight, TurnBegan, TurnEnded, TurnSights


def first(at: float) -> FirstDelta:
    return FirstDelta(7, at)


def delta(text: str, at: float) -> Delta:
    return Delta(7, text, at)


def sentence(text: str, at: float) -> Sentence:
    return Sentence(7, text, at)


def segment(text: str, at: float) -> SegmentEnded:
    return SegmentEnded(7, text, at)


def test_sights_are_values() -> None:
    assert (
        TurnBegan(7, ConversationKey(1), 2.0)
        == TurnBegan(7, ConversationKey(1), 2.0)
        != TurnBegan(8, ConversationKey(1), 2.0)
    )


HEARD = ["One.", "Two.", "Three."]
TURNS: dict[str, list[tuple[tuple[str, ...], str, list[Sight]]]] = {
    "text grows, and sentences with it": [
        ((), "", []),
        ((), "Hel", [first(1), delta("Hel", 1)]),
        ((), "Hel", []),
        ((), "Hello. How", [delta("lo. How", 3), sentence("Hello.", 3)]),
    ],
    "white space is seen with what stands behind it": [
        ((), "\n\u200b", []),
        ((), "\n \nA", [first(1), delta("\n \nA", 1)]),
    ],
    "a segment ends, and another one begins": [
        ((), "Let me see", [first(0), delta("Let me see", 0)]),
        (("Let me see",), "", [sentence("Let me see", 1), segment("Let me see", 1)]),
        (("Let me see",), "There. ", [delta("There. ", 2), sentence("There.", 2)]),
        (("Let me see", "There. "), "", [segment("There. ", 3)]),
    ],
    "a segment has more than was seen of it": [
        ((), "One", [first(0), delta("One", 0)]),
        (("One <",), "", [delta(" <", 1), sentence("One <", 1), segment("One <", 1)]),
    ],
    "segments that were never live": [
        (
            ("One. Two", "Three"),
            "Four",
            [
                *(first(0), delta("One. Two", 0), sentence("One.", 0), sentence("Two", 0), segment("One. Two", 0)),
                *(delta("Three", 0), sentence("Three", 0), segment("Three", 0), delta("Four", 0)),
            ],
        ),
    ],
    "a completed text takes the place of what was seen": [
        (
            (),
            "One. I am Xi. And ",
            [first(0), delta("One. I am Xi. And ", 0), sentence("One.", 0), sentence("I am Xi.", 0)],
        ),
        ((), "One. I am Yo. And so", [delta("Yo. And so", 1), sentence("I am Yo.", 1)]),
        (("One. I am Yo. And so",), "", [sentence("And so", 2), segment("One. I am Yo. And so", 2)]),
    ],
    "a completed text is shorter, or nothing": [
        ((), "One. Two", [first(0), delta("One. Two", 0), sentence("One.", 0)]),
        ((), "One.", []),
        ((), "One. Then", [delta(" Then", 2)]),
        ((), " ", []),
        ((), "Else", [delta("Else", 4)]),
        (("Else",), "", [sentence("Else", 5), segment("Else", 5)]),
    ],
    "a completed text says again what was heard": [
        ((), "One. Two. Three. ", [first(0), delta("One. Two. Three. ", 0), *map(sentence, HEARD, [0, 0, 0])]),
        ((), "One. Four. Three. ", [delta("Four. Three. ", 1), sentence("Four.", 1), sentence("Three.", 1)]),
        (("One. Four. Three.",), "", [segment("One. Four. Three.", 2)]),
    ],
}


@pytest.mark.parametrize("turn", TURNS)
def test_what_is_new(turn: str) -> None:
    sights = TurnSights(7)
    for now, (before, text, new) in enumerate(TURNS[turn]):
        assert list(sights.grow(before, text, now)) == new


@pytest.mark.parametrize(
    ("before", "text", "new", "whole"),
    [
        ((), "Hello", [delta("lo", 2), sentence("Hello", 2), segment("Hello", 2)], "Hello"),
        ((), "Hel", [sentence("Hel", 2), segment("Hel", 2)], "Hel"),
        (("Hel",), "", [sentence("Hel", 2), segment("Hel", 2)], "Hel"),
        (("Hel",), "\n", [sentence("Hel", 2), segment("Hel", 2)], "Hel"),
        (
            ("Hel",),
            "lo",
            [sentence("Hel", 2), segment("Hel", 2), delta("lo", 2), sentence("lo", 2), segment("lo", 2)],
            "Hel\n\nlo",
        ),
        ((), "", [], ""),
    ],
)
def test_how_a_turn_ends(before: tuple[str, ...], text: str, new: list[Sight], whole: str) -> None:
    sights = TurnSights(7)
    list(sights.grow((), "Hel", 1))
    assert list(sights.end(Ending.STOPPED, before, text, 2)) == [*new, TurnEnded(7, Ending.STOPPED, whole, 2)]


def test_a_turn_without_text_has_no_first_delta() -> None:
    assert list(TurnSights(7).end(Ending.FAILED, (), " \n", 2)) == [TurnEnded(7, Ending.FAILED, "", 2)]


# Properties

EVENTS = st.one_of(
    st.sampled_from(["One. ", "Two", "! ", "\n", " ", "\n<think>secret</think>\n", "<thi", "```\n", "a. b"]).map(
        TextDelta
    ),
    st.just(ToolStarted("1", "clock")),
    st.just(ReasoningDelta("why")),
)
COMPLETED = st.sampled_from(["One. Two", "Three", ""]).map(TextCompleted)


def watch(batches: Sequence[Sequence[TurnEvent]]) -> tuple[list[Sight], str]:
    """All sights of a turn whose model said this, and the answer."""
    coalescer, sights, seen = Coalescer(["think"], reasoning=True), TurnSights(7), list[Sight]()
    for batch in batches:
        coalescer.receive(tuple(batch))
        frame = coalescer.take_frame()
        seen += sights.grow(frame.texts, frame.text, 0.0)
    frame = coalescer.finish()
    seen += sights.end(Ending.COMPLETE, frame.texts, frame.text, 0.0)
    return seen, coalescer.text


def segments(seen: list[Sight]) -> list[list[Sight]]:
    """The sights of each segment, with its end as the last one."""
    ends = [place for place, sight in enumerate(seen, start=1) if isinstance(sight, SegmentEnded)]
    return [seen[start:end] for start, end in pairwise([0, *ends])]


def spoken(text: str) -> list[str]:
    sentences = Sentences()
    return [*sentences.feed(text), *sentences.end()]


@given(st.lists(st.lists(EVENTS, max_size=4)))
def test_sights_add_up_to_the_answer(batches: list[list[TurnEvent]]) -> None:
    seen, answer = watch(batches)
    wholes = []
    for sights in segments(seen):
        whole = sights[-1]
        assert isinstance(whole, SegmentEnded)
        assert "".join(sight.text for sight in sights if isinstance(sight, Delta)) == whole.text
        assert [sight.text for sight in sights if isinstance(sight, Sentence)] == spoken(whole.text)
        wholes.append(whole.text)
    assert seen[-1] == TurnEnded(7, Ending.COMPLETE, answer, 0.0)
    assert "\n\n".join(wholes) == answer


@given(st.lists(st.lists(EVENTS | COMPLETED, max_size=4)))
def test_whatever_is_rewritten_the_ends_are_right(batches: list[list[TurnEvent]]) -> None:
    seen, answer = watch(batches)
    assert "\n\n".join(sight.text for sight in seen if isinstance(sight, SegmentEnded)) == answer
    deltas = [place for place, sight in enumerate(seen) if isinstance(sight, Delta)]
    firsts = [place for place, sight in enumerate(seen) if isinstance(sight, FirstDelta)]
    assert firsts == [place - 1 for place in deltas[:1]]
    assert all(sight.text for sight in seen if isinstance(sight, Delta | Sentence | SegmentEnded))
