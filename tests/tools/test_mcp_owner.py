"""Servers of tools as the bot has them: real processes, in real time. What one of them does happens to no turn."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
from mcp_servers import PATIENCE, MemoryPins, Server, open_watch, start_http, wait_tools

from triolet.core.ports import Tool
from triolet.errors import ExitCode, StartError, ToolError
from triolet.tools.mcp import Approval, approve_server, open_mcp_servers
from triolet.tools.mcp_catalog import Listed


def told(log: list[Any], event: str, **fields: Any) -> list[Any]:
    """What was logged of that kind, with these fields."""
    return [entry for entry in log if entry["event"] == event and entry.items() >= fields.items()]


async def refusal(tool: Tool, **arguments: Any) -> str:
    with pytest.raises(ToolError) as problem, trio.fail_after(PATIENCE):
        await tool.call(arguments)
    return str(problem.value)


@asynccontextmanager
async def cancelled_call(tool: Tool) -> AsyncIterator[None]:
    """The tool is being called; it is cancelled at the end of the block, and that takes no time."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(tool.call, {})
        yield
        began = trio.current_time()
        nursery.cancel_scope.cancel()
    assert trio.current_time() - began < 0.5


# Tools


def test_without_a_server_the_sdk_is_not_imported() -> None:
    program = """
import sys, trio
from triolet.tools.mcp import open_mcp_servers
async def main():
    async with open_mcp_servers([], None) as toolbox:
        assert toolbox.tools() == ()
trio.run(main)
assert not {"mcp", "mcp_types"} & sys.modules.keys()
"""
    subprocess.run(
        [sys.executable, "-c", program], check=True, timeout=PATIENCE, env={"PYTHONPATH": ":".join(sys.path)}
    )


@pytest.mark.parametrize(("how", "protocol"), [("sdk", "2026-07-28"), ("odd", "2025-06-18")])
async def test_a_call_comes_back_or_is_cancelled_and_the_server_goes_on(
    how: str, protocol: str, captured_log: list[Any]
) -> None:
    async with open_watch() as watch:
        async with open_mcp_servers([watch.stdio("s", how)], MemoryPins()) as toolbox:
            tools = await wait_tools(toolbox, "s__hang")
            for count in (1, 2):
                async with cancelled_call(tools["s__hang"]):
                    await watch.wait_line("hangs" if how == "sdk" else "calls hang", count)
                await watch.wait_line("cancelled", count)
            good = ("s__add", {"a": 2, "b": 3}, "5") if how == "sdk" else ("s__echo", {"ä": 1}, '{"\\u00e4": 1}')
            assert await tools[good[0]].call(good[1]) == good[2]
            began = trio.current_time()
        assert trio.current_time() - began < 2
        await watch.wait_gone(1)
    assert len(told(captured_log, "mcp.ready", server="s", protocol=protocol)) == 1
    assert not [entry for entry in captured_log if entry["log_level"] in {"warning", "error"}]


async def test_many_calls_run_at_once() -> None:
    async with open_watch() as watch, open_mcp_servers([watch.stdio("s", "sdk")], MemoryPins()) as toolbox:
        tools = await wait_tools(toolbox, "s__add")
        sums: dict[int, str] = {}

        async def add(number: int) -> None:
            sums[number] = await tools["s__add"].call({"a": number, "b": 1})

        async with cancelled_call(tools["s__hang"]), trio.open_nursery() as nursery:
            for number in range(20):
                nursery.start_soon(add, number)
    assert sums == {number: str(number + 1) for number in range(20)}


async def test_a_tool_that_fails_tells_the_model() -> None:
    async with open_watch() as watch, open_mcp_servers([watch.stdio("s", "sdk")], MemoryPins()) as toolbox:
        tools = await wait_tools(toolbox, "s__fail")
        assert "Error executing tool fail" in await refusal(tools["s__fail"])
        assert "a" in await refusal(tools["s__add"], a="no number")
        assert await tools["s__add"].call({"a": 1, "b": 1}) == "2"


async def test_half_of_a_pair_is_sent_as_what_can_be_sent() -> None:
    async with open_watch() as watch, open_mcp_servers([watch.stdio("s")], MemoryPins()) as toolbox:
        tools = await wait_tools(toolbox, "s__echo")
        assert await tools["s__echo"].call({"a": "\ud800 b"}) == '{"a": "\\ufffd b"}'


