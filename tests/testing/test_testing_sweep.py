"""The sweep on small programs whose mistakes are known: it finds each of them, and finds none where there is none."""

from __future__ import annotations

import itertools
import math
import os
import random
import re
import subprocess
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import memory_stream_pair

from triolet.testing import NotRepeatableError, Trial, every_task, replay, sweep, task_name, waits_in
from triolet.testing.sweeping import chosen

Scenario = Callable[[Trial], Awaitable[None]]


def failing_points(scenario: Scenario, **options: Any) -> list[str]:
    """The points at which the scenario fails, with the lines at which it was struck."""
    try:
        sweep(scenario, failures=1000, replayed_by=str, **options)
    except ExceptionGroup as group:
        return [error.__notes__[0] for error in group.exceptions]
    return []


def test_each_point_is_struck_once_and_counted_by_task() -> None:
    cancelled_at = []

    async def scenario(trial: Trial) -> None:
        async def child() -> None:
            await trio.sleep(2)

        with trial.cancels():
            async with trio.open_nursery() as nursery:
                nursery.start_soon(child)
                await trio.sleep(1)
        if trial.point is not None:
            cancelled_at.append((trial.point, trio.current_time(), trial.hit))

    report = sweep(scenario)
    assert cancelled_at == [
        (1, 0.0, True),  # behind the parent's first step: it sleeps
        *((2, 0.0, True), (3, 0.0, True)),  # ahead of the child's first step, and behind it: it sleeps, too
        *((4, 1.0, True), (5, 1.0, True)),  # the parent wakes, and waits for the child
        *((6, 2.0, True), (7, 2.0, False)),  # the child wakes, and has ended
        (8, 2.0, False),  # the parent learns of it
    ]
    assert (report.runs, report.missed) == (8, 2)
    assert report.hits == {"scenario": 3, "child": 3}


def test_unshielded_commit_is_found_behind_and_ahead_of_its_wait() -> None:
    async def scenario(trial: Trial) -> None:
        done = []
        with trial.cancels():
            try:
                await trio.sleep(1)
            finally:
                await trio.sleep(0.1)
                done.append("commit")
        assert done

    assert len(failing_points(scenario)) == 4


def test_slot_that_is_taken_before_the_try_is_lost_by_a_cancel_that_waits() -> None:
    """What is woken with the slot in its hands, and then learns of the cancel, must put it back."""

    def scenario_of(use: Callable[[trio.Semaphore], Awaitable[None]]) -> Scenario:
        async def scenario(trial: Trial) -> None:
            slots = trio.Semaphore(1)
            with trial.cancels():
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(use, slots)
                    nursery.start_soon(use, slots)
            assert slots.value == 1

        return scenario

    async def careless(slots: trio.Semaphore) -> None:
        await slots.acquire()
        await trio.lowlevel.checkpoint()
        try:
            await trio.sleep(1)
        finally:
            slots.release()

    async def careful(slots: trio.Semaphore) -> None:
        async with slots:
            await trio.sleep(1)

    assert any("in careless" in point for point in failing_points(scenario_of(careless), seeds=range(3)))
    assert failing_points(scenario_of(careful), seeds=range(3)) == []


async def deaf_behind_a_shield() -> None:
    try:
        await trio.sleep_forever()
    except trio.Cancelled:
        with trio.CancelScope(shield=True):
            await trio.sleep_forever()


async def deaf_to_cancels() -> None:
    while True:
        try:
            await trio.sleep(1)
        except trio.Cancelled:  # the mistake
            continue


async def busy_with_a_closed_stream() -> None:
    stream, _ = memory_stream_pair()
    await stream.aclose()
    while True:
        try:
            await stream.receive_some()
        except trio.ClosedResourceError:
            continue


async def beating() -> None:
    with trio.CancelScope(shield=True):
        while True:
            await trio.sleep(1)


