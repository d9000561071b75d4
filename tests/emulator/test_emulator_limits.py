"""Rates: timelines of calls with what each is told to wait; 0 means it was carried out."""

from __future__ import annotations

from typing import Any

import attrs
import pytest
from emulator_scenes import ANN, BEN, FORUM, GROUP, TOPIC, ask, reply_to, scene, waiting
from hypothesis import given
from hypothesis import strategies as st

from triolet.emulator import (
    Again,
    Bucket,
    Cooldowns,
    Delay,
    EmulatedTelegram,
    Fault,
    Flood,
    Limits,
    Reply,
    Window,
)
from triolet.emulator.limits import whole_seconds

Timeline = list[tuple[float, int, int]]  # (at, how many calls, seconds that the last is told to wait)


def told(reply: Reply) -> int:
    """The seconds of a 429 in all the three places where they stand, 0 for a success."""
    assert isinstance(reply.body, dict)
    if reply.status == 200:
        return 0
    seconds: int = reply.body["parameters"]["retry_after"]
    assert reply.headers == (("Retry-After", str(seconds)),)
    assert reply.body == {
        "ok": False,
        "error_code": 429,
        "description": f"Too Many Requests: retry after {seconds}",
        "parameters": {"retry_after": seconds},
    }
    return seconds


class Texts:
    """Calls whose texts all differ, so that no edit is unmodified."""

    def __init__(self, telegram: EmulatedTelegram, method: str, **params: Any) -> None:
        self.telegram, self.method, self.params = telegram, method, params
        self.made = 0

    def call(self, now: float) -> int:
        self.made += 1
        texts = {} if self.method in {"sendChatAction", "deleteMessage"} else {"text": f"text {self.made}"}
        return told(reply_to(self.telegram, self.method, now, **self.params, **texts))

    def follow(self, timeline: Timeline) -> Timeline:
        return [(at, count, [self.call(at) for _ in range(count)][-1]) for at, count, _ in timeline]


DRAFT = {"chat_id": ANN, "draft_id": 1}
TIMELINES: list[tuple[str, dict[str, Any], Timeline]] = [
    # twenty at once fill the short window until 5.0; so the one at 1.0 is told 4
    ("sendMessageDraft", DRAFT, [(0.0, 20, 0), (1.0, 1, 4), (5.0, 1, 0)]),
    ("sendChatAction", {"chat_id": ANN, "action": "typing"}, [(0.0, 20, 0), (4.5, 1, 1), (5.0, 20, 0)]),
    # inside a penalty each call moves its end a second on, and the windows' room is of no use
    ("sendMessageDraft", DRAFT, [(0.0, 21, 5), (1.0, 1, 5), (2.0, 1, 5), (6.9, 1, 2), (8.0, 1, 0)]),
    # forty fill the long window: until 30.0, when the first twenty leave it
    ("sendMessageDraft", DRAFT, [(0.0, 20, 0), (5.0, 20, 0), (10.0, 1, 20), (29.9, 1, 2), (31.0, 1, 0)]),
    ("sendMessage", {"chat_id": ANN}, [(0.0, 3, 0), (0.0, 1, 1), (1.0, 1, 0), (1.5, 1, 1), (2.0, 1, 0), (10.0, 3, 0)]),
    ("editMessageText", {"chat_id": ANN, "message_id": 1}, [(9.0, 3, 0), (9.25, 1, 1), (10.0, 1, 0)]),
    ("sendMessage", {"chat_id": GROUP}, [(0.0, 10, 0), (1.0, 10, 0), (2.0, 1, 58), (60.0, 10, 0), (60.0, 1, 1)]),
    ("sendMessage", {"chat_id": FORUM, "message_thread_id": TOPIC}, [(0.0, 20, 0), (30.0, 1, 30)]),
]  # fmt: skip


@pytest.mark.parametrize(("method", "params", "timeline"), TIMELINES)
def test_a_call_beyond_the_documented_rates_waits(method: str, params: dict[str, Any], timeline: Timeline) -> None:
    telegram = scene(Limits())
    if method == "editMessageText":
        ask(telegram, "sendMessage", chat_id=ANN, text="to be edited")
    assert Texts(telegram, method, **params).follow(timeline) == timeline