async def test_what_is_no_text_is_named() -> None:
    async with open_watch() as watch, open_mcp_servers([watch.stdio("s", "odd", "noisy")], MemoryPins()) as toolbox:
        tools = await wait_tools(toolbox, "s__mixed")
        assert (await tools["s__mixed"].call({})).splitlines() == [
            "{}",
            "[image/png, 12,345 bytes left out]",
            "[audio/wav, 2 bytes left out]",
            "[a link: file:///page]",
            "embedded",
            "[data, 1 bytes left out]",
        ]


async def test_only_allowed_tools_are_there_and_only_trusted_ones_run_without_a_person(
    captured_log: list[Any],
) -> None:
    async with open_watch() as watch:
        server = watch.stdio("s", "odd", "x.y", allow=("echo", "x.y", "nowhere"), trusted=("x.y",))
        async with open_mcp_servers([server], MemoryPins()) as toolbox:
            tools = await wait_tools(toolbox, "s__echo")
    assert {name: tool.has_effects for name, tool in tools.items()} == {"s__echo": True, "s__x_y": False}
    assert told(captured_log, "mcp.tool_disabled", tool="nowhere", problem="the server has no tool of that name")


async def test_all_tools_of_a_server_may_be_trusted() -> None:
    async with open_watch() as watch:
        server = watch.stdio("s", "odd", "x.y", trusted=("*",))
        async with open_mcp_servers([server], MemoryPins()) as toolbox:
            tools = await wait_tools(toolbox, "s__echo", "s__x_y")
    assert not any(tool.has_effects for tool in tools.values())


async def test_names_that_come_out_the_same_are_refused(captured_log: list[Any]) -> None:
    """Two tools of one server; and a server whose tools could be taken for those of another."""
    async with open_watch() as watch:
        servers = [watch.stdio("s", "odd", "x.y"), watch.stdio("s__x")]
        async with open_mcp_servers(servers, MemoryPins()) as toolbox:
            tools = await wait_tools(toolbox, "s__x_y")
    assert tools["s__x_y"].spec.description == "One of two."
    assert len(told(captured_log, "mcp.tool_disabled", tool="x_y")) == 1
    assert len(told(captured_log, "mcp.server_refused", server="s__x")) == 1
    assert watch.opened == 1


# Changes


@pytest.mark.parametrize("how", ["sdk", "http"])
async def test_a_server_that_gets_another_tool_is_listed_anew(how: str) -> None:
    async with open_watch() as watch, start_http(watch) as url:
        server = watch.stdio("s", "sdk") if how == "sdk" else Server("s", url=url)
        async with open_mcp_servers([server], MemoryPins()) as toolbox:
            tools = await wait_tools(toolbox, "s__grow")
            assert "s__later" not in tools
            await tools["s__grow"].call({})
            tools = await wait_tools(toolbox, "s__later")
            assert await tools["s__later"].call({}) == "new"


async def test_a_tool_that_becomes_another_is_disabled_until_it_is_approved(captured_log: list[Any]) -> None:
    """The rug pull, in the middle of a conversation and over a restart."""
    pins = MemoryPins()
    async with open_watch() as watch:
        async with open_mcp_servers([watch.stdio("s")], pins) as toolbox:
            tools = await wait_tools(toolbox, "s__echo")
            await tools["s__swindle"].call({})
            await wait_tools(toolbox, gone="s__echo")
            assert "waits for approval" in await refusal(tools["s__echo"])
            assert watch.lines.count("calls echo") == 0
        changed = watch.stdio("s", "odd", "swindler")
        async with open_mcp_servers([changed], pins) as toolbox:
            assert "s__echo" not in await wait_tools(toolbox, "s__hang")
        reasons = told(captured_log, "mcp.tool_disabled", server="s", tool="echo")
        problem = "its description changed; `triolet tools` shows it, `triolet tools --approve s` takes it"
        assert [entry["problem"] for entry in reasons] == [problem] * 2, "once by each of the two runs"

        approved = await approve_server(changed, pins)
        assert {item.listed.name: item.change for item in approved if item.change} == {"echo": "its description"}
        async with open_mcp_servers([changed], pins) as toolbox:
            assert "secrets" in (await wait_tools(toolbox, "s__echo"))["s__echo"].spec.description


async def test_approving_pins_what_is_allowed() -> None:
    pins = MemoryPins()
    async with open_watch() as watch:
        approved = await approve_server(watch.stdio("s", allow=("echo",)), pins)
        await watch.wait_gone(1)
    echo = Listed("echo", "Odd.", {"type": "object", "properties": {}})
    assert approved == [Approval(echo, None)]
    assert pins.kept == {"s": {"echo": echo.pin}}


