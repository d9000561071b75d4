"""One chat's calls: one at a time, lasting ones first and in order, slots in turn, none before a penalty is over."""

from __future__ import annotations

import math
from collections.abc import Callable

import attrs
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
from triolet.core.delivery import SENDING_AGAIN, SENT_AGAIN, Delivery
from triolet.core.errands import Errand, Removal, Search, State
from triolet.core.lane import SOUGHT, Lane, Ticket
from triolet.core.text import FormattedText

inf = math.inf
SENT = Delivered({"message_id": 8})
FLOOD = Refused(429, "Too Many Requests: retry after 9", 9.0)
FORBIDDEN = Refused(403, "Forbidden: bot was blocked by the user")
GONE = Refused(400, "Bad Request: message to edit not found")
UNEDITABLE = Refused(400, "Bad Request: message can't be edited")
TOO_LONG = Refused(400, "Bad Request: message is too long")
UNSENT = Refused(NEVER_LEFT, "no connection")
LOST = Unknown("no answer")
NEWEST = 20
"""The highest id that is known in some chats; a message that may have been sent is sought at 21, 22 and 23."""


def open_lane(*, private: bool = True, newest: int | None = None) -> Lane:
    lane = Lane(ChatBudget.open(private=private, overall=open_overall()))
    if newest is not None:
        lane.note_message(newest)
    return lane


def bubble(message_id: int | None = None, *, home: int | None = None) -> Bubble:
    return Bubble(Place(ConversationKey(3), private=True), draft_id=1, message_id=message_id, home=home)


def delivery(text: str = "a", message_id: int | None = None, *, anew: bool = False) -> Delivery:
    target = bubble(message_id)
    return Delivery(target, FormattedText(text), target, anew=anew)


def draft() -> Call:
    return draft_call(bubble(), FormattedText("a"))


def message(message_id: int | None = None) -> Call:
    return message_call(bubble(message_id), FormattedText("a"))


def slot(lane: Lane, now: float, cost: Cost = Cost.DRAFT, priority: Priority = Priority.FRAME) -> float:
    """When somebody could make an interim call who begins to wait now."""
    ticket = lane.queue(cost, priority)
    try:
        return lane.slot_at(now, ticket)
    finally:
        lane.leave(ticket)


def make(lane: Lane, call: Call, now: float, outcome: Outcome) -> Outcome:
    """An interim call, begun and over at once."""
    lane.begin(call)
    return lane.end(call, outcome, now)


def deliver(lane: Lane, now: float, outcome: Outcome) -> Errand | None:
    """The next errand's call, begun and over at once; the errand if that was the last."""
    errand = lane.next_errand()
    assert errand is not None
    call = next_call(lane)
    lane.settle(errand, call, make(lane, call, now, outcome), now)
    return errand if errand.state is not State.WAITING else None


def next_call(lane: Lane) -> Call:
    errand = lane.next_errand()
    assert errand is not None
    return call_of(errand)


def call_of(errand: Errand) -> Call:
    call = errand.next_call()
    assert call is not None, "it is over without a call"
    return call


def test_an_idle_lane() -> None:
    lane = open_lane()
    assert (slot(lane, 5.0), lane.errand_at(5.0), lane.has_errands, lane.next_errand()) == (5.0, 5.0, False, None)
    assert repr(lane) == "<Lane idle, 0 lasting>"


def test_one_call_is_in_flight_at_a_time() -> None:
    lane = open_lane()
    call = draft()
    lane.begin(call)
    assert (slot(lane, 5.0), lane.errand_at(5.0)) == (inf, inf)
    lane.commit(delivery())
    lane.remove(bubble(5))
    assert (slot(lane, 5.0), lane.errand_at(5.0)) == (inf, inf)
    assert repr(lane) == "<Lane sendMessageDraft, 1 lasting>"
    with pytest.raises(AssertionError, match="sendChatAction begun while <Lane sendMessageDraft, 1 lasting>"):
        lane.begin(typing_call(bubble()))
    assert lane.end(call, Delivered(), 6.0) == Delivered()
    assert (slot(lane, 6.0), lane.errand_at(6.0)) == (inf, 6.0)


# Lasting messages


def test_a_lasting_message_goes_before_any_interim_call() -> None:
    """Also between its call's end and its settling, and while it waits for a penalty to be over."""
    lane = open_lane()
    first = delivery()
    lane.commit(first)
    assert (slot(lane, 1.0), lane.errand_at(1.0), lane.has_errands) == (inf, 1.0, True)
    assert lane.next_errand() is first
    call = call_of(first)
    lane.begin(call)
    assert (slot(lane, 1.0), lane.errand_at(1.0), lane.has_errands) == (inf, inf, True)
    outcome = lane.end(call, FLOOD, 2.0)
    assert (slot(lane, 2.0), lane.errand_at(2.0)) == (inf, 11.0)
    assert lane.settle(first, call, outcome, 2.0) == []
    assert first.state is State.WAITING
    assert (slot(lane, 2.0), lane.errand_at(2.0), lane.has_errands) == (inf, 11.0, True)
    assert deliver(lane, 11.0, SENT) is first
    assert (lane.errand_at(11.0), lane.has_errands, lane.next_errand()) == (11.0, False, None)
    assert slot(lane, 11.0) == 12.5


