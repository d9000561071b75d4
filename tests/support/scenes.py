"""A scene: the whole bot on an emulated Telegram, over memory streams, with a scripted model, in virtual time.

Every call takes `LATENCY` to arrive and as much to be answered, unless a scene says otherwise, so that calls really
are in flight. Times in a scene begin at 0.
"""

from __future__ import annotations

import copy
import os
import sqlite3
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, closing
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

import attrs
import trio

from triolet.app.bot import serve_bot
from triolet.config import (
    AccessSettings,
    DeliverySettings,
    GroupSettings,
    LimitSettings,
    ModelSettings,
    RestartSettings,
    Secret,
    Settings,
    ShutdownSettings,
    StoreSettings,
    StreamingSettings,
    TelegramSettings,
    ToolSettings,
)
from triolet.core.ports import Executor, ModelRequest, Provider, Tool
from triolet.emulator import Delay, EmulatedTelegram, JournalEntry, Limits, TelegramServer, open_telegram_server
from triolet.emulator.telegram import EPOCH
from triolet.observe.turns import Observer
from triolet.providers.scripted import End, Pause, Say, Script, ScriptedProvider, Step, constant
from triolet.store import run_inline
from triolet.tools import tool

EXAMPLES = int(os.environ.get("HYPOTHESIS_SCENES", "6"))
"""How many scenes a property plays; thousands are for whoever has the time."""

TOKEN = "42:emulator"
ADA = 1001
BOB = 1002
STRANGER = 6666
GROUP = -100
CURSOR = " ▉"
LATENCY = Delay(before=0.025, after=0.025)
ROUND_TRIP = 0.05

SHOWING = (
    *("sendMessage", "sendRichMessage", "editMessageText", "deleteMessage"),
    *("sendMessageDraft", "sendRichMessageDraft", "sendChatAction"),
)
"""The calls that a user can see something of."""


def tokens(count: int, *, every: float = 0.1, first_after: float = 0.5, word: str = "word") -> list[Step]:
    """Steps of a model that speaks evenly, a numbered word at a time."""
    steps: list[Step] = [Pause(first_after)]
    for number in range(count):
        steps += [Say.text(f"{word}{number} "), Pause(every)]
    return steps


def said(count: int, word: str = "word") -> str:
    """What `tokens` says, as a screen shows it."""
    return " ".join(f"{word}{number}" for number in range(count))


@attrs.frozen
class Calls:
    """The end of a round that wants tools, without arguments; each is its own id."""

    names: tuple[str, ...]


def calls(*names: str) -> Calls:
    return Calls(names)


def rounds(*told: Step | Calls) -> Script:
    """A model that tells this, answer after answer the same, and waits for its tools wherever it calls them."""
    played: list[list[Step]] = [[]]
    for step in told:
        if isinstance(step, Calls):
            asked = [Say.tool_call(name, "{}", index=n, call_id=name) for n, name in enumerate(step.names)]
            played[-1] += [*asked, End("tool_calls")]
            played.append([])
        else:
            played[-1].append(step)

    def script(request: ModelRequest) -> list[Step]:
        done = 0
        for message in request.messages:
            done = 0 if message.role == "user" else done + (message.role == "tool")
        return played[done]

    return script


def slow_tool(
    name: str, seconds: float = 3.0, result: str = "done", *, has_effects: bool = False, ran: list[float] | None = None
) -> Tool:
    """``ran`` gets the time of each run."""

    async def run() -> str:
        """Take its time."""
        if ran is not None:
            ran.append(trio.current_time())
        await trio.sleep(seconds)
        return result

    return tool(run, name=name, has_effects=has_effects)


def scene_settings(
    *,
    streaming: StreamingSettings | None = None,
    respond: Any = "mention",
    allow: tuple[int, ...] = (ADA, BOB),
    tools: ToolSettings | None = None,
    uncertain: Any = "ask",
    resume: Any = "auto",
    grace: float = 20.0,
    **model: Any,
) -> Settings:
    return Settings(
        telegram=TelegramSettings(token=Secret(TOKEN), api_base="http://telegram"),
        access=AccessSettings(allow=allow),
        groups=GroupSettings(respond=respond),
        model=ModelSettings(provider="scripted", **model),
        streaming=streaming or StreamingSettings(),
        tools=tools or ToolSettings(),
        delivery=DeliverySettings(uncertain),
        restart=RestartSettings(resume),
        shutdown=ShutdownSettings(grace),
        limits=LimitSettings(),
        store=StoreSettings(path=Path(":memory:")),
    )


