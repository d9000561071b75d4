"""The turn alone: three tasks, one scope, and a commit that nothing can prevent, nor hold up for more than 2 s."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from typing import Any

import attrs
import pytest
import structlog
import trio

from triolet.app.turn import Turn, run_turn
from triolet.core.calls import Keyboard
from triolet.core.coalescer import Frame
from triolet.core.conversation import Ending
from triolet.core.events import Batch, Finished, TextDelta, TurnBatch
from triolet.core.markup.layout import Unsealed
from triolet.core.ports import Posted
from triolet.errors import StoreError
from triolet.transports.latest import Latest


@attrs.define(eq=False)
class RecordingTransport:
    """Notes every frame it could have shown, with its time, and what was committed."""

    log: list[str]
    frames: list[tuple[float, str]] = attrs.Factory(list)
    running: bool = False

    async def run(self, latest: Latest) -> None:
        self.running = True
        try:
            while True:
                frame = latest.take_frame()
                self.frames.append((trio.current_time(), frame.text))
                await latest.wait_newer(frame, trio.current_time() + 1000.0)
        finally:
            self.running = False

    def commit(self, frame: Frame, mark: str, keyboard: Keyboard = (), *, quiet: bool = False) -> None:
        assert not self.running, "what stays is committed when nothing is shown any more"
        self.log.append(f"commit {frame.text!r} {mark!r}")

    def snapshot(self, frame: Frame) -> Unsealed | None:
        raise AssertionError("that is the book's to ask for")

    def drop_keyboard(self) -> None:
        raise AssertionError("a turn has no say in that")

    def shows_draft(self, draft_id: int) -> bool:
        return False

    def shows_message(self, message_id: int) -> bool:
        return False


@attrs.frozen
class Disk:
    """What was given to a store that takes its time, or refuses."""

    seconds: float
    refuses: bool
    log: list[str]

    def __await__(self) -> Generator[Any, None, None]:
        return self._write().__await__()

    async def _write(self) -> None:
        await trio.sleep(self.seconds)
        if self.refuses:
            raise StoreError("disk full")
        self.log.append("written")


@attrs.define(eq=False)
class Stage:
    """A turn, what was logged of its end, and a store that takes its time."""

    writing: float = 0.5
    refuses: bool = False
    log: list[str] = attrs.Factory(list)
    turn: Turn = attrs.field(init=False)
    transport: RecordingTransport = attrs.field(init=False)
    in_unit: bool = False

    def __attrs_post_init__(self) -> None:
        self.transport = RecordingTransport(self.log)
        self.turn = Turn(self.transport)

    def record(self, turn: Turn) -> None:
        assert self.in_unit, "what the answer was is written with its last messages"
        assert turn.ending is not None
        self.log.append(f"recorded {turn.ending.value}")

    @contextmanager
    def unit(self) -> Iterator[Posted]:
        assert self.log == [], "there is one unit"
        self.in_unit = True
        yield Disk(self.writing, self.refuses, self.log)
        assert any(line.startswith("commit") for line in self.log), "what is shown is written with the rest"
        self.in_unit = False

    async def run(self, ask: Callable[[Callable[[TurnBatch], None]], object]) -> None:
        await run_turn(self.turn, ask, self.record, self.unit)  # type: ignore[arg-type]  # every ask is a coroutine function


async def speak(emit: Callable[[Batch], None]) -> None:
    for word in ("one", " two", " three"):
        emit((TextDelta(word),))
        await trio.sleep(1.0)
    emit((Finished("stop"),))


async def test_frames_come_as_the_model_speaks(autojump_clock: object) -> None:
    stage = Stage()
    await stage.run(speak)
    assert stage.transport.frames[-3:] == [(0.0, "one"), (1.0, "one two"), (2.0, "one two three")]
    assert stage.log == ["commit 'one two three' ''", "recorded complete", "written"]
    assert trio.current_time() == 3.5


async def test_stop_ends_all_three_tasks_in_the_same_instant(autojump_clock: object) -> None:
    stage = Stage(writing=0.0)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(stage.run, speak)
        await trio.sleep(1.5)
        stage.turn.stop(Ending.STOPPED)
        stage.turn.stop(Ending.SHUTDOWN, "the first reason counts")
    assert trio.current_time() == 1.5
    assert stage.log == ["commit 'one two' '⏹ stopped'", "recorded stopped", "written"]


async def test_turn_stopped_before_it_began_asks_nobody(autojump_clock: object) -> None:
    stage = Stage()
    stage.turn.stop(Ending.STOPPED)
    await stage.run(speak)
    assert stage.log == ["commit '' '⏹ stopped'", "recorded stopped", "written"]


async def test_stop_after_the_end_changes_nothing(autojump_clock: object) -> None:
    stage = Stage()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(stage.run, speak)
        await trio.sleep(3.2)
        stage.turn.stop(Ending.STOPPED)
    assert stage.log == ["commit 'one two three' ''", "recorded complete", "written"]


@pytest.mark.parametrize("moment", [0.5, 1.5, 2.9, 3.1, 3.4])
async def test_cancel_from_outside_commits_and_records_all_the_same(autojump_clock: object, moment: float) -> None:
    """The commit is the shield: whatever cancels the program's tasks, the text is handed over and stored."""
    stage = Stage()
    with trio.move_on_at(moment):
        await stage.run(speak)
    words = ["one", "one two", "one two three"][min(int(moment), 2)]
    ended = moment >= 3.0
    assert stage.log == [
        f"commit {words!r} {'' if ended else '⏸ interrupted: the bot is restarting'!r}",
        f"recorded {'complete' if ended else 'shutdown'}",
        "written",
    ]
    assert trio.current_time() == pytest.approx(min(moment, 3.0) + 0.5)


