"""A conversation's mailbox: what its people want, in the order in which they said so.

Rules:

1. Nothing is taken ahead of what came before it; only what is asked again, because it was edited while it was being
   answered, goes first.
2. Questions are taken one at a time, or, where they are wanted together, with all of the same person directly behind.
   What a button asks, is asked alone.
3. An edit changes a question where it waits, and from then on the question stands for the edit's update, too.
4. Only questions are dropped, and only they are counted: what is to be forgotten will be, whatever else is wanted.
"""

from __future__ import annotations

from collections import deque
from typing import TypeAlias

import attrs

from triolet.core.calls import Place


@attrs.frozen
class Question:
    """What a person wants answered; ``update_ids`` are what needs no more work when it is.

    ``message_id`` is that of the message that asks it; a button asks without one. ``turn`` is the open turn by which it
    is known that it is to be answered, if an earlier run has left one, and ``attempt`` counts the runs that try.
    """

    update_ids: tuple[int, ...]
    place: Place
    user_id: int
    text: str
    message_id: int | None = None
    turn: int | None = None
    attempt: int = 1

    def is_edited_by(self, other: Question) -> bool:
        """Whether both are the same message; ids are those of the chat where it was written, wherever that is now."""
        if self.message_id is None or self.user_id != other.user_id:
            return False
        return (self.place.lane, self.message_id) == (other.place.lane, other.message_id)

    def edited(self, other: Question) -> Question:
        """The question as it is now, which stands for the edit's update, too."""
        return attrs.evolve(self, text=other.text, update_ids=(*self.update_ids, *other.update_ids))


@attrs.frozen
class Clear:
    """What a person wants forgotten: everything so far."""

    update_ids: tuple[int, ...]
    place: Place


Task: TypeAlias = Question | Clear


class Mailbox:
    """``limit`` is how many questions may wait; what is posted first does not wait, even if nobody has taken it yet."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._tasks: deque[Task] = deque()
        self._at_work = False
        self._left: list[Question] = []
        """What waited when it was closed."""
        self._first = 0
        """How many at the front were posted first."""
        self.refused = 0
        """How many questions found no room since there was some."""

    def __bool__(self) -> bool:
        return bool(self._tasks)

    @property
    def questions(self) -> list[Question]:
        """Those that wait."""
        return [task for task in self._tasks if isinstance(task, Question)]

    def post(self, task: Task, *, limited: bool = True) -> bool:
        """Take the task in, behind all others; False for a question if too many wait already, and they are limited."""
        if limited and isinstance(task, Question) and len(self.questions) - self._first + self._at_work > self._limit:
            self.refused += 1
            return False
        self._tasks.append(task)
        return True

    def post_first(self, *questions: Question) -> None:
        """Take them in, in their order, ahead of all others, however many wait."""
        self._tasks.extendleft(reversed(questions))
        self._first += len(questions)

    def take(self, *, together: bool) -> Clear | tuple[Question, ...]:
        """What comes next; ``together`` with a question go those that its person asked right behind it."""
        self._at_work, self.refused = True, 0
        task = self._take_next()
        if isinstance(task, Clear):
            return task
        return (task, *(self.take_from(task.user_id) if together and task.message_id is not None else ()))

    def take_from(self, user_id: int) -> tuple[Question, ...]:
        """That person's messages, as many as come before anything else."""
        taken: list[Question] = []
        while self._tasks and isinstance(first := self._tasks[0], Question):
            if first.user_id != user_id or first.message_id is None:
                break
            taken.append(first)
            self._take_next()
        self.refused = 0 if taken else self.refused
        return tuple(taken)

    def _take_next(self) -> Task:
        self._first = max(self._first - 1, 0)
        return self._tasks.popleft()

    def edit(self, edited: Question) -> bool:
        """Whether the message waits; it has the new text then."""
        for number, task in enumerate(self._tasks):
            if isinstance(task, Question) and task.is_edited_by(edited):
                self._tasks[number] = task.edited(edited)
                return True
        return False

    def drop(self) -> list[Question]:
        """Let no question wait any more; returns those that did."""
        dropped, self._left, self.refused, self._first = [*self._left, *self.questions], [], 0, 0
        self._tasks = deque(task for task in self._tasks if isinstance(task, Clear))
        return dropped

    def close(self) -> None:
        """Nothing waits any more, and nobody is told; it can still be dropped."""
        self._left += self.questions
        self._tasks.clear()