@pytest.mark.parametrize(("outcome", "state"), [(SENT, State.DELIVERED), (FORBIDDEN, State.DEAD)])
def test_a_settled_message_lets_the_next_go(outcome: Outcome, state: State) -> None:
    lane = open_lane()
    first, second = delivery("first"), delivery("second")
    lane.commit(first)
    lane.commit(second)
    assert next_call(lane).params["text"] == "first"
    assert deliver(lane, 1.0, outcome) is first
    assert first.state is state
    assert next_call(lane).params["text"] == "second"
    assert deliver(lane, 1.0, SENT) is second
    assert not lane.has_errands


@pytest.mark.parametrize("outcome", [UNSENT, Refused(413, "Request Entity Too Large")])
def test_a_message_that_waits_holds_up_those_behind_it(outcome: Outcome) -> None:
    lane = open_lane()
    first, second = delivery("first"), delivery("second")
    lane.commit(first)
    lane.commit(second)
    assert deliver(lane, 1.0, outcome) is None
    assert (slot(lane, 1.0), lane.errand_at(1.0)) == (inf, 2.0)
    assert lane.next_errand() is first


def test_a_failed_connection_parks_only_what_failed() -> None:
    lane = open_lane()
    lane.commit(delivery())
    deliver(lane, 1.0, UNSENT)
    deliver(lane, 2.0, SENT)
    assert slot(lane, 2.0) == 2.0


def test_the_parts_of_a_cut_message_go_before_what_was_committed_later() -> None:
    lane = open_lane()
    for text in ("aabb", "later"):
        lane.commit(delivery(text))
    assert deliver(lane, 1.0, TOO_LONG) is None
    texts = []
    while lane.has_errands:
        texts.append(next_call(lane).params["text"])
        deliver(lane, 1.0, TOO_LONG if texts == ["aa", "bb"] else SENT)
    assert texts == ["aa", "bb", "b", "b", "later"]


def test_what_follows_a_message_that_is_there_goes_before_what_was_committed_later() -> None:
    """A copy that has no room to say that it is one is followed by a message that does."""
    lane = open_lane(newest=NEWEST)
    lane.commit(delivery("a" * 4096))
    lane.commit(delivery("later"))
    texts = []
    for outcome in (LOST, GONE, GONE, GONE, SENT, Delivered(), SENT, SENT):
        texts.append(next_call(lane).params["text"])
        deliver(lane, lane.errand_at(1.0), outcome)
    assert texts == ["a" * 4096] * 4 + [SENDING_AGAIN.text, "a" * 4096, SENT_AGAIN, "later"]


def test_three_parts_stay_in_order() -> None:
    lane = open_lane()
    lane.commit(delivery("one two three"))
    lane.commit(delivery("later"))
    deliver(lane, 1.0, TOO_LONG)
    texts = []
    while lane.has_errands:
        texts.append(next_call(lane).params["text"])
        deliver(lane, 1.0, SENT)
    assert texts == ["one ", "two ", "three", "later"]


# Removals


def test_a_removal_waits_for_all_lasting_messages() -> None:
    lane = open_lane()
    lane.remove(bubble(5))
    lane.commit(delivery("first"))
    lane.commit(delivery("second"))
    methods = []
    while lane.has_errands:
        methods.append(next_call(lane).method)
        assert deliver(lane, 1.0, Delivered({"message_id": 9})) is not None
    assert methods == ["sendMessage", "sendMessage", "deleteMessage"]


def test_what_was_replaced_is_taken_away_at_last() -> None:
    lane = open_lane()
    lane.remove(bubble(4))
    lane.commit(delivery("first", 5, anew=True))
    lane.commit(delivery("second"))
    calls = []
    while lane.has_errands:
        calls.append(next_call(lane))
        deliver(lane, 1.0, SENT)
    assert [call.method for call in calls] == ["sendMessage", "sendMessage", "deleteMessage", "deleteMessage"]
    assert [call.params["message_id"] for call in calls[2:]] == [4, 5]


def test_removals_go_in_turn_and_one_that_waits_holds_up_the_others() -> None:
    lane = open_lane()
    lane.remove(bubble(5))
    lane.remove(bubble(6))
    assert deliver(lane, 1.0, LOST) is None
    assert (lane.errand_at(1.0), slot(lane, 1.0)) == (2.0, 1.0)
    assert next_call(lane).params["message_id"] == 5
    assert deliver(lane, 2.0, Delivered()) is not None
    assert next_call(lane).params["message_id"] == 6


def test_a_removal_that_may_go_holds_up_every_frame() -> None:
    """A preview below the answer that has replaced it would look like another answer."""
    lane = open_lane()
    lane.remove(bubble(5))
    for cost in Cost:
        for priority in Priority:
            assert slot(lane, 1.0, cost, priority) == inf
    assert lane.errand_at(1.0) == 1.0
    assert deliver(lane, 1.0, Delivered()) is not None
    assert slot(lane, 1.0) == 1.0