async def test_hanging_store_holds_up_nothing_for_more_than_two_seconds(
    autojump_clock: object, captured_log: list[structlog.typing.EventDict]
) -> None:
    stage = Stage(writing=1000.0)
    await stage.run(speak)
    assert trio.current_time() == 5.0
    assert stage.log == ["commit 'one two three' ''", "recorded complete"]
    assert [event["event"] for event in captured_log] == ["turn.not_recorded"]


async def test_disk_that_refuses_ends_nothing_but_the_waiting(
    autojump_clock: object, captured_log: list[structlog.typing.EventDict]
) -> None:
    """It will be written when the disk takes it."""
    stage = Stage(refuses=True)
    await stage.run(speak)
    assert trio.current_time() == 3.5
    assert stage.log == ["commit 'one two three' ''", "recorded complete"]
    assert [(event["event"], event["problem"]) for event in captured_log] == [("turn.not_recorded", "disk full")]


async def test_mistake_while_it_is_recorded_leaves_the_answer_on_the_screen(
    autojump_clock: object, captured_log: list[structlog.typing.EventDict]
) -> None:
    stage = Stage()

    def record(turn: Turn) -> None:
        raise RuntimeError("a mistake of ours")

    await run_turn(stage.turn, speak, record, stage.unit)
    assert stage.log == ["commit 'one two three' ''", "written"]
    assert [event["event"] for event in captured_log] == ["turn.not_recorded"]


class _MistakenTransport(RecordingTransport):
    """Fails where the answer ends, as a mistake of ours would."""

    def commit(self, frame: Frame, mark: str, keyboard: Keyboard = (), *, quiet: bool = False) -> None:
        if "two" in frame.text:
            raise RuntimeError("a mistake of ours")
        super().commit(frame, mark)


async def test_mistake_at_the_commit_is_told_and_the_turn_recorded(
    autojump_clock: object, captured_log: list[structlog.typing.EventDict]
) -> None:
    """Or its question would come again at every start, and end the bot each time."""
    stage = Stage()
    stage.turn.transport = _MistakenTransport(stage.log)
    await stage.run(speak)
    assert stage.log == ["commit '' '⚠ broken off · an internal error'", "recorded complete", "written"]
    assert [event["event"] for event in captured_log] == ["turn.not_shown"]


async def test_what_was_said_until_the_stop_counts(autojump_clock: object) -> None:
    stage = Stage()

    async def ask(emit: Callable[[Batch], None]) -> None:
        emit((TextDelta("one"),))
        stage.turn.stop(Ending.STOPPED)
        emit((TextDelta(" two"),))
        await trio.sleep_forever()

    await stage.run(ask)
    assert stage.log == ["commit 'one two' '⏹ stopped'", "recorded stopped", "written"]


async def test_who_waits_for_what_was_emitted_waits_until_all_of_it_is_received(autojump_clock: object) -> None:
    """And for nothing else: what is emitted meanwhile is somebody else's."""
    stage = Stage()
    texts: list[str] = []

    async def ask(emit: Callable[[Batch], None]) -> None:
        await stage.turn.wait_received()
        emit((TextDelta("one"),))
        emit((TextDelta(" two"),))
        texts.append(stage.turn.coalescer.text)
        await stage.turn.wait_received()
        texts.append(stage.turn.coalescer.text)
        emit((Finished("stop"),))

    await stage.run(ask)
    assert texts == ["", "one two"]
    assert trio.current_time() == 0.5
