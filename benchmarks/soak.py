"""Days of the whole bot in minutes: what does it keep that it should have let go, when 5 % of all calls fail?

The bot, with a database in a file and the provider for Chat Completions over HTTP, lives on an emulated Telegram with
the documented limits, in virtual time (`soak_town`): people ask by day, stop, interrupt, edit, block and press
buttons; calls are refused, flooded, delayed, lost, or carried out and lost; the model refuses, breaks off, falls
silent. Twice, each for half of the time, with the same seed:

    restarts   once a day the bot ends in the midst of it all, by a shutdown or by a kill, and begins anew on its file
    one life   it never ends: what grows here grows in a bot that nobody restarts

Every night at four, when nothing has anything to do, a look is taken: at the tasks and descriptors that are left over
from before anybody had written, at the heap (objects that Python's collector knows) and the resident memory, at the
database. The emulator forgets each night what only tests ask it, so that what grows is the bot's. What the database
keeps by design is counted apart: `usage` for ever, ids of updates for two weeks, and never fewer than 10,000.

    python benchmarks/soak.py [--minutes 0.5 | --days D] [--people 6] [--faults 0.05] [--seed 1] [--json] [--plot]
"""

from __future__ import annotations

import argparse
import gc
import math
import os
import random
import sqlite3
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing, suppress
from functools import partial
from pathlib import Path
from typing import Any, Final, NoReturn

import attrs
import report
import structlog
import trio
from soak_found import Found, Look, Plan, draw, figures, unanswered, unfinished
from soak_town import DAY, GROUP, HOUR, STRANGERS, Faults, MoodyModel, Town, forget, open_moody_model
from trio.lowlevel import Task
from trio.testing import MockClock

from triolet.app.bot import serve_bot
from triolet.config import (
    AccessSettings,
    GroupSettings,
    ModelSettings,
    Secret,
    Settings,
    StoreSettings,
    TelegramSettings,
)
from triolet.emulator import EmulatedTelegram, TelegramServer, open_telegram_server
from triolet.emulator.telegram import EPOCH
from triolet.errors import StartError
from triolet.providers import open_provider
from triolet.store import run_inline

TOKEN: Final = "42:bench"
FIRST_PERSON: Final = 1001
QUIET: Final = 4 * HOUR
PATIENCE: Final = HOUR
"""Virtual seconds after which what is still at work at the quiet hour counts as left over."""

MEMORY: Final = next((folder for folder in ("/dev/shm",) if Path(folder).is_dir()), None)  # noqa: S108  # its own folder
"""Where the database's file is: a disk's time is no part of this."""

MODEL: Final = ModelSettings(provider="openai-chat", name="moody", base_url="http://model.bench/v1")


# The bot


@attrs.define(eq=False)
class House:
    """The bot on its file, again and again."""

    server: TelegramServer
    model: MoodyModel
    settings: Settings
    chance: random.Random
    lives: int = 0
    shutdown: trio.Event = attrs.Factory(trio.Event)
    life: trio.CancelScope = attrs.Factory(trio.CancelScope)

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Begin anew whenever it ends, as a service does; returns never."""
        told = False
        while True:
            self.lives += 1
            self.shutdown, self.life = trio.Event(), trio.CancelScope()
            with self.life, suppress(StartError):  # its first call may fail like any other
                await self._live_once()
            if not told:
                task_status.started()
                told = True
            await trio.sleep(self.chance.uniform(1.0, 60.0))

    async def _live_once(self) -> None:
        async with open_provider(MODEL, connect=self.model.connect) as provider:
            await serve_bot(
                self.settings,
                [provider],
                executor=run_inline,
                connect=self.server.connect,
                wall_clock=lambda: EPOCH + trio.current_time(),
                shutdown=self.shutdown,
            )

    async def restart_daily(self) -> None:
        """Two in three times in order, and else at once."""
        for day in range(1_000_000):
            await trio.sleep_until(day * DAY + self.chance.uniform(9.0, 22.0) * HOUR)
            if self.chance.random() < 2 / 3:
                self.shutdown.set()
            else:
                self.life.cancel(reason="the bot is killed")


def bot_settings(database: Path, people: Sequence[int]) -> Settings:
    return Settings(
        telegram=TelegramSettings(token=Secret(TOKEN), api_base="http://telegram.bench"),
        access=AccessSettings(allow=tuple(people)),
        groups=GroupSettings(respond="all"),
        model=MODEL,
        store=StoreSettings(path=database),
    )


# Looking


def bot_tasks() -> Counter[str]:
    """The bot's tasks now, by name."""
    root = trio.lowlevel.current_root_task()
    assert root is not None  # noqa: S101  # Trio runs
    ours = (task.name for task in below(root))
    return Counter(name for name in ours if name.startswith("triolet.") and not name.startswith("triolet.emulator."))


