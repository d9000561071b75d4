"""What the sweeps play: the whole bot on real HTTP clients and the official SDK, over streams in memory.

A `Play` is a scenario: who asks what, what the model says, what goes wrong meanwhile. A strike is what happens at a
point of it: a stop, a new message, a broken connection. A `World` is one run, with everything that can be looked at
afterwards. The model, Telegram and the disk all take virtual time to answer, so that calls really are in flight.
"""

from __future__ import annotations

import math
import re
import sqlite3
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeAlias, TypeVar
from unittest import mock

import attrs
import httpcore2
import structlog
import trio
from mcp_wire import McpWire
from model_dialects import CHAT, MESSAGES, RESPONSES, Dialect
from model_server import KEY, ModelServer, Pause, Step, Write, chunk, done, finish, open_model_server, refuse, reply
from scenes import ADA, BOB, CURSOR, GROUP, LATENCY, Scene, open_telegram, scene_settings
from trio.lowlevel import Task
from trio.testing import memory_stream_pair

import triolet.app.bot
import triolet.providers.sdk
import triolet.telegram.client
import triolet.tools.mcp_session
from triolet.app.bot import serve_bot
from triolet.app.model import GO_ON
from triolet.app.supervisor import Supervisor
from triolet.app.turn import Turn
from triolet.config import McpSettings, ModelSettings, Secret, StoreSettings, StreamingSettings
from triolet.core.commands import BusyMode
from triolet.core.conversation import ConversationKey, Ending, Message
from triolet.core.events import TextDelta
from triolet.core.ports import Provider, Tool
from triolet.emulator import Fault, Flood, Limits, Refuse, ServerError, TelegramServer, open_telegram_server
from triolet.net.network import open_transport
from triolet.providers import open_provider
from triolet.providers.scripted import ScriptedProvider, constant
from triolet.store import run_inline
from triolet.store.sqlite import SqliteStore
from triolet.testing import Trial, task_name, waits_in
from triolet.tools import tool

T = TypeVar("T")

MODEL = ModelSettings(name="test", base_url="http://model.test", api_key=Secret(KEY))
OURS = ("triolet.", "mcp.", "sweeps.World._serve")
"""How the names of the bot's tasks begin."""
MODEL_ORIGIN = httpcore2.Origin(b"http", b"model.test", 80)
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


Answers: TypeAlias = Callable[[Any], Iterable[Step]]


@attrs.frozen
class Play:
    """A scenario; ``expected`` is the answer if nothing happens to it."""

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

    def parts(self, always: Collection[str]) -> set[str]:
        """The parts of the bot that have something to do in it."""
        if self.only_committing:
            return {"commit", "outbox"}
        return {*always, *(["tool"] if self.tools or self.mcp else []), *(["mcp"] if self.mcp else [])}


