"""One turn: a question, three tasks, one answer.

    provider task  --memory channel: batches of stream events-->  coalescer task
                                                                    owns the answer's text
                                                                    Latest: one slot + wake-up
                                          transport task  <-- take_frame, synchronous --+

All three live in one nursery in one cancel scope. A stop, a newer message, a new conversation, a time-out, a shutdown:
each cancels that scope, and nothing else. When the model has said all, the coalescer cancels the transport's own scope
instead. What happens next is the same in every case: the commit, the only part that is shielded, and for 2 seconds at
most.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager, suppress
from typing import TypeAlias

import attrs
import structlog
import trio

from triolet.core.calls import Keyboard
from triolet.core.coalescer import Coalescer, Frame
from triolet.core.conversation import Ending
from triolet.core.ending import mark_of
from triolet.core.events import TurnBatch
from triolet.core.load import Load
from triolet.core.ports import Posted
from triolet.core.transcript import Transcript
from triolet.core.usage import Tally
from triolet.errors import ProviderError, StoreError
from triolet.observe.turns import TurnWatch
from triolet.transports import Transport
from triolet.transports.latest import Latest

log = structlog.get_logger()

COMMIT_SECONDS = 2.0

HEAD_START = 0.05
"""Seconds at most that the request to the model goes ahead of the first sign of life, which would hold it up."""

INTERNAL = "an internal error"
"""What the chat is told of a mistake of ours."""

Ask: TypeAlias = Callable[[Callable[[TurnBatch], None]], Awaitable[None]]
"""Asks the model, and emits what it says; raises `ProviderError`."""

Record: TypeAlias = Callable[["Turn"], object]
"""Gives the turn that has ended to the store."""

OpenUnit: TypeAlias = Callable[[], AbstractContextManager[Posted]]
"""What is given to the store in the block is written as one."""


@attrs.define(eq=False)
class Turn:
    """The state that the three tasks share, and the one way to stop them."""

    transport: Transport
    coalescer: Coalescer = attrs.Factory(Coalescer)
    transcript: Transcript = attrs.Factory(Transcript)
    tally: Tally = attrs.Factory(Tally)
    offer: Callable[[Ending], Keyboard] = lambda ending: ()
    """The buttons under an answer that ended so."""
    footer: Callable[[Tally], str] = lambda tally: ""
    """A last line under every answer."""
    remark: Callable[[Ending], str] = lambda ending: ""
    """What there is to be said of such an ending, if nobody has said more."""
    watch: TurnWatch | None = None
    load: Load = attrs.Factory(Load)
    latest: Latest = attrs.Factory(lambda turn: Latest(turn.coalescer, turn.load), takes_self=True)
    scope: trio.CancelScope = attrs.Factory(trio.CancelScope)
    ending: Ending | None = None
    detail: str = ""
    _emitted: int = 0
    _received: int = 0
    _behind: trio.lowlevel.ParkingLot = attrs.Factory(trio.lowlevel.ParkingLot)

    def emitting(self, emit: Callable[[TurnBatch], None]) -> Callable[[TurnBatch], None]:
        """Emits, and counts."""

        def counted(batch: TurnBatch) -> None:
            self._emitted += 1
            emit(batch)

        return counted

    async def wait_received(self) -> None:
        """Returns when everything that was emitted so far has been received."""
        emitted = self._emitted
        while self._received < emitted:
            await self._behind.park()

    def receive(self, batch: TurnBatch) -> None:
        """What happened: everybody who keeps a part of the turn takes note."""
        self._received += 1
        self._behind.unpark_all()
        self.coalescer.receive(batch)
        self.transcript.receive(batch)
        self.tally.receive(batch)
        if self.watch is not None and self.watch.is_watched:
            frame = self.coalescer.take_frame()
            self.watch.grew(frame.texts, frame.text, trio.current_time())

    def stop(self, ending: Ending, detail: str = "") -> None:
        """Stop, if the turn has not ended yet."""
        if self.ending is None:
            self.end(ending, detail)
            self.scope.cancel(reason=ending.value)

    def end(self, ending: Ending, detail: str = "") -> None:
        """Note why the turn ends; of several reasons the first one counts."""
        if self.ending is None:
            self.ending, self.detail = ending, detail


async def run_turn(turn: Turn, ask: Ask, record: Record, unit: OpenUnit) -> None:
    """Returns when the answer is committed: recorded and given to the outbox, as one."""
    to_coalescer, from_provider = trio.open_memory_channel[TurnBatch](math.inf)
    latest = turn.latest
    window = trio.CancelScope()
    try:
        try:
            with turn.scope:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(_run_provider, turn, ask, to_coalescer)
                    nursery.start_soon(_run_coalescer, turn, from_provider, latest, window)
                    nursery.start_soon(_run_transport, turn, latest, window)
        finally:  # also where a cancel comes from outside, as at a shutdown
            _take_rest(turn, from_provider)
    except* Exception as problem:  # the one place: a mistake of ours ends this turn, visibly, and no other
        log.exception("turn.failed", exc_info=problem)
        turn.ending, turn.detail = Ending.FAILED, INTERNAL
    finally:
        with trio.CancelScope(shield=True, deadline=trio.current_time() + COMMIT_SECONDS) as commit:
            await _commit(turn, record, unit)
        if commit.cancelled_caught:
            log.error("turn.not_recorded", problem="the store took too long")


async def _run_provider(turn: Turn, ask: Ask, to_coalescer: trio.MemorySendChannel[TurnBatch]) -> None:
    # The channel is not bounded: a slow screen must not hold up the model, and the coalescer only copies.
    with to_coalescer:
        try:
            await trio.lowlevel.checkpoint_if_cancelled()  # who was stopped before asks nobody
            await ask(turn.emitting(to_coalescer.send_nowait))
        except ProviderError as error:
            log.warning("turn.provider_failed", problem=str(error))
            turn.end(Ending.FAILED, str(error))


async def _run_coalescer(
    turn: Turn, from_provider: trio.MemoryReceiveChannel[TurnBatch], latest: Latest, window: trio.CancelScope
) -> None:
    async for batch in from_provider:
        turn.receive(batch)
        _receive_waiting(turn, from_provider)
        latest.announce()
    turn.end(turn.coalescer.ending)
    window.cancel(reason="complete")


def _take_rest(turn: Turn, from_provider: trio.MemoryReceiveChannel[TurnBatch]) -> None:
    """What happened until the turn was stopped has happened: a tool has begun, or has a result."""
    with from_provider:
        _receive_waiting(turn, from_provider)


def _receive_waiting(turn: Turn, from_provider: trio.MemoryReceiveChannel[TurnBatch]) -> None:
    with suppress(trio.WouldBlock, trio.EndOfChannel):
        while True:
            turn.receive(from_provider.receive_nowait())


async def _run_transport(turn: Turn, latest: Latest, window: trio.CancelScope) -> None:
    with window:
        with trio.move_on_after(HEAD_START):
            await latest.wait_begun()
        await turn.transport.run(latest)
        turn.stop(Ending.UNSEEN)


async def _commit(turn: Turn, record: Record, unit: OpenUnit) -> None:
    turn.end(Ending.SHUTDOWN)  # if nothing else was, it is the program
    with unit() as written:
        _show_end(turn)
        try:
            record(turn)
        except Exception:  # a mistake of ours: the answer is shown all the same
            log.exception("turn.not_recorded")
    if turn.watch is not None:
        frame = turn.coalescer.finish()
        turn.watch.ended(turn.ending or Ending.SHUTDOWN, frame.texts, frame.text, trio.current_time())
    try:
        await written
    except StoreError as problem:  # it will be written when the disk takes it; the text and the other chats go on
        log.error("turn.not_recorded", problem=str(problem))  # noqa: TRY400  # a full disk needs no traceback


def _show_end(turn: Turn) -> None:
    ending = turn.ending or Ending.SHUTDOWN
    has_text = bool(turn.coalescer.text)
    is_silent = turn.coalescer.is_silent and ending is not Ending.INTERRUPTED
    mark = mark_of(ending, turn.detail or turn.remark(ending), answered=has_text or is_silent)
    try:
        footer = turn.footer(turn.tally) if has_text else ""
        last_lines = "\n".join(filter(None, (mark, footer)))
        buttons = turn.offer(ending) if has_text else ()
        is_last_word = ending is Ending.SHUTDOWN  # there is not much time left
        turn.transport.commit(turn.coalescer.finish(), last_lines, buttons, quiet=is_last_word)
    except Exception:  # a mistake of ours: the turn is recorded all the same, or it would come again at every start
        log.exception("turn.not_shown")
        turn.transport.commit(Frame("", turn.coalescer.revision), mark_of(Ending.FAILED, INTERNAL, answered=True))
