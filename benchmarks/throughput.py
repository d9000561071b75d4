"""How many conversations one process carries, and what a streamed token costs it.

`carrier` is the bot, pinned to one core where there are several; the emulator in this process, with Telegram's
documented limits, and the model's server (`chatter`) have the other one. Each person asks for an answer of up to
`LONGEST` seconds at 50 tokens a second, and asks again when it stands, so that answers begin and end all the time. A
long answer has 6,000 characters, two messages: with three, 400 streams would send the 30 messages a second that
Telegram takes of a bot. When as many speak as are wanted, a window of `--window` seconds is measured:

    cpu        of all of the process, its store's thread included: share of a core, and for each token
    late       how much later than wanted a task of the bot's loop wakes, that sleeps for 10 ms again and again
    lag        the age of the newest word on screen, at any moment of the window
    gap        from one call that shows text to the next one of the same answer
    end        from the last word to the call that makes it stand

A number of streams is carried if the loop is late by less than `LATE`, the last word by less than `END`, and a gap
shorter than `GAP`, or than `LONGEST_GAP` where the bot, being busy, shows everybody less. Last, so many conversations
are answered and left `--idle`, for their memory.

    python benchmarks/throughput.py [--streams 50 100 ...] [--window 12] [--idle 500] [--json FILE] [--plot FILE]
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from itertools import pairwise
from pathlib import Path
from subprocess import DEVNULL, PIPE
from typing import TYPE_CHECKING, Any, Final

import attrs
import report
import trio
from carrier import FIRST_PERSON, TOKEN, Carried, Second
from chatter import DONE, TICK, age
from report import Figure

from triolet.emulator import EmulatedTelegram, Limits, TelegramServer, open_telegram_server

if TYPE_CHECKING:
    from matplotlib.axes import Axes

HERE: Final = Path(__file__).parent
LONGEST: Final = 40.0
"""Seconds of an answer."""

RAMP: Final = 50.0
"""How many people begin in a second: the bot itself may send no more than 30 messages in one, and answers end."""

SETTLE: Final = 6.0
"""Seconds after which all have begun, until the window opens: young answers are shown more densely."""

LATE: Final = 0.05
END: Final = 1.0
GAP: Final = 1.1
LONGEST_GAP: Final = 3.2
"""Seconds, all p99. Drafts are one a second apart at most, and three where the bot is busy; a frame may wait 40 ms for
its last word, and a message that is full goes ahead of the next one's frame."""

WARM: Final = 5.0
"""Seconds after which the bot has loaded all that it loads when nobody asks."""

FEW: Final = 100
IDLE_RAMP: Final = 25.0
"""As `RAMP`, for answers that end at once."""

JUDGED: Final = 200
LEAST: Final[dict[str, Any]] = {"at_least": True, "headline": True}

SHOWS: Final = frozenset({"sendMessageDraft", "sendMessage"})


@attrs.define(eq=False)
class Person:
    """Who asks, and asks again; ``seen`` are the times and texts of all that showed the answer so far."""

    id: int
    seen: list[tuple[float, str]] = attrs.Factory(list)
    asks_at: float = 0.0


@attrs.define(eq=False)
class Town:
    """The emulator, the bot, and who talks to it. Times are those of `time.monotonic`."""

    server: TelegramServer
    program: trio.Process
    ahead: float
    """What the machine's clock is ahead of the emulator's."""
    seconds: list[Second] = attrs.Factory(list)
    people: dict[int, Person] = attrs.Factory(dict)
    answers: list[list[tuple[float, str]]] = attrs.Factory(list)
    _read: int = 0

    async def listen(self) -> None:
        """Take in what the bot prints."""
        assert self.program.stdout is not None  # noqa: S101  # a pipe
        text = b""
        async for part in self.program.stdout:
            *lines, text = (text + part).split(b"\n")
            self.seconds += (Second(**json.loads(line)) for line in lines)

    async def talk(self, dice: random.Random) -> None:
        """Have everybody ask whose time has come, and see what they are shown."""
        while True:
            self._look(dice)
            for person in self.people.values():
                if person.asks_at <= time.monotonic():
                    self._ask(person, LONGEST)
            await trio.sleep(0.05)

    def begin(self, person: Person, left: float) -> None:
        """The first answer is as if it had begun before, and had so many seconds left."""
        self.people[person.id] = person
        self._ask(person, left)

    def _ask(self, person: Person, seconds: float) -> None:
        person.asks_at = float("inf")
        self.server.say(person.id, f"say {round(seconds / TICK)}")

    def _look(self, dice: random.Random) -> None:
        journal = self.server.telegram.journal
        for call in journal[self._read :]:
            text = call.params.get("text")
            if call.method in SHOWS and text and call.peer in self.people and call.status != 429:
                self._see(self.people[call.peer], call.received + self.ahead, text, dice)
        self._read = len(journal)

    def _see(self, person: Person, now: float, text: str, dice: random.Random) -> None:
        person.seen.append((now, text))
        if text.endswith(DONE):
            self.answers.append(person.seen)
            person.seen, person.asks_at = [], now + dice.uniform(0.5, 1.5)


