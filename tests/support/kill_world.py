"""A world in which bots die: an emulated Telegram on real sockets, people, and one process after the other.

A `Fate` says which scenario is played and where its processes are struck; `play` plays it, until everything is quiet
after the last of them, and returns what is left as `Evidence`. Several fates may be played at once, on one `BotServer`
and under its clock.
"""

from __future__ import annotations

import itertools
import json
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from subprocess import PIPE, Popen
from tempfile import TemporaryDirectory
from typing import Any, Final

import attrs
import trio
from kill_files import count_effects, integrity, read, read_letters, read_unfinished
from kill_judges import Asked, Evidence, Exit, judge
from kill_scenarios import GRACE, OUTPUT, SCENARIOS, Ask, Scenario, lay_database
from scenes import ADA, BOB, GROUP, LATENCY, TOKEN

from triolet.emulator import EmulatedTelegram, TelegramServer, open_telegram_server

MEMORY: Final = "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108  # a folder of its own is made there
CHATS: Final = (ADA, BOB, GROUP)

NUMBERS: Final = itertools.count()
"""Of bots, whatever run they are of."""

QUIET: Final = 3.0
"""Seconds without a call after which all is over, if the database agrees."""
LONG_QUIET: Final = 45.0
"""Seconds without a call after which all is over, whatever the database says; no back-off is longer than 30."""
GLANCE: Final = 0.25
PATIENCE: Final = 400.0
"""Seconds in which a process has to become quiet."""


@attrs.frozen
class Fate:
    """``strikes`` are the boundaries at which the first process, the second ... get the signal.

    As text: the scenario, the boundaries and, for another signal than SIGKILL, its name, as in ``edit:37:12``.
    """

    scenario: str
    strikes: tuple[int, ...] = ()
    signal: int = signal.SIGKILL

    @classmethod
    def parse(cls, text: str) -> Fate:
        scenario, *rest = text.split(":")
        number = signal.Signals[rest.pop()] if rest and not rest[-1].isdigit() else signal.SIGKILL
        return cls(scenario, tuple(map(int, rest)), number)

    def __str__(self) -> str:
        named = [] if self.signal == signal.SIGKILL else [signal.Signals(self.signal).name]
        return ":".join([self.scenario, *map(str, self.strikes), *named])


@attrs.define(eq=False)
class Bot:
    """A process of the program's; ``exit`` and what follows are known when it is ``over``.

    ``place`` is where it was struck, empty if it never was; it was ``struck`` and ``ended`` at these times.
    """

    rate: float
    pid: int = 0
    exit: int = 0
    passed: int = 0
    place: str = ""
    struck: float = 0.0
    ended: float = 0.0
    born: trio.Event = attrs.Factory(trio.Event)
    over: trio.Event = attrs.Factory(trio.Event)

    def note(self, facts: Mapping[str, Any]) -> None:
        if "pid" in facts:
            self.pid = facts["pid"]
            self.born.set()
        else:
            self.exit, self.passed = facts["exit"], facts["passed"]
            self.place, self.struck, self.ended = facts["place"], self.at(facts["struck"]), self.at(facts["over"])
            self.over.set()

    def at(self, monotonic: float) -> float:
        """That time on the clock of the run."""
        return trio.current_time() - (time.monotonic() - monotonic) * self.rate


class BotServer:
    """The program of `kill_server`, seen from a run whose clock goes at that rate."""

    def __init__(self, orders: trio.abc.SendStream, rate: float) -> None:
        self._orders = orders
        self._rate = rate
        self._bots: dict[int, Bot] = {}
        self._turn = trio.Lock()

    async def start(self, fate: Fate, folder: Path, api_base: str, strike_at: int | None) -> Bot:
        bot, number = Bot(self._rate), next(NUMBERS)
        self._bots[number] = bot
        order = {
            "number": number,
            "scenario": fate.scenario,
            "folder": str(folder),
            "api_base": api_base,
            "strike_at": strike_at,
            "strike": int(fate.signal),
            "rate": self._rate,
        }
        async with self._turn:
            await self._orders.send_all(json.dumps(order).encode() + b"\n")
        await bot.born.wait()
        return bot

    async def listen(self, reports: trio.abc.ReceiveStream) -> None:
        rest = b""
        while data := await reports.receive_some():
            *lines, rest = (rest + data).split(b"\n")
            for line in lines:
                facts = json.loads(line)
                if facts["number"] in self._bots:  # others are of a run that was given up
                    self._bots[facts["number"]].note(facts)


