"""A model that fails: asked again, passed over for another, continued; and what the person sees meanwhile."""

from __future__ import annotations

import gc
from collections.abc import Iterable

import pytest
import trio
from scenes import ADA, CURSOR, GROUP, Scene, calls, open_scene, rest, rounds, said, scene_settings, slow_tool, tokens

from triolet.app.book import CONTINUE
from triolet.app.model import CONTINUATION_PAUSE, CONTINUATIONS, GO_ON
from triolet.config import FallbackSettings, StreamingSettings
from triolet.core.breaker import MAX_FAILURES, REST
from triolet.core.coalescer import Coalescer
from triolet.core.conversation import OpaquePart
from triolet.core.events import BlockCompleted
from triolet.core.ports import ModelRequest
from triolet.errors import ContextTooLong, ProviderError, ProviderRejected, ProviderUnavailable
from triolet.providers.scripted import Cut, End, Fail, Hang, Pause, Say, Script, ScriptedProvider, Step, events

DOWN = Fail(ProviderUnavailable("the provider cannot answer now (503)"))
GOOD: list[Step] = [Say.text("All is well."), End()]


def in_turn(*answers: Iterable[Step]) -> Script:
    """Each request gets the next answer, and the last one for ever."""
    left = [list(answer) for answer in answers]
    return lambda request: left.pop(0) if len(left) > 1 else left[0]


def buttons(scene: Scene, chat_id: int = ADA) -> list[tuple[int, str, str]]:
    """Message, label and data of every button on the screen."""
    messages = scene.server.screen(chat_id).messages
    rows = [(message.id, button) for message in messages for row in message.buttons for button in row]
    return [(number, button.text, button.data or "") for number, button in rows]


# Before anything can be seen


@pytest.mark.case("L5")
@pytest.mark.parametrize(
    "failure",
    [
        pytest.param([DOWN], id="refused"),
        pytest.param([Cut()], id="cut"),
        pytest.param([Say.reasoning("hm"), DOWN], id="after reasoning"),
        pytest.param([Say.text(" \n"), Cut()], id="after white space"),
        pytest.param([Say.text("<think>SECRET"), Cut()], id="after hidden text"),
        pytest.param([Say.tool_call("search", '{"q'), DOWN], id="within a call"),
    ],
)
async def test_request_is_repeated_as_it_is(autojump_clock: object, failure: list[Step]) -> None:
    async with open_scene(script=in_turn(failure, failure, GOOD)) as scene:
        began = trio.current_time()
        assert await scene.ask() == "All is well."
        first, second, third = scene.provider.requests
        assert first == second == third
        assert 0.5 + 1.0 <= trio.current_time() - began <= 1.5 + 2.0 + 1.0


async def test_patience_has_an_end(autojump_clock: object) -> None:
    async with open_scene(DOWN) as scene:
        assert await scene.ask() == "⚠ broken off · the provider cannot answer now (503)"
        assert len(scene.provider.requests) == 3
        assert buttons(scene) == [], "there is nothing to continue"


@pytest.mark.case("L1")
async def test_person_sees_why_it_takes_so_long(autojump_clock: object) -> None:
    silent: list[Step] = [Pause(60.0), Fail(ProviderUnavailable("the provider fell silent"))]
    async with open_scene(script=in_turn(silent, [Pause(20.0), *GOOD])) as scene:
        scene.server.say(ADA, "Hello")
        await trio.sleep(62.0)
        assert scene.server.visible(ADA)[1:] == ["the provider fell silent; asking again"]
        await scene.wait_answers()
        assert scene.bot_messages() == ["All is well."]


@pytest.mark.case("L1", "RR8")
@pytest.mark.parametrize("screen", ["draft", "edit"])
async def test_person_sees_why_an_answer_stands_still(autojump_clock: object, screen: str) -> None:
    streaming = StreamingSettings(transport="edit" if screen == "edit" else "auto")
    silent: list[Step] = [*tokens(10), Pause(60.0), Fail(ProviderUnavailable("the provider fell silent"))]
    script = in_turn(silent, [Pause(10.0), Say.text("word8 word9 and so on."), Pause(5.0), End()])
    async with open_scene(script=script, settings=scene_settings(streaming=streaming)) as scene:
        scene.server.say(ADA, "Hello")
        await trio.sleep(61.5 + 5.0)
        note = "\n\nthe provider fell silent; going on"
        assert scene.server.visible(ADA)[1].removesuffix(CURSOR) == said(10) + note
        await trio.sleep(10.0)
        assert scene.server.visible(ADA)[1].removesuffix(CURSOR) == said(10) + " and so on."
        await scene.wait_answers()
        assert scene.bot_messages() == [said(10) + " and so on."]