def test_a_removal_that_has_no_room_lets_drafts_pass() -> None:
    lane = open_lane()
    for _ in range(3):
        make(lane, message(5), 0.0, Delivered())
    lane.remove(bubble(5))
    assert (lane.errand_at(0.0), slot(lane, 0.0), slot(lane, 0.0, Cost.MESSAGE)) == (1.0, 0.0, 2.0)
    assert (lane.errand_at(1.0), slot(lane, 1.0), slot(lane, 2.0, Cost.MESSAGE)) == (1.0, inf, inf)


def test_a_removal_may_use_the_reserve_as_a_lasting_message_does() -> None:
    lane = open_lane(private=False)
    for _ in range(15):
        make(lane, message(5), 0.0, Delivered())
    assert slot(lane, 0.0, Cost.MESSAGE) == 60.0
    lane.remove(bubble(5))
    assert lane.errand_at(0.0) == 0.0


@pytest.mark.parametrize("target", [bubble(), bubble(5, home=-99)])
def test_a_message_that_is_nowhere_or_in_another_chat_is_not_taken_away(target: Bubble) -> None:
    lane = open_lane()
    lane.remove(target)
    lane.remove(bubble(6, home=3))
    assert lane.errand_at(1.0) == 1.0
    assert next_call(lane).params["message_id"] == 6


def test_what_can_be_neither_deleted_nor_edited_stays() -> None:
    """That it can be edited no more must not become a message of its own."""
    lane = open_lane()
    lane.remove(bubble(5))
    assert deliver(lane, 1.0, FORBIDDEN) is None
    assert (lane.errand_at(1.0), next_call(lane).method) == (1.0, "editMessageText")
    deliver(lane, 1.0, UNEDITABLE)
    assert (lane.errand_at(9.0), lane.next_errand()) == (9.0, None)


def test_a_removal_that_has_nothing_to_remove_is_forgotten() -> None:
    """The message never came, or somebody else took it away."""
    lane = open_lane()
    target = bubble(5)
    lane.remove(target)
    lane.remove(bubble())
    make(lane, message_call(target, FormattedText("a")), 1.0, GONE)
    assert lane.has_errands
    assert (lane.errand_at(1.0), lane.has_errands, lane.next_errand()) == (1.0, False, None)


def test_a_message_that_is_nowhere_is_not_taken_away() -> None:
    """A stranger's may be where it is sought, and an administrator may delete that one."""
    lane = open_lane(newest=NEWEST)
    target = bubble()
    make(lane, message_call(target, FormattedText("a")), 1.0, LOST)
    lane.remove(target)
    methods = []
    while lane.errand_at(3.0) and lane.has_errands:
        methods.append(next_call(lane).method)
        deliver(lane, 3.0, UNEDITABLE)
    assert methods == ["editMessageText"] * SOUGHT


def test_a_removal_takes_away_what_comes_before_it_goes() -> None:
    """The first frame may be in flight when the answer is given up."""
    lane = open_lane()
    target = bubble()
    call = message_call(target, FormattedText("a"))
    lane.begin(call)
    lane.remove(target)
    assert lane.errand_at(1.0) == inf
    lane.end(call, SENT, 1.0)
    assert lane.errand_at(1.0) == 1.0
    assert next_call(lane).params == {"chat_id": 3, "message_id": 8}


def test_a_message_committed_while_a_removal_is_in_flight_goes_next() -> None:
    lane = open_lane()
    lane.remove(bubble(5))
    lane.remove(bubble(6))
    removal = lane.next_errand()
    assert isinstance(removal, Removal)
    call = call_of(removal)
    lane.begin(call)
    lane.commit(delivery())
    assert lane.settle(removal, call, lane.end(call, Delivered(), 1.0), 1.0) == []
    assert removal.state is State.DELIVERED
    assert [next_call(lane).method, deliver(lane, 1.0, SENT) is not None] == ["sendMessage", True]
    assert next_call(lane).params["message_id"] == 6


# Floods


@pytest.mark.parametrize("call", [draft(), typing_call(bubble()), message(), message(5)])
def test_a_flood_parks_the_chat_for_every_call(call: Call) -> None:
    lane, other = open_lane(), open_lane()
    assert make(lane, call, 1.0, FLOOD) == FLOOD
    for cost in Cost:
        for priority in Priority:
            assert slot(lane, 1.0, cost, priority) == 10.0
            assert slot(lane, 12.0, cost, priority) == 12.0
            assert slot(other, 1.0, cost, priority) == 1.0
    lane.remove(bubble(5))
    assert lane.errand_at(1.0) == 10.0
    lane.commit(delivery())
    assert lane.errand_at(1.0) == 10.0


def test_a_shorter_flood_does_not_end_a_longer_one() -> None:
    lane = open_lane()
    for now, retry_after in ((0.0, 30.0), (1.0, 5.0)):
        make(lane, draft(), now, Refused(429, "", retry_after))
    assert slot(lane, 1.0) == 30.0


