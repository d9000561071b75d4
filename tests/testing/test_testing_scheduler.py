"""The scheduler follows a seed within the block, and nobody notices it outside."""

from __future__ import annotations

import random

import pytest
import trio
from trio._core import _run

from triolet.testing.scheduler import raise_in, seeded


def state() -> tuple[object, object, object]:
    return _run._ALLOW_DETERMINISTIC_SCHEDULING, _run._r.getstate(), random.getstate()


def test_all_is_as_it_was_even_after_a_failure() -> None:
    before = state()

    def fail() -> None:
        with seeded(7):
            random.random()
            assert state() != before
            raise LookupError

    with pytest.raises(LookupError):
        fail()
    assert state() == before


def test_random_numbers_follow_the_seed() -> None:
    with seeded(7):
        first = random.random()
    with seeded(7):
        assert random.random() == first
    with seeded(8):
        assert random.random() != first


async def test_error_is_raised_where_the_task_waits(autojump_clock: object) -> None:
    seen: list[str] = []

    async def wait() -> None:
        try:
            await trio.sleep_forever()
        except OSError as error:
            seen.append(str(error))
            await trio.lowlevel.cancel_shielded_checkpoint()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait)
        await trio.testing.wait_all_tasks_blocked()
        [task] = nursery.child_tasks
        raise_in(task, OSError("broken"), lambda: seen.append("met"))
        raise_in(task, OSError("again"), lambda: seen.append("met again"))  # it has been woken, and waits for nothing
    assert seen == ["met", "broken"]
