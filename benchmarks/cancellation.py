"""From a press of Stop to the closed socket: Triolet beside the least program that can be stopped, over TCP.

One clock is read twice: when the emulated person presses, just before the update can be polled, and when the read of
the model's server, or of the tool's, finds the connection closed. Where no connection was made yet the second time is
that at which the socket is gone from its program. The moments:

    connecting   the model's server answers no SYN          tokens   the model speaks, 20 tokens a second
    tls          it is silent in the handshake              flood    so it does, and the chat's drafts got a 429
    headers      it has read the request, and is silent     tool     a tool's HTTP request is not answered

The floor (`stoppable`) has the same libraries, emulator and servers, and nothing to do but to poll and to cancel.
Each of the two has an emulator, in this process, and servers in a process of their own (`silent_servers`). They take
turns; the model of whoever waits is hushed, so that 100 answers cost it a keep-alive now and then. Every answer is in
a chat of its own, all are in the same moment; the oldest is stopped, another begins in its place, and 10 to 40 ms
later the next one is stopped. The emulator limits nothing, but the bot keeps its budget; the floor sends two drafts.

The goal: a p99 of 10 ms over the floor's at most, and a maximum of three times the floor's.

    python benchmarks/cancellation.py [--only MOMENT] [--live 1 100] [--stops 20] [--json FILE] [--plot FILE]
    python benchmarks/cancellation.py --full     # every moment with 1 and with 100, 200 stops each: four minutes
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import random
import sys
import tempfile
import time
from collections import deque
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from subprocess import PIPE, CalledProcessError
from typing import TYPE_CHECKING, Final, Literal, TypeAlias, get_args

import attrs
import report
import trio
from report import Figure
from stoppable import PEOPLE, TOKEN, Addresses

from triolet.emulator import (
    EmulatedTelegram,
    Fault,
    Flood,
    Limits,
    ScreenDraft,
    TelegramServer,
    open_telegram_server,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Moment: TypeAlias = Literal["connecting", "tls", "headers", "tokens", "flood", "tool"]
Name: TypeAlias = Literal["floor", "triolet"]

HERE: Final = Path(__file__).parent
BLOCKS: Final = 5
"""Turns that each program has in a cell."""

UNCOUNTED: Final = 2
"""Stops at the beginning of each turn that do not count: connections, imports and caches are warm then."""

WARM: Final = 6.0
"""Seconds after which `triolet run` has imported what it warms up ahead of the first question."""

SETTLED: Final = 0.5
"""Seconds after which many answers have caught up on the silence of their model; and in which a bot that is done
makes no call."""

PATIENCE: Final = 30.0
GAP: Final = (0.01, 0.04)
"""Seconds from an answer's begin to the next stop: of even chance, for no phase of anything is to be favoured."""

OVER_FLOOR: Final = 10.0
"""Milliseconds."""
TIMES_FLOOR: Final = 3.0


@attrs.define(eq=False)
class Silence:
    """A process of `silent_servers`, and what it says."""

    process: trio.Process
    _said: bytes = b""

    async def line(self) -> str:
        assert self.process.stdout is not None  # noqa: S101  # a pipe
        while b"\n" not in self._said:
            more = await self.process.stdout.receive_some()
            if not more:
                raise RuntimeError("the silent servers have ended")
            self._said += more
        line, _, self._said = self._said.partition(b"\n")
        return line.decode()

    async def expect(self, word: str) -> list[str]:
        """What stands behind the word in the next line.

        Raises:
            RuntimeError: the next line is another one.
        """
        with trio.fail_after(PATIENCE):
            first, *rest = (await self.line()).split()
        if first != word:
            raise RuntimeError(f"the servers should say {word!r}, and say {first!r}")
        return rest

    async def tell(self, command: str) -> None:
        assert self.process.stdin is not None  # noqa: S101  # a pipe
        await self.process.stdin.send_all(f"{command}\n".encode())


