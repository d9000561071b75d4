"""`triolet tools`: what the model may call, and an operator's word on what a server's tools have become."""

from __future__ import annotations

from collections.abc import Iterable

from triolet.config import McpSettings, Settings
from triolet.core.ports import Executor, Pins
from triolet.errors import ConfigError
from triolet.store import open_store
from triolet.tools import open_builtin
from triolet.tools.mcp import approve_server
from triolet.tools.mcp_catalog import public_name


async def list_tools(settings: Settings, executor: Executor) -> list[str]:
    """A line for each tool; those of a server are the ones that were approved when it was last there."""
    specs = [tool.spec for tool in open_builtin(settings.tools.enabled)]
    lines = [f"{spec.name}  {spec.description.splitlines()[0]}" for spec in specs]
    async with open_store(settings.store.path, executor=executor) as store:
        for server in settings.mcp:
            lines += await _list_server(server, store)
    return lines or ["The model has no tools."]


async def _list_server(server: McpSettings, pins: Pins) -> list[str]:
    pinned = await pins.pinned(server.name)
    allowed = [tool for tool in pinned if _names(tool, server.allow)]
    if not allowed:
        return [f"{server.name}: none of its tools has been seen yet; --approve {server.name} looks at them"]
    return [f"{public_name(server.name, tool)}  {_asks(server, tool)}" for tool in allowed]


def _asks(server: McpSettings, tool: str) -> str:
    return "runs without asking" if _names(tool, server.trusted) else "asks first"


def _names(tool: str, names: Iterable[str]) -> bool:
    return "*" in names or tool in names


async def approve(settings: Settings, name: str, executor: Executor) -> list[str]:
    """Look at a server's tools, and take them as they are now; a line for each.

    Raises:
        ConfigError: there is no server of that name.
        StartError: it cannot be reached.
    """
    server = next((server for server in settings.mcp if server.name == name), None)
    if server is None:
        known = ", ".join(server.name for server in settings.mcp) or "none"
        raise ConfigError(f"there is no MCP server {name!r}; there are: {known}", key=f"mcp.{name}")
    async with open_store(settings.store.path, executor=executor) as store:
        approvals = await approve_server(server, store)
    lines = [f"{public_name(name, each.listed.name)}  {each.change or 'as it was'}" for each in approvals]
    return [*lines, f"{len(lines)} approved; a running bot takes them when it is started again."]
