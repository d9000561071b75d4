"""One chat's calls: one at a time, lasting ones first and in order, and none before a penalty is over."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from triolet.core.budget import ChatBudget, Cost, Priority, open_overall
from triolet.core.calls import (
    NEVER_LEFT,
    Bubble,
    Call,
    Delivered,
    Outcome,
    Place,
    Refused,
    Unknown,
    draft_call,
    message_call,
    typing_call,
)
from triolet.core.conversation import ConversationKey
from triolet.core.delivery import Delivery, State
from triolet.core.lane import Lane
from triolet.core.text import FormattedText

inf = math.inf
PRIVATE = Place(ConversationKey(3), private=True)
SENT = Delivered({"message_id": 8})
FLOOD = Refused(429, "Too Many Requests: retry after 9", 9.0)
FORBIDDEN = Refused(403, "Forbidden: bot was blocked by the user")
GONE = Refused(400, "Bad Request: message to edit not found")


def open_lane(*, private: bool = True) -> Lane:
    return Lane(ChatBudget.open(private=private, overall=open_overall()))


def delivery(text: str = "a", message_id: int | None = None) -> Delivery:
    target = Bubble(PRIVATE, draft_id=1, message_id=message_id)
    return Delivery(target, FormattedText(text), target)


def draft(bubble: Bubble | None = None) -> Call:
    return draft_call(bubble or Bubble(PRIVATE, draft_id=1), "a")


def interim(lane: Lane, now: float) -> float:
    return lane.interim_at(now, Cost.DRAFT, Priority.FRAME)


def deliver(lane: Lane, now: float, outcome: Outcome) -> Delivery | None:
    """The first lasting message's call, begun and over at once."""
    call = lane.next_lasting()
    lane.begin(call)
    return lane.settle(call, lane.end(call, outcome, now), now)


def test_an_idle_lane() -> None:
    lane = open_lane()
    assert (interim(lane, 5.0), lane.lasting_at(5.0), lane.has_lasting) == (5.0, inf, False)
    assert repr(lane) == "<Lane idle, 0 lasting>"


def test_one_call_is_in_flight_at_a_time() -> None:
    lane = open_lane()
    call = draft()
    lane.begin(call)
    lane.commit(delivery())
    assert (interim(lane, 5.0), lane.lasting_at(5.0)) == (inf, inf)
    assert repr(lane) == "<Lane sendMessageDraft, 1 lasting>"
    with pytest.raises(AssertionError, match="sendChatAction begun while <Lane sendMessageDraft, 1 lasting>"):
        lane.begin(typing_call(Bubble(PRIVATE, draft_id=1)))
    assert lane.end(call, Delivered(), 6.0) == Delivered()
    assert (interim(lane, 6.0), lane.lasting_at(6.0)) == (inf, 6.0)


def test_a_lasting_message_goes_before_any_interim_call() -> None:
    """Also between its call's end and its settling, and while it waits for a penalty to be over."""
    lane = open_lane()
    first = delivery()
    lane.commit(first)
    assert (interim(lane, 1.0), lane.lasting_at(1.0), lane.has_lasting) == (inf, 1.0, True)
    call = lane.next_lasting()
    lane.begin(call)
    assert (interim(lane, 1.0), lane.lasting_at(1.0), lane.has_lasting) == (inf, inf, True)
    outcome = lane.end(call, FLOOD, 2.0)
    assert (interim(lane, 2.0), lane.lasting_at(2.0)) == (inf, 11.0)
    assert lane.settle(call, outcome, 2.0) is None
    assert (interim(lane, 2.0), lane.lasting_at(2.0), lane.has_lasting) == (inf, 11.0, True)
    assert deliver(lane, 11.0, SENT) is first
    assert (interim(lane, 11.0), lane.lasting_at(11.0), lane.has_lasting) == (11.0, inf, False)


@pytest.mark.parametrize(
    ("outcome", "state"), [(SENT, State.DELIVERED), (Unknown("no answer"), State.UNCERTAIN), (FORBIDDEN, State.DEAD)]
)
def test_a_settled_message_lets_the_next_go(outcome: Outcome, state: State) -> None:
    lane = open_lane()
    first, second = delivery("first"), delivery("second")
    lane.commit(first)
    lane.commit(second)
    assert lane.next_lasting().params["text"] == "first"
    assert deliver(lane, 1.0, outcome) is first
    assert first.state is state
    assert lane.next_lasting().params["text"] == "second"
    assert deliver(lane, 1.0, SENT) is second
    assert not lane.has_lasting


