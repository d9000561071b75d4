"""/status: answered at once, whatever hangs."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import attrs
import pytest
import trio
from scenes import ADA, BOB, GROUP, calls, open_scene, rounds, scene_settings, slow_tool, tokens

from triolet.config import LimitSettings, StoreSettings, StreamingSettings
from triolet.emulator import Delay, Fault, Flood
from triolet.providers.scripted import Hang, Say, Step

SWITCHES = "/stream auto · /reasoning off · /busy queue"


def status(work: str, waiting: int = 0, switches: str = SWITCHES, model: str = "gpt-5") -> str:
    return f"{work}\nMessages that wait: {waiting}\nModel: {model}\n{switches}"


SETTINGS = scene_settings(name="gpt-5")


async def test_nothing_is_done(autojump_clock: object) -> None:
    async with open_scene(settings=SETTINGS) as scene:
        assert await scene.ask("/status") == status("I am writing no answer.")
        await scene.ask("/stream edit")
        await scene.ask("/reasoning on")
        await scene.ask("/busy steer")
        switched = "/stream edit · /reasoning on · /busy steer"
        assert await scene.ask("/status") == status("I am writing no answer.", switches=switched)


async def test_what_is_configured_counts_where_nothing_is_switched(autojump_clock: object) -> None:
    settings = scene_settings(name="gpt-5", streaming=StreamingSettings(busy="interrupt"))
    async with open_scene(settings=settings) as scene:
        assert (await scene.ask("/status")).endswith("/busy interrupt")


@pytest.mark.case("I8")
@pytest.mark.parametrize("chat_id", [ADA, GROUP])
async def test_an_answer_is_written_and_others_wait(autojump_clock: object, chat_id: int) -> None:
    async with open_scene(Say.text("Hm"), Hang(), settings=SETTINGS) as scene:
        for text in ("one", "two", "three"):
            scene.server.say(chat_id, f"@triolet_bot {text}", user_id=ADA)
        await trio.sleep(70.0)
        scene.server.say(chat_id, "/status", user_id=ADA)
        await trio.sleep(1.0)
        assert status("I have been writing an answer for 70 s.", 2) in scene.bot_messages(chat_id)


async def test_answer_is_written_since_it_is_its_turn(autojump_clock: object) -> None:
    """Answers of 20.5 seconds, one at a time: Bob's, Ada's, Bob's, Ada's."""
    settings = attrs.evolve(SETTINGS, limits=LimitSettings(max_turns=1))
    async with open_scene(script=lambda request: tokens(200), settings=settings) as scene:
        for user_id in (BOB, BOB, ADA, ADA):
            scene.server.say(user_id, "Hello")
            await trio.sleep(0.5)
        told = []
        for seconds in (10.0, 13.5, 20.0):
            await trio.sleep(seconds)
            scene.server.say(ADA, "/status")
            await trio.sleep(0.5)
            told.append(next(text for text in reversed(scene.bot_messages()) if "Messages" in text))
        waits = "I am writing no answer yet, and wait for other answers to end."
        assert told == [status(waits, 1), status("I have been writing an answer for 5 s.", 1), status(waits)]


@pytest.mark.case("I8")
async def test_what_it_waits_for(autojump_clock: object) -> None:
    tools = [slow_tool("search", 30.0), slow_tool("read", 60.0), slow_tool("delete", has_effects=True)]
    script = rounds(calls("search", "read"), calls("delete"), Say.text("Done."))
    async with open_scene(script=script, tools=tools, settings=SETTINGS) as scene:
        scene.server.say(ADA, "Hello")
        told = []
        for _ in range(3):
            await trio.sleep(25.0)
            scene.server.say(ADA, "/status")
            await trio.sleep(1.0)
            told.append(next(text for text in reversed(scene.bot_messages()) if "Messages" in text).splitlines()[0])
        assert told == [
            "I have been writing an answer for 25 s, and wait for search, read.",
            "I have been writing an answer for 51 s, and wait for read.",
            "I have been writing an answer for 77 s, and wait for permission to use a tool.",
        ]


@pytest.mark.case("I8")
@pytest.mark.parametrize("steps", [[Hang()], [Say.text("Hm"), Hang()]], ids=["from the start", "in mid-text"])
async def test_it_is_told_within_a_second_while_the_provider_hangs(autojump_clock: object, steps: list[Step]) -> None:
    async with open_scene(*steps, settings=SETTINGS) as scene:
        scene.server.say(ADA, "Hello")
        await trio.sleep(9.0)
        scene.server.say(ADA, "/status")
        await trio.sleep(0.25)
        assert scene.bot_messages() == [status("I have been writing an answer for 9 s.")]


@pytest.mark.parametrize(("trouble", "seconds"), [(Delay(before=4.0), 3.5), (Flood(30), 30.5)], ids=["hang", "flood"])
async def test_it_is_that_of_the_moment_and_comes_when_its_chat_takes_a_message(
    autojump_clock: object, trouble: Delay | Flood, seconds: float
) -> None:
    async with open_scene(Say.text("Hm"), Hang(), settings=SETTINGS) as scene:
        scene.telegram.add_fault(Fault(method="sendMessageDraft", skip=1, times=1, action=trouble))
        scene.server.say(ADA, "Hello")
        await trio.sleep(1.0)
        scene.server.say(ADA, "/status")
        await trio.sleep(seconds)
        assert scene.bot_messages() == [status("I have been writing an answer for 1 s.")]


async def test_database_that_cannot_be_used_hides_only_what_it_holds(autojump_clock: object, tmp_path: Path) -> None:
    settings = attrs.evolve(SETTINGS, store=StoreSettings(path=tmp_path / "triolet.db"))
    async with open_scene(settings=settings) as scene:
        await scene.ask("/stream edit")
        with closing(sqlite3.connect(tmp_path / "triolet.db")) as other:
            other.execute("DROP TABLE preference")
        assert await scene.ask("/status") == status("I am writing no answer.")
