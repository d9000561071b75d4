"""The calls of a round: each has one result and one end, within the limits, whatever its tool does."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import attrs
import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock

from triolet.core.conversation import ToolCallPart, ToolResultPart
from triolet.core.events import ToolEnded, ToolStarted, TurnBatch
from triolet.core.ports import ToolSpec
from triolet.errors import ToolError
from triolet.tools import ToolLimits, run_calls
from triolet.tools.runner import DENIED, NOT_WRITTEN, shortened

LIMITS = ToolLimits(seconds=10.0, output=200, calls=4, at_once=2)


@attrs.frozen
class Odd:
    """A tool that may do anything."""

    name: str
    act: Callable[[Mapping[str, Any]], Awaitable[Any]]
    has_effects: bool = False

    @property
    def spec(self) -> ToolSpec:
        return ToolSpec(self.name, "", {"type": "object"})

    async def call(self, arguments: Mapping[str, Any]) -> str:
        text: str = await self.act(arguments)
        return text


async def wait(arguments: Mapping[str, Any]) -> str:
    await trio.sleep(arguments.get("seconds", 1.0))
    return "done"


async def echo(arguments: Mapping[str, Any]) -> str:
    return str(arguments["text"])


async def hang(_: Mapping[str, Any]) -> str:
    await trio.sleep_forever()


async def refuse(_: Mapping[str, Any]) -> str:
    raise ToolError("no such city")


async def fail(_: Mapping[str, Any]) -> str:
    await trio.sleep(1.0)
    raise KeyError("of mine")


async def fail_together(_: Mapping[str, Any]) -> str:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(fail, {})
        nursery.start_soon(hang, {})
    return ""


async def refuse_together(_: Mapping[str, Any]) -> str:
    raise ExceptionGroup("two", [ToolError("one"), ExceptionGroup("more", [ToolError("two")])])


async def give_a_number(_: Mapping[str, Any]) -> Any:
    return 7


async def fail_when_cancelled(_: Mapping[str, Any]) -> str:
    """What comes out is a group of the cancel and a mistake."""
    try:
        await trio.sleep_forever()
    except trio.Cancelled as cancelled:
        raise BaseExceptionGroup("both", [cancelled, ValueError("in the clean-up")]) from None


async def refuse_when_cancelled(_: Mapping[str, Any]) -> str:
    try:
        await trio.sleep_forever()
    finally:
        raise ToolError("gone")


async def flood(_: Mapping[str, Any]) -> str:
    return "a" * 1_000_000 + "z"


ACTS = [wait, hang, refuse, fail, fail_together, refuse_together, give_a_number, flood]
ACTS += [fail_when_cancelled, refuse_when_cancelled]
TOOLS = [Odd(act.__name__, act) for act in [*ACTS, echo]] + [Odd("write", wait, has_effects=True)]


@attrs.frozen
class Written:
    """A record that a disk takes so many seconds to keep, or refuses; ``lines`` tell when and what."""

    seconds: float = 0.0
    refuses: bool = False
    lines: list[tuple[float, str]] = attrs.field(factory=list)
    running: list[str] = attrs.field(factory=list)

    async def begin(self, call: ToolCallPart, *, has_effects: bool) -> bool:
        assert has_effects == (call.name == "write")
        self._note(f"begin {call.call_id}")
        await trio.sleep(self.seconds)
        if self.refuses and has_effects:
            return False
        self.running.append(call.call_id)
        return True

    def end(self, call_id: str, *, failed: bool) -> None:
        self.running.remove(call_id)
        self._note(f"{'fail' if failed else 'end'} {call_id}")

    def _note(self, line: str) -> None:
        self.lines.append((trio.current_time(), line))


@attrs.frozen
class Round:
    """Calls that ran, with what was emitted and when."""

    limits: ToolLimits = LIMITS
    allowed: bool = True
    patience: float = 0.0
    """Seconds that the person takes for each decision."""
    record: Written = attrs.field(factory=Written)
    emitted: list[tuple[float, ToolStarted | ToolEnded]] = attrs.field(factory=list)
    asked: list[tuple[float, str]] = attrs.field(factory=list)

    async def run(self, calls: Sequence[ToolCallPart]) -> tuple[ToolResultPart, ...]:
        return await run_calls(
            calls, TOOLS, limits=self.limits, approve=self.approve, emit=self.emit, record=self.record
        )

    async def approve(self, call: ToolCallPart) -> bool:
        self.asked.append((trio.current_time(), call.call_id))
        await trio.sleep(self.patience)
        return self.allowed

    def emit(self, batch: TurnBatch) -> None:
        for event in batch:
            assert isinstance(event, ToolStarted | ToolEnded)
            self.emitted.append((trio.current_time(), event))

    @property
    def times(self) -> list[tuple[float, str, str]]:
        return [(time, type(event).__name__, event.call_id) for time, event in self.emitted]


def calls(*names: str, arguments: str = "") -> list[ToolCallPart]:
    return [ToolCallPart(f"c{number}", name, arguments) for number, name in enumerate(names)]


def ran(call_id: str, began: float, ended: float) -> list[tuple[float, str, str]]:
    return [(began, "ToolStarted", call_id), (ended, "ToolEnded", call_id)]


OUTCOMES: dict[str, tuple[str, str, bool, float]] = {
    "wait": ("", "done", False, 1.0),
    "no arguments": ("  ", "done", False, 1.0),
    "hang": ("", "no result within 10 s", True, 10.0),
    "refuse": ("", "no such city", True, 0.0),
    "fail": ("", "the tool failed: KeyError", True, 1.0),
    "fail_together": ("", "the tool failed: KeyError", True, 1.0),
    "refuse_together": ("", "one; two", True, 0.0),
    "give_a_number": ("", "the tool failed: TypeError", True, 0.0),
    "fail_when_cancelled": ("", "the tool failed: ValueError", True, 10.0),
    "refuse_when_cancelled": ("", "gone", True, 10.0),
    "echo": ('{"text": "a\\ud83d\\ude00\\ud83d"}', "a😀\ufffd", False, 0.0),
}


@pytest.mark.parametrize("name", OUTCOMES)
async def test_what_a_tool_does_becomes_a_result(autojump_clock: object, name: str) -> None:
    arguments, content, is_error, seconds = OUTCOMES[name]
    seen = Round()
    (result,) = await seen.run(calls("wait" if name == "no arguments" else name, arguments=arguments))
    assert result == ToolResultPart("c0", content, is_error)
    assert seen.times == ran("c0", 0.0, seconds)
    assert seen.emitted[-1][1] == ToolEnded("c0", result)


OBSTACLES = {
    ("walk", "{}"): "there is no tool 'walk'; there are: wait, hang, refuse, fail, ",
    ("wait", "[1]"): "the arguments are no JSON object",
    ("wait", '{"a"'): "the arguments are no JSON object",
    ("write", "1"): "the arguments are no JSON object",
}


@pytest.mark.parametrize(("name", "arguments"), OBSTACLES)
async def test_a_call_that_cannot_run_has_an_end_and_no_beginning(
    autojump_clock: object, name: str, arguments: str
) -> None:
    seen = Round()
    (result,) = await seen.run(calls(name, arguments=arguments))
    assert result.content.startswith(OBSTACLES[name, arguments])
    assert result.is_error
    assert (seen.times, seen.asked) == ([(0.0, "ToolEnded", "c0")], [])
    assert seen.record.lines == []


async def test_a_mistake_is_logged_without_what_it_was_given(
    autojump_clock: object, captured_log: list[dict[str, Any]]
) -> None:
    await Round().run(calls("fail", arguments='{"secret": "xyzzy"}'))
    (event,) = captured_log
    assert (event["event"], event["tool"], event["log_level"]) == ("tool.failed", "fail", "error")
    assert event["exc_info"].exceptions[0].__traceback__ is not None
    assert "xyzzy" not in str(event)


async def test_a_tool_error_is_no_mistake(autojump_clock: object, captured_log: list[dict[str, Any]]) -> None:
    await Round().run(calls("refuse", "hang", "refuse_together"))
    assert captured_log == []


async def test_calls_run_at_once_as_far_as_there_are_places(autojump_clock: object) -> None:
    seen = Round()
    some = [ToolCallPart(f"c{n}", "wait", f'{{"seconds": {s}}}') for n, s in enumerate([3, 1, 1, 5])]
    results = await seen.run(some)
    assert [result.call_id for result in results] == ["c0", "c1", "c2", "c3"]
    begun = [(time, call_id) for time, kind, call_id in seen.times if kind == "ToolStarted"]
    ended = [(time, call_id) for time, kind, call_id in seen.times if kind == "ToolEnded"]
    assert begun == [(0.0, "c0"), (0.0, "c1"), (1.0, "c2"), (2.0, "c3")]
    assert ended == [(1.0, "c1"), (2.0, "c2"), (3.0, "c0"), (7.0, "c3")]


async def test_calls_begin_in_their_order(autojump_clock: object) -> None:
    """However Trio shuffles its tasks."""
    for _ in range(20):
        seen = Round(ToolLimits())
        await seen.run(calls(*["wait"] * 8))
        assert [e.call_id for _, e in seen.emitted if isinstance(e, ToolStarted)] == [f"c{n}" for n in range(8)]


async def test_a_round_has_so_many_calls_and_no_more(autojump_clock: object) -> None:
    seen = Round()
    results = await seen.run(calls(*["wait"] * 6))
    assert [result.is_error for result in results] == [False] * 4 + [True] * 2
    assert results[5].content == "not run: a round has 4 calls at most; ask for it again"
    assert seen.times[-1][0] == 2.0


async def test_the_person_is_asked_first_and_takes_nothing_from_the_tool(autojump_clock: object) -> None:
    seen = Round(patience=600.0)
    some = [ToolCallPart("a", "write", '{"seconds": 9}'), *calls("wait", "wait")]
    results = await seen.run(some)
    assert [result.content for result in results] == ["done"] * 3
    assert seen.asked == [(0.0, "a")]
    assert sorted(seen.times) == sorted(ran("a", 600.0, 609.0) + ran("c0", 0.0, 1.0) + ran("c1", 0.0, 1.0))


async def test_who_is_undecided_holds_no_place(autojump_clock: object) -> None:
    seen = Round(patience=5.0)
    await seen.run(calls("write", "write", "wait", "wait"))
    assert seen.times[-1] == (6.0, "ToolEnded", seen.times[-1][2])
    assert [time for time, kind, _ in seen.times if kind == "ToolStarted"] == [0.0, 0.0, 5.0, 5.0]


async def test_what_the_person_denies_does_not_run(autojump_clock: object) -> None:
    seen = Round(allowed=False, patience=2.0)
    (result,) = await seen.run(calls("write"))
    assert result == ToolResultPart("c0", DENIED, is_error=True)
    assert seen.times == [(2.0, "ToolEnded", "c0")]
    assert seen.record.lines == []


async def test_that_a_tool_runs_is_written_down_before_it_does_and_its_end_behind_it(autojump_clock: object) -> None:
    """What the disk takes counts against the places, and not against the tool's time."""
    seen = Round(record=Written(seconds=20.0))
    results = await seen.run(calls("write", "fail"))
    assert [result.content for result in results] == ["done", "the tool failed: KeyError"]
    assert sorted(seen.record.lines) == [(0.0, "begin c0"), (0.0, "begin c1"), (21.0, "end c0"), (21.0, "fail c1")]
    assert [time for time, kind, _ in seen.times if kind == "ToolEnded"] == [21.0, 21.0]