@pytest.mark.parametrize("call", [draft(), message(5)])
def test_a_flooded_chat_is_called_less_often(call: Call) -> None:
    """Whatever it refused; an answer's last message is not held up."""
    lane = open_lane()
    make(lane, call, 0.0, Refused(429, "", 0.0))
    assert [slot(lane, 0.0, cost) for cost in (Cost.DRAFT, Cost.MESSAGE)] == [1.5, 2.0]
    lane.commit(delivery())
    assert lane.errand_at(0.0) == 0.0


@pytest.mark.parametrize("outcome", [Delivered(), FORBIDDEN, LOST, UNSENT])
def test_no_other_outcome_of_an_interim_call_parks(outcome: Outcome) -> None:
    lane = open_lane()
    assert make(lane, draft(), 1.0, outcome) == outcome
    assert slot(lane, 1.0) == 1.0


# What outcomes tell


def test_what_an_outcome_tells_is_noted_on_the_bubble() -> None:
    """The next call of the same message is an edit, or a send again when it is gone."""
    lane = open_lane()
    target = bubble()
    make(lane, message_call(target, FormattedText("a")), 1.0, SENT)
    lane.commit(Delivery(target, FormattedText("ab"), target))
    assert (next_call(lane).method, next_call(lane).params["message_id"]) == ("editMessageText", 8)
    assert deliver(lane, 2.0, GONE) is None
    assert next_call(lane).method == "sendMessage"


def test_not_modified_is_seen_as_delivered() -> None:
    lane = open_lane()
    assert make(lane, message(5), 1.0, Refused(400, "Bad Request: message is not modified: ...")) == Delivered()


# A message that may be on screen


def sought(lane: Lane, *during: int) -> list[int]:
    """Where a message is sought that is sent now, with an unknown outcome; strangers' messages come meanwhile."""
    target = bubble()
    call = message_call(target, FormattedText("a"))
    lane.begin(call)
    for message_id in during:
        lane.note_message(message_id)
    lane.end(call, LOST, 1.0)
    assert target.lost == (not target.candidates)
    assert isinstance(lane.next_errand(), Search) == bool(target.candidates)
    return target.candidates


# Strangers' messages that come before one of ours, and while it is on its way; where it is sought.
PLACES: list[tuple[list[int], list[int], list[int]]] = [
    ([], [], []),
    ([], [30], []),
    ([NEWEST], [], [21, 22, 23]),
    ([NEWEST, 7], [], [21, 22, 23]),
    ([NEWEST], [7], [21, 22, 23]),
    ([NEWEST], [21], [22, 23, 24]),
    ([NEWEST], [23], [21, 22, 24, 25, 26]),
    ([NEWEST], [21, 22, 23], [24, 25, 26]),
    ([NEWEST], [23, 21], [22, 24, 25, 26]),
]


@pytest.mark.parametrize(("before", "during", "places"), PLACES)
def test_a_message_is_sought_behind_the_newest_that_is_known(
    before: list[int], during: list[int], places: list[int]
) -> None:
    """Among strangers' that come meanwhile, but at none of them; where no id is known it is not sought."""
    lane = open_lane()
    for message_id in before:
        lane.note_message(message_id)
    assert sought(lane, *during) == places


@pytest.mark.parametrize(("message_id", "places"), [(8, [21, 22, 23]), (25, [26, 27, 28])])
def test_our_own_messages_are_known(message_id: int, places: list[int]) -> None:
    lane = open_lane(newest=NEWEST)
    make(lane, message(), 1.0, Delivered({"message_id": message_id}))
    assert sought(lane) == places


def test_a_message_that_was_found_is_known() -> None:
    lane = open_lane(newest=NEWEST)
    sought(lane)
    for outcome in (GONE, Delivered()):
        deliver(lane, 3.0, outcome)
    assert sought(lane) == [23, 24, 25]


def test_ids_of_the_chat_that_a_group_was_are_not_known() -> None:
    lane = open_lane(private=False, newest=NEWEST)
    place = Place(ConversationKey(-100), private=False)
    call = message_call(Bubble(place, 1), FormattedText("a"))
    place.mend(Refused(400, "Bad Request: group chat was upgraded to a supergroup chat", migrate_to=-200))
    make(lane, call, 1.0, Delivered({"message_id": 30}))
    assert sought(lane) == [21, 22, 23]


MAYBE_SENT: list[tuple[Call, Outcome, bool]] = [
    (message(), LOST, True),
    (message(), Delivered(), True),
    (message(), SENT, False),
    (message(), UNSENT, False),
    (message(), GONE, False),
    (message(5), LOST, False),
    (message(5), Delivered(), False),
    (draft(), LOST, False),
    (typing_call(bubble()), LOST, False),
]


