"""Who is served, where, in which order, and what of a conversation goes to the model."""

from __future__ import annotations

import attrs
import pytest
import structlog
import trio
from scenes import ADA, BOB, GROUP, STRANGER, open_scene, rest, said, scene_settings, tokens

from triolet.config import LimitSettings
from triolet.core.conversation import Message
from triolet.core.dialects.openai_chat import render_request
from triolet.core.ports import ModelRequest
from triolet.errors import ContextTooLong
from triolet.providers.scripted import Fail, Hang, Pause, Say, Step


async def test_without_allow_nobody_is_served(
    autojump_clock: object, captured_log: list[structlog.typing.EventDict]
) -> None:
    async with open_scene(*tokens(3), settings=scene_settings(allow=())) as scene:
        for text in ("Hello", "/start", "/stop", "/new", "/help"):
            scene.server.say(ADA, text)
            scene.server.say(GROUP, f"@triolet_bot {text}", user_id=ADA)
        await rest(60)
        assert scene.provider.requests == []
        assert scene.calls() == scene.calls(chat_id=GROUP) == []
        refused = [event for event in captured_log if event["event"] == "access.refused"]
        assert [event["user_id"] for event in refused] == [ADA], "once, for the operator to copy"
        assert [event["event"] for event in captured_log].count("access.nobody") == 1


async def test_strangers_updates_cost_nothing_and_are_done_with(autojump_clock: object) -> None:
    async with open_scene(*tokens(3)) as scene:
        for number in range(100):
            scene.server.say(STRANGER, f"Hello {number}")
        await rest(60)
        assert scene.provider.requests == []
        assert scene.calls(chat_id=STRANGER) == []
        assert scene.telegram.updates.pending == []


@pytest.mark.parametrize(
    ("respond", "text", "answered"),
    [
        ("mention", "@triolet_bot hello", True),
        ("mention", "@TRIOLET_BOT hello", True),
        ("mention", "hello 😀 @triolet_bot", True),
        ("mention", "hello", False),
        ("mention", "@triolet_bott hello", False),
        ("all", "hello", True),
    ],
)
async def test_group_message_is_answered_when_it_is_meant_for_the_bot(
    autojump_clock: object, respond: str, text: str, answered: bool
) -> None:
    async with open_scene(*tokens(3), settings=scene_settings(respond=respond)) as scene:
        asked = scene.server.say(GROUP, text, user_id=ADA)
        scene.server.say(GROUP, text, user_id=STRANGER)
        await rest(60)
        assert scene.bot_messages(GROUP) == ([said(3)] if answered else [])
        if answered:
            assert scene.server.screen(GROUP).messages[-1].reply_to == asked


async def test_reply_to_the_bot_is_answered_in_a_group(autojump_clock: object) -> None:
    async with open_scene(*tokens(3)) as scene:
        await scene.ask("@triolet_bot hello", GROUP, user_id=ADA)
        answer = scene.server.screen(GROUP).messages[-1].id
        assert await scene.ask("and now?", GROUP, user_id=BOB, reply_to=answer) == said(3)
        assert len(scene.bot_messages(GROUP)) == 2


async def test_mention_is_an_address_and_no_content(autojump_clock: object) -> None:
    async with open_scene(*tokens(3)) as scene:
        await scene.ask("@triolet_bot, what is a triolet?", GROUP, user_id=ADA)
        assert scene.provider.requests[0].messages[-1].text == "what is a triolet?"


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("/start", "Hello! Send me a message"),
        ("/help", "Send me a message"),
        ("/help@triolet_bot", "Send me a message"),
        ("/dance", "I don't know /dance. /help tells what I know."),
    ],
)
@pytest.mark.parametrize("chat_id", [ADA, GROUP])
async def test_command_is_answered_at_once_even_while_a_turn_hangs(
    autojump_clock: object, text: str, answer: str, chat_id: int
) -> None:
    async with open_scene(Hang()) as scene:
        scene.server.say(chat_id, "@triolet_bot hello", user_id=ADA)
        await trio.sleep(2.0)
        scene.server.say(chat_id, text, user_id=ADA)
        await trio.sleep(0.15)
        assert scene.bot_messages(chat_id)[-1].startswith(answer)


async def test_another_bots_command_is_none_of_ours(autojump_clock: object) -> None:
    async with open_scene(*tokens(3), settings=scene_settings(respond="all")) as scene:
        scene.server.say(GROUP, "/help@other_bot", user_id=ADA)
        await rest(60)
        assert scene.calls(chat_id=GROUP) == []


@pytest.mark.case("I5")
async def test_queued_messages_are_answered_in_order(autojump_clock: object) -> None:
    questions = ["one", "two", "three", "four", "five"]

    def echo(request: ModelRequest) -> list[Step]:
        return [Pause(3.0), Say.text(f"answer to {request.messages[-1].text}"), Pause(1.0)]

    async with open_scene(script=echo) as scene:
        for question in questions:
            scene.server.say(ADA, question)
        assert await scene.wait_answers(5) == [f"answer to {question}" for question in questions]


async def test_queue_is_bounded_and_says_so(autojump_clock: object) -> None:
    settings = attrs.evolve(scene_settings(), limits=LimitSettings(queue_per_chat=2))
    async with open_scene(*tokens(30), settings=settings) as scene:
        for question in ("one", "two", "three", "four"):
            scene.server.say(ADA, question)
            await trio.sleep(0.1)
        messages = await scene.wait_answers(4)
        assert messages[0] == "⏳ 2 messages are waiting already, and I take no more meanwhile. /stop drops them."
        await rest(60)
        assert [request.messages[-1].text for request in scene.provider.requests] == ["one", "two", "three"]


