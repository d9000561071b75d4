"""How many conversations one process carries, and what a streamed token costs it.

`carrier` is the bot, pinned to one core where there are several; the emulator in this process, with Telegram's
documented limits, and the model's server (`chatter`) have the other one. Each person asks for an answer of up to
`LONGEST` seconds at 50 tokens a second, and asks again when it stands, so that answers begin and end all the time.
When as many speak as are wanted, a window of `--window` seconds is measured:

    cpu        of all of the process, its store's thread included: share of a core, and for each token
    late       how much later than wanted a task of the bot's loop wakes, that sleeps for 10 ms again and again
    lag        the age of the newest word on screen, at any moment of the window
    gap        from one call that shows text to the next one of the same answer
    end        from the last word to the call that makes it stand

A number of streams is carried if the loop is late by less than `LATE` (p99), and hardly a gap is longer than `GAP`.

    python benchmarks/throughput.py [--streams 1 50 100 200 400] [--window 15] [--json FILE] [--plot FILE]
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from subprocess import PIPE
from typing import Any, Final

import attrs
import report
import trio
from carrier import FIRST_PERSON, TOKEN, Carried, Second
from chatter import DONE, TICK, age

from triolet.emulator import EmulatedTelegram, Limits, TelegramServer, open_telegram_server

HERE: Final = Path(__file__).parent
LONGEST: Final = 40.0
"""Seconds of an answer."""

RAMP: Final = 50.0
"""How many people begin in a second: the bot itself may send no more than 30 messages in one, and answers end."""

SETTLE: Final = 6.0
"""Seconds after which all have begun, until the window opens: young answers are shown more densely."""

LATE: Final = 0.05
GAP: Final = 1.1
"""Seconds: drafts are one a second apart at most, and a frame may wait 40 ms for its last word."""

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

    def begin(self, person: Person, dice: random.Random) -> None:
        """The first answer is as if it had begun before."""
        self.people[person.id] = person
        self._ask(person, dice.uniform(SETTLE, LONGEST))

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

    @property
    def is_carried(self) -> bool:
        return quantile(self.late, 0.99) < LATE and quantile(self.gaps, 0.99) < GAP and not self.refused


def quantile(values: Sequence[float], share: float) -> float:
    """The least of them that so large a share of them does not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0


async def measure(streams: int, window: float, dice: random.Random) -> Measured:
    async with open_town(streams) as town, trio.open_nursery() as nursery:
        nursery.start_soon(town.listen)
        await trio.sleep(5)  # until the bot has loaded all that it loads when nobody asks
        nursery.start_soon(town.talk, dice)
        for number in range(streams):
            town.begin(Person(FIRST_PERSON + number), dice)
            await trio.sleep(1 / RAMP)
        await trio.sleep(SETTLE)
        began = len(town.seconds) - 1
        await trio.sleep(window)
        ended = len(town.seconds) - 1
        measured = judge(town, streams, town.seconds[began : ended + 1])
        nursery.cancel_scope.cancel()
    return measured


def judge(town: Town, streams: int, seconds: Sequence[Second]) -> Measured:
    first, last = seconds[0], seconds[-1]
    span = last.at - first.at
    shown = [*town.answers, *(person.seen for person in town.people.values())]
    lags, gaps, ends = list[float](), list[float](), list[float]()
    spoken = 0.0
    for answer in shown:
        for (before, text), (now, newer) in zip(answer, answer[1:], strict=False):
            if not first.at <= now < last.at:
                continue
            gaps.append(now - before)
            old = age(text, before) or 0.0
            lags += (old + (now - before) * share / 5 for share in range(5))
            spoken += (now - (age(newer, now) or 0.0) - before + old) / TICK
            if newer.endswith(DONE):
                ends.append(age(newer, now) or 0.0)
    calls = town.server.telegram.journal
    return Measured(
        streams=streams,
        spoken=spoken / span,
        cpu=(last.cpu - first.cpu) / span,
        resident=last.resident,
        late=[late for each in seconds[1:] for late in each.late],
        lags=lags,
        gaps=gaps,
        ends=ends,
        refused=sum(call.status == 429 for call in calls),
    )


@asynccontextmanager
async def open_town(people: int) -> AsyncIterator[Town]:
    cores = sorted(os.sched_getaffinity(0))
    telegram = EmulatedTelegram(token=TOKEN, limits=Limits(), epoch=time.time() - trio.current_time())
    for number in range(people):
        telegram.add_private_chat(FIRST_PERSON + number)
    with tempfile.TemporaryDirectory() as folder:
        async with open_telegram_server(telegram) as server, trio.open_nursery() as nursery:
            api = await nursery.start(server.serve_tcp)
            program = partial(trio.lowlevel.open_process, stdin=PIPE, stdout=PIPE)
            chatter = await program([sys.executable, str(HERE / "chatter.py")])
            port = (await chatter.stdout.receive_some()).decode().strip()
            database = str(Path(folder, "triolet.db"))
            core = cores[0] if len(cores) > 1 else None
            carried = Carried(api, f"http://127.0.0.1:{port}/v1", database, people, core)
            with (Path(folder) / "log").open("wb") as log:
                command = [sys.executable, str(HERE / "carrier.py"), json.dumps(attrs.asdict(carried))]
                carrier = await program(command, stderr=log)
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
            print(Path(folder, "log").read_text()[-2000:], file=sys.stderr) if os.environ.get("BENCH_LOG") else None


def row(each: Measured) -> str:
    ms = [f"{quantile(each.late, share) * 1e3:7.1f}" for share in (0.5, 0.99, 1)]
    seconds = [f"{quantile(values, share):6.2f}" for values in (each.lags, each.gaps) for share in (0.5, 0.95, 1)]
    return " ".join(
        [f"{each.streams:7}", f"{each.cpu:6.1%}", f"{each.spoken:8.0f}", f"{each.per_token * 1e6:7.1f}", *ms, *seconds]
        + [f"{quantile(each.ends, 0.99):6.2f}", f"{each.refused:4}", f"{each.resident / 2**20:6.0f}"]
    )


HEAD: Final = (
    f"{'streams':>7} {'cpu':>6} {'tokens/s':>8} {'us/token':>7} {'late ms: p50, p99, max':>23} "
    f"{'lag s: p50, p95, max':>20} {'gap s: p50, p95, max':>20} {'end p99':>6} {'429':>4} {'MiB':>6}"
)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--streams", type=int, nargs="+", default=[1, 50, 100, 200, 400])
    parser.add_argument("--window", type=float, default=15.0, help="seconds that are measured")
    report.add_options(parser)
    options = parser.parse_args(arguments)
    print(HEAD)
    found = []
    for streams in options.streams:
        found.append(trio.run(measure, streams, options.window, random.Random(streams)))
        print(row(found[-1]), flush=True)


if __name__ == "__main__":
    main()
