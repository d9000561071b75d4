"""`triolet doctor`: what an operator asks first when something is wrong. It looks, beside a running bot too, and reads.

Whoever the bot depends on is asked as well: the models' servers, those of tools, whose programs it starts for that, and
Telegram.
Each finding is a line with a mark: ``ok``; ``!!``, something is wrong; ``--``, good to know, or not looked at.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

import attrs

from triolet.config import DEFAULT_FILE, McpSettings, ModelSettings, Settings, TelegramSettings, load
from triolet.core.letters import Undelivered
from triolet.core.ports import Executor
from triolet.errors import (
    ConfigError,
    ProviderError,
    StartError,
    TelegramError,
    TelegramOutcomeUnknown,
    TelegramUnreachable,
)
from triolet.net.network import Connect, connect_tcp
from triolet.providers.local import find_weights
from triolet.providers.presence import ask_presence
from triolet.store.database import MEMORY
from triolet.store.inspection import Contents, bars_writing, check, inspect, printable, read_pins
from triolet.store.lock import lock_holder, real_path
from triolet.telegram.client import BotApi, open_bot_api
from triolet.telegram.poller import fetch_identity
from triolet.tools.mcp import look_at_server
from triolet.tools.mcp_catalog import Review, overshadowed, public_name

Mark: TypeAlias = Literal["ok", "!!", "--"]

MOST_OFF: Final = 8
"""Tools of a server that are named if they are off."""

SCARCE: Final = 100_000_000
"""Bytes that should be free beside the database."""

UNASKED: Final[Mapping[str, object]] = {"telegram.token": "0:none", "model.provider": "scripted"}
"""Settings for whoever needs the database alone: token and key may be elsewhere."""


@attrs.frozen
class Finding:
    mark: Mark
    text: str

    def __str__(self) -> str:
        return f"{self.mark} {self.text}"


async def examine(
    config: Path | None,
    environ: Mapping[str, str],
    *,
    executor: Executor,
    offline: bool = False,
    connect: Connect = connect_tcp,
) -> list[Finding]:
    """Everything that can be found out; ``offline``: nobody is called. No secret is in it."""
    settings, findings = _read_configuration(config, environ)
    path = _database_path(settings, config, environ)
    if path is None:
        findings.append(Finding("--", "database: where it is, the configuration would say"))
    else:
        findings += await executor(lambda: _look_at_database(path))
    if settings is not None:
        findings += [await _look_at_model(model, None if offline else connect) for model in settings.model.models()]
        findings += await _look_at_servers(settings, executor, None if offline else connect)
    if settings is None or offline:
        findings.append(Finding("--", f"Telegram: not asked, {'--offline' if offline else 'for want of a token'}"))
    else:
        findings += await _ask_telegram(settings.telegram, connect)
    return findings


# Configuration


def _read_configuration(config: Path | None, environ: Mapping[str, str]) -> tuple[Settings | None, list[Finding]]:
    try:
        settings = load(config, environ=environ)
    except ConfigError as error:
        return None, [Finding("!!", f"configuration: {error}")]
    file = config or (DEFAULT_FILE if DEFAULT_FILE.exists() else None)
    findings = [Finding("ok", f"configuration: {file.absolute() if file else 'no file, the environment alone'}")]
    if settings.access.allow:
        findings.append(Finding("ok", f"access: {_count(len(settings.access.allow), 'person', 'people')}"))
    else:
        findings.append(Finding("!!", "access: access.allow is empty, so nobody is answered"))
    return settings, findings


def _database_path(settings: Settings | None, config: Path | None, environ: Mapping[str, str]) -> Path | None:
    try:
        return (settings or load(config, environ=environ, overrides=UNASKED)).store.path
    except ConfigError:
        return None


# Database


def _look_at_database(path: Path) -> list[Finding]:
    if str(path) == MEMORY:
        return [Finding("--", "database: in memory, so a restart forgets everything")]
    try:
        folder = real_path(path).parent
        return [*_look_into(path), look_at_space(folder), _look_at_lock(path)]
    except StartError as error:
        return [Finding("!!", f"database: {error}")]


def _look_into(path: Path) -> list[Finding]:
    if _is_to_come(path):
        if barred := bars_writing(path):
            return [Finding("!!", f"database: {path} is not there yet, and {barred}")]
        return [Finding("--", f"database: {path} is not there yet; the first start makes it")]
    if problems := check(path):
        return [Finding("!!", f"database: {path}: {problem}") for problem in problems]
    found = inspect(path)
    sound = f"database: {path}, {found.size / 1e6:.1f} MB, schema {found.schema}, sound"
    barred = bars_writing(path)
    return [Finding("!!", f"{sound}, but {barred}") if barred else Finding("ok", sound), *_tell(found)]


def _is_to_come(path: Path) -> bool:
    try:
        path.lstat()
    except FileNotFoundError:
        return path.parent.is_dir()
    except OSError:  # which whoever opens it will tell
        return False
    return False


def _tell(found: Contents) -> list[Finding]:
    offered = f", and {found.offered} if somebody wants it" if found.offered else ""
    return [
        Finding("--", f"waiting: {_count(found.waiting, 'message')}{offered}"),
        Finding("--", f"being written: {_count(found.turns, 'answer')}"),
        Finding("--", f"on their way: {_count(found.on_their_way, 'message')}"),
        Finding("--", f"undelivered: {_count(found.undelivered, 'message')}"),
        *(Finding("--", f"  {_describe(letter)}") for letter in found.newest),
    ]


def _describe(letter: Undelivered) -> str:
    reason = f" ({printable(letter.reason)})" if letter.reason else ""
    return f"{_moment(letter.at)} chat {letter.chat_id} {letter.state}{reason}: {letter.beginning}"


def _moment(at: float) -> str:
    try:
        return time.strftime("%Y-%m-%d %H:%M:%SZ", time.gmtime(at))
    except (ValueError, OverflowError, OSError):  # no year of this calendar
        return "some time"


def look_at_space(folder: Path, *, scarce: int = SCARCE) -> Finding:
    """Whether the database may grow: ``scarce`` bytes should be free."""
    try:
        free = shutil.disk_usage(folder).free
    except OSError as error:
        return Finding("!!", f"disk: {folder}: {error.strerror}")
    return Finding("!!" if free < scarce else "ok", f"disk: {free / 1e6:,.0f} MB are free")


def _look_at_lock(path: Path) -> Finding:
    holder = lock_holder(path)
    if holder is None:
        return Finding("--", "bot: none runs with this database")
    return Finding("ok", f"bot: one runs, pid {holder or 'unknown'}")


# Models


async def _look_at_model(model: ModelSettings, connect: Connect | None) -> Finding:
    """Its server is asked for the list of its models, unless there is no way to it."""
    name = " ".join(dict.fromkeys((model.provider, model.name)))
    try:
        if model.provider == "local":
            return Finding("ok", f"model: {name}, {find_weights()}")
        if model.provider == "scripted":
            return Finding("ok", f"model: {name}")
        told = f"{name}, {'with a key' if model.api_key else 'without a key'}"
        if connect is None:
            return Finding("--", f"model: {told}; not asked, --offline")
        status = await ask_presence(model, connect=connect)
    except (ConfigError, ProviderError) as error:
        return Finding("!!", f"model: {name}: {printable(str(error))}")
    has_list = "lists its models" if status < 300 else f"has no list of models ({status})"
    return Finding("ok", f"model: {told}; its server is there, and {has_list}")


# Tools


async def _look_at_servers(settings: Settings, executor: Executor, connect: Connect | None) -> list[Finding]:
    shadows = overshadowed(server.name for server in settings.mcp)
    findings: list[Finding] = []
    for server in settings.mcp:
        if rival := shadows.get(server.name):
            problem = f"off, since its tools could be taken for {rival}'s; rename one"
            findings.append(Finding("!!", f"tools: {server.name}: {problem}"))
        elif connect is None:
            findings.append(Finding("--", f"tools: {server.name}: not asked, --offline"))
        else:
            pinned = await executor(partial(read_pins, settings.store.path, server.name))
            findings.append(await _look_at_server(server, pinned, connect))
    return findings


async def _look_at_server(server: McpSettings, pinned: Mapping[str, str], connect: Connect) -> Finding:
    try:
        found = await look_at_server(server, pinned, connect=connect)
    except StartError as error:
        return Finding("!!", f"tools: {printable(str(error).removeprefix('the MCP server '))}")
    on = f"tools: {server.name}: {len(found.offered)} in use"
    off = [f"{public_name(server.name, name)} {_reason(found, name)}" for name in (*found.refused, *found.missing)]
    if not off:
        return Finding("ok", on)
    more = f" and {len(off) - MOST_OFF} more" if len(off) > MOST_OFF else ""
    return Finding("--", f"{on}; off: {', '.join(off[:MOST_OFF])}{more}; `triolet tools` tells more")


def _reason(found: Review, name: str) -> str:
    if name in found.changed:
        return "has changed"
    return "cannot be used" if name in found.refused else "is not there"


# Telegram


async def _ask_telegram(telegram: TelegramSettings, connect: Connect) -> list[Finding]:
    async with open_bot_api(telegram.api_base, telegram.token, connect=connect) as api:
        try:
            bot = await fetch_identity(api)
            return [Finding("ok", f"Telegram: the token is that of @{printable(bot.username)}"), await _ask_hook(api)]
        except (TelegramError, TelegramUnreachable, TelegramOutcomeUnknown) as error:
            return [Finding("!!", f"Telegram: {printable(str(error))}")]


async def _ask_hook(api: BotApi) -> Finding:
    answer: Any = await api.call("getWebhookInfo", {})
    if not isinstance(answer, dict):
        raise TelegramOutcomeUnknown("getWebhookInfo: the result is no object")
    if answer.get("url"):  # which may hold the token
        return Finding("!!", "updates: a webhook is set, which takes them away; the method deleteWebhook removes it")
    waiting = answer.get("pending_update_count")
    return Finding("ok", f"updates: {waiting if type(waiting) is int else 'an unknown number'} wait at Telegram")


def _count(number: int, one: str, many: str = "") -> str:
    return f"{number} {one if number == 1 else many or f'{one}s'}"
