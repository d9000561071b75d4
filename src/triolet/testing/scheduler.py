"""The scheduler made repeatable: one seed, one order of all tasks. The only module that uses private names of Trio.

Trio shuffles the tasks that are ready at the same time, so that nobody relies on their order, and has no public way to
make it do so in the same way again. The two names for it are those that pytest-trio sets for Hypothesis
(https://github.com/python-trio/trio/issues/890); the third is how Trio itself wakes a task that is cancelled.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

import trio
from trio._core import _run


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Within the block every `trio.run` orders its tasks by the seed, and `random` begins at it, too."""
    states = (_run._ALLOW_DETERMINISTIC_SCHEDULING, _run._r.getstate(), random.getstate())  # noqa: SLF001
    _run._ALLOW_DETERMINISTIC_SCHEDULING = True  # type: ignore[misc]  # noqa: SLF001
    _run._r.seed(seed)  # noqa: SLF001
    random.seed(seed)
    try:
        yield
    finally:
        _run._ALLOW_DETERMINISTIC_SCHEDULING = states[0]  # type: ignore[misc]  # noqa: SLF001
        _run._r.setstate(states[1])  # noqa: SLF001
        random.setstate(states[2])


def raise_in(task: trio.lowlevel.Task, error: BaseException) -> bool:
    """Have what the task waits for fail with the error; False if it waits for nothing that can be given up."""

    def fail() -> NoReturn:
        raise error

    if task._abort_func is None:  # noqa: SLF001
        return False
    task._attempt_abort(fail)  # noqa: SLF001
    return True
