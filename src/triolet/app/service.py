"""`triolet run`: the bot as a process, from signal to signal."""

from __future__ import annotations

import gc
import signal
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from types import MappingProxyType
from typing import Final, NoReturn

import attrs
import structlog
import trio

from triolet.app.bench import open_providers, warm_up
from triolet.app.bot import serve_bot
from triolet.config import Settings
from triolet.core.ports import Tool
from triolet.core.updates import BotIdentity
from triolet.observe.turns import Observer, log_latency
from triolet.providers.prices import load_prices
from triolet.store import ThreadExecutor

log = structlog.get_logger()

WARM_UP_AFTER: Final = 1.0
"""Seconds after which the first poll is under way: what takes seconds to import must not hold it up."""

GARBAGE: Final = (2_000, 1_000, 1_000_000)
"""Objects, and collections of young ones, until the next one; full ones come by the clock."""

COLLECT_SECONDS: Final = 60.0

LATENCY: Final[Mapping[str, Observer]] = MappingProxyType({"latency": log_latency})


async def run_service(
    settings: Settings, *, tools: Sequence[Tool] = (), observers: Mapping[str, Observer] = LATENCY
) -> None:
    """Serve until SIGTERM or SIGINT, then end in order: answers get their grace, or less with a second signal.

    A third signal, or one before the bot is ready, ends at once.

    ``tools`` and ``observers`` are as for `serve_bot`; by default one observer logs how long answers take.

    Raises:
        StartError: the bot cannot be served.
    """
    shutdown, hurry, executor = trio.Event(), trio.Event(), ThreadExecutor()
    async with open_providers(settings.model) as providers, trio.open_nursery() as nursery:
        everything = nursery.cancel_scope
        serve = partial(
            serve_bot,
            settings,
            providers,
            executor=executor,
            tools=tools,
            observers=observers,
            shutdown=shutdown,
            hurry=hurry,
            cpu_clock=time.thread_time,
        )
        signals = await nursery.start(_obey_signals, shutdown, hurry, everything)
        await nursery.start(_serve, serve, everything)
        signals.in_order = True
        await trio.sleep(WARM_UP_AFTER)
        await warm_up(providers)
        await ThreadExecutor()(load_prices)
        await _collect_garbage()


async def _collect_garbage() -> NoReturn:
    """A full collection stalls every answer: what is loaded stays out of it, and it takes a thousandth of the time."""
    gc.set_threshold(*GARBAGE)
    gc.collect()
    gc.freeze()
    seconds = 0.0
    while True:
        await trio.sleep(max(COLLECT_SECONDS, 1000 * seconds))
        began = time.perf_counter()
        gc.collect()
        seconds = time.perf_counter() - began


@attrs.define
class _Obedience:
    """How the next signal is obeyed: at once, or ``in_order``."""

    in_order: bool = False


async def _serve(
    serve: Callable[..., Awaitable[None]], everything: trio.CancelScope, *, task_status: trio.TaskStatus[BotIdentity]
) -> None:
    await serve(task_status=task_status)
    everything.cancel(reason="served")


async def _obey_signals(
    shutdown: trio.Event,
    hurry: trio.Event,
    everything: trio.CancelScope,
    *,
    task_status: trio.TaskStatus[_Obedience],
) -> None:
    obedience = _Obedience()
    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        task_status.started(obedience)
        async for number in signals:
            log.info("bot.shutting_down", signal=signal.Signals(number).name)
            if hurry.is_set() or not obedience.in_order:
                everything.cancel(reason="a signal that does not wait")
            if shutdown.is_set():
                hurry.set()
            shutdown.set()