@attrs.define(eq=False)
class World:
    """``at_rest`` are the bot's tasks when it has nothing to do."""

    play: Play
    busy: BusyMode
    folder: Path
    model: ModelServer
    server: TelegramServer
    provider: Provider
    mcp: McpWire
    nursery: trio.Nursery
    log: list[structlog.typing.EventDict]
    at_rest: Counter[str] = attrs.Factory(Counter)
    transports: list[Any] = attrs.Factory(list)
    wires: list[Any] = attrs.Factory(list)
    struck_at: float = math.inf
    running_tools: Counter[str] = attrs.Factory(Counter)
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
            scene_settings(streaming=StreamingSettings(busy=self.busy), allow=CHATS),
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
        return stream

    @property
    def scene(self) -> Scene:
        return Scene(self.server, ScriptedProvider(constant()), self.shutdown)

    def begin(self) -> None:
        """Everybody asks."""
        for chat in self.play.chats:
            self.server.say(chat, addressed("Hello", chat), user_id=user_of(chat))

    @property
    def turns(self) -> list[Turn]:
        """Those that have not been recorded yet."""
        turns = [conversation._turn for conversation in self.supervisor._conversations.values()]
        return [turn for turn in turns if turn is not None]

    @property
    def is_answering(self) -> bool:
        return any(turn.ending is None for turn in self.turns)

    @property
    def is_idle(self) -> bool:
        return self.supervisor.is_idle and not any("Outbox" in name for name in self.tasks())

    async def wait_idle(self) -> None:
        """Returns when every answer is delivered."""
        while not self.is_idle:
            await trio.sleep(0.25)

    def tasks(self) -> Counter[str]:
        """The bot's tasks now, by name."""
        root = trio.lowlevel.current_root_task()
        assert root is not None
        return Counter(task.name for task in _below(root) if is_the_bots(task))

    def dispatch(self, act: Callable[..., Any], *args: Any, **kwargs: Any) -> None:
        """Let a person do something, and have the bot learn of it in this very instant."""
        queue = self.server.telegram.updates._queue
        count = len(queue)
        act(*args, **kwargs, now=trio.current_time())
        while len(queue) > count:
            self.supervisor.dispatch(queue.pop().update)

    def say(self, text: str, chat: int = ADA) -> None:
        self.dispatch(self.server.telegram.user_sends, chat, addressed(text, chat), user_id=user_of(chat))

    async def history(self, chat: int = ADA) -> list[Message]:
        """What is stored, read past the bot."""
        path = self.folder / "bot.db"
        with closing(sqlite3.connect(path)) as connection:
            return await SqliteStore(str(path), connection, run_inline, time.time).load(ConversationKey(chat))


def addressed(text: str, chat: int) -> str:
    return f"@triolet_bot {text}" if chat == GROUP and not text.startswith("/") else text


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

    def kept(*args: Any, **kwargs: Any) -> Any:
        world.transports.append(open_transport(*args, **kwargs))
        return world.transports[-1]

    with (
        mock.patch.object(triolet.app.bot, "Supervisor", Reached),
        mock.patch.object(triolet.telegram.client, "open_transport", kept),
        mock.patch.object(triolet.providers.sdk, "open_transport", kept),
        mock.patch.object(triolet.tools.mcp_session, "open_transport", kept),
    ):
        yield


def _model_of(play: Play) -> ModelSettings:
    settings: Any = {"provider": play.dialect.name, "base_url": MODEL.base_url + play.dialect.base}
    return attrs.evolve(MODEL, **settings)


@asynccontextmanager
async def open_world(play: Play, busy: BusyMode) -> AsyncIterator[World]:
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
            world = World(play, busy, Path(folder), model, server, provider, McpWire(servers), nursery, log)
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


# What is left of a run


NOTICES = {"There is nothing to stop.", "A new conversation. What was said is forgotten."}


def squeezed(text: str) -> str:
    """Without white space, which a screen shows otherwise than it was said."""
    return "".join(text.split())


def shown(world: World, chat: int) -> list[str]:
    """The bot's messages, without notices."""
    messages = world.server.screen(chat).messages
    return [message.text for message in messages if message.from_bot and message.text not in NOTICES]


def unmarked(texts: Sequence[str]) -> str:
    """What of the messages is the model's, on end."""
    return squeezed("".join(MARK.sub("", COPY.sub("", text)) for text in texts))


def answers_in(history: Sequence[Message]) -> list[Message]:
    return [message for message in history if message.role == "assistant"]


def check_house(world: World, tolerated: Collection[str] = ()) -> None:
    """No task is left, every connection is idle and known to its pool, and nobody's mistake was caught."""
    assert world.tasks() == world.at_rest
    assert not +world.running_tools
    assert not world.mcp.calls
    assert {request.how for request in world.model.requests} <= {"completed", "client_left", "reset"}
    connections = [(each, pool) for pool in pools(world) for each in pool.connections]
    busy = [each for each, _ in connections if not each.is_idle()]
    assert len(busy) <= 1, "but for the poll, all of them are idle"
    assert not any(request.is_queued() for pool in pools(world) for request in pool._requests)
    of_model = [each for each, _ in connections if is_of_model(each)]
    assert len(world.model.connections) <= len(of_model), "the pool knows of all that the model still holds"
    errors = {event["event"] for event in world.log if event["log_level"] in {"error", "critical"}}
    assert errors <= set(tolerated)


