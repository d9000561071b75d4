"""Limits and penalties: what is sent when, in virtual time, and what is left out."""

from __future__ import annotations

from itertools import pairwise

import pytest
import trio
from scenes import (
    ADA,
    BOB,
    CURSOR,
    GROUP,
    ROUND_TRIP,
    Scene,
    open_scene,
    open_telegram,
    rest,
    said,
    scene_settings,
    tokens,
)

from triolet.config import StreamingSettings
from triolet.emulator import Delay, Fault, Flood, JournalEntry, Limits
from triolet.providers.scripted import Hang, Pause, Say, Step

EDIT = StreamingSettings(transport="edit")
FIRST = StreamingSettings(transport="edit", notify="first")


FAST: list[Step] = [Pause(0.5), *[step for _ in range(3000) for step in (Say.text("a"), Pause(1 / 300))], Hang()]


def floods(scene: Scene) -> list[JournalEntry]:
    return [call for call in scene.telegram.journal if call.status == 429]


def gaps(calls: list[JournalEntry]) -> list[float]:
    return [later.received - earlier.received for earlier, later in pairwise(calls)]


@pytest.mark.case("P1")
async def test_fast_model_makes_no_more_edits_than_the_interval_allows(autojump_clock: object) -> None:
    streaming = StreamingSettings(transport="edit", edit_interval=0.8, notify="first")
    async with open_scene(*FAST, settings=scene_settings(streaming=streaming)) as scene:
        scene.server.say(ADA, "Hello")
        await trio.sleep(10.5)
        shown = scene.calls("sendMessage", "editMessageText")
        assert 8 <= len(shown) <= 14
        assert min(gaps(shown)) >= 0.8 - 1e-9


@pytest.mark.case("P1")
async def test_fast_model_makes_no_more_drafts_than_the_interval_allows(autojump_clock: object) -> None:
    streaming = StreamingSettings(draft_interval=0.8)
    async with open_scene(*FAST, settings=scene_settings(streaming=streaming)) as scene:
        scene.server.say(ADA, "Hello")
        await trio.sleep(10.5)
        shown = [call for call in scene.calls("sendMessageDraft") if call.params["text"]]
        assert 8 <= len(shown) <= 14
        assert min(gaps(shown)) >= 0.8 - 1e-9


@pytest.mark.case("P2", "P3")
async def test_all_calls_of_a_busy_group_keep_one_budget(autojump_clock: object) -> None:
    """Five minutes of questions, answers, typing and deletions: no window is exceeded, no message is missing."""
    async with open_scene(*tokens(250), settings=scene_settings(streaming=EDIT)) as scene:
        for number in range(10):
            scene.server.say(GROUP, f"@triolet_bot {number}", user_id=(ADA, BOB)[number % 2])
            await trio.sleep(30.0)
        await trio.sleep(120.0)
        assert floods(scene) == []
        assert scene.bot_messages(GROUP) == [said(250)] * 10
        assert scene.calls("sendChatAction", chat_id=GROUP)


@pytest.mark.case("P3")
async def test_three_minutes_in_a_group_hold_no_minute_of_more_than_twenty(autojump_clock: object) -> None:
    async with open_scene(*tokens(1800), settings=scene_settings(streaming=EDIT)) as scene:
        asked = trio.current_time()
        scene.server.say(GROUP, "@triolet_bot hello", user_id=ADA)
        await scene.server.wait_until(lambda: any(text.endswith("word1799") for text in scene.bot_messages(GROUP)))
        assert trio.current_time() - asked == pytest.approx(0.025 + 0.5 + 180 + 2 * ROUND_TRIP, abs=2 * ROUND_TRIP)
        await scene.wait_answers(chat_id=GROUP)
        times = [
            call.received for call in scene.calls("sendMessage", "editMessageText", "deleteMessage", chat_id=GROUP)
        ]
        assert all(sum(1 for at in times if start <= at < start + 60) <= 20 for start in times)
        assert floods(scene) == []


@pytest.mark.case("P4")
async def test_refused_edit_waits_and_carries_the_newest_text_however_often(autojump_clock: object) -> None:
    async with open_scene(*tokens(480, every=0.2), settings=scene_settings(streaming=FIRST)) as scene:
        for skip in range(2, 12, 2):
            scene.telegram.add_fault(Fault(method="editMessageText", skip=skip, times=1, action=Flood(9)))
        asked = trio.current_time() + 0.025
        assert await scene.ask() == said(480)
        edits = scene.calls("editMessageText")
        refused = [number for number, call in enumerate(edits[:-1]) if call.status == 429]
        assert len(refused) == 5
        for number in refused:
            after = edits[number + 1]
            assert after.received - edits[number].received >= 9.0
            words = len(after.params["text"].removesuffix(CURSOR).split())
            assert words == pytest.approx((after.received - 0.025 - asked - 0.5) / 0.2 + 1, abs=1.0)