@attrs.define(eq=False)
class Rig:
    """A program, its Telegram and its servers; ``live`` are the people whose answers are being written."""

    name: Name
    server: TelegramServer
    silence: Silence
    program: trio.Process
    people: Iterator[int] = attrs.field(factory=lambda: iter(PEOPLE))
    live: deque[int] = attrs.field(factory=deque)

    async def ask(self, moment: Moment) -> None:
        """Have one more answer in that moment, with a button on screen."""
        person, telegram = next(self.people), self.server.telegram
        telegram.add_private_chat(person)
        if moment == "flood":
            telegram.add_fault(Fault(action=Flood(3600), method="sendMessageDraft", chat_id=person, skip=1))
        seen = len(telegram.journal)
        self.server.say(person, moment)
        if moment == "connecting":
            await self.silence.tell(f"look {self.program.pid}")
        await self.silence.expect("reached")
        self.live.append(person)
        await self.wait_button(person)
        if moment == "flood":
            with trio.fail_after(PATIENCE):
                await self.server.wait_until(
                    lambda: any(each.peer == person and each.status == 429 for each in telegram.journal[seen:])
                )

    async def wait_button(self, person: int) -> None:
        """It goes for an instant when an answer outgrows its message."""
        with trio.fail_after(PATIENCE):
            await self.server.wait_until(lambda: _has_button(self.server.screen(person).draft))

    async def stop(self, moment: Moment) -> float:
        """Stop the oldest answer; returns the seconds until its socket was closed.

        Raises:
            RuntimeError: it was not the only one that was.
        """
        person = self.live.popleft()
        await self.wait_button(person)
        if moment == "connecting":
            await self.silence.tell("watch")
            await self.silence.expect("watching")
        pressed = time.monotonic()
        self.server.press_stop(person)
        closed, left = await self.silence.expect("closed")
        if int(left) != len(self.live):
            raise RuntimeError(f"{left} sockets are left of {len(self.live)} answers")
        return float(closed) - pressed

    async def end(self, moment: Moment) -> None:
        """Stop all answers, and wait until the program has nothing to send any more."""
        while self.live:
            await self.stop(moment)
        calls, journal = -1, self.server.telegram.journal
        while calls != len(journal):
            calls = len(journal)
            await trio.sleep(SETTLED)


def _has_button(draft: ScreenDraft | None) -> bool:
    return draft is not None and draft.stop_button


@attrs.frozen
class Figures:
    """Of all stops of a cell: seconds."""

    p50: float
    p99: float
    most: float

    @classmethod
    def of(cls, times: Iterable[float]) -> Figures:
        ordered = sorted(times)

        def rank(part: float) -> float:
            return ordered[math.ceil(part * len(ordered)) - 1]

        return cls(rank(0.5), rank(0.99), ordered[-1])


@attrs.frozen
class Cell:
    """A moment, with so many live answers: seconds from press to close."""

    moment: Moment
    live: int
    times: dict[Name, list[float]]

    def figures(self) -> tuple[Figures, Figures]:
        """The floor's, and Triolet's."""
        return Figures.of(self.times["floor"]), Figures.of(self.times["triolet"])

    def details(self) -> dict[str, object]:
        floor, ours = self.figures()
        return {"floor": attrs.asdict(floor), "triolet": attrs.asdict(ours)} | attrs.asdict(self)

    def figures_told(self) -> list[Figure]:
        """The p99 is told as what it is over the floor's; the maximum beside the floor's."""
        floor, ours = self.figures()
        name = f"{self.moment}, {self.live} live"
        return [
            Figure(f"{name}: stop to closed socket, p50", 1e3 * ours.p50, "ms", floor=1e3 * floor.p50),
            Figure(f"{name}: p99 over the floor's", 1e3 * (ours.p99 - floor.p99), "ms", goal=OVER_FLOOR, headline=True),
            Figure(f"{name}: at most", 1e3 * ours.most, "ms", floor=1e3 * floor.most, goal=TIMES_FLOOR),
        ]


def draw(cells: Sequence[Cell], axes: Axes) -> None:
    """Every stop of both programs, in a column for each cell."""
    for number, name in enumerate(get_args(Name)):
        dots = [
            (place + (number - 0.5) * 0.3, 1e3 * seconds)
            for place, cell in enumerate(cells)
            for seconds in cell.times[name]
        ]
        axes.plot(*zip(*dots, strict=True), ".", alpha=0.4, label=name)
    axes.set_xticks(range(len(cells)), [f"{cell.moment}\n{cell.live}" for cell in cells], fontsize="x-small")
    axes.set(ylabel="ms from the press to the closed socket", yscale="log", title="Stopping")
    axes.legend()


async def measure(rigs: Sequence[Rig], moment: Moment, live: int, stops: int) -> Cell:
    """The programs take turns, so that both meet the machine's good and bad minutes."""
    chance = random.Random(f"{moment} {live}")  # noqa: S311  # the same each time
    times: dict[Name, list[float]] = {rig.name: [] for rig in rigs}
    for turn in range(BLOCKS):
        count = stops * (turn + 1) // BLOCKS - stops * turn // BLOCKS
        for rig in rigs:
            await rig.silence.tell("speak")
            while len(rig.live) < live:
                await rig.ask(moment)
            if live > 1 and moment in {"tokens", "flood"}:
                await trio.sleep(SETTLED)
            for number in range(-UNCOUNTED, count):
                seconds = await rig.stop(moment)
                if number >= 0:
                    times[rig.name].append(seconds)
                await rig.ask(moment)
                await trio.sleep(chance.uniform(*GAP))
            await rig.silence.tell("hush")
    return Cell(moment, live, times)


