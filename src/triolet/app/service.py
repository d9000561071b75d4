"""`triolet run`: the bot as a process, from signal to signal."""

from __future__ import annotations

import signal

import structlog
import trio

from triolet.app.bot import serve_bot
from triolet.config import Settings
from triolet.providers import open_provider
from triolet.store import ThreadExecutor

log = structlog.get_logger()


async def run_service(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT, then end in order; a second signal ends at once.

    Raises:
        StartError: the bot cannot be served.
    """
    shutdown = trio.Event()
    async with open_provider(settings.model) as provider, trio.open_nursery() as nursery:
        await nursery.start(_obey_signals, shutdown, nursery.cancel_scope)
        await serve_bot(settings, provider, executor=ThreadExecutor(), shutdown=shutdown)
        nursery.cancel_scope.cancel(reason="served")


async def _obey_signals(
    shutdown: trio.Event, everything: trio.CancelScope, *, task_status: trio.TaskStatus[None]
) -> None:
    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        task_status.started()
        async for number in signals:
            if shutdown.is_set():
                everything.cancel(reason="a second signal")
            log.info("bot.shutting_down", signal=signal.Signals(number).name)
            shutdown.set()
