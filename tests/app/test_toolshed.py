"""`triolet tools`: what there is, and what an operator approves of; with real servers of tools."""

from __future__ import annotations

import sys
from pathlib import Path

import attrs
import pytest
from mcp_servers import SWINDLE, open_watch
from processes import clean_environment, run_to_end

from triolet.app.toolshed import approve, list_tools
from triolet.config import McpSettings, Settings, StoreSettings, TelegramSettings, ToolSettings
from triolet.config.secret import Secret
from triolet.errors import ConfigError, StartError
from triolet.store import open_store, run_inline
from triolet.tools.mcp_catalog import Listed


def shed(folder: Path, *servers: McpSettings, enabled: tuple[str, ...] = ("time",)) -> Settings:
    return Settings(
        telegram=TelegramSettings(token=Secret("1:TEST")),
        tools=ToolSettings(enabled=enabled),
        mcp=servers,
        store=StoreSettings(path=folder / "triolet.db"),
    )


def shown_of(lines: list[str]) -> list[str]:
    """What the model would be told of a tool."""
    return [line for line in lines if line.startswith("    ")]


def without_texts(lines: list[str]) -> list[str]:
    return [line for line in lines if not line.startswith("    ")]


async def test_what_comes_with_the_house(tmp_path: Path) -> None:
    lines = await list_tools(shed(tmp_path, enabled=("time", "calculator", "fetch")), run_inline)
    assert [line.split()[0] for line in lines] == ["current_time", "calculator", "fetch_page"]
    assert await list_tools(shed(tmp_path, enabled=()), run_inline) == ["The model has no tools."]


async def test_server_s_tools_are_listed_as_a_bot_would_take_them(tmp_path: Path) -> None:
    async with open_watch() as watch:
        server = McpSettings(
            name="one", command=watch.stdio("one", "sdk").command, allow=("add", "fail", "gone"), trusted=("add",)
        )
        settings = shed(tmp_path, server, enabled=())
        new = await list_tools(settings, run_inline)
        assert without_texts(new) == [
            "one__add  runs without asking, new",
            "one__fail  asks first, new",
            "one__gone  off: the server has no tool of that name",
        ]
        assert "    Add two numbers." in new
        lines = await approve(settings, "one", run_inline)
        assert without_texts(lines[:-1]) == ["one__add  new", "one__fail  new"]
        assert "    Add two numbers." in lines
        assert lines[-1].startswith("2 approved")
        assert await list_tools(settings, run_inline) == [
            "one__add  runs without asking",
            "one__fail  asks first",
            "one__gone  off: the server has no tool of that name",
        ]
        assert (await approve(settings, "one", run_inline))[:-1] == ["one__add  as it was", "one__fail  as it was"]


async def test_tool_that_has_become_another_is_off_and_shown_until_it_is_approved(tmp_path: Path) -> None:
    async with open_watch() as watch:

        def become(*flags: str) -> Settings:
            command = watch.stdio("one", "odd", *flags).command
            return shed(tmp_path, McpSettings(name="one", command=command, allow=("echo", "hang")), enabled=())

        await approve(become(), "one", run_inline)
        listed = await list_tools(become("swindler"), run_inline)
        off = "off: its description changed; `triolet tools` shows it, `triolet tools --approve one` takes it"
        assert listed == ["one__hang  asks first", f"one__echo  {off}", *(shown := shown_of(listed))]
        assert shown == ["    -Odd.", f"    +{SWINDLE}"]
        assert (await approve(become("swindler"), "one", run_inline))[:-1] == [
            "one__echo  its description changed",
            *shown,
            "one__hang  as it was",
        ]
        assert await list_tools(become("swindler"), run_inline) == ["one__echo  asks first", "one__hang  asks first"]


async def test_tool_that_was_approved_before_words_were_kept_is_shown_as_it_is(tmp_path: Path) -> None:
    async with open_watch() as watch:
        server = McpSettings(name="one", command=watch.stdio("one", "odd", "swindler").command, allow=("echo",))
        settings = shed(tmp_path, server, enabled=())
        schema = {"type": "object", "properties": {}}
        async with open_store(settings.store.path, executor=run_inline) as store:
            await store.pin("one", "echo", Listed("echo", "Odd.", schema).digest)
        now = [f"    {SWINDLE}", '    parameters: {"type": "object", "properties": {}}']
        assert (await list_tools(settings, run_inline))[1:] == now
        assert (await approve(settings, "one", run_inline))[1:-1] == now
        assert await list_tools(settings, run_inline) == ["one__echo  asks first"]


async def test_server_that_is_not_there_is_told_with_what_was_approved(tmp_path: Path) -> None:
    async with open_watch() as watch:
        there = McpSettings(name="one", command=watch.stdio("one").command, allow=("echo",))
        gone = attrs.evolve(there, command=("/nowhere/at/all",))
        [line] = await list_tools(shed(tmp_path, gone, enabled=()), run_inline)
        assert line.startswith("one: ")
        assert "No such file" in line
        assert line.endswith("; none of its tools has been seen yet")
        await approve(shed(tmp_path, there), "one", run_inline)
        line, tool = await list_tools(shed(tmp_path, gone, enabled=()), run_inline)
        assert line.endswith("; these were approved before")
        assert tool == "one__echo  asks first"


async def test_server_that_offers_nothing_is_told(tmp_path: Path) -> None:
    async with open_watch() as watch:
        silent = McpSettings(name="a", command=watch.stdio("a").command)
        shadow = McpSettings(name="a__b", command=("/nowhere/at/all",), allow=("*",))
        assert await list_tools(shed(tmp_path, silent, shadow, enabled=()), run_inline) == [
            "a: none of its tools is allowed; name some in allow",
            "a__b: off, since its tools could be taken for a's; rename one",
        ]


async def test_there_is_no_such_server(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"mcp.two: there is no MCP server 'two'; there are: one"):
        await approve(shed(tmp_path, McpSettings(name="one", command=("x",))), "two", run_inline)


async def test_server_that_does_not_start(tmp_path: Path) -> None:
    with pytest.raises(StartError, match="the MCP server one"):
        await approve(shed(tmp_path, McpSettings(name="one", command=("/nowhere/at/all",))), "one", run_inline)


async def test_command_says_it_in_lines(tmp_path: Path) -> None:
    (tmp_path / "triolet.toml").write_text(f'[mcp.one]\ncommand = ["{sys.executable}", "-c", "0"]\n', encoding="utf-8")
    env = clean_environment(TELEGRAM_BOT_TOKEN="1:TEST", ANTHROPIC_API_KEY="key")
    code, out, err = await run_to_end("tools", cwd=tmp_path, env=env)
    assert (code, err) == (0, "")
    assert [line.split()[0] for line in out.splitlines()] == ["current_time", "calculator", "one:"]
    code, out, err = await run_to_end("tools", "--approve", "one", cwd=tmp_path, env=env)
    assert (code, out) == (1, "")
    assert err.startswith("triolet: the MCP server one: ")
    assert len(err.splitlines()) == 1