@pytest.mark.parametrize(("call", "outcome", "is_sought"), MAYBE_SENT)
def test_what_is_sought(call: Call, outcome: Outcome, is_sought: bool) -> None:
    lane = open_lane(newest=NEWEST)
    call = attrs.evolve(call, bubble=bubble(call.params.get("message_id")))
    assert make(lane, call, 1.0, outcome) == outcome
    assert isinstance(lane.next_errand(), Search) == is_sought == bool(call.bubble.candidates)
    assert not call.bubble.lost


def test_nothing_else_goes_until_a_lost_message_is_found() -> None:
    """Neither a frame of another topic, nor what was committed before or is committed now, nor a removal."""
    lane = open_lane(newest=NEWEST)
    lane.commit(delivery("first"))
    lane.remove(bubble(5))
    assert deliver(lane, 1.0, LOST) is None
    assert isinstance(lane.next_errand(), Search)
    lane.commit(delivery("second"))
    calls = []
    for outcome in (GONE, UNSENT, Delivered(), Delivered(), SENT):
        assert slot(lane, 1.0, priority=Priority.URGENT) == inf
        calls.append(next_call(lane))
        deliver(lane, lane.errand_at(1.0), outcome)
    assert [call.params["text"] for call in calls] == ["first"] * 4 + ["second"]
    assert [call.params.get("message_id") for call in calls] == [21, 22, 22, 22, None]
    assert next_call(lane).method == "deleteMessage"


def test_a_search_waits_for_a_late_message_and_for_a_penalty() -> None:
    lane = open_lane(newest=NEWEST)
    sought(lane)
    assert lane.errand_at(1.0) == 3.0
    deliver(lane, 3.0, FLOOD)
    assert (lane.errand_at(3.0), slot(lane, 3.0)) == (12.0, inf)


def test_a_message_that_is_nowhere_comes_again_at_once() -> None:
    lane = open_lane()
    lane.commit(delivery("hello"))
    deliver(lane, 1.0, LOST)
    assert (lane.errand_at(1.0), next_call(lane).params["text"]) == (1.0, SENDING_AGAIN.text)


# What an earlier run has left


def recovered(lane: Lane, newest: int) -> Bubble:
    """A message that was being sent when that was the newest id."""
    target = bubble()
    lane.recover(message_call(target, FormattedText("a")), newest, 10.0)
    return target


def test_what_was_being_sent_is_sought_where_it_may_be_then_and_ahead_of_all_else() -> None:
    lane = open_lane()
    target = recovered(lane, NEWEST)
    lane.commit(delivery("b"))
    assert (target.candidates, target.lost) == ([21, 22, 23], False)
    assert isinstance(lane.next_errand(), Search)
    assert (lane.errand_at(10.0), lane.newest) == (12.0, NEWEST)
    assert slot(lane, 60.0) == inf


def test_what_was_being_sent_where_no_id_was_known_is_not_sought() -> None:
    lane = open_lane()
    target = recovered(lane, 0)
    assert (target.candidates, target.lost, lane.has_errands, lane.newest) == ([], True, False, 0)


def test_several_that_were_being_sent_are_sought_one_after_the_other() -> None:
    """Each where it may be; what is known by now is known to all."""
    lane = open_lane()
    first, second = recovered(lane, NEWEST), recovered(lane, 30)
    assert (first.candidates, second.candidates) == ([21, 22, 23], [31, 32, 33])
    assert lane.newest == 30
    assert call_of(lane._lasting[0]).bubble is first
    lane.note_message(40)
    third = recovered(lane, 35)
    assert third.candidates == [36, 37, 38, 39, 41, 42, 43]
    assert lane.newest == 40


def test_what_is_over_without_a_call_lets_the_next_go() -> None:
    lane = open_lane()
    first, second = delivery("a"), delivery("b")
    for each in (first, second):
        lane.commit(each)
    lane.close(first)
    assert lane.next_errand() is second
    lane.close(second)
    assert not lane.has_errands


def test_the_newest_id_is_that_of_the_newest_message_whoever_wrote_it() -> None:
    lane = open_lane()
    assert lane.newest == 0
    lane.note_message(7)
    make(lane, message(), 1.0, SENT)
    assert lane.newest == 8
    lane.note_message(5)
    assert lane.newest == 8


# What comes of a preview that may be on screen when its answer is committed; the answer's calls.
PREVIEWS: list[tuple[str, list[Outcome], list[tuple[str, int | None, str]]]] = [
    (
        "found",
        [Delivered(), SENT, Delivered()],
        [("editMessageText", 21, "a"), ("sendMessage", None, "hello"), ("deleteMessage", 21, "")],
    ),
    (
        "nowhere",
        [GONE, GONE, GONE, SENT, Delivered()],
        [
            *(("editMessageText", message_id, "a") for message_id in (21, 22, 23)),
            ("sendMessage", None, SENDING_AGAIN.text),
            ("editMessageText", 8, f"hello\n\n{SENT_AGAIN}"),
        ],
    ),
]


