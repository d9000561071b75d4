"""A server's process: what is read of it, what it sees, and how it ends. Real processes, in real time."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from mcp_servers import PATIENCE, Watch, open_watch

from triolet.errors import RemoteProtocolError
from triolet.tools.mcp_process import (
    ENVIRONMENT,
    GRACE_SECONDS,
    LOGGED_ERRORS,
    LONGEST_MESSAGE,
    LineBuffer,
    minimal_environment,
    open_process,
)

# Lines


@given(st.binary(max_size=200), st.integers(1, 20))
def test_lines_come_out_whole_however_they_came_in(data: bytes, size: int) -> None:
    buffer = LineBuffer(1000)
    pieces = [data[start : start + size] for start in range(0, len(data), size)]
    assert [line for piece in pieces for line in buffer.receive_data(piece)] == data.split(b"\n")[:-1]


@pytest.mark.parametrize("pieces", [[b"x" * 11], [b"x"] * 11, [b"ok\n" + b"x" * 11]])
def test_a_line_that_is_too_long_is_not_kept(pieces: list[bytes]) -> None:
    *first, last = pieces
    buffer = LineBuffer(10)
    for piece in first:
        buffer.receive_data(piece)
    with pytest.raises(RemoteProtocolError, match="more than 10 bytes"):
        buffer.receive_data(last)


def test_a_line_may_be_as_long_as_that() -> None:
    assert LineBuffer(10).receive_data(b"x" * 10 + b"\n") == [b"x" * 10]


# Processes


def lost(problem: str) -> pytest.RaisesGroup[Exception]:
    return pytest.RaisesGroup(pytest.RaisesExc(RemoteProtocolError, match=problem))


@asynccontextmanager
async def run(watch: Watch, *flags: str, env: tuple[str, ...] = ()) -> AsyncIterator[Any]:
    """The odd server, until the block ends; gives what a session would write to."""
    command = watch.stdio("odd", "odd", *flags).command
    with trio.fail_after(PATIENCE):
        async with trio.open_nursery() as nursery, open_process(nursery, "odd", command, env) as (_, to_server):
            yield to_server


def call(tool: str, **arguments: Any) -> Any:
    from mcp.shared.message import SessionMessage  # noqa: PLC0415  # the SDK takes a second
    from mcp_types import JSONRPCRequest  # noqa: PLC0415  # as above

    params = {"name": tool, "arguments": arguments}
    return SessionMessage(JSONRPCRequest(jsonrpc="2.0", id=1, method="tools/call", params=params))


async def test_a_server_sees_nothing_of_the_environment_but_what_it_is_given() -> None:
    """pytest has put two variables there for us."""
    assert os.environ.keys() >= {"PYTEST_VERSION", "PYTEST_CURRENT_TEST"}
    async with open_watch() as watch, run(watch, env=("PYTEST_CURRENT_TEST", "TRIOLET_UNSET")):
        await watch.wait_line("ready")
    seen = {*watch.value("environment").split(",")} - {"LC_CTYPE"}  # which Python sets for itself
    assert "PYTEST_CURRENT_TEST" in seen
    assert seen <= {*ENVIRONMENT, "PYTEST_CURRENT_TEST"}


def test_the_environment_is_what_there_is_of_it() -> None:
    assert minimal_environment(()) == {name: os.environ[name] for name in ENVIRONMENT if name in os.environ}


async def test_a_server_that_ends_with_its_input_is_gone_at_once() -> None:
    async with open_watch() as watch:
        async with run(watch):
            await watch.wait_line("ready")
            began = trio.current_time()
        assert trio.current_time() - began < GRACE_SECONDS, "nobody waits for a time that is not needed"
        await watch.wait_line("end of input")
        await watch.wait_gone(1)


async def test_a_server_that_wants_to_stay_is_killed() -> None:
    async with open_watch() as watch:
        async with run(watch, "stubborn"):
            await watch.wait_line("ready")
            began = trio.current_time()
        assert 2 * GRACE_SECONDS <= trio.current_time() - began < 2 * GRACE_SECONDS + 1
        await watch.wait_line("end of input")
        await watch.wait_gone(1)


async def test_a_server_takes_its_children_with_it() -> None:
    async with open_watch() as watch:
        async with run(watch) as to_server:
            await to_server.send(call("fork"))
            await watch.wait_line("forked")
        await watch.wait_gone(1)


async def test_a_server_that_dies_leaves_no_children_even_if_they_hold_its_pipes() -> None:
    async with open_watch() as watch:
        with lost("it ended with exit code 3"):
            async with run(watch) as to_server:
                await to_server.send(call("fork"))
                await watch.wait_line("forked")
                await to_server.send(call("die"))
                await trio.sleep_forever()
        await watch.wait_gone(1)


async def test_a_server_that_closes_its_output_is_lost() -> None:
    async with open_watch() as watch:
        with lost("it has closed its pipes"):
            async with run(watch, "stubborn") as to_server:
                await to_server.send(call("hush"))
                await trio.sleep_forever()
        await watch.wait_gone(1)


async def test_a_flood_of_output_does_not_fill_the_memory() -> None:
    """The server has 100 MB to say in one line, and never gets to its end."""
    async with open_watch() as watch:
        with lost(f"it sent a message of more than {LONGEST_MESSAGE:,} bytes"):
            async with run(watch) as to_server:
                await to_server.send(call("flood"))
                await trio.sleep_forever()
        await watch.wait_gone(1)
    assert "flooded" not in watch.lines


async def test_a_flood_of_errors_is_logged_in_part_and_stops_nobody(captured_log: list[Any]) -> None:
    async with open_watch() as watch, run(watch) as to_server:
        await to_server.send(call("mutter", size=1_000_000))
        await watch.wait_line("muttered")
        await to_server.send(call("echo"))
        await watch.wait_line("calls echo")
    texts = [event["text"] for event in captured_log if event["event"] == "mcp.stderr"]
    assert 0 < len("".join(texts)) <= LOGGED_ERRORS
    assert {event["log_level"] for event in captured_log} == {"debug"}


async def test_a_server_that_reads_nothing_keeps_nobody_waiting() -> None:
    """What is sent is taken at once, though the pipe is full and the server busy with other things."""
    async with open_watch() as watch, run(watch) as to_server:
        await to_server.send(call("doze"))
        await watch.wait_line("calls doze")
        with trio.fail_after(1):
            for _ in range(20):
                await to_server.send(call("echo", text="x" * 100_000))