@pytest.mark.case("L1")
async def test_all_attempts_share_one_deadline(autojump_clock: object) -> None:
    silent: list[Step] = [Pause(60.0), Fail(ProviderUnavailable("the provider fell silent"))]
    async with open_scene(*silent, settings=scene_settings(total_timeout=100.0)) as scene:
        began = trio.current_time()
        assert await scene.ask() == "⚠ broken off · no end after 100 s"
        assert 100.0 <= trio.current_time() - began < 101.0
        assert scene.provider.open_streams == 0


async def test_wait_that_the_provider_names_is_kept(autojump_clock: object) -> None:
    flooded = Fail(ProviderUnavailable("the provider cannot answer now (429)", retry_after=37.0))
    async with open_scene(script=in_turn([flooded], GOOD)) as scene:
        began = trio.current_time()
        assert await scene.ask() == "All is well."
        assert 37.0 <= trio.current_time() - began < 38.0


async def test_wait_that_nobody_would_wait_is_told_at_once(autojump_clock: object) -> None:
    flooded = Fail(ProviderUnavailable("the provider cannot answer now (429)", retry_after=61.0))
    async with open_scene(flooded) as scene:
        began = trio.current_time()
        assert await scene.ask() == "⚠ broken off · the provider cannot answer now (429)"
        assert trio.current_time() - began < 1.0
        assert len(scene.provider.requests) == 1


@pytest.mark.parametrize(
    "error", [ProviderRejected("the provider refuses the API key", status=401), ProviderError("there is none")]
)
async def test_what_will_never_work_is_not_repeated(autojump_clock: object, error: ProviderError) -> None:
    async with open_scene(Fail(error)) as scene:
        assert await scene.ask() == f"⚠ broken off · {error}"
        assert len(scene.provider.requests) == 1


@pytest.mark.case("L6")
async def test_abandoned_attempt_says_no_more(autojump_clock: object) -> None:
    """Its stream has ended before the next one begins."""
    streams: list[int] = []

    def script(request: ModelRequest) -> list[Step]:
        streams.append(provider.open_streams)
        return [DOWN]

    provider = ScriptedProvider(script)
    async with open_scene(providers=[provider]) as scene:
        await scene.ask()
        assert streams == [1, 1, 1]


@pytest.mark.case("L5")
async def test_no_tool_runs_twice_because_a_later_round_is_repeated(autojump_clock: object) -> None:
    script = rounds(calls("search"), *GOOD[:1])
    failures = iter([True, True])

    def flaky(request: ModelRequest) -> Iterable[Step]:
        return [DOWN] if request.messages[-1].role == "tool" and next(failures, False) else script(request)

    runs: list[float] = []
    async with open_scene(script=flaky, tools=[slow_tool("search", 1.0, ran=runs)]) as scene:
        assert await scene.ask() == "All is well."
        assert len(runs) == 1
        assert len(scene.provider.requests) == 4


# Other models

FALLBACK = (FallbackSettings(name="second"), FallbackSettings(name="third"))


async def test_another_model_answers_at_once(autojump_clock: object) -> None:
    models = [
        ScriptedProvider(in_turn(answer)) for answer in ([DOWN], [Fail(ContextTooLong("long", status=400))], GOOD)
    ]
    settings = scene_settings(fallback=FALLBACK)
    async with open_scene(providers=models, settings=settings) as scene:
        began = trio.current_time()
        assert await scene.ask() == "All is well."
        assert trio.current_time() - began < 1.0
        assert [len(model.requests) for model in models] == [1, 1, 1]


async def test_last_model_is_the_one_with_whom_patience_helps(autojump_clock: object) -> None:
    models = [ScriptedProvider(in_turn([DOWN])) for _ in range(3)]
    async with open_scene(providers=models, settings=scene_settings(fallback=FALLBACK)) as scene:
        assert await scene.ask() == "⚠ broken off · the provider cannot answer now (503)"
        assert [len(model.requests) for model in models] == [1, 1, 3]