@attrs.frozen
class Measured:
    """What a window showed of ``streams`` streams; times in seconds."""

    streams: int
    spoken: float
    """Tokens a second, as they were seen."""
    cpu: float
    resident: int
    late: Sequence[float]
    lags: Sequence[float]
    gaps: Sequence[float]
    ends: Sequence[float]
    refused: int

    @property
    def per_token(self) -> float:
        return self.cpu / self.spoken if self.spoken else 0.0

    def is_carried(self, longest_gap: float) -> bool:
        """Whether the loop, the frames and the ends are on time."""
        is_prompt = quantile(self.late, 0.99) < LATE and quantile(self.ends, 0.99) < END
        return is_prompt and quantile(self.gaps, 0.99) < longest_gap and not self.refused


def quantile(values: Sequence[float], share: float) -> float:
    """The least of them that so large a share of them does not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0


async def measure(streams: int, window: float, dice: random.Random, *, evenly: bool = False) -> Measured:
    """With ``evenly``, no answer begins in the window, and none ends."""
    async with open_town(streams) as town, trio.open_nursery() as nursery:
        nursery.start_soon(town.listen)
        await trio.sleep(WARM)
        nursery.start_soon(town.talk, dice)
        for number in range(streams):
            left = SETTLE + window + (streams - number) / RAMP + 5
            town.begin(Person(FIRST_PERSON + number), left if evenly else dice.uniform(SETTLE, LONGEST))
            await trio.sleep(1 / RAMP)
        await trio.sleep(SETTLE)
        began = len(town.seconds) - 1
        await trio.sleep(window)
        measured = judge(town, streams, town.seconds[began:])
        nursery.cancel_scope.cancel()
    return measured


def judge(town: Town, streams: int, seconds: Sequence[Second]) -> Measured:
    first, last = seconds[0], seconds[-1]
    lags, gaps, ends = list[float](), list[float](), list[float]()
    spoken = 0.0
    for answer in [*town.answers, *(person.seen for person in town.people.values())]:
        for (before, text), (now, newer) in pairwise(answer):
            if first.at <= now < last.at:
                old, new = age(text, before) or 0.0, age(newer, now) or 0.0
                gaps.append(now - before)
                lags += (old + (now - before) * share / 5 for share in range(5))
                spoken += (now - new - before + old) / TICK
                ends += [new] * newer.endswith(DONE)
    span = last.at - first.at
    return Measured(
        streams=streams,
        spoken=spoken / span,
        cpu=(last.cpu - first.cpu) / span,
        resident=last.resident,
        late=[late for each in seconds[1:] for late in each.late],
        lags=lags,
        gaps=gaps,
        ends=ends,
        refused=sum(call.status == 429 for call in town.server.telegram.journal),
    )


async def measure_idle(people: int) -> float:
    """Bytes for each conversation that was answered and is idle; the heap has grown with the first `FEW`."""
    async with open_town(people) as town, trio.open_nursery() as nursery:
        nursery.start_soon(town.listen)
        await trio.sleep(WARM)
        seen = []
        for goal in (FEW, people):
            for number in range(len(town.people), goal):
                town.people[FIRST_PERSON + number] = Person(FIRST_PERSON + number)
                town.server.say(FIRST_PERSON + number, "say 3")
                await trio.sleep(1 / IDLE_RAMP)
            await trio.sleep(3)
            seen.append(town.seconds[-1].resident)
        nursery.cancel_scope.cancel()
    return (seen[1] - seen[0]) / (people - FEW)


@asynccontextmanager
async def open_town(people: int) -> AsyncIterator[Town]:
    """The emulator, the model's server and the bot, which may not share their cores."""
    cores = sorted(os.sched_getaffinity(0))
    core = cores[0] if len(cores) > 1 else None
    telegram = EmulatedTelegram(token=TOKEN, limits=Limits(), epoch=time.time() - trio.current_time())
    for number in range(people):
        telegram.add_private_chat(FIRST_PERSON + number)
    with tempfile.TemporaryDirectory() as folder:
        async with open_telegram_server(telegram) as server, trio.open_nursery() as nursery:
            api = await nursery.start(server.serve_tcp)
            chatter = await start("chatter.py", folder)
            assert chatter.stdout is not None  # noqa: S101  # a pipe
            port = (await chatter.stdout.receive_some()).decode().strip()
            database = str(Path(folder, "triolet.db"))
            carried = Carried(api, f"http://127.1:{port}/v1", database, people, core)
            carrier = await start("carrier.py", folder, json.dumps(attrs.asdict(carried)))
            if core is not None:
                for process in (0, chatter.pid):
                    os.sched_setaffinity(process, set(cores[1:]))
            try:
                yield Town(server, carrier, time.monotonic() - trio.current_time())
            finally:
                os.sched_setaffinity(0, cores)
                carrier.kill()
                chatter.kill()
                nursery.cancel_scope.cancel()


