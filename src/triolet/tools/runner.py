"""The one place where a tool is run: the calls of a round, at once, within limits.

Rules:

1. Every call has one result and one `ToolEnded`, whatever its tool does. Only a cancel of the whole leaves calls
   without, and it ends all of them together.
2. `ToolStarted` goes out when a tool begins to run: not before its person has allowed it and it has a place. A call
   that cannot run has none. Calls begin in the order in which the model asked for them.
3. What a person takes to decide counts against nothing: neither the tool's time nor the places.
4. That a tool runs is written down before it does.
5. A tool tells the model by `ToolError` what is wrong. Any other exception is a mistake, of which the model learns the
   kind and the log the rest; what a call was given is in no log.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from typing import Any, Protocol, TypeAlias

import attrs
import structlog
import trio

from triolet.core.conversation import ToolCallPart, ToolResultPart
from triolet.core.dialects.wire import sendable
from triolet.core.events import ToolEnded, ToolStarted, TurnBatch
from triolet.core.ports import Tool
from triolet.errors import ToolError

log = structlog.get_logger()

Approve: TypeAlias = Callable[[ToolCallPart], Awaitable[bool]]
"""Asks a person whether the call may run."""

DENIED = "the person did not allow it"

NOT_WRITTEN = "not run: the bot cannot write down now that it runs; try again later"


class CallRecord(Protocol):
    """Where it is written down that a tool runs, so that no later run of the bot runs it again."""

    async def begin(self, call: ToolCallPart, *, has_effects: bool) -> bool:
        """Whether it may run: it is known, on disk, that it does, or running it twice does no harm."""
        ...

    def end(self, call_id: str, *, failed: bool) -> None:
        """It has run."""
        ...


@attrs.frozen
class ToolLimits:
    """What the calls of one round may take."""

    seconds: float = 60.0
    """For each call, while it runs."""
    output: int = 32_768
    """Characters of a result; of a longer one the middle is left out."""
    calls: int = 16
    at_once: int = 8


async def run_calls(
    calls: Sequence[ToolCallPart],
    tools: Sequence[Tool],
    *,
    limits: ToolLimits,
    approve: Approve,
    emit: Callable[[TurnBatch], None],
    record: CallRecord,
) -> tuple[ToolResultPart, ...]:
    """Run the calls; a result for each, in their order. What ``approve`` and ``emit`` raise is not caught."""
    places = trio.Semaphore(limits.at_once)
    bench = _Bench({tool.spec.name: tool for tool in tools}, limits, approve, emit, record, places)
    async with trio.open_nursery() as nursery:
        for number, call in enumerate(calls):
            await nursery.start(bench.take, number, call)
    return tuple(bench.results[number] for number in range(len(calls)))


@attrs.frozen
class _Bench:
    """The calls of one round; ``results`` by their number."""

    tools: Mapping[str, Tool]
    limits: ToolLimits
    approve: Approve
    emit: Callable[[TurnBatch], None]
    record: CallRecord
    places: trio.Semaphore
    results: dict[int, ToolResultPart] = attrs.field(factory=dict)

    async def take(self, number: int, call: ToolCallPart, task_status: trio.TaskStatus[None]) -> None:
        task_status.started()  # and on without a pause to the first wait, so that calls wait in their order
        tool = self.tools.get(call.name)
        content, failed = self._obstacle(number, call), True
        if not content and tool is not None:
            if tool.has_effects and not await self.approve(call):
                content = DENIED
            else:
                async with self.places:
                    self.emit((ToolStarted(call.call_id, call.name),))
                    content, failed = await self._run_recorded(call, tool)
        result = ToolResultPart(call.call_id, sendable(shortened(content, self.limits.output)), failed)
        self.results[number] = result
        self.emit((ToolEnded(call.call_id, result),))

    async def _run_recorded(self, call: ToolCallPart, tool: Tool) -> tuple[str, bool]:
        if not await self.record.begin(call, has_effects=tool.has_effects):
            return NOT_WRITTEN, True
        content, failed = await self._run(tool, call.input or {})
        self.record.end(call.call_id, failed=failed)
        return content, failed

    def _obstacle(self, number: int, call: ToolCallPart) -> str:
        """Why the call cannot run; empty if it can."""
        if number >= self.limits.calls:
            return f"not run: a round has {self.limits.calls} calls at most; ask for it again"
        if call.name not in self.tools:
            return f"there is no tool {call.name!r}; there are: {', '.join(self.tools) or 'none'}"
        return "the arguments are no JSON object" if call.input is None else ""

    async def _run(self, tool: Tool, arguments: Mapping[str, Any]) -> tuple[str, bool]:
        """What the tool gave or why it failed, and whether it did."""
        content, failed = f"no result within {self.limits.seconds:g} s", True
        with trio.move_on_after(self.limits.seconds):
            try:
                content, failed = await _given(tool, arguments), False
            except* ToolError as problems:
                content = "; ".join(map(str, _leaves(problems)))
            except* Exception as problems:  # a failing tool tells the model, and breaks nothing
                log.exception("tool.failed", tool=tool.spec.name, exc_info=problems)
                content = f"the tool failed: {type(next(_leaves(problems))).__name__}"
        return content, failed


async def _given(tool: Tool, arguments: Mapping[str, Any]) -> str:
    given: object = await tool.call(arguments)
    if not isinstance(given, str):
        raise TypeError(f"a tool gives text, and {tool.spec.name} gave {type(given).__name__}")
    return given


def _leaves(group: BaseExceptionGroup[BaseException]) -> Iterator[BaseException]:
    for each in group.exceptions:
        if isinstance(each, BaseExceptionGroup):
            yield from _leaves(each)
        else:
            yield each


def shortened(text: str, limit: int) -> str:
    """The text, or its head and its tail with a line between them that tells how much is missing."""
    if len(text) <= limit:
        return text
    # The line may count a few characters too many: its own length depends on the number.
    kept = max(0, limit - len(_gap(len(text))))
    head, tail = kept - kept // 2, kept // 2
    return text[:head] + _gap(len(text) - kept) + text[len(text) - tail :]


def _gap(missing: int) -> str:
    return f"\n[… {missing} characters left out …]\n"
