"""What must hold after a run of a sweep, whatever struck when."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Sequence
from itertools import pairwise
from typing import Any

from scenes import CURSOR
from sweep_world import COPY, MARK, SeenTurn, World, squeezed

from triolet.core.conversation import Ending, Message, ToolResultPart
from triolet.core.ending import mark_of
from triolet.core.events import RoundEnded, TextCompleted, TextDelta, ToolStarted
from triolet.core.transcript import NOT_KNOWN, NOT_RUN

NOTICES = {
    "There is nothing to stop.",
    "A new conversation. What was said is forgotten.",
    "⏹ 1 waiting message dropped",
    "⏹ 2 waiting messages dropped",
}
AT_ONCE = 0.25
"""Seconds from a stop to the closed connection (case I1)."""

ROUND_TRIP = 0.1
"""Seconds for what was on its way."""


def shown(world: World, chat: int) -> list[str]:
    """The bot's messages, without notices."""
    messages = world.server.screen(chat).messages
    return [message.text for message in messages if message.from_bot and message.text not in NOTICES]


def without_copies(texts: Sequence[str]) -> list[str]:
    """The messages that are not marked as copies of what is there as well."""
    originals = [text for text in texts if not COPY.search(text)]
    return [text for text in texts if not COPY.search(text) or COPY.sub("", text) not in originals]


def unmarked(texts: Sequence[str]) -> str:
    """What of the messages is the model's, on end, squeezed."""
    return squeezed("".join(MARK.sub("", COPY.sub("", text)) for text in texts))


def answers_in(history: Sequence[Message]) -> list[Message]:
    return [message for message in history if message.role == "assistant"]


def asked_in(history: Sequence[Message]) -> list[str]:
    return [message.text for message in history if message.role == "user"]


# What the strike ended


def check_ended_at_once(world: World, ends: Ending) -> None:
    """Every turn that lived has ended so, with its request and its tools, and nothing was begun for it any more."""
    moment = world.moment
    for seen in moment.live:
        # A shutdown is told to the poller, which tells the turns: one that ends meanwhile has ended by itself.
        just_over = ends is Ending.SHUTDOWN and seen.over_at <= moment.time + ROUND_TRIP
        assert seen.turn.ending is ends or (just_over and seen.turn.ending is Ending.COMPLETE)
        assert seen.over_at <= moment.time + AT_ONCE
    for request in moment.requests:
        assert request.ended is not None
        assert request.ended <= moment.time + AT_ONCE
    for run in moment.tools:
        assert run.ended <= moment.time + AT_ONCE
    for ended_at in world.mcp.ended_at[moment.mcp_ended :][: moment.mcp_calls]:
        assert ended_at <= moment.time + AT_ONCE


def check_nothing_begins(world: World, until: float) -> None:
    """No model is asked and no tool runs between the strike and then."""
    since = world.moment.time
    assert [request for request in world.model.requests if since < request.received < until] == []
    assert [run for run in world.tool_runs if since < run.began < until] == []


def check_kept(world: World, stored: Sequence[Message], chat: int) -> None:
    """What the person had seen of the answer is stored."""
    text = squeezed("".join(message.text for message in answers_in(stored)))
    assert text.startswith(world.moment.shown.get(chat, ""))


# The house


def check_house(world: World, tolerated: Collection[str] = ()) -> None:
    """No task, place or button is left, every connection is idle and known to its pool, and nobody made a mistake."""
    assert world.tasks() == world.at_rest
    assert world.supervisor._services.turns.borrowed_tokens == 0
    assert len(world.supervisor._services.buttons) == 0
    assert not [run for run in world.tool_runs if run.ended == math.inf]
    assert not world.mcp.calls
    assert {request.how for request in world.model.requests} <= {"completed", "client_left", "reset"}
    idle = [each for pool in world.pools for each in pool.idle]
    assert all(each.is_reusable for each in idle), "none is in the middle of an answer"
    to_telegram = [each for each in idle if each.origin.host == "telegram"]
    assert len(world.open_lines) <= len(to_telegram) + 1, "but for the poll, all of them are idle"
    to_model = [each for each in idle if each.origin.host == "model.test"]
    assert len(world.model.connections) <= len(to_model), "the pool knows of all that the model still holds"
    errors = {event["event"] for event in world.log if event["log_level"] in {"error", "critical"}}
    assert errors <= set(tolerated)