def test_a_message_that_waits_holds_up_those_behind_it() -> None:
    lane = open_lane()
    first, second = delivery("first"), delivery("second")
    lane.commit(first)
    lane.commit(second)
    assert deliver(lane, 1.0, Refused(NEVER_LEFT, "no connection")) is None
    assert lane.lasting_at(1.0) == 2.0
    assert lane.next_lasting().params["text"] == "first"


def test_a_failed_connection_parks_only_what_failed() -> None:
    lane = open_lane()
    lane.commit(delivery())
    deliver(lane, 1.0, Refused(NEVER_LEFT, "no connection"))
    deliver(lane, 2.0, SENT)
    assert interim(lane, 2.0) == 2.0


@pytest.mark.parametrize("call", [draft(), typing_call(Bubble(PRIVATE, 1)), delivery().next_call()])
def test_a_flood_parks_the_chat_for_every_call(call: Call) -> None:
    lane, other = open_lane(), open_lane()
    lane.begin(call)
    assert lane.end(call, FLOOD, 1.0) == FLOOD
    for cost in Cost:
        for priority in Priority:
            assert lane.interim_at(1.0, cost, priority) == 10.0
            assert lane.interim_at(12.0, cost, priority) == 12.0
            assert other.interim_at(1.0, cost, priority) == 1.0
    lane.commit(delivery())
    assert lane.lasting_at(1.0) == 10.0


def test_a_shorter_flood_does_not_end_a_longer_one() -> None:
    lane = open_lane()
    for now, retry_after in ((0.0, 30.0), (1.0, 5.0)):
        call = draft()
        lane.begin(call)
        lane.end(call, Refused(429, "", retry_after), now)
    assert interim(lane, 1.0) == 30.0


@pytest.mark.parametrize("outcome", [Delivered(), FORBIDDEN, Unknown("no answer"), Refused(NEVER_LEFT, "")])
def test_no_other_outcome_of_an_interim_call_parks(outcome: Outcome) -> None:
    lane = open_lane()
    call = draft()
    lane.begin(call)
    assert lane.end(call, outcome, 1.0) == outcome
    assert interim(lane, 1.0) == 1.0


def test_what_an_outcome_tells_is_noted_on_the_bubble() -> None:
    """The next call of the same message is an edit, or a send again when it is gone."""
    lane = open_lane()
    target = Bubble(PRIVATE, draft_id=1)
    call = message_call(target, FormattedText("a"))
    lane.begin(call)
    lane.end(call, SENT, 1.0)
    lane.commit(Delivery(target, FormattedText("ab"), target))
    assert (lane.next_lasting().method, lane.next_lasting().params["message_id"]) == ("editMessageText", 8)
    assert deliver(lane, 2.0, GONE) is None
    assert lane.next_lasting().method == "sendMessage"


def test_not_modified_is_seen_as_delivered() -> None:
    lane = open_lane()
    call = message_call(Bubble(PRIVATE, 1, message_id=5), FormattedText("a"))
    lane.begin(call)
    assert lane.end(call, Refused(400, "Bad Request: message is not modified: ..."), 1.0) == Delivered()


def test_each_call_draws_on_its_own_budget() -> None:
    lane = open_lane()
    for _ in range(3):
        call = message_call(Bubble(PRIVATE, 1), FormattedText("a"))
        lane.begin(call)
        lane.end(call, SENT, 0.0)
    lane.commit(delivery())
    assert lane.lasting_at(0.0) == 1.0
    assert [open_lane().interim_at(0.0, cost, Priority.FRAME) for cost in Cost] == [0.0, 0.0]
    other = open_lane()
    for _ in range(17):
        call = draft()
        other.begin(call)
        other.end(call, Delivered(), 0.0)
    assert [other.interim_at(0.0, Cost.DRAFT, priority) for priority in Priority] == [0.0, 0.0, 5.0]
    assert other.interim_at(0.0, Cost.MESSAGE, Priority.FRAME) == 0.0


def test_a_lasting_message_may_use_the_reserve() -> None:
    lane = open_lane()
    for _ in range(2):
        call = message_call(Bubble(PRIVATE, 1, message_id=5), FormattedText("a"))
        lane.begin(call)
        lane.end(call, Delivered(), 0.0)
    assert lane.interim_at(0.0, Cost.MESSAGE, Priority.FRAME) == 1.0
    lane.commit(delivery())
    assert lane.lasting_at(0.0) == 0.0