@contextmanager
def open_forge() -> Iterator[Popen[bytes]]:
    """The program of `kill_server`, for any number of runs, one after the other."""
    program = [sys.executable, str(Path(__file__).with_name("kill_server.py"))]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    with Popen(program, stdin=PIPE, stdout=PIPE, env=environment) as process:
        yield process
        process.kill()


@asynccontextmanager
async def open_bot_server(forge: Popen[bytes], rate: float) -> AsyncIterator[BotServer]:
    """Bots in processes of their own, for as long as the block runs; ``rate`` is that of the clock it runs under."""
    assert forge.stdin is not None
    assert forge.stdout is not None
    orders, reports = (trio.lowlevel.FdStream(os.dup(pipe.fileno())) for pipe in (forge.stdin, forge.stdout))
    async with orders, reports, trio.open_nursery() as nursery:
        server = BotServer(orders, rate)
        nursery.start_soon(server.listen, reports)
        yield server
        nursery.cancel_scope.cancel()


@attrs.frozen
class Played:
    """What came of a fate: ``passed`` are the boundaries of each process, ``places`` where those were that were struck.

    ``at_stops`` is what there was each time when a process had ended in order, and no other had begun.
    """

    fate: Fate
    evidence: Evidence
    at_stops: tuple[Evidence, ...]
    passed: tuple[int, ...]
    places: tuple[str, ...]

    def faults(self) -> dict[str, list[str]]:
        """What is wrong; a process that ends in order leaves no placeholder even for a moment."""
        found = judge(self.evidence)
        for evidence in self.at_stops:
            early = judge(evidence)
            for name in ("orphaned", "draft left"):
                found[name] = [*found.get(name, []), *(f"between: {fault}" for fault in early.get(name, []))]
        return {name: faults for name, faults in found.items() if faults}


async def play(server: BotServer, fate: Fate) -> Played:
    with TemporaryDirectory(dir=MEMORY, prefix="kill-") as folder:
        telegram = EmulatedTelegram(token=TOKEN, epoch=time.time() - trio.current_time(), latency=LATENCY)
        for user, name in ((ADA, "Ada"), (BOB, "Bob")):
            telegram.add_private_chat(user, name)
        telegram.add_group(GROUP, "Friends", (ADA, BOB), supergroup=True)
        async with open_telegram_server(telegram) as wire, trio.open_nursery() as nursery:
            base = await nursery.start(wire.serve_tcp)
            town = Town(fate, SCENARIOS[fate.scenario], Path(folder), wire)
            town.prepare()
            nursery.start_soon(town.speak)
            nursery.start_soon(town.allow)
            await town.run_bots(server, base)
            nursery.cancel_scope.cancel()
        return town.played()


