"""Each fault on its own, their combinations, and what the journal says of it."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest
from emulator_scenes import ANN, BEN, GROUP, ask, refusal, reply_to, scene, waiting

from triolet.emulator import (
    Again,
    Bucket,
    Delay,
    Drop,
    EmulatedTelegram,
    Fault,
    Flood,
    Limits,
    Refuse,
    Reply,
    Reset,
    ServerError,
)
from triolet.emulator.faults import parse_fault


def spoiled(*faults: Fault, **options: Any) -> EmulatedTelegram:
    telegram = scene(**options)
    for fault in faults:
        telegram.add_fault(fault)
    return telegram


def fates(telegram: EmulatedTelegram, *calls: tuple[str, int]) -> list[str]:
    """What becomes of sends and drafts: "ok", "no" or "drop"."""
    found = []
    for number, (method, chat_id) in enumerate(calls):
        draft = {"draft_id": 1} if method == "sendMessageDraft" else {}
        step = telegram.call(method, {"chat_id": chat_id, "text": f"text {number}", **draft}, 0.0)
        found.append("drop" if isinstance(step, Drop) else "ok" if getattr(step, "status", 0) == 200 else "no")
    return found


NO = Refuse(400, "Bad Request: no")
SEND, DRAFT = ("sendMessage", ANN), ("sendMessageDraft", ANN)


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        (Fault(action=NO), ["no", "ok", "ok", "ok"]),
        (Fault(action=NO, times=None), ["no", "no", "no", "no"]),
        (Fault(action=NO, times=2), ["no", "no", "ok", "ok"]),
        (Fault(action=NO, skip=2), ["ok", "ok", "no", "ok"]),
        (Fault(action=NO, skip=1, times=None), ["ok", "no", "no", "no"]),
        (Fault(action=NO, method="sendMessage"), ["ok", "no", "ok", "ok"]),
        (Fault(action=NO, method=("sendMessage", "sendMessageDraft"), skip=1), ["ok", "no", "ok", "ok"]),
        (Fault(action=NO, chat_id=BEN), ["ok", "ok", "no", "ok"]),
        (Fault(action=NO, method="sendMessage", chat_id=BEN, times=None), ["ok", "ok", "no", "no"]),
        (Fault(action=NO, method="getMe", times=None), ["ok", "ok", "ok", "ok"]),
    ],
)
def test_a_fault_applies_to_the_calls_it_names(fault: Fault, expected: list[str]) -> None:
    telegram = spoiled(fault)
    assert fates(telegram, DRAFT, SEND, ("sendMessage", BEN), ("sendMessage", BEN)) == expected


def test_faults_can_be_taken_back() -> None:
    telegram = spoiled(Fault(action=NO, times=None))
    telegram.clear_faults()
    assert fates(telegram, SEND) == ["ok"]


def test_a_refusal_says_exactly_what_was_written() -> None:
    parameters = {"migrate_to_chat_id": -1001}
    text = "Bad Request: group chat was upgraded to a supergroup chat"
    telegram = spoiled(Fault(action=Refuse(400, text, parameters)))
    reply = reply_to(telegram, "sendMessage", chat_id=GROUP, text="x")
    assert reply.body == {"ok": False, "error_code": 400, "description": text, "parameters": parameters}
    assert telegram.visible(GROUP, 0.0) == []


def test_a_refusal_with_429_starts_no_penalty_and_a_flood_does() -> None:
    busy = "Too Many Requests: retry after 3"
    telegram = spoiled(Fault(action=Refuse(429, busy, {"retry_after": 3}), method="sendMessage"))
    reply = reply_to(telegram, "sendMessage", chat_id=ANN, text="x")
    assert (reply.status, reply.headers) == (429, (("Retry-After", "3"),))
    ask(telegram, "sendMessage", chat_id=ANN, text="x")
    telegram.add_fault(Fault(action=Flood(37), method="sendMessage"))
    assert refusal(telegram, "sendMessage", 1.0, chat_id=ANN, text="x") == "Too Many Requests: retry after 37"
    assert refusal(telegram, "sendMessage", 2.0, chat_id=ANN, text="x") == "Too Many Requests: retry after 37"
    ask(telegram, "sendMessage", 2.0, chat_id=BEN, text="x")
    ask(telegram, "sendMessageDraft", 2.0, chat_id=ANN, draft_id=1)
    ask(telegram, "sendMessage", 39.0, chat_id=ANN, text="x")


@pytest.mark.parametrize("method", ["sendMessage", "sendMessageDraft", "sendChatAction", "deleteMessage"])
def test_a_flood_in_one_chat_refuses_its_kind_of_call_there(method: str) -> None:
    telegram = spoiled()
    params: dict[str, dict[str, Any]] = {
        "sendMessage": {"text": "x"},
        "sendMessageDraft": {"draft_id": 1},
        "sendChatAction": {"action": "typing"},
        "deleteMessage": {"message_id": 1},
    }
    for chat_id in (ANN, BEN):
        ask(telegram, "sendMessage", chat_id=chat_id, text="to be deleted")
    telegram.add_fault(Fault(action=Flood(5), method=method, chat_id=ANN))
    ask(telegram, method, chat_id=BEN, **{**params[method], **({"message_id": 2} if method == "deleteMessage" else {})})
    for now, seconds in ((0.0, 5), (1.0, 5), (5.0, 2)):  # the call at 1.0 cost a second more
        said = refusal(telegram, method, now, chat_id=ANN, **params[method])
        assert said == f"Too Many Requests: retry after {seconds}"
    ask(telegram, method, 7.0, chat_id=ANN, **params[method])


def test_a_flood_of_deletions_closes_nothing_else() -> None:
    telegram = spoiled(Fault(action=Flood(5), method="deleteMessage"))
    assert refusal(telegram, "deleteMessage", chat_id=ANN, message_id=1) == "Too Many Requests: retry after 5"
    ask(telegram, "sendMessage", chat_id=ANN, text="x")
    ask(telegram, "sendMessageDraft", chat_id=ANN, draft_id=1)


def test_any_fault_hits_a_deletion_too() -> None:
    telegram = spoiled(*(Fault(action=each, method="deleteMessage") for each in (NO, Reset(carried_out=False))))
    ask(telegram, "sendMessage", chat_id=ANN, text="x")
    assert refusal(telegram, "deleteMessage", chat_id=ANN, message_id=1) == "Bad Request: no"
    assert isinstance(telegram.call("deleteMessage", {"chat_id": ANN, "message_id": 1}, 0.0), Drop)
    assert telegram.visible(ANN, 0.0) == ["x"]
    assert ask(telegram, "deleteMessage", chat_id=ANN, message_id=1) is True


def test_a_429_may_come_without_its_seconds() -> None:
    telegram = spoiled(
        Fault(action=Refuse(429, "Too Many Requests")), Fault(action=Refuse(400, "x", {"retry_after": 3}))
    )
    for status in (429, 400):
        reply = reply_to(telegram, "getMe")
        assert (reply.status, reply.headers) == (status, ())


def test_a_flood_of_a_method_without_a_peer_is_one_answer() -> None:
    telegram = spoiled(Fault(action=Flood(5)))
    assert refusal(telegram, "getMe") == "Too Many Requests: retry after 5"
    ask(telegram, "getMe")


def test_a_server_error_is_html_and_nothing_happened() -> None:
    telegram = spoiled(Fault(action=ServerError()), Fault(action=ServerError(504, "<p>slow</p>")))
    first, second = (reply_to(telegram, "sendMessage", chat_id=ANN, text="x") for _ in range(2))
    assert (first.status, second.status) == (502, 504)
    assert b"<title>502 Bad Gateway</title>" in first.encode()
    assert second.encode() == b"<p>slow</p>"
    assert telegram.visible(ANN, 0.0) == []


@pytest.mark.parametrize("carried_out", [True, False])
def test_a_reset_hides_whether_the_call_happened(*, carried_out: bool) -> None:
    telegram = spoiled(Fault(action=Reset(carried_out=carried_out)))
    assert fates(telegram, SEND) == ["drop"]
    assert telegram.visible(ANN, 0.0) == (["text 0"] if carried_out else [])
    entry = telegram.journal[0]
    assert (entry.outcome, entry.carried_out, entry.status) == ("dropped", carried_out, None)


def test_a_reset_hides_a_refusal_too() -> None:
    telegram = spoiled(Fault(action=Reset(carried_out=True)))
    assert telegram.call("sendMessage", {"chat_id": ANN, "text": ""}, 0.0) == Drop(serial=0)
    assert not telegram.journal[0].carried_out


def test_a_delay_before_shows_the_effect_late() -> None:
    telegram = spoiled(Fault(action=Delay(before=2.0, after=3.0)))
    wait = waiting(telegram, "sendMessage", 10.0, chat_id=ANN, text="x")
    assert (wait.at, wait.on_update) == (12.0, False)
    assert telegram.visible(ANN, 11.9) == []
    assert telegram.resume(wait, 11.0) == wait
    reply = telegram.resume(wait, 12.0)
    assert isinstance(reply, Reply)
    assert reply.delay == 3.0
    assert telegram.visible(ANN, 12.0) == ["x"]


def test_faults_combine_delays_add_up_and_endings_take_turns() -> None:
    telegram = spoiled(
        Fault(action=Delay(before=1.0)),
        Fault(action=Reset(carried_out=True)),
        Fault(action=NO),
        Fault(action=Delay(before=0.5, after=0.25)),
        latency=Delay(before=0.5, after=0.25),
    )
    wait = waiting(telegram, "sendMessage", chat_id=ANN, text="x")
    assert wait.at == 2.0
    assert telegram.resume(wait, 2.0) == Drop(delay=0.5, serial=0)
    assert telegram.visible(ANN, 2.0) == ["x"]
    telegram.latency = Delay()
    assert fates(telegram, SEND, SEND) == ["no", "ok"]  # an ending that was not taken waits


def test_latency_may_be_drawn_from_a_seeded_source() -> None:
    source = random.Random(1)
    telegram = scene(latency=lambda method: Delay(after=source.uniform(0.1, 0.9)))
    delays = [reply_to(telegram, "getMe").delay for _ in range(3)]
    source = random.Random(1)
    assert delays == [source.uniform(0.1, 0.9) for _ in range(3)]
    telegram.latency = Delay()
    assert reply_to(telegram, "getMe").delay == 0.0


def test_a_call_whose_client_left_happens_at_its_time_all_the_same() -> None:
    telegram = spoiled(Fault(action=Delay(before=5.0)), Fault(action=Delay(before=2.0), skip=1))
    late = waiting(telegram, "sendMessage", chat_id=ANN, text="late")
    early = waiting(telegram, "sendMessageDraft", chat_id=ANN, text="early", draft_id=1)
    for wait in (late, early):
        telegram.abandon(wait, 1.0)
    assert telegram.due == 2.0
    assert telegram.visible(ANN, 3.0) == ["early"]
    assert telegram.visible(ANN, 99.0) == ["late"]
    assert [(row.at, row.kind) for row in telegram.transcript(ANN)] == [
        (2.0, "draft"),
        (5.0, "draft_cleared"),
        (5.0, "message"),
    ]
    entry = telegram.calls("sendMessage")[0]
    assert (entry.outcome, entry.carried_out, entry.answered) == ("delivered", True, None)


def test_a_draft_that_died_before_an_abandoned_message_was_not_cleared_by_it() -> None:
    telegram = spoiled(Fault(action=Delay(before=40.0), method="sendMessage"))
    ask(telegram, "sendMessageDraft", chat_id=ANN, draft_id=1, text="x")
    telegram.abandon(waiting(telegram, "sendMessage", chat_id=ANN, text="y"), 1.0)
    rows = [(row.at, row.kind) for row in telegram.transcript(ANN, 99.0)]
    assert rows == [(0.0, "draft"), (30.0, "draft_expired"), (40.0, "message")]


def test_an_abandoned_call_still_waits_for_the_rates() -> None:
    telegram = spoiled(
        Fault(action=Delay(before=1.0), skip=1), limits=Limits(private=Bucket(1, 5.0), absorb_messages=8.0)
    )
    ask(telegram, "sendMessage", chat_id=ANN, text="first")
    telegram.abandon(waiting(telegram, "sendMessage", chat_id=ANN, text="second"), 0.5)
    assert telegram.visible(ANN, 4.9) == ["first"]
    assert telegram.visible(ANN, 5.0) == ["first", "second"]


def test_a_delayed_poll_may_be_abandoned_before_it_begins() -> None:
    telegram = spoiled(Fault(action=Delay(before=1.0)))
    telegram.abandon(waiting(telegram, "getUpdates", timeout=10), 0.5)
    assert (telegram.due, telegram.journal[0].outcome) == (float("inf"), "dropped")


def test_what_is_abandoned_after_its_time_happens_at_once() -> None:
    telegram = spoiled(Fault(action=Delay(before=1.0)))
    telegram.abandon(waiting(telegram, "sendMessage", chat_id=ANN, text="x"), 2.0)
    assert (telegram.due, telegram.journal[0].carried_out) == (float("inf"), True)


def test_abandoned_calls_keep_their_place_among_later_ones() -> None:
    telegram = spoiled(Fault(action=Delay(before=5.0)))
    telegram.add_fault(Fault(action=Delay(before=7.0), skip=1))
    telegram.abandon(waiting(telegram, "sendMessage", chat_id=ANN, text="first"), 1.0)
    third = waiting(telegram, "sendMessage", chat_id=ANN, text="third")
    ask(telegram, "sendMessage", 6.0, chat_id=ANN, text="second")
    telegram.resume(third, 7.0)
    assert telegram.visible(ANN, 7.0) == ["first", "second", "third"]


def test_a_resumed_call_comes_after_the_abandoned_ones_before_it() -> None:
    telegram = spoiled(Fault(action=Delay(before=5.0)), Fault(action=Delay(before=6.0), skip=1))
    telegram.abandon(waiting(telegram, "sendMessage", chat_id=ANN, text="first"), 1.0)
    second = waiting(telegram, "sendMessage", chat_id=ANN, text="second")
    telegram.resume(second, 6.0)
    assert telegram.visible(ANN, 6.0) == ["first", "second"]


@pytest.mark.parametrize(
    ("written", "fault"),
    [
        ({"action": {"name": "refuse", "code": 400, "description": "x"}}, Fault(action=Refuse(400, "x"))),
        (
            {"action": {"name": "flood", "retry_after": 5}, "method": "sendMessage", "times": None},
            Fault(action=Flood(5), method="sendMessage", times=None),
        ),
        (
            {"action": {"name": "delay", "before": 1, "after": 0.5}, "method": ["a", "b"], "chat_id": 7, "skip": 2},
            Fault(action=Delay(1, 0.5), method=("a", "b"), chat_id=7, skip=2),
        ),
        ({"action": {"name": "reset", "carried_out": True}}, Fault(action=Reset(carried_out=True))),
        ({"action": {"name": "server_error"}}, Fault(action=ServerError())),
    ],
)
def test_a_fault_can_be_written_in_json(written: dict[str, Any], fault: Fault) -> None:
    assert parse_fault(json.loads(json.dumps(written))) == fault


@pytest.mark.parametrize(
    "written",
    [
        {},
        {"action": "flood"},
        {"action": {"name": "explode"}},
        {"action": {"name": ["flood"]}},
        {"action": {"name": "flood"}},
        {"action": {"name": "flood", "retry_after": "5"}},
        {"action": {"name": "reset", "carried_out": 1}},
        {"action": {"name": "server_error", "colour": "red"}},
        {"action": {"name": "server_error"}, "times": "twice"},
        {"action": {"name": "server_error"}, "when": "later"},
    ],
)
def test_a_wrong_fault_is_refused_with_one_line(written: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"^[^\n]+$"):
        parse_fault(written)


def test_a_poll_can_be_delayed_and_then_waits() -> None:
    telegram = spoiled(Fault(action=Delay(before=1.0), method="getUpdates"))
    wait = waiting(telegram, "getUpdates", timeout=10)
    assert (wait.at, wait.on_update) == (1.0, False)
    polling = telegram.resume(wait, 1.0)
    assert isinstance(polling, Again)
    assert (polling.at, polling.on_update) == (11.0, True)