@pytest.mark.parametrize(("outcomes", "calls"), [pytest.param(*row[1:], id=row[0]) for row in PREVIEWS])
def test_an_answer_waits_for_its_preview_to_be_found(
    outcomes: list[Outcome], calls: list[tuple[str, int | None, str]]
) -> None:
    lane = open_lane(newest=NEWEST)
    target = bubble()
    make(lane, message_call(target, FormattedText("a")), 1.0, LOST)
    lane.commit(Delivery(target, FormattedText("hello"), target, anew=True))
    found = []
    for outcome in outcomes:
        call = next_call(lane)
        found.append((call.method, call.params.get("message_id"), call.params.get("text", "")))
        deliver(lane, 3.0, outcome)
    assert found == calls
    assert not lane.has_errands


# Budgets


def test_each_call_draws_on_its_own_budget() -> None:
    lane = open_lane()
    for _ in range(3):
        make(lane, message(), 0.0, SENT)
    lane.commit(delivery())
    assert lane.errand_at(0.0) == 1.0
    assert [slot(open_lane(), 0.0, cost) for cost in Cost] == [0.0, 0.0]
    other = open_lane()
    for _ in range(17):
        make(other, draft(), 0.0, Delivered())
    assert [slot(other, 0.0, Cost.DRAFT, priority) for priority in Priority] == [0.0, 0.0, 4.0, 4.0]
    assert slot(other, 0.0, Cost.MESSAGE) == 0.0


def test_a_lasting_message_may_use_the_reserve() -> None:
    lane = open_lane()
    for _ in range(2):
        make(lane, message(5), 0.0, Delivered())
    assert slot(lane, 0.0, Cost.MESSAGE) == 1.0
    lane.commit(delivery())
    assert lane.errand_at(0.0) == 0.0


def test_a_call_that_is_over_makes_room_at_once() -> None:
    """Both kinds of allowances are given back, or the thirty-first call of the day would wait for ever."""
    lane = open_lane()
    now = 0.0
    for _ in range(200):
        for call in (draft(), message(5)):
            now = slot(lane, now, call.cost)
            assert now < inf
            make(lane, call, now, SENT)


@pytest.mark.parametrize(("cost", "fresh", "after"), [(Cost.DRAFT, 9, 9), (Cost.MESSAGE, 2, 1)])
def test_what_is_to_spare_is_the_budget_s(cost: Cost, fresh: int, after: int) -> None:
    lane = open_lane()
    assert lane.slack(0.0, cost, 1.0) == fresh
    make(lane, draft(), 0.0, Delivered())
    make(lane, message(5), 0.0, Delivered())
    assert lane.slack(0.0, cost, 1.0) == after


# Tickets


def queue(lane: Lane, *wanted: tuple[Cost, Priority]) -> list[Ticket]:
    return [lane.queue(cost, priority) for cost, priority in wanted]


def test_a_slot_goes_to_the_most_urgent() -> None:
    lane = open_lane()
    cosmetic, frame, urgent = queue(
        lane, (Cost.DRAFT, Priority.COSMETIC), (Cost.MESSAGE, Priority.FRAME), (Cost.DRAFT, Priority.URGENT)
    )
    assert [lane.slot_at(1.0, ticket) for ticket in (cosmetic, frame, urgent)] == [inf, inf, 1.0]
    lane.leave(urgent)
    assert [lane.slot_at(1.0, ticket) for ticket in (cosmetic, frame)] == [inf, 1.0]
    lane.leave(frame)
    assert lane.slot_at(1.0, cosmetic) == 1.0


def test_among_equals_in_turn() -> None:
    """Three topics that always want to show more."""
    lane = open_lane()
    waiting = {name: lane.queue(Cost.DRAFT, Priority.FRAME) for name in "abc"}
    served = []
    now = 0.0
    for _ in range(9):
        free = [name for name, ticket in waiting.items() if lane.slot_at(now, ticket) <= now]
        assert len(free) == 1
        served += free
        lane.leave(waiting[free[0]])
        make(lane, draft(), now, Delivered())
        waiting[free[0]] = lane.queue(Cost.DRAFT, Priority.FRAME)
        now += 1.0
    assert "".join(served) == "abcabcabc"


def test_who_cannot_go_lets_others_pass() -> None:
    """A call whose window is full holds up none that draws on another."""
    lane = open_lane()
    for _ in range(2):
        make(lane, message(5), 0.0, Delivered())
    edit, frame, sign = queue(
        lane, (Cost.MESSAGE, Priority.FRAME), (Cost.DRAFT, Priority.FRAME), (Cost.DRAFT, Priority.COSMETIC)
    )
    assert [lane.slot_at(0.0, ticket) for ticket in (edit, frame, sign)] == [1.0, 0.0, inf]
    assert [lane.slot_at(1.0, ticket) for ticket in (edit, frame, sign)] == [1.0, inf, inf]


def test_who_cannot_go_yet_is_told_when_even_if_others_go_before() -> None:
    lane = open_lane()
    for _ in range(2):
        make(lane, message(5), 0.0, Delivered())
    urgent, edit = queue(lane, (Cost.DRAFT, Priority.URGENT), (Cost.MESSAGE, Priority.FRAME))
    assert [lane.slot_at(0.0, ticket) for ticket in (urgent, edit)] == [0.0, 1.0]