async def test_what_cannot_be_written_down_does_not_run_if_it_has_effects(autojump_clock: object) -> None:
    seen = Round(record=Written(seconds=2.0, refuses=True))
    refused, ran_on = await seen.run(calls("write", "wait"))
    assert refused == ToolResultPart("c0", NOT_WRITTEN, is_error=True)
    assert ran_on == ToolResultPart("c1", "done")
    assert sorted(seen.times) == sorted(ran("c0", 0.0, 2.0) + ran("c1", 0.0, 3.0))
    assert sorted(seen.record.lines) == [(0.0, "begin c0"), (0.0, "begin c1"), (3.0, "end c1")]


async def test_a_tool_that_a_cancel_ends_has_no_end_in_the_record(autojump_clock: object) -> None:
    """Nobody knows whether it did anything, and so it is read by the next run."""
    seen = Round()
    with trio.move_on_after(3.0):
        await seen.run(calls("write", "hang"))
    assert sorted(seen.record.lines) == [(0.0, "begin c0"), (0.0, "begin c1"), (1.0, "end c0")]


async def test_calls_of_one_id_have_their_own_results(autojump_clock: object) -> None:
    results = await Round().run([ToolCallPart("same", "echo", f'{{"text": "{n}"}}') for n in range(3)])
    assert [result.content for result in results] == ["0", "1", "2"]