@pytest.mark.case("P5", "F3")
@pytest.mark.parametrize("streaming", [EDIT, FIRST, StreamingSettings()], ids=["anew", "edited", "draft"])
async def test_refused_final_is_shown_once_after_its_wait(autojump_clock: object, streaming: StreamingSettings) -> None:
    async with open_scene(*tokens(30), settings=scene_settings(streaming=streaming)) as scene:
        scene.server.say(ADA, "Hello")
        await trio.sleep(3.5)  # all is said, and the end is near
        method = "editMessageText" if streaming is FIRST else "sendMessage"
        scene.telegram.add_fault(Fault(method=method, times=1, action=Flood(33)))
        await scene.wait_answers()
        await rest(60)
        refused = floods(scene)
        assert len(refused) == 1
        after = [call for call in scene.calls() if call.received > refused[0].received]
        assert after[0].received - refused[0].received >= 33.0
        assert after[0].received - refused[0].received <= 33.0 + 1.0
        assert [call.method for call in after] == [method] + ["deleteMessage"] * (streaming is EDIT)
        assert scene.server.visible(ADA)[1:] == [said(30)]


@pytest.mark.case("P6", "RR7")
async def test_penalty_of_hours_concerns_its_chat_alone(autojump_clock: object) -> None:
    async with open_scene(*tokens(30)) as scene:
        scene.telegram.add_fault(Fault(chat_id=ADA, times=1, action=Flood(5827)))
        scene.server.say(ADA, "Hello")
        await trio.sleep(10.0)
        asked = trio.current_time()
        assert await scene.ask(chat_id=BOB) == said(30)
        assert trio.current_time() - asked < 5.0
        assert len(scene.calls(chat_id=ADA)) == 1
        assert await scene.wait_answers(chat_id=ADA) == [said(30)]
        first, second = scene.calls(chat_id=ADA)
        assert 5827.0 <= second.received - first.received <= 5828.0


@pytest.mark.case("P7")
@pytest.mark.parametrize(
    ("streaming", "method"),
    [(StreamingSettings(), "sendMessageDraft"), (EDIT, "sendChatAction"), (EDIT, "sendMessage")],
)
async def test_penalty_is_silent_and_ends_with_one_current_frame(
    autojump_clock: object, streaming: StreamingSettings, method: str
) -> None:
    async with open_scene(*tokens(600), Hang(), settings=scene_settings(streaming=streaming)) as scene:
        scene.telegram.add_fault(Fault(method=method, times=1, action=Flood(30)))
        scene.server.say(ADA, "Hello")
        await trio.sleep(40.0)
        [refused] = floods(scene)
        after = [call for call in scene.calls() if call.received > refused.received]
        assert after[0].received >= refused.received + 30.0
        frames = [call for call in after if call.method != "sendChatAction"]
        assert len(frames[0].params["text"].split()) > 200, "the newest text"
        assert min(gaps(frames)) >= 0.9, "and not the backlog"


@pytest.mark.case("P8")
@pytest.mark.parametrize("count", [3, 8])
async def test_topics_of_one_chat_share_its_budget_fairly(autojump_clock: object, count: int) -> None:
    telegram = open_telegram(Limits())
    for topic in range(2, 2 + count):
        telegram.add_topic(ADA, topic, f"topic {topic}")
    async with open_scene(*tokens(300), telegram=telegram) as scene:
        for topic in range(2, 2 + count):
            scene.server.say(ADA, "Hello", thread_id=topic)
        await trio.sleep(120.0)
        drafts = [0] * (2 + count)
        for call in scene.calls("sendMessageDraft"):
            drafts[call.params["message_thread_id"]] += 1
        assert max(drafts[2:]) - min(drafts[2:]) <= 3
        for topic in range(2, 2 + count):
            assert [message.text for message in scene.server.screen(ADA, topic).messages][1:] == [said(300)]
        assert floods(scene) == []


@pytest.mark.case("P2")
async def test_a_question_right_after_a_long_answer_is_shown_at_once(autojump_clock: object) -> None:
    """The reserve: what forty seconds of frames leave is enough for the next beginning."""
    async with open_scene(*tokens(400)) as scene:
        await scene.ask()
        await trio.sleep(1.0)
        asked = trio.current_time()
        scene.server.say(ADA, "And now?")
        await trio.sleep(1.0)
        thinking, first, *_ = [call for call in scene.calls("sendMessageDraft") if call.received > asked]
        assert thinking.received - asked <= 0.05 + 1e-9
        assert first.received - asked <= 0.025 + 0.5 + 0.025 + 1e-9
        assert (thinking.params["text"], first.params["text"]) == ("", "word0")


@pytest.mark.case("P2")
async def test_slow_calls_of_many_topics_exceed_nothing(autojump_clock: object) -> None:
    telegram = open_telegram(Limits())
    for topic in range(2, 6):
        telegram.add_topic(ADA, topic, f"topic {topic}")
    latency = Delay(before=0.4, after=0.4)
    async with open_scene(*tokens(300), telegram=telegram, latency=latency) as scene:
        for topic in range(2, 6):
            scene.server.say(ADA, "Hello", thread_id=topic)
        await trio.sleep(120.0)
        assert floods(scene) == []
