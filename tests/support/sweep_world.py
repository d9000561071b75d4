"""The world of a sweep: the whole bot on real HTTP clients and the official SDK, over streams in memory.

The model, Telegram, an MCP server and the disk all take virtual time to answer, so that calls really are in flight. A
`World` is one run, with everything that can be looked at afterwards; what is played in it, and what strikes, is in
`sweeps`, and what is looked at in `sweep_checks`.
"""

from __future__ import annotations

import json
import math
import re
import sqlite3
from collections import Counter
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager, closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeAlias, TypeVar
from unittest import mock

import attrs
import structlog
import trio
from mcp_wire import McpWire
from model_dialects import CHAT, Dialect
from model_server import (
    KEY,
    ModelServer,
    Pause,
    Received,
    Step,
    Write,
    chunk,
    done,
    finish,
    open_model_server,
    reply,
)
from odd_servers import Wrapped
from scenes import ADA, BOB, CURSOR, GROUP, LATENCY, Scene, open_telegram, scene_settings
from trio.lowlevel import Task
from trio.testing import memory_stream_pair

import triolet.app.bot
import triolet.app.conversation
import triolet.net.transport
import triolet.telegram.client
import triolet.tools.mcp_session  # now: under a virtual clock no thread may do it
from triolet.app.bot import serve_bot
from triolet.app.supervisor import Supervisor
from triolet.app.turn import Ask, OpenUnit, Record, Turn, run_turn
from triolet.config import McpSettings, ModelSettings, Secret, StoreSettings, StreamingSettings
from triolet.core.commands import BusyMode
from triolet.core.conversation import ConversationKey, Message
from triolet.core.events import TextDelta, TurnBatch, TurnEvent
from triolet.core.ports import Provider, Tool
from triolet.core.recovery import Resume
from triolet.emulator import Fault, Limits, TelegramServer, open_telegram_server
from triolet.emulator.telegram import EPOCH
from triolet.net.http1 import Connections
from triolet.providers import open_provider
from triolet.providers.scripted import ScriptedProvider, constant
from triolet.store import history, inbox
from triolet.telegram.poller import dispatch_all
from triolet.testing import task_name, waits_in
from triolet.tools import tool

T = TypeVar("T")

MODEL = ModelSettings(name="test", base_url="http://model.test", api_key=Secret(KEY))
OURS = ("triolet.", "mcp.", "sweeps.World._serve")
"""How the names of the bot's tasks begin."""
MORE = (2001, 2002)
CHATS = (ADA, BOB, *MORE)
MEMORY = next((folder for folder in ("/dev/shm",) if Path(folder).is_dir()), None)  # noqa: S108  # a folder of its own
"""Where files are gone with the power, and quickly written."""
QUIET = 150.0
"""Seconds in which nothing more may happen: longer than any draft lives, and than any wait of a play."""

WORDS = ("Everything ", "said ", "here ", "is seen ", "once.")
ANSWER = "".join(WORDS)
ASIDE = "By the way, be short."
MARK = re.compile(r"(?:\n\n|\A)(?:⏹|⏸|⚠|✂)[^\n]*\Z")
COPY = re.compile(r"(?:\n\n|\A)↻ [^\n]*\Z")
"""What stands under a message that may be there twice, since nobody knows."""

GROUPS = {
    "Outbox.": "outbox",
    "_run_coalescer": "coalescer",
    "_run_transport": "transport",
    "_Bench.take": "tool",
    "Supervisor.": "conversation",
    "World._serve": "poller",
}


def label_of(task: Task) -> str:
    """The part of the bot that a task plays."""
    if waits_in(task, "_commit"):
        return "commit"
    if task.name.startswith(("mcp.", "triolet.tools.mcp")):
        return "mcp"
    if "_run_provider" in task.name:
        return "tool" if waits_in(task, "run_calls") else "provider"
    return next((label for part, label in GROUPS.items() if part in task.name), task_name(task))


def is_the_bots(task: Task) -> bool:
    """No task of the servers or the test, and none of Trio's own."""
    return task.name.startswith(OURS) and not task.name.startswith("triolet.emulator.")


@attrs.define(eq=False)
class Disk:
    """The store's executor: each job takes a moment, and a cancel in it comes before the job, or too late.

    ``connection`` is the database's, as soon as it is open.
    """

    connection: sqlite3.Connection | None = None

    async def __call__(self, job: Callable[[], T], /) -> T:
        await trio.sleep(0.002)
        result = job()
        if isinstance(result, sqlite3.Connection):
            self.connection = result
        with trio.CancelScope(shield=True):
            await trio.sleep(0.002)
        return result

    def break_down(self) -> None:
        """Take no more writes."""
        self._switch("ON")

    def recover(self) -> None:
        self._switch("OFF")

    def _switch(self, value: str) -> None:
        assert self.connection is not None
        self.connection.execute(f"PRAGMA query_only = {value}")