def below(task: Task) -> Iterator[Task]:
    for nursery in task.child_nurseries:
        for child in nursery.child_tasks:
            yield child
            yield from below(child)


@attrs.define(eq=False)
class Watch:
    """Takes the looks; ``rest`` are the tasks of a bot to which nobody has written."""

    server: TelegramServer
    model: MoodyModel
    town: Town
    database: Path
    found: Found
    rest: Counter[str] = attrs.Factory(Counter)

    async def begin(self) -> None:
        """The first look: at a bot that has answered a question, and has imported what it takes to."""
        self.rest = bot_tasks()
        self.town.ask_first()
        await trio.sleep(HOUR / 2)
        await self._end_day(0)

    async def look_daily(self) -> None:
        """Until there is no time left."""
        began = time.perf_counter()
        for day in range(1, 1_000_000):
            await trio.sleep_until(day * DAY + QUIET)
            await self._end_day(day)
            self.found.seconds = time.perf_counter() - began
            # Another day must fit in.
            if day >= self.found.plan.days or self.found.seconds * (day + 1) / day > self.found.plan.seconds:
                return

    async def _end_day(self, day: int) -> None:
        await self._wait_quiet()
        self._judge(day)
        self.town.forget_day()
        forget(self.server.telegram)
        self.found.looks.append(self._look(day))

    async def _wait_quiet(self) -> None:
        with trio.move_on_after(PATIENCE):
            while bot_tasks() != self.rest:  # noqa: ASYNC110  # nothing tells of it
                await trio.sleep(10.0)

    def _judge(self, day: int) -> None:
        for chat in (*self.town.people, GROUP):
            screen = self.server.screen(chat)
            if chat not in self.town.unreachable:
                asked = [each for each in self.town.asked if each.chat == chat]
                self.found.untold += [f"day {day}: {each}" for each in unanswered(screen.messages, asked)]
                self.found.broken += [f"day {day}, {chat}: {each}" for each in unfinished(screen.messages)]
            if screen.draft is not None:
                self.found.broken.append(f"day {day}, {chat}: a draft")

    def _look(self, day: int) -> Look:
        gc.collect()
        with closing(sqlite3.connect(self.database)) as connection:
            rows, sizes = count_rows(connection), table_sizes(connection)
        resident = int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
        return Look(
            day,
            tasks=dict((bot_tasks() - self.rest) + (self.rest - bot_tasks())),
            descriptors=len(os.listdir("/proc/self/fd")),  # noqa: PTH208  # SQLite keeps that of the look itself
            connections=self.model.connections,
            objects=len(gc.get_objects()),
            memory=resident,
            database=self.database.stat().st_size,
            log=self.database.with_name(f"{self.database.name}-wal").stat().st_size,
            rows=rows,
            sizes=sizes,
        )


def count_rows(connection: sqlite3.Connection) -> dict[str, int]:
    tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
    count = "SELECT count(*) FROM "
    return {name: connection.execute(count + name).fetchone()[0] for name in sorted(tables)}


