"""The bot: the house put together, from settings to the last delivered message."""

from __future__ import annotations

import math
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from types import MappingProxyType

import attrs
import stamina
import structlog
import trio

from triolet.app.bench import Bench, open_agent, open_bench, price_list
from triolet.app.book import RestartRules
from triolet.app.conversation import Services
from triolet.app.help import COMMANDS
from triolet.app.load import watch_load
from triolet.app.recovery import recover
from triolet.app.supervisor import Supervisor
from triolet.config import Settings
from triolet.core.commands import UNSWITCHED, Access
from triolet.core.ports import Executor, Provider, Store, Tool
from triolet.core.updates import BotIdentity
from triolet.errors import (
    Conflict,
    ExitCode,
    StartError,
    StoreError,
    TelegramError,
    TelegramOutcomeUnknown,
    TelegramUnreachable,
    TooManyRequests,
    Unauthorized,
)
from triolet.net.network import Connect, connect_tcp
from triolet.observe.turns import Observer, Sill
from triolet.store import open_store
from triolet.store.lock import hold_lock
from triolet.telegram.client import BotApi, open_bot_api
from triolet.telegram.outbox import Outbox, open_outbox
from triolet.telegram.poller import fetch_identity, poll_updates
from triolet.tools.mcp import open_mcp_servers
from triolet.transports.telegram import TelegramScreen

log = structlog.get_logger()

DRAIN_SECONDS = 2.0
"""How long a shutdown waits, when the answers have had their grace, for messages on their way; the rest of them go out
with the next start."""

INTRODUCTIONS = 3
"""How often Telegram is asked who we are, if it has no time."""

LONGEST_PAUSE = 10.0
"""Seconds that a start waits before it asks again."""

