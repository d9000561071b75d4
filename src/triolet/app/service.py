"""`triolet run`: the bot as a process, from signal to signal."""

from __future__ import annotations

import signal
from collections.abc import Sequence

import attrs
import structlog
import trio

from triolet.app.bench import open_providers
from triolet.app.bot import serve_bot
from triolet.config import Settings
from triolet.core.ports import Provider
from triolet.core.updates import BotIdentity
from triolet.store import ThreadExecutor

log = structlog.get_logger()


async def run_service(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT, then end in order; a second signal, or one before the bot is ready, ends at once.

    Raises:
        StartError: the bot cannot be served.
    """
    shutdown = trio.Event()
    async with open_providers(settings.model) as providers, trio.open_nursery() as nursery:
        everything = nursery.cancel_scope
        signals = await nursery.start(_obey_signals, shutdown, everything)
        await nursery.start(_serve, settings, providers, shutdown, everything)
        signals.in_order = True


@attrs.define
class _Obedience:
    """How the next signal is obeyed: at once, or ``in_order``."""

    in_order: bool = False


async def _serve(
    settings: Settings,
    providers: Sequence[Provider],
    shutdown: trio.Event,
    everything: trio.CancelScope,
    *,
    task_status: trio.TaskStatus[BotIdentity],
) -> None:
    await serve_bot(settings, providers, executor=ThreadExecutor(), shutdown=shutdown, task_status=task_status)
    everything.cancel(reason="served")


async def _obey_signals(
    shutdown: trio.Event, everything: trio.CancelScope, *, task_status: trio.TaskStatus[_Obedience]
) -> None:
    obedience = _Obedience()
    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        task_status.started(obedience)
        async for number in signals:
            log.info("bot.shutting_down", signal=signal.Signals(number).name)
            if shutdown.is_set() or not obedience.in_order:
                everything.cancel(reason="a signal that does not wait")
            shutdown.set()
