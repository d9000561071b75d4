"""What it takes that nothing is lost: the start with all that was left, and the writes of an answer.

    start      from the process's beginning to its first getUpdates, beside ``python -c "import trio, httpx"``,
               turn and turn about; with an empty database, and with `LEFT` questions that wait in it
    writes     commits, bytes and time of the store for one answer: a short one, and one of a thousand tokens

The processes are `triolet run` with the scripted model and an emulator in this process, over TCP. Commits and bytes
are read from SQLite's write-ahead log (https://www.sqlite.org/fileformat2.html#walformat): a frame that ends a
transaction says so. The time is that of the store's jobs, in their thread.

The goals: a start in 2.5 times the bare imports, and `LEFT` questions taken up within five seconds.

    python benchmarks/restart.py [--starts 9] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeVar

import attrs
import trio

from triolet.app.bot import serve_bot
from triolet.config import AccessSettings, ModelSettings, Secret, Settings, StoreSettings, TelegramSettings
from triolet.emulator import EmulatedTelegram, Limits, TelegramServer, open_telegram_server
from triolet.providers.scripted import Pause, Say, ScriptedProvider, constant
from triolet.store import ThreadExecutor, open_store

T = TypeVar("T")

TOKEN: Final = "42:bench"  # the emulator's
PEOPLE: Final = range(1001, 1201)
LEFT: Final = 1000
PACE: Final = 100.0
"""Tokens a second."""

ANSWERS: Final = {"short, 20 tokens": (20, 10), "1,000 tokens in 10 s": (1000, 2)}
"""Tokens of an answer, and how often it is asked for."""

IMPORTS: Final = 2.5
SECONDS_FOR_LEFT: Final = 5.0


# The start


def environment(base: str, database: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("TRIOLET_")}
    ours = {
        "TELEGRAM_TOKEN": TOKEN,
        "TELEGRAM_API_BASE": base,
        "ACCESS_ALLOW": json.dumps([*PEOPLE]),
        "MODEL_PROVIDER": "scripted",
        "STORE_PATH": str(database),
    }
    return kept | {f"TRIOLET_{name}": value for name, value in ours.items()}


def polls(telegram: EmulatedTelegram) -> int:
    return len(telegram.calls("getUpdates"))


async def time_start(server: TelegramServer, base: str, database: Path) -> float:
    """Seconds from the process's beginning to its first poll."""
    before = polls(server.telegram)
    command = [sys.executable, "-m", "triolet", "run"]
    env, folder = environment(base, database), database.parent
    quiet = subprocess.DEVNULL
    began = time.perf_counter()
    process = await trio.lowlevel.open_process(command, env=env, cwd=folder, stdout=quiet, stderr=quiet)
    with trio.fail_after(60):
        await server.wait_until(lambda: polls(server.telegram) > before)
    seconds = time.perf_counter() - began
    process.kill()
    await process.wait()
    return seconds


async def time_imports() -> float:
    began = time.perf_counter()
    await trio.run_process([sys.executable, "-c", "import trio, httpx"])
    return time.perf_counter() - began


def question(number: int) -> dict[str, Any]:
    person = PEOPLE[number % len(PEOPLE)]
    who, chat = {"id": person, "is_bot": False}, {"id": person, "type": "private"}
    message = {"message_id": number + 1, "date": int(time.time()), "chat": chat, "from": who, "text": "Hello"}
    return {"update_id": number + 1, "message": message}


async def leave_questions(database: Path) -> None:
    async with open_store(database, executor=ThreadExecutor()) as store:
        await store.receive([question(number) for number in range(LEFT)])


async def measure_starts(server: TelegramServer, base: str, folder: Path, starts: int) -> dict[str, float]:
    times: dict[str, list[float]] = {"imports": [], "start": [], "start with questions": []}
    for number in range(starts + 1):  # the first one fills the caches of files
        left = folder / f"left{number}.db"
        await leave_questions(left)
        once = [
            await time_imports(),
            await time_start(server, base, folder / f"empty{number}.db"),
            await time_start(server, base, left),
        ]
        if number:
            for name, seconds in zip(times, once, strict=True):
                times[name].append(seconds)
    medians = {name: statistics.median(each) for name, each in times.items()}
    ratios = [start / bare for start, bare in zip(times["start"], times["imports"], strict=True)]
    return medians | {"ratio": statistics.median(ratios)}


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


def open_emulator() -> EmulatedTelegram:
    telegram = EmulatedTelegram(token=TOKEN, limits=Limits.none(), epoch=int(time.time() - trio.current_time()))
    for person in PEOPLE:
        telegram.add_private_chat(person)
    return telegram


# All of it


@asynccontextmanager
async def open_town() -> AsyncIterator[tuple[TelegramServer, str]]:
    async with open_telegram_server(open_emulator()) as server, trio.open_nursery() as nursery:
        yield server, await nursery.start(server.serve_tcp)
        nursery.cancel_scope.cancel()


async def measure(starts: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        async with open_town() as (server, base):
            begun = await measure_starts(server, base, folder, starts)
        writes = {name: await measure_writes(*each, folder) for name, each in ANSWERS.items()}
    return {"start": begun, "writes": writes}


def table(found: dict[str, Any]) -> list[str]:
    start, writes = found["start"], found["writes"]
    met = {True: "met", False: "missed"}
    ratio = f"{start['ratio']:.2f} times the imports ({met[start['ratio'] <= IMPORTS]}: {IMPORTS})"
    recovery = f"({met[start['start with questions'] <= SECONDS_FOR_LEFT]}: {SECONDS_FOR_LEFT:g} s)"
    lines = [
        f"bare imports                      {start['imports']:7.3f} s",
        f"start to first getUpdates         {start['start']:7.3f} s   {ratio}",
        f"the same with {LEFT} questions     {start['start with questions']:7.3f} s   {recovery}",
    ]
    for name, each in writes.items():
        lines.append(
            f"answer: {name:24}  {each['commits']:5.1f} commits  {each['bytes'] / 1024:7.1f} KiB  "
            f"{each['seconds'] * 1000:6.1f} ms"
        )
    return lines


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--starts", type=int, default=9, help="how often each program is started")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    given = parser.parse_args(arguments)
    found = trio.run(measure, given.starts)
    print("\n".join(table(found)))
    if given.json:
        given.json.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
