"""`triolet tools`: what there is, and what an operator approves of; with real servers of tools."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from mcp_servers import open_watch
from processes import clean_environment, run_to_end

from triolet.app.toolshed import approve, list_tools
from triolet.config import McpSettings, Settings, StoreSettings, TelegramSettings, ToolSettings
from triolet.config.secret import Secret
from triolet.errors import ConfigError, StartError
from triolet.store import run_inline


def shed(folder: Path, *servers: McpSettings, enabled: tuple[str, ...] = ("time",)) -> Settings:
    return Settings(
        telegram=TelegramSettings(token=Secret("1:TEST")),
        tools=ToolSettings(enabled=enabled),
        mcp=servers,
        store=StoreSettings(path=folder / "triolet.db"),
    )


async def test_what_comes_with_the_house(tmp_path: Path) -> None:
    lines = await list_tools(shed(tmp_path, enabled=("time", "calculator", "fetch")), run_inline)
    assert [line.split()[0] for line in lines] == ["current_time", "calculator", "fetch_page"]
    assert await list_tools(shed(tmp_path, enabled=()), run_inline) == ["The model has no tools."]


async def test_server_s_tools_are_listed_when_they_are_approved(tmp_path: Path) -> None:
    async with open_watch() as watch:
        server = McpSettings(
            name="one", command=watch.stdio("one", "sdk").command, allow=("add", "fail"), trusted=("add",)
        )
        settings = shed(tmp_path, server)
        assert (await list_tools(settings, run_inline))[1:] == [
            "one: none of its tools has been seen yet; --approve one looks at them"
        ]
        lines = await approve(settings, "one", run_inline)
        assert sorted(lines[:-1]) == ["one__add  new", "one__fail  new"]
        assert lines[-1].startswith("2 approved")
        assert (await list_tools(settings, run_inline))[1:] == [
            "one__add  runs without asking",
            "one__fail  asks first",
        ]
        assert sorted((await approve(settings, "one", run_inline))[:-1]) == [
            "one__add  as it was",
            "one__fail  as it was",
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