def test_a_time_to_come_is_told_to_all_who_wait_for_it() -> None:
    """Who goes first is decided when it has come."""
    lane = open_lane()
    make(lane, draft(), 0.0, FLOOD)
    tickets = queue(lane, *[(Cost.DRAFT, priority) for priority in Priority])
    assert [lane.slot_at(1.0, ticket) for ticket in tickets] == [9.0] * 4
    assert [lane.slot_at(9.0, ticket) for ticket in tickets] == [9.0, inf, inf, inf]


def test_nobody_has_a_slot_while_a_lasting_message_waits() -> None:
    lane = open_lane()
    [ticket] = queue(lane, (Cost.DRAFT, Priority.URGENT))
    lane.commit(delivery())
    assert lane.slot_at(1.0, ticket) == inf
    deliver(lane, 1.0, SENT)
    assert lane.slot_at(1.0, ticket) == 1.0


def test_leaving_twice_is_leaving() -> None:
    lane = open_lane()
    first, second = queue(lane, (Cost.DRAFT, Priority.FRAME), (Cost.DRAFT, Priority.FRAME))
    lane.leave(first)
    lane.leave(first)
    assert lane.slot_at(1.0, second) == 1.0


# Any traffic

OUTCOMES = st.sampled_from([SENT, FLOOD, FORBIDDEN, GONE, LOST, UNSENT, Refused(400, "Bad Request: x"), Delivered()])
TICKETS = st.tuples(st.sampled_from(Cost), st.sampled_from([Priority.URGENT, Priority.FRAME, Priority.COSMETIC]))


class AnyTraffic(RuleBasedStateMachine):
    """Commits, removals, tickets and outcomes in any order; what begins is held to the lane's rules."""

    def __init__(self) -> None:
        super().__init__()
        self.lane = open_lane(private=False)
        self.newest = 8
        self.foreign: set[int] = set()
        self.sought: Bubble | None = None
        self.now = 0.0
        self.parked_until = -inf
        self.committed: list[Delivery] = []
        self.settled: list[Errand] = []
        self.removed: list[Bubble] = []
        self.tickets: list[Ticket] = []
        self.flight: Call | None = None
        self.errand: Errand | None = None

    @property
    def waiting(self) -> list[Delivery]:
        return [delivery for delivery in self.committed if delivery not in self.settled]

    @rule(message_id=st.none() | st.just(5), anew=st.booleans())
    def commit(self, message_id: int | None, anew: bool) -> None:
        new = delivery(str(len(self.committed)), message_id, anew=anew)
        self.lane.commit(new)
        self.committed.append(new)

    @rule(message_id=st.none() | st.just(5))
    def remove(self, message_id: int | None) -> None:
        self.removed.append(bubble(message_id))
        self.lane.remove(self.removed[-1])

    @rule(step=st.integers(1, 3))
    def note(self, step: int) -> None:
        self.newest += step
        self.foreign.add(self.newest)
        self.lane.note_message(self.newest)

    @rule(seconds=st.sampled_from([0.125, 1.0, 8.0, 60.0]))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @rule(wanted=TICKETS)
    def queue(self, wanted: tuple[Cost, Priority]) -> None:
        self.tickets.append(self.lane.queue(*wanted))

    @precondition(lambda self: self.tickets)
    @rule(data=st.data())
    def leave(self, data: st.DataObject) -> None:
        ticket = data.draw(st.sampled_from(self.tickets))
        self.tickets.remove(ticket)
        self.lane.leave(ticket)

    @rule(make_edit=st.sampled_from([message, lambda: message(5)]))
    def interim_call(self, make_edit: Callable[[], Call]) -> None:
        for ticket in self.tickets:
            if self.lane.slot_at(self.now, ticket) <= self.now:
                assert not self.waiting, "a lasting message waits"
                assert self.sought is None, "one is sought"
                self.begin(draft() if ticket.cost is Cost.DRAFT else make_edit())
                self.tickets.remove(ticket)
                self.lane.leave(ticket)
                break

    @rule()
    def errand_call(self) -> None:
        if self.lane.errand_at(self.now) > self.now or (errand := self.lane.next_errand()) is None:
            return
        assert self.now >= errand.not_before
        if self.sought is not None:
            assert isinstance(errand, Search)
        else:
            assert errand is self.waiting[0] if self.waiting else isinstance(errand, Removal)
        assert errand.state is State.WAITING
        self.errand = errand
        self.begin(call_of(errand))

    def begin(self, call: Call) -> None:
        assert self.flight is None
        assert self.now >= self.parked_until
        assert call.params.get("message_id", 0) is not None
        if self.sought is not None:
            assert call.bubble is self.sought
            assert call.params["message_id"] in self.sought.candidates
        self.flight = call
        self.lane.begin(call)

    @precondition(lambda self: self.flight is not None)
    @rule(outcome=OUTCOMES)
    def end(self, outcome: Outcome) -> None:
        assert self.flight is not None
        call, self.flight = self.flight, None
        seen = self.lane.end(call, outcome, self.now)
        assert not call.sends or self.foreign.isdisjoint(call.bubble.candidates)
        if outcome == FLOOD:
            self.parked_until = self.now + 9.0
        if self.errand is not None:
            self.lane.settle(self.errand, call, seen, self.now)
            if self.errand.state is not State.WAITING:
                self.settled.append(self.errand)
        self.errand = None
        self.sought = call.bubble if call.bubble.candidates else None

    @invariant()
    def errands_have_a_time(self) -> None:
        assert (self.lane.errand_at(self.now) == inf) == (self.flight is not None)
        if self.waiting:
            assert self.lane.has_errands
        assert (self.lane.next_errand() is None) == (not self.lane.has_errands)

    @invariant()
    def one_who_waits_has_the_slot(self) -> None:
        """The first whose budget has room; whoever comes later is not told to go, but told when there may be room."""
        times = {ticket: self.lane.slot_at(self.now, ticket) for ticket in self.tickets}
        is_removal_due = self.lane.has_errands and self.lane.errand_at(self.now) <= self.now
        if self.flight is not None or self.sought is not None or self.waiting or is_removal_due:
            assert set(times.values()) <= {inf}
            return
        free = [ticket for ticket in self.tickets if times[ticket] <= self.now]
        assert len(free) <= 1
        for ticket in self.tickets:
            assert times[ticket] < inf or free
            assert times[ticket] != inf or (free[0].priority, free[0].number) < (ticket.priority, ticket.number)


