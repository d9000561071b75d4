"""A tool that does something asks first: who may answer, what the person reads, and what ends the question."""

from __future__ import annotations

from functools import partial

import pytest
import trio
import trio.testing
from scenes import ADA, BOB, GROUP, ROUND_TRIP, Calls, Scene, calls, open_scene, rest, rounds, scene_settings, slow_tool

from triolet.app.approvals import LONGEST_ARGUMENTS, Approvals, question
from triolet.config import StreamingSettings
from triolet.core.buttons import Button as Meaning
from triolet.core.buttons import Buttons
from triolet.core.conversation import ConversationKey, ToolCallPart
from triolet.core.ending import GOES_ON
from triolet.core.events import ApprovalAsked, ApprovalEnded, TurnEvent
from triolet.emulator import Button, Fault, Reset
from triolet.providers.scripted import End, Pause, Say, Step
from triolet.tools import tool

SCREENS = {
    "draft": (ADA, StreamingSettings()),
    "edit": (ADA, StreamingSettings(transport="edit")),
    "first": (ADA, StreamingSettings(transport="edit", notify="first")),
    "off": (ADA, StreamingSettings(enabled=False)),
    "group": (GROUP, StreamingSettings()),
}
STORY: list[Step | Calls] = [
    Say.text("I will delete it."),
    Pause(1.0),
    calls("delete"),
    Pause(1.0),
    Say.text("It is gone."),
]
QUESTION = "🔐 May I use delete?"


class Stage:
    """A scene with one tool that asks, and when it ran."""

    def __init__(self, scene: Scene, chat_id: int, ran: list[float]) -> None:
        self.scene = scene
        self.chat_id = chat_id
        self.ran = ran

    def say(self, text: str = "Hello", user_id: int = ADA) -> None:
        self.scene.server.say(self.chat_id, f"@triolet_bot {text}" if text[0] != "/" else text, user_id=user_id)

    def prompts(self) -> list[tuple[int, list[Button]]]:
        messages = self.scene.server.screen(self.chat_id).messages
        rows = [(message.id, row) for message in messages for row in message.buttons]
        return [(number, list(row)) for number, row in rows if row[0].text == "✅ Allow"]

    async def wait_prompt(self) -> tuple[int, list[Button]]:
        await self.scene.server.wait_until(lambda: bool(self.prompts()))
        [prompt] = self.prompts()
        return prompt

    def press(self, prompt: tuple[int, list[Button]], number: int, user_id: int = ADA) -> None:
        data = prompt[1][number].data
        assert data is not None
        self.scene.server.press_button(self.chat_id, prompt[0], data, user_id)

    async def settled(self) -> list[str]:
        await rest(20)
        return self.scene.bot_messages(self.chat_id)


@pytest.mark.parametrize("screen", SCREENS)
@pytest.mark.parametrize(("number", "verdict"), [(0, "✅ allowed"), (1, "🚫 denied")])
async def test_who_asked_decides(autojump_clock: object, screen: str, number: int, verdict: str) -> None:
    chat_id, streaming = SCREENS[screen]
    ran: list[float] = []
    tools = [slow_tool("delete", has_effects=True, ran=ran)]
    async with open_scene(script=rounds(*STORY), tools=tools, settings=scene_settings(streaming=streaming)) as scene:
        stage = Stage(scene, chat_id, ran)
        stage.say()
        prompt = await stage.wait_prompt()
        await trio.sleep(100.0)
        assert ran == []
        stage.press(prompt, number)
        assert await stage.settled() == ["I will delete it.", f"{QUESTION}\n\n{verdict}", "It is gone."]
        assert len(ran) == 1 - number
        assert stage.prompts() == []
        [result] = scene.provider.requests[-1].messages[-1].parts
        assert ("did not allow" in str(result)) == bool(number)


@pytest.mark.parametrize("screen", ["draft", "edit", "group"])
async def test_messages_stay_in_their_order(autojump_clock: object, screen: str) -> None:
    """With a tool's line on screen, a question comes below what was said and above what comes next."""
    chat_id, streaming = SCREENS[screen]
    tools = [slow_tool("search", 30.0), slow_tool("delete", has_effects=True)]
    story: list[Step | Calls] = [
        Say.text("I look."),
        Pause(1.0),
        calls("search", "delete"),
        Say.text("Done."),
        Pause(2.0),
    ]
    async with open_scene(script=rounds(*story), tools=tools, settings=scene_settings(streaming=streaming)) as scene:
        stage = Stage(scene, chat_id, [])
        stage.say()
        prompt = await stage.wait_prompt()
        await trio.sleep(10.0)
        stage.press(prompt, 0)
        await rest(60)
        assert scene.bot_messages(chat_id) == ["I look.", f"{QUESTION}\n\n✅ allowed", "Done."]


