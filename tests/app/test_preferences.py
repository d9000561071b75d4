"""What chats switch when the disk fails: nothing is claimed that is not kept."""

from __future__ import annotations

import io
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any, TypeVar

import attrs
import pytest
import trio
from scenes import ADA, BOB, scene_settings

from triolet.app.bench import open_agent, open_bench
from triolet.app.conversation import Services
from triolet.app.preferences import Switch, Switches, load_switched
from triolet.app.supervisor import Supervisor
from triolet.core.calls import Keyboard, Place
from triolet.core.commands import Access, StreamMode
from triolet.core.conversation import ConversationKey
from triolet.core.ports import Executor
from triolet.core.text import FormattedText
from triolet.core.updates import BotIdentity
from triolet.providers.scripted import Pause, Say, ScriptedProvider, constant
from triolet.store import open_store, run_inline
from triolet.store.sqlite import SqliteStore
from triolet.transports import Transport
from triolet.transports.console import ConsoleScreen
from triolet.transports.terminal import Terminal

KEY = ConversationKey(ADA, 7)


class Screen:
    """It keeps what it is told."""

    def __init__(self) -> None:
        self.shown: list[str] = []

    def notify(self, place: Place, message: FormattedText, keyboard: Keyboard = ()) -> None:
        self.shown.append(message.text)

    def resend(self, letter: int) -> None: ...

    def open_transport(
        self,
        place: Place,
        *,
        mode: StreamMode,
        button: str,
        turn: int | None = None,
        sealed: Callable[[], object] = lambda: None,
    ) -> Transport:
        self.shown.append(f"an answer as {mode}")
        return ConsoleScreen(Terminal(0, io.StringIO())).open_transport(place, mode=mode, button=button)

    def note_message(self, place: Place) -> None: ...

    def answer_press(self, query_id: str, text: str) -> None: ...


def switch(value: str) -> Switch:
    return Switch(1, Place(KEY, private=True), "busy", value)


async def carry_out(store: SqliteStore, *values: str) -> tuple[list[str], list[str]]:
    """What was told to whoever answers there, and what to the chat."""
    told: list[str] = []
    screen = Screen()
    switches = Switches(store, screen, lambda switch: told.append(switch.value))
    async with trio.open_nursery() as nursery:
        for value in values:
            switches.post(switch(value))
            nursery.start_soon(switches.carry_out_next)
        assert switches.newest(ConversationKey(ADA)) == {"busy": values[-1]}, "it counts at once"
        assert switches.newest(ConversationKey(BOB)) == {}
    assert switches.newest(KEY) == {}
    return told, screen.shown


async def test_switch_is_that_of_the_whole_chat() -> None:
    async with open_store(":memory:", executor=run_inline) as store:
        assert await load_switched(store, KEY) == {}
        told, shown = await carry_out(store, "steer", "interrupt")
        assert told == ["steer", "interrupt"]
        assert ["goes into that answer" in shown[0], "ends that answer" in shown[1]] == [True, True]
        assert await load_switched(store, ConversationKey(ADA)) == {"busy": "interrupt"}
        assert await load_switched(store, KEY) == {"busy": "interrupt"}


@pytest.mark.parametrize("values", [["steer"], ["steer", "queue"]])
async def test_what_cannot_be_kept_is_not_switched(tmp_path: Path, values: list[str]) -> None:
    async with open_store(tmp_path / "triolet.db", executor=run_inline) as store:
        with closing(sqlite3.connect(tmp_path / "triolet.db")) as other:
            other.execute("DROP TABLE preference")
        told, shown = await carry_out(store, *values)
        assert told == []
        assert shown == ["⚠ Nothing is changed: the bot's database cannot be used now."] * len(values)
        assert await load_switched(store, KEY) == {}


T = TypeVar("T")


@attrs.define
class Late:
    """Jobs are done at once, but for the next ones it takes so many seconds until that is known."""

    delays: list[float] = attrs.Factory(list)

    async def __call__(self, job: Callable[[], T], /) -> T:
        result = job()
        await trio.sleep(self.delays.pop(0) if self.delays else 0.0)
        return result


def message(number: int, text: str) -> dict[str, Any]:
    person, chat = {"id": ADA, "is_bot": False}, {"id": ADA, "type": "private"}
    return {"update_id": number, "message": {"message_id": number, "chat": chat, "from": person, "text": text}}


@asynccontextmanager
async def open_supervisor(executor: Executor, screen: Screen) -> AsyncIterator[Supervisor]:
    settings = scene_settings()
    async with open_store(":memory:", executor=executor) as store, trio.open_nursery() as nursery:
        agent = open_agent(settings, [ScriptedProvider(constant(Pause(5.0), Say.text("Yes.")))], open_bench(settings))
        services = Services(agent, store, screen, turns=trio.CapacityLimiter(1), queue_limit=5)
        yield Supervisor(nursery, services, Access({ADA}, "all"), BotIdentity(7, "bot"))


async def test_what_is_switched_while_the_chat_s_wishes_are_read_is_newer(autojump_clock: object) -> None:
    late, screen = Late(), Screen()
    async with open_supervisor(late, screen) as supervisor:
        late.delays = [5.0]
        supervisor.dispatch(message(1, "Hello"))
        await trio.sleep(1.0)
        supervisor.dispatch(message(2, "/stream off"))
        await trio.sleep(10.0)
    assert screen.shown == ["an answer as off", "Answers come whole, when they are complete."]


@attrs.define
class Held:
    """Jobs are done at once, but for the next one, which waits for the gate."""

    gate: trio.Event | None = None

    async def __call__(self, job: Callable[[], T], /) -> T:
        gate, self.gate = self.gate, None
        if gate is not None:
            await gate.wait()
        return job()


async def test_switch_counts_for_what_is_asked_before_it_is_kept(autojump_clock: object) -> None:
    """The conversation has read the chat's wishes already, and the disk takes nothing more for now."""
    held, gate, screen = Held(), trio.Event(), Screen()
    async with open_supervisor(held, screen) as supervisor:
        supervisor.dispatch(message(1, "Hello"))
        await trio.sleep(1.0)
        held.gate = gate
        supervisor.dispatch(message(2, "/stream off"))
        supervisor.dispatch(message(3, "And now?"))
        await trio.sleep(10.0)
        assert screen.shown == ["an answer as auto", "an answer as off"]
        gate.set()


async def test_status_tells_of_a_switch_before_it_is_kept(autojump_clock: object) -> None:
    """It is read before the second switch gets to the disk, since the first one takes so long."""
    held, gate, screen = Held(), trio.Event(), Screen()
    async with open_supervisor(held, screen) as supervisor:
        held.gate = gate
        for number, text in enumerate(("/reasoning on", "/stream off", "/status"), start=1):
            supervisor.dispatch(message(number, text))
            await trio.sleep(1.0)
        assert screen.shown == []
        gate.set()
    [told] = [text for text in screen.shown if "Model:" in text]
    assert "/stream off · /reasoning on" in told