def hanging(hang: Callable[[], Awaitable[None]]) -> str:
    """What the failure of a sweep tells, in which a task never ends."""

    async def scenario(trial: Trial) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(hang)
            with trial.cancels():
                await trio.sleep(1)

    with pytest.raises(ExceptionGroup) as hangs:
        sweep(scenario, limit=10)
    [error] = hangs.value.exceptions
    return "\n".join(error.__notes__)


@pytest.mark.parametrize(
    "hang", [deaf_behind_a_shield, busy_with_a_closed_stream, beating], ids=lambda hang: hang.__name__
)
def test_run_that_hangs_ends_and_tells_who_waits_where(hang: Callable[[], Awaitable[None]]) -> None:
    told = hanging(hang)
    assert "seed 0: nothing was struck" in told
    assert f"{hang.__name__} at " in told


@pytest.mark.parametrize("hang", ["deaf_to_cancels", "busy_with_a_closed_stream"])
def test_run_that_nothing_can_end_is_broken_off(hang: str) -> None:
    """In a process of its own: what is broken off so leaves coroutines behind that complain of their end."""
    program = f"import test_testing_sweep as tests; print(tests.hanging(tests.{hang}))"
    ended = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path])},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert f"{hang} at " in ended.stdout


def test_tasks_elsewhere_count_only_where_they_are_watched() -> None:
    def scenario_of(**watch: Any) -> Scenario:
        async def scenario(trial: Trial) -> None:
            async def server() -> None:
                while True:
                    await trio.sleep(0.3)

            async with trio.open_nursery() as nursery:
                nursery.start_soon(server)
                await trio.sleep(0.1)
                with trial.cancels(**watch):
                    await trio.sleep(1)
                nursery.cancel_scope.cancel()

        return scenario

    assert set(sweep(scenario_of()).hits) == {"scenario"}
    assert set(sweep(scenario_of(watch=every_task)).hits) == {"scenario", "server"}
    assert set(sweep(scenario_of(watch=lambda task: waits_in(task, "server"))).hits) == {"server"}


def test_error_comes_out_of_what_the_task_waits_for() -> None:
    async def scenario(trial: Trial) -> None:
        seen: list[str] = []
        with trial.raises(OSError("the disk is full")):
            for name in ("first", "second"):
                try:
                    await trio.sleep(1)
                except OSError as error:
                    seen.append(f"{name}: {error}")
        struck = {1: ["first: the disk is full"], 3: ["second: the disk is full"]}
        assert seen == struck.get(trial.point or 0, [])
        assert trial.hit == bool(seen)

    report = sweep(scenario)
    assert (report.runs, report.missed) == (4, 2)


def test_mistake_in_a_strike_is_told_and_not_only_logged() -> None:
    async def scenario(trial: Trial) -> None:
        with trial.strikes(lambda: 1 / 0):
            await trio.sleep(1)

    with pytest.raises(ExceptionGroup) as failed:
        sweep(scenario)
    assert {type(error) for error in failed.value.exceptions} == {ZeroDivisionError}


def test_scenario_that_is_never_the_same_is_refused() -> None:
    numbers = itertools.count()

    async def scenario(trial: Trial) -> None:
        async def odd() -> None:
            await trio.sleep(1)

        async def even() -> None:
            await trio.sleep(1)

        with trial.cancels():
            async with trio.open_nursery() as nursery:
                nursery.start_soon(odd if next(numbers) % 2 else even)

    with pytest.raises(ExceptionGroup) as refused:
        sweep(scenario)
    [error] = refused.value.exceptions
    assert isinstance(error, NotRepeatableError)
    assert re.fullmatch(
        r"0:\d was (odd|even) at .* and then (odd|even) at .*: this scenario is not the same.*", str(error)
    )


def test_scenario_without_a_point_is_refused() -> None:
    async def scenario(trial: Trial) -> None:
        await trio.sleep(1)

    with pytest.raises(ValueError, match="enters no block"):
        sweep(scenario)


def test_block_in_which_nothing_waits_is_refused() -> None:
    async def scenario(trial: Trial) -> None:
        with trial.cancels(watch=lambda task: waits_in(task, "sceario")):
            await trio.sleep(1)

    with pytest.raises(ValueError, match="no task that is watched waits"):
        sweep(scenario)


