"""How soon the bot polls, and how much memory it takes when it has nothing to do: `triolet run`, as a process.

    start      from the process's beginning to its first getUpdates, beside ``python -c "import trio, httpx"``, turn
               and turn about, with an empty database
    memory     resident, when all that is loaded ahead of the first question is there; `VmHWM` is the most there was

Telegram is an emulator in this process, over TCP. The model's server is never asked: it has an address, and listens.
Goals: a start in 2.5 times the bare imports; 90 MB for Chat Completions, 110 MB for Messages.

    python benchmarks/startup.py [--starts 9] [--json FILE] [--plot FILE]
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import attrs
import report
import trio
from report import Figure

from triolet.emulator import EmulatedTelegram, Limits, TelegramServer, open_telegram_server

if TYPE_CHECKING:
    from matplotlib.axes import Axes

TOKEN: Final = "42:bench"  # the emulator's
PEOPLE: Final = range(1001, 1201)
IMPORTS: Final = "import trio, httpx"
TIMES_IMPORTS: Final = 2.5
MEGABYTES: Final = {"openai-chat": 90.0, "anthropic": 110.0}
"""What an idle bot may take, by its provider."""

IDLE: Final = 8.0
"""Seconds after the first poll when all that is loaded ahead is there: it is, after three."""


def open_emulator() -> EmulatedTelegram:
    """It limits nothing, and has the people with all their private chats."""
    telegram = EmulatedTelegram(token=TOKEN, limits=Limits.none(), epoch=int(time.time() - trio.current_time()))
    for person in PEOPLE:
        telegram.add_private_chat(person)
    return telegram


@asynccontextmanager
async def open_town() -> AsyncIterator[Town]:
    async with open_telegram_server(open_emulator()) as server, trio.open_nursery() as nursery:
        yield Town(server, await nursery.start(server.serve_tcp))
        nursery.cancel_scope.cancel()


@attrs.frozen
class Town:
    """An emulator, and where it listens."""

    server: TelegramServer
    base: str

    @asynccontextmanager
    async def open_bot(self, database: Path, **settings: str) -> AsyncIterator[Started]:
        """`triolet run`, when it has polled for the first time; it is killed afterwards."""
        before = self._polls()
        env = environment(self.base, database, settings)
        command, quiet = [sys.executable, "-m", "triolet", "run"], subprocess.DEVNULL
        began = time.perf_counter()
        process = await trio.lowlevel.open_process(command, env=env, cwd=database.parent, stdout=quiet, stderr=quiet)
        try:
            with trio.fail_after(60):
                await self.server.wait_until(lambda: self._polls() > before)
            yield Started(process.pid, time.perf_counter() - began)
        finally:
            process.kill()
            with trio.CancelScope(shield=True):
                await process.wait()

    def _polls(self) -> int:
        return len(self.server.telegram.calls("getUpdates"))

    async def time_start(self, database: Path, **settings: str) -> float:
        """Seconds from the process's beginning to its first poll."""
        async with self.open_bot(database, **settings) as started:
            return started.seconds


@attrs.frozen
class Started:
    """A process that polls, and the seconds until it did."""

    pid: int
    seconds: float

    def memory(self) -> Memory:
        fields = dict(line.split(":", 1) for line in Path(f"/proc/{self.pid}/status").read_text().splitlines())
        resident, most = (int(fields[name].split()[0]) * 1024 / 1e6 for name in ("VmRSS", "VmHWM"))
        return Memory(resident, most)


@attrs.frozen
class Memory:
    """Megabytes: now, and at most."""

    resident: float
    most: float


def environment(base: str, database: Path, settings: Mapping[str, str]) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("TRIOLET_")}
    ours = {
        "TELEGRAM_TOKEN": TOKEN,
        "TELEGRAM_API_BASE": base,
        "ACCESS_ALLOW": json.dumps([*PEOPLE]),
        "MODEL_PROVIDER": "scripted",
        "STORE_PATH": str(database),
    }
    return kept | {f"TRIOLET_{name}": value for name, value in {**ours, **settings}.items()}


async def time_imports() -> float:
    began = time.perf_counter()
    await trio.run_process([sys.executable, "-c", IMPORTS])
    return time.perf_counter() - began


async def measure_starts(town: Town, databases: Iterator[Path], starts: int) -> tuple[list[float], list[float]]:
    """Seconds of the bare imports, and of the starts beside them."""
    imports, begun = list[float](), list[float]()
    for number in range(starts + 1):  # the first one fills the caches of files
        once = await time_imports(), await town.time_start(next(databases))
        if number:
            imports.append(once[0])
            begun.append(once[1])
    return imports, begun


async def measure_memory(databases: Iterator[Path], starts: int) -> dict[str, list[Memory]]:
    """That of idle bots, by their provider; those of one turn are idle together, each on a Telegram of its own."""
    found: dict[str, list[Memory]] = {provider: [] for provider in MEGABYTES}
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    model = f"http://127.0.0.1:{listeners[0].socket.getsockname()[1]}/v1"

    async def measure_one(provider: str, database: Path) -> None:
        named = {"MODEL_PROVIDER": provider, "MODEL_NAME": "bench", "MODEL_BASE_URL": model, "MODEL_API_KEY": "bench"}
        async with open_town() as town, town.open_bot(database, **named) as started:
            await trio.sleep(IDLE)
            found[provider].append(started.memory())

    for _ in range(starts):
        async with trio.open_nursery() as nursery:
            for provider in found:
                nursery.start_soon(measure_one, provider, next(databases))
    for listener in listeners:
        await listener.aclose()
    return found


async def measure(starts: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as name:
        databases = (Path(name) / f"{number}.db" for number in range(1_000_000))
        async with open_town() as town:
            imports, begun = await measure_starts(town, databases, starts)
        memory = await measure_memory(databases, max(1, starts // 5))
    return {"imports": imports, "starts": begun, "memory": memory}


def figures(found: Mapping[str, Any]) -> list[Figure]:
    start, imports = statistics.median(found["starts"]), statistics.median(found["imports"])
    memory: Mapping[str, Sequence[Memory]] = found["memory"]
    return [
        Figure("start to first getUpdates", start, "s", floor=imports, goal=TIMES_IMPORTS, headline=True),
        *(figure for provider, each in memory.items() for figure in memory_figures(provider, each)),
    ]


def memory_figures(provider: str, measured: Iterable[Memory]) -> list[Figure]:
    """A median is what nearly every process has: they differ by tenths."""
    measured = list(measured)
    resident, most = (statistics.median(getattr(each, name) for each in measured) for name in ("resident", "most"))
    goal = MEGABYTES[provider]
    return [
        Figure(f"memory, idle, {provider}", resident, "MB", goal=goal, headline=True),
        Figure(f"memory at most, idle, {provider}", most, "MB"),
    ]


def draw(found: Mapping[str, Any], axes: Axes) -> None:
    """Each start and each bare import, in turn."""
    for name, label in (("starts", "triolet run, to its first getUpdates"), ("imports", f'python -c "{IMPORTS}"')):
        axes.plot(range(1, len(found[name]) + 1), found[name], marker="o", label=label)
    axes.set(xlabel="turn", ylabel="seconds", ylim=(0, None), title="Start")
    axes.legend()


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--starts", type=int, default=9, help="how often each program is started")
    report.add_options(parser)
    given = parser.parse_args(arguments)
    found = trio.run(measure, given.starts)
    memory = {provider: [attrs.asdict(each) for each in measured] for provider, measured in found["memory"].items()}
    report.tell(given, figures(found), lambda axes: draw(found, axes), found | {"memory": memory})


if __name__ == "__main__":
    main()