@attrs.define(eq=False)
class Town:
    """One fate as it is played."""

    fate: Fate
    scenario: Scenario
    folder: Path
    wire: TelegramServer
    asked: list[Asked] = attrs.Factory(list)
    bots: list[Bot] = attrs.Factory(list)
    deaths: list[float] = attrs.Factory(list)
    stops: list[float] = attrs.Factory(list)
    at_stops: list[Evidence] = attrs.Factory(list)
    exits: list[Exit] = attrs.Factory(list)

    @property
    def telegram(self) -> EmulatedTelegram:
        return self.wire.telegram

    # People

    def prepare(self) -> None:
        """What was before the first start."""
        for fault in self.scenario.faults:
            self.telegram.add_fault(fault)
        for ask in self.scenario.asks:
            if ask.after is None:
                self.say(ask)
        lay_database(self.scenario, self.folder, self.telegram.updates.pending)
        if self.scenario.schema:
            self.telegram.updates.drop_all()  # an earlier version has them, and has said so

    def say(self, ask: Ask) -> None:
        message_id = self.wire.say(ask.chat, ask.text, user_id=None if ask.chat > 0 else ADA)
        self.asked.append(Asked(ask.chat, message_id, ask.expected, in_order=not ask.text.startswith("/")))

    async def speak(self) -> None:
        """Say the rest, each at its time."""
        await self.wire.wait_until(lambda: bool(self.telegram.calls("getUpdates")))
        began = trio.current_time()
        for ask in self.scenario.asks:
            if ask.after is not None:
                await trio.sleep_until(began + ask.after)
                self.say(ask)

    async def allow(self) -> None:
        """Allow every tool, once for each time that the bot asks."""
        pressed: set[str] = set()
        while True:
            await trio.sleep(GLANCE)
            for message in self.wire.screen(ADA).messages:
                for button in (button for row in message.buttons for button in row):
                    if button.text == "✅ Allow" and button.data and button.data not in pressed:
                        pressed.add(button.data)
                        self.wire.press_button(ADA, message.id, button.data)

    # Processes

    async def run_bots(self, server: BotServer, base: str) -> None:
        for strike_at in (*self.fate.strikes, None):
            bot = await server.start(self.fate, self.folder, base, strike_at)
            self.bots.append(bot)
            if not await self.wait_over(bot):
                with suppress(ProcessLookupError):  # it has died meanwhile
                    os.kill(bot.pid, signal.SIGTERM)
                await bot.over.wait()
                if not bot.place:
                    self.exits.append(Exit(bot.exit, 0))
                    return
            self.note_end(bot)

    def note_end(self, bot: Bot) -> None:
        if self.fate.signal == signal.SIGKILL and bot.place:
            self.deaths.append(bot.ended)
            self.exits.append(Exit(bot.exit, -signal.SIGKILL))
        else:
            self.stops.append(bot.ended)
            self.exits.append(Exit(bot.exit, 0, bot.ended - bot.struck if bot.place else 0.0, GRACE + 3.0))
            self.at_stops.append(self.evidence())

    async def wait_over(self, bot: Bot) -> bool:
        """Whether the process ends by itself, and not only when everything is quiet."""
        began = trio.current_time()
        with trio.move_on_after(PATIENCE):
            while not self.is_quiet(trio.current_time() - began):
                with trio.move_on_after(GLANCE):
                    await bot.over.wait()
                    return True
        return False

    def is_quiet(self, since: float) -> bool:
        now = trio.current_time()
        calls = [call for call in self.telegram.journal if call.method != "getUpdates"]
        busy = any(call.outcome == "pending" and call.received > now - since for call in calls)
        last = max((call.received for call in calls), default=now - since)
        rest = min(now - last, since)
        if busy or rest < QUIET or len(self.asked) < len(self.scenario.asks):
            return rest >= LONG_QUIET
        waits = any(letter.state in {"pending", "sending"} or letter.growing for letter in read_letters(self.folder))
        return rest >= LONG_QUIET or not (waits or self.telegram.updates.pending or read_unfinished(self.folder))

    # What is left

    def played(self) -> Played:
        return Played(
            self.fate,
            self.evidence(),
            tuple(self.at_stops),
            passed=tuple(bot.passed for bot in self.bots),
            places=tuple(bot.place for bot in self.bots if bot.place),
        )

    def evidence(self) -> Evidence:
        screens = {chat: self.wire.screen(chat) for chat in CHATS}
        return Evidence(
            asked=tuple(self.asked),
            messages={chat: screen.messages for chat, screen in screens.items()},
            drafts=tuple(chat for chat, screen in screens.items() if screen.draft is not None),
            changes={chat: tuple(self.wire.transcript(chat)) for chat in CHATS},
            deaths=tuple(self.deaths),
            stops=tuple(self.stops),
            effects=count_effects(self.folder),
            unfinished=tuple(read_unfinished(self.folder)),
            letters=tuple(read_letters(self.folder)),
            integrity=integrity(self.folder),
            exits=tuple(self.exits),
            output=read(self.folder / OUTPUT),
        )
