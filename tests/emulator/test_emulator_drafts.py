"""Drafts: how long they live, what ends them, and what Stop does. Every time is exact."""

from __future__ import annotations

from typing import Any

import pytest
from emulator_scenes import ANN, BEN, TOPIC, ask, scene

from triolet.emulator import EmulatedTelegram, ImpossibleAct


def draft(telegram: EmulatedTelegram, now: float, text: str = "", draft_id: int = 1, **params: Any) -> None:
    assert ask(telegram, "sendMessageDraft", now, chat_id=ANN, draft_id=draft_id, text=text, **params) is True


def stoppable(telegram: EmulatedTelegram, now: float, text: str, draft_id: int = 1) -> None:
    draft(telegram, now, text, draft_id, can_stop=True, keep_on_stop=True)


def rows(telegram: EmulatedTelegram, now: float) -> list[tuple[float, str, str]]:
    return [(row.at, row.kind, row.text) for row in telegram.transcript(ANN, now)]


@pytest.mark.parametrize(("text", "shown", "thinking"), [("", "", True), (" \n ", "", True), ("one ", "one", False)])
def test_a_draft_shows_its_trimmed_text_or_thinking(text: str, shown: str, *, thinking: bool) -> None:
    telegram = scene()
    draft(telegram, 0.0, text)
    live = telegram.screen(ANN, 0.0).draft
    assert live is not None
    assert (live.text, live.thinking, live.stop_button) == (shown, thinking, False)
    assert telegram.visible(ANN, 0.0) == [shown or "Thinking…"]


def test_no_text_at_all_means_thinking() -> None:
    telegram = scene()
    ask(telegram, "sendMessageDraft", chat_id=ANN, draft_id=1)
    assert telegram.visible(ANN, 0.0) == ["Thinking…"]


@pytest.mark.parametrize("life", [10.0, 30.0])
def test_a_draft_dies_its_life_after_its_last_update(life: float) -> None:
    telegram = scene(draft_life=life)
    draft(telegram, 0.0, "one")
    draft(telegram, 8.0, "one two")
    assert telegram.visible(ANN, 8.0 + life - 0.001) == ["one two"]
    assert telegram.visible(ANN, 8.0 + life) == []
    assert rows(telegram, 99.0) == [
        (0.0, "draft", "one"),
        (8.0, "draft", "one two"),
        (8.0 + life, "draft_expired", "one two"),
    ]


@pytest.mark.parametrize(("refreshes", "dies"), [(True, 38.0), (False, 30.0)])
def test_whether_an_identical_repeat_refreshes_is_a_switch(*, refreshes: bool, dies: float) -> None:
    telegram = scene() if refreshes else scene(refresh_identical=False)
    draft(telegram, 0.0, "one")
    before = telegram.revision
    draft(telegram, 8.0, "one")
    assert telegram.revision == before  # nobody sees a repeat
    assert telegram.visible(ANN, dies - 0.001) == ["one"]
    assert telegram.visible(ANN, dies) == []


def test_a_draft_that_died_unseen_is_in_the_transcript_at_the_time_of_its_death() -> None:
    telegram = scene()
    draft(telegram, 0.0, "one")
    draft(telegram, 100.0, "two")
    assert [row[:2] for row in rows(telegram, 100.0)] == [
        (0.0, "draft"),
        (30.0, "draft_expired"),
        (100.0, "draft"),
    ]


def test_any_message_of_the_bot_ends_the_draft_of_its_topic_only() -> None:
    telegram = scene()
    draft(telegram, 0.0, "outside")
    draft(telegram, 0.0, "inside", message_thread_id=TOPIC)
    ask(telegram, "sendMessageDraft", chat_id=BEN, draft_id=1, text="elsewhere")
    ask(telegram, "sendMessage", 1.0, chat_id=ANN, text="outside, final")
    assert telegram.visible(ANN, 1.0) == ["outside, final"]
    assert telegram.visible(ANN, 1.0, TOPIC) == ["inside"]
    assert telegram.visible(BEN, 1.0) == ["elsewhere"]
    telegram.user_sends(ANN, "mine", 2.0, thread_id=TOPIC)
    assert telegram.visible(ANN, 2.0, TOPIC) == ["mine", "inside"]
    assert (1.0, "draft_cleared", "outside") in rows(telegram, 2.0)


def test_an_edit_or_a_deletion_leaves_the_draft() -> None:
    telegram = scene()
    ask(telegram, "sendMessage", chat_id=ANN, text="a")
    draft(telegram, 0.0, "one")
    ask(telegram, "editMessageText", chat_id=ANN, message_id=1, text="b")
    assert telegram.visible(ANN, 0.0) == ["b", "one"]
    ask(telegram, "deleteMessage", chat_id=ANN, message_id=1)
    assert telegram.visible(ANN, 0.0) == ["one"]