def table_sizes(connection: sqlite3.Connection) -> dict[str, int]:
    """Bytes in use of each table with its indices; nothing where SQLite was built without `dbstat`."""
    query = """
        SELECT coalesce(tbl_name, 'schema'), sum(pgsize - unused) FROM dbstat
        LEFT JOIN sqlite_master USING (name) GROUP BY 1
    """
    try:
        return dict(connection.execute(query))
    except sqlite3.OperationalError:
        return {}


# Playing


async def play(plan: Plan, folder: Path) -> Found:
    """Days in the town, on a database in the folder."""
    found = Found(plan)
    chance = random.Random(plan.seed)  # noqa: S311  # the same each time
    faults, people = Faults(chance, plan.faults), range(FIRST_PERSON, FIRST_PERSON + plan.people)
    telegram = EmulatedTelegram(token=TOKEN, latency=faults, epoch=EPOCH)
    for person in (*people, *STRANGERS):
        telegram.add_private_chat(person)
    telegram.add_group(GROUP, "Friends", list(people), supergroup=True)
    database = folder / "soak.db"
    async with open_telegram_server(telegram) as server, open_moody_model(chance) as model:
        town = Town(server, chance, people, plan.pause)
        house = House(server, model, bot_settings(database, people), chance)
        model.only = "whole"
        async with trio.open_nursery() as nursery:
            nursery.start_soon(house.run)
            await trio.sleep(HOUR / 2)
            watch = Watch(server, model, town, database, found)
            await watch.begin()
            model.only, faults.telegram = "", telegram  # so far all went well
            nursery.start_soon(town.run)
            if plan.restarts:
                nursery.start_soon(house.restart_daily)
            await watch.look_daily()
            nursery.cancel_scope.cancel(reason="the days are over")
    found.questions, found.calls, found.lives = town.questions, faults.calls, house.lives
    found.faults, found.moods = faults.dealt, model.moods
    return found


def play_in_virtual_time(plan: Plan) -> Found:
    with tempfile.TemporaryDirectory(dir=MEMORY) as folder:
        return trio.run(play, plan, Path(folder), clock=MockClock(autojump_threshold=0))


# Telling


def details(found: Found) -> dict[str, Any]:
    return attrs.asdict(found)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    usual = Plan(days=math.inf, seconds=math.inf)
    parser.add_argument("--minutes", type=float, default=0.5, help="real time for both plays together")
    parser.add_argument("--days", type=float, help="virtual days of each, in the place of a time")
    parser.add_argument("--people", type=int, default=usual.people)
    parser.add_argument("--faults", type=float, default=usual.faults, help="the part of all calls that fails")
    parser.add_argument("--seed", type=int, default=usual.seed)
    report.add_options(parser)
    given = parser.parse_args(arguments)
    plan = Plan(
        days=given.days or math.inf,
        seconds=math.inf if given.days else given.minutes * 60 / 2,
        people=given.people,
        faults=given.faults,
        seed=given.seed,
    )
    mistakes: list[str] = []
    structlog.configure(processors=[partial(note_mistake, mistakes)])
    plays: dict[str, Found] = {}
    for name, restarts in {"restarts": True, "one life": False}.items():
        mistakes.clear()
        plays[name] = play_in_virtual_time(attrs.evolve(plan, restarts=restarts))
        plays[name].mistakes += mistakes
    told = [figure for name, found in plays.items() for figure in figures(name, found)]
    report.tell(given, told, lambda axes: draw(plays, axes), {name: details(found) for name, found in plays.items()})
    for name, found in plays.items():
        for problem in (*found.untold, *found.broken, *found.mistakes):
            print(f"{name}: {problem}")


def note_mistake(mistakes: list[str], _logger: Any, _method: str, event: structlog.typing.EventDict) -> NoReturn:
    """Failures are what is played, and logged as such; a traceback is of something that nobody expected."""
    if event.get("exc_info"):
        mistakes.append(str(event["event"]))
    raise structlog.DropEvent


if __name__ == "__main__":
    main()
