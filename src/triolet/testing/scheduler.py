"""The scheduler made repeatable: one seed, one order of all tasks. The only module that uses private names of Trio.

Trio shuffles the tasks that are ready at the same time, so that nobody relies on their order, and has no public way to
make it do so in the same way again. The two names for it are those that pytest-trio sets for Hypothesis
(https://github.com/python-trio/trio/issues/890); the third is how Trio itself wakes a task that is cancelled.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NoReturn

from trio._core import _run
from trio.lowlevel import Task

_one_at_a_time = threading.RLock()
"""Both the order of tasks and `random` are the process's, not the thread's."""


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Within the block every `trio.run` orders its tasks by the seed, and `random` begins at it, too."""
    with _one_at_a_time:
        yield from _seeded(seed)


def _seeded(seed: int) -> Iterator[None]:
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


def raise_in(task: Task, error: BaseException, met: Callable[[], object] = lambda: None) -> None:
    """Have what the task waits for fail with the error, if it can be given up; ``met`` is called when it fails."""

    def fail() -> NoReturn:
        met()
        raise error

    if task._abort_func is not None:  # noqa: SLF001
        task._attempt_abort(fail)  # noqa: SLF001