def test_nothing_is_carried_out_beyond_a_rate() -> None:
    telegram = scene(Limits())
    texts = Texts(telegram, "sendMessage", chat_id=ANN)
    texts.follow([(0.0, 5, 0)])
    assert telegram.visible(ANN, 0.0) == ["text 1", "text 2", "text 3"]
    assert [entry.outcome for entry in telegram.journal][-2:] == ["refused", "refused"]


def test_drafts_and_actions_share_their_windows_and_so_do_topics() -> None:
    telegram = scene(Limits())
    Texts(telegram, "sendMessageDraft", chat_id=ANN, draft_id=1).follow([(0.0, 10, 0)])
    Texts(telegram, "sendMessageDraft", chat_id=ANN, draft_id=1, message_thread_id=TOPIC).follow([(0.0, 5, 0)])
    actions = Texts(telegram, "sendChatAction", chat_id=ANN, action="typing")
    assert actions.follow([(0.0, 5, 0), (0.0, 1, 5)]) == [(0.0, 5, 0), (0.0, 1, 5)]


def test_other_peers_and_other_kinds_are_not_concerned() -> None:
    telegram = scene(Limits())
    Texts(telegram, "sendMessageDraft", chat_id=ANN, draft_id=1).follow([(0.0, 21, 5)])
    assert told(reply_to(telegram, "sendMessage", chat_id=ANN, text="x")) == 0
    assert told(reply_to(telegram, "sendMessageDraft", chat_id=BEN, draft_id=1)) == 0


def test_thirty_a_second_over_all_chats() -> None:
    telegram = scene(Limits(private=None))
    chats = [ANN, BEN] * 15
    assert [told(reply_to(telegram, "sendMessage", 0.0, chat_id=chat, text="x")) for chat in chats] == [0] * 30
    assert told(reply_to(telegram, "sendMessage", 0.5, chat_id=ANN, text="x")) == 1
    assert told(reply_to(telegram, "deleteMessage", 0.5, chat_id=ANN, message_id=1)) == 2
    assert told(reply_to(telegram, "sendMessageDraft", 0.5, chat_id=ANN, draft_id=1)) == 0
    assert told(reply_to(telegram, "deleteMessage", 2.0, chat_id=ANN, message_id=1)) == 0


def test_strict_edits_are_twenty_a_minute_in_private_and_hinder_no_send() -> None:
    telegram = scene(attrs.evolve(Limits.strict_edits(), private=None))
    for chat_id in (ANN, BEN):
        ask(telegram, "sendMessage", chat_id=chat_id, text="to be edited")
    edits = Texts(telegram, "editMessageText", chat_id=ANN, message_id=1)
    timeline = [(0.0, 10, 0), (10.0, 10, 0), (20.0, 1, 40), (20.0, 1, 41), (61.0, 10, 0), (61.0, 1, 9)]
    assert edits.follow(timeline[:4]) == timeline[:4]
    for chat_id, method, params in ((ANN, "sendMessage", {}), (BEN, "editMessageText", {"message_id": 2})):
        assert told(reply_to(telegram, method, 20.0, chat_id=chat_id, text="x", **params)) == 0
    assert edits.follow(timeline[4:]) == timeline[4:]


def test_strict_edits_come_on_top_of_the_documented_limits() -> None:
    limits = Limits.strict_edits()
    assert attrs.evolve(limits, private_edits=()) == Limits()
    telegram = scene(limits)
    assert Texts(telegram, "sendMessage", chat_id=ANN).follow([(0.0, 3, 0)]) == [(0.0, 3, 0)]
    edits = Texts(telegram, "editMessageText", chat_id=ANN, message_id=1)
    assert edits.follow([(0.5, 1, 1), (1.0, 1, 0)]) == [(0.5, 1, 1), (1.0, 1, 0)]


def test_a_groups_edits_have_no_windows_but_those_they_share_with_its_sends() -> None:
    telegram = scene(Limits(group=(Window(4, 60.0),), private_edits=(Window(1, 60.0),)))
    ask(telegram, "sendMessage", chat_id=GROUP, text="to be edited")
    timeline = [(0.0, 3, 0), (0.0, 1, 60)]
    assert Texts(telegram, "editMessageText", chat_id=GROUP, message_id=1).follow(timeline) == timeline


