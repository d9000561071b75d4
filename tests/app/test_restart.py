"""What a restart finds in the store: nothing answered twice, nothing that waited forgotten."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import attrs
import pytest
import structlog
import trio
from scenes import ADA, BOB, open_scene, open_telegram, rest, said, scene_settings, tokens

from triolet.app.book import CONTINUE
from triolet.app.supervisor import MOST_WAITING
from triolet.config import AccessSettings, RestartSettings, Settings, ShutdownSettings, StoreSettings
from triolet.core.ending import GOES_ON
from triolet.emulator import Limits
from triolet.providers.scripted import Hang
from triolet.store import open_store, run_inline


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return attrs.evolve(scene_settings(), store=StoreSettings(path=tmp_path / "triolet.db"))


async def test_answered_messages_and_commands_are_done_with(autojump_clock: object, settings: Settings) -> None:
    async with open_scene(*tokens(3), settings=settings) as first:
        await first.ask("question")
        await first.ask("/new")
        await first.ask("/help")
        await first.ask("/stop")
        await rest(60)
    count = len(first.calls())
    async with open_scene(*tokens(3), settings=settings, telegram=first.telegram) as second:
        await rest(60)
        assert second.provider.requests == []
        assert len(second.calls()) == count


async def test_stopped_and_dropped_messages_are_done_with(autojump_clock: object, settings: Settings) -> None:
    async with open_scene(*tokens(30), Hang(), settings=settings) as first:
        for text in ("one", "two", "three"):
            first.server.say(ADA, text)
        await trio.sleep(2.0)
        first.server.say(ADA, "/stop")
        await first.wait_answers()
        await rest(1)
    async with open_scene(*tokens(3), settings=settings, telegram=first.telegram) as second:
        await rest(60)
        assert second.provider.requests == []


@pytest.mark.case("X2")
async def test_interrupted_answer_goes_on_and_waiting_messages_follow(
    autojump_clock: object, settings: Settings
) -> None:
    """The one under way was shown, marked and stored, and its rest is asked for; those that waited were not begun."""
    async with open_scene(*tokens(10), Hang(), settings=settings) as first:
        for text in ("one", "two", "three"):
            first.server.say(ADA, text)
        await trio.sleep(5.0)
    assert first.bot_messages() == [f"{said(10)}\n\n⏸ interrupted: the bot is restarting · {GOES_ON}"]
    async with open_scene(*tokens(3), settings=settings, telegram=first.telegram) as second:
        assert (await second.wait_answers(4))[1:] == [said(3)] * 3
        assert [request.messages[-1].text for request in second.provider.requests] == [CONTINUE, "two", "three"]
        heard = [m.text.strip() for m in second.provider.requests[1].messages]
        assert heard == ["one", said(10), CONTINUE, said(3), "two"]


async def test_messages_sent_while_nobody_served_are_answered(autojump_clock: object, settings: Settings) -> None:
    async with open_scene(*tokens(3), settings=settings) as first:
        await first.ask("one")
    first.telegram.user_sends(ADA, "two", trio.current_time())
    async with open_scene(*tokens(3), settings=settings, telegram=first.telegram) as second:
        assert await second.wait_answers(2) == [said(3), said(3)]


async def test_refused_leftovers_are_done_with(autojump_clock: object, settings: Settings) -> None:
    """What nobody is served for any more must not come up at every start."""
    async with open_scene(Hang(), settings=settings) as first:
        first.server.say(ADA, "one")
        first.server.say(ADA, "two")
        await trio.sleep(1.0)
    nobody = attrs.evolve(settings, access=AccessSettings())
    async with open_scene(*tokens(3), settings=nobody, telegram=first.telegram):
        await rest(60)
    async with open_scene(*tokens(3), settings=settings, telegram=first.telegram) as third:
        await rest(60)
        assert third.provider.requests == []


async def test_store_that_fails_costs_no_chat_its_answer(
    autojump_clock: object, settings: Settings, captured_log: list[structlog.typing.EventDict]
) -> None:
    """A broken database loses the record of a turn; every text is delivered, and the bot goes on."""
    async with open_scene(*tokens(20), settings=settings) as scene:
        scene.server.say(ADA, "Hello")
        scene.server.say(BOB, "Hello")
        await trio.sleep(1.0)
        with sqlite3.connect(settings.store.path, isolation_level=None) as operator:
            operator.execute("ALTER TABLE history RENAME TO away")
            assert await scene.wait_answers() == [said(20)]
            assert await scene.wait_answers(chat_id=BOB) == [said(20)]
            operator.execute("ALTER TABLE away RENAME TO history")
        operator.close()
        failed = [event for event in captured_log if event["event"] == "turn.not_recorded"]
        assert [event["problem"].split(": ")[-1] for event in failed] == ["history"] * 2
        assert await scene.ask("again") == said(20)


@pytest.mark.parametrize("milliseconds", range(0, 120, 3))
async def test_shutdown_at_any_moment_does_nothing_twice(
    autojump_clock: object, settings: Settings, milliseconds: int
) -> None:
    """What a later start finds unfinished has not been done already; what was not done is."""
    settings = attrs.evolve(settings, shutdown=ShutdownSettings(grace=0.0))
    async with open_scene(*tokens(3), settings=settings) as first:
        for text in ("/help", "question"):
            first.server.say(ADA, text)
        await trio.sleep(milliseconds / 1000)
    async with open_scene(*tokens(3), settings=settings, telegram=first.telegram) as second:
        await rest(60)
        texts = second.bot_messages()
    assert len([text for text in texts if text.startswith("Send me")]) == 1
    assert [text for text in texts if not text.startswith(("Send me", "⏸ interrupted"))] == [said(3)]


async def test_running_answers_get_their_grace(autojump_clock: object, settings: Settings) -> None:
    async with open_scene(*tokens(100), settings=settings) as scene:
        scene.server.say(ADA, "Hello")
        scene.server.say(BOB, "Hello")
        await trio.sleep(1.0)
        scene.shutdown.set()
        began = trio.current_time()
    assert trio.current_time() - began < 11.0
    assert scene.bot_messages() == scene.bot_messages(BOB) == [said(100)]


async def test_grace_ends(autojump_clock: object, settings: Settings) -> None:
    """What was not delivered by then is delivered by the next run."""
    people = tuple(range(2000, 2200))
    telegram = open_telegram(Limits())
    for person in people:
        telegram.add_private_chat(person)
    everybody = attrs.evolve(settings, access=AccessSettings(allow=people), restart=RestartSettings("off"))
    async with open_scene(*tokens(10), Hang(), settings=everybody, telegram=telegram) as scene:
        for person in people:
            scene.server.say(person, "Hello")
        await trio.sleep(5.0)
        scene.shutdown.set()
        began = trio.current_time()
    assert 20.0 < trio.current_time() - began < 23.0
    texts = [scene.bot_messages(person) for person in people]
    assert texts.count([]) > 50
    await rest(2)  # no process starts faster than Telegram forgets what it may send in a second
    async with open_scene(Hang(), settings=everybody, telegram=telegram) as scene:
        await rest(60)
        assert scene.provider.requests == []
        texts = [scene.bot_messages(person) for person in people]
    assert texts == [[said(10) + "\n\n⏸ interrupted: the bot is restarting"]] * len(people)


@pytest.mark.parametrize(("left", "asks"), [(MOST_WAITING, True), (MOST_WAITING + 1, False)])
async def test_no_more_is_asked_for_while_very_much_waits(
    autojump_clock: object, settings: Settings, left: int, *, asks: bool
) -> None:
    """What nobody has asked for waits with Telegram; nothing is dropped."""
    chat, person = {"id": ADA, "type": "private"}, {"id": ADA, "is_bot": False}
    message = {"message_id": 1, "chat": chat, "from": person, "text": "Hello"}
    async with open_store(settings.store.path, executor=run_inline) as store:
        await store.receive([{"update_id": number, "message": message} for number in range(1, left + 1)])
    async with open_scene(Hang(), settings=settings) as scene:
        await rest(60)
        assert bool(scene.telegram.calls("getUpdates")) == asks
    async with open_store(settings.store.path, executor=run_inline) as store:
        assert len(await store.unfinished()) == left
