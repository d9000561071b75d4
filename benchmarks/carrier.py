"""Triolet as `triolet run` serves it, and beside it, in the same loop, a task that looks how late it wakes.

    python benchmarks/carrier.py SETTINGS      # the settings of `triolet run`, as JSON: see `Carried`

Each second it prints a line of JSON: see `Second`.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

import attrs
import trio

from triolet.app.service import run_service
from triolet.config import (
    AccessSettings,
    LimitSettings,
    ModelSettings,
    Secret,
    Settings,
    StoreSettings,
    TelegramSettings,
)
from triolet.observe.log import configure

TOKEN: Final = "42:bench"
FIRST_PERSON: Final = 1001
LOOK: Final = 0.01
"""Seconds between two wakings."""


@attrs.frozen
class Carried:
    """Where the servers and the database are, how many people may ask, and on which core it runs, if any."""

    api: str
    model: str
    database: str
    people: int
    core: int | None = None


@attrs.frozen
class Second:
    """What the process has used up so far, in seconds of CPU and bytes; and how late, in seconds, it woke since."""

    at: float
    cpu: float
    resident: int
    late: Sequence[float]


def settings_of(carried: Carried) -> Settings:
    return Settings(
        telegram=TelegramSettings(token=Secret(TOKEN), api_base=carried.api),
        access=AccessSettings(allow=tuple(range(FIRST_PERSON, FIRST_PERSON + carried.people))),
        model=ModelSettings(provider="openai-chat", name="chatter", base_url=carried.model, api_key=Secret("sk-bench")),
        limits=LimitSettings(max_turns=max(200, carried.people)),
        store=StoreSettings(path=Path(carried.database)),
    )


def resident() -> int:
    """Bytes of memory that the process holds (proc(5))."""
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGESIZE")


async def watch() -> None:
    late, told = list[float](), trio.current_time()
    while True:
        due = trio.current_time() + LOOK
        await trio.sleep_until(due)
        now = trio.current_time()
        # Who would have looked meanwhile would have been late as well, by as much less as they came later.
        late += (now - due - LOOK * missed for missed in range(1 + int((now - due) / LOOK)))
        if now - told >= 1:
            second = Second(time.monotonic(), time.process_time(), resident(), late)
            print(json.dumps(attrs.asdict(second)), flush=True)
            late, told = [], now


async def carry(carried: Carried) -> None:
    if carried.core is not None:
        os.sched_setaffinity(0, {carried.core})
    configure(secrets=[TOKEN])
    async with trio.open_nursery() as nursery:
        nursery.start_soon(watch)
        await run_service(settings_of(carried))
        nursery.cancel_scope.cancel()


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        trio.run(carry, Carried(**json.loads(sys.argv[1])))