@asynccontextmanager
async def open_rigs(moments: Sequence[Moment], folder: Path) -> AsyncIterator[list[Rig]]:
    """One of each name, for moments that need the same address of a model; both are warm."""
    door = moments[0] if moments[0] == "tls" else "full" if moments[0] == "connecting" else "model"
    scheme = "https" if door == "tls" else "http"
    async with trio.open_nursery() as nursery:
        rigs = []
        for name in get_args(Name):
            epoch = time.time() - trio.current_time()
            telegram = EmulatedTelegram(token=TOKEN, limits=Limits.none(), draft_life=math.inf, epoch=epoch)
            server = await nursery.start(_serve_telegram, telegram)
            silence = Silence(
                await nursery.start(_run, [str(HERE / "silent_servers.py")], folder / f"{name}-servers.log")
            )
            ports = json.loads(await silence.line())
            addresses = Addresses(
                api=await nursery.start(server.serve_tcp),
                model=f"{scheme}://127.0.0.1:{ports[door]}/v1",
                tool=f"http://127.0.0.1:{ports['tool']}/",
                database=str(folder / f"{name}-{door}.db"),
            )
            command = [str(HERE / "stoppable.py"), name, json.dumps(attrs.asdict(addresses))]
            program = await nursery.start(_run, command, folder / f"{name}-{door}.log")
            rigs.append(Rig(name, server, silence, program))
        await trio.sleep(WARM)
        yield rigs
        nursery.cancel_scope.cancel()


async def _serve_telegram(telegram: EmulatedTelegram, task_status: trio.TaskStatus[TelegramServer]) -> None:
    async with open_telegram_server(telegram) as server:
        task_status.started(server)
        await trio.sleep_forever()


async def _run(
    arguments: Sequence[str], log: Path, task_status: trio.TaskStatus[trio.Process] = trio.TASK_STATUS_IGNORED
) -> None:
    """A Python program, until the caller cancels.

    Raises:
        CalledProcessError: it has ended; what it logged last is its note.
    """
    with log.open("wb") as errors:
        run = partial(trio.run_process, stdin=PIPE, stdout=PIPE, stderr=errors, deliver_cancel=_kill)
        try:
            await run([sys.executable, *arguments], task_status=task_status)
        except CalledProcessError as error:
            error.add_note(log.read_text(encoding="utf-8")[-2000:])  # noqa: ASYNC240  # there is nothing left to hold up
            raise


async def _kill(process: trio.Process) -> None:
    process.kill()


def groups(moments: Iterable[Moment]) -> list[list[Moment]]:
    """The moments, by the address that they need."""
    parted = itertools.groupby(moments, key=lambda moment: moment if moment in {"connecting", "tls"} else "")
    return [list(group) for _, group in parted]


async def measure_all(plan: Mapping[Moment, Sequence[int]], stops: int) -> list[Cell]:
    """Every cell: a moment, with each number of live answers. It is told by a dot as soon as it is known."""
    cells = []
    with tempfile.TemporaryDirectory() as folder:
        for group in groups(plan):
            async with open_rigs(group, Path(folder)) as rigs:
                for moment in group:
                    for live in plan[moment]:
                        cells.append(await measure(rigs, moment, live, stops))
                        print(".", end="", file=sys.stderr, flush=True)
                    for rig in rigs:
                        await rig.silence.tell("speak")
                        await rig.end(moment)
    print(file=sys.stderr)
    return cells


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=get_args(Moment))
    parser.add_argument("--live", type=int, nargs="+", help="how many answers; default: 1, and 100 between tokens")
    parser.add_argument("--stops", type=int, help="default: 20; the p99 of so few is their maximum")
    parser.add_argument("--full", action="store_true", help="as --live 1 100 --stops 200")
    report.add_options(parser)
    given = parser.parse_args()
    live, stops = given.live or ([1, 100] if given.full else None), given.stops or (200 if given.full else 20)
    moments: Sequence[Moment] = [given.only] if given.only else get_args(Moment)
    plan = {each: sorted(live or ([1, 100] if each == "tokens" else [1])) for each in moments}
    cells = trio.run(measure_all, plan, stops)
    told = [figure for cell in cells for figure in cell.figures_told()]
    report.tell(given, told, lambda axes: draw(cells, axes), {"cells": [cell.details() for cell in cells]})


if __name__ == "__main__":
    main()
