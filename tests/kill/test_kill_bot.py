"""The whole bot as a process, killed at every boundary of its input and output, and again while it recovers.

By default a sample of the points; as many deaths as one likes, for whoever has the time::

    KILLS=5000 pytest -n 2 tests/kill

A failure tells how to see its fate again; with ``-rP`` one that ends well is told of, too. It may end otherwise than
the first time: threads and sockets are real.

Time runs `RATE` times as fast. Much faster, a process that waits for its share of a processor takes answers that are
only late for lost ones.
"""

from __future__ import annotations

import math
import os
import signal
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from subprocess import Popen
from typing import Any, Final

import pytest
import trio
from kill_judges import kind_of, missing
from kill_scenarios import SCENARIOS
from kill_world import BotServer, Fate, Played, open_bot_server, open_forge, play
from trio.testing import MockClock

KILLS: Final = int(os.environ.get("KILLS", "180"))
STOPS: Final = int(os.environ.get("STOPS", "100"))
REPLAY: Final = os.environ.get("KILL_REPLAY", "")
RATE: Final = float(os.environ.get("KILL_RATE", "20"))
STOP_RATE: Final = min(3.0, RATE)
"""A shutdown is measured in seconds of the clock on the wall: it must not be the machine that is late."""
AT_ONCE: Final = 5
STOPS_AT_ONCE: Final = 12
STOP_PARTS: Final = 4
PARTS: Final = 1 + KILLS // 1500
DEATHS_EACH: Final = 1.75
"""Of a fate: some of the second strikes come too late, when nothing is left to be done."""
GOLDEN: Final = 0.618034

IN_TIME: Final = [name for name, scenario in SCENARIOS.items() if not scenario.faults]
"""Where an orderly end is promised to leave nothing behind: not on a Telegram that takes seconds for a call."""
SCENARIO_PARTS: Final = [(scenario, part) for scenario in SCENARIOS for part in range(PARTS)]


@pytest.fixture(scope="session")
def forge() -> Iterator[Popen[bytes]]:
    with open_forge() as program:
        yield program


def spread(points: int, count: int, part: int = 0, parts: int = 1) -> list[int]:
    """A part of so many of the points 1, 2 ... ``points``, evenly; if there are fewer, all of them in turn."""
    chosen = [1 + (n % points if count >= points else int((n + 0.5) * points / count)) for n in range(count)]
    return chosen[part::parts]


def fates(scenario: str, points: int, part: int) -> list[Fate]:
    """Two deaths each: where the second lies is as good as chance, and the same every time."""
    count = max(1, round(KILLS / DEATHS_EACH / len(SCENARIOS)))
    firsts = spread(points, count, part, PARTS)
    # The later the first, the less is left for the second to strike; a start is the least.
    left = [max(30.0, 1.2 * points - first) for first in firsts]
    seconds = [1 + int((n * PARTS + part) * GOLDEN % 1 * most) for n, most in enumerate(left)]
    return [Fate(scenario, pair) for pair in zip(firsts, seconds, strict=True)]


async def play_all(server: BotServer, fates: Sequence[Fate], at_once: int) -> list[Played]:
    played: list[Played] = []
    places = trio.Semaphore(at_once)

    async def play_one(fate: Fate) -> None:
        async with places:
            played.append(await play(server, fate))

    async with trio.open_nursery() as nursery:
        for fate in fates:
            nursery.start_soon(play_one, fate)
    return played


def sweep(
    forge: Popen[bytes],
    scenarios: Sequence[str],
    chosen: Callable[[str, int], Sequence[Fate]],
    *,
    rate: float,
    at_once: int,
) -> list[Played]:
    """Undisturbed runs, which tell how many points there are, and then all that are chosen of them."""
    if REPLAY:
        return run_all(forge, [Fate.parse(REPLAY)], rate, 1)
    calm = run_all(forge, [Fate(scenario) for scenario in scenarios], RATE, AT_ONCE)
    fates = [fate for each in calm for fate in chosen(each.fate.scenario, each.passed[0])]
    return [*calm, *run_all(forge, fates, rate, at_once)]


