"""Turns of all programs that meet in one town: each is asked, timed until its first text shows, and let finish."""

from __future__ import annotations

import gc
import math
import random
import statistics
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final, Literal, TypeAlias

import attrs
from racing import FLOOR, TRIOLET, Program, Racer, Town, Way, start

PATIENCE: Final = 30.0
"""Seconds for anything to happen."""

WAIT: Final = 0.06
"""Seconds from the request to the first word."""

WARM_UP: Final = 2
"""Questions that do not count. Triolet opens its SDK with the first, or a second after its start."""

SETTLING: Final = 2.5
"""Seconds of rest after them: what has been put off until after the start is done then."""

BLOCK: Final = 6
"""Turns that a program has in a row. Most programs close a connection that nobody has used for five seconds."""

STARTS: Final = 5
BUSY: Final = 100
BUSY_EVERY: Final = 0.1
"""Seconds from a word to the next, in each of the other answers."""


@attrs.frozen
class Case:
    """``share`` of the turns are measured. Cases of one way share their processes."""

    name: str
    way: Way = attrs.Factory(Way)
    wait: float = WAIT
    group: bool = False
    busy: int = 0
    share: float = 0.12
    programs: tuple[Program, ...] = (FLOOR, TRIOLET)


Part: TypeAlias = Literal["asked", "shown"]
PARTS: Final[tuple[Part, ...]] = ("asked", "shown")


@attrs.frozen
class Lap:
    """Seconds."""

    asked: float
    shown: float


@attrs.frozen
class Row:
    """A program's laps in one case."""

    case: str
    program: str
    laps: Sequence[Lap]

    def p50(self, part: Part) -> float:
        return statistics.median(self._seconds(part))

    def p99(self, part: Part) -> float:
        """Of fewer than a hundred, that is the most."""
        return nearest_rank(self._seconds(part), 0.99)

    def _seconds(self, part: Part) -> list[float]:
        return [lap.asked if part == "asked" else lap.shown for lap in self.laps]


def nearest_rank(values: Iterable[float], part: float) -> float:
    """The least value that so large a part of them do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(part * len(ordered)) - 1)]


class Stalled(Exception):
    """A program did nothing for too long; says which one, and what it wrote."""

    def __init__(self, racer: Racer, what: str) -> None:
        written = racer.log.read_text(encoding="utf-8", errors="replace")[-2000:]
        super().__init__(f"{racer.name} {what} within {PATIENCE:g} s\n{written}")


# A turn


def run_lap(town: Town, racer: Racer, case: Case) -> Lap:
    """Ask, wait for the first text, let the answer end, and leave it alone for a random while."""
    number = racer.draw_chat()
    town.talker.wait = case.wait
    racer.bot.ask(-number if case.group else number)
    lap = follow(town, racer, number)
    town.talker.asked[number].is_enough = True
    rest(town, racer, number)
    return lap


def follow(town: Town, racer: Racer, number: int) -> Lap:
    """Until that chat's question has its first text."""
    seen, asked = racer.bot.seen[number], town.talker.asked
    if not town.loop.run_until(lambda: number in asked, PATIENCE):
        raise Stalled(racer, "asked nothing")
    if not town.loop.run_until(lambda: bool(seen.shown_at), PATIENCE):
        raise Stalled(racer, "showed nothing")
    return Lap(asked[number].at - seen.handed_at, seen.shown_at - asked[number].spoken_at)


def rest(town: Town, racer: Racer, number: int) -> None:
    """Until the answer has ended, and nothing has been said about it for a random while."""
    question, seen = town.talker.asked[number], racer.bot.seen[number]
    pause = random.uniform(0.02, 0.07)  # noqa: S311  # nobody guesses it
    over_at: list[float] = []

    def is_quiet() -> bool:
        if question.is_over and not over_at:
            over_at.append(time.monotonic())
        return bool(over_at) and time.monotonic() - max(*over_at, seen.newest_at) > pause

    town.loop.run_until(is_quiet, PATIENCE)


def warm_up(town: Town, racers: Iterable[tuple[Racer, Case]]) -> None:
    racers = list(racers)
    for racer, _ in racers:
        if not town.loop.run_until(lambda racer=racer: racer.bot.polls > 0, PATIENCE):  # type: ignore[misc]
            raise Stalled(racer, "did not poll")
    for number in range(WARM_UP):
        for racer, case in racers:
            run_lap(town, racer, case)
        if not number:
            town.loop.rest(SETTLING)


