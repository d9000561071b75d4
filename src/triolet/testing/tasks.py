"""Tasks, as somebody who looks for a mistake wants to read about them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import FrameType

import trio
from trio.lowlevel import Task

_TRIO = Path(trio.__file__).parent


def task_name(task: Task) -> str:
    """The name of the function that the task runs, without its module; a name that somebody gave it, as it is."""
    last = task.name.rpartition(".")[2]
    return last if last.isidentifier() else task.name


def every_task(task: Task) -> bool:
    """For ``watch``: all tasks of the program, whoever started them."""
    return True


def waits_in(task: Task, function: str) -> bool:
    """Whether the task is in a function or method of that name now, however deep."""
    return any(frame.f_code.co_name == function for frame, _ in _frames(task))


def _frames(task: Task) -> Iterator[tuple[FrameType, int]]:
    """Of what it awaits, the outermost first; none of a task that has ended (which Trio 0.31 takes badly)."""
    return task.iter_await_frames() if getattr(task.coro, "cr_frame", None) is not None else iter(())


def where(task: Task) -> str:
    """The task's name, and the line of the program at which it waits: the innermost one that is not Trio's own."""
    lines = [
        f"{Path(frame.f_code.co_filename).name}:{line} in {frame.f_code.co_name}"
        for frame, line in _frames(task)
        if _TRIO not in Path(frame.f_code.co_filename).parents
    ]
    return f"{task_name(task)} at {lines[-1]}" if lines else f"{task_name(task)}, at its end"


def below(task: Task) -> Iterator[Task]:
    """The task, and all in its nurseries, and in theirs, in an order that does not change."""
    yield task
    for child in _children(task):
        yield from below(child)


def tree(task: Task, depth: int = 0) -> Iterator[str]:
    """A line for each of them."""
    yield "  " * depth + where(task)
    for child in _children(task):
        yield from tree(child, depth + 1)


def _children(task: Task) -> list[Task]:
    children = [child for nursery in task.child_nurseries for child in nursery.child_tasks]
    return sorted(children, key=task_name)


class Descent:
    """Tells the tasks of a block: the one that entered it, and all below the nurseries opened in it since then."""

    def __init__(self, task: Task) -> None:
        self.task = task
        self._older = set(task.child_nurseries)
        self._known = {task: True}

    def __contains__(self, task: Task) -> bool:
        if task not in self._known:
            self._known[task] = self._is_below(task)
        return self._known[task]

    def _is_below(self, task: Task) -> bool:
        nursery = task.parent_nursery
        if nursery is None:
            return False
        if nursery.parent_task is self.task:
            return nursery not in self._older
        return nursery.parent_task in self
