"""The scripted provider: its steps to the instant, and what the demo says."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import trio
import trio.testing
from provider_scenes import Ear, listen, question

from triolet.core.conversation import Message, Role
from triolet.core.events import (
    Finished,
    FinishReason,
    ReasoningDelta,
    StreamEvent,
    TextDelta,
    ToolCallDelta,
    UsageReported,
)
from triolet.core.ports import ModelRequest
from triolet.errors import ProviderRejected, ProviderUnavailable
from triolet.providers.scripted import (
    GREETING,
    STORY,
    Cut,
    End,
    Fail,
    Hang,
    Pause,
    Say,
    ScriptedProvider,
    Step,
    constant,
    demo_script,
    events,
    speak,
)


async def test_steps_happen_at_their_times(autojump_clock: trio.testing.MockClock) -> None:
    provider = ScriptedProvider(
        constant(Say.reasoning("hm"), Pause(0.5), Say.text("a"), Say.text("b"), Pause(1.25), Say.usage(3, 2))
    )
    ear = await listen(provider)
    assert list(zip(ear.times, ear.batches, strict=True)) == [
        (0.0, (ReasoningDelta("hm"),)),
        (0.5, (TextDelta("a"),)),
        (0.5, (TextDelta("b"),)),
        (1.75, (UsageReported(3, 2),)),
        (1.75, (Finished("stop"),)),
    ]


async def test_a_tool_call_and_a_batch_of_anything(autojump_clock: trio.testing.MockClock) -> None:
    both = events(TextDelta("a"), UsageReported(1, 1))
    ear = await listen(ScriptedProvider(constant(Say.tool_call("look", "{}"), both, End("tool_calls"))))
    assert ear.batches == [
        (ToolCallDelta(0, "call_1", "look", "{}"),),
        (TextDelta("a"), UsageReported(1, 1)),
        (Finished("tool_calls"),),
    ]


@pytest.mark.parametrize("reason", ["stop", "length", "content_filter", "other"])
async def test_nothing_follows_an_end(reason: FinishReason, autojump_clock: trio.testing.MockClock) -> None:
    ear = await listen(ScriptedProvider(constant(Say.text("a"), End(reason), Pause(1), Say.text("b"))))
    assert ear.events == [TextDelta("a"), Finished(reason)]
    assert trio.current_time() == 0


async def test_a_script_that_says_finished_itself_finishes_once(autojump_clock: trio.testing.MockClock) -> None:
    said: list[StreamEvent] = [TextDelta("a"), Finished("length"), UsageReported(1, 1)]
    assert (await listen(ScriptedProvider(constant(*map(Say, zip(said, strict=True)))))).events == said


async def test_nothing_follows_a_cut(autojump_clock: trio.testing.MockClock) -> None:
    ear = await listen(ScriptedProvider(constant(Say.text("a"), Cut(), Say.text("b"))))
    assert ear.events == [TextDelta("a")]


@pytest.mark.parametrize("error", [ProviderUnavailable("down", retry_after=3), ProviderRejected("no", status=400)])
async def test_a_failure_is_the_error_of_the_script(
    error: ProviderRejected | ProviderUnavailable, autojump_clock: trio.testing.MockClock
) -> None:
    provider, ear = ScriptedProvider(constant(Say.text("a"), Fail(error))), Ear()
    with pytest.raises(type(error)) as caught:
        await provider.stream(question(), ear)
    assert caught.value is error
    assert ear.text == "a"


async def test_a_hang_lasts(autojump_clock: trio.testing.MockClock) -> None:
    with trio.move_on_after(1e6) as scope:
        await ScriptedProvider(constant(Hang(), Say.text("a"))).stream(question(), Ear())
    assert scope.cancelled_caught
    assert trio.current_time() == 1e6


async def test_it_remembers_what_it_was_asked_and_counts_what_is_open(autojump_clock: trio.testing.MockClock) -> None:
    provider = ScriptedProvider(constant(Pause(1), Fail(ProviderUnavailable("down"))))
    requests = [question("one"), question("two")]

    async def ask(request: ModelRequest) -> None:
        with pytest.raises(ProviderUnavailable):
            await provider.stream(request, Ear())

    async with trio.open_nursery() as nursery:
        for request in requests:
            nursery.start_soon(ask, request)
            await trio.testing.wait_all_tasks_blocked()
        assert provider.requests == requests
        assert provider.open_streams == 2
    assert provider.open_streams == 0
    with trio.move_on_after(0.5):
        await provider.stream(question(), Ear())
    assert provider.open_streams == 0


async def test_the_script_is_asked_anew_for_every_request(autojump_clock: trio.testing.MockClock) -> None:
    provider = ScriptedProvider(lambda request: [Say.text(request.messages[-1].text.upper())])
    assert [(await listen(provider, text)).text for text in ("one", "two")] == ["ONE", "TWO"]


async def test_no_step_is_taken_before_its_time(autojump_clock: trio.testing.MockClock) -> None:
    """A script may be a generator that looks at the clock, or ends what waits for it."""
    taken: list[float] = []

    def script(_request: ModelRequest) -> Iterator[Step]:
        for step in (Pause(1), Say.text("a")):
            taken.append(trio.current_time())
            yield step

    await listen(ScriptedProvider(script))
    assert taken == [0.0, 1.0]


TEXTS = ["one two three", "a\n\nb  c", " leading", "trailing \n", "word", "", "\n", "👋 ça va?", STORY, GREETING]


@pytest.mark.parametrize("text", TEXTS, ids=lambda text: repr(text[:12]))
async def test_speaking_says_exactly_the_text_evenly(text: str, autojump_clock: trio.testing.MockClock) -> None:
    steps = list(speak(text, tokens_per_second=4, first_after=0.5))
    ear = await listen(ScriptedProvider(constant(*steps)))
    assert ear.text == text
    tokens = len(ear.batches) - 1
    assert ear.times == [0.5 + 0.25 * number for number in range(tokens + 1)]
    assert ear.batches[-1] == (UsageReported(len(text) // 4, tokens), Finished("stop"))
    assert steps == list(speak(text, tokens_per_second=4, first_after=0.5))


def conversation(*questions: str) -> ModelRequest:
    messages = [Message.of("user", questions[0])]
    for text in questions[1:]:
        messages += [Message.of("assistant", "an answer"), Message.of("user", text)]
    return ModelRequest(messages)


DEMO: list[tuple[tuple[str, ...], str]] = [
    (("hi",), GREETING),
    (("hi", "Tell me a STORY, please"), STORY),
    (("A story!",), STORY),
    (("hi", "  what is that? \n"), "You said: what is that?\n\nThat was message 2 of this conversation."),
    (("hi", "story", "again"), "You said: again\n\nThat was message 3 of this conversation."),
    (("hi", "x" * 5000), f"You said: {'x' * 2000}\n\nThat was message 2 of this conversation."),
]


@pytest.mark.parametrize(("questions", "answer"), DEMO, ids=range(len(DEMO)))
async def test_the_demo_says(questions: tuple[str, ...], answer: str, autojump_clock: trio.testing.MockClock) -> None:
    provider = ScriptedProvider(demo_script)
    ears = [Ear(), Ear()]
    for ear in ears:
        await provider.stream(conversation(*questions), ear)
    assert ears[0].text == answer
    assert ears[0].batches == ears[1].batches
    assert ears[0].times[0] == 0.4
    assert ears[0].reasons == ["stop"]


def tail(text: str, count: int) -> str:
    return " ".join(text.split(" ")[count:])


def head(text: str, count: int) -> str:
    return " ".join(text.split(" ")[:count])


PLEA = "Continue your answer, please."
TWICE: list[tuple[Role, str]] = [("user", "A story!"), ("assistant", head(STORY, 9)), ("user", PLEA)]
GOING_ON: list[tuple[list[tuple[Role, str]], str]] = [
    ([("user", "hi"), ("assistant", head(GREETING, 5)), ("user", PLEA)], " " + tail(GREETING, 5)),
    (TWICE, " " + tail(STORY, 9)),
    ([*TWICE, ("assistant", head(tail(STORY, 9), 7)), ("user", "go on!")], " " + tail(STORY, 16)),
    (
        [("user", "hi"), ("assistant", GREETING), ("user", PLEA)],
        "That was all.",
    ),
    (
        [("user", "A story!"), ("assistant", head(STORY, 9)), ("user", "Hello")],
        "You said: Hello\n\nThat was message 2 of this conversation.",
    ),
    (
        [("user", "A story!"), ("assistant", "I know none"), ("user", PLEA)],
        f"You said: {PLEA}\n\nThat was message 2 of this conversation.",
    ),
]


@pytest.mark.parametrize(("said", "rest"), GOING_ON, ids=range(len(GOING_ON)))
async def test_the_demo_goes_on_where_it_broke_off(
    said: list[tuple[Role, str]], rest: str, autojump_clock: trio.testing.MockClock
) -> None:
    ear = Ear()
    await ScriptedProvider(demo_script).stream(ModelRequest([Message.of(*each) for each in said]), ear)
    assert ear.text == rest


async def test_the_demo_answers_an_empty_conversation(autojump_clock: trio.testing.MockClock) -> None:
    ear = Ear()
    await ScriptedProvider(demo_script).stream(ModelRequest([]), ear)
    assert ear.reasons == ["stop"]