def is_of_model(connection: Any) -> bool:
    return bool(connection.can_handle_request(MODEL_ORIGIN))


def pools(world: World) -> list[Any]:
    return [transport.connections for transport in world.transports]


def check_screen(world: World, chat: int) -> None:
    """No cursor, no button that stops, no draft, and none that was sent after the last message."""
    screen = world.server.screen(chat)
    assert screen.draft is None
    assert not screen.typing
    for message in screen.messages:
        assert CURSOR.strip() not in message.text
        assert not [button for row in message.buttons for button in row if button.text == "⏹"]
    calls = world.scene.calls(chat_id=chat)
    lasting = [call for call in calls if call.method in {"sendMessage", "editMessageText"}]
    drafts = [call for call in calls if call.method == "sendMessageDraft"]
    if drafts and lasting:
        assert drafts[-1].received <= lasting[-1].received
    assert all(call.outcome != "pending" for call in calls)


async def check_history(world: World, chat: int) -> None:
    """What is shown is what is stored; what is no whole answer is marked, and nothing else."""
    stored = answers_in(await world.history(chat))
    texts = shown(world, chat)
    assert unmarked(texts) == squeezed("".join(message.text for message in stored))
    broken = [message for message in stored if message.ending is not Ending.COMPLETE]
    marks = [text for text in texts if MARK.search(text) and MARK.sub("", text)]
    assert len(marks) == len(broken)


async def ask_again(world: World, chat: int) -> None:
    """The next message gets a whole answer."""
    before = len(shown(world, chat))
    world.say("And again?", chat)
    await trio.sleep(0.1)
    await world.wait_idle()
    assert unmarked(shown(world, chat)[before:]) == squeezed(world.play.expected)
    assert answers_in(await world.history(chat))[-1].ending is Ending.COMPLETE


# What may strike


@attrs.frozen
class Strike:
    """``act`` returns whether it met anything; ``check`` looks at what is left, after a long silence.

    ``tolerated`` are the errors that it may have logged.
    """

    act: Callable[[World], bool]
    check: Callable[[World], Awaitable[None]]
    mend: Callable[[World], object] = lambda world: None
    tolerated: Collection[str] = ()
    busy: BusyMode = "queue"
    leaves_previews: bool = False
    """What was growing on the screen may stay as it is."""
    at_delivery: bool = False
    """Whether it also comes when all answers are recorded, and on their way."""


async def play_on(trial: Trial, play: Play, strike: Strike) -> None:
    """A whole run: the play with the strike, a long silence, and another question."""
    async with open_world(play, strike.busy) as world:

        def act() -> None:
            world.struck_at = trio.current_time()
            trial.hit = strike.act(world)

        def watched(task: Task) -> bool:
            if not is_the_bots(task) or (world.supervisor.is_idle and not strike.at_delivery):
                return False
            return not play.only_committing or (bool(world.turns) and not world.is_answering)

        with trial.strikes(act, watch=watched):
            world.begin()
            await trio.sleep(0.1)
            await world.wait_idle()
        strike.mend(world)
        counts = [len(world.scene.calls(chat_id=chat)) for chat in play.chats]
        await trio.sleep(QUIET)
        assert [len(world.scene.calls(chat_id=chat)) for chat in play.chats] == counts
        await (strike.check if trial.hit else check_whole)(world)
        check_house(world, strike.tolerated)
        for chat in play.chats:
            if not (trial.hit and strike.leaves_previews):
                check_screen(world, chat)
            await ask_again(world, chat)
        check_house(world, strike.tolerated)


