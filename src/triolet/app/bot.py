"""The bot: the house put together, from settings to the last delivered message."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from types import MappingProxyType

import attrs
import structlog
import trio

from triolet.app.bench import Bench, open_agent, open_bench, price_list
from triolet.app.conversation import Services
from triolet.app.supervisor import COMMANDS, Supervisor
from triolet.config import Settings
from triolet.core.commands import UNSWITCHED, Access
from triolet.core.ports import Executor, Provider, Store, Tool
from triolet.core.updates import BotIdentity
from triolet.errors import (
    Conflict,
    ExitCode,
    StartError,
    TelegramError,
    TelegramOutcomeUnknown,
    TelegramUnreachable,
    Unauthorized,
)
from triolet.net.network import Connect, connect_tcp
from triolet.observe.turns import Observer, Sill
from triolet.store import open_store
from triolet.telegram.client import BotApi, open_bot_api
from triolet.telegram.outbox import Outbox, open_outbox
from triolet.telegram.poller import dispatch_all, fetch_identity, poll_updates
from triolet.tools.mcp import open_mcp_servers
from triolet.transports.telegram import TelegramScreen

log = structlog.get_logger()

DRAIN_SECONDS = 20.0
"""How long a shutdown waits for messages on their way: the bot may send 30 a second, and flooded chats have to wait."""


@attrs.frozen
class _House:
    """What is open while the bot runs. Polls have a client of their own: they hold it for a minute."""

    store: Store
    polls: BotApi
    calls: BotApi
    outbox: Outbox
    bench: Bench
    sill: Sill


@asynccontextmanager
async def _open_house(
    settings: Settings,
    connect: Connect,
    executor: Executor,
    tools: Sequence[Tool],
    observers: Mapping[str, Observer],
) -> AsyncIterator[_House]:
    telegram = settings.telegram
    async with (
        open_store(settings.store.path, executor=executor) as store,
        open_bot_api(telegram.api_base, telegram.token, connect=connect) as polls,
        open_bot_api(telegram.api_base, telegram.token, connect=connect) as calls,
        open_outbox(calls) as outbox,
        open_mcp_servers(settings.mcp, store, connect=connect) as servers,
        _open_sill(observers) as sill,
    ):
        yield _House(store, polls, calls, outbox, open_bench(settings, tools, [servers]), sill)


@asynccontextmanager
async def _open_sill(observers: Mapping[str, Observer]) -> AsyncIterator[Sill]:
    sill = Sill(observers)
    async with trio.open_nursery() as nursery:
        for watcher in sill.watchers():
            nursery.start_soon(watcher)
        yield sill
        nursery.cancel_scope.cancel(reason="there is nothing left to see")


async def serve_bot(
    settings: Settings,
    providers: Sequence[Provider],
    *,
    executor: Executor,
    connect: Connect = connect_tcp,
    tools: Sequence[Tool] = (),
    observers: Mapping[str, Observer] = MappingProxyType({}),
    shutdown: trio.Event,
    task_status: trio.TaskStatus[BotIdentity] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve until ``shutdown`` is set or the caller cancels; reports the bot's identity when it is ready.

    ``providers`` are those of ``settings.model.models()``, one each; ``tools`` are there beside those of the settings.
    ``observers`` look on at every turn, see `observe.turns`.
    A shutdown commits what every answer has so far and gives its delivery `DRAIN_SECONDS`.

    Raises:
        StartError: the token, the API or another poller makes it impossible.
    """
    problem: StartError | None = None
    try:
        async with _open_house(settings, connect, executor, tools, observers) as house:
            bot = await _introduce(house.calls)
            services = _services(settings, providers, house)
            problem = await _serve(settings, services, house, bot, shutdown, task_status)
            with trio.move_on_after(DRAIN_SECONDS):
                await house.outbox.wait_idle()
    except* StartError as group:
        problem = _first(group)
    if problem is not None:
        raise problem


def _first(group: BaseExceptionGroup[StartError]) -> StartError:
    """The error itself: what nurseries wrap around it is nobody's business outside."""
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    assert isinstance(error, StartError)  # noqa: S101  # what `except*` selected
    return error


async def _serve(
    settings: Settings,
    services: Services,
    house: _House,
    bot: BotIdentity,
    shutdown: trio.Event,
    task_status: trio.TaskStatus[BotIdentity],
) -> StartError | None:
    """Poll and answer; returns when every answer is committed, with the reason if it was not asked for."""
    async with trio.open_nursery() as nursery:
        supervisor = Supervisor(nursery, services, _access(settings), bot)
        polling = trio.CancelScope()
        nursery.start_soon(_cancel_on, shutdown, polling)
        task_status.started(bot)
        problem: StartError | None = None
        with polling:
            try:
                await dispatch_all(await house.store.unfinished(), house.store, supervisor.recover)
                await poll_updates(house.polls, house.store, supervisor.dispatch, heed=supervisor.heed)
            except (Unauthorized, Conflict) as error:
                problem = _start_error(error)
            except StartError as error:  # the store
                problem = error
        supervisor.shut_down()
        shutdown.set()
    return problem


async def _cancel_on(event: trio.Event, scope: trio.CancelScope) -> None:
    await event.wait()
    scope.cancel(reason="shutdown")


def _services(settings: Settings, providers: Sequence[Provider], house: _House) -> Services:
    return Services(
        agent=open_agent(settings, providers, house.bench),
        store=house.store,
        sill=house.sill,
        owner=next(iter(settings.access.allow), None),
        screen=TelegramScreen(house.outbox, settings.streaming),
        turns=trio.CapacityLimiter(settings.limits.max_turns),
        queue_limit=settings.limits.queue_per_chat,
        model=settings.model.name,
        preferences=UNSWITCHED | {"busy": settings.streaming.busy},
        approval_seconds=settings.tools.approval_timeout,
        hide_tags=settings.streaming.hide_tags,
        footer=settings.streaming.footer,
        price=price_list(settings.model),
    )


def _access(settings: Settings) -> Access:
    if not settings.access.allow:
        log.warning("access.nobody", hint="access.allow is empty: write to the bot, and its log shows your id")
    return Access(frozenset(settings.access.allow), settings.groups.respond)


async def _introduce(api: BotApi) -> BotIdentity:
    """Ask who we are, which proves token and network, and tell Telegram our commands."""
    try:
        bot = await fetch_identity(api)
    except (TelegramError, TelegramUnreachable, TelegramOutcomeUnknown) as error:
        raise _start_error(error) from None
    commands = [{"command": name, "description": text} for name, text in COMMANDS.items()]
    try:
        await api.call("setMyCommands", {"commands": commands})
    except (TelegramError, TelegramUnreachable, TelegramOutcomeUnknown) as error:
        log.warning("bot.no_command_menu", problem=str(error))
    log.info("bot.ready", username=bot.username)
    return bot


def _start_error(error: Exception) -> StartError:
    if isinstance(error, Unauthorized):
        return StartError(f"Telegram refuses the token ({error}): check telegram.token", exit_code=ExitCode.TOKEN)
    if isinstance(error, Conflict):
        return StartError(f"somebody else has the bot's updates: {error.description}", exit_code=ExitCode.CONFLICT)
    return StartError(f"the Bot API does not answer: {error}: check telegram.api_base", exit_code=ExitCode.UNREACHABLE)