@pytest.mark.parametrize("screen", ["draft", "edit", "group"])
async def test_question_does_not_wait_for_the_time_of_the_next_frame(autojump_clock: object, screen: str) -> None:
    chat_id, streaming = SCREENS[screen]
    words: list[Step | Calls] = [Say.text("I look into this carefully. "), Pause(0.25)]
    script = rounds(*words * 80, Pause(0.125), calls("delete"))
    tools = [slow_tool("delete", has_effects=True)]
    async with open_scene(script=script, tools=tools, settings=scene_settings(streaming=streaming)) as scene:
        stage = Stage(scene, chat_id, [])
        stage.say()
        began = trio.current_time()
        await stage.wait_prompt()
        seconds_there = 2.5 * ROUND_TRIP  # the message's, the last text's and the question's
        assert trio.current_time() - began == pytest.approx(20.125 + seconds_there)


async def test_question_shows_exactly_what_would_be_done(autojump_clock: object) -> None:
    @tool(has_effects=True)
    async def transfer(to: str, amount: int) -> str:
        """Send money."""
        return "sent"

    arguments = '{"to": "Eve\\namount: 1\\u202e", "amount": 1000}'
    script = rounds(Say.tool_call("transfer", arguments), calls(), Say.text("Sent."))
    async with open_scene(script=script, tools=[transfer]) as scene:
        stage = Stage(scene, ADA, [])
        stage.say()
        await stage.wait_prompt()
        [asked] = scene.bot_messages()
        assert asked.splitlines() == ["🔐 May I use transfer?", r'to: "Eve\namount: 1\u202e"', "amount: 1000"]


def test_long_arguments_show_both_ends() -> None:
    asked = question(ToolCallPart("1", "write", '{"text": "' + "a" * 5000 + 'END"}'))
    assert asked.startswith('🔐 May I use write?\ntext: "aaa')
    assert asked.endswith('aaaEND"')
    assert "\n… 4011 more characters …\n" in asked
    assert len(asked) < LONGEST_ARGUMENTS + 100


@pytest.mark.parametrize("arguments", ["", "{}", "[]", '{"a'])
def test_call_without_arguments_that_anybody_could_read(arguments: str) -> None:
    assert question(ToolCallPart("1", "write", arguments)) == "🔐 May I use write?"


@pytest.mark.case("I7")
@pytest.mark.parametrize("screen", SCREENS)
@pytest.mark.parametrize("how", ["/stop", "/new"])
async def test_stop_ends_the_wait_at_once_and_disables_the_question(
    autojump_clock: object, screen: str, how: str
) -> None:
    chat_id, streaming = SCREENS[screen]
    ran: list[float] = []
    tools = [slow_tool("delete", has_effects=True, ran=ran)]
    async with open_scene(script=rounds(*STORY), tools=tools, settings=scene_settings(streaming=streaming)) as scene:
        stage = Stage(scene, chat_id, ran)
        stage.say()
        await stage.wait_prompt()
        await trio.sleep(30.0)
        stage.say(how)
        await trio.sleep(5.0)
        shown = scene.bot_messages(chat_id)
        assert shown[:2] == ["I will delete it.", f"{QUESTION}\n\n🚫 not answered, so not done"]
        assert shown[2] == "⏹ stopped"
        assert stage.prompts() == []
        assert ran == []
        stage.say("And now?")
        await scene.server.wait_until(lambda: len(stage.prompts()) == 1)
        if how == "/stop":
            [result] = scene.provider.requests[1].messages[2].parts
            assert "it did nothing" in str(result), "the history has a result for every call"


async def test_who_does_not_answer_has_not_allowed_it(autojump_clock: object) -> None:
    ran: list[float] = []
    async with open_scene(script=rounds(*STORY), tools=[slow_tool("delete", has_effects=True, ran=ran)]) as scene:
        stage = Stage(scene, ADA, ran)
        stage.say()
        await stage.wait_prompt()
        asked = trio.current_time()
        await scene.server.wait_until(lambda: scene.bot_messages()[-1] == "It is gone.")
        assert 600.0 <= trio.current_time() - asked < 605.0
        assert ran == []
        assert scene.bot_messages()[1] == f"{QUESTION}\n\n🚫 not answered, so not done"


