"""An MCP server as a child process: lines of JSON over its pipes, with bounds, and an end that waits for nobody.

The SDK has such a transport, but one that reads a line of any length, and that shields its closing for up to four
seconds in the task that uses it. Rules of this one:

1. A message longer than `LONGEST_MESSAGE` ends the connection before it fills the memory.
2. Sending never waits: what a cancelled turn still has to say (that its call is cancelled) is queued at once. A server
   that does not read for `WRITE_SECONDS` is lost, so the queue cannot grow for longer than that.
3. A flood stops the server and not the bot: reading rests longer than it works, and standard error is read slowly.
4. The process ends with the nursery: end of its input, SIGTERM, SIGKILL, `GRACE_SECONDS` apart. The waiting is done by
   `trio.run_process`, in the task that runs it. Its children go with it: it has a process group of its own.
5. It sees nothing of the bot's environment but what it needs and what the operator names.
"""

from __future__ import annotations

import contextlib
import math
import os
import signal
import subprocess
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import NoReturn, TypeAlias

import anyio
import structlog
import trio
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
from mcp.shared.message import SessionMessage
from mcp_types import jsonrpc_message_adapter

from triolet.errors import RemoteProtocolError

log = structlog.get_logger()

Inbound: TypeAlias = SessionMessage | Exception
Streams: TypeAlias = tuple[MemoryObjectReceiveStream[Inbound], MemoryObjectSendStream[SessionMessage]]
"""What a session reads, and what it writes."""

LONGEST_MESSAGE = 8 * 1024 * 1024
"""Bytes. A picture of a whole page takes two or three million."""

GRACE_SECONDS = 1.0
WRITE_SECONDS = 10.0
EXIT_SECONDS = 0.5
"""How long a process may take to exit after its output has ended, and its output to end after its exit."""

LONGEST_REST = 0.1
"""Seconds from one reading to the next, however long the first one took."""

LONGEST_QUEUE = 1000
"""Messages that wait to be sent."""

LOGGED_ERRORS = 4096
"""Bytes of standard error that are logged, for debugging; the rest is dropped."""

ENVIRONMENT = ("PATH", "HOME", "LANG", "TMPDIR")


@asynccontextmanager
async def open_process(
    nursery: trio.Nursery, name: str, command: Sequence[str], env: Iterable[str]
) -> AsyncIterator[Streams]:
    """Start the server, with tasks in a nursery that is this connection's own, and that ends with it.

    A server that is lost raises `RemoteProtocolError` there.

    Raises:
        OSError: it cannot be started.
    """
    process: trio.Process = await nursery.start(
        partial(
            trio.run_process,
            list(command),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=minimal_environment(env),
            start_new_session=True,
            check=False,
            deliver_cancel=_stop,
        )
    )
    to_session, from_server = anyio.create_memory_object_stream[Inbound](0)
    to_server, from_session = anyio.create_memory_object_stream[SessionMessage](math.inf)
    nursery.start_soon(_read, process, to_session, to_server)
    nursery.start_soon(_write, process, from_session)
    nursery.start_soon(_drain_errors, process, name)
    nursery.start_soon(_watch, process)
    try:
        yield from_server, to_server
    finally:
        nursery.cancel_scope.cancel(reason="the session ends")
        for stream in (to_session, from_server, to_server, from_session):
            stream.close()


def minimal_environment(names: Iterable[str]) -> dict[str, str]:
    """What there is of `ENVIRONMENT`, and of the variables that the operator names."""
    return {name: os.environ[name] for name in (*ENVIRONMENT, *names) if name in os.environ}


class LineBuffer:
    """Bytes to lines, none of them longer than ``longest`` bytes by more than a piece that was received at once."""

    def __init__(self, longest: int) -> None:
        self._longest = longest
        self._rest = bytearray()

    def receive_data(self, data: bytes) -> list[bytes]:
        """The lines that the piece completes, without their ends; raises `RemoteProtocolError` for too long a line."""
        lines: list[bytes] = []
        head, *others = data.split(b"\n")
        self._rest += head
        for other in others:
            lines.append(bytes(self._rest))
            self._rest = bytearray(other)
        if len(self._rest) > self._longest:
            raise RemoteProtocolError(f"it sent a message of more than {self._longest:,} bytes")
        return lines


async def _read(
    process: trio.Process, to_session: MemoryObjectSendStream[Inbound], queue: MemoryObjectSendStream[SessionMessage]
) -> None:
    assert process.stdout is not None  # noqa: S101  # started with pipes
    buffer = LineBuffer(LONGEST_MESSAGE)
    async with process.stdout:
        async for data in process.stdout:
            began = trio.current_time()
            for line in buffer.receive_data(bytes(data)):
                await _deliver(line, to_session)
            if queue.statistics().current_buffer_used > LONGEST_QUEUE:
                raise RemoteProtocolError("it asks more than it reads of the answers")
            await trio.sleep(min(3 * (trio.current_time() - began), LONGEST_REST))
        await _lost(process)


async def _deliver(line: bytes, to_session: MemoryObjectSendStream[Inbound]) -> None:
    with contextlib.suppress(ValueError, anyio.BrokenResourceError, anyio.ClosedResourceError):
        # Many a server prints here what belongs to standard error; and a session that is closing listens no more.
        await to_session.send(SessionMessage(jsonrpc_message_adapter.validate_json(line, by_name=False)))


async def _write(process: trio.Process, from_session: MemoryObjectReceiveStream[SessionMessage]) -> None:
    assert process.stdin is not None  # noqa: S101  # started with pipes
    async for item in from_session:
        line = item.message.model_dump_json(by_alias=True, exclude_unset=True) + "\n"
        try:
            with trio.fail_after(WRITE_SECONDS):
                await process.stdin.send_all(line.encode())
        except trio.TooSlowError:
            raise RemoteProtocolError("it does not read what it is sent") from None
        except trio.BrokenResourceError:
            await _lost(process)


async def _drain_errors(process: trio.Process, name: str) -> None:
    assert process.stderr is not None  # noqa: S101  # started with pipes
    left = LOGGED_ERRORS
    async with process.stderr:
        async for data in process.stderr:
            if left > 0:
                log.debug("mcp.stderr", server=name, text=data[:left].decode(errors="replace"))
                left -= len(data)
            await trio.sleep(0.01)  # 64 KiB each time, so 6 MB/s at most (rule 3)


async def _watch(process: trio.Process) -> None:
    """Notice the server's exit even if a child of it holds its pipes open, and end the children."""
    try:
        await process.wait()
        await trio.sleep(EXIT_SECONDS)
        raise _loss(process)
    finally:
        if process.returncode is not None:
            _signal(process, signal.SIGKILL)


async def _lost(process: trio.Process) -> NoReturn:
    with trio.move_on_after(EXIT_SECONDS):
        await process.wait()
    raise _loss(process)


def _loss(process: trio.Process) -> RemoteProtocolError:
    code = process.returncode
    return RemoteProtocolError("it has closed its pipes" if code is None else f"it ended with exit code {code}")


async def _stop(process: trio.Process) -> None:
    """Rule 4; Trio cancels this when the process has ended, and what is left of its group is killed then."""
    assert process.stdin is not None  # noqa: S101  # started with pipes
    try:
        await process.stdin.aclose()
        await trio.sleep(GRACE_SECONDS)
        _signal(process, signal.SIGTERM)
        await trio.sleep(GRACE_SECONDS)
    finally:
        _signal(process, signal.SIGKILL)


def _signal(process: trio.Process, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)
