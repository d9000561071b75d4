"""An answer in the store: from its first question to its place in the history, so that no crash loses it.

Rules:

1. That an answer is being written is known from its beginning; how far it is, every `CHECKPOINT_SECONDS` for all of
   them, in a few transactions whatever their number; half as often where the process is busy.
2. A tool runs when it is on disk that it does. One without effects runs even if the disk refuses.
3. What was said, the updates that it answers, what it cost and its last messages are written in one transaction.
4. What a shutdown interrupts is kept as a crash would leave it, but with all that was said.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

import attrs
import structlog
import trio

from triolet.app.model import Price
from triolet.app.turn import Turn
from triolet.core.conversation import ConversationKey, Ending, Message, ToolCallPart
from triolet.core.history import UNANSWERED
from triolet.core.load import Load
from triolet.core.mailbox import Question
from triolet.core.ports import Store
from triolet.core.recovery import NextStep, OpenTurn, Resume, next_step
from triolet.errors import StoreError

log = structlog.get_logger()

CHECKPOINT_SECONDS: Final = 1.0

AT_ONCE: Final = 20
"""Answers whose progress is put together without a pause."""

CONTINUE: Final = "Continue your answer exactly where it broke off, without repeating anything."
"""What is asked of a model whose answer broke off."""


@attrs.frozen
class RestartRules:
    """What becomes of answers that a restart interrupts; ``wall_clock`` gives seconds since 1970."""

    wall_clock: Callable[[], float]
    resume: Resume = "auto"
    max_age: float = 21_600.0

    def is_late(self, sent_at: float) -> bool:
        return self.wall_clock() - sent_at > self.max_age

    def next_step(self, turn: OpenTurn) -> NextStep:
        return next_step(turn, resume=self.resume, now=self.wall_clock(), max_age=self.max_age)


@attrs.define(eq=False)
class Book:
    """``number`` is the answer's own in the store; ``steered`` is what was said on its way, and taken in."""

    number: int
    key: ConversationKey
    asked: tuple[Question, ...]
    turn: Turn
    _store: Store
    _rules: RestartRules
    steered: tuple[Question, ...] = ()
    is_asked_again: bool = False
    """Whether all that waits again, and is done with when it is answered."""
    _kept_as: int | None = attrs.field(init=False)
    """The number by which the store knows it: its own, or until it is open that of the run before."""
    _has_effects: bool = False
    _began_at: float = attrs.field(init=False)
    _written: int = -1
    _is_looking: bool = False

    @_kept_as.default
    def _as_before(self) -> int | None:
        return next((each.turn for each in self.asked if each.turn is not None), None)

    @_began_at.default
    def _now(self) -> float:
        return self._rules.wall_clock()

    def open(self) -> None:
        """It is being answered from now on."""
        self._store.begin(self._as_open_turn([]), instead_of=self._kept_as)
        self._kept_as = self.number

    def _as_open_turn(self, said: list[Message]) -> OpenTurn:
        return OpenTurn(
            self.number,
            self.key,
            self.asked,
            self._update_ids(),
            self._began_at,
            max(each.attempt for each in self.asked),
            tuple(said),
            has_effects=self._has_effects,
        )

    def _update_ids(self) -> tuple[int, ...]:
        return tuple(update_id for each in (*self.asked, *self.steered) for update_id in each.update_ids)

    def checkpoint(self) -> None:
        """Write down how far it is, if that is news."""
        if self.turn.coalescer.revision != self._written and self.turn.ending is None:
            self._checkpoint()

    def note_sealed(self) -> None:
        """A part of it has its own place in the store from now on: what grows is another message."""
        if not self._is_looking:
            self._checkpoint()

    def _checkpoint(self) -> None:
        self._written, self._is_looking = self.turn.coalescer.revision, True
        live = self.turn.transport.snapshot(self.turn.coalescer.take_frame())
        self._is_looking = False
        said = self.turn.transcript.finish(Ending.KILLED)
        self._store.checkpoint(self.number, said=said, live=live, update_ids=self._update_ids())

    async def begin(self, call: ToolCallPart, *, has_effects: bool) -> bool:
        """A tool is about to run; whether it may."""
        await self.turn.wait_received()
        self._has_effects = self._has_effects or has_effects
        with self._store.unit() as written:
            self._checkpoint()
            self._store.begin_call(self.number, call, has_effects=has_effects)
        try:
            await written
        except StoreError:
            return not has_effects
        return True

    def end(self, call_id: str, *, failed: bool) -> None:
        self._store.end_call(self.number, call_id, failed=failed)

    def note_stop(self, ending: Ending) -> None:
        """A person has ended it: a later run does not go on with it, even if this one cannot record any more."""
        if self._kept_as != self.number:
            self.open()
        self._store.stop(self.number, ending)

    def next_step(self, ending: Ending) -> NextStep | None:
        """What a later run does about an answer that a shutdown interrupts; None if it was something else."""
        if ending is not Ending.SHUTDOWN or self.is_asked_again:
            return None
        return self._rules.next_step(self._as_open_turn(self.turn.transcript.finish(ending)))

    def close(self, price: Price) -> None:
        """It has ended: what it was goes into the history, with all that belongs to it."""
        ending = self.turn.ending or Ending.SHUTDOWN
        said = self.turn.transcript.finish(ending)
        step = self.next_step(ending)
        if step is not None and step != "close" and not self._as_open_turn(said).is_begun:
            return  # it is still to be answered
        if ending is not Ending.INTERRUPTED and not (said and said[-1].role == "assistant"):
            said = [*said, UNANSWERED]  # what interrupts, goes on with what was asked
        is_open = self.is_asked_again or step == "continue"
        self._store.record(
            self.key,
            [*messages_of(self.asked), *said],
            finished=() if is_open else self._update_ids(),
            spent=self.turn.tally.spent(price),
            user_id=self.asked[-1].user_id,
            turn=self._kept_as,
        )
        if step == "continue":
            self._store.begin(continued(self._as_open_turn(said), self._store.draw_number()))


