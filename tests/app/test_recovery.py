"""What a start does after a crash: nothing seen is lost, nothing is done twice, and what happened is said."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import attrs
import pytest
import structlog
import trio
from scenes import (
    ADA,
    BOB,
    CURSOR,
    GROUP,
    Scene,
    calls,
    crashed,
    open_scene,
    open_telegram,
    press,
    rest,
    rounds,
    said,
    slow_tool,
    stored,
    tokens,
)

from triolet.app.book import CHECKPOINT_SECONDS, CONTINUE
from triolet.app.late import late_line
from triolet.app.recovery import parts_of
from triolet.config import RestartSettings, Settings, StreamingSettings
from triolet.core.delivery import NOT_CONFIRMED, SENT_AGAIN
from triolet.core.ending import GOES_ON
from triolet.core.ports import ModelRequest
from triolet.core.text import MESSAGE_LIMIT, FormattedText, RichText, join
from triolet.emulator import Delay, EmulatedTelegram, Fault, Flood, Limits, Refuse
from triolet.providers.scripted import End, Hang, Pause, Say, Step

KILLED = "⏸ interrupted: the bot was restarted"
EDIT = StreamingSettings(transport="edit")
HOUR = 3600.0
MORE = said(4, "more")


def speak(request: ModelRequest) -> Sequence[Step]:
    """Twenty words, and then silence for good; what is continued gets an end."""
    if request.messages[-1].text == CONTINUE:
        return tokens(4, word="more")
    return [*tokens(20), *([] if request.messages[-1].text == "short" else [Hang()])]


def buttons(scene: Scene, chat_id: int = ADA) -> list[tuple[int, str, str]]:
    """Message, text and data of each."""
    shown = scene.server.screen(chat_id).messages
    return [(m.id, b.text, b.data or "") for m in shown for row in m.buttons for b in row]


SCREENS = {
    "draft": (ADA, "", StreamingSettings()),
    "edit": (ADA, "", EDIT),
    "off": (ADA, "", StreamingSettings(enabled=False)),
    "group": (GROUP, "@triolet_bot ", StreamingSettings()),
}


@pytest.mark.case("X2")
@pytest.mark.parametrize("screen", SCREENS)
async def test_partial_text_stays_marked_and_the_rest_is_asked_for(
    autojump_clock: object, tmp_path: Path, screen: str
) -> None:
    chat_id, prefix, streaming = SCREENS[screen]
    settings = stored(tmp_path, streaming=streaming)
    async with open_scene(script=speak, settings=settings) as first:
        first.server.say(chat_id, prefix + "Hello", user_id=ADA)
        await trio.sleep(6.0)
        telegram, settings = crashed(first, settings)
    async with open_scene(script=speak, settings=settings, telegram=telegram) as second:
        await rest(30)
        texts = second.bot_messages(chat_id)
        assert texts == [f"{said(20)}\n\n{KILLED} · {GOES_ON}", MORE]
        assert second.server.screen(chat_id).draft is None
        assert [m.text.strip() for m in second.provider.requests[0].messages] == ["Hello", said(20), CONTINUE]
        second.server.say(chat_id, prefix + "short", user_id=ADA)
        await rest(30)
        assert len(second.provider.requests) == 2


@pytest.mark.parametrize("screen", ["draft", "edit"])
async def test_what_was_seen_is_lost_for_a_second_at_most(autojump_clock: object, tmp_path: Path, screen: str) -> None:
    chat_id, prefix, streaming = SCREENS[screen]
    for moment in (1.0, 1.3, 1.6, 1.9, 2.2):
        settings = stored(tmp_path, streaming=streaming, resume="off")
        async with open_scene(script=speak, settings=settings) as first:
            first.server.say(chat_id, prefix + "Hello", user_id=ADA)
            await trio.sleep(moment)
            began = trio.current_time()
            telegram, settings = crashed(first, settings)
        seen = telegram.screen(chat_id, began)
        shown = [m.text.removesuffix(CURSOR) for m in seen.messages if m.from_bot] or [
            seen.draft.text if seen.draft else ""
        ]
        async with open_scene(script=speak, settings=settings, telegram=telegram) as second:
            await rest(30)
            [text] = second.bot_messages(chat_id)
            kept = text.removesuffix(KILLED).strip()
            assert len(shown[-1].split()) - len(kept.split()) <= CHECKPOINT_SECONDS / 0.1
        settings.store.path.unlink()
        (tmp_path / "triolet.db").unlink()


async def test_long_answer_goes_on_behind_its_sealed_parts(autojump_clock: object, tmp_path: Path) -> None:
    settings = stored(tmp_path)
    words = tokens(900, every=0.01)

    def script(request: ModelRequest) -> Sequence[Step]:
        return tokens(4, word="more") if request.messages[-1].text == CONTINUE else [*words, Hang()]

    for moment in (6.0, 6.3, 6.6, 7.0, 9.0, 12.0):
        async with open_scene(script=script, settings=settings) as first:
            first.server.say(ADA, "Hello")
            await trio.sleep(moment)
            telegram, after = crashed(first, settings)
        async with open_scene(script=script, settings=after, telegram=telegram) as second:
            await rest(60)
            *parts, last, more = second.bot_messages()
            assert more == MORE
            assert last.endswith(f"{KILLED} · {GOES_ON}")
            shown = " ".join((*parts, last.split("\n\n⏸")[0])).split()
            heard = second.provider.requests[0].messages[1].text.split()
            assert shown == heard == said(900).split()[: len(heard)]
            assert len(heard) > min(moment - 0.5 - 2 * CHECKPOINT_SECONDS, 9.0) * 100 - 1
        (tmp_path / "triolet.db").unlink()


async def test_nothing_seen_is_answered_as_if_just_asked(autojump_clock: object, tmp_path: Path) -> None:
    settings = stored(tmp_path, streaming=EDIT)

    async with open_scene(Hang(), settings=settings) as first:
        first.server.say(ADA, "Hello")
        first.server.say(ADA, "and")
        await trio.sleep(6.0)
        telegram, settings = crashed(first, settings)
    async with open_scene(*tokens(3), settings=settings, telegram=telegram) as second:
        await rest(30)
        assert second.bot_messages() == [said(3), said(3)]
        assert [request.messages[-1].text for request in second.provider.requests] == ["Hello", "and"]


@pytest.mark.parametrize("resume", ["ask", "off"])
async def test_person_decides_or_nobody(autojump_clock: object, tmp_path: Path, resume: str) -> None:
    settings = stored(tmp_path, resume=resume)
    async with open_scene(script=speak, settings=settings) as first:
        first.server.say(ADA, "Hello")
        await trio.sleep(6.0)
        telegram, settings = crashed(first, settings)
    async with open_scene(script=speak, settings=settings, telegram=telegram) as second:
        await rest(30)
        assert second.bot_messages() == [f"{said(20)}\n\n{KILLED}"]
        assert second.provider.requests == []
        assert [text for _, text, _ in buttons(second)] == (["▶ Continue"] if resume == "ask" else [])
        telegram, settings = crashed(second, settings)
    if resume == "off":
        return
    async with open_scene(script=speak, settings=settings, telegram=telegram) as third:
        press(third, "▶ Continue")
        press(third, "▶ Continue")
        await rest(30)
        assert third.bot_messages() == [f"{said(20)}\n\n{KILLED}", MORE]
        assert [request.messages[-1].text for request in third.provider.requests] == [CONTINUE]


@pytest.mark.parametrize("resume", ["ask", "off"])
async def test_question_that_nobody_answered_is_offered_or_reported(
    autojump_clock: object, tmp_path: Path, resume: str
) -> None:
    settings = stored(tmp_path, resume=resume)
    async with open_scene(Hang(), settings=settings) as first:
        first.server.say(ADA, "Hello")
        await trio.sleep(6.0)
        telegram, settings = crashed(first, settings)
    async with open_scene(*tokens(3), settings=settings, telegram=telegram) as second:
        await rest(30)
        assert second.bot_messages() == [KILLED]
        assert second.provider.requests == []
        if resume == "ask":
            press(second, "▶ Answer now")
            await rest(30)
            assert second.bot_messages() == [KILLED, said(3)]
            assert [m.text for m in second.provider.requests[0].messages] == ["Hello"]


async def test_press_is_carried_out_though_the_bot_dies_of_it(autojump_clock: object, tmp_path: Path) -> None:
    settings = stored(tmp_path, resume="ask")
    async with open_scene(script=speak, settings=settings) as first:
        first.server.say(ADA, "Hello")
        await trio.sleep(6.0)
        telegram, settings = crashed(first, settings)
    async with open_scene(script=speak, settings=settings, telegram=telegram) as second:
        await trio.sleep(5.0)
        press(second, "▶ Continue")
        await trio.sleep(0.3)
        telegram, settings = crashed(second, settings)
    settings = attrs.evolve(settings, restart=RestartSettings("auto"))
    async with open_scene(script=speak, settings=settings, telegram=telegram) as third:
        await rest(30)
        assert third.bot_messages()[-1] == MORE


@pytest.mark.parametrize("has_effects", [False, True])
async def test_tool_that_changes_something_is_not_run_again(
    autojump_clock: object, tmp_path: Path, *, has_effects: bool
) -> None:
    ran: list[float] = []
    tool = slow_tool("act", 5.0, has_effects=has_effects, ran=ran)
    script = rounds(Say.text("I act."), calls("act"), Say.text("It is done."), End())

    def play(request: ModelRequest) -> Iterable[Step]:
        return tokens(4, word="more") if request.messages[-1].text == CONTINUE else script(request)

    settings = stored(tmp_path)
    async with open_scene(script=play, settings=settings, tools=[tool]) as first:
        first.server.say(ADA, "Hello")
        await trio.sleep(1.0)
        if has_effects:
            first.server.say(ADA, "/allow")
        await trio.sleep(2.0)
        telegram, settings = crashed(first, settings)
    assert len(ran) == 1
    async with open_scene(script=play, settings=settings, tools=[tool], telegram=telegram) as second:
        await rest(30)
        assert len(ran) == 1
        if has_effects:
            assert second.provider.requests == []
            assert second.bot_messages()[-1] == KILLED
            press(second, "▶ Continue")
            await rest(30)
        assert second.bot_messages()[-1] == MORE
        [tool_message] = [m for m in second.provider.requests[-1].messages if m.role == "tool"]
        assert "nobody knows whether it did anything" in tool_message.parts[0].content  # type: ignore[union-attr]
        assert len(ran) == 1


async def test_open_question_to_a_person_is_closed(autojump_clock: object, tmp_path: Path) -> None:
    ran: list[float] = []
    tool = slow_tool("act", has_effects=True, ran=ran)
    script = rounds(Say.text("I act."), calls("act"), Say.text("It is done."), End())
    settings = stored(tmp_path, resume="off")
    async with open_scene(script=script, settings=settings, tools=[tool]) as first:
        first.server.say(ADA, "Hello")
        await trio.sleep(2.0)
        assert [text for _, text, _ in buttons(first)] == ["✅ Allow", "🚫 Deny"]
        telegram, settings = crashed(first, settings)
    async with open_scene(script=script, settings=settings, tools=[tool], telegram=telegram) as second:
        await rest(30)
        assert second.bot_messages() == ["I act.", "🔐 May I use act?\n\n🚫 not answered, so not done", KILLED]
        assert buttons(second) == []
    assert ran == []


async def test_answer_that_kills_the_bot_is_offered_at_last(autojump_clock: object, tmp_path: Path) -> None:
    settings = stored(tmp_path)
    telegram = open_telegram(Limits())
    telegram.user_sends(ADA, "poison", 0.0)
    for _ in range(3):
        async with open_scene(Hang(), settings=settings, telegram=telegram) as scene:
            await trio.sleep(6.0)
            assert len(scene.provider.requests) == 1
            telegram, settings = crashed(scene, settings)
    async with open_scene(Hang(), settings=settings, telegram=telegram) as scene:
        await rest(60)
        assert scene.provider.requests == []
        assert scene.bot_messages() == [KILLED]
        assert [text for _, text, _ in buttons(scene)] == ["▶ Answer now"]


# Messages that have waited


async def test_late_messages_are_offered_once_and_answered_in_order(autojump_clock: object, tmp_path: Path) -> None:
    settings = stored(tmp_path)
    telegram = open_telegram(Limits())
    for text in ("one", "two", "/help", "three"):
        telegram.user_sends(ADA, text, trio.current_time())
    await rest(7 * HOUR)
    async with open_scene(*tokens(3), settings=settings, telegram=telegram) as first:
        await rest(60)
        assert first.provider.requests == []
        [offer, helped] = first.bot_messages()
        assert offer == "⏰ I was away when you wrote, 7 hours ago. Shall I answer now?"
        assert helped.startswith("Send me")
        telegram, settings = crashed(first, settings)
    async with open_scene(*tokens(3), settings=settings, telegram=telegram) as second:
        await rest(60)
        assert second.bot_messages() == [offer, helped]
        assert await second.ask("now") == said(3)
        press(second, "▶ Answer now")
        await rest(60)
        asked = [request.messages[-1].text for request in second.provider.requests]
        assert asked == ["now", "one", "two", "three"]


async def test_wanted_messages_are_not_offered_again(autojump_clock: object, tmp_path: Path) -> None:
    settings = stored(tmp_path)
    telegram = open_telegram(Limits())
    telegram.user_sends(ADA, "one", trio.current_time())
    await rest(7 * HOUR)
    async with open_scene(Hang(), settings=settings, telegram=telegram) as first:
        await rest(10)
        press(first, "▶ Answer now")
        await trio.sleep(0.11)
        assert len(first.provider.requests) == 1
        telegram, settings = crashed(first, settings)
    async with open_scene(*tokens(3), settings=settings, telegram=telegram) as second:
        await rest(60)
        assert second.bot_messages()[1:] == [said(3)]


async def test_who_wrote_before_the_start_is_not_told_that_too_many_wait(
    autojump_clock: object, tmp_path: Path
) -> None:
    telegram = open_telegram(Limits())
    texts = [f"question {number}" for number in range(30)]
    for text in texts:
        telegram.user_sends(ADA, text, trio.current_time())
    await rest(60)
    settings = stored(tmp_path)
    async with open_scene(Hang(), settings=settings, telegram=telegram) as first:
        await rest(5)
        telegram, settings = crashed(first, settings)
    async with open_scene(*tokens(1), settings=settings, telegram=telegram) as second:
        await rest(300)
        assert [request.messages[-1].text for request in second.provider.requests] == texts
        assert second.bot_messages() == [said(1)] * 30


# Messages on their way


async def lose_final(tmp_path: Path, *, carried_out: bool, **options: Any) -> tuple[EmulatedTelegram, Settings]:
    """The bot dies while the final of an answer is on its way."""
    settings = stored(tmp_path, **options)
    slow = Delay(before=0.0, after=30.0) if carried_out else Delay(before=30.0, after=0.0)
    async with open_scene(*tokens(3), settings=settings) as first:
        first.telegram.add_fault(Fault(method="sendMessage", action=slow))
        first.server.say(ADA, "Hello")
        await trio.sleep(3.0)
        telegram, settings = crashed(first, settings)
    telegram.clear_faults()
    return telegram, settings


@pytest.mark.case("X1")
@pytest.mark.parametrize("uncertain", ["ask", "resend", "skip"])
async def test_final_that_was_delivered_is_found(autojump_clock: object, tmp_path: Path, uncertain: str) -> None:
    telegram, settings = await lose_final(tmp_path, carried_out=True, uncertain=uncertain)
    async with open_scene(*tokens(3), settings=settings, telegram=telegram) as second:
        await rest(60)
        assert second.bot_messages() == [said(3)]
        assert second.provider.requests == []


@pytest.mark.case("X1", "RR3")
@pytest.mark.parametrize("uncertain", ["ask", "resend", "skip"])
async def test_final_that_is_nowhere_is_as_configured(autojump_clock: object, tmp_path: Path, uncertain: str) -> None:
    telegram, settings = await lose_final(tmp_path, carried_out=False, uncertain=uncertain)
    async with open_scene(*tokens(3), settings=settings, telegram=telegram) as second:
        await rest(60)
        copy = f"{said(3)}\n\n{SENT_AGAIN}"
        expected = {"ask": [NOT_CONFIRMED.text], "resend": [copy], "skip": []}
        assert second.bot_messages() == expected[uncertain]
        assert second.provider.requests == []
        if uncertain != "resend":
            status = await second.ask("/status")
            assert "Messages that did not get here, for all I know: 1" in status
            assert "word0 word1 word2 (Telegram did not confirm it)" in status
        telegram, settings = crashed(second, settings)
    if uncertain != "ask":
        return
    async with open_scene(*tokens(3), settings=settings, telegram=telegram) as third:
        await rest(60)
        assert third.bot_messages()[0] == NOT_CONFIRMED.text
        press(third, "↻ Send again")
        await rest(5)
        assert third.bot_messages()[0] == copy
        assert buttons(third) == []
        assert "did not get here" not in await third.ask("/status")


@pytest.mark.case("X1")
async def test_final_that_never_left_is_sent_plainly(autojump_clock: object, tmp_path: Path) -> None:
    settings = stored(tmp_path)
    async with open_scene(*tokens(3), settings=settings) as first:
        first.telegram.add_fault(Fault(method="sendMessage", action=Flood(30)))
        first.server.say(ADA, "Hello")
        await trio.sleep(3.0)
        telegram, settings = crashed(first, settings)
    async with open_scene(*tokens(3), settings=settings, telegram=telegram) as second:
        await rest(60)
        assert second.bot_messages() == [said(3)]
        assert second.provider.requests == []


async def test_what_could_not_be_delivered_is_in_status(autojump_clock: object, tmp_path: Path) -> None:
    settings = stored(tmp_path)
    async with open_scene(*tokens(3), settings=settings) as scene:
        refuse = Refuse(400, "Bad Request: chat not found")
        scene.telegram.add_fault(Fault(method="sendMessage", times=1, action=refuse))
        scene.server.say(ADA, "Hello")
        await rest(60)
        assert scene.bot_messages() == []
        assert "word0 word1 word2 (Bad Request: chat not found)" in await scene.ask("/status")
        assert "did not get here" not in await scene.ask("/status", BOB)


# Groups that move, disks that fail


async def test_group_that_becomes_a_supergroup_keeps_what_was_said(autojump_clock: object, tmp_path: Path) -> None:
    telegram = open_telegram(Limits())
    telegram.add_group(-55, "Small", [ADA, BOB])
    async with open_scene(*tokens(3), telegram=telegram, settings=stored(tmp_path)) as scene:
        await scene.ask("@triolet_bot one", -55, user_id=ADA)
        await scene.ask("@triolet_bot /stream off", -55, user_id=ADA)
        scene.server.act(telegram.group_migrates, -55, -10055)
        await rest(5)
        await scene.ask("@triolet_bot two", -10055, user_id=ADA)
        assert [m.text.strip() for m in scene.provider.requests[-1].messages] == ["one", said(3), "two"]
        assert "/stream off" in await scene.ask("@triolet_bot /status", -10055, user_id=ADA)


async def test_recovery_is_told_in_one_line(
    autojump_clock: object, tmp_path: Path, captured_log: list[structlog.typing.EventDict]
) -> None:
    settings = stored(tmp_path)
    async with open_scene(Pause(1.0), Hang(), settings=settings) as first:
        first.server.say(ADA, "one")
        first.server.say(ADA, "two")
        await trio.sleep(2.0)
        telegram, settings = crashed(first, settings)
    async with open_scene(*tokens(1), settings=settings, telegram=telegram) as second:
        await second.wait_answers(2)
    told = [event for event in captured_log if event["event"] == "bot.recovered"]
    assert [(event["interrupted"], event["waiting"]) for event in told] == [(1, 2)]


# Small things


@pytest.mark.parametrize("length", [1, MESSAGE_LIMIT - len(KILLED), MESSAGE_LIMIT - 1, MESSAGE_LIMIT])
def test_mark_may_need_a_message_of_its_own(length: int) -> None:
    whole = join([FormattedText("x" * length), FormattedText(KILLED)])
    parts = parts_of(whole)
    assert all(isinstance(part, FormattedText) and len(part.text) <= MESSAGE_LIMIT for part in parts)
    assert "".join(part.plain.text for part in parts if isinstance(part, FormattedText)).replace("\n", "") == (
        whole.text.replace("\n", "")
    )


def test_rich_message_is_one() -> None:
    rich = RichText("<p>x</p>", "x")
    assert parts_of(rich) == [rich]


@pytest.mark.parametrize(
    ("age", "ago"), [(0.0, "a while ago"), (7199.0, "a while ago"), (7200.0, "2 hours ago"), (1e6, "277 hours ago")]
)
def test_age_of_a_message_is_told_in_hours(age: float, ago: str) -> None:
    assert f" {ago}." in late_line(age)