def speak(*texts: str, pause: float = 0.3) -> list[Step]:
    return [Pause(0.05), *reply(*texts, pause=pause)]


def tell(dialect: Dialect, *texts: str) -> list[Step]:
    """As `speak`, in any dialect."""
    teller = dialect.teller()
    said = [step for text in texts for step in (Pause(0.3), Write(teller.tell(TextDelta(text))))]
    return [Pause(0.05), *said, Write(teller.end("stop"))]


def call_tools(*names: str, said: str = "") -> list[Step]:
    """A round that wants these tools, without arguments."""
    calls = [
        {"index": number, "id": f"call-{name}", "type": "function", "function": {"name": name, "arguments": "{}"}}
        for number, name in enumerate(names)
    ]
    head = [chunk({"role": "assistant", "content": said})]
    return [Pause(0.05), *head, Pause(0.2), chunk({"tool_calls": calls}), finish("tool_calls"), done()]


def squeezed(text: str) -> str:
    """Without white space, which a screen shows otherwise than it was said."""
    return "".join(text.split())


Answers: TypeAlias = Callable[[Any], Iterable[Step]]


@attrs.frozen
class Play:
    """A scenario; ``expected`` is the answer if nothing happens to it, with an @ for who asked."""

    answers: Answers = lambda body: speak(*WORDS)
    expected: str = ANSWER
    chats: tuple[int, ...] = (ADA,)
    tools: Mapping[str, float] = attrs.Factory(dict)
    """How many seconds each takes."""
    faults: tuple[Fault, ...] = ()
    first: tuple[Step, ...] = ()
    """What the first request gets, in the place of an answer."""
    dialect: Dialect = CHAT
    mcp: bool = False
    """There is an MCP server, with the tool ``wire__search``."""
    only_committing: bool = False
    """Points are those from the end of the model's answer on."""

    def answer_to(self, chat: int) -> str:
        """The expected answer, squeezed."""
        return squeezed(self.expected.replace("@", str(chat)))

    def parts(self, always: Collection[str]) -> set[str]:
        """The parts of the bot that have something to do in it."""
        if self.only_committing:
            return {"commit", "outbox"}
        return {*always, *(["tool"] if self.tools or self.mcp else []), *(["mcp"] if self.mcp else [])}


@attrs.define(eq=False)
class SeenTurn:
    """A turn as an onlooker knows it: ``emitted`` is all that the provider task gave away."""

    turn: Turn
    began_at: float
    emitted: list[TurnEvent] = attrs.Factory(list)
    over_at: float = math.inf
    """When it was recorded."""

    @property
    def chat(self) -> int:
        chat: int = self.turn.transport._place.key.chat_id  # type: ignore[attr-defined]  # of a TelegramTransport
        return chat


@attrs.define(eq=False)
class ToolRun:
    name: str
    began: float
    ended: float = math.inf
    done: bool = False


@attrs.frozen
class Moment:
    """What there was when the strike came: ``shown`` is what each chat's screen said of the answer."""

    time: float = math.inf
    live: tuple[SeenTurn, ...] = ()
    """Turns that had not ended."""
    requests: tuple[Received, ...] = ()
    tools: tuple[ToolRun, ...] = ()
    mcp_calls: int = 0
    mcp_ended: int = 0
    shown: Mapping[int, str] = attrs.Factory(dict)


class Line(Wrapped):
    """A connection that knows whether it is closed."""

    is_closed = False

    async def aclose(self) -> None:
        self.is_closed = True
        await super().aclose()