def test_one_block_within_another_is_refused() -> None:
    async def scenario(trial: Trial) -> None:
        with trial.cancels(), trial.cancels():
            await trio.sleep(1)

    with pytest.raises(RuntimeError, match="one strike"):
        Trial().run(scenario)


def test_what_fails_without_a_strike_fails_at_once() -> None:
    async def scenario(trial: Trial) -> None:
        with trial.cancels():
            await trio.sleep(1)
        raise LookupError

    with pytest.raises(ExceptionGroup) as failed:
        sweep(scenario, seeds=[5])
    [error] = failed.value.exceptions
    assert isinstance(error, LookupError)
    assert error.__notes__ == ["seed 5: nothing was struck"]


def test_failure_that_is_no_exception_is_collected_too() -> None:
    """pytest.fail and pytest.raises raise such ones, and so does who keeps a Cancelled and raises it again."""

    async def scenario(trial: Trial) -> None:
        with trial.cancels():
            await trio.sleep(1)
        if trial.hit:
            pytest.fail("it was cancelled")

    with pytest.raises(BaseExceptionGroup) as failed:
        sweep(scenario)
    assert [type(error) for error in failed.value.exceptions] == [pytest.fail.Exception] * 2
    assert all("replay(scenario, " in error.__notes__[0] for error in failed.value.exceptions)


@pytest.mark.parametrize("given", [KeyboardInterrupt, SystemExit])
def test_person_who_wants_to_stop_is_heard(given: type[BaseException]) -> None:
    async def scenario(trial: Trial) -> None:
        raise given

    with pytest.raises(given):
        sweep(scenario)


@pytest.mark.parametrize("where", ["watch", "label", "strike"])
def test_mistake_of_whoever_looks_is_told(where: str) -> None:
    """Trio would log it, and the sweep would go on without looking."""
    steps = itertools.count()

    def fail(task: object = None) -> Any:
        if next(steps) > 2:
            raise KeyError("nobody has that name")
        return True

    async def scenario(trial: Trial) -> None:
        struck = trial.strikes(fail) if where == "strike" else trial.cancels(watch=fail if where == "watch" else None)
        with struck:
            for _ in range(5):
                await trio.sleep(1)

    with pytest.raises(ExceptionGroup) as failed:
        sweep(scenario, label=fail if where == "label" else task_name)
    assert {type(error) for error in failed.value.exceptions} == {KeyError}


def test_async_function_cannot_strike() -> None:
    async def scenario(trial: Trial) -> None:
        stream, _ = memory_stream_pair()
        with trial.strikes(stream.aclose):
            await trio.sleep(1)

    with pytest.raises(ExceptionGroup) as failed:
        sweep(scenario)
    assert {type(error) for error in failed.value.exceptions} == {TypeError}


def test_hit_is_what_the_scope_of_the_struck_block_has_caught() -> None:
    async def scenario(trial: Trial) -> None:
        with trial.cancels():
            await trio.sleep(1)
        with trial.cancels() as scope:
            await trio.sleep(1)
            with trio.CancelScope(shield=True):
                await trio.sleep(1)
            scope.cancel()
            await trio.lowlevel.checkpoint()

    hits = [replay(scenario, f"0:{point}").hit for point in range(1, counting(scenario).points + 1)]
    assert hits == [True] * len(hits)

    async def shielded(trial: Trial) -> None:
        with suppress(LookupError), trial.cancels(), trio.CancelScope(shield=True):
            await trio.sleep(1)
            raise LookupError

    assert sweep(shielded).hits == {}


def counting(scenario: Scenario) -> Trial:
    counted = Trial()
    counted.run(scenario)
    return counted


def test_error_that_a_wait_does_not_take_is_no_hit() -> None:
    async def scenario(trial: Trial) -> None:
        with trial.raises(OSError("broken")):
            await trio.lowlevel.cancel_shielded_checkpoint()

    assert sweep(scenario).hits == {}


