"""The contract of `core.ports.Provider`, one suite for all of them.

Each rule is a walk over a stage. The scripted provider and Chat Completions in memory take every rule in virtual
time, so that times are exact; Chat Completions over TCP takes those that need no clock.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeAlias

import pytest
import trio
import trio.testing
from provider_scenes import Ear, OpenStage, Stage, memory_stage, question, scripted_stage, tcp_stage

from triolet.core.events import (
    Finished,
    FinishReason,
    ReasoningDelta,
    StreamEvent,
    TextDelta,
    ToolCallDelta,
    UsageReported,
)
from triolet.errors import ProviderRejected, ProviderUnavailable
from triolet.providers.scripted import Cut, End, Fail, Hang, Pause, Say, Step, events

Rule: TypeAlias = Callable[[Stage], Awaitable[None]]

PIECES = ["Grüße, ", "👋", "\n\n", " ", 'data: {"x": "\\n"}\r\n', "\u2028", "[DONE]", " end ", "e", "\u0301"]
REASONS: list[FinishReason] = ["stop", "length", "tool_calls", "content_filter"]


async def text_concatenates_exactly(stage: Stage) -> None:
    ear = await stage.ask(*map(Say.text, PIECES))
    assert ear.text == "".join(PIECES)


async def events_come_in_order_as_they_were_said(stage: Stage) -> None:
    told: list[StreamEvent] = [
        ReasoningDelta("hm"),
        TextDelta("a"),
        ToolCallDelta(0, "call_1", "look", '{"x"'),
        ToolCallDelta(0, "", "", ":1}"),
        TextDelta("b"),
    ]
    ear = await stage.ask(*(events(event) for event in told), End("tool_calls"))
    assert ear.events == [*told, Finished("tool_calls")]


async def what_is_said_at_once_is_one_batch(stage: Stage) -> None:
    ear = await stage.ask(events(TextDelta("a"), TextDelta("b")), Say.text("c"))
    assert ear.batches[0] == (TextDelta("a"), TextDelta("b"))
    assert ear.batches[1] == (TextDelta("c"),)
    assert all(ear.batches)


async def finished_comes_once_and_last_but_for_usage(stage: Stage) -> None:
    for reason in REASONS:
        ear = await stage.ask(Say.text("a"), End(reason))
        assert ear.events == [TextDelta("a"), Finished(reason)]
    ear = await stage.ask(Say.text("a"), events(Finished("length")), Say.usage(7, 3))
    assert ear.events == [TextDelta("a"), Finished("length"), UsageReported(7, 3)]


async def an_empty_answer_is_an_answer(stage: Stage) -> None:
    ear = await stage.ask(End("stop"))
    assert ear.events == [Finished("stop")]


async def a_cut_stream_does_not_finish(stage: Stage) -> None:
    ear = await stage.ask(Say.text("hal"), Cut())
    assert (ear.text, ear.reasons) == ("hal", [])


async def a_failure_leaves_what_was_emitted(stage: Stage) -> None:
    ear = Ear()
    with pytest.raises(ProviderUnavailable):
        await stage.ask(Fail(ProviderUnavailable("overloaded")), ear=ear)
    assert ear.events == []
    with pytest.raises(ProviderUnavailable):
        await stage.ask(Say.text("hal"), Fail(ProviderUnavailable("overloaded")), ear=ear)
    assert ear.events == [TextDelta("hal")]


async def a_refusal_has_its_status(stage: Stage) -> None:
    with pytest.raises(ProviderRejected) as caught:
        await stage.ask(Fail(ProviderRejected("no such model", status=404)))
    assert caught.value.status == 404


async def it_goes_on_after_every_kind_of_end(stage: Stage) -> None:
    ends: list[Step] = [End("length"), Cut(), Fail(ProviderUnavailable("down"))]
    for end in ends:
        try:
            await stage.ask(Say.text("a"), end)
        except ProviderUnavailable:
            assert isinstance(end, Fail)
        assert (await stage.ask(Say.text("b"))).text == "b"


async def streams_do_not_mix(stage: Stage) -> None:
    ears = [Ear() for _ in range(10)]
    async with trio.open_nursery() as nursery:
        for ear in ears:
            stage.play(Say.text("a"), Pause(0.01), Say.text("b"))
            nursery.start_soon(stage.provider.stream, question(), ear)
    assert [ear.events for ear in ears] == [[TextDelta("a"), TextDelta("b"), Finished("stop")]] * 10


async def asking_is_a_checkpoint(stage: Stage) -> None:
    with trio.testing.assert_checkpoints():
        await stage.ask(End())


async def events_come_when_they_are_said(stage: Stage) -> None:
    began = trio.current_time()
    ear = await stage.ask(Pause(1.5), Say.text("a"), Pause(0.25), Say.text("b"), Pause(4), End())
    assert [at - began for at in ear.times] == [1.5, 1.75, 5.75]


async def cancelling_ends_it_at_once_and_for_good(stage: Stage) -> None:
    silent: list[tuple[Step, ...]] = [(Hang(),), (Say.text("a"), Hang()), (Say.text("a"), Pause(3), Say.text("b"))]
    for steps in silent:
        began, ear = trio.current_time(), Ear()
        with trio.move_on_after(1.25) as scope:
            await stage.ask(*steps, ear=ear)
        assert scope.cancelled_caught
        assert trio.current_time() == began + 1.25
        await trio.testing.wait_all_tasks_blocked()
        heard = list(ear.batches)
        assert (await stage.ask(Pause(4), Say.text("next"))).text == "next"
        assert ear.batches == heard


async def an_old_cancel_is_taken_before_anything_is_emitted(stage: Stage) -> None:
    ear = Ear()
    with trio.CancelScope() as scope:
        scope.cancel()
        await stage.ask(Say.text("a"), ear=ear)
    assert scope.cancelled_caught
    assert ear.batches == []


TIMELESS: list[Rule] = [
    text_concatenates_exactly,
    events_come_in_order_as_they_were_said,
    finished_comes_once_and_last_but_for_usage,
    an_empty_answer_is_an_answer,
    a_cut_stream_does_not_finish,
    a_failure_leaves_what_was_emitted,
    a_refusal_has_its_status,
    it_goes_on_after_every_kind_of_end,
    streams_do_not_mix,
    asking_is_a_checkpoint,
]
TIMED: list[Rule] = [
    what_is_said_at_once_is_one_batch,
    events_come_when_they_are_said,
    cancelling_ends_it_at_once_and_for_good,
    an_old_cancel_is_taken_before_anything_is_emitted,
]


def name(value: object) -> str:
    return getattr(value, "__name__", str(value))


@pytest.mark.parametrize("open_stage", [scripted_stage, memory_stage], ids=name)
@pytest.mark.parametrize("rule", TIMELESS + TIMED, ids=name)
async def test_contract(rule: Rule, open_stage: OpenStage, autojump_clock: trio.testing.MockClock) -> None:
    async with open_stage() as stage:
        await rule(stage)


@pytest.mark.parametrize("rule", TIMELESS, ids=name)
async def test_contract_over_tcp(rule: Rule) -> None:
    async with tcp_stage() as stage:
        await rule(stage)