async def test_history_goes_to_the_model_and_stays_with_its_conversation(autojump_clock: object) -> None:
    async with open_scene(*tokens(2)) as scene:
        await scene.ask("Ada's first")
        await scene.ask("Bob's first", BOB)
        await scene.ask("Ada's second")
        said_to_model = [(message.role, message.text.strip()) for message in scene.provider.requests[-1].messages]
        assert said_to_model == [("user", "Ada's first"), ("assistant", said(2)), ("user", "Ada's second")]


async def test_system_prompt_and_limit_go_with_every_request(autojump_clock: object) -> None:
    settings = scene_settings(system_prompt="Be brief.", max_tokens=77)
    async with open_scene(*tokens(2), settings=settings) as scene:
        await scene.ask("one")
        await scene.ask("two")
        assert {(r.system_prompt, r.max_tokens) for r in scene.provider.requests} == {("Be brief.", 77)}


async def test_history_is_bounded_by_whole_turns(autojump_clock: object) -> None:
    async with open_scene(Say.text("x" * 1000), settings=scene_settings(context_tokens=1000)) as scene:
        for number in range(6):
            await scene.ask(f"question {number} " + "y" * 500)
        kept = [message.text[:10] for message in scene.provider.requests[-1].messages]
        assert kept == ["question 4", "x" * 10, "question 5"]


async def test_too_long_context_is_halved_once(autojump_clock: object) -> None:
    def strict(request: ModelRequest) -> list[Step]:
        characters = sum(len(message.text) for message in request.messages)
        return [Fail(ContextTooLong("too long", status=400))] if characters > 3000 else [Say.text("z" * 900)]

    async with open_scene(script=strict, settings=scene_settings(context_tokens=1200)) as scene:
        for number in range(5):
            assert await scene.ask(f"question {number}") == "z" * 900
        tried = [len(request.messages) for request in scene.provider.requests]
        assert tried == [1, 3, 5, 7, 9, 3]


async def test_message_that_no_halving_helps_is_refused_in_one_line(autojump_clock: object) -> None:
    async with open_scene(Fail(ContextTooLong("too long", status=400))) as scene:
        assert await scene.ask() == "⚠ broken off · the message is too long for the model; send less, or /new"
        assert len(scene.provider.requests) == 1


async def test_topics_of_a_private_chat_are_conversations_of_their_own(autojump_clock: object) -> None:
    async with open_scene(*tokens(3)) as scene:
        scene.telegram.add_topic(ADA, 7, "Seven")
        scene.server.say(ADA, "in the topic", thread_id=7)
        await rest(10)
        assert [m.text for m in scene.server.screen(ADA, 7).messages] == ["in the topic", said(3)]
        await scene.ask("outside")
        assert [message.text for message in scene.provider.requests[-1].messages] == ["outside"]


async def test_answered_updates_are_acknowledged_and_answered_once(autojump_clock: object) -> None:
    async with open_scene(*tokens(3)) as scene:
        for number in range(20):
            await scene.ask(f"question {number}")
        await rest(120)
        assert len(scene.provider.requests) == 20
        assert scene.telegram.updates.pending == []


async def test_queue_takes_what_one_poll_brings_and_refuses_once(autojump_clock: object) -> None:
    """The first of a batch does not wait, though its turn has not begun; a backlog is told once, not per message."""
    settings = attrs.evolve(scene_settings(), limits=LimitSettings(queue_per_chat=5))
    async with open_scene(*tokens(3), settings=settings) as scene:
        for number in range(9):
            scene.server.say(ADA, f"question {number}")
        await rest(60)
        assert len(scene.provider.requests) == 6
        assert [text for text in scene.bot_messages() if text.startswith("⏳")] == [scene.bot_messages()[0]]


async def test_model_that_holds_less_than_it_was_said_to_goes_on_answering(autojump_clock: object) -> None:
    """A server's context is often smaller than `context_tokens`: history shrinks, and the chat is not lost."""

    def small(request: ModelRequest) -> list[Step]:
        characters = sum(len(message.text) for message in request.messages)
        return [Fail(ContextTooLong("too long", status=400))] if characters > 20_000 else [Say.text("z" * 3000)]

    async with open_scene(script=small) as scene:
        for number in range(30):
            assert await scene.ask(f"question {number}") == "z" * 3000
        kept = [len(request.messages) for request in scene.provider.requests]
        assert kept[-1] >= 5


async def test_unanswered_question_and_the_next_are_one_message_on_the_wire(autojump_clock: object) -> None:
    """Many servers refuse two messages of one role in a row."""
    asked = [Message.of("user", "one"), Message.of("user", "two"), Message.of("assistant", "yes")]
    assert render_request(ModelRequest(asked, ""))["messages"] == [
        {"role": "user", "content": "one\n\ntwo"},
        {"role": "assistant", "content": "yes"},
    ]


async def test_ids_beyond_the_stores_are_ignored(autojump_clock: object) -> None:
    async with open_scene(*tokens(3)) as scene:
        person = {"id": ADA, "is_bot": False, "first_name": "Ada"}
        chat = {"id": 2**63, "type": "private"}
        message = {"message_id": 1, "date": 0, "chat": chat, "from": person, "text": "Hello"}
        scene.server.act(scene.telegram.push_update, "message", message)
        assert await scene.ask() == said(3)