def run_all(forge: Popen[bytes], fates: Sequence[Fate], rate: float, at_once: int) -> list[Played]:
    async def run() -> list[Played]:
        async with open_bot_server(forge, rate) as server:
            return await play_all(server, fates, at_once)

    return trio.run(run, clock=MockClock(rate=rate))


def tell(played: Sequence[Played], request: pytest.FixtureRequest) -> None:
    """For the summary; fails if anything is wrong, with what and where."""
    wrong = [(each, faults) for each in played if (faults := each.faults())]
    asked = [(each.evidence, question) for each in played for question in each.evidence.asked]
    kinds = Counter(kind_of(message) for each in played for message in each.evidence.of_bot())
    sums = {
        "deaths": sum(len(each.evidence.deaths) for each in played),
        "orderly ends": sum(len(each.evidence.stops) for each in played),
        "processes": sum(len(each.passed) for each in played),
        "questions": len(asked),
        "of them answered whole": sum(not missing(*each) for each in asked),
        "notices of a restart": kinds["broken"],
        "notices of an unconfirmed message": kinds["copy"],
    }
    told: Any = {
        "sums": sums,
        "faults": dict(Counter(name for _, faults in wrong for name in faults)),
        "places": dict(Counter(place for each in played for place in each.places)),
    }
    request.node.user_properties.append(("kills", told))
    lines = "\n".join(line for each in played for line in lines_of(each, request.node.nodeid))
    if wrong:
        pytest.fail(f"{len(wrong)} of {len(played)} fates end badly:\n{lines}", pytrace=False)
    request.node.add_report_section("call", "kills", lines)


def lines_of(played: Played, test: str) -> Iterator[str]:
    """What is wrong, and how to see it again; when it is seen again, all there is to see."""
    faults = played.faults()
    if faults:
        yield f"KILL_REPLAY={played.fate} pytest '{test}'  # struck {', then '.join(played.places)}"
    for name, found in faults.items():
        yield from (f"    {name}: {fault}" for fault in found)
    for chat, messages in played.evidence.messages.items() if faults or REPLAY else ():
        yield from (f"    {chat}: {each.id} {each.sender}: {shortened(each.text)} {each.buttons}" for each in messages)
    if REPLAY:
        yield f"boundaries passed: {played.passed}"
        yield from played.evidence.output.splitlines()
        for chat, changes in played.evidence.changes.items():
            yield from (f"{chat}: {each.at:.2f} {each.kind} {each.message_id or ''} {each.text!r}" for each in changes)


def shortened(text: str) -> str:
    return repr(text if len(text) <= 160 else f"{text[:40]} … {text[-120:]}")


@pytest.mark.case("RR1", "RR2", "RR3", "RR4", "RR17", "X1", "X2")
@pytest.mark.parametrize(("scenario", "part"), SCENARIO_PARTS, ids=[f"{name}-{part}" for name, part in SCENARIO_PARTS])
def test_killed_anywhere_and_again_nothing_is_lost(
    scenario: str, part: int, forge: Popen[bytes], request: pytest.FixtureRequest
) -> None:
    chosen = partial(fates, part=part)
    tell(sweep(forge, [scenario], chosen, rate=RATE, at_once=AT_ONCE), request)


@pytest.mark.case("RR11", "X2")
@pytest.mark.parametrize("part", range(STOP_PARTS))
def test_told_to_end_anywhere_it_ends_in_order(part: int, forge: Popen[bytes], request: pytest.FixtureRequest) -> None:
    def chosen(scenario: str, points: int) -> list[Fate]:
        return [Fate(scenario, (at,), signal.SIGTERM) for at in spread(points, math.ceil(STOPS / len(IN_TIME)))]

    tell(sweep(forge, IN_TIME[part::STOP_PARTS], chosen, rate=STOP_RATE, at_once=STOPS_AT_ONCE), request)