def test_a_flood_of_edits_is_a_flood_of_sends_too() -> None:
    telegram = scene(Limits.strict_edits())
    ask(telegram, "sendMessage", chat_id=ANN, text="x")
    telegram.add_fault(Fault(action=Flood(9), method="editMessageText"))
    assert told(reply_to(telegram, "editMessageText", 1.0, chat_id=ANN, message_id=1, text="y")) == 9
    assert told(reply_to(telegram, "sendMessage", 2.0, chat_id=ANN, text="x")) == 9


def cooled(seed: int, *, chat_id: int = ANN, gap: float = 0.9, calls: int = 400) -> list[tuple[int, int]]:
    """The calls of a lone chat, paced so, that met a cool-down, and the seconds that each was told."""
    telegram = scene(attrs.evolve(Limits.none(), cooling=Limits.cooldowns(seed).cooling))
    now, met = 0.0, []
    for number in range(calls):
        seconds = told(reply_to(telegram, "sendMessageDraft", now, chat_id=chat_id, draft_id=1, text=f"text {number}"))
        if seconds:
            met.append((number, seconds))
        now += seconds + gap
    return met


def test_cool_downs_come_to_one_hasty_call_in_twenty_and_last_up_to_three_seconds() -> None:
    met = [each for seed in range(10) for each in cooled(seed)]
    assert 0.04 < len(met) / 4000 < 0.06
    assert {seconds for _, seconds in met} == {1, 2, 3}
    assert cooled(0, gap=1.0) == []


def test_the_seed_and_the_chat_decide_about_cool_downs_and_nothing_else() -> None:
    assert cooled(1) == cooled(1)
    assert cooled(1) != cooled(2)
    assert cooled(1) != cooled(1, chat_id=BEN)


def test_a_cool_down_refuses_the_whole_chat_and_grows_as_penalties_do() -> None:
    limits = attrs.evolve(Limits(), cooling=Cooldowns(0, chance=1.0, longest=2.0))
    length = Cooldowns(0, chance=1.0, longest=2.0).length(ANN, 1)
    telegram = scene(limits)
    mine = telegram.user_sends(ANN, "x", 0.0)
    edited = ask(telegram, "sendMessage", chat_id=ANN, text="x")["message_id"]
    assert told(reply_to(telegram, "sendMessageDraft", 0.9, chat_id=ANN, draft_id=1)) == whole_seconds(length)
    ends = 0.9 + length
    for method, params in (
        ("sendChatAction", {"action": "typing"}),
        ("sendMessage", {"text": "x"}),
        ("editMessageText", {"message_id": edited, "text": "y"}),
        ("sendMessageDraft", {"draft_id": 1}),
    ):
        ends += 1.0
        assert told(reply_to(telegram, method, 0.9, chat_id=ANN, **params)) == whole_seconds(ends - 0.9)
    assert told(reply_to(telegram, "deleteMessage", 0.9, chat_id=ANN, message_id=mine)) == 0
    assert told(reply_to(telegram, "sendMessage", 0.9, chat_id=BEN, text="x")) == 0
    assert told(reply_to(telegram, "sendMessage", ends, chat_id=ANN, text="x")) == 0


def test_deletions_neither_begin_a_cool_down_nor_make_the_next_call_hasty() -> None:
    telegram = scene(attrs.evolve(Limits.none(), cooling=Cooldowns(0, chance=1.0)))
    ask(telegram, "sendMessage", chat_id=ANN, text="x")
    ask(telegram, "deleteMessage", 0.9, chat_id=ANN, message_id=1)
    ask(telegram, "sendMessage", 1.0, chat_id=ANN, text="y")


def test_an_absorbed_cool_down_is_met_once() -> None:
    cooling = Cooldowns(0, chance=1.0, longest=0.5)
    telegram = scene(attrs.evolve(Limits.none(), cooling=cooling, absorb_messages=8.0))
    ask(telegram, "sendMessage", chat_id=ANN, text="first")
    wait = waiting(telegram, "sendMessage", 0.0, chat_id=ANN, text="second")
    assert wait.at == cooling.length(ANN, 1)
    assert isinstance(telegram.resume(wait, wait.at), Reply)


