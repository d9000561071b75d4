"""What it takes that nothing is lost: the start with all that was left, and the writes of an answer.

    start      from the process's beginning to its first getUpdates, with `LEFT` questions that wait in its database,
               and with none, turn and turn about; `startup` has a start beside the bare imports
    writes     commits, bytes and time of the store for one answer: a short one, and one of a thousand tokens

The processes are `triolet run` with the scripted model and an emulator in this process, over TCP. Commits and bytes
are read from SQLite's write-ahead log (https://www.sqlite.org/fileformat2.html#walformat): a frame that ends a
transaction says so. The time is that of the store's jobs, in their thread.

The goal: `LEFT` questions are taken up within five seconds.

    python benchmarks/restart.py [--starts 5] [--json FILE] [--plot FILE]
"""

from __future__ import annotations

import argparse
import statistics
import struct
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import attrs
import report
import trio
from report import Figure
from startup import PEOPLE, TOKEN, open_emulator, open_town

from triolet.app.bot import serve_bot
from triolet.config import AccessSettings, ModelSettings, Secret, Settings, StoreSettings, TelegramSettings
from triolet.emulator import TelegramServer, open_telegram_server
from triolet.observe.log import configure
from triolet.providers.scripted import Pause, Say, ScriptedProvider, constant
from triolet.store import ThreadExecutor, open_store

if TYPE_CHECKING:
    from matplotlib.axes import Axes

T = TypeVar("T")

LEFT: Final = 1000
PACE: Final = 100.0
"""Tokens a second."""

ANSWERS: Final = {"short, 20 tokens": (20, 10), "1,000 tokens in 10 s": (1000, 1)}
"""Tokens of an answer, and how often it is asked for."""

SECONDS_FOR_LEFT: Final = 5.0


# The start


def question(number: int) -> dict[str, Any]:
    person = PEOPLE[number % len(PEOPLE)]
    who, chat = {"id": person, "is_bot": False}, {"id": person, "type": "private"}
    message = {"message_id": number + 1, "date": int(time.time()), "chat": chat, "from": who, "text": "Hello"}
    return {"update_id": number + 1, "message": message}


async def leave_questions(database: Path) -> None:
    async with open_store(database, executor=ThreadExecutor()) as store:
        await store.receive([question(number) for number in range(LEFT)])


async def measure_starts(folder: Path, starts: int) -> dict[str, list[float]]:
    """Seconds of the starts without and with the questions."""
    times: dict[str, list[float]] = {"empty": [], "left": []}
    async with open_town() as town:
        for number in range(starts + 1):  # the first one fills the caches of files
            left = folder / f"left{number}.db"
            await leave_questions(left)
            once = await town.time_start(folder / f"empty{number}.db"), await town.time_start(left)
            if number:
                times["empty"].append(once[0])
                times["left"].append(once[1])
    return times


# The writes


@attrs.define(eq=False)
class Timed:
    """The store's executor, and how long its jobs took."""

    executor: ThreadExecutor = attrs.Factory(ThreadExecutor)
    seconds: float = 0.0

    async def __call__(self, job: Callable[[], T], /) -> T:
        def timed() -> T:
            began = time.perf_counter()
            try:
                return job()
            finally:
                self.seconds += time.perf_counter() - began

        return await self.executor(timed)


def log_of(database: Path) -> tuple[int, int]:
    """Commits and bytes in the write-ahead log, as far as its newest salt goes."""
    data = database.with_name(f"{database.name}-wal").read_bytes()
    page, salt = struct.unpack(">8xI4x8s8x", data[:32])
    size, commits, place = page + 24, 0, 32
    while place + size <= len(data) and data[place + 8 : place + 16] == salt:
        commits += struct.unpack(">4xI", data[place : place + 8])[0] != 0
        place += size
    return commits, place


async def measure_writes(tokens: int, times: int, folder: Path) -> dict[str, float]:
    database = folder / f"writes{tokens}.db"
    telegram, executor = open_emulator(), Timed()
    steps = [step for _ in range(tokens) for step in (Say.text("so "), Pause(1 / PACE))]
    async with open_telegram_server(telegram) as server, trio.open_nursery() as nursery:
        base = await nursery.start(server.serve_tcp)
        settings = Settings(
            telegram=TelegramSettings(token=Secret(TOKEN), api_base=base),
            access=AccessSettings(allow=(PEOPLE[0],)),
            model=ModelSettings(provider="scripted"),
            store=StoreSettings(path=database),
        )
        shutdown = trio.Event()
        serve = partial(serve_bot, executor=executor, shutdown=shutdown)
        await nursery.start(serve, settings, [ScriptedProvider(constant(*steps))])
        await answer(server, 1)  # what is opened and imported once does not count
        (commits, size), seconds = log_of(database), executor.seconds
        for number in range(times):
            await answer(server, number + 2)
        after = log_of(database)
        nursery.cancel_scope.cancel()
    return {
        "commits": (after[0] - commits) / times,
        "bytes": (after[1] - size) / times,
        "seconds": (executor.seconds - seconds) / times,
    }


async def answer(server: TelegramServer, number: int) -> None:
    """Ask, and wait until the answer stands and everything about it is written."""
    before = len(server.telegram.calls("sendMessage"))
    server.say(PEOPLE[0], f"question {number}")
    with trio.fail_after(60):
        await server.wait_until(
            lambda: len(server.telegram.calls("sendMessage")) > before and server.screen(PEOPLE[0]).draft is None
        )
    await trio.sleep(1.2)


# All of it


async def measure(starts: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        begun = await measure_starts(folder, starts)
        writes = {name: await measure_writes(*each, folder) for name, each in ANSWERS.items()}
    return {"start": begun, "writes": writes}


def figures(found: Mapping[str, Any]) -> list[Figure]:
    empty, left = (statistics.median(found["start"][name]) for name in ("empty", "left"))
    named = f"start with {LEFT:,} questions left"
    return [
        Figure(named, left, "s", goal=SECONDS_FOR_LEFT, headline=True),
        Figure(f"{named}, beside none", left, "s", floor=empty),
        *(figure for name, each in found["writes"].items() for figure in writes_figures(name, each)),
    ]


def writes_figures(name: str, each: Mapping[str, float]) -> list[Figure]:
    return [
        Figure(f"{name}: commits", each["commits"], ""),
        Figure(f"{name}: written", each["bytes"] / 1024, "KiB"),
        Figure(f"{name}: the store's time", each["seconds"] * 1e3, "ms"),
    ]


def draw(found: Mapping[str, Any], axes: Axes) -> None:
    """Each start with questions and each without, in turn."""
    for name, label in (("left", f"with {LEFT:,} questions left"), ("empty", "with none")):
        axes.plot(range(1, len(found["start"][name]) + 1), found["start"][name], marker="o", label=label)
    axes.set(xlabel="turn", ylabel="seconds", ylim=(0, None), title="Start to first getUpdates")
    axes.legend()


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--starts", type=int, default=5, help="how often each program is started")
    report.add_options(parser)
    given = parser.parse_args(arguments)
    configure(level="warning")
    found = trio.run(measure, given.starts)
    report.tell(given, figures(found), lambda axes: draw(found, axes), found)


if __name__ == "__main__":
    main()
