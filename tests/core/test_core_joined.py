"""Deltas of text that follow each other become one, and nothing else changes."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from triolet.core.events import Batch, Finished, ReasoningDelta, StreamEvent, TextDelta, UsageReported, joined

USAGE = UsageReported(1, 2)

CASES: list[tuple[Batch, Batch]] = [
    ((), ()),
    ((TextDelta("a"),), (TextDelta("a"),)),
    ((TextDelta("a"), TextDelta("b"), TextDelta("c")), (TextDelta("abc"),)),
    ((USAGE, TextDelta("a"), TextDelta("b"), USAGE), (USAGE, TextDelta("ab"), USAGE)),
    ((TextDelta("a"), USAGE, TextDelta("b")), (TextDelta("a"), USAGE, TextDelta("b"))),
    ((ReasoningDelta("a"), ReasoningDelta("b")), (ReasoningDelta("a"), ReasoningDelta("b"))),
]


@pytest.mark.parametrize(("batch", "expected"), CASES)
def test_neighbours_are_joined(batch: Batch, expected: Batch) -> None:
    assert joined(batch) == expected


EVENTS: st.SearchStrategy[StreamEvent] = st.one_of(
    st.text(max_size=3).map(TextDelta),
    st.text(max_size=3).map(ReasoningDelta),
    st.just(USAGE),
    st.just(Finished("stop")),
)


def letters(batch: Batch) -> list[object]:
    """The same with each character by itself."""
    return [part for event in batch for part in (event.text if isinstance(event, TextDelta) else [event])]


@given(st.lists(EVENTS).map(tuple))
def test_all_is_there_in_its_order(batch: Batch) -> None:
    found = joined(batch)
    assert letters(found) == letters(batch)
    kinds = [type(event) for event in found]
    assert (TextDelta, TextDelta) not in itertools.pairwise(kinds)