async def test_model_that_spoke_is_not_passed_over(autojump_clock: object) -> None:
    models = [ScriptedProvider(in_turn([Say.text("All is"), DOWN])), ScriptedProvider(in_turn(GOOD))]
    async with open_scene(providers=models, settings=scene_settings(fallback=FALLBACK[:1])) as scene:
        assert await scene.ask() == "All is\n\n⚠ broken off · the provider cannot answer now (503)"
        assert models[1].requests == []


async def test_model_that_fails_again_and_again_is_left_alone_for_a_while(autojump_clock: object) -> None:
    models = [ScriptedProvider(in_turn([DOWN])), ScriptedProvider(in_turn(GOOD))]
    async with open_scene(providers=models, settings=scene_settings(fallback=FALLBACK[:1])) as scene:
        for _ in range(MAX_FAILURES + 3):
            assert await scene.ask() == "All is well."
        assert len(models[0].requests) == MAX_FAILURES
        await trio.sleep(REST)
        await scene.ask()
        await scene.ask()
        assert len(models[0].requests) == MAX_FAILURES + 1


async def test_only_model_that_fails_again_and_again_is_asked_once_a_question(autojump_clock: object) -> None:
    async with open_scene(script=in_turn(*[[DOWN]] * 8, GOOD)) as scene:
        for _ in range(3):
            assert "⚠" in await scene.ask()
        assert len(scene.provider.requests) == 3 + 3 + 1
        await trio.sleep(REST)
        assert "⚠" in await scene.ask()
        assert len(scene.provider.requests) == 3 + 3 + 1 + 1, "half open, it is asked once, too"
        assert await scene.ask() == "All is well."


@pytest.mark.parametrize("rejected", [401, 400])
async def test_model_that_refuses_is_not_one_that_fails(autojump_clock: object, rejected: int) -> None:
    models = [
        ScriptedProvider(in_turn([Fail(ProviderRejected("no", status=rejected))])),
        ScriptedProvider(in_turn(GOOD)),
    ]
    async with open_scene(providers=models, settings=scene_settings(fallback=FALLBACK[:1])) as scene:
        for _ in range(MAX_FAILURES + 3):
            await scene.ask()
        assert len(models[0].requests) == MAX_FAILURES + 3


async def test_model_that_fails_now_and_then_is_asked_again_and_again(autojump_clock: object) -> None:
    down: list[Step] = [DOWN]
    now_and_then = [*[down] * (MAX_FAILURES - 1), GOOD] * 3
    models = [ScriptedProvider(in_turn(*now_and_then)), ScriptedProvider(in_turn(GOOD))]
    async with open_scene(providers=models, settings=scene_settings(fallback=FALLBACK[:1])) as scene:
        for _ in range(len(now_and_then)):
            await scene.ask()
        assert len(models[0].requests) == len(now_and_then)


async def test_another_model_is_not_held_to_what_the_first_wanted(autojump_clock: object) -> None:
    runs: list[float] = []
    models = [
        ScriptedProvider(in_turn([Say.tool_call("search", "{}"), Pause(5.0), DOWN])),
        ScriptedProvider(in_turn([Pause(5.0), *GOOD])),
    ]
    settings = scene_settings(fallback=FALLBACK[:1])
    async with open_scene(providers=models, tools=[slow_tool("search", ran=runs)], settings=settings) as scene:
        scene.server.say(ADA, "Hello")
        await trio.sleep(8.0)
        assert scene.server.visible(ADA)[1:] == ["the provider cannot answer now (503); asking another model"]
        assert await scene.wait_answers() == ["All is well."]
        assert (runs, len(models[1].requests)) == ([], 1)


async def test_model_that_holds_less_than_it_was_said_to_is_asked_for_less_at_once(autojump_clock: object) -> None:
    too_long = Fail(ContextTooLong("long", status=400))
    script = in_turn([Say.text("word " * 1000), End()], [too_long], GOOD, GOOD)
    async with open_scene(script=script) as scene:
        await scene.ask()
        await scene.ask("And?")
        await scene.ask("And then?" + " why?" * 700)
        assert [len(request.messages) for request in scene.provider.requests] == [1, 3, 1, 3]


