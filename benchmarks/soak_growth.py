"""What one more chat, turn, stranger ... leaves behind in a bot that nobody restarts: bytes for each, by line of code.

Each act is done many times on the whole bot, in virtual time, when it has been done often enough to be warm; then
nothing happens for a while. What is still there of what `triolet` has allocated, directly or by what it called, is
told. The emulator has forgotten everything and does not count; nothing fails here.

    python benchmarks/soak_growth.py [--times 200] [--only chat]
"""

from __future__ import annotations

import argparse
import gc
import random
import tempfile
import tracemalloc
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final, TypeAlias

import attrs
import structlog
import trio
from soak import MEMORY, House, bot_settings, bot_tasks
from soak_town import GROUP, MoodyModel, forget, open_moody_model
from trio.testing import MockClock

import triolet
from triolet.emulator import Delay, EmulatedTelegram, ImpossibleAct, TelegramServer, open_telegram_server
from triolet.emulator.telegram import EPOCH

OURS: Final = str(Path(triolet.__file__).parent)
GUESTS: Final = str(Path(OURS) / "emulator")
FRAMES: Final = 10
LINES: Final = 8
PEOPLE: Final = range(1001, 11_001)
STRANGERS: Final = range(50_001, 60_001)
GROUPS: Final = range(-1001, -11_001, -1)
FEW: Final = 20
LULL: Final = 3600.0
"""Seconds in which every connection, every budget and every deadline that Trio remembers is done with."""


@attrs.define(eq=False)
class Street:
    """Whoever has not come yet, comes next."""

    server: TelegramServer
    model: MoodyModel
    rest: Counter[str]
    people: int = 0
    strangers: int = 0
    groups: int = 0
    asked: int = 0

    def person(self) -> int:
        self.people += 1
        self.server.telegram.add_private_chat(PEOPLE[self.people])
        return PEOPLE[self.people]

    async def ask(self, chat: int, user: int | None = None) -> None:
        """Ask, and wait until nothing is to be done about it."""
        self.asked += 1
        self.server.say(chat, f"q{self.asked}", user_id=user)
        await trio.sleep(1.0)
        await self.wait_rest()

    async def wait_rest(self) -> None:
        while bot_tasks() != self.rest:  # noqa: ASYNC110  # nothing tells of it
            await trio.sleep(1.0)


async def new_chat(street: Street) -> None:
    await street.ask(street.person())


async def turn(street: Street) -> None:
    """In one chat, which begins anew now and then."""
    await street.ask(PEOPLE[0])
    if street.asked % 10 == 0:
        street.server.say(PEOPLE[0], "/new")
        await trio.sleep(2.0)


async def edited_turn(street: Street) -> None:
    """An answer that grows in a message."""
    await street.ask(GROUP, PEOPLE[0])
    if street.asked % 10 == 0:
        street.server.say(GROUP, "/new", user_id=PEOPLE[0])
        await trio.sleep(2.0)


async def new_group(street: Street) -> None:
    """The bot is asked, and removed."""
    street.groups += 1
    group = GROUPS[street.groups]
    street.server.telegram.add_group(group, "Passers-by", [PEOPLE[0]], supergroup=True)
    await street.ask(group, PEOPLE[0])
    street.server.remove_bot(group)
    await trio.sleep(1.0)


async def foreign_group(street: Street) -> None:
    """Strangers add the bot to a group of theirs, and talk; nobody is answered."""
    street.groups += 1
    group, person = GROUPS[street.groups], STRANGERS[0]
    street.server.telegram.add_group(group, "Strangers", [person], supergroup=True)
    street.server.say(group, "Who are you?", user_id=person)
    await trio.sleep(1.0)


async def stranger(street: Street) -> None:
    street.strangers += 1
    street.server.telegram.add_private_chat(STRANGERS[street.strangers])
    street.server.say(STRANGERS[street.strangers], "Who are you?")
    await trio.sleep(1.0)


