"""The contract of `core.ports.Provider`, one suite for all of them.

Each rule is a walk over a stage. The scripted provider and the three dialects in memory take every rule in virtual
time, so that times are exact; the dialects over TCP take those that need no clock.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeAlias

import pytest
import trio
import trio.testing
from model_dialects import DIALECTS, Dialect
from provider_scenes import Ear, Stage, memory_stage, question, scripted_stage, tcp_stage

from triolet.core.conversation import Message, TextPart, ToolCallPart, ToolResultPart
from triolet.core.events import Finished, FinishReason, ReasoningDelta, TextDelta, ToolCallDelta, UsageReported
from triolet.core.ports import ModelRequest, ToolSpec
from triolet.errors import ProviderRejected, ProviderUnavailable
from triolet.providers.scripted import Cut, End, Fail, Hang, Pause, Say, Step, events

Rule: TypeAlias = Callable[[Stage], Awaitable[None]]

PIECES = ["Grüße, ", "👋", "\n\n", " ", 'data: {"x": "\\n"}\r\n', "\u2028", "[DONE]", " end ", "e", "\u0301"]
REASONS: list[FinishReason] = ["stop", "length", "content_filter"]


async def text_concatenates_exactly(stage: Stage) -> None:
    ear = await stage.ask(*map(Say.text, PIECES))
    assert ear.text == "".join(PIECES)


async def thoughts_are_no_text(stage: Stage) -> None:
    ear = await stage.ask(Say.reasoning("hm"), Say.reasoning(", "), Say.text("a"), Say.text("b"))
    assert (ear.reasoning, ear.text, ear.reasons) == ("hm, ", "ab", ["stop"])
    kinds = [type(event) for event in ear.said if isinstance(event, ReasoningDelta | TextDelta | Finished)]
    assert kinds == [ReasoningDelta, ReasoningDelta, TextDelta, Finished]


async def a_call_comes_with_its_fragments(stage: Stage) -> None:
    begun, more = ToolCallDelta(0, "call_1", "look", '{"x"'), ToolCallDelta(0, "", "", ":1}")
    ear = await stage.ask(Say.text("a"), events(begun), events(more), End("tool_calls"))
    assert (ear.text, ear.calls, ear.reasons) == ("a", [("call_1", "look", '{"x":1}')], ["tool_calls"])
    first, *others = [event for event in ear.events if isinstance(event, ToolCallDelta)]
    assert (first.call_id, first.name) == ("call_1", "look")
    assert {(other.index, other.call_id, other.name) for other in others} <= {(first.index, "", "")}


async def several_calls_are_kept_apart(stage: Stage) -> None:
    calls = [(f"call_{number}", f"tool_{number}", f'{{"x":{number}}}') for number in range(3)]
    said = [Say.tool_call(tool, given, index=at, call_id=call) for at, (call, tool, given) in enumerate(calls)]
    assert (await stage.ask(Say.reasoning("hm"), *said, End("tool_calls"))).calls == calls
    assert (await stage.ask(*said, End("tool_calls"))).calls == calls


async def a_call_may_have_no_arguments(stage: Stage) -> None:
    ear = await stage.ask(Say.tool_call("look", ""), End("tool_calls"))
    assert [(call, tool) for call, tool, _ in ear.calls] == [("call_1", "look")]
    assert ear.calls[0][2] in {"", "{}"}


async def tools_and_their_results_can_be_asked(stage: Stage) -> None:
    """The servers are strict about every field of them."""
    schema = {"type": "object", "properties": {"x": {"type": "integer"}}, "required": ["x"]}
    calls = (ToolCallPart("call_1", "look", '{"x":1}'), ToolCallPart("call_2", "look", '{"x":2}'))
    results = (ToolResultPart("call_1", "one"), ToolResultPart("call_2", "gone", is_error=True))
    talk = [
        Message.of("user", "Look twice."),
        Message("assistant", (TextPart("Well."), *calls)),
        Message("tool", results),
    ]
    for may_call in (True, False):
        tools = [ToolSpec("look", "Looks.", schema), ToolSpec("rest", "", {"type": "object", "properties": {}})]
        request = ModelRequest(talk, "Be brief.", 10, tools, may_call=may_call)
        assert (await stage.ask(Say.text("a"), request=request)).text == "a"


async def what_is_said_at_once_is_one_batch(stage: Stage) -> None:
    ear = await stage.ask(events(TextDelta("a"), TextDelta("b")), Pause(0.0625), Say.text("c"))
    texts = ["".join(event.text for event in batch if isinstance(event, TextDelta)) for batch in ear.batches]
    assert [said for said in texts if said] == ["ab", "c"]
    assert all(ear.batches)


async def finished_comes_once_and_last_but_for_usage(stage: Stage) -> None:
    for reason in REASONS:
        ear = await stage.ask(Say.text("a"), Say.usage(7, 3), End(reason))
        assert (ear.text, ear.reasons) == ("a", [reason])
        assert (ear.usage and (ear.usage.input_tokens, ear.usage.output_tokens)) == (7, 3)
        after = ear.events[ear.events.index(Finished(reason)) + 1 :]
        assert all(isinstance(event, UsageReported) for event in after)


async def an_empty_answer_is_an_answer(stage: Stage) -> None:
    ear = await stage.ask(End("stop"))
    assert ear.reasons == ["stop"]
    assert (ear.text, ear.calls) == ("", [])


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
    assert (ear.text, ear.reasons) == ("hal", [])


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
    assert [(ear.text, ear.reasons) for ear in ears] == [("ab", ["stop"])] * 10


async def asking_is_a_checkpoint(stage: Stage) -> None:
    with trio.testing.assert_checkpoints():
        await stage.ask(End())


async def events_come_when_they_are_said(stage: Stage) -> None:
    began = trio.current_time()
    ear = await stage.ask(Pause(1.5), Say.text("a"), Pause(0.25), Say.text("b"), Pause(4), End())
    assert list(dict.fromkeys(at - began for at in ear.times)) == [1.5, 1.75, 5.75]


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
    thoughts_are_no_text,
    a_call_comes_with_its_fragments,
    several_calls_are_kept_apart,
    a_call_may_have_no_arguments,
    tools_and_their_results_can_be_asked,
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
    return value.name if isinstance(value, Dialect) else getattr(value, "__name__", str(value))


@pytest.mark.parametrize("rule", TIMELESS + TIMED, ids=name)
async def test_the_scripted_provider(rule: Rule, autojump_clock: trio.testing.MockClock) -> None:
    async with scripted_stage() as stage:
        await rule(stage)


@pytest.mark.parametrize("dialect", DIALECTS.values(), ids=name)
@pytest.mark.parametrize("rule", TIMELESS + TIMED, ids=name)
async def test_a_dialect(rule: Rule, dialect: Dialect, autojump_clock: trio.testing.MockClock) -> None:
    async with memory_stage(dialect) as stage:
        await rule(stage)


@pytest.mark.parametrize("dialect", DIALECTS.values(), ids=name)
@pytest.mark.parametrize("rule", TIMELESS, ids=name)
async def test_a_dialect_over_tcp(rule: Rule, dialect: Dialect) -> None:
    async with tcp_stage(dialect) as stage:
        await rule(stage)