def test_a_penalty_grows_no_further_than_the_longest() -> None:
    limits = Limits(private=Bucket(1, 1.0), extension=100.0, longest=150.0)
    texts = Texts(scene(limits), "sendMessage", chat_id=ANN)
    timeline = [(0.0, 1, 0), (0.0, 1, 1), (0.0, 1, 101), (0.0, 1, 150), (0.0, 1, 150)]
    assert texts.follow(timeline) == timeline


def test_nothing_is_limited_without_limits() -> None:
    telegram = scene(Limits.none())
    for method, params in (("sendMessage", {}), ("sendMessageDraft", {"draft_id": 1})):
        texts = Texts(telegram, method, chat_id=ANN, **params)
        assert {texts.call(0.0) for _ in range(200)} == {0}


@pytest.mark.parametrize(("wait", "seconds"), [(0.0, 1), (0.2, 1), (1.0, 1), (1.1, 2), (5.0000000004, 5), (-3.0, 1)])
def test_waits_are_whole_seconds_and_at_least_one(wait: float, seconds: int) -> None:
    assert whole_seconds(wait) == seconds


def test_a_short_wait_is_absorbed_where_the_limits_say_so() -> None:
    telegram = scene(Limits(absorb_drafts=2.0, absorb_messages=8.0))
    texts = Texts(telegram, "sendMessageDraft", chat_id=ANN, draft_id=1)
    texts.follow([(0.0, 20, 0)])
    wait = waiting(telegram, "sendMessageDraft", 3.5, chat_id=ANN, draft_id=1, text="old text")
    assert (wait.at, wait.on_update) == (5.0, False)
    assert telegram.visible(ANN, 3.5) == ["text 20"]
    assert isinstance(telegram.resume(wait, 5.0), Reply)
    assert telegram.visible(ANN, 5.0) == ["old text"]
    Texts(telegram, "sendMessageDraft", chat_id=BEN, draft_id=1).follow([(5.0, 20, 0)])
    assert told(reply_to(telegram, "sendMessageDraft", 7.5, chat_id=BEN, draft_id=1, text="x")) == 3


def test_two_absorbed_calls_take_their_turns() -> None:
    telegram = scene(Limits(private=Bucket(1, 4.0), absorb_messages=8.0))
    ask(telegram, "sendMessage", chat_id=ANN, text="0")
    first, second, third = (waiting(telegram, "sendMessage", 0.0, chat_id=ANN, text=text) for text in "123")
    assert isinstance(telegram.resume(first, 4.0), Reply)
    again = telegram.resume(second, 4.0)
    assert isinstance(again, Again)
    assert again.at == 8.0
    assert isinstance(telegram.resume(again, 8.0), Reply)
    over = telegram.resume(third, 8.0)
    assert isinstance(over, Reply)
    assert told(over) == 4  # twice four seconds were all its patience


def test_a_window_counts_calls_when_they_are_carried_out() -> None:
    telegram = scene(Limits(drafts=(Window(1, 5.0),)))
    telegram.add_fault(Fault(action=Delay(before=2.0)))
    late = waiting(telegram, "sendMessageDraft", 0.0, chat_id=ANN, draft_id=1)
    assert isinstance(telegram.resume(late, 2.0), Reply)
    assert told(reply_to(telegram, "sendMessageDraft", 6.0, chat_id=ANN, draft_id=1)) == 1
    assert told(reply_to(telegram, "sendMessageDraft", 7.0, chat_id=ANN, draft_id=1)) == 0


@given(st.lists(st.floats(0.0, 3.0), max_size=120))
def test_a_client_that_waits_as_told_is_never_refused_twice_and_no_window_is_overrun(gaps: list[float]) -> None:
    telegram = scene(Limits())
    now, carried_out = 0.0, []
    for gap in gaps:
        now += gap
        seconds = told(reply_to(telegram, "sendMessageDraft", now, chat_id=ANN, draft_id=1))
        if seconds:
            now += seconds
            assert told(reply_to(telegram, "sendMessageDraft", now, chat_id=ANN, draft_id=1)) == 0
        carried_out.append(now)
    for count, length in ((20, 5.0), (40, 30.0)):
        for first, last in zip(carried_out, carried_out[count:], strict=False):
            assert last - first >= length - 1e-6