@contextmanager
def undisturbed() -> Iterator[None]:
    """No garbage is collected in the servers' process."""
    gc.collect()
    gc.freeze()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


# The cases


@attrs.define
class Meeting:
    """All programs that have been started, by how they speak; every one has a number."""

    town: Town
    racers: dict[tuple[Program, Way], Racer] = attrs.Factory(dict)
    started: int = 0

    def start(self, program: Program, way: Way) -> Racer:
        self.started += 1
        return start(self.town, program, way, self.started)

    def of(self, case: Case) -> list[Racer]:
        for program in case.programs:
            if (program, case.way) not in self.racers:
                self.racers[program, case.way] = self.start(program, case.way)
        return [self.racers[program, case.way] for program in case.programs]

    def end(self) -> None:
        for racer in self.racers.values():
            racer.end()
        self.racers.clear()


def measure_warm(meeting: Meeting, cases: Sequence[Case], turns: int) -> list[Row]:
    """All cases at once: the next block is that of any program in any of them; its first lap is not counted."""
    town = meeting.town
    entries = [(case, racer) for case in cases for racer in meeting.of(case)]
    warm_up(town, {racer.log: (racer, case) for case, racer in entries}.values())
    laps: dict[tuple[str, str], list[Lap]] = {(case.name, racer.name): [] for case, racer in entries}
    schedule = [(case, racer, size) for case, racer in entries for size in blocks(share_of(turns, case.share))]
    random.shuffle(schedule)
    with undisturbed():
        for case, racer, size in schedule:
            run_lap(town, racer, case)
            laps[case.name, racer.name].extend(run_lap(town, racer, case) for _ in range(size))
    return [Row(case, program, each) for (case, program), each in laps.items()]


def share_of(turns: int, share: float) -> int:
    return max(1, round(turns * share))


def blocks(turns: int) -> list[int]:
    """How many turns are in each block."""
    return [min(BLOCK, turns - done) for done in range(0, turns, BLOCK)]


def measure_busy(meeting: Meeting, case: Case, turns: int) -> list[Row]:
    """One program after the other: only the one that is measured is busy."""
    rows = []
    racers = meeting.of(case)
    warm_up(meeting.town, [(racer, case) for racer in racers if not racer.used])
    for racer in racers:
        others = begin_others(meeting.town, racer, case.busy)
        with undisturbed():
            laps = [run_lap(meeting.town, racer, case) for _ in range(share_of(turns, case.share))]
        rows.append(Row(case.name, racer.name, laps))
        for number in others:
            meeting.town.talker.asked[number].is_enough = True
        meeting.town.loop.rest(1.0)
    return rows


def begin_others(town: Town, racer: Racer, count: int) -> list[int]:
    """Have so many other answers written, not all in one beat."""
    town.talker.every, usual = BUSY_EVERY, town.talker.every
    others = [racer.draw_chat() for _ in range(count)]
    for number in others:
        racer.bot.ask(number)
        town.loop.rest(BUSY_EVERY * random.random() / 5)  # noqa: S311
    if not town.loop.run_until(lambda: all(number in town.talker.asked for number in others), PATIENCE):
        raise Stalled(racer, "did not ask everything")
    town.loop.rest(2.0)
    town.talker.every = usual
    return others


def measure_cold(meeting: Meeting) -> list[tuple[Row, float]]:
    """Each program's first laps, and the median of seconds from its process's start to its request."""
    programs = (FLOOR, TRIOLET)
    begun: list[list[float]] = [[] for _ in programs]
    laps: list[list[Lap]] = [[] for _ in programs]
    for _ in range(STARTS):
        for place, program in enumerate(programs):
            seconds, lap = run_cold(meeting, program)
            begun[place].append(seconds)
            laps[place].append(lap)
    rows = [Row("cold", program.name, each) for program, each in zip(programs, laps, strict=True)]
    return list(zip(rows, map(statistics.median, begun), strict=True))


def run_cold(meeting: Meeting, program: Program) -> tuple[float, Lap]:
    """Seconds from a new process's start to its first request, and its first lap."""
    town = meeting.town
    town.talker.wait = WAIT
    at = time.monotonic()
    racer = meeting.start(program, Way())
    try:
        number = racer.draw_chat()
        racer.bot.ask(number)
        lap = follow(town, racer, number)
    finally:
        racer.end()
    return town.talker.asked[number].at - at, lap