async def test_model_whose_tokens_are_short_is_asked_for_less(autojump_clock: object) -> None:
    answer: list[Step] = [Say.text("Because."), Say.usage(4000, 1), End()]
    async with open_scene(*answer, settings=scene_settings(context_tokens=3000)) as scene:
        await scene.ask("why? " * 800)
        await scene.ask("why? " * 800)
        assert [len(request.messages) for request in scene.provider.requests] == [1, 1]


# After something can be seen


@pytest.mark.case("L4", "S5", "RR9")
@pytest.mark.parametrize("screen", ["draft", "edit", "off", "group"])
@pytest.mark.parametrize(
    ("prefills", "continuation"),
    [
        pytest.param(True, " word10 word11 ", id="exactly"),
        pytest.param(False, "word8 word9 word10 word11 ", id="with the last words"),
        pytest.param(False, "".join(f"word{n} " for n in range(12)), id="from the beginning"),
    ],
)
async def test_broken_answer_is_continued_where_it_was(
    autojump_clock: object, screen: str, prefills: bool, continuation: str
) -> None:
    chat_id = GROUP if screen == "group" else ADA
    streaming = StreamingSettings(enabled=screen != "off", transport="edit" if screen == "edit" else "auto")
    script = in_turn([*tokens(10), DOWN], [Pause(2.0), Say.text(continuation), End()])
    model = ScriptedProvider(script, prefills=prefills)
    async with open_scene(providers=[model], settings=scene_settings(streaming=streaming)) as scene:
        answer = await scene.ask("@triolet_bot Hello", chat_id, user_id=ADA)
        assert answer == said(12)
        assert len(scene.bot_messages(chat_id)) == 1
        asked = [(message.role, message.text) for message in model.requests[1].messages]
        assert asked[1] == ("assistant", said(10) + " ")
        assert asked[2:] == ([] if prefills else [("user", GO_ON)])
        await scene.ask("@triolet_bot And?", chat_id, user_id=ADA)
        history = [message.text for message in model.requests[2].messages]
        assert history[1].split() == said(12).split()
        assert GO_ON not in history


@pytest.mark.parametrize("prefills", [True, False])
async def test_what_a_model_thinks_before_it_goes_on_is_not_seen(autojump_clock: object, prefills: bool) -> None:
    thought = "" if prefills else "<think>SECRET again</think>\n\nword8 word9"
    script = in_turn(
        [Say.text("<think>SECRET</think>"), *tokens(10), Say.text("\n<think>SECRET"), DOWN],
        [Say.text(f"{thought} word10 word11"), End()],
    )
    model = ScriptedProvider(script, prefills=prefills)
    async with open_scene(providers=[model]) as scene:
        assert (await scene.ask()).split() == said(12).split()
        assert not any("SECRET" in str(call.params) for call in scene.telegram.journal)
        assert model.requests[1].messages[1].text == said(10) + " \n"
        await scene.ask("And?")
        assert model.requests[2].messages[1].text.split() == said(12).split()


async def test_continuation_knows_the_question_however_long_it_is(autojump_clock: object) -> None:
    script = in_turn(GOOD, [*tokens(10), DOWN], [Say.text("word8 word9 word10"), End()])
    async with open_scene(script=script, settings=scene_settings(context_tokens=1000)) as scene:
        await scene.ask()
        assert await scene.ask("why? " * 800) == said(11)
        asked = [(message.role, message.text[:5]) for message in scene.provider.requests[2].messages]
        assert asked == [("user", "why? "), ("assistant", "word0"), ("user", GO_ON[:5])]


async def test_continuation_that_breaks_off_is_continued_in_its_turn(autojump_clock: object) -> None:
    script = in_turn([Say.text("One, two, "), Cut()], [Say.text("three, "), DOWN], [Say.text("four."), End()])
    async with open_scene(providers=[ScriptedProvider(script, prefills=True)]) as scene:
        began = trio.current_time()
        assert await scene.ask() == "One, two, three, four."
        assert CONTINUATION_PAUSE <= trio.current_time() - began < CONTINUATION_PAUSE + 1