TIDY_SECONDS = 86_400.0
"""How often what was done with long ago is forgotten."""


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
    wall_clock: Callable[[], float],
) -> AsyncIterator[_House]:
    telegram = settings.telegram
    with hold_lock(settings.store.path):
        async with (
            open_store(settings.store.path, executor=executor, wall_clock=wall_clock) as store,
            open_bot_api(telegram.api_base, telegram.token, connect=connect) as polls,
            open_bot_api(telegram.api_base, telegram.token, connect=connect) as calls,
            open_outbox(calls, journal=store, uncertain=settings.delivery.uncertain) as outbox,
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
    wall_clock: Callable[[], float] = time.time,
    shutdown: trio.Event,
    hurry: trio.Event | None = None,
    cpu_clock: Callable[[], float] | None = None,
    task_status: trio.TaskStatus[BotIdentity] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve until ``shutdown`` is set or the caller cancels; reports the bot's identity when it is ready.

    ``providers`` are those of ``settings.model.models()``, one each; ``tools`` are there beside those of the settings.
    ``observers`` look on at every turn, see `observe.turns`. ``wall_clock`` gives seconds since 1970, and ``cpu_clock``
    those that this thread has computed, if it is to matter: where it is busy, frames get rarer (`core.load`).

    A shutdown takes nothing new, and gives running answers ``shutdown.grace`` seconds to end, or until ``hurry`` is
    set. Then it commits what every answer has so far, and gives its delivery `DRAIN_SECONDS`. What is not delivered by
    then is known to the store.

    Raises:
        StartError: the token, the API or another poller makes it impossible.
    """
    problem: StartError | None = None
    try:
        async with _open_house(settings, connect, executor, tools, observers, wall_clock) as house:
            bot = await _introduce(house.calls)
            services = _services(settings, providers, house, wall_clock)
            ending = _Ending(shutdown, trio.Event() if hurry is None else hurry, settings.shutdown.grace)
            async with trio.open_nursery() as upkeep_nursery:
                upkeep_nursery.start_soon(services.checkpoints.run)
                upkeep_nursery.start_soon(_tidy, house.store)
                if cpu_clock is not None:
                    upkeep_nursery.start_soon(watch_load, services.load, cpu_clock)
                problem = await _serve(settings, services, house, bot, ending, task_status)
                with ending.limited(DRAIN_SECONDS) as drain:
                    upkeep_nursery.start_soon(ending.shorten, drain, DRAIN_SECONDS)
                    await house.outbox.wait_idle()
                upkeep_nursery.cancel_scope.cancel(reason="the bot ends")
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


@attrs.define
class _Ending:
    """When the bot has to have ended: ``grace`` seconds after the shutdown began, or when there is a hurry."""

    shutdown: trio.Event
    hurry: trio.Event
    grace: float
    began_at: float = math.inf

    def limited(self, more: float) -> trio.CancelScope:
        """A scope that ends so many seconds after the grace."""
        return trio.CancelScope(deadline=self.began_at + self.grace + more)

    async def shorten(self, scope: trio.CancelScope, more: float) -> None:
        """Have the scope end so many seconds after a hurry."""
        await self.hurry.wait()
        scope.deadline = min(scope.deadline, trio.current_time() + more)


async def _serve(
    settings: Settings,
    services: Services,
    house: _House,
    bot: BotIdentity,
    ending: _Ending,
    task_status: trio.TaskStatus[BotIdentity],
) -> StartError | None:
    """Poll and answer; returns when every answer is committed, with the reason if it was not asked for."""
    async with trio.open_nursery() as watch_nursery, trio.open_nursery() as nursery:
        supervisor = Supervisor(nursery, services, _access(settings), bot)
        house.outbox.offer_resend = partial(supervisor.offers.offer_resend, services.owner)
        polling = trio.CancelScope()
        watch_nursery.start_soon(_cancel_on, ending.shutdown, polling)
        problem: StartError | None = None
        with polling:
            try:
                await recover(house.store, supervisor, services.restart, house.outbox.recover)
                task_status.started(bot)
                await poll_updates(
                    house.polls,
                    house.store,
                    supervisor.dispatch,
                    heed=supervisor.heed,
                    wait_room=supervisor.wait_room,
                )
            except (Unauthorized, Conflict) as error:
                problem = _start_error(error)
            except StartError as error:  # the store
                problem = error
        ending.began_at = trio.current_time()
        ending.shutdown.set()
        supervisor.close()
        with ending.limited(0.0) as grace:
            watch_nursery.start_soon(ending.shorten, grace, 0.0)
            if problem is None:
                watch_nursery.start_soon(_hear_stops, house, supervisor)
            await supervisor.wait_idle()
        supervisor.shut_down()
        nursery.cancel_scope.cancel(reason="the grace is over")  # what is shielded, the commits, is bounded
        watch_nursery.cancel_scope.cancel(reason="every answer has ended")
    return problem


async def _hear_stops(house: _House, supervisor: Supervisor) -> None:
    """Who is being answered in the grace may stop that; all else that comes is kept for the next run."""
    try:
        await poll_updates(house.polls, house.store, supervisor.dispatch, heed=supervisor.heed)
    except (Unauthorized, Conflict) as error:
        log.warning("bot.hears_no_stop", problem=str(error))


async def _cancel_on(event: trio.Event, scope: trio.CancelScope) -> None:
    await event.wait()
    scope.cancel(reason="shutdown")


async def _tidy(store: Store) -> None:
    while True:
        await trio.sleep(TIDY_SECONDS)
        try:
            await store.prune()
        except StoreError as error:
            log.warning("store.not_tidied", problem=str(error))


def _services(
    settings: Settings, providers: Sequence[Provider], house: _House, wall_clock: Callable[[], float]
) -> Services:
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
        restart=RestartRules(wall_clock, settings.restart.resume, settings.restart.max_age),
    )


def _access(settings: Settings) -> Access:
    if not settings.access.allow:
        log.warning("access.nobody", hint="access.allow is empty: write to the bot, and its log shows your id")
    return Access(frozenset(settings.access.allow), settings.groups.respond)


async def _introduce(api: BotApi) -> BotIdentity:
    """Ask who we are, which proves token and network, and tell Telegram our commands."""
    bot = await _identify(api)
    commands = [{"command": name, "description": text} for name, text in COMMANDS.items()]
    try:
        await api.call("setMyCommands", {"commands": commands})
    except (TelegramError, TelegramUnreachable, TelegramOutcomeUnknown) as error:
        log.warning("bot.no_command_menu", problem=str(error))
    log.info("bot.ready", username=bot.username)
    return bot


async def _identify(api: BotApi) -> BotIdentity:
    """A server that has no time just now is asked again: a start would be in vain for a moment's trouble."""
    try:
        async for attempt in stamina.retry_context(on=_pause_after, attempts=INTRODUCTIONS, timeout=None):
            with attempt:
                return await fetch_identity(api)
    except (TelegramError, TelegramUnreachable, TelegramOutcomeUnknown) as error:
        raise _start_error(error) from None
    raise AssertionError  # the last attempt has raised


def _pause_after(error: Exception) -> bool | float:
    """Seconds until it may be otherwise; False where nobody is there, or a person has to mend something."""
    if isinstance(error, TooManyRequests):
        return error.retry_after <= LONGEST_PAUSE and error.retry_after
    is_passing = isinstance(error, TelegramOutcomeUnknown) or (isinstance(error, TelegramError) and error.code >= 500)
    return is_passing and 1.0


def _start_error(error: Exception) -> StartError:
    if isinstance(error, Unauthorized):
        return StartError(f"Telegram refuses the token ({error}): check telegram.token", exit_code=ExitCode.TOKEN)
    if isinstance(error, Conflict):
        return StartError(f"somebody else has the bot's updates: {error.description}", exit_code=ExitCode.CONFLICT)
    if isinstance(error, TooManyRequests):
        return StartError(f"Telegram wants no calls now: {error}", exit_code=ExitCode.UNREACHABLE)
    return StartError(f"the Bot API does not answer: {error}: check telegram.api_base", exit_code=ExitCode.UNREACHABLE)