OUTCOMES = st.sampled_from(
    [SENT, FLOOD, FORBIDDEN, GONE, Unknown("no answer"), Refused(NEVER_LEFT, ""), Refused(400, "Bad Request: x")]
)


class AnyTraffic(RuleBasedStateMachine):
    """Commits, interim calls and outcomes in any order; what begins is held to the lane's three rules."""

    def __init__(self) -> None:
        super().__init__()
        self.lane = open_lane(private=False)
        self.now = 0.0
        self.parked_until = -inf
        self.committed: list[Delivery] = []
        self.settled: list[Delivery] = []
        self.flight: Call | None = None
        self.is_lasting = False

    @rule(message_id=st.none() | st.just(5))
    def commit(self, message_id: int | None) -> None:
        new = delivery(str(len(self.committed)), message_id)
        self.lane.commit(new)
        self.committed.append(new)

    @rule(seconds=st.sampled_from([0.125, 1.0, 8.0, 60.0]))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @rule(call=st.sampled_from([draft, lambda: typing_call(Bubble(PRIVATE, 1)), lambda: delivery().next_call()]))
    def interim_call(self, call: Any) -> None:
        made = call()
        if self.lane.interim_at(self.now, made.cost, Priority.URGENT) <= self.now:
            assert self.committed == self.settled, "a lasting message waits"
            self.begin(made)

    @rule()
    def lasting_call(self) -> None:
        if self.lane.lasting_at(self.now) <= self.now:
            first = self.committed[len(self.settled)]
            assert self.now >= first.not_before
            self.is_lasting = True
            self.begin(self.lane.next_lasting())
            assert self.flight is not None
            assert self.flight.params["text"] == str(len(self.settled)), "in the order of their commits"

    def begin(self, call: Call) -> None:
        assert self.flight is None
        assert self.now >= self.parked_until
        self.flight = call
        self.lane.begin(call)

    @precondition(lambda self: self.flight is not None)
    @rule(outcome=OUTCOMES)
    def end(self, outcome: Outcome) -> None:
        assert self.flight is not None
        call, self.flight = self.flight, None
        seen = self.lane.end(call, outcome, self.now)
        if outcome == FLOOD:
            self.parked_until = self.now + 9.0
        if self.is_lasting:
            first = self.committed[len(self.settled)]
            settled = self.lane.settle(call, seen, self.now)
            assert (settled is None) == (first.state is State.WAITING)
            if settled is not None:
                assert settled is first
                self.settled.append(settled)
        self.is_lasting = False

    @invariant()
    def a_time_is_named_unless_something_else_comes_first(self) -> None:
        waits = len(self.committed) > len(self.settled)
        assert self.lane.has_lasting == waits
        assert (self.lane.lasting_at(self.now) < inf) == (waits and self.flight is None)
        for cost in Cost:
            free = self.lane.interim_at(self.now, cost, Priority.FRAME) < inf
            assert free == (not waits and self.flight is None)


TestAnyTraffic = AnyTraffic.TestCase


@given(st.lists(st.tuples(OUTCOMES, st.sampled_from([0.0, 0.5, 3.0])), max_size=30))
def test_a_lasting_message_comes_to_an_end(outcomes: list[tuple[Outcome, float]]) -> None:
    """Whatever happens to its calls, it is sent until something is known, and nothing is sent after that."""
    lane = open_lane()
    first = delivery(message_id=5)
    lane.commit(first)
    now, sends_unknown = 0.0, 0
    for outcome, latency in outcomes:
        if not lane.has_lasting:
            break
        now = lane.lasting_at(now)
        assert now < inf
        call = lane.next_lasting()
        assert sends_unknown == 0, "a send that may have happened is never repeated"
        sends_unknown += call.sends and isinstance(outcome, Unknown)
        lane.begin(call)
        now += latency
        lane.settle(call, lane.end(call, outcome, now), now)
    assert lane.has_lasting == (first.state is State.WAITING)


def test_a_call_that_is_over_makes_room_at_once() -> None:
    """Both kinds of allowances are given back, or the thirty-first call of the day would wait for ever."""
    lane = open_lane()
    now = 0.0
    for _ in range(200):
        for call in (draft(), message_call(Bubble(PRIVATE, 1), FormattedText("a"))):
            now = lane.interim_at(now, call.cost, Priority.FRAME)
            assert now < inf
            lane.begin(call)
            lane.end(call, SENT, now)