def on_work(act: Callable[[World], object]) -> Callable[[World], bool]:
    """Only if there is an answer, even one that is about to begin, or has ended and is not recorded."""

    def act_on_work(world: World) -> bool:
        if world.supervisor.is_idle:
            return False
        act(world)
        return True

    return act_on_work


def everybody_says(world: World, text: str) -> None:
    for chat in world.play.chats:
        world.say(text, chat)


async def check_beginning(world: World) -> None:
    """What is shown is a beginning of the answer, is stored, and says so."""
    for chat in world.play.chats:
        texts = shown(world, chat)
        assert squeezed(world.play.expected).startswith(unmarked(texts))
        assert any(MARK.search(text) for text in texts) or unmarked(texts) == squeezed(world.play.expected)
        await check_history(world, chat)


def break_model(world: World) -> None:
    """Every connection on which the model answers breaks, and one that is idle.

    More of these would be tried one by one: streams in memory do not tell, as a socket does, that nobody is there.
    """
    busy = {request.connection for request in world.model.requests if request.how == "open"}
    idle = [number for number in world.model.connections if number not in busy]
    for number in (*busy, *idle[:1]):
        close_now(world.model.connections[number])


def close_now(stream: Any) -> None:
    stream.send_stream.close()
    stream.receive_stream.close()


async def check_whole(world: World) -> None:
    for chat in world.play.chats:
        assert unmarked(shown(world, chat)) == squeezed(world.play.expected)
        await check_history(world, chat)


async def check_shown(world: World) -> None:
    """The whole answer, though nobody could store it."""
    for chat in world.play.chats:
        assert unmarked(shown(world, chat)) == squeezed(world.play.expected)


def press(world: World) -> None:
    """Whatever stops the answer on the screen: its draft's button, or the one under it."""
    for chat in world.play.chats:
        press_in(world, chat)


def press_in(world: World, chat: int) -> None:
    telegram = world.server.telegram
    screen = world.server.screen(chat)
    if screen.draft is not None and screen.draft.stop_button:
        world.dispatch(telegram.user_presses_stop, chat)
    for message in screen.messages:
        for button in (button for row in message.buttons for button in row if button.text == "⏹"):
            world.dispatch(telegram.user_presses_button, chat, message.id, button.data, user_id=user_of(chat))


async def check_forgotten(world: World) -> None:
    """As for a stop; what is stored is nothing."""
    for chat in world.play.chats:
        assert squeezed(world.play.expected).startswith(unmarked(shown(world, chat)))
        assert await world.history(chat) == []


def cancel(world: World) -> None:
    """A cancel that nobody explains."""
    for turn in world.turns:
        turn.scope.cancel()


async def check_both(world: World) -> None:
    """Two questions, two whole answers."""
    for chat in world.play.chats:
        assert unmarked(shown(world, chat)) == 2 * squeezed(world.play.expected)
        assert [each.text for each in await world.history(chat) if each.role == "user"] == ["Hello", "And now?"]
        await check_history(world, chat)


async def check_newest(world: World) -> None:
    """Both questions are known, once; the newer one has a whole answer, the older one none that came later."""
    whole = squeezed(world.play.expected)
    for chat in world.play.chats:
        history = await world.history(chat)
        assert [each.text for each in history if each.role == "user"] == ["Hello", "And now?"]
        assert answers_in(history)[-1].ending is Ending.COMPLETE
        assert unmarked(shown(world, chat)).endswith(whole)
        assert whole.startswith(unmarked(shown(world, chat)).removesuffix(whole))
        await check_history(world, chat)


async def check_steered(world: World) -> None:
    """The message is part of the answer that ran, or has one of its own."""
    whole = squeezed(world.play.expected)
    for chat in world.play.chats:
        history = await world.history(chat)
        assert [each.text for each in history if each.role == "user"] == ["Hello", ASIDE]
        assert answers_in(history)[-1].ending is Ending.COMPLETE
        was_steered = history[[each.text for each in history].index(ASIDE) - 1].role == "tool"
        assert unmarked(shown(world, chat)) == whole * (1 if was_steered else 2)
        await check_history(world, chat)