async def test_nothing_to_do_is_nothing_done(autojump_clock: object) -> None:
    seen = Round()
    assert (await seen.run([]), seen.emitted) == ((), [])


async def test_a_cancel_ends_all_of_them_at_once(autojump_clock: object) -> None:
    seen = Round(ToolLimits(), patience=100.0)
    with trio.move_on_after(3.0) as scope:
        await seen.run(calls("hang", "fail_when_cancelled", "refuse_when_cancelled", "write", "wait"))
    assert (scope.cancelled_caught, trio.current_time()) == (True, 3.0)
    assert [event for event in seen.times if event[0] < 3.0 and event[1] == "ToolEnded"] == [(1.0, "ToolEnded", "c4")]


async def test_mistakes_of_those_who_run_it_are_theirs(autojump_clock: object) -> None:
    async def approve(_: ToolCallPart) -> bool:
        raise OSError("the store is gone")

    with pytest.RaisesGroup(OSError):
        await run_calls(calls("write"), TOOLS, limits=LIMITS, approve=approve, emit=Round().emit, record=Written())


def test_of_a_long_result_the_middle_is_left_out() -> None:
    text = "".join(chr(0x4E00 + n) for n in range(1000))
    short = shortened(text, 200)
    head, gap, tail = short.split("\n")
    assert len(short) <= 200
    assert text.startswith(head)
    assert text.endswith(tail)
    assert gap == f"[… {1000 - len(head) - len(tail)} characters left out …]"
    assert abs(len(head) - len(tail)) <= 1


