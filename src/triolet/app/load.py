"""What looks how busy the loop is: see `core.load`, which decides what comes of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import NoReturn

import structlog
import trio

from triolet.core.load import Load

LOOK_SECONDS = 1.0

TOLD = 1.5
"""The stretch from which on it is worth a line: one late look is not."""

log = structlog.get_logger()


async def watch_load(load: Load, cpu_clock: Callable[[], float]) -> NoReturn:
    """Tell the load what there is to see; ``cpu_clock`` gives the seconds that the loop's thread has computed."""
    while True:
        began, used = trio.current_time(), cpu_clock()
        await trio.sleep(LOOK_SECONDS)
        seconds = trio.current_time() - began
        was_calm = load.stretch < TOLD
        load.observe(busy=(cpu_clock() - used) / seconds, late=seconds - LOOK_SECONDS)
        if was_calm != (load.stretch < TOLD):
            log.info("load.calm" if load.stretch < TOLD else "load.busy")