async def start(name: str, folder: str, *arguments: str) -> trio.Process:
    command = [sys.executable, str(HERE / name), *arguments]
    return await trio.lowlevel.open_process(command, cwd=folder, stdin=PIPE, stdout=PIPE, stderr=DEVNULL)


HEAD: Final = (
    f"{'streams':>7} {'cpu':>6} {'tokens/s':>8} {'us/token':>8} {'late ms: p50, p99, max':>23} "
    f"{'lag s: p50, p95, max':>20} {'gap s: p50, p95, max':>20} {'end p99':>7} {'429':>4} {'MiB':>4}"
)


def row(each: Measured) -> str:
    late = [f"{quantile(each.late, share) * 1e3:7.1f}" for share in (0.5, 0.99, 1)]
    times = [f"{quantile(values, share):6.2f}" for values in (each.lags, each.gaps) for share in (0.5, 0.95, 1)]
    cpu = [f"{each.streams:7}", f"{each.cpu:6.1%}", f"{each.spoken:8.0f}", f"{each.per_token * 1e6:8.1f}"]
    last = [f"{quantile(each.ends, 0.99):7.2f}", f"{each.refused:4}", f"{each.resident / 2**20:4.0f}"]
    return " ".join([*cpu, *late, *times, *last])


def figures(found: Sequence[Measured], even: Measured, idle: float) -> Iterator[Figure]:
    full = [each for each in found if each.is_carried(GAP)]
    sparse = [each for each in found if each.is_carried(LONGEST_GAP)]
    streams, carried = "streams of 50 tokens/s carried by one core", partial(max, default=0)
    yield Figure(f"{streams}, a frame a second", carried(each.streams for each in full), "", goal=200, **LEAST)
    yield Figure(f"{streams}, a frame in three", carried(each.streams for each in sparse), "", goal=400, **LEAST)
    for each in found:
        name = f"CPU for a token, all included, with {each.streams} streams"
        yield Figure(name, each.per_token * 1e6, "us")
        yield Figure(f"lateness of the loop, p99, with {each.streams} streams", quantile(each.late, 0.99) * 1e3, "ms")
    name = f"CPU for a token from socket to frame, with {even.streams} streams"
    yield Figure(name, even.per_token * 1e6, "us", goal=45, headline=True)
    grown = (found[-1].resident - found[0].resident) / max(1, found[-1].streams - found[0].streams)
    yield Figure("memory of a conversation that streams", grown / 1024, "KiB", headline=True)
    yield Figure("memory of a conversation that is idle", idle / 1024, "KiB", goal=16, headline=True)


def draw(axes: Axes, found: Sequence[Measured]) -> None:
    """Streams against CPU, and the lag of what is seen."""
    streams = [each.streams for each in found]
    axes.plot(streams, [each.cpu * 100 for each in found], "o-", color="tab:blue", label="CPU, percent of a core")
    axes.set_xlabel("streams of 50 tokens a second, answers of 40 s")
    axes.set_ylabel("percent of a core", color="tab:blue")
    axes.set_ylim(0, 100)
    axes.grid(alpha=0.3)
    seconds = axes.twinx()
    for share, style in ((0.5, "s-"), (0.95, "^--")):
        lags = [quantile(each.lags, share) for each in found]
        seconds.plot(streams, lags, style, color="tab:orange", label=f"age of what is seen, p{share * 100:.0f}")
    seconds.set_ylabel("seconds", color="tab:orange")
    seconds.set_ylim(0, 4)
    seconds.legend(loc="upper left")
    axes.set_title("One process, one core")


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--streams", type=int, nargs="+", default=[50, JUDGED, 300, 400, 500])
    parser.add_argument("--window", type=float, default=12.0, help="seconds that are measured")
    parser.add_argument("--idle", type=int, default=500, help="how many conversations are left idle")
    report.add_options(parser)
    options = parser.parse_args(arguments)
    print(HEAD)
    found = []
    for streams in options.streams:
        found.append(trio.run(measure, streams, options.window, random.Random(streams)))  # noqa: S311  # when who asks
        print(row(found[-1]), flush=True)
    even = trio.run(partial(measure, evenly=True), JUDGED, options.window, random.Random(0))  # noqa: S311  # when who asks
    print(f"{row(even)}  (none begins or ends)", flush=True)
    idle = trio.run(measure_idle, options.idle)
    report.tell(options, figures(found, even, idle), partial(draw, found=found))


if __name__ == "__main__":
    main()
