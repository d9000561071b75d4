"""A disk that takes nothing for a while: nothing is confirmed, nothing is lost, and it goes on by itself."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import attrs
import pytest
import structlog
import trio
from scenes import ADA, BOB, Scene, crashed, open_scene, rest, said, scene_settings, tokens
from trio.testing import MockClock

from triolet.config import Settings, StoreSettings, StreamingSettings
from triolet.emulator.telegram import EPOCH
from triolet.providers.scripted import Hang
from triolet.testing.scheduler import seeded

TABLES = ("inbox", "history", "turn", "outbox", "usage")


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return attrs.evolve(scene_settings(), store=StoreSettings(path=tmp_path / "triolet.db"))


@contextmanager
def broken(settings: Settings, *tables: str) -> Iterator[None]:
    """The database as it is when nothing can be written or read in these tables: to the bot, all trouble is alike."""
    with closing(sqlite3.connect(settings.store.path, isolation_level=None)) as operator:
        for table in tables:
            operator.execute(f"ALTER TABLE {table} RENAME TO away_{table}")
        try:
            yield
        finally:
            for table in tables:
                operator.execute(f"ALTER TABLE away_{table} RENAME TO {table}")


def told(log: list[structlog.typing.EventDict]) -> list[str]:
    return [event["event"] for event in log if event["event"].startswith("store.")]


def confirmed(scene: Scene) -> list[int]:
    return [call.params["offset"] for call in scene.telegram.calls("getUpdates") if "offset" in call.params]


@pytest.mark.case("RR15")
async def test_what_cannot_be_kept_is_not_confirmed(
    autojump_clock: object, settings: Settings, captured_log: list[structlog.typing.EventDict]
) -> None:
    """The operator is told once, and when the disk takes things again, everybody is answered, in order, once."""
    async with open_scene(*tokens(3), settings=settings) as scene:
        await scene.ask("before")
        offsets = set(confirmed(scene))
        with broken(settings, *TABLES):
            for text in ("one", "two"):
                scene.server.say(ADA, text)
            scene.server.say(BOB, "three")
            await rest(300)
            assert len(scene.provider.requests) == 1
            assert set(confirmed(scene)) == offsets
            polls = [call.received for call in scene.telegram.calls("getUpdates")]
            assert len(polls) < 20, "a poll that brings what cannot be kept is not repeated at once"
        await rest(60)
        assert scene.bot_messages() == [said(3)] * 3
        assert scene.bot_messages(BOB) == [said(3)]
        asked = [request.messages[-1].text for request in scene.provider.requests]
        assert sorted(asked) == ["before", "one", "three", "two"]
        assert asked.index("one") < asked.index("two")
    assert told(captured_log) == ["store.failing", "store.works_again"]


async def test_stop_is_heard_though_nothing_can_be_kept(autojump_clock: object, settings: Settings) -> None:
    async with open_scene(*tokens(3), Hang(), settings=settings) as scene:
        scene.server.say(ADA, "Hello")
        await trio.sleep(3.0)
        with broken(settings, *TABLES):
            scene.server.press_stop(ADA)
            await trio.sleep(0.2)
            assert scene.provider.open_streams == 0
            await rest(30)
            assert scene.bot_messages() == [f"{said(3)}\n\n⏹ stopped"]
        assert await scene.ask("/status") != ""


@pytest.mark.case("RR15")
@pytest.mark.parametrize("streaming", [StreamingSettings(), StreamingSettings(transport="edit")], ids=["draft", "edit"])
async def test_running_answers_are_delivered_and_recorded_later(
    autojump_clock: object, settings: Settings, streaming: StreamingSettings
) -> None:
    settings = attrs.evolve(settings, streaming=streaming)
    async with open_scene(*tokens(20), settings=settings) as scene:
        scene.server.say(ADA, "Hello")
        await trio.sleep(1.5)
        with broken(settings, *TABLES):
            await scene.wait_answers()
            assert scene.bot_messages() == [said(20)]
            assert trio.current_time() < 10.0, "a disk that refuses holds up no answer"
            await rest(120)
        await rest(60)
        telegram, settings = crashed(scene, settings)
    async with open_scene(*tokens(3), settings=settings, telegram=telegram) as again:
        await rest(60)
        assert again.provider.requests == []
        assert again.bot_messages() == [said(20)]
        await again.ask("and")
        assert [m.text.strip() for m in again.provider.requests[0].messages] == ["Hello", said(20), "and"]


async def test_end_while_nothing_can_be_kept_is_an_end(
    autojump_clock: object, settings: Settings, captured_log: list[structlog.typing.EventDict]
) -> None:
    """What was delivered may come again with the next start: the operator is told how much could not be written."""
    async with open_scene(*tokens(3), settings=settings) as scene:
        scene.server.say(ADA, "Hello")
        await trio.sleep(0.7)
        with closing(sqlite3.connect(settings.store.path, isolation_level=None)) as operator:
            operator.execute("DROP TABLE history")
        await scene.wait_answers()
        assert scene.bot_messages() == [said(3)]
    assert "store.lost" in told(captured_log)


async def test_conversation_that_cannot_be_read_is_told_so(autojump_clock: object, settings: Settings) -> None:
    async with open_scene(*tokens(3), settings=settings) as scene:
        with broken(settings, "history"):
            assert await scene.ask() == "⚠ broken off · the bot's database cannot be read now; ask again later"
        assert await scene.ask() == said(3)


async def play_with_a_jump(folder: Path, jump: float) -> list[tuple[str, float]]:
    """The calls of an answer in whose midst the clock on the wall is set."""
    offset = 0.0
    settings = attrs.evolve(scene_settings(), store=StoreSettings(path=folder / f"{jump}.db"))
    async with open_scene(
        *tokens(30), settings=settings, wall_clock=lambda: EPOCH + trio.current_time() + offset
    ) as scene:
        scene.server.say(ADA, "Hello")
        await trio.sleep(1.7)
        offset = jump
        await rest(60)
        assert scene.bot_messages() == [said(30)]
        return [(call.method, call.received) for call in scene.calls()]


@pytest.mark.case("RR16")
def test_clock_that_jumps_changes_nothing(tmp_path: Path) -> None:
    """Waits go by a clock that nobody can set; the other one only tells how old a message is."""
    played = []
    for days in (0.0, 1.0, -1.0):
        with seeded(1):
            clock = MockClock(autojump_threshold=0.0)
            played.append(trio.run(play_with_a_jump, tmp_path, days * 86_400.0, clock=clock))
    assert played[0] == played[1] == played[2]
