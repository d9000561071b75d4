"""Moments that no other test looked at, as mistakes planted there have shown."""

from __future__ import annotations

import gc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import attrs
import pytest
import trio
import trio.testing
from scenes import ADA, BOB, TOKEN, calls, open_scene, open_telegram, rounds, said, scene_settings, slow_tool, tokens

from triolet.app.agent import Agent
from triolet.app.bench import Bench
from triolet.app.bot import DRAIN_SECONDS
from triolet.app.model import Model
from triolet.config import LimitSettings, ModelSettings, Secret, ShutdownSettings, StreamingSettings
from triolet.core.buttons import Button
from triolet.core.conversation import Message, ToolCallPart
from triolet.core.events import Steered, TurnBatch, TurnEvent
from triolet.core.ports import ModelRequest, RawUpdate
from triolet.emulator import EmulatedTelegram, Fault, Flood, Limits, ServerError, open_telegram_server
from triolet.providers.scripted import Hang, Say, ScriptedProvider, Step
from triolet.store import SqliteStore, open_store, run_inline
from triolet.telegram.client import BotApi, open_bot_api
from triolet.telegram.poller import dispatch_all, poll_updates
from triolet.testing import Trial, sweep
from triolet.tools import ToolLimits

EDIT = StreamingSettings(transport="edit")


# The turn


async def test_stopped_answer_gives_its_place_back(autojump_clock: object) -> None:
    settings = attrs.evolve(scene_settings(), limits=LimitSettings(max_turns=1))
    async with open_scene(Say.text("Hm"), Hang(), settings=settings) as scene:
        for person in (ADA, BOB):
            scene.server.say(person, "Hello")
            await trio.sleep(1.0)
            scene.server.say(person, "/stop")
            assert await scene.wait_answers(chat_id=person) == ["Hm\n\n⏹ stopped"]


async def test_answer_that_has_ended_keeps_no_button(autojump_clock: object) -> None:
    before = buttons()
    async with open_scene(*tokens(20), settings=scene_settings(streaming=EDIT)) as scene:
        await scene.ask()
        assert [each for each in buttons() if not any(each is other for other in before)] == []


def buttons() -> list[Button]:
    """All that there are in memory: a test before this one may have left some."""
    gc.collect()
    return [each for each in gc.get_objects() if isinstance(each, Button)]


class Unwritten:
    """A record that nobody keeps."""

    async def begin(self, call: ToolCallPart, *, has_effects: bool) -> bool:
        return True

    def end(self, call_id: str, *, failed: bool) -> None:
        pass


async def test_what_steers_is_told_of_although_a_stop_comes_in_that_instant() -> None:
    """From here on nobody else has it."""
    heard: list[TurnEvent] = []
    aside = Message.of("user", "Be short.")
    scope = trio.CancelScope()

    def hear(batch: TurnBatch) -> None:
        heard.extend(batch)

    async def refuse(call: ToolCallPart) -> bool:
        return False

    def steer() -> list[Message]:
        scope.cancel()
        return [aside]

    model = Model([(ScriptedProvider(rounds(calls("look"))), ModelSettings(provider="scripted", name="m"))])
    agent = Agent(model, Bench([slow_tool("look", 0.0)]), ToolLimits(), max_rounds=3)
    with scope:
        await agent.answer([Message.of("user", "?")], hear, refuse, steer, Unwritten())
    assert Steered((aside,)) in heard


# The bot


@asynccontextmanager
async def open_poller(telegram: EmulatedTelegram) -> AsyncIterator[tuple[BotApi, SqliteStore]]:
    async with (
        open_telegram_server(telegram) as server,
        open_store(":memory:", executor=run_inline) as store,
        open_bot_api("http://telegram", Secret(TOKEN), connect=server.connect) as api,
    ):
        yield api, store


def test_update_of_a_poll_that_was_cancelled_is_carried_out_or_waits_and_never_both() -> None:
    """What was carried out is finished in the same instant; all else is in the inbox, or still with Telegram."""

    async def scenario(trial: Trial) -> None:
        done: list[int] = []

        def dispatch(update: RawUpdate) -> list[int]:
            done.append(update["update_id"])
            return [update["update_id"]]

        telegram = open_telegram(Limits())
        for text in ("one", "two"):
            telegram.user_sends(ADA, text, now=0.0)
        async with open_poller(telegram) as (api, store):
            with trial.cancels(), trio.move_on_after(1.0):
                await poll_updates(api, store, dispatch)
            waiting = [each.update["update_id"] for each in await store.unfinished()]
            assert sorted([*done, *waiting]) in ([], [1000, 1001])
            assert done or waiting or len(telegram.updates.pending) == 2
            dispatch_all([each.update for each in await store.unfinished()], store, dispatch)
            with trio.move_on_after(1.0):
                await poll_updates(api, store, dispatch)
            assert done == [1000, 1001]

    sweep(scenario)


@pytest.mark.parametrize("action", [ServerError(500), Flood(600)], ids=["outage", "flood"])
async def test_poll_that_waits_for_better_times_is_cancelled_at_once(
    autojump_clock: object, action: ServerError | Flood
) -> None:
    telegram = open_telegram(Limits())
    telegram.add_fault(Fault(method="getUpdates", times=None, action=action))
    async with open_poller(telegram) as (api, store):
        with trio.move_on_at(100.5):
            await poll_updates(api, store, lambda update: [])
        assert trio.current_time() == 100.5


async def test_shutdown_gives_its_grace_to_what_is_being_said_and_to_nothing_else(autojump_clock: object) -> None:
    """What waits is in the inbox, and the next start answers it."""
    settings = attrs.evolve(scene_settings(), shutdown=ShutdownSettings(grace=60.0))
    asked: list[str] = []

    def answer(request: ModelRequest) -> list[Step]:
        asked.append(request.messages[-1].text)
        return tokens(30)

    async with open_scene(script=answer, settings=settings) as scene:
        scene.server.say(ADA, "One?")
        await trio.sleep(1.0)
        scene.server.say(ADA, "Two?")
        await trio.sleep(1.0)
        scene.shutdown.set()
        await trio.sleep(30.0)
        assert scene.bot_messages() == [said(30)]
    assert asked == ["One?"]


@pytest.mark.parametrize("grace", [0.0, 7.0])
async def test_shutdown_waits_so_long_and_no_longer(autojump_clock: object, grace: float) -> None:
    settings = attrs.evolve(scene_settings(), shutdown=ShutdownSettings(grace=grace))
    async with open_scene(*tokens(3), settings=settings) as scene:
        scene.telegram.add_fault(Fault(method="sendMessage", times=None, action=Flood(3600)))
        scene.server.say(ADA, "Hello")
        await trio.sleep(10.0)
        began = trio.current_time()
    assert grace + DRAIN_SECONDS <= trio.current_time() - began < grace + DRAIN_SECONDS + 1.0