@pytest.mark.case("L4", "RR10")
@pytest.mark.parametrize("failure", [DOWN, Cut(), Fail(ProviderRejected("no", status=400))])
async def test_answer_that_cannot_be_continued_says_so(autojump_clock: object, failure: Step) -> None:
    script = in_turn([*tokens(10), DOWN], [failure])
    async with open_scene(script=script) as scene:
        assert await scene.ask() == said(10) + "\n\n⚠ broken off · the provider cannot answer now (503)"
        assert len(scene.provider.requests) == 1 + CONTINUATIONS
        assert [label for _, label, _ in buttons(scene)] == ["▶ Continue"]


async def test_call_of_the_broken_attempt_is_not_made(autojump_clock: object) -> None:
    runs: list[float] = []
    script = in_turn([*tokens(10), Say.tool_call("search", "{}"), DOWN], [Say.text("word8 word9 word10"), End()])
    async with open_scene(script=script, tools=[slow_tool("search", ran=runs)]) as scene:
        assert await scene.ask() == said(11)
        assert (runs, len(scene.provider.requests)) == ([], 2)


async def test_another_answer_is_no_continuation(autojump_clock: object) -> None:
    another = said(10).replace("word8", "something else")
    async with open_scene(script=in_turn([*tokens(10), DOWN], [Say.text(another), End()])) as scene:
        assert await scene.ask() == said(10) + "\n\n⚠ broken off · the provider cannot answer now (503)"
        assert len(scene.provider.requests) == 2


async def test_stop_while_it_is_continued(autojump_clock: object) -> None:
    async with open_scene(script=in_turn([*tokens(10), DOWN], [Hang()])) as scene:
        scene.server.say(ADA, "Hello")
        await trio.sleep(10.0)
        scene.server.say(ADA, "/stop")
        assert await scene.wait_answers() == [said(10) + "\n\n⏹ stopped"]
        assert scene.provider.open_streams == 0


# The button of a broken answer


@pytest.mark.parametrize("chat_id", [ADA, GROUP])
@pytest.mark.parametrize("ending", ["failed", "length"])
async def test_continue_button_asks_for_the_rest(autojump_clock: object, chat_id: int, ending: str) -> None:
    last: list[Step] = [End("length")] if ending == "length" else [Fail(ProviderUnavailable("down"))]
    hopeless: list[list[Step]] = [] if ending == "length" else [[DOWN]] * CONTINUATIONS
    script = in_turn([*tokens(10), *last], *hopeless, [Say.text("And so it went."), End()])
    async with open_scene(script=script) as scene:
        broken = await scene.ask("@triolet_bot Hello", chat_id, user_id=ADA)
        [(message_id, label, data)] = buttons(scene, chat_id)
        assert label == "▶ Continue"
        for _ in range(3):
            scene.server.press_button(chat_id, message_id, data, ADA)
        await scene.wait_answers(2, chat_id)
        assert scene.bot_messages(chat_id) == [broken, "And so it went."]
        assert scene.provider.requests[-1].messages[-1].text == CONTINUE
        await rest(5)
        assert buttons(scene, chat_id) == [], "it works once, and goes"
        assert len(scene.bot_messages(chat_id)) == 2


async def test_continue_is_asked_alone(autojump_clock: object) -> None:
    """Where messages that come together are asked together: a message came just before the press."""
    script = in_turn([*tokens(10), End("length")], tokens(5), [Say.text("And so it went."), End()])
    settings = scene_settings(streaming=StreamingSettings(busy="interrupt"))
    async with open_scene(script=script, settings=settings) as scene:
        await scene.ask()
        [(message_id, _, data)] = buttons(scene)
        scene.server.say(ADA, "two")
        scene.server.press_button(ADA, message_id, data, ADA)
        await rest(30)
        ends = [request.messages[-2:] for request in scene.provider.requests[1:]]
        assert [(before.role, asked.text) for before, asked in ends] == [("assistant", "two"), ("assistant", CONTINUE)]


async def test_continue_button_is_for_who_asked(autojump_clock: object) -> None:
    async with open_scene(*tokens(10), End("length")) as scene:
        await scene.ask("@triolet_bot Hello", GROUP, user_id=ADA)
        [(message_id, _, data)] = buttons(scene, GROUP)
        scene.server.press_button(GROUP, message_id, data, 1002)
        await rest(5)
        assert len(scene.bot_messages(GROUP)) == 1
        assert len(buttons(scene, GROUP)) == 1