async def test_a_server_that_is_not_there_cannot_be_approved() -> None:
    with pytest.raises(StartError, match=r"the MCP server s: .*No such file"):
        await approve_server(Server("s", command=("/nowhere/server",)), MemoryPins())


# Troubles


async def test_a_server_that_dies_in_a_call_is_started_again(captured_log: list[Any]) -> None:
    async with open_watch() as watch, open_mcp_servers([watch.stdio("s")], MemoryPins()) as toolbox:
        tools = await wait_tools(toolbox, "s__die")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(refusal, tools["s__hang"])
            await watch.wait_line("calls hang")
            assert "is not there any more" in await refusal(tools["s__die"])
        await wait_tools(toolbox, gone="s__die")
        assert await refusal(tools["s__echo"]) == "the server s is not there now"
        tools = await wait_tools(toolbox, "s__echo")
        assert await tools["s__echo"].call({}) == "{}"
    assert len(told(captured_log, "mcp.lost", problem="it ended with exit code 3")) == 1


async def test_a_flood_ends_the_call_and_no_other_server(captured_log: list[Any]) -> None:
    async with (
        open_watch() as watch,
        open_mcp_servers([watch.stdio("a"), watch.stdio("b")], MemoryPins()) as toolbox,
    ):
        tools = await wait_tools(toolbox, "a__flood", "b__echo")
        assert "is not there any more" in await refusal(tools["a__flood"])
        assert await tools["b__echo"].call({}) == "{}"
    assert "flooded" not in watch.lines
    assert len(told(captured_log, "mcp.lost", server="a")) == 1


async def test_a_server_that_asks_and_does_not_listen_is_lost(captured_log: list[Any]) -> None:
    """It sends pings for ever; their answers must not fill the memory."""
    async with open_watch() as watch, open_mcp_servers([watch.stdio("s")], MemoryPins()) as toolbox:
        tools = await wait_tools(toolbox, "s__pester")
        assert "is not there any more" in await refusal(tools["s__pester"])
        await wait_tools(toolbox, gone="s__pester")
    assert told(captured_log, "mcp.lost", problem="it asks more than it reads of the answers")


async def test_a_server_that_never_answers_is_given_up_and_no_other_waits(captured_log: list[Any]) -> None:
    async with open_watch() as watch:
        servers = [watch.stdio("mute", "odd", "mute"), Server("none", command=("/nowhere/server",)), watch.stdio("s")]
        async with open_mcp_servers(servers, MemoryPins(), patience=2) as toolbox:
            assert toolbox.tools() == ()
            tools = await wait_tools(toolbox, "s__echo")
            assert {name.partition("__")[0] for name in tools} == {"s"}
            await watch.wait_line("ignores server/discover", 2)  # it is tried again
        await watch.wait_gone(watch.opened)
    assert len(told(captured_log, "mcp.lost", server="mute", problem="no answer within 2 s")) == 1
    assert "No such file" in told(captured_log, "mcp.lost", server="none")[0]["problem"]
    again = [entry["log_level"] for entry in told(captured_log, "mcp.lost", server="none")]
    assert again[:2] == ["warning", "debug"], "told once"
    assert not told(captured_log, "mcp.lost", server="s"), "once connected, it has all the time it likes"


async def test_the_end_of_the_bot_waits_for_no_server() -> None:
    """One that answers nothing and one that wants to live; they are ended side by side."""
    async with open_watch() as watch:
        servers = [watch.stdio("mute", "odd", "mute", "stubborn"), watch.stdio("s", "odd", "stubborn")]
        async with open_mcp_servers(servers, MemoryPins()) as toolbox:
            await wait_tools(toolbox, "s__echo")
            await watch.wait_line("ignores server/discover")
            began = trio.current_time()
        assert trio.current_time() - began < 3
        await watch.wait_gone(2)


async def test_a_store_that_fails_stops_no_bot(captured_log: list[Any]) -> None:
    tried_again = trio.Event()

    class FullDisk(MemoryPins):
        async def pin(self, server: str, tool: str, digest: str) -> None:
            if told(captured_log, "mcp.lost"):
                tried_again.set()
            raise StartError("the disk is full", exit_code=ExitCode.DATABASE)

    async with open_watch() as watch, open_mcp_servers([watch.stdio("s")], FullDisk()) as toolbox:
        with trio.fail_after(PATIENCE):
            await tried_again.wait()
        assert toolbox.tools() == ()
    assert told(captured_log, "mcp.lost", problem="the disk is full")