async def test_nobody_else_decides(autojump_clock: object) -> None:
    ran: list[float] = []
    tools = [slow_tool("delete", has_effects=True, ran=ran)]
    async with open_scene(script=rounds(*STORY), tools=tools, settings=scene_settings(allow=(BOB, ADA))) as scene:
        stage = Stage(scene, GROUP, ran)
        stage.say()
        prompt = await stage.wait_prompt()
        stage.press(prompt, 0, BOB)
        stage.say("/allow", BOB)
        await rest(20)
        assert ran == []
        assert "There is nothing that I want to be allowed." in scene.bot_messages(GROUP)
        stage.press(prompt, 1)
        await rest(20)
        assert f"{QUESTION}\n\n🚫 denied" in scene.bot_messages(GROUP)
        assert ran == []


@pytest.mark.parametrize(("command", "runs"), [("/allow", 1), ("/deny", 0)])
async def test_words_do_as_well_as_buttons(autojump_clock: object, command: str, runs: int) -> None:
    ran: list[float] = []
    async with open_scene(script=rounds(*STORY), tools=[slow_tool("delete", has_effects=True, ran=ran)]) as scene:
        stage = Stage(scene, ADA, ran)
        stage.say(command)
        await rest(2)
        assert scene.bot_messages() == ["There is nothing that I want to be allowed."]
        stage.say()
        await stage.wait_prompt()
        stage.say(command)
        await rest(20)
        assert len(ran) == runs
        assert scene.bot_messages()[-1] == "It is gone."


async def test_two_questions_are_two_messages(autojump_clock: object) -> None:
    ran: list[float] = []
    tools = [slow_tool(name, 1.0, has_effects=True, ran=ran) for name in ("delete", "send")]
    script = rounds(calls("delete", "send"), Say.text("Done."), End())
    async with open_scene(script=script, tools=tools) as scene:
        stage = Stage(scene, ADA, ran)
        stage.say()
        await scene.server.wait_until(lambda: len(stage.prompts()) == 2)
        first, second = stage.prompts()
        stage.press(second, 0)
        stage.press(first, 1)
        assert await stage.settled() == [
            "🔐 May I use delete?\n\n🚫 denied",
            "🔐 May I use send?\n\n✅ allowed",
            "Done.",
        ]
        assert len(ran) == 1


async def test_shutdown_disables_the_question(autojump_clock: object) -> None:
    async with open_scene(script=rounds(*STORY), tools=[slow_tool("delete", has_effects=True)]) as scene:
        stage = Stage(scene, ADA, [])
        stage.say()
        await stage.wait_prompt()
        scene.shutdown.set()
        await rest(20)
        assert stage.prompts() == []
        assert scene.bot_messages()[-1] == f"⏸ interrupted: the bot is restarting · {GOES_ON}"


async def test_tool_without_effects_does_not_ask(autojump_clock: object) -> None:
    steps: list[Step] = [Say.text("It is gone."), End()]
    async with open_scene(script=rounds(calls("delete"), *steps), tools=[slow_tool("delete")]) as scene:
        assert await scene.ask() == "It is gone."


async def test_question_is_asked_although_the_answer_may_be_hidden(autojump_clock: object) -> None:
    """Nobody knows the id of the message in which it grew, so it does not grow; a question waits for nothing."""
    story: list[Step | Calls] = [Say.text("I will delete it."), Pause(30.0), *STORY[2:]]
    settings = scene_settings(streaming=StreamingSettings(transport="edit"))
    async with open_scene(
        script=rounds(*story), tools=[slow_tool("delete", has_effects=True)], settings=settings
    ) as scene:
        scene.telegram.add_fault(Fault(method="sendMessage", action=Reset(carried_out=False)))
        stage = Stage(scene, ADA, [])
        stage.say()
        with trio.fail_after(45.0):
            await stage.wait_prompt()


@pytest.mark.parametrize("screen", SCREENS)
async def test_question_rings_although_a_tool_line_was_there(autojump_clock: object, screen: str) -> None:
    chat_id, streaming = SCREENS[screen]
    tools = [slow_tool("search", 10.0), slow_tool("delete", has_effects=True)]
    story: list[Step | Calls] = [calls("search"), Pause(1.0), calls("delete"), Say.text("Done.")]
    async with open_scene(script=rounds(*story), tools=tools, settings=scene_settings(streaming=streaming)) as scene:
        stage = Stage(scene, chat_id, [])
        stage.say()
        prompt = await stage.wait_prompt()
        await rest(5)
        messages = scene.server.screen(chat_id).messages
        [question] = [message for message in messages if message.id == prompt[0]]
        assert question.rang
        stage.press(prompt, 0)
        assert await stage.settled() == [f"{QUESTION}\n\n✅ allowed", "Done."]


