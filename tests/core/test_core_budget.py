"""Budgets against a server that counts each call at the worst moment between its sending and its reply.

The oracles know nothing of the classes: they are given the instants that a server may have counted, and look at
every stretch of time between two of them. Times are multiples of 1/8, so that sums are exact.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
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
    (3, 0, [3, 3, 3, 3]),
    (3, 1, [3, 3, 2, 2]),
    (4, 0, [4, 4, 4, 3]),
    (8, 1, [8, 8, 7, 6]),
    (8, 3, [8, 8, 5, 5]),
    (20, 3, [20, 20, 17, 15]),
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
Kind: TypeAlias = Callable[..., Window | Bucket]
WITH_AHEAD = partial(Window, ahead=1.0)
KINDS = pytest.mark.parametrize(("kind", "law"), [(Window, in_window), (WITH_AHEAD, in_window), (Bucket, in_bucket)])


@KINDS
@given(limits=LIMITS, wishes=st.lists(WISHES, max_size=40))
def test_no_server_ever_counts_too_many(kind: Kind, law: Law, limits: Limits, wishes: list[Wish]) -> None:
    limit, period, kept = limits
    caller = Caller(kind(limit, period, kept=kept))
    for wish in wishes:
        caller.make(wish)
    assert law(caller.counted, limit, period)


@KINDS
@given(limits=LIMITS, wishes=st.lists(INSTANT, min_size=1, max_size=20))
def test_no_instant_call_waits_longer_than_it_must(kind: Kind, law: Law, limits: Limits, wishes: list[Wish]) -> None:
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
    kind: Kind, law: Law, limits: Limits, wishes: list[Wish], later: float
) -> None:
    limit, period, kept = limits
    caller = Caller(kind(limit, period, kept=kept))
    for wish in wishes:
        caller.make(wish)
    caller.advance(caller.now + later + (1.0 if kind is WITH_AHEAD else 0.0))
    for _ in range(kept):
        assert caller.allowance.free_at(caller.now, Priority.URGENT) == caller.now
        caller.allowance.begin()


@KINDS
@given(limits=LIMITS, wishes=st.lists(WISHES, max_size=20), priority=st.sampled_from(Priority))
def test_no_time_is_named_exactly_while_running_calls_fill_the_places(
    kind: Kind, law: Law, limits: Limits, wishes: list[Wish], priority: Priority
) -> None:
    limit, period, kept = limits
    caller = Caller(kind(limit, period, kept=kept))
    for wish in wishes:
        caller.make(wish)
        free = caller.allowance.free_at(caller.now, priority)
        assert free >= caller.now
        left = {Priority.FRAME: kept, Priority.COSMETIC: max(kept, limit // 4)}.get(priority, 0)
        assert (free == inf) == (len(caller.running) >= limit - left)


# What is to spare


AHEAD: list[Row] = [  # 3 calls in 10 s, 1 of them kept, a second ahead
    (0, "begin", 0, 0),
    (0, "begin", inf, 0),
    (1, "end", 10, 1),
    (2, "end", 10, 2),
    (10, "", 10, 10),
    (10, "begin", 11, 11),
    (10, "end", 11, 11),
    (11, "", 11, 11),
    (11, "begin", 19, 12),
    (11, "begin", inf, 20),
]


def test_a_reserve_that_is_there_a_second_later() -> None:
    window, found = Window(3, 10.0, kept=1, ahead=1.0), []
    for now, what, _, _ in AHEAD:
        if what == "begin":
            window.begin()
        elif what == "end":
            window.end(now)
        found.append((now, what, window.free_at(now, Priority.FRAME), window.free_at(now, Priority.LASTING)))
    assert found == AHEAD


def made(allowance: Window | Bucket, *ended: float, running: int = 0) -> Window | Bucket:
    """The allowance with these calls behind it."""
    for now in ended:
        allowance.begin()
        allowance.end(now)
    for _ in range(running):
        allowance.begin()
    return allowance


SLACK: list[tuple[Window | Bucket, float, float, int]] = [
    (Window(40, 30.0, kept=1), 0.0, 1.0, 9),
    (Window(40, 30.0), 0.0, 1.0, 10),
    (Window(40, 30.0), 0.0, 0.75, 0),
    (Window(40, 30.0), 0.0, 0.5, -20),
    (Window(20, 60.0, kept=5), 0.0, 6.0, 5),
    (made(Window(20, 60.0, kept=5), *[0.0] * 5), 1.0, 6.0, 1),
    (made(Window(20, 60.0, kept=5), *[0.0] * 7), 1.0, 6.0, -1),
    (made(Window(20, 60.0, kept=5), *[0.0] * 20), 1.0, 6.0, -14),
    (made(Window(20, 60.0, kept=5), *[0.0] * 20), 60.0, 6.0, 5),
    (made(Window(20, 60.0, kept=5), running=3), 0.0, 6.0, 2),
    (made(Window(4, 10.0, kept=1, ahead=1.0), 0.0, 0.0), 9.0, 10.0, 2),
    (made(Window(4, 10.0, kept=1), 0.0, 0.0), 9.0, 10.0, 1),
    (made(Window(4, 10.0, kept=3, ahead=5.0), 0.0, 0.0, 0.0), 6.0, 10.0, 0),
    (Bucket(3, 1.0, kept=1), 0.0, 1.0, 2),
    (made(Bucket(3, 1.0, kept=1), 0.0), 0.0, 1.0, 1),
    (made(Bucket(3, 1.0, kept=1), 0.0), 0.5, 1.0, 1),
    (made(Bucket(3, 1.0, kept=1), 0.0), 1.0, 1.0, 2),
    (made(Bucket(3, 1.0, kept=1), 0.0, 0.0, 0.0), 0.5, 1.0, -1),
    (made(Bucket(3, 1.0, kept=1), running=1), 9.0, 1.0, 1),
    (made(Bucket(3, 10.0), 0.0), 9.0, 1.0, 2),
]


@pytest.mark.parametrize(("allowance", "now", "cadence", "slack"), SLACK)
def test_what_is_to_spare(allowance: Window | Bucket, now: float, cadence: float, slack: int) -> None:
    assert allowance.slack(now, cadence) == slack


def waits(allowance: Window | Bucket, now: float, at_once: int, cadence: float, period: float) -> bool:
    """Whether any frame waits, if so many begin now, and then one every ``cadence`` seconds until all is new."""
    times = [now] * at_once + [now + step * cadence for step in range(1, math.ceil(period / cadence))]
    for then in times:
        if allowance.free_at(then, Priority.FRAME) > then:
            return True
        allowance.begin()
        allowance.end(then)
    return False


@KINDS
@given(limits=LIMITS, wishes=st.lists(INSTANT, max_size=20), later=EIGHTHS, cadence=st.sampled_from([0.125, 0.5, 1.0]))
def test_what_is_to_spare_can_be_spent_at_once(
    kind: Kind, law: Law, limits: Limits, wishes: list[Wish], later: float, cadence: float
) -> None:
    """And nearly all of it is told: a window leaves one call for the moment in which the first ones leave it."""
    limit, period, kept = limits
    pause = period if kind is Bucket else cadence

    def spend(more: int) -> tuple[int, bool]:
        allowance = kind(limit, period, kept=kept)
        caller = Caller(allowance)
        for wish in wishes:
            caller.make(wish)
        caller.advance(caller.now + later)
        slack = allowance.slack(caller.now, cadence)
        return slack, waits(
            allowance, caller.now, max(slack + more, 0), pause, 8 * period if kind is Bucket else period
        )

    slack, is_late = spend(0)
    assert slack < 0 or not is_late
    slack, is_late = spend(1 if kind is Bucket else 2)
    assert is_late or slack < -1 or kind is WITH_AHEAD


def test_a_bucket_s_slack_is_not_lost_to_rounding() -> None:
    for tenth in range(200):
        now = tenth / 10
        assert made(Bucket(3, 1.0), now).slack(now, 1.0) == 2


# After a 429

THROTTLE: list[tuple[float, str, float, float]] = [  # how much slower, and when the next frame is free, at 1 s each
    (0, "", 1, 0),
    (0, "end", 1, 0),
    (10, "end", 1, 10),
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
    (7222 + 12 * 900, "end", 1, 18022),
    (18022, "flooded", 2, 18024),
    (18022 + 4 * 900, "end", 2 * 0.85**4, 21622 + 2 * 0.85**4),
    (18022 + 5 * 900, "end", 1, 22522),
]


def test_how_calls_are_slowed_after_a_429() -> None:
    throttle = Throttle()
    for now, what, slowness, free in THROTTLE:
        if what == "end":
            throttle.end(now)
        elif what == "flooded":
            throttle.flooded(now)
        assert throttle.slowness(now) == pytest.approx(slowness)
        assert throttle.free_at(now, Priority.FRAME, 1.0) == pytest.approx(free)
        assert throttle.free_at(now, Priority.LASTING, 1.0) == now


def test_a_throttle_holds_up_all_but_what_stays() -> None:
    """And what is cosmetic twice as long: it takes no place that a frame could have."""
    throttle = Throttle()
    throttle.flooded(5.0)
    throttle.end(5.0)
    assert [throttle.free_at(5.0, priority, 0.75) for priority in sorted(Priority)] == [5.0, 6.5, 6.5, 8.0]


def test_the_recovery_takes_quarters_of_an_hour() -> None:
    assert RECOVERY == 900.0


HOURS = st.integers(0, 8 * 3600).map(float)


@given(pauses=st.lists(st.tuples(HOURS, st.booleans()), max_size=30))
def test_any_floods_slow_a_chat_and_quiet_hours_heal_it(pauses: list[tuple[float, bool]]) -> None:
    throttle = Throttle()
    now, slowness = 0.0, 1.0
    for pause, floods in pauses:
        now += pause
        assert 1.0 <= throttle.slowness(now) <= slowness, "it never grows by itself"
        slowness = throttle.slowness(now)
        if floods:
            throttle.flooded(now)
            assert throttle.slowness(now) == min(2 * slowness, 8.0)
            slowness = throttle.slowness(now)
    assert throttle.slowness(now + 13 * 900.0) == 1.0, "0.85 to the power of 13 is less than an eighth"


# What is in a chat's budget


def drain(budget: ChatBudget, cost: Cost, priority: Priority, until: float) -> list[float]:
    """When calls begin that are made as fast as they may be."""
    begun: list[float] = []
    now = 0.0
    while (now := budget.free_at(now, cost, priority)) < until:
        budget.begin(cost)
        budget.end(cost, now)
        begun.append(now)
    return begun


def times(*counts: tuple[float, int]) -> list[float]:
    return [now for now, count in counts for _ in range(count)]


DRAFTS = times(
    *((0, 17), (4, 3), (5, 14), (8, 3), (9, 2)),  # the reserve is what will be free a second later
    *((29, 1), (30, 16), (33, 1), (34, 3), (35, 13), (37, 1), (38, 3), (39, 1), (58, 1), (59, 1)),
)
DRAINED = [
    (Cost.DRAFT, True, Priority.FRAME, DRAFTS),
    (Cost.DRAFT, True, Priority.URGENT, times((0, 20), (5, 20), (30, 20), (35, 20))),
    (Cost.DRAFT, True, Priority.LASTING, times((0, 20), (5, 20), (30, 20), (35, 20))),
    (
        Cost.DRAFT,
        True,
        Priority.COSMETIC,
        times((0, 15), (4, 5), (5, 10), (29, 10), (30, 5), (33, 5), (34, 10), (58, 10), (59, 5)),
    ),
    (Cost.MESSAGE, True, Priority.COSMETIC, times((0, 2), *((now, 1) for now in range(1, 60)))),
    (Cost.MESSAGE, True, Priority.FRAME, times((0, 2), *((now, 1) for now in range(1, 60)))),
    (Cost.MESSAGE, True, Priority.LASTING, times((0, 3), *((now, 1) for now in range(1, 60)))),
    (Cost.MESSAGE, False, Priority.FRAME, times((0, 15))),
    (Cost.MESSAGE, False, Priority.URGENT, times((0, 20))),
    (Cost.MESSAGE, False, Priority.COSMETIC, times((0, 15))),
    (Cost.DRAFT, False, Priority.FRAME, DRAFTS),
]


@pytest.mark.parametrize(("cost", "private", "priority", "expected"), DRAINED)
def test_a_chat_s_budget(cost: Cost, private: bool, priority: Priority, expected: list[float]) -> None:
    budget = ChatBudget.open(private=private, overall=open_overall())
    assert drain(budget, cost, priority, 60.0) == expected


def test_a_group_s_minute_begins_anew() -> None:
    budget = ChatBudget.open(private=False, overall=open_overall())
    assert drain(budget, Cost.MESSAGE, Priority.LASTING, 60.125) == times((0, 20), (60, 20))


@pytest.mark.parametrize(
    ("priority", "at_once"), [(Priority.COSMETIC, 23), (Priority.FRAME, 25), (Priority.LASTING, 30)]
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


SLOWED = [  # what is called, and when frames of it begin in the first seven seconds after a 429
    (Cost.DRAFT, True, [0.0, 1.5, 3.0, 4.5, 6.0]),
    (Cost.MESSAGE, True, [0.0, 2.0, 4.0, 6.0]),
    (Cost.DRAFT, False, [0.0, 1.5, 3.0, 4.5, 6.0]),
    (Cost.MESSAGE, False, [0.0, 6.0]),
]


@pytest.mark.parametrize(("cost", "private", "frames"), SLOWED)
def test_a_flood_slows_every_kind_of_frame_and_nothing_that_stays(
    cost: Cost, private: bool, frames: list[float]
) -> None:
    slowed, fresh, other = (ChatBudget.open(private=private, overall=open_overall()) for _ in range(3))
    for budget in (slowed, other):
        budget.flooded(0.0)
    assert drain(slowed, cost, Priority.FRAME, 7.0) == frames
    assert drain(other, cost, Priority.LASTING, 7.0) == drain(fresh, cost, Priority.LASTING, 7.0)


@pytest.mark.parametrize(("private", "distance"), [(True, 4.0), (False, 12.0)])
def test_what_is_cosmetic_takes_no_place_of_any_frame_of_a_slowed_chat(private: bool, distance: float) -> None:
    """Twice as far apart as the frames that are called least often, whichever its own allowance is."""
    budget = ChatBudget.open(private=private, overall=open_overall())
    budget.flooded(0.0)
    budget.begin(Cost.DRAFT)
    budget.end(Cost.DRAFT, 10.0)
    assert [budget.free_at(10.0, cost, Priority.COSMETIC) for cost in Cost] == [10.0 + distance] * 2


def test_what_stays_counts_as_the_last_call_of_a_slowed_chat() -> None:
    budget = ChatBudget.open(private=True, overall=open_overall())
    budget.flooded(0.0)
    budget.begin(Cost.MESSAGE)
    budget.end(Cost.MESSAGE, 10.0)
    assert [budget.free_at(10.0, cost, Priority.FRAME) for cost in Cost] == [11.5, 12.0]


def test_a_slowed_chat_slows_no_other() -> None:
    overall = open_overall()
    ChatBudget.open(private=True, overall=overall).flooded(0.0)
    other = ChatBudget.open(private=True, overall=overall)
    assert drain(other, Cost.MESSAGE, Priority.FRAME, 3.0) == times((0, 2), (1, 1), (2, 1))


SPARE = [  # the cadence; what is to spare in a fresh chat, while a call of each cost runs, and after the replies
    (Cost.DRAFT, True, 1.0, [9, 8, 9]),
    (Cost.DRAFT, False, 1.0, [9, 8, 9]),
    (Cost.MESSAGE, True, 1.0, [2, 1, 1]),
    (Cost.MESSAGE, False, 6.0, [5, 4, 5]),
    (Cost.MESSAGE, False, 3.0, [-5, -6, -5]),
]


@pytest.mark.parametrize(("cost", "private", "cadence", "expected"), SPARE)
def test_what_a_chat_has_to_spare(cost: Cost, private: bool, cadence: float, expected: list[int]) -> None:
    budget = ChatBudget.open(private=private, overall=open_overall())
    found = [budget.slack(0.0, cost, cadence)]
    for other in Cost:
        budget.begin(other)
    found.append(budget.slack(0.0, cost, cadence))
    for other in Cost:
        budget.end(other, 0.125)
    assert [*found, budget.slack(0.125, cost, cadence)] == expected