@attrs.define(eq=False)
class World:
    """``at_rest`` are the bot's tasks when it has nothing to do; ``idle_at`` is when it last had no turn any more."""

    play: Play
    busy: BusyMode
    resume: Resume
    folder: Path
    model: ModelServer
    server: TelegramServer
    provider: Provider
    mcp: McpWire
    nursery: trio.Nursery
    log: list[structlog.typing.EventDict]
    at_rest: Counter[str] = attrs.Factory(Counter)
    pools: list[Connections] = attrs.Factory(list)
    lines: list[Line] = attrs.Factory(list)
    """The bot's ends of its connections to Telegram."""
    wires: list[Any] = attrs.Factory(list)
    seen: list[SeenTurn] = attrs.Factory(list)
    tool_runs: list[ToolRun] = attrs.Factory(list)
    moment: Moment = attrs.Factory(Moment)
    idle_at: float = math.inf
    supervisor: Supervisor = attrs.field(init=False)
    disk: Disk = attrs.field(init=False)
    shutdown: trio.Event = attrs.field(init=False)
    bot: trio.CancelScope = attrs.field(init=False)
    bot_ended: trio.Event = attrs.field(init=False)

    async def start_bot(self) -> None:
        self.disk, self.shutdown, self.bot, self.bot_ended = Disk(), trio.Event(), trio.CancelScope(), trio.Event()
        await self.nursery.start(self._serve)
        if not self.at_rest:
            await trio.sleep(0.2)
            self.at_rest = self.tasks()

    async def _serve(self, task_status: trio.TaskStatus[Any]) -> None:
        settings = attrs.evolve(
            scene_settings(
                streaming=StreamingSettings(busy=self.busy),
                allow=CHATS,
                uncertain="resend",
                resume=self.resume,
                grace=0.0,
            ),
            store=StoreSettings(path=self.folder / "bot.db"),
            mcp=(McpSettings("wire", url="http://mcp.test/mcp", allow=("*",), trusted=("*",)),) * self.play.mcp,
        )
        with self.bot:
            await serve_bot(
                settings,
                [self.provider],
                executor=self.disk,
                connect=self.connect,
                tools=[busy_tool(self, name, seconds) for name, seconds in self.play.tools.items()],
                wall_clock=lambda: EPOCH + trio.current_time(),
                shutdown=self.shutdown,
                task_status=task_status,
            )
        self.bot_ended.set()

    async def connect(self, host: str, port: int) -> trio.abc.Stream:
        """To Telegram, by a wire that can be cut, or to the MCP server."""
        if host == "mcp.test":
            return await self.mcp.connect()
        await trio.sleep(0.01)
        stream, wire = memory_stream_pair()
        self.wires.append(wire)
        self.server._nursery.start_soon(self.server._serve, wire)
        self.lines.append(Line(stream))
        return self.lines[-1]

    @property
    def open_lines(self) -> list[Line]:
        return [line for line in self.lines if not line.is_closed]

    @property
    def scene(self) -> Scene:
        return Scene(self.server, ScriptedProvider(constant()), self.shutdown)

    def begin(self) -> None:
        """Everybody asks."""
        for chat in self.play.chats:
            self.server.say(chat, addressed(hello(chat), chat), user_id=user_of(chat))

    @property
    def turns(self) -> list[Turn]:
        """Those that have not been recorded yet."""
        turns = [conversation._turn for conversation in self.supervisor._conversations.values()]
        return [turn for turn in turns if turn is not None]

    @property
    def is_answering(self) -> bool:
        return any(turn.ending is None for turn in self.turns)

    @property
    def has_conversations(self) -> bool:
        """Whether one is at work, and be it with its last answer's way to the disk."""
        return bool(self.supervisor._conversations)

    @property
    def is_idle(self) -> bool:
        return not self.has_conversations and not any("Outbox" in name for name in self.tasks())

    async def wait_idle(self) -> None:
        """Returns when every answer is delivered, and written down as such."""
        while not self.is_idle:
            await trio.sleep(0.25)
        await trio.sleep(0.01)  # the disk's moments

    def tasks(self) -> Counter[str]:
        """The bot's tasks now, by name."""
        root = trio.lowlevel.current_root_task()
        assert root is not None
        return Counter(task.name for task in _below(root) if is_the_bots(task))

    def dispatch(self, act: Callable[..., Any], *args: Any, **kwargs: Any) -> None:
        """Let a person do something, and have the bot learn of it in this very instant, by way of its inbox."""
        connection = self.disk.connection
        assert connection is not None
        act(*args, **kwargs, now=trio.current_time())
        for update in self.server.telegram.updates.pending:
            # What is on its way already comes first; all of it will come once more, by the next poll.
            [is_new] = inbox.receive(connection, [(update["update_id"], EPOCH, json.dumps(update))])
            if is_new:
                self.supervisor.heed(update)
                dispatch_all([update], self.supervisor._services.store, self.supervisor.dispatch)

    def look(self) -> Moment:
        """What there is now."""
        return Moment(
            trio.current_time(),
            tuple(seen for seen in self.seen if seen.turn.ending is None and seen.over_at == math.inf),
            tuple(request for request in self.model.requests if request.how == "open"),
            tuple(run for run in self.tool_runs if run.ended == math.inf),
            len(self.mcp.calls),
            len(self.mcp.ended_at),
            {chat: self._shown_of_answer(chat) for chat in self.play.chats},
        )

    def _shown_of_answer(self, chat: int) -> str:
        """What of the answer is on the screen, squeezed; nothing if it is something else, a line about tools say."""
        screen = self.server.screen(chat)
        texts = [message.text for message in screen.messages if message.from_bot]
        texts += [screen.draft.text] if screen.draft is not None else []
        text = squeezed("".join(each.removesuffix(CURSOR) for each in texts))
        return text if self.play.answer_to(chat).startswith(text) else ""

    def say(self, text: str, chat: int = ADA) -> None:
        self.dispatch(self.server.telegram.user_sends, chat, addressed(text, chat), user_id=user_of(chat))

    async def history(self, chat: int = ADA) -> list[Message]:
        """What is stored, read past the bot."""
        with closing(sqlite3.connect(self.folder / "bot.db")) as connection:
            return history.load(connection, history.key_columns(ConversationKey(chat)))

    def count(self, query: str) -> int:
        """What the database says."""
        with closing(sqlite3.connect(self.folder / "bot.db")) as connection:
            number: int = connection.execute(query).fetchone()[0]
            return number


