"""Questions over a crash: stopped, forgotten, edited, steered, wanted late."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, TypeVar

import attrs
import pytest
import trio
from scenes import ADA, crashed, open_scene, open_telegram, press, query, rest, scene_settings, stored, tokens
from trio.testing import MockClock

from triolet.app.book import CONTINUE
from triolet.config import StoreSettings
from triolet.core.ports import ModelRequest
from triolet.emulator import Delay, Fault, Flood, Limits
from triolet.emulator.telegram import EPOCH
from triolet.providers.scripted import Hang, Step
from triolet.store import open_store, run_inline
from triolet.testing.scheduler import seeded

T = TypeVar("T")
HOUR = 3600.0


def speak(request: ModelRequest) -> Sequence[Step]:
    if request.messages[-1].text == CONTINUE:
        return tokens(4, word="more")
    return [*tokens(20), *([] if request.messages[-1].text == "short" else [Hang()])]


class Disk:
    """Each job takes its time, which can be changed."""

    def __init__(self, seconds: float = 0.0) -> None:
        self.seconds = seconds

    async def __call__(self, job: Callable[[], T], /) -> T:
        await trio.sleep(self.seconds)
        result = job()
        await trio.lowlevel.cancel_shielded_checkpoint()
        return result


def update_of(text: str, number: int) -> dict[str, Any]:
    person, chat = {"id": ADA, "is_bot": False}, {"id": ADA, "type": "private"}
    return {"update_id": number, "message": {"message_id": number, "chat": chat, "from": person, "text": text}}


@pytest.mark.parametrize("command", ["/stop", "/new"])
async def test_answer_that_is_stopped_by_what_a_crash_has_left_stays_stopped(
    autojump_clock: object, tmp_path: Path, command: str
) -> None:
    settings = stored(tmp_path)
    async with open_scene(script=speak, settings=settings) as first:
        first.server.say(ADA, "Hello")
        await trio.sleep(6.0)
        telegram, settings = crashed(first, settings)
    async with open_store(settings.store.path, executor=run_inline) as store:
        await store.receive([update_of(command, 900)])
    async with open_scene(script=speak, settings=settings, telegram=telegram) as second:
        await rest(30)
        assert second.provider.requests == []
        telegram, settings = crashed(second, settings)
    assert query(settings, "SELECT number FROM turn") == []
    async with open_scene(script=speak, settings=settings, telegram=telegram) as third:
        await rest(30)
        assert third.provider.requests == []


async def test_stop_is_not_done_with_before_the_answer_has_stopped(autojump_clock: object, tmp_path: Path) -> None:
    settings, disk = stored(tmp_path), Disk()
    async with open_scene(script=speak, settings=settings, executor=disk) as first:
        first.server.say(ADA, "Hello")
        await trio.sleep(6.0)
        disk.seconds = 0.2
        first.server.say(ADA, "/stop")
        for _ in range(200):
            await trio.sleep(0.01)
            left = query(settings, "SELECT 1 FROM inbox WHERE body LIKE '%/stop%'")
            known = query(settings, "SELECT max(seq) FROM inbox")
            is_open = query(settings, "SELECT 1 FROM turn")
            if known == [(2,)] and not left and is_open:
                telegram, settings = crashed(first, settings)
                break
        else:
            pytest.fail("there was no such moment")
    async with open_scene(script=speak, settings=settings, telegram=telegram) as second:
        await rest(30)
        assert second.provider.requests == []


async def test_late_message_is_answered_as_it_was_edited(autojump_clock: object, tmp_path: Path) -> None:
    settings = stored(tmp_path)
    telegram = open_telegram(Limits())
    telegram.updates.allowed |= {"edited_message"}
    one = telegram.user_sends(ADA, "one", trio.current_time())
    telegram.user_edits(ADA, one, "uno", trio.current_time())
    await rest(7 * HOUR)
    async with open_scene(*tokens(3), settings=settings, telegram=telegram) as scene:
        await rest(10)
        press(scene, "▶ Answer now")
        await rest(30)
        assert [request.messages[-1].text for request in scene.provider.requests] == ["uno"]


async def offer_while_pressed(folder: Path, moment: float) -> bool:
    """Whether the second late message is answered, or has a button that means something."""
    settings, disk = attrs.evolve(scene_settings(), store=StoreSettings(path=folder / f"{moment:.2f}.db")), Disk()
    telegram = open_telegram(Limits())
    telegram.user_sends(ADA, "one", trio.current_time())
    await rest(7 * HOUR)
    jump = 0.0
    async with open_scene(
        *tokens(3),
        settings=settings,
        telegram=telegram,
        executor=disk,
        wall_clock=lambda: EPOCH + trio.current_time() + jump,
    ) as scene:
        await rest(10)
        disk.seconds = 1.0
        press(scene, "▶ Answer now")
        jump = 7 * HOUR  # "two" was said long ago, too, and Telegram hands it over now
        await trio.sleep(moment)
        scene.server.say(ADA, "two")
        await rest(60)
        answered = "two" in [request.messages[-1].text for request in scene.provider.requests]
        shown = [b.data for m in scene.server.screen(ADA).messages for row in m.buttons for b in row]
        live = [nonce for (nonce,) in query(settings, "SELECT nonce FROM button")]
        assert answered or query(settings, "SELECT 1 FROM inbox WHERE offered = 1 AND body IS NOT NULL")
        return answered or bool({*shown} & {*live})


def test_late_message_that_comes_while_the_button_is_pressed_is_not_lost(tmp_path: Path) -> None:
    """The disk is slow; what is offered by a button that is being carried out has no button any more."""
    lost = []
    for number in range(30):
        with seeded(number):
            if not trio.run(offer_while_pressed, tmp_path, number / 10, clock=MockClock(autojump_threshold=0.0)):
                lost.append(number / 10)
    assert lost == []


async def test_press_that_the_disk_refuses_can_be_made_again(autojump_clock: object, tmp_path: Path) -> None:
    settings = stored(tmp_path)
    telegram = open_telegram(Limits())
    telegram.user_sends(ADA, "one", trio.current_time())
    await rest(7 * HOUR)
    broken = False

    async def disk(job: Callable[[], T], /) -> T:
        if broken:
            with closing(sqlite3.connect(settings.store.path, isolation_level=None)) as other:
                other.execute("ALTER TABLE inbox RENAME COLUMN offered TO away")
                try:
                    return await run_inline(job)
                finally:
                    other.execute("ALTER TABLE inbox RENAME COLUMN away TO offered")
        return await run_inline(job)

    async with open_scene(*tokens(3), settings=settings, telegram=telegram, executor=disk) as scene:
        await rest(10)
        press(scene, "▶ Answer now")
        broken = True
        await trio.sleep(0.5)
        broken = False
        await rest(60)
        if scene.provider.requests == []:
            press(scene, "▶ Answer now")
        await rest(60)
        assert [request.messages[-1].text for request in scene.provider.requests] == ["one"]


async def test_line_that_cannot_be_sent_for_a_night_takes_no_other_button_away(
    autojump_clock: object, tmp_path: Path
) -> None:
    settings = stored(tmp_path)
    async with open_scene(*tokens(3), settings=settings) as first:
        first.telegram.add_fault(Fault(method="sendMessage", action=Delay(before=30.0)))
        first.server.say(ADA, "Hello")
        await trio.sleep(3.0)
        telegram, settings = crashed(first, settings)
    telegram.clear_faults()
    telegram.add_fault(Fault(method="sendMessage", chat_id=ADA, times=50, action=Flood(30)))
    async with open_scene(*tokens(3), settings=settings, telegram=telegram) as second:
        await rest(HOUR)
        assert len(query(settings, "SELECT nonce FROM button")) == 1
        assert len(second.bot_messages()) == 1
