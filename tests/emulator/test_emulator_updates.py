"""The queue of updates: acknowledging, choosing, polling, dying. Times are the scene's own seconds."""

from __future__ import annotations

from typing import Any

import pytest
from emulator_scenes import ANN, STOP, ask, scene, waiting

from triolet.emulator import EmulatedTelegram, Reply

CONFLICT = "Conflict: terminated by other getUpdates request; make sure that only one bot instance is running"


def ids(telegram: EmulatedTelegram, now: float = 0.0, **params: Any) -> list[int]:
    return [update["update_id"] for update in ask(telegram, "getUpdates", now, **params)]


def five() -> EmulatedTelegram:
    telegram = scene(first_update_id=1000)
    for number in range(5):
        telegram.user_sends(ANN, f"message {number}", 0.0)
    return telegram


@pytest.mark.parametrize(
    ("params", "expected", "left"),
    [
        ({}, [1000, 1001, 1002, 1003, 1004], 5),
        ({"limit": 2}, [1000, 1001], 5),
        ({"limit": 0}, [1000, 1001, 1002, 1003, 1004], 5),
        ({"limit": 101}, [1000, 1001, 1002, 1003, 1004], 5),
        ({"offset": 1000}, [1000, 1001, 1002, 1003, 1004], 5),
        ({"offset": 1003}, [1003, 1004], 2),
        ({"offset": 1003, "limit": 1}, [1003], 2),
        ({"offset": 1005}, [], 0),
        ({"offset": 5000}, [], 0),
        ({"offset": -2}, [1003, 1004], 2),
        ({"offset": -9}, [1000, 1001, 1002, 1003, 1004], 5),
    ],
)
def test_an_offset_acknowledges_everything_below_it(params: dict[str, int], expected: list[int], left: int) -> None:
    telegram = five()
    assert ids(telegram, **params) == expected
    assert len(telegram.updates.pending) == left


def test_allowed_updates_persist_and_concern_what_is_made_afterwards() -> None:
    telegram = five()
    assert len(ids(telegram, allowed_updates=["callback_query", "no_such_kind"])) == 5
    telegram.user_sends(ANN, "unheard", 1.0)
    assert ids(telegram, offset=1005) == []
    assert ids(telegram, allowed_updates=[]) == []
    telegram.user_sends(ANN, "heard", 2.0)
    assert ids(telegram) == [1005]


@pytest.mark.parametrize("unknown", [[], ["no_such_kind"], [5]])
def test_an_empty_list_means_the_default_kinds(unknown: list[Any]) -> None:
    telegram = scene()
    ask(telegram, "getUpdates", allowed_updates=unknown)
    assert telegram.push_update("chat_member", {}, 0.0) is None
    assert telegram.push_update("message_reaction", {}, 0.0) is None
    assert telegram.push_update("stopped_message_generation", {}, 0.0) == 1000
    with pytest.raises(ValueError, match="'nonsense' is no kind of update"):
        telegram.push_update("nonsense", {}, 0.0)


def test_a_stop_is_not_heard_where_a_list_leaves_it_out() -> None:
    telegram = scene()
    ask(telegram, "getUpdates", allowed_updates=["message"])
    ask(telegram, "sendMessageDraft", chat_id=ANN, draft_id=1, text="x", can_stop=True)
    telegram.user_presses_stop(ANN, 1.0)
    assert telegram.updates.pending == []


@pytest.mark.parametrize(("timeout", "deadline"), [(1, 11.0), (50, 60.0), (900, 60.0)])
def test_a_long_poll_waits_at_most_fifty_seconds(timeout: int, deadline: float) -> None:
    telegram = scene()
    wait = waiting(telegram, "getUpdates", 10.0, timeout=timeout)
    assert (wait.at, wait.on_update) == (deadline, True)
    assert telegram.resume(wait, deadline - 0.1) == wait
    assert telegram.resume(wait, deadline) == Reply(200, {"ok": True, "result": []}, serial=0)


def test_a_negative_timeout_does_not_wait() -> None:
    assert ids(scene(), timeout=-1) == []


def test_a_waiting_poll_is_answered_by_the_next_update() -> None:
    telegram = scene()
    wait = waiting(telegram, "getUpdates", timeout=30)
    telegram.user_sends(ANN, "hi", 3.0)
    reply = telegram.resume(wait, 3.0)
    assert isinstance(reply, Reply)
    assert isinstance(reply.body, dict)
    assert [update["update_id"] for update in reply.body["result"]] == [1000]


def test_a_second_poll_ends_the_first_with_a_conflict() -> None:
    telegram = scene()
    first = waiting(telegram, "getUpdates", timeout=30)
    second = waiting(telegram, "getUpdates", 1.0, timeout=30)
    reply = telegram.resume(first, 1.0)
    assert isinstance(reply, Reply)
    assert (reply.status, reply.body) == (
        409,
        {"ok": False, "error_code": 409, "description": CONFLICT},
    )
    telegram.user_sends(ANN, "hi", 2.0)
    assert isinstance(telegram.resume(second, 2.0), Reply)


def test_the_client_of_an_ended_poll_leaves_without_ending_the_next() -> None:
    telegram = scene()
    first, second = (waiting(telegram, "getUpdates", timeout=30) for _ in range(2))
    telegram.abandon(first, 1.0)
    waiting(telegram, "getUpdates", 2.0, timeout=30)
    reply = telegram.resume(second, 2.0)
    assert isinstance(reply, Reply)
    assert reply.status == 409


@pytest.mark.parametrize("params", [{}, {"limit": 100}, {"limit": 101}, {"limit": 0}])
def test_one_answer_holds_at_most_a_hundred_updates(params: dict[str, int]) -> None:
    telegram = scene()
    for _ in range(101):
        telegram.user_sends(ANN, "x", 0.0)
    assert len(ids(telegram, **params)) == 100


def test_a_poll_whose_client_left_conflicts_with_nobody() -> None:
    telegram = scene()
    telegram.abandon(waiting(telegram, "getUpdates", timeout=30), 1.0)
    assert telegram.journal[0].outcome == "dropped"
    assert ids(telegram, 2.0) == []


def test_updates_die_after_a_day_and_presses_after_150_seconds() -> None:
    telegram = scene()
    ask(telegram, "sendMessage", chat_id=ANN, text="x", reply_markup=STOP)
    telegram.user_presses_button(ANN, 1, "stop", 0.0)
    telegram.user_sends(ANN, "hi", 0.0)
    assert ids(telegram, 149.9) == [1000, 1001]
    assert ids(telegram, 150.0) == [1001]
    assert ids(telegram, 86399.9) == [1001]
    assert ids(telegram, 86400.0) == []
