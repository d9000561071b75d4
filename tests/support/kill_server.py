"""Serves bots that die: a program that has imported everything, and forks a process for each bot that it is asked for.

Orders come in as JSON lines, reports go out the same way: one when a process lives, one when it is over. The process
is the bot as a service (its signals, its database on the disk, its sockets), with nothing changed in it: it counts the
boundaries of its input and output from outside, and gives itself a signal at the one that the order names.

A boundary lies before and after each job that the store gives its executor, each connection, each write to one, and
behind each read that brought something. Time runs `Order.rate` times as fast, so that a back-off costs little.

No event loop may ever run in the program itself: a fork would take it along.
"""

from __future__ import annotations

import gc
import json
import mmap
import os
import signal
import struct
import sys
import threading
import time
import traceback
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Final, NoReturn, TypeVar

import attrs
import trio
from kill_scenarios import OUTPUT, SCENARIOS, Scenario, open_tools, script, settings_of
from trio.testing import MockClock

from triolet.app import service
from triolet.app.bot import serve_bot
from triolet.net.network import connect_tcp
from triolet.observe import log
from triolet.providers.scripted import ScriptedProvider
from triolet.store import ThreadExecutor

T = TypeVar("T")

LONGEST_LIFE: Final = 60
"""Seconds after which a bot is ended that nobody has ended: the test may be gone."""


@attrs.frozen
class Order:
    """A bot: what it plays, where its files are, its Bot API, and at which boundary it gets which signal."""

    number: int
    scenario: str
    folder: str
    api_base: str
    strike_at: int | None
    strike: int
    rate: float


class Tally:
    """What is known of a process after its death: boundaries passed, when it was struck, and where it was last."""

    _FORM = struct.Struct("<Id96p")

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, self._FORM.size)

    def write(self, passed: int, struck: float, place: str) -> None:
        self._FORM.pack_into(self._memory, 0, passed, struck, place.encode()[:95])

    def read(self) -> tuple[int, float, str]:
        passed, struck, place = self._FORM.unpack_from(self._memory)
        return passed, struck, place.decode(errors="replace")


class Boundaries:
    """Counts them, in whatever thread they are passed, and strikes at one of them."""

    def __init__(self, order: Order, tally: Tally) -> None:
        self._order = order
        self._tally = tally
        self._lock = threading.Lock()
        self._passed = 0
        self._struck = (0.0, "")

    def cross(self, place: str) -> None:
        with self._lock:
            self._passed += 1
            if self._passed == self._order.strike_at:
                self._struck = time.monotonic(), place
            self._tally.write(self._passed, *self._struck)
            if self._passed == self._order.strike_at:
                os.kill(os.getpid(), self._order.strike)


class CountedStream(trio.abc.Stream):
    """A connection whose every write and read is a boundary.

    `net.network` cannot ask it whether the server has left; this one leaves nobody alone.
    """

    def __init__(self, stream: trio.abc.Stream, boundaries: Boundaries) -> None:
        self._stream = stream
        self._boundaries = boundaries
        self._method = ""

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        line = bytes(data[:200]).partition(b" HTTP/")[0]
        self._method = line.rpartition(b"/")[2].decode()
        self._boundaries.cross(f"before {self._method}")
        await self._stream.send_all(data)
        self._boundaries.cross(f"behind {self._method}")

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        data = await self._stream.receive_some(max_bytes)
        if data:
            self._boundaries.cross(f"behind the answer to {self._method}")
        return data

    async def wait_send_all_might_not_block(self) -> None:
        await self._stream.wait_send_all_might_not_block()

    async def aclose(self) -> None:
        await self._stream.aclose()


@attrs.frozen
class CountedExecutor:
    """The store's own, whose every job has a boundary on each side, within its thread."""

    boundaries: Boundaries
    inner: ThreadExecutor = attrs.Factory(ThreadExecutor)

    async def __call__(self, job: Callable[[], T], /) -> T:
        def counted() -> T:
            self.boundaries.cross("before a job")
            try:
                return job()
            finally:
                self.boundaries.cross("behind a job")

        return await self.inner(counted)


async def serve(order: Order, scenario: Scenario, boundaries: Boundaries) -> None:
    """As `app.service.run_service` does it."""

    async def connect(host: str, port: int) -> trio.abc.Stream:
        boundaries.cross("before a connection")
        stream = await connect_tcp(host, port)
        boundaries.cross("behind a connection")
        return CountedStream(stream, boundaries)

    folder, shutdown, hurry = Path(order.folder), trio.Event(), trio.Event()
    bot = partial(
        serve_bot,
        settings_of(scenario, folder, order.api_base),
        [ScriptedProvider(script)],
        executor=CountedExecutor(boundaries),
        connect=connect,
        tools=open_tools(folder),
        shutdown=shutdown,
        hurry=hurry,
    )
    async with trio.open_nursery() as nursery:
        signals = await nursery.start(service._obey_signals, shutdown, hurry, nursery.cancel_scope)
        await nursery.start(service._serve, bot, nursery.cancel_scope)
        signals.in_order = True


def live(order: Order, tally: Tally) -> NoReturn:
    """Be the bot, in this process, to its end."""
    signal.alarm(LONGEST_LIFE)
    code = 1
    try:
        output = os.open(Path(order.folder, OUTPUT), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.dup2(output, 1)
        os.dup2(output, 2)
        log.configure(secrets=[], level="info")
        boundaries = Boundaries(order, tally)
        trio.run(serve, order, SCENARIOS[order.scenario], boundaries, clock=MockClock(rate=order.rate))
        code = 0
    except BaseException:  # noqa: BLE001  # a fork may not run on into what its parent would do
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)


def watch(order: Order) -> NoReturn:
    """Be the process that waits for the bot's, and reports."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    tally = Tally()
    pid = os.fork()
    if pid == 0:
        live(order, tally)
    report(order, pid=pid)
    _, status = os.waitpid(pid, 0)
    passed, struck, place = tally.read()
    code = os.waitstatus_to_exitcode(status)
    report(order, exit=code, passed=passed, place=place, struck=struck, over=time.monotonic())
    os._exit(0)


def report(order: Order, **facts: Any) -> None:
    os.write(1, json.dumps({"number": order.number, **facts}).encode() + b"\n")


def main() -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # who watches is not waited for
    gc.collect()
    gc.freeze()
    for line in sys.stdin:
        order = Order(**json.loads(line))
        if os.fork() == 0:
            watch(order)


if __name__ == "__main__":
    main()