def check_done_with(world: World) -> None:
    """No update waits, no answer is open, and no message is on its way for all the store knows."""
    assert world.count("SELECT count(*) FROM inbox WHERE body IS NOT NULL") == 0
    assert world.count("SELECT count(*) FROM turn") == 0
    assert world.count("SELECT count(*) FROM outbox WHERE state IN ('pending', 'sending') OR growing") == 0


# The screen


def check_screen(world: World, chat: int) -> None:
    """No cursor and no button; no draft or typing behind the end, and one draft at most without a message."""
    screen = world.server.screen(chat)
    assert screen.draft is None
    for message in screen.messages:
        assert CURSOR.strip() not in message.text
        assert message.buttons == ()
    calls = world.scene.calls(chat_id=chat)
    assert all(call.outcome != "pending" for call in calls)
    assert all((one.answered or 0.0) <= another.received for one, another in pairwise(calls)), "one after the other"
    interim = [call for call in calls if call.method in {"sendMessageDraft", "sendChatAction"}]
    assert [call for call in interim if call.received > world.idle_at + ROUND_TRIP] == []
    lasting = [call for call in calls if is_lasting(call)]
    left = [call for call in interim if not lasting or call.received > lasting[-1].received]
    drafts = {call.params["draft_id"] for call in left if call.method == "sendMessageDraft"}
    assert len(drafts) <= 1
    if any(seen.turn.ending in {Ending.COMPLETE, Ending.STOPPED} for seen in world.seen[-1:] if seen.chat == chat):
        assert not left, "the last word is a message"


def is_lasting(call: Any) -> bool:
    sent = call.method in {"sendMessage", "editMessageText", "deleteMessage"}
    return sent and call.params.get("text") not in NOTICES and call.outcome != "refused"


# The history


async def check_history(world: World, chat: int) -> None:
    """What is shown is what is stored, and all that the model said; what is no whole answer is marked as what it is."""
    history = await world.history(chat)
    stored = answers_in(history)
    text = squeezed("".join(message.text for message in stored))
    texts = shown(world, chat)
    assert unmarked(texts) == text
    said = list(emitted(world, chat))
    if TextCompleted not in map(type, said):
        assert text == squeezed("".join(event.text for event in said if isinstance(event, TextDelta)))
    marks = list(marks_below(texts))
    broken = [message.ending for message in stored if message.ending is not Ending.COMPLETE]
    assert len(marks) == len(broken)
    assert all(mark.startswith(mark_of(ending, answered=True)) for mark, ending in zip(marks, broken, strict=True))
    check_results(world, chat, history)
    check_usage(world)


def marks_below(texts: Sequence[str]) -> Iterator[str]:
    """The marks of answers of which there is some text."""
    for text in texts:
        found = MARK.search(COPY.sub("", text))
        if found is not None and found.start() > 0:
            yield found[0].strip()


def emitted(world: World, chat: int) -> Iterator[Any]:
    for seen in world.seen:
        if seen.chat == chat:
            yield from seen.emitted


def check_results(world: World, chat: int, history: Sequence[Message]) -> None:
    """Every call has a result, which tells what became of it."""
    told = [results for seen in world.seen if seen.chat == chat for results in results_of(world, seen)]
    for number, message in enumerate(history):
        if message.calls:
            parts = [part for part in history[number + 1].parts if isinstance(part, ToolResultPart)]
            assert [part.call_id for part in parts] == [call.call_id for call in message.calls]
            expected = told.pop(0)
            assert {part.call_id: part.content for part in parts if part.call_id in expected} == expected


def results_of(world: World, seen: SeenTurn) -> Iterator[dict[str, str]]:
    """For each round of a turn, what its calls of our own tools must have given."""
    started = {event.call_id for event in seen.emitted if isinstance(event, ToolStarted)}
    runs = {run.name: run for run in world.tool_runs if seen.began_at <= run.began <= seen.over_at}
    for event in seen.emitted:
        if isinstance(event, RoundEnded):
            calls = [call for call in event.message.calls if call.name in world.play.tools]
            done = {call.call_id for call in calls if call.name in runs and runs[call.name].done}
            yield {
                call.call_id: f"{call.name} is done"
                if call.call_id in done
                else NOT_KNOWN
                if call.call_id in started
                else NOT_RUN
                for call in calls
            }


def check_usage(world: World) -> None:
    """What was reported is stored, whatever became of the answer."""
    reported = sum(each.input_tokens for seen in world.seen for each in seen.turn.tally.spent(lambda *_: None))
    assert world.count("SELECT coalesce(sum(input_tokens), 0) FROM usage") == reported