def busy_tool(world: World, name: str, seconds: float) -> Tool:
    async def run() -> str:
        """Take its time."""
        noted = ToolRun(name, trio.current_time())
        world.tool_runs.append(noted)
        try:
            await trio.sleep(seconds)
            noted.done = True
        finally:
            noted.ended = trio.current_time()
        return f"{name} is done"

    return tool(run, name=name)


def addressed(text: str, chat: int) -> str:
    return f"@triolet_bot {text}" if chat == GROUP and not text.startswith("/") else text


def hello(chat: int) -> str:
    return f"Hello, this is {chat}"


def user_of(chat: int) -> int:
    return ADA if chat == GROUP else chat


def _below(task: Task) -> Iterator[Task]:
    for nursery in task.child_nurseries:
        for child in nursery.child_tasks:
            yield child
            yield from _below(child)


@contextmanager
def _reached(world: World) -> Iterator[None]:
    """The parts of the bot that no door leads to: its supervisor, and its connection pools."""

    class Reached(Supervisor):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            world.supervisor = self

    async def seen(turn: Turn, ask: Ask, record: Record, unit: OpenUnit) -> None:
        noted = SeenTurn(turn, trio.current_time())
        world.seen.append(noted)

        async def ask_and_note(emit: Callable[[TurnBatch], None]) -> None:
            def emit_and_note(batch: TurnBatch) -> None:
                noted.emitted.extend(batch)
                emit(batch)

            await ask(emit_and_note)

        try:
            await run_turn(turn, ask_and_note, record, unit)
        finally:
            noted.over_at = world.idle_at = trio.current_time()

    def kept(*args: Any, **kwargs: Any) -> Any:
        world.pools.append(Connections(*args, **kwargs))
        return world.pools[-1]

    with (
        mock.patch.object(triolet.app.bot, "Supervisor", Reached),
        mock.patch.object(triolet.app.conversation, "run_turn", seen),
        mock.patch.object(triolet.telegram.client, "Connections", kept),
        mock.patch.object(triolet.net.transport, "Connections", kept),
    ):
        yield


def _model_of(play: Play) -> ModelSettings:
    settings: Any = {"provider": play.dialect.name, "base_url": MODEL.base_url + play.dialect.base}
    return attrs.evolve(MODEL, **settings)


@asynccontextmanager
async def open_world(play: Play, busy: BusyMode, resume: Resume = "auto") -> AsyncIterator[World]:
    telegram = open_telegram(Limits())
    telegram.latency = LATENCY
    for chat in MORE:
        telegram.add_private_chat(chat, f"Person {chat}")
    with structlog.testing.capture_logs() as log, TemporaryDirectory(dir=MEMORY) as folder:
        async with (
            open_model_server() as model,
            open_telegram_server(telegram) as server,
            open_provider(_model_of(play), connect=model.connect) as provider,
            trio.open_nursery() as servers,
            trio.open_nursery() as nursery,
        ):
            model.connect_delay = 0.01
            model.script = play.answers
            world = World(play, busy, resume, Path(folder), model, server, provider, McpWire(servers), nursery, log)
            with _reached(world):
                await world.start_bot()
                for fault in play.faults:
                    telegram.add_fault(fault)
                if play.first:
                    model.answer(*play.first)
                yield world
                world.shutdown.set()
                await world.bot_ended.wait()
                servers.cancel_scope.cancel()