async def test_continue_button_has_no_meaning_in_a_new_conversation(autojump_clock: object) -> None:
    async with open_scene(*tokens(10), End("length")) as scene:
        await scene.ask()
        [(message_id, _, data)] = buttons(scene)
        assert "forgotten" in await scene.ask("/new")
        scene.server.press_button(ADA, message_id, data, ADA)
        await rest(20)
        assert len(scene.provider.requests) == 1
        [told] = [call for call in scene.telegram.journal if call.method == "answerCallbackQuery"]
        assert told.params["text"] == "This button has had its day."


def answers_in_memory() -> int:
    gc.collect()
    return sum(isinstance(each, Coalescer) for each in gc.get_objects())


async def test_button_that_stays_keeps_no_text(autojump_clock: object) -> None:
    before = answers_in_memory()
    async with open_scene(*tokens(10), End("length")) as scene:
        await scene.ask()
        await rest(5)
        scene.provider.requests.clear()
        assert answers_in_memory() == before
        assert [label for _, label, _ in buttons(scene)] == ["▶ Continue"]


async def test_button_of_an_answer_that_is_not_the_newest_has_had_its_day(autojump_clock: object) -> None:
    """Or the rest of the one would come after the other."""
    async with open_scene(script=in_turn([*tokens(10), End("length")], GOOD)) as scene:
        await scene.ask()
        [(message_id, _, data)] = buttons(scene)
        await scene.ask("Something else")
        scene.server.press_button(ADA, message_id, data, ADA)
        await rest(5)
        assert len(scene.bot_messages()) == 2
        toasts = [change.text for change in scene.server.transcript(ADA) if change.kind == "toast"]
        assert toasts == ["This button has had its day."]


async def test_stopped_answer_needs_no_button(autojump_clock: object) -> None:
    async with open_scene(*tokens(10), Hang()) as scene:
        scene.server.say(ADA, "Hello")
        await trio.sleep(5.0)
        scene.server.say(ADA, "/stop")
        await scene.wait_answers()
        assert buttons(scene) == []


# What only the model itself understands


class _Thinking(ScriptedProvider):
    """Every round of it has a block that must come back."""

    def __init__(self, *answers: list[Step]) -> None:
        super().__init__(in_turn(*([events(BlockCompleted(BLOCK)), *answer] for answer in answers)))

    def blocks(self) -> list[int]:
        """How many each request had."""
        return [
            sum(part == BLOCK for message in request.messages for part in message.parts) for request in self.requests
        ]


BLOCK = OpaquePart("scripted", {"signature": "x"})
SEARCH: list[Step] = [Say.tool_call("search", "{}"), End("tool_calls")]


async def test_blocks_come_back_within_an_answer(autojump_clock: object) -> None:
    model = _Thinking(SEARCH, SEARCH, GOOD)
    async with open_scene(providers=[model], tools=[slow_tool("search")]) as scene:
        assert await scene.ask() == "All is well."
        assert model.blocks() == [0, 1, 2]


@pytest.mark.parametrize("name", ["second", "scripted"])
async def test_another_model_gets_no_blocks_of_the_first(autojump_clock: object, name: str) -> None:
    """Nor does one of the same name, at another server."""
    models = [_Thinking(SEARCH, [DOWN]), _Thinking(GOOD)]
    settings = scene_settings(name="scripted", fallback=(FallbackSettings(name=name),))
    async with open_scene(providers=models, tools=[slow_tool("search")], settings=settings) as scene:
        assert await scene.ask() == "All is well."
        assert [model.blocks() for model in models] == [[0, 1], [0]]


async def test_blocks_are_left_out_when_less_of_the_history_goes_with_them(autojump_clock: object) -> None:
    too_long = Fail(ContextTooLong("long", status=400))
    model = _Thinking([Say.text("word " * 1000), End()], SEARCH, [too_long], GOOD)
    async with open_scene(providers=[model], tools=[slow_tool("search")]) as scene:
        await scene.ask()
        scene.server.say(ADA, "And?")
        await rest(20)
        assert scene.bot_messages()[-1] == "All is well."
        assert [len(request.messages) for request in model.requests] == [1, 3, 5, 3]
        assert model.blocks() == [0, 0, 1, 0]