@attrs.define(eq=False)
class Scene:
    server: TelegramServer
    provider: ScriptedProvider
    shutdown: trio.Event

    @property
    def telegram(self) -> EmulatedTelegram:
        return self.server.telegram

    def calls(self, *methods: str, chat_id: int = ADA) -> list[JournalEntry]:
        """The calls about a chat that a user can see something of, or only those of the methods, in order."""
        wanted = methods or SHOWING
        return [call for call in self.telegram.journal if call.method in wanted and call.peer == chat_id]

    def texts(self, *methods: str, chat_id: int = ADA) -> list[str]:
        return [call.params.get("text", "") for call in self.calls(*methods, chat_id=chat_id)]

    def bot_messages(self, chat_id: int = ADA) -> list[str]:
        return [message.text for message in self.server.screen(chat_id).messages if message.from_bot]

    async def wait_answers(self, count: int = 1, chat_id: int = ADA) -> list[str]:
        """The bot's messages, when there are that many and none of them, nor a draft, is still growing."""

        def settled() -> bool:
            screen = self.server.screen(chat_id)
            messages = [message for message in screen.messages if message.from_bot]
            stoppable = any(button.text == "⏹" for message in messages for row in message.buttons for button in row)
            growing = stoppable or any(message.text.endswith(CURSOR) for message in messages)
            return len(messages) >= count and screen.draft is None and not growing

        await self.server.wait_until(settled)
        return self.bot_messages(chat_id)

    async def ask(self, text: str = "Hello", chat_id: int = ADA, **options: Any) -> str:
        """Say it, wait for the answer and return it."""
        before = len(self.bot_messages(chat_id))
        self.server.say(chat_id, text, **options)
        return (await self.wait_answers(before + 1, chat_id))[-1]


def open_telegram(limits: Limits, *, string_draft_ids: bool = True, rich: bool = True) -> EmulatedTelegram:
    telegram = EmulatedTelegram(token=TOKEN, limits=limits, string_draft_ids=string_draft_ids, rich=rich)
    for user, name in ((ADA, "Ada"), (BOB, "Bob"), (STRANGER, "Mallory")):
        telegram.add_private_chat(user, name)
    telegram.add_group(GROUP, "Friends", (ADA, BOB, STRANGER), supergroup=True)
    return telegram


@asynccontextmanager
async def open_scene(
    *steps: Step,
    script: Script | None = None,
    settings: Settings | None = None,
    latency: Delay = LATENCY,
    limits: Limits | None = None,
    providers: Sequence[Provider] = (),
    tools: Sequence[Tool] = (),
    observers: Mapping[str, Observer] = MappingProxyType({}),
    string_draft_ids: bool = True,
    telegram: EmulatedTelegram | None = None,
    executor: Executor = run_inline,
    wall_clock: Callable[[], float] = lambda: EPOCH + trio.current_time(),
    cpu_clock: Callable[[], float] | None = None,
) -> AsyncIterator[Scene]:
    """The bot serves Ada and Bob in private, and both with a stranger in a group; afterwards it shuts down.

    ``telegram`` is that of an earlier scene, whose bot has ended; ``executor`` is the store's, and ``wall_clock``
    gives seconds since 1970, and ``cpu_clock`` those that the bot has computed.
    """
    telegram = telegram or open_telegram(limits or Limits(), string_draft_ids=string_draft_ids)
    telegram.latency = latency
    scripted = ScriptedProvider(script or constant(*steps))
    shutdown = trio.Event()
    with trio.fail_after(100_000):
        async with open_telegram_server(telegram) as server, trio.open_nursery() as nursery:
            serve = partial(
                serve_bot,
                executor=executor,
                connect=server.connect,
                tools=tools,
                observers=observers,
                shutdown=shutdown,
                wall_clock=wall_clock,
                cpu_clock=cpu_clock,
            )
            await nursery.start(serve, settings or scene_settings(), providers or [scripted])
            yield Scene(server, scripted, shutdown)
            shutdown.set()


async def rest(seconds: float) -> None:
    """Let virtual time pass, for things that must not happen."""
    await trio.sleep(seconds)


def crashed(scene: Scene, settings: Settings) -> tuple[EmulatedTelegram, Settings]:
    """The world as it would be if the bot were killed now: a Telegram, and settings with the file as it is on disk.

    The scene goes on and changes nothing of it. What the bot has sent and Telegram has not carried out is gone.
    """
    number = len(list(settings.store.path.parent.glob("crash*.db")))
    path = settings.store.path.with_name(f"crash{number}.db")
    with closing(sqlite3.connect(settings.store.path)) as now, closing(sqlite3.connect(path)) as then:
        now.backup(then)
    return copy.deepcopy(scene.telegram), attrs.evolve(settings, store=StoreSettings(path=path))


def stored(folder: Path, **options: Any) -> Settings:
    """`scene_settings` with a file as the store, which another scene may open."""
    return attrs.evolve(scene_settings(**options), store=StoreSettings(path=folder / "triolet.db"))


def query(settings: Settings, sql: str) -> list[Any]:
    """What a statement on the store's file gives, from a connection beside the bot's."""
    with closing(sqlite3.connect(settings.store.path, isolation_level=None)) as connection:
        return list(connection.execute(sql))


def press(scene: Scene, text: str, chat_id: int = ADA) -> None:
    """Press the button of that name; there is one in the chat."""
    shown = scene.server.screen(chat_id).messages
    [(number, data)] = [(m.id, b.data) for m in shown for row in m.buttons for b in row if b.text == text]
    assert data is not None
    scene.server.press_button(chat_id, number, data)