@pytest.mark.parametrize(
    ("point", "error"), [("0:99", LookupError), ("0:0", LookupError), ("x", ValueError), ("0:x", ValueError)]
)
def test_point_that_there_is_not_is_told(point: str, error: type[Exception]) -> None:
    async def scenario(trial: Trial) -> None:
        with trial.cancels():
            await trio.sleep(1)

    with pytest.raises(error):
        replay(scenario, point)


@pytest.mark.parametrize("options", [{"seeds": ()}, {"most": 0}, {"failures": 0}, {"limit": math.inf}], ids=str)
def test_sweep_of_nothing_is_refused(options: dict[str, Any]) -> None:
    async def scenario(trial: Trial) -> None:
        with trial.cancels():
            await trio.sleep(1)

    with pytest.raises(ValueError, match=r"1 at least|no seed|not infinite"):
        sweep(scenario, **options)


def test_trial_runs_once() -> None:
    async def scenario(trial: Trial) -> None:
        await trio.sleep(1)

    trial = counting(scenario)
    with pytest.raises(RuntimeError, match="once"):
        trial.run(scenario)


def test_failures_before_a_run_that_differs_are_kept() -> None:
    """What a failed run leaves behind is the likeliest reason why the next one differs."""
    left: list[int] = []

    async def scenario(trial: Trial) -> None:
        with trial.cancels():
            for _ in range(3 + len(left)):
                await trio.sleep(1)
        if trial.hit:
            left.append(1)
            raise LookupError("the real mistake")

    with pytest.raises(ExceptionGroup) as failed:
        sweep(scenario)
    assert isinstance(failed.value.exceptions[0], LookupError)


def test_sweep_ends_after_so_many_failures() -> None:
    async def scenario(trial: Trial) -> None:
        with trial.cancels():
            for _ in range(10):
                await trio.sleep(1)
        assert trial.point is None

    with pytest.raises(ExceptionGroup, match="3 of 3 runs failed"):
        sweep(scenario, failures=3)


def order_of(seed: int) -> list[int]:
    order: list[int] = []

    async def scenario(trial: Trial) -> None:
        async def run(number: int) -> None:
            await trio.sleep(1)
            order.append(number)

        async with trio.open_nursery() as nursery:
            for number in range(5):
                nursery.start_soon(run, number)

    Trial(seed).run(scenario)
    return order


def test_seed_is_the_order_of_tasks() -> None:
    assert [order_of(seed) for seed in range(20)] == [order_of(seed) for seed in range(20)]
    assert len({tuple(order_of(seed)) for seed in range(20)}) > 10


def test_what_was_random_before_is_so_afterwards() -> None:
    random.seed(1)
    expected = random.random()
    random.seed(1)
    order_of(0)
    assert random.random() == expected


def test_replay_strikes_where_the_note_says() -> None:
    async def scenario(trial: Trial) -> None:
        with trial.cancels():
            await trio.sleep(1)
            await trio.sleep(1)

    trial = replay(scenario, "7:3")
    assert (trial.seed, trial.point, trial.hit, trial.label) == (7, 3, True, "scenario")
    assert "test_testing_sweep.py" in trial.struck


@given(st.lists(st.sampled_from("abcd"), min_size=1, max_size=60), st.integers(1, 70))
def test_chosen_points_are_spread_and_every_label_has_some(labels: list[str], most: int) -> None:
    points = chosen(labels, most)
    assert points == sorted(set(points))
    assert all(1 <= point <= len(labels) for point in points)
    assert len(points) == min(most, len(labels))
    if most >= 2 * len(set(labels)):
        assert {labels[point - 1] for point in points} == set(labels)


def test_many_points_have_many_and_both_ends_are_taken() -> None:
    labels = ["rare"] * 3 + ["often"] * 97
    points = chosen(labels, 20)
    assert (points[0], points[-1]) == (1, 100)
    assert sum(labels[point - 1] == "often" for point in points) >= 15


def test_all_points_are_chosen_by_default() -> None:
    assert chosen(["a", "b", "a"], None) == [1, 2, 3]
