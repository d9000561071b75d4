"""The sweep on small programs whose mistakes are known: it finds each of them, and finds none where there is none."""

from __future__ import annotations

import itertools
import random
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from triolet.testing import NotRepeatableError, Trial, every_task, replay, sweep, waits_in
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


def test_swallowed_cancel_is_a_hang_that_tells_who_waits_where() -> None:
    async def deaf() -> None:
        while True:
            try:
                await trio.sleep_forever()
            except trio.Cancelled:
                with trio.CancelScope(shield=True):
                    await trio.sleep_forever()

    async def scenario(trial: Trial) -> None:
        with trio.move_on_after(1), trial.cancels():
            async with trio.open_nursery() as nursery:
                nursery.start_soon(deaf)
                await trio.sleep(0.5)
                nursery.cancel_scope.cancel()

    with pytest.raises(ExceptionGroup) as hangs:
        Trial().run(scenario, limit=10)
    [note] = hangs.value.__notes__
    assert note.startswith("After 10 virtual seconds:\n")
    assert "deaf at test_testing_sweep.py:" in note


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

    with pytest.raises(NotRepeatableError, match=r"'(odd|even)' and then at '(odd|even)'"):
        sweep(scenario)


def test_scenario_without_a_point_is_refused() -> None:
    async def scenario(trial: Trial) -> None:
        await trio.sleep(1)

    with pytest.raises(ValueError, match="no point"):
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

    with pytest.raises(LookupError):
        sweep(scenario)


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
def test_chosen_points_are_fair(labels: list[str], most: int) -> None:
    points = chosen(labels, most)
    assert points == sorted(set(points))
    assert all(1 <= point <= len(labels) for point in points)
    assert len(points) == min(most, len(labels))
    taken = [labels[point - 1] for point in points]
    shares = {label: taken.count(label) for label in set(labels)}
    largest = max(shares.values())
    assert all(share >= largest - 1 or share == labels.count(label) for label, share in shares.items())


def test_all_points_are_chosen_by_default() -> None:
    assert chosen(["a", "b", "a"], None) == [1, 2, 3]
