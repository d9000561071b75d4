"""`triolet tools`: what the model may call, and an operator's word on what a server's tools have become.

Servers are asked, so what is told is what a bot that starts now would make of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from triolet.config import McpSettings, Settings
from triolet.core.ports import Executor
from triolet.errors import ConfigError, StartError
from triolet.store import open_store
from triolet.tools import open_builtin
from triolet.tools.mcp import Approval, approve_server, look_at_server
from triolet.tools.mcp_catalog import Review, overshadowed, public_name


async def list_tools(settings: Settings, executor: Executor) -> list[str]:
    """A line for each tool, and below one that is new or has changed what the model would be told of it."""
    specs = [tool.spec for tool in open_builtin(settings.tools.enabled)]
    lines = [f"{spec.name}  {spec.description.splitlines()[0]}" for spec in specs]
    shadows = overshadowed(server.name for server in settings.mcp)
    async with open_store(settings.store.path, executor=executor) as store:
        for server in settings.mcp:
            if rival := shadows.get(server.name):
                lines.append(f"{server.name}: off, since its tools could be taken for {rival}'s; rename one")
            else:
                lines += await _list_server(server, await store.pinned(server.name))
    return lines or ["The model has no tools."]


async def _list_server(server: McpSettings, pinned: Mapping[str, str]) -> list[str]:
    try:
        found = await look_at_server(server, pinned)
    except StartError as error:
        known = [tool for tool in pinned if _names(tool, server.allow)]
        when = "these were approved before" if known else "none of its tools has been seen yet"
        problem = str(error).removeprefix("the MCP server ")
        return [f"{problem}; {when}", *(_line(server, tool, _asks(server, tool)) for tool in known)]
    return list(_tell(server, found, pinned)) or [f"{server.name}: none of its tools is allowed; name some in allow"]


def _tell(server: McpSettings, found: Review, pinned: Mapping[str, str]) -> Iterator[str]:
    for tool in found.offered:
        is_new = tool in found.fresh
        yield _line(server, tool.name, f"{_asks(server, tool.name)}{', new' if is_new else ''}")
        yield from _indented(tool.shown()) if is_new else ()
    for name, problem in found.refused.items():
        yield _line(server, name, f"off: {problem}")
        if changed := found.changed.get(name):
            yield from _indented(changed.shown_since(pinned[changed.name]))
    for name in found.missing:
        yield _line(server, name, "off: the server has no tool of that name")


def _line(server: McpSettings, tool: str, told: str) -> str:
    return f"{public_name(server.name, tool)}  {told}"


def _indented(lines: Iterable[str]) -> list[str]:
    return [f"    {line}" for line in lines]


def _asks(server: McpSettings, tool: str) -> str:
    return "runs without asking" if _names(tool, server.trusted) else "asks first"


def _names(tool: str, names: Iterable[str]) -> bool:
    return "*" in names or tool in names


async def approve(settings: Settings, name: str, executor: Executor) -> list[str]:
    """Look at a server's tools, and take them as they are now: a line for each, and what is new to the model.

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
    lines = [line for each in approvals for line in _tell_approved(server, each)]
    return [*lines, f"{len(approvals)} approved; a running bot takes them when it is started again."]


def _tell_approved(server: McpSettings, tool: Approval) -> list[str]:
    listed = tool.listed
    if tool.before is None:
        return [_line(server, listed.name, "new"), *_indented(listed.shown())]
    if not tool.change:
        return [_line(server, listed.name, "as it was")]
    return [_line(server, listed.name, f"{tool.change} changed"), *_indented(listed.shown_since(tool.before))]