@pytest.mark.parametrize("length", [0, 1, 199, 200])
def test_a_short_result_is_whole(length: int) -> None:
    assert shortened("a" * length, 200) == "a" * length


NAMES = st.sampled_from([act.__name__ for act in ACTS] + ["write", "walk"])


@given(st.lists(NAMES, max_size=8), st.booleans(), st.sampled_from([0.0, 3.0, 40.0]), st.none() | st.floats(0.1, 60.0))
def test_any_mix_has_one_result_for_each_or_was_cancelled(
    names: list[str], allowed: bool, patience: float, cancelled_at: float | None
) -> None:
    seen = Round(attrs.evolve(LIMITS, calls=6), allowed, patience)
    some = calls(*names)
    results: list[ToolResultPart] = []

    async def main() -> float:
        with trio.move_on_after(1e9 if cancelled_at is None else cancelled_at):
            results.extend(await seen.run(some))
        return trio.current_time()

    ended = trio.run(main, clock=MockClock(autojump_threshold=0))
    events = [(kind, call_id) for _, kind, call_id in seen.times]
    for call in some:
        mine = [kind for kind, call_id in events if call_id == call.call_id]
        assert mine in (["ToolStarted", "ToolEnded"], ["ToolEnded"], ["ToolStarted"], [])
        assert results == [] or mine[-1:] == ["ToolEnded"]
        written = [line for _, line in seen.record.lines if line.endswith(f" {call.call_id}")]
        assert len(written) <= 2
        assert written[:1] == [f"begin {call.call_id}"] * ("ToolStarted" in mine)
        assert len(written) == 2 or not (results and written)
    if results:
        assert [result.call_id for result in results] == [call.call_id for call in some]
        assert all(len(result.content) <= LIMITS.output for result in results)
        ends = {e.call_id: e.result for _, e in seen.emitted if isinstance(e, ToolEnded)}
        assert results == [ends[call.call_id] for call in some]
        assert ended <= patience + LIMITS.seconds * 3
    else:
        assert not names or (cancelled_at is not None and ended == cancelled_at)