def edit_question(world: World) -> None:
    for chat in world.play.chats:
        asked = next(each for each in world.server.screen(chat).messages if not each.from_bot)
        world.dispatch(world.server.telegram.user_edits, chat, asked.id, addressed("Hello there", chat))


async def check_edited(world: World) -> None:
    """The newest text has a whole answer, unless the older one had it already."""
    whole = squeezed(world.play.expected)
    for chat in world.play.chats:
        history = await world.history(chat)
        asked = [each.text for each in history if each.role == "user"]
        assert asked in (["Hello there"], ["Hello", "Hello there"], ["Hello"])
        assert answers_in(history)[-1].ending is Ending.COMPLETE
        assert unmarked(shown(world, chat)).endswith(whole)
        assert whole.startswith(unmarked(shown(world, chat)).removesuffix(whole))
        await check_history(world, chat)


def leave(world: World) -> None:
    """Everybody blocks the bot, or throws it out."""
    telegram = world.server.telegram
    for chat in world.play.chats:
        if chat == GROUP:
            world.dispatch(telegram.group_removes_bot, chat, user_id=ADA)
        else:
            world.dispatch(telegram.user_blocks_bot, chat)


async def check_left(world: World) -> None:
    """What was said is stored, and nothing is asked or sent any more; afterwards everybody comes back."""
    gone_at = world.struck_at
    for chat in world.play.chats:
        for answer in answers_in(await world.history(chat)):
            assert squeezed(world.play.expected).startswith(squeezed(answer.text)) or world.play.answers is with_tools
        refused = [call for call in world.scene.calls(chat_id=chat) if call.received > gone_at + 0.1]
        assert len(refused) <= 1, "what was on its way, and nothing after it"
        telegram = world.server.telegram
        if chat == GROUP:
            world.dispatch(telegram.group_adds_bot, chat, user_id=ADA)
        else:
            world.dispatch(telegram.user_unblocks_bot, chat)


def cut_wires(world: World) -> bool:
    """Every connection to Telegram breaks."""
    for wire in world.wires:
        close_now(wire)
    return True


def fail_once(world: World) -> bool:
    world.server.telegram.add_fault(Fault(action=ServerError(500)))
    return True


def shut_down(world: World) -> bool:
    world.shutdown.set()
    return True


async def check_shut_down(world: World) -> None:
    """Everything has been said that was to be said, nothing is open, and the next start goes on."""
    await check_ended(world)
    for chat in world.play.chats:
        assert squeezed(world.play.expected).startswith(unmarked(shown(world, chat)))
        await check_history(world, chat)
    await restart(world)
    for chat in world.play.chats:
        assert [each.text for each in await world.history(chat) if each.role == "user"] == ["Hello"]
        await check_history(world, chat)


async def check_ended(world: World) -> None:
    assert world.bot_ended.is_set()
    assert not world.tasks()
    assert not [
        each for transport in world.transports for each in transport.connections.connections if not each.is_idle()
    ]


async def restart(world: World) -> None:
    await world.start_bot()
    await world.wait_idle()
    await trio.sleep(QUIET)


def kill(world: World) -> bool:
    """As a second Ctrl-C: all of it is cancelled, in whatever it does."""
    world.bot.cancel()
    return True


async def check_killed(world: World) -> None:
    """What was said is stored, each answer once; what was on its way may be lost."""
    await check_ended(world)
    for chat in world.play.chats:
        stored = "".join(message.text for message in answers_in(await world.history(chat)))
        assert squeezed(world.play.expected).startswith(squeezed(stored))
    await restart(world)
    for chat in world.play.chats:
        assert [each.text for each in await world.history(chat) if each.role == "user"] == ["Hello"]


