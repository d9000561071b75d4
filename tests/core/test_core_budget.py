"""Budgets against a server that counts each call at the worst moment between its sending and its reply.

The oracles know nothing of the classes: they are given the instants that a server may have counted, and look at
every stretch of time between two of them. Times are multiples of 1/8, so that sums are exact.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TypeAlias

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from triolet.core.budget import (
    RECOVERY,
    Allowance,
    Bucket,
    ChatBudget,
    Cost,
    Priority,
    Throttle,
    Window,
    latest,
    open_overall,
)

inf = math.inf

Row: TypeAlias = tuple[float, str, float, float]
"""At a time, begin or end a call or neither; then when the next frame and the next lasting message are free."""

WINDOW: list[Row] = [  # 3 calls in 10 s, 1 of them kept
    (0, "", 0, 0),
    (0, "begin", 0, 0),
    (1, "end", 1, 1),
    (2, "begin", 11, 2),
    (3, "begin", inf, 11),
    (4, "end", 14, 11),
    (6, "end", 14, 11),
    (10.875, "", 14, 11),
    (11, "", 14, 11),
    (13.875, "", 14, 13.875),
    (14, "", 14, 14),
    (14, "begin", 16, 14),
    (14, "begin", inf, 16),
    (15, "", inf, 16),
    (16, "begin", inf, inf),
    (17, "end", inf, 27),
    (18, "end", 28, 27),
    (19, "end", 28, 27),
    (100, "", 100, 100),
]
BUCKET: list[Row] = [  # 3 calls at once, one more every 10 s, 1 of them kept
    (0, "", 0, 0),
    (0, "begin", 0, 0),
    (0, "begin", inf, 0),
    (0, "begin", inf, inf),
    (1, "end", inf, 11),
    (1, "end", 21, 11),
    (1, "end", 21, 11),
    (2, "", 21, 11),
    (11, "", 21, 11),
    (11, "begin", 31, 21),
    (12, "end", 31, 21),
    (21, "", 31, 21),
    (31, "", 31, 31),
    (40.875, "", 40.875, 40.875),
    (41, "begin", 41, 41),
    (45, "end", 45, 45),
    (46, "begin", 55, 46),
    (46, "end", 55, 46),
    (46, "", 55, 46),
    (55, "", 55, 55),
    (1000, "", 1000, 1000),
]


@pytest.mark.parametrize(
    ("allowance", "timeline"), [(Window(3, 10.0, kept=1), WINDOW), (Bucket(3, 10.0, kept=1), BUCKET)]
)
def test_when_the_next_call_is_free(allowance: Allowance, timeline: list[Row]) -> None:
    found = []
    for now, what, _, _ in timeline:
        if what == "begin":
            allowance.begin()
        elif what == "end":
            allowance.end(now)
        free = [allowance.free_at(now, priority) for priority in (Priority.FRAME, Priority.LASTING)]
        found.append((now, what, *free))
    assert found == timeline


@pytest.mark.parametrize("allowance", [Window(2, 10.0), Bucket(2, 10.0)])
def test_without_a_reserve_all_places_are_for_all(allowance: Allowance) -> None:
    for _ in range(2):
        assert allowance.free_at(0.0, Priority.FRAME) == 0.0
        allowance.begin()
    assert allowance.free_at(0.0, Priority.FRAME) == inf


AT_ONCE = [  # limit and kept; how many calls of each priority fill the places, from lasting to cosmetic
    (1, 0, [1, 1, 1, 1]),
    (2, 0, [2, 2, 2, 1]),
    (3, 1, [3, 3, 2, 2]),
    (4, 1, [4, 4, 3, 2]),
    (5, 1, [5, 5, 4, 3]),
    (5, 3, [5, 5, 2, 2]),
    (20, 3, [20, 20, 17, 10]),
]


@pytest.mark.parametrize("kind", [Window, Bucket])
@pytest.mark.parametrize(("limit", "kept", "expected"), AT_ONCE)
def test_how_many_places_a_priority_may_fill(
    kind: type[Window | Bucket], limit: int, kept: int, expected: list[int]
) -> None:
    found = []
    for priority in sorted(Priority):
        allowance = kind(limit, 10.0, kept=kept)
        begun = 0
        while allowance.free_at(0.0, priority) == 0.0:
            allowance.begin()
            begun += 1
        found.append(begun)
    assert found == expected


def test_a_window_forgets_the_calls_that_have_left() -> None:
    window = Window(2, 1.0)
    for now in range(100):
        assert window.free_at(now, Priority.FRAME) == now
        window.begin()
        window.end(now)
    assert len(window._leaving) <= 2


# Any sequence of calls


@attrs.frozen
class Wish:
    """A call somebody wants to make ``pause`` seconds after the one before; the server counts it somewhere within."""

    pause: float
    latency: float
    counted: float
    priority: Priority


@attrs.define
class Caller:
    """Makes each call at the first moment that the allowance names for it, in order, and gives every reply."""

    allowance: Allowance
    now: float = 0.0
    running: list[float] = attrs.Factory(list)
    counted: list[float] = attrs.Factory(list)

    def make(self, wish: Wish) -> None:
        self.advance(self.now + wish.pause)
        while (free := self.allowance.free_at(self.now, wish.priority)) > self.now:
            assert free < inf or self.running, "only a running call can keep a place for an unknown time"
            self.advance(min([free, *self.running]))
        assert free == self.now
        self.allowance.begin()
        self.running.append(self.now + wish.latency)
        self.counted.append(self.now + wish.counted * wish.latency)

    def advance(self, now: float) -> None:
        for ended in sorted(self.running):
            if ended <= now:
                self.running.remove(ended)
                self.allowance.end(ended)
        self.now = now


EIGHTHS = st.just(0.0) | st.integers(0, 60).map(lambda n: n / 8)
WISHES = st.builds(Wish, EIGHTHS, EIGHTHS, st.sampled_from([0.0, 0.5, 1.0]), st.sampled_from(Priority))
INSTANT = st.builds(Wish, EIGHTHS, st.just(0.0), st.just(0.0), st.just(Priority.LASTING))
INTERIM = st.builds(Wish, EIGHTHS, EIGHTHS, st.just(0.0), st.sampled_from([Priority.FRAME, Priority.COSMETIC]))
LIMITS = st.tuples(st.integers(1, 5), st.sampled_from([0.25, 1.0, 4.0])).flatmap(
    lambda limits: st.tuples(st.just(limits[0]), st.just(limits[1]), st.integers(0, limits[0] - 1))
)
Limits: TypeAlias = tuple[int, float, int]


def in_window(counted: list[float], limit: int, period: float) -> bool:
    return all(sum(start <= other < start + period for other in counted) <= limit for start in counted)


def in_bucket(counted: list[float], capacity: int, period: float) -> bool:
    return all(
        sum(start <= other <= end for other in counted) <= capacity + (end - start) / period
        for start in counted
        for end in counted
        if start <= end
    )


Law: TypeAlias = Callable[[list[float], int, float], bool]
KINDS = pytest.mark.parametrize(("kind", "law"), [(Window, in_window), (Bucket, in_bucket)])


@KINDS
@given(limits=LIMITS, wishes=st.lists(WISHES, max_size=40))
def test_no_server_ever_counts_too_many(
    kind: type[Window | Bucket], law: Law, limits: Limits, wishes: list[Wish]
) -> None:
    limit, period, kept = limits
    caller = Caller(kind(limit, period, kept=kept))
    for wish in wishes:
        caller.make(wish)
    assert law(caller.counted, limit, period)


@KINDS
@given(limits=LIMITS, wishes=st.lists(INSTANT, min_size=1, max_size=20))
def test_no_instant_call_waits_longer_than_it_must(
    kind: type[Window | Bucket], law: Law, limits: Limits, wishes: list[Wish]
) -> None:
    limit, period, kept = limits
    caller = Caller(kind(limit, period, kept=kept))
    for wish in wishes:
        wanted = caller.now + wish.pause
        before = list(caller.counted)
        caller.make(wish)
        assert caller.now == wanted or not law([*before, caller.now - 0.125], limit, period)


@KINDS
@given(limits=LIMITS, wishes=st.lists(INTERIM, max_size=40), later=EIGHTHS)
def test_interim_calls_leave_the_reserve_free_at_any_time(
    kind: type[Window | Bucket], law: Law, limits: Limits, wishes: list[Wish], later: float
) -> None:
    limit, period, kept = limits
    caller = Caller(kind(limit, period, kept=kept))
    for wish in wishes:
        caller.make(wish)
    caller.advance(caller.now + later)
    for _ in range(kept):
        assert caller.allowance.free_at(caller.now, Priority.URGENT) == caller.now
        caller.allowance.begin()


@KINDS
@given(limits=LIMITS, wishes=st.lists(WISHES, max_size=20), priority=st.sampled_from(Priority))
def test_no_time_is_named_exactly_while_running_calls_fill_the_places(
    kind: type[Window | Bucket], law: Law, limits: Limits, wishes: list[Wish], priority: Priority
) -> None:
    limit, period, kept = limits
    caller = Caller(kind(limit, period, kept=kept))
    for wish in wishes:
        caller.make(wish)
        free = caller.allowance.free_at(caller.now, priority)
        assert free >= caller.now
        left = {Priority.FRAME: kept, Priority.COSMETIC: max(kept, limit // 2)}.get(priority, 0)
        assert (free == inf) == (len(caller.running) >= limit - left)


# After a 429

THROTTLE: list[tuple[float, str, float, float]] = [  # a pace of 1 s: the spacing, and when the next frame is free
    (0, "", 0, 0),
    (0, "end", 0, 0),
    (10, "end", 0, 10),
    (10, "flooded", 2, 12),
    (11, "", 2, 12),
    (12, "end", 2, 14),
    (20, "", 2, 20),
    (20, "end", 2, 22),
    (20, "flooded", 4, 24),
    (21, "flooded", 8, 28),
    (22, "flooded", 8, 28),
    (921.875, "end", 8, 929.875),
    (922, "end", 6.8, 928.8),
    (1822, "end", 5.78, 1827.78),
    (1822, "flooded", 8, 1830),  # not twice 5.78
    (2721.875, "end", 8, 2729.875),
    (1822 + 6 * 900, "end", 8 * 0.85**6, 7222 + 8 * 0.85**6),
    (7222, "flooded", 16 * 0.85**6, 7222 + 16 * 0.85**6),
    (7222 + 11 * 900, "end", 16 * 0.85**17, 17122 + 16 * 0.85**17),
    (7222 + 12 * 900, "end", 0, 18022),
    (18030, "flooded", 2, 18030),
    (18030, "end", 2, 18032),
    (18030 + 4 * 900, "end", 1.0440125, 21631.0440125),
    (18030 + 5 * 900, "end", 0, 22530),
]


def test_how_calls_are_spaced_after_a_429() -> None:
    throttle = Throttle(1.0)
    for now, what, spacing, free in THROTTLE:
        throttle.begin()
        if what == "end":
            throttle.end(now)
        elif what == "flooded":
            throttle.flooded(now)
        assert throttle.spacing(now) == pytest.approx(spacing)
        assert throttle.free_at(now, Priority.FRAME) == pytest.approx(free)
        assert throttle.free_at(now, Priority.LASTING) == now


def test_a_throttle_holds_up_all_but_what_stays() -> None:
    throttle = Throttle(0.75)
    throttle.flooded(5.0)
    throttle.end(5.0)
    assert [throttle.free_at(5.0, priority) for priority in sorted(Priority)] == [5.0, 6.5, 6.5, 6.5]


def test_the_recovery_takes_quarters_of_an_hour() -> None:
    assert RECOVERY == 900.0


HOURS = st.integers(0, 8 * 3600).map(float)


@given(pace=st.sampled_from([0.75, 1.0, 3.0]), pauses=st.lists(st.tuples(HOURS, st.booleans()), max_size=30))
def test_any_floods_slow_a_chat_and_quiet_hours_heal_it(pace: float, pauses: list[tuple[float, bool]]) -> None:
    throttle = Throttle(pace)
    now = spacing = 0.0
    for pause, floods in pauses:
        now += pause
        assert throttle.spacing(now) <= spacing, "it never grows by itself"
        spacing = throttle.spacing(now)
        if floods:
            throttle.flooded(now)
            assert throttle.spacing(now) == min(max(2 * spacing, 2 * pace), 8 * pace)
            spacing = throttle.spacing(now)
        assert spacing == 0.0 or pace < spacing <= 8 * pace
    assert throttle.spacing(now + 13 * 900.0) == 0.0, "0.85 to the power of 13 is less than an eighth"


# What is in a chat's budget


def drain(budget: ChatBudget, cost: Cost, priority: Priority, until: float) -> list[float]:
    """When calls begin that are made as fast as they may be."""
    begun: list[float] = []
    now = 0.0
    while (now := budget.free_at(now, cost, priority)) < until:
        for allowance in budget.allowances(cost):
            allowance.begin()
            allowance.end(now)
        begun.append(now)
    return begun


def times(*counts: tuple[float, int]) -> list[float]:
    return [now for now, count in counts for _ in range(count)]


DRAINED = [
    (Cost.DRAFT, True, Priority.FRAME, times((0, 17), (5, 17), (10, 2), (30, 17), (35, 17), (40, 2))),
    (Cost.DRAFT, True, Priority.URGENT, times((0, 20), (5, 20), (30, 20), (35, 20))),
    (Cost.DRAFT, True, Priority.LASTING, times((0, 20), (5, 20), (30, 20), (35, 20))),
    (Cost.DRAFT, True, Priority.COSMETIC, times((0, 10), (5, 10), (30, 10), (35, 10))),
    (Cost.MESSAGE, True, Priority.COSMETIC, times((0, 2), *((now, 1) for now in range(1, 60)))),
    (Cost.MESSAGE, True, Priority.FRAME, times((0, 2), *((now, 1) for now in range(1, 60)))),
    (Cost.MESSAGE, True, Priority.LASTING, times((0, 3), *((now, 1) for now in range(1, 60)))),
    (Cost.MESSAGE, False, Priority.FRAME, times((0, 15))),
    (Cost.MESSAGE, False, Priority.URGENT, times((0, 20))),
    (Cost.MESSAGE, False, Priority.COSMETIC, times((0, 10))),
    (Cost.DRAFT, False, Priority.FRAME, times((0, 17), (5, 17), (10, 2), (30, 17), (35, 17), (40, 2))),
]


@pytest.mark.parametrize(("cost", "private", "priority", "expected"), DRAINED)
def test_a_chat_s_budget(cost: Cost, private: bool, priority: Priority, expected: list[float]) -> None:
    budget = ChatBudget.open(private=private, overall=open_overall())
    assert drain(budget, cost, priority, 60.0) == expected


def test_a_group_s_minute_begins_anew() -> None:
    budget = ChatBudget.open(private=False, overall=open_overall())
    assert drain(budget, Cost.MESSAGE, Priority.LASTING, 60.125) == times((0, 20), (60, 20))


@pytest.mark.parametrize(
    ("priority", "at_once"), [(Priority.COSMETIC, 15), (Priority.FRAME, 25), (Priority.LASTING, 30)]
)
def test_all_chats_share_thirty_messages_a_second(priority: Priority, at_once: int) -> None:
    overall = open_overall()
    begun = []
    for _ in range(40):
        begun += drain(ChatBudget.open(private=True, overall=overall), Cost.MESSAGE, priority, 0.5)
    assert begun == [0.0] * at_once
    assert overall.free_at(0.5, priority) == 1.0


def test_drafts_do_not_count_against_what_all_chats_share() -> None:
    overall = open_overall()
    drain(ChatBudget.open(private=True, overall=overall), Cost.DRAFT, Priority.URGENT, 60.0)
    for _ in range(30):
        assert overall.free_at(0.0, Priority.LASTING) == 0.0
        overall.begin()


def test_what_goes_first() -> None:
    assert sorted(Priority) == [Priority.LASTING, Priority.URGENT, Priority.FRAME, Priority.COSMETIC]


@pytest.mark.parametrize(("many", "expected"), [([], 5), ([3], 5), ([7, 6], 7), ([6, inf], inf)])
def test_latest_is_never_before_now(many: list[float], expected: float) -> None:
    assert latest(many, 5.0) == expected


SLOWED = [  # what a 429 came to, and when frames and lasting messages begin in the first five seconds after it
    (Cost.DRAFT, True, [0.0, 1.5, 3.0, 4.5]),
    (Cost.MESSAGE, True, [0.0, 2.0, 4.0]),
    (Cost.DRAFT, False, [0.0, 1.5, 3.0, 4.5]),
    (Cost.MESSAGE, False, [0.0]),
]


@pytest.mark.parametrize(("flooded", "private", "frames"), SLOWED)
def test_a_flood_slows_frames_of_its_own_cost_only(flooded: Cost, private: bool, frames: list[float]) -> None:
    for cost in Cost:
        budget, fresh = (ChatBudget.open(private=private, overall=open_overall()) for _ in range(2))
        budget.flooded(flooded, 0.0)
        full = drain(fresh, cost, Priority.FRAME, 5.0)
        assert drain(budget, cost, Priority.FRAME, 5.0) == (frames if cost is flooded else full)
    slowed, fresh = (ChatBudget.open(private=private, overall=open_overall()) for _ in range(2))
    slowed.flooded(flooded, 0.0)
    assert drain(slowed, flooded, Priority.LASTING, 5.0) == drain(fresh, flooded, Priority.LASTING, 5.0)


def test_a_slowed_group_is_called_every_six_seconds() -> None:
    budget = ChatBudget.open(private=False, overall=open_overall())
    budget.flooded(Cost.MESSAGE, 0.0)
    assert drain(budget, Cost.MESSAGE, Priority.FRAME, 60.0) == [6.0 * number for number in range(10)]


def test_a_slowed_chat_slows_no_other() -> None:
    overall = open_overall()
    ChatBudget.open(private=True, overall=overall).flooded(Cost.MESSAGE, 0.0)
    other = ChatBudget.open(private=True, overall=overall)
    assert drain(other, Cost.MESSAGE, Priority.FRAME, 3.0) == times((0, 2), (1, 1), (2, 1))