TestAnyTraffic = AnyTraffic.TestCase


@given(
    st.lists(st.tuples(OUTCOMES, st.sampled_from([0.0, 0.5, 3.0])), max_size=60),
    st.none() | st.just(5),
    st.booleans(),
    st.none() | st.just(NEWEST),
)
def test_a_lasting_message_comes_to_an_end(
    outcomes: list[tuple[Outcome, float]], message_id: int | None, anew: bool, newest: int | None
) -> None:
    """Whatever happens to its calls: a send that may have happened is sought before the next, and never repeated."""
    lane = open_lane(newest=newest)
    first = delivery(message_id=message_id, anew=anew)
    lane.commit(first)
    now, places, unknown = 0.0, 0, 0
    for outcome, latency in outcomes:
        now = lane.errand_at(now)
        assert now < inf
        errand = lane.next_errand()
        assert isinstance(errand, Search) == bool(places), "a send that may have happened is sought first"
        if errand is None or isinstance(errand, Removal):
            break
        call = call_of(errand)
        lane.begin(call)
        now += latency
        seen = lane.end(call, outcome, now)
        lane.settle(errand, call, seen, now)
        if isinstance(errand, Search) and errand.state is State.DELIVERED:
            unknown = 0  # it was there, whatever became of it
        unknown += call.sends and call.params["text"] == "a" and outcome in (LOST, Delivered())
        places = len(call.bubble.candidates)
    assert unknown <= 1
    assert places or (lane.next_errand() is first) == (first.state is State.WAITING)


@given(st.lists(st.tuples(TICKETS, st.sampled_from([0.0, 0.25, 2.0]), st.booleans()), max_size=60))
def test_no_window_of_a_private_chat_is_ever_exceeded(
    wishes: list[tuple[tuple[Cost, Priority], float, bool]],
) -> None:
    """Whichever moment of each call the server counts: here its beginning or its end."""
    lane, now = open_lane(), 0.0
    counted: dict[Cost, list[float]] = {cost: [] for cost in Cost}
    for (cost, priority), latency, at_end in wishes:
        now = slot(lane, now, cost, priority)
        call = draft() if cost is Cost.DRAFT else message(5)
        lane.begin(call)
        counted[cost].append(now + latency * at_end)
        now += latency
        lane.end(call, Delivered(), now)
    for cost, period, limit in ((Cost.DRAFT, 5.0, 20), (Cost.DRAFT, 30.0, 40), (Cost.MESSAGE, 1.0, 3)):
        times = counted[cost]
        assert all(sum(start <= other < start + period for other in times) <= limit for start in times)


def test_a_lane_is_idle_when_a_new_one_would_be_as_good() -> None:
    lane = open_lane()
    assert lane.is_idle(0.0)
    ticket = lane.queue(Cost.DRAFT, Priority.FRAME)
    assert not lane.is_idle(0.0)
    lane.leave(ticket)
    lane.commit(delivery())
    assert not lane.is_idle(0.0)
    lane = open_lane()
    call = draft()
    lane.begin(call)
    assert not lane.is_idle(0.0)
    lane.end(call, Refused(429, "Too Many Requests", 36_000.0), 0.0)
    assert [lane.is_idle(now) for now in (0.0, 3_600.0, 35_999.0, 36_000.0)] == [False, False, False, True]
    make(lane, draft(), 36_000.0, FLOOD)
    assert [lane.is_idle(36_000.0 + seconds) for seconds in (10.0, 3_600.0, 4_500.0)] == [False, False, True]