STRIKES: Mapping[str, Strike] = {
    "shutdown": Strike(shut_down, check_shut_down, at_delivery=True),
    "kill": Strike(kill, check_killed, at_delivery=True, leaves_previews=True),
    "stop": Strike(on_work(lambda world: everybody_says(world, "/stop")), check_beginning),
    "button": Strike(on_work(press), check_beginning),
    "new": Strike(on_work(lambda world: everybody_says(world, "/new")), check_forgotten),
    "cancel": Strike(on_work(cancel), check_beginning),
    "message": Strike(on_work(lambda world: everybody_says(world, "And now?")), check_both),
    "interrupt": Strike(on_work(lambda world: everybody_says(world, "And now?")), check_newest, busy="interrupt"),
    "steer": Strike(on_work(lambda world: everybody_says(world, ASIDE)), check_steered, busy="steer"),
    "edit": Strike(on_work(edit_question), check_edited),
    "block": Strike(on_work(leave), check_left, leaves_previews=True, tolerated={"outbox.undelivered"}),
    "broken_telegram": Strike(cut_wires, check_whole, at_delivery=True),
    "telegram_500": Strike(fail_once, check_whole, at_delivery=True),
    "broken_model": Strike(on_work(break_model), check_whole),
    "model_500": Strike(on_work(lambda world: world.model.answer(refuse(500, "out of order"))), check_whole),
    "full_disk": Strike(
        on_work(lambda world: world.disk.break_down()),
        check_shown,
        mend=lambda world: world.disk.recover(),
        tolerated={"turn.not_recorded"},
    ),
}


# What is played


def busy_tool(world: World, name: str, seconds: float) -> Tool:
    async def run() -> str:
        """Take its time."""
        world.running_tools[name] += 1
        try:
            await trio.sleep(seconds)
        finally:
            world.running_tools[name] -= 1
        return f"{name} is done"

    return tool(run, name=name)


def with_search(body: Any) -> list[Step]:
    return with_tools(body, "wire__search")


def with_tools(body: Any, *names: str) -> list[Step]:
    messages = body["messages"]
    asides = {GO_ON, ASIDE}
    asked = max(n for n, each in enumerate(messages) if each["role"] == "user" and each["content"] not in asides)
    if messages[-1]["content"] == ASIDE and messages[-2]["role"] != "tool":
        asked = len(messages) - 1
    if any(each["role"] == "tool" for each in messages[asked:]):
        return speak(*WORDS[:2])
    return call_tools(*(names or ("look", "count")), said="Let me see. ")


LONG = tuple(f"Line {number} of a long answer, which needs more than one message.\n" for number in range(150))


PLAYS: Mapping[str, Play] = {
    "drafts": Play(),
    "group": Play(chats=(GROUP,)),
    "fallback": Play(
        faults=(Fault(method="sendMessageDraft", skip=1, times=None, action=Refuse(400, "Bad Request: no drafts")),)
    ),
    "long": Play(lambda body: speak(*("".join(LONG[start : start + 50]) for start in (0, 50, 100))), "".join(LONG)),
    "tools": Play(
        with_tools,
        "Let me see. " + "".join(WORDS[:2]),
        tools={"look": 0.3, "count": 0.7},
    ),
    "responses": Play(lambda body: tell(RESPONSES, *WORDS), dialect=RESPONSES),
    "messages": Play(lambda body: tell(MESSAGES, *WORDS), dialect=MESSAGES),
    "retry": Play(first=(Pause(0.1), refuse(503, "overloaded"))),
    "flood": Play(faults=(Fault(method="sendMessageDraft", skip=2, action=Flood(8)),)),
    "mcp": Play(with_search, "Let me see. " + "".join(WORDS[:2]), mcp=True),
    "commit": Play(only_committing=True),
    "five": Play(chats=(*CHATS, GROUP)),
}
