"""The whole bot, struck at every point of every scenario: whatever comes when, nothing is wrong afterwards.

By default some points of each are taken. All of them, in so many orders of the tasks, for whoever has the time::

    SWEEP_POINTS=all SWEEP_SEEDS=3 pytest -n auto tests/sweep

A failure tells how to see its run again.
"""

from __future__ import annotations

import os
from typing import Any

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from sweeps import PLAYS, STRIKES, label_of, open_world, play_on

from triolet.testing import Trial, replay, sweep

POINTS = os.environ.get("SWEEP_POINTS", "")
SEEDS = range(int(os.environ.get("SWEEP_SEEDS", "1")))
REPLAY = os.environ.get("SWEEP_REPLAY", "")
EXAMPLES = int(os.environ.get("SWEEP_EXAMPLES", "25"))
"""How many schedules Hypothesis chooses."""

PARTS = {"provider", "coalescer", "transport", "outbox", "commit", "conversation"}
DEFAULT = 2
"""How many points of each are taken by default."""
ENOUGH = 100
"""So many are of all parts."""

SHARED = {"shutdown", "kill", "stop", "cancel", "interrupt"}
"""What several conversations at once may take otherwise than each alone."""

PAIRS = [(play, strike) for play in PLAYS for strike in STRIKES if len(PLAYS[play].chats) == 1 or strike in SHARED]


def no_threads(*_: object, **__: object) -> None:
    pytest.fail("a thread was started under a virtual clock")


@pytest.fixture(autouse=True)
def all_in_one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trio._threads.start_thread_soon", no_threads)


@pytest.mark.case("RR18", "I1", "I3", "I4", "I6", "I8")
@pytest.mark.parametrize(("play", "strike"), PAIRS, ids=["-".join(pair) for pair in PAIRS])
def test_struck_anywhere_nothing_is_wrong(play: str, strike: str, request: pytest.FixtureRequest) -> None:
    async def scenario(trial: Trial) -> None:
        await play_on(trial, PLAYS[play], STRIKES[strike])

    if REPLAY:
        replay(scenario, REPLAY, label=label_of)
        return
    most = None if POINTS == "all" else int(POINTS or DEFAULT)
    report = sweep(scenario, seeds=SEEDS, most=most, label=label_of, replayed_by=replay_command(play, strike))
    told: Any = {"runs": report.runs, "without_effect": report.missed, "hits": dict(report.hits)}
    request.node.user_properties.append(("sweep", told))
    if most is None or most >= ENOUGH:
        assert PLAYS[play].parts(PARTS) - STRIKES[strike].spares <= set(report.hits), "each part has been struck"


def replay_command(play: str, strike: str) -> Any:
    test = f"tests/sweep/test_sweep_bot.py::test_struck_anywhere_nothing_is_wrong[{play}-{strike}]"
    return lambda point: f"SWEEP_REPLAY={point} pytest '{test}'"


@pytest.mark.case("RR19")
@pytest.mark.parametrize("play", ["five", "tools"])
def test_one_seed_is_one_call_log(play: str) -> None:
    def calls_of(seed: int) -> list[tuple[object, ...]]:
        journal: list[tuple[object, ...]] = []

        async def scenario(trial: Trial) -> None:
            async with open_world(PLAYS[play], "queue") as world:
                world.begin()
                await trio.sleep(30)
            calls = world.server.telegram.journal
            journal.extend((call.method, call.peer, call.received, call.params.get("text")) for call in calls)

        Trial(seed).run(scenario)
        return journal

    logs = [calls_of(seed) for seed in range(5)]
    assert [calls_of(seed) for seed in range(5)] == logs
    assert len(logs[0]) > 10


@pytest.mark.case("RR18")
@settings(max_examples=EXAMPLES)
@given(st.sampled_from(PAIRS), st.integers(0, 2**32), st.floats(0, 1, exclude_max=True))
def test_any_schedule_struck_anywhere(pair: tuple[str, str], seed: int, where: float) -> None:
    play, strike = pair

    async def scenario(trial: Trial) -> None:
        await play_on(trial, PLAYS[play], STRIKES[strike])

    counted = Trial(seed, label=label_of)
    counted.run(scenario)
    point = f"{seed}:{1 + int(where * counted.points)}"
    try:
        trial = replay(scenario, point, label=label_of)
    except BaseException as error:
        error.add_note(replay_command(play, strike)(point))
        raise
    assert trial.label == counted.labels[int(where * counted.points)], "one seed, one schedule"