async def switch(street: Street) -> None:
    """A new chat switches something."""
    street.server.say(street.person(), "/stream edit")
    await trio.sleep(2.0)


async def command(street: Street) -> None:
    """A new chat that only wants help."""
    street.server.say(street.person(), "/help")
    await trio.sleep(2.0)


async def broken_off(street: Street) -> None:
    """A new chat whose answer breaks off: a button stays under it."""
    street.model.only = "breaks off"
    await street.ask(street.person())
    street.model.only = "whole"


async def stopped(street: Street) -> None:
    street.asked += 1
    street.server.say(PEOPLE[0], f"q{street.asked}")
    await trio.sleep(2.0)
    try:
        street.server.press_stop(PEOPLE[0])
    except ImpossibleAct:
        street.server.say(PEOPLE[0], "/stop")
    await trio.sleep(1.0)
    await street.wait_rest()


Act: TypeAlias = Callable[[Street], Awaitable[None]]
ACTS: Final[dict[str, Act]] = {
    "turn": turn,
    "edited turn": edited_turn,
    "stopped": stopped,
    "chat": new_chat,
    "group": new_group,
    "command": command,
    "switch": switch,
    "broken off": broken_off,
    "foreign group": foreign_group,
    "stranger": stranger,
}


def owned() -> Counter[str]:
    """Bytes that are there now by a line of ours: the one nearest to the allocation."""
    gc.collect()
    sizes = Counter[str]()
    for trace in tracemalloc.take_snapshot().traces:
        for frame in reversed(trace.traceback):
            if frame.filename.startswith(OURS) and not frame.filename.startswith(GUESTS):
                sizes[f"{frame.filename[len(OURS) + 1 :]}:{frame.lineno}"] += trace.size
                break
    return sizes


async def measure(act: Act, times: int, street: Street) -> Counter[str]:
    """Bytes for each time, by line."""
    for number in range(FEW):
        if number == FEW // 2:
            tracemalloc.start(FRAMES)  # what is there already does not count, but what replaces it does
        await act(street)
    before = await settled(street)
    for _ in range(times):
        await act(street)
    after = await settled(street)
    tracemalloc.stop()
    return Counter({line: (after[line] - before[line]) / times for line in after})


async def settled(street: Street) -> Counter[str]:
    await street.wait_rest()
    await trio.sleep(LULL)
    forget(street.server.telegram)
    return owned()


async def measure_all(acts: dict[str, Act], times: int, folder: Path) -> None:
    telegram = EmulatedTelegram(token="42:bench", latency=Delay(0.03, 0.03), epoch=EPOCH)  # noqa: S106  # nobody's
    for known in (PEOPLE[0], STRANGERS[0]):
        telegram.add_private_chat(known)
    telegram.add_group(GROUP, "Friends", [PEOPLE[0]], supergroup=True)
    chance = random.Random(1)  # noqa: S311  # the same each time
    async with open_telegram_server(telegram) as server, open_moody_model(chance) as model:
        house = House(server, model, bot_settings(folder / "growth.db", PEOPLE), chance)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(house.run)
            await trio.sleep(60.0)
            street = Street(server, model, bot_tasks())
            for name, act in acts.items():
                model.only = "whole"
                tell(name, await measure(act, times, street))
            nursery.cancel_scope.cancel(reason="all is measured")


def tell(name: str, growth: Counter[str]) -> None:
    print(f"{name}: {growth.total():.0f} bytes each", flush=True)
    for line, size in growth.most_common(LINES):
        if size >= 1.0:
            print(f"    {size:8.0f}  {line}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=int, default=200, help="how often each act is done")
    parser.add_argument("--only", choices=ACTS)
    given = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))  # failures are what is played
    acts = {given.only: ACTS[given.only]} if given.only else ACTS
    with tempfile.TemporaryDirectory(dir=MEMORY) as folder:
        trio.run(measure_all, acts, given.times, Path(folder), clock=MockClock(autojump_threshold=0))


if __name__ == "__main__":
    main()
