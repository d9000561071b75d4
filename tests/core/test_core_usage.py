"""What answers use: which reports count, what a sum says of unknown prices, and how it is told."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from triolet.core.events import Finished, RoundStarted, TextDelta, TurnBatch, UsageReported
from triolet.core.usage import LEFT_OUT, MOST_TOKENS, Spent, Tally, Totals, render_footer, render_usage


def dear(model: str, usage: UsageReported) -> float | None:
    """A dollar a token, in or out, of every model but one."""
    return None if model == "secretive" else float(usage.input_tokens + usage.output_tokens)


def tallied(*batches: TurnBatch) -> tuple[Spent, ...]:
    tally = Tally()
    for batch in batches:
        tally.receive(batch)
    return tally.spent(dear)


A, B, SECRETIVE = RoundStarted("a"), RoundStarted("b"), RoundStarted("secretive")

TALLIES: dict[str, tuple[TurnBatch, tuple[Spent, ...]]] = {
    "nothing": ((), ()),
    "no report": ((A, TextDelta("x"), Finished("stop")), ()),
    "one report": ((A, TextDelta("x"), UsageReported(5, 2, 3, 1)), (Spent("a", 5, 2, 3, 1, 7.0),)),
    "the newest of a round counts": ((A, UsageReported(5, 1), UsageReported(5, 9)), (Spent("a", 5, 9, cost=14.0),)),
    "also if it is less": ((A, UsageReported(5, 9), UsageReported(4, 0)), (Spent("a", 4, 0, cost=4.0),)),
    "rounds are added": (
        (A, UsageReported(5, 2, 3, 1), A, UsageReported(10, 20, 30, 40)),
        (Spent("a", 15, 22, 33, 41, 37.0),),
    ),
    "an abandoned attempt counts": (
        (A, UsageReported(5, 0), B, UsageReported(6, 1)),
        (Spent("a", 5, 0, cost=5.0), Spent("b", 6, 1, cost=7.0)),
    ),
    "one that reported nothing does not": ((A, B, UsageReported(6, 1)), (Spent("b", 6, 1, cost=7.0),)),
    "each model once, the first one first": (
        (B, UsageReported(1, 0), A, UsageReported(2, 0), B, UsageReported(3, 0)),
        (Spent("b", 4, 0, cost=4.0), Spent("a", 2, 0, cost=2.0)),
    ),
    "an unknown price": ((SECRETIVE, UsageReported(5, 2)), (Spent("secretive", 5, 2, cost=None),)),
    "a report of no round": ((UsageReported(5, 2), A), ()),
    "impossible counts": (
        (A, UsageReported(-5, 2**200, -1, 2**64)),
        (Spent("a", 0, MOST_TOKENS, 0, MOST_TOKENS, float(MOST_TOKENS)),),
    ),
}


@pytest.mark.parametrize("case", TALLIES)
def test_a_tally(case: str) -> None:
    events, spent = TALLIES[case]
    assert tallied(events) == spent
    assert tallied(*((event,) for event in events)) == spent, "batches are an accident"


def test_a_price_that_is_unknown_for_one_round_is_unknown_for_all() -> None:
    tally = Tally()
    tally.receive((A, UsageReported(5, 0), A, UsageReported(6, 0)))
    [spent] = tally.spent(lambda _model, usage: 1.0 if usage.input_tokens == 5 else None)
    assert spent == Spent("a", 11, 0, cost=None)


def test_totals_tell_the_known_cost_from_the_unknown() -> None:
    spent = [Spent("a", 1, 2, 1, 1, 0.5), Spent("b", 10, 20), Spent("a", 100, 200, cost=0.25), Spent("b", 0, 0)]
    assert Totals.of(spent) == Totals(111, 222, 1, 0.75, ("b",))
    assert Totals.of([]) == Totals()


# The footer

FOOTERS: list[tuple[list[Spent], str]] = [
    ([], ""),
    ([Spent("gpt-5", 1234, 56, 1000, cost=0.0123)], "gpt-5 · 1,234 in (1,000 cached) · 56 out · $0.0123"),
    ([Spent("gpt-5", 1234, 56, cost=0.0123)], "gpt-5 · 1,234 in · 56 out · $0.0123"),
    ([Spent("llama", 1234, 56)], "llama · 1,234 in · 56 out"),
    ([Spent("a", 1, 2, 1, cost=0.5), Spent("b", 3, 4, cost=0.25)], "a, b · 4 in (1 cached) · 6 out · $0.7500"),
    ([Spent("a", 1, 2, cost=0.5), Spent("b", 3, 4)], "a, b · 4 in · 6 out"),
]


@pytest.mark.parametrize(("spent", "line"), FOOTERS)
def test_the_footer(spent: list[Spent], line: str) -> None:
    assert render_footer(spent) == line


DOLLARS = {
    0.0: "$0.00",
    1e-9: "<$0.0001",
    0.0000999: "<$0.0001",
    0.0001: "$0.0001",
    0.01: "$0.0100",
    0.99994: "$0.9999",
    1.0: "$1.00",
    1234.5: "$1,234.50",
}


@pytest.mark.parametrize(("cost", "shown"), DOLLARS.items())
def test_dollars(cost: float, shown: str) -> None:
    assert render_footer([Spent("a", 1, 2, cost=cost)]) == f"a · 1 in · 2 out · {shown}"


# /usage


def test_usage_of_nothing() -> None:
    assert render_usage(last=(), today=(), ever=()) == "No answer here has reported any usage yet."


def test_usage() -> None:
    last = [Spent("gpt-5", 1234, 56, 1000, cost=0.0123)]
    ever = [Spent("gpt-5", 30_000, 4_000, 2_000, cost=1.5), Spent("gpt-4", 5, 5, cost=0.5)]
    assert render_usage(last=last, today=last, ever=ever).splitlines() == [
        "Last answer: gpt-5 · 1,234 in (1,000 cached) · 56 out · $0.0123",
        "Today: 1,234 in (1,000 cached) · 56 out · $0.0123",
        "In all: 30,005 in (2,000 cached) · 4,005 out · $2.00",
        LEFT_OUT,
    ]


def test_usage_says_what_has_no_price() -> None:
    last, other = [Spent("llama", 7, 8)], [Spent("a", 1, 1, cost=0.5), Spent("qwen", 1, 1)]
    assert render_usage(last=last, today=last, ever=[*last, *other, *last]).splitlines() == [
        "Last answer: llama · 7 in · 8 out · price unknown",
        "Today: 7 in · 8 out · price unknown",
        "In all: 16 in · 18 out · $0.5000 and what llama, qwen cost, whose price is unknown",
        LEFT_OUT,
    ]


def test_usage_of_another_day() -> None:
    lines = render_usage(last=(), today=(), ever=[Spent("a", 1, 1, cost=0.5)]).splitlines()
    assert lines == ["Last answer: nothing reported", "Today: nothing", "In all: 1 in · 1 out · $0.5000", LEFT_OUT]


spends = st.builds(
    Spent,
    st.sampled_from("abc"),
    st.integers(0, MOST_TOKENS),
    st.integers(0, MOST_TOKENS),
    cost=st.none() | st.floats(0, 1e6),
)


@given(st.lists(spends, min_size=1))
def test_an_unknown_price_is_always_said(spent: list[Spent]) -> None:
    footer, total = render_footer(spent), render_usage(last=spent, today=spent, ever=spent)
    unknown = any(each.cost is None for each in spent)
    assert ("$" in footer) is not unknown
    assert total.count("unknown") == (3 if unknown else 0)