def test_a_late_draft_is_a_ghost_beside_the_final_message() -> None:
    telegram = scene()
    draft(telegram, 0.0, "one")
    ask(telegram, "sendMessage", 1.0, chat_id=ANN, text="one two")
    draft(telegram, 2.0, "one t")
    assert telegram.visible(ANN, 2.0) == ["one two", "one t"]


def test_another_id_replaces_the_draft() -> None:
    telegram = scene()
    draft(telegram, 0.0, "one", draft_id=1)
    draft(telegram, 1.0, "two", draft_id=-2)
    live = telegram.screen(ANN, 1.0).draft
    assert live is not None
    assert (live.id, live.text) == (-2, "two")


@pytest.mark.parametrize(("strings", "expected"), [(True, "4242"), (False, 4242)])
def test_stop_tells_the_drafts_id_as_a_string_and_no_sender(*, strings: bool, expected: object) -> None:
    telegram = scene(string_draft_ids=strings)
    stoppable(telegram, 0.0, "one", draft_id=4242)
    draft(telegram, 0.0, "two", draft_id=5, message_thread_id=TOPIC, can_stop=True)
    assert telegram.user_presses_stop(ANN, 1.0) == 4242
    assert telegram.user_presses_stop(ANN, 1.0, thread_id=TOPIC) == 5
    chat = {"id": ANN, "type": "private", "first_name": "Ann", "username": "ann_s"}
    first, second = (update["stopped_message_generation"] for update in telegram.updates.pending)
    assert first == {"chat": chat, "draft_id": expected}
    assert (second["message_thread_id"], int(second["draft_id"])) == (TOPIC, 5)


@pytest.mark.parametrize(("keep", "left"), [(True, ["one"]), (False, [])])
def test_a_stopped_draft_stays_only_if_it_was_asked_to(*, keep: bool, left: list[str]) -> None:
    telegram = scene()
    draft(telegram, 0.0, "one", can_stop=True, keep_on_stop=keep)
    telegram.user_presses_stop(ANN, 1.0)
    assert telegram.visible(ANN, 1.0) == left
    assert telegram.visible(ANN, 29.9) == left
    assert telegram.visible(ANN, 30.0) == []
    assert (1.0, "draft_stopped", "one") in rows(telegram, 30.0)


def test_after_a_stop_later_drafts_with_that_id_are_accepted_and_ignored() -> None:
    telegram = scene()
    stoppable(telegram, 0.0, "one")
    telegram.user_presses_stop(ANN, 1.0)
    before = telegram.revision
    stoppable(telegram, 2.0, "one two")
    assert (telegram.revision, telegram.visible(ANN, 2.0)) == (before, ["one"])
    assert telegram.visible(ANN, 30.0) == []  # nor did it refresh
    stoppable(telegram, 31.0, "three", draft_id=2)
    assert telegram.visible(ANN, 31.0) == ["three"]
    draft(telegram, 32.0, "the same id elsewhere", message_thread_id=TOPIC)
    assert telegram.visible(ANN, 32.0, TOPIC) == ["the same id elsewhere"]


def test_a_message_ends_a_stopped_draft_too() -> None:
    telegram = scene()
    stoppable(telegram, 0.0, "one")
    telegram.user_presses_stop(ANN, 1.0)
    ask(telegram, "sendMessage", 2.0, chat_id=ANN, text="one, stopped")
    assert telegram.visible(ANN, 2.0) == ["one, stopped"]


def test_there_is_nothing_to_press_without_a_live_button() -> None:
    telegram = scene()
    draft(telegram, 0.0, "one")
    with pytest.raises(ImpossibleAct):
        telegram.user_presses_stop(ANN, 0.0)
    stoppable(telegram, 1.0, "one")
    telegram.user_presses_stop(ANN, 1.0)
    with pytest.raises(ImpossibleAct):
        telegram.user_presses_stop(ANN, 1.0)
    stoppable(telegram, 2.0, "two", draft_id=2)
    with pytest.raises(ImpossibleAct):
        telegram.user_presses_stop(ANN, 32.0)


def test_typing_shows_for_five_seconds_or_until_a_message() -> None:
    telegram = scene()
    ask(telegram, "sendChatAction", 0.0, chat_id=ANN, action="typing")
    before = telegram.revision
    assert (before, rows(telegram, 0.0)) == (1, [(0.0, "typing", "")])
    ask(telegram, "sendChatAction", 4.0, chat_id=ANN, action="typing")
    assert telegram.revision == before
    assert telegram.screen(ANN, 8.999).typing
    assert not telegram.screen(ANN, 9.0).typing
    ask(telegram, "sendChatAction", 20.0, chat_id=ANN, action="typing")
    ask(telegram, "sendMessage", 21.0, chat_id=ANN, text="x")
    assert not telegram.screen(ANN, 21.0).typing