@pytest.mark.parametrize("screen", SCREENS)
async def test_answer_that_ends_in_a_question_stays_above_it(autojump_clock: object, screen: str) -> None:
    chat_id, streaming = SCREENS[screen]
    tools = [slow_tool("delete", has_effects=True)]
    async with open_scene(
        script=rounds(*STORY[:3], End()), tools=tools, settings=scene_settings(streaming=streaming)
    ) as scene:
        stage = Stage(scene, chat_id, [])
        stage.say()
        stage.press(await stage.wait_prompt(), 0)
        assert await stage.settled() == ["I will delete it.", f"{QUESTION}\n\n✅ allowed"]


async def test_question_of_a_group_that_has_moved(autojump_clock: object) -> None:
    old, new = -5, -1005
    ran: list[float] = []
    tools = [slow_tool("delete", has_effects=True, ran=ran)]
    story: list[Step | Calls] = [Pause(10.0), *STORY[2:]]
    async with open_scene(script=rounds(*story), tools=tools) as scene:
        scene.telegram.add_group(old, "Few", (ADA, BOB))
        Stage(scene, old, ran).say()
        await trio.sleep(3.0)
        scene.server.migrate(old, new, ADA)
        stage = Stage(scene, new, ran)
        prompt = await stage.wait_prompt()
        stage.press(prompt, 0, BOB)
        await rest(5)
        assert ran == []
        stage.press(prompt, 0)
        await rest(5)
        assert len(ran) == 1


KEY = ConversationKey(ADA)


class Booth:
    """Questions without a bot around them."""

    def __init__(self) -> None:
        numbers = iter(range(100))
        self.buttons = Buttons(lambda: str(next(numbers)))
        self.approvals = Approvals(self.buttons, 60.0)
        self.events: list[TurnEvent] = []
        self.answers: dict[str, bool] = {}

    async def ask(self, call_id: str, *, arguments: str = "{}", user_id: int = ADA) -> None:
        call = ToolCallPart(call_id, "delete", arguments)
        self.answers[call_id] = await self.approvals.ask(
            call, self.events.extend, key=KEY, user_id=user_id, shown_by=lambda message_id: message_id == 7
        )

    @property
    def asked(self) -> list[ApprovalAsked]:
        return [event for event in self.events if isinstance(event, ApprovalAsked)]


async def test_oldest_question_to_a_person_is_answered_first_and_each_once(autojump_clock: object) -> None:
    booth = Booth()
    async with trio.open_nursery() as nursery:
        for call_id, user_id in (("a", BOB), ("b", ADA), ("c", ADA)):
            nursery.start_soon(partial(booth.ask, call_id, user_id=user_id))
            await trio.testing.wait_all_tasks_blocked()
        assert booth.approvals.decide(ADA, allowed=True)
        assert booth.approvals.decide(ADA, allowed=False)
        assert not booth.approvals.decide(ADA, allowed=True)
    assert booth.answers == {"a": False, "b": True, "c": False}
    ended = {event for event in booth.events if isinstance(event, ApprovalEnded)}
    assert ended == {ApprovalEnded("b", "allowed"), ApprovalEnded("c", "denied"), ApprovalEnded("a", "unanswered")}
    assert not booth.approvals.decide(BOB, allowed=True)
    assert len(booth.buttons) == 0


async def test_question_that_is_cancelled_leaves_nothing(autojump_clock: object) -> None:
    booth = Booth()
    with trio.move_on_after(1.0):
        await booth.ask("a")
    assert len(booth.buttons) == 0
    assert not booth.approvals.decide(ADA, allowed=True)


async def test_button_of_a_question_works_under_its_own_message(autojump_clock: object) -> None:
    booth = Booth()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(booth.ask, "a")
        await trio.testing.wait_all_tasks_blocked()
        [asked] = booth.asked
        assert booth.buttons.redeem(asked.allow, chat_id=ADA, message_id=8, user_id=ADA) == "unknown"
        found = booth.buttons.redeem(asked.allow, chat_id=ADA, message_id=7, user_id=ADA)
        assert isinstance(found, Meaning)
        assert found.press(4) == [4]
    assert booth.answers == {"a": True}


async def test_no_name_of_an_argument_passes_for_a_line(autojump_clock: object) -> None:
    booth = Booth()
    await booth.ask("a", arguments='{"to: 1\\namount": 2}')
    assert booth.asked[0].text.splitlines() == ["🔐 May I use delete?", r"to: 1\namount: 2"]