def continued(turn: OpenTurn, number: int) -> OpenTurn:
    """The rest of an interrupted answer, as a turn that is to be begun."""
    last = turn.asked[-1]
    rest = Question(turn.update_ids, last.place, last.user_id, CONTINUE)
    return OpenTurn(number, turn.key, (rest,), turn.update_ids, turn.began_at, turn.attempt)


def messages_of(questions: tuple[Question, ...]) -> list[Message]:
    return [Message.of("user", each.text) for each in questions]


class Checkpoints:
    """Writes down how far the answers are that are being written."""

    def __init__(self, store: Store, load: Load | None = None) -> None:
        self._store = store
        self._load = load or Load()
        self._books: set[Book] = set()
        self._begun = trio.Event()

    @contextmanager
    def keeping(self, book: Book) -> Iterator[None]:
        self._books.add(book)
        self._begun.set()
        try:
            yield
        finally:
            self._books.discard(book)

    async def run(self) -> None:
        """Until cancelled; nothing wakes while nothing is written."""
        while True:
            await self._begun.wait()
            await trio.sleep(CHECKPOINT_SECONDS * (1 + self._load.share))
            await self._write_all()
            if not self._books:
                self._begun = trio.Event()

    async def _write_all(self) -> None:
        """A few at a time: hundreds of answers at once would hold up everything else."""
        waiting = set(self._books)
        while waiting := waiting & self._books:
            self._write({waiting.pop() for _ in range(min(AT_ONCE, len(waiting)))})
            await trio.lowlevel.checkpoint()

    def _write(self, books: set[Book]) -> None:
        with self._store.unit():
            for book in books:
                try:
                    book.checkpoint()
                except Exception:  # a mistake of ours: this answer is written down no more, and goes on, as all others
                    log.exception("turn.not_kept")
                    self._books.discard(book)
