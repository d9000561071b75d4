"""When a model that fails is left alone, and when it is tried again."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from triolet.core.breaker import MAX_FAILURES, REST, WINDOW, Breaker


def broken(*, at: float = 0.0) -> Breaker:
    breaker = Breaker()
    for _ in range(MAX_FAILURES):
        breaker.failed(at)
    return breaker


def test_a_few_failures_are_nothing() -> None:
    breaker = Breaker()
    for _ in range(MAX_FAILURES - 1):
        breaker.failed(0.0)
    assert breaker.allows(0.0)


def test_many_failures_in_a_short_time_open_it_for_a_while() -> None:
    breaker = broken(at=100.0)
    assert not breaker.allows(100.0)
    assert not breaker.allows(100.0 + REST - 0.1)
    assert breaker.allows(100.0 + REST)


def test_failures_far_apart_do_not_open_it() -> None:
    breaker = Breaker()
    for number in range(3 * MAX_FAILURES):
        now = number * WINDOW / (MAX_FAILURES - 1)
        breaker.failed(now)
        assert breaker.allows(now)


def test_half_open_lets_one_try_at_a_time() -> None:
    breaker = broken()
    assert breaker.allows(REST)
    assert not breaker.allows(REST)
    assert not breaker.allows(2 * REST - 0.1)
    assert breaker.allows(2 * REST)


def test_one_more_failure_keeps_it_open_and_a_success_closes_it() -> None:
    breaker = broken()
    assert breaker.allows(REST)
    breaker.failed(REST + 5)
    assert not breaker.allows(2 * REST + 4)
    assert breaker.allows(2 * REST + 5)
    breaker.succeeded()
    assert breaker.allows(2 * REST + 5)
    breaker.failed(2 * REST + 6)
    assert breaker.allows(2 * REST + 6), "what was before the success is forgotten"


def test_success_forgets_failures_that_were_just_now() -> None:
    breaker = broken()
    breaker.succeeded()
    breaker.failed(1.0)
    assert not breaker.is_open


def test_failure_long_afterwards_does_not_close_it() -> None:
    breaker = broken()
    breaker.failed(2 * WINDOW)
    assert breaker.is_open
    assert not breaker.allows(2 * WINDOW + REST - 0.1)


@given(st.lists(st.tuples(st.floats(0, 50), st.sampled_from(["failed", "succeeded", "allows"]))))
def test_whoever_waits_long_enough_may_try(steps: list[tuple[float, str]]) -> None:
    breaker, now = Breaker(), 0.0
    for wait, act in steps:
        now += wait
        if act == "succeeded":
            breaker.succeeded()
        else:
            getattr(breaker, act)(now)
    assert breaker.allows(now + REST)
