"""What the sweeps play, what strikes, and what must be left: the scenarios of `tests/sweep`.

A `Play` is who asks what, what the model says, and what goes wrong meanwhile. A `Strike` is what happens at a point of
it: a stop, a new message, a broken connection. `play_on` is a whole run, with all that is checked after every one.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Any

import attrs
import trio
from model_dialects import MESSAGES, RESPONSES
from model_server import Pause, Step, refuse
from scenes import ADA, GROUP
from sweep_checks import (
    answers_in,
    asked_in,
    check_done_with,
    check_ended_at_once,
    check_history,
    check_house,
    check_kept,
    check_nothing_begins,
    check_screen,
    shown,
    unmarked,
    without_copies,
)
from sweep_world import (
    ASIDE,
    CHATS,
    QUIET,
    WORDS,
    Play,
    World,
    addressed,
    call_tools,
    hello,
    is_the_bots,
    label_of,
    open_world,
    speak,
    squeezed,
    tell,
    user_of,
)
from trio.lowlevel import Task

from triolet.app.book import CONTINUE
from triolet.app.model import GO_ON
from triolet.core.commands import BusyMode
from triolet.core.conversation import Ending
from triolet.core.recovery import Resume
from triolet.emulator import Delay, Fault, Flood, Refuse, ServerError
from triolet.testing import Trial

__all__ = ["PLAYS", "STRIKES", "Play", "Strike", "label_of", "open_world", "play_on"]

AGAIN = "And now?"


@attrs.frozen
class Strike:
    """``act`` returns whether it met anything; ``check`` looks at what is left, after a long silence.

    Attributes:
        ends: how the answers end that it finds; None if it ends none.
        last: nothing follows it: no model is asked any more until somebody asks again.
        resume: what becomes of the answers that it interrupts, if the bot is what it ends.
        mend: what is done before the silence.
        tolerated: errors that it may have logged.
        leaves_previews: what was growing on the screen may stay as it is.
        at_delivery: it also comes when all answers are recorded, and on their way.
        spares: parts of the bot at whose steps it finds nothing.
    """

    act: Callable[[World], bool]
    check: Callable[[World], Awaitable[None]]
    ends: Ending | None = None
    last: bool = False
    busy: BusyMode = "queue"
    resume: Resume = "auto"
    mend: Callable[[World], object] = lambda world: None
    tolerated: Collection[str] = ()
    leaves_previews: bool = False
    at_delivery: bool = False
    spares: frozenset[str] = frozenset()


async def play_on(trial: Trial, play: Play, strike: Strike) -> None:
    """A whole run: the play with the strike, a long silence, and another question."""
    async with open_world(play, strike.busy, strike.resume) as world:

        def act() -> None:
            moment = world.look()
            trial.hit = strike.act(world)
            if trial.hit:
                world.moment = moment

        def watched(task: Task) -> bool:
            if not is_the_bots(task) or (not world.has_conversations and not strike.at_delivery):
                return False
            return not play.only_committing or (bool(world.turns) and not world.is_answering)

        with trial.strikes(act, watch=watched):
            world.begin()
            await trio.sleep(0.1)
            await world.wait_idle()
        strike.mend(world)
        counts = [len(world.scene.calls(chat_id=chat)) for chat in play.chats]
        await trio.sleep(QUIET)
        assert [len(world.scene.calls(chat_id=chat)) for chat in play.chats] == counts
        await _check(world, strike, hit=trial.hit)
        check_house(world, strike.tolerated)
        for chat in play.chats:
            if not (trial.hit and strike.leaves_previews):
                check_screen(world, chat)
            await _ask_again(world, chat)
        check_house(world, strike.tolerated)
        check_done_with(world)


async def _check(world: World, strike: Strike, *, hit: bool) -> None:
    if not hit:
        await check_whole(world)
        return
    if strike.ends is not None:
        check_ended_at_once(world, strike.ends)
    else:
        assert {seen.turn.ending for seen in world.moment.live} <= {Ending.COMPLETE}
    if strike.last:
        check_nothing_begins(world, trio.current_time())
    await strike.check(world)


async def _ask_again(world: World, chat: int) -> None:
    """The next message gets a whole answer, which grows."""
    before, calls = len(shown(world, chat)), len(world.scene.calls(chat_id=chat))
    world.say(f"Again, {hello(chat)}", chat)
    await trio.sleep(0.1)
    await world.wait_idle()
    assert unmarked(shown(world, chat)[before:]) == world.play.answer_to(chat)
    assert answers_in(await world.history(chat))[-1].ending is Ending.COMPLETE
    growing = {call.method for call in world.scene.calls(chat_id=chat)[calls:]}
    assert growing & {"sendMessageDraft", "editMessageText"}


def on_work(act: Callable[[World], object]) -> Callable[[World], bool]:
    """Only if there is an answer, even one that is about to begin, or has ended and is not recorded."""

    def act_on_work(world: World) -> bool:
        if not world.has_conversations:
            return False
        act(world)
        return True

    return act_on_work


def always(act: Callable[[World], object]) -> Callable[[World], bool]:
    def act_always(world: World) -> bool:
        act(world)
        return True

    return act_always


# People


def everybody_says(*texts: str) -> Callable[[World], None]:
    def say(world: World) -> None:
        for chat in world.play.chats:
            for text in texts:
                world.say(text, chat)

    return say


def press(world: World) -> bool:
    """Whatever stops the answer on the screen: its draft's button, or the one under it."""
    pressed = [press_in(world, chat) for chat in world.play.chats]
    return any(pressed)


def press_in(world: World, chat: int) -> bool:
    screen, telegram = world.server.screen(chat), world.server.telegram
    pressed = False
    if screen.draft is not None and screen.draft.stop_button:
        world.dispatch(telegram.user_presses_stop, chat)
        pressed = True
    for message in screen.messages:
        for button in (button for row in message.buttons for button in row if button.text == "⏹"):
            world.dispatch(telegram.user_presses_button, chat, message.id, button.data, user_id=user_of(chat))
            pressed = True
    return pressed


async def check_beginning(world: World) -> None:
    """What is shown is a beginning of the answer, is stored, and says so."""
    for chat in world.play.chats:
        assert world.play.answer_to(chat).startswith(unmarked(shown(world, chat)))
        history = await world.history(chat)
        check_kept(world, history, chat)
        assert asked_in(history) in ([hello(chat)], [])
        await check_history(world, chat)


async def check_forgotten(world: World) -> None:
    """As for a stop; what is stored is nothing."""
    for chat in world.play.chats:
        text = unmarked(shown(world, chat))
        assert world.play.answer_to(chat).startswith(text)
        assert text.startswith(world.moment.shown[chat])
        assert await world.history(chat) == []


def cancel(world: World) -> bool:
    """A cancel that nobody explains, of all answers if all are there."""
    turns = world.turns
    if len(turns) < len(world.play.chats):
        return False
    for turn in turns:
        turn.scope.cancel()
    return True


async def check_both(world: World) -> None:
    """Two questions, two whole answers."""
    for chat in world.play.chats:
        assert unmarked(shown(world, chat)) == 2 * world.play.answer_to(chat)
        assert asked_in(await world.history(chat)) == [hello(chat), AGAIN]
        await check_history(world, chat)


async def check_newest(world: World) -> None:
    """Both questions are known, once; the newer one has a whole answer, the older one none that came later."""
    for chat in world.play.chats:
        history = await world.history(chat)
        assert asked_in(history) == [hello(chat), AGAIN]
        await check_last_is_whole(world, chat)


async def check_last_is_whole(world: World, chat: int) -> None:
    """The last answer is the whole one; what is left of one before it, a beginning that was not taken back."""
    whole, text = world.play.answer_to(chat), unmarked(shown(world, chat))
    history = await world.history(chat)
    assert answers_in(history)[-1].ending is Ending.COMPLETE
    assert text.endswith(whole)
    assert whole.startswith(text.removesuffix(whole))
    assert text.startswith(world.moment.shown[chat])
    await check_history(world, chat)


async def check_steered(world: World) -> None:
    """The message is part of the answer that ran, if there was time for that, or has one of its own."""
    for chat in world.play.chats:
        history = await world.history(chat)
        assert asked_in(history) == [hello(chat), ASIDE]
        assert answers_in(history)[-1].ending is Ending.COMPLETE
        was_steered = history[[each.text for each in history].index(ASIDE) - 1].role == "tool"
        assert was_steered or not (world.moment.tools and world.moment.live), "its tools ran, so there was time"
        assert unmarked(shown(world, chat)) == world.play.answer_to(chat) * (1 if was_steered else 2)
        await check_history(world, chat)


def edit_question(world: World) -> None:
    for chat in world.play.chats:
        asked = next(each for each in world.server.screen(chat).messages if not each.from_bot)
        world.dispatch(world.server.telegram.user_edits, chat, asked.id, addressed(f"Edited: {hello(chat)}", chat))


async def check_edited(world: World) -> None:
    """The newest text has a whole answer, unless the older one had it already."""
    for chat in world.play.chats:
        asked = asked_in(await world.history(chat))
        old, new = hello(chat), f"Edited: {hello(chat)}"
        assert asked == [old, new] if world.moment.live else asked in ([new], [old])
        await check_last_is_whole(world, chat)


def leave(world: World) -> None:
    """Everybody blocks the bot, or throws it out."""
    telegram = world.server.telegram
    for chat in world.play.chats:
        if chat == GROUP:
            world.dispatch(telegram.group_removes_bot, chat, user_id=ADA)
        else:
            world.dispatch(telegram.user_blocks_bot, chat)


async def check_left(world: World) -> None:
    """What was said is stored, and nothing is sent any more; afterwards everybody comes back."""
    telegram = world.server.telegram
    for chat in world.play.chats:
        history = await world.history(chat)
        stored = squeezed("".join(message.text for message in answers_in(history)))
        assert world.play.answer_to(chat).startswith(stored)
        check_kept(world, history, chat)
        late = [call for call in world.scene.calls(chat_id=chat) if call.received > world.moment.time + 0.1]
        assert len(late) <= 1, "what was on its way, and nothing after it"
        if chat == GROUP:
            world.dispatch(telegram.group_adds_bot, chat, user_id=ADA)
        else:
            world.dispatch(telegram.user_unblocks_bot, chat)


# The program


async def check_shut_down(world: World) -> None:
    """As a kill, and nothing is in doubt."""
    await check_killed(world)
    for chat in world.play.chats:
        await check_history(world, chat)


async def check_resumed(world: World) -> None:
    """The question has a whole answer, behind a part that was seen and is marked, if there is one."""
    check_done_with(world)
    for chat in world.play.chats:
        history, whole = await world.history(chat), world.play.answer_to(chat)
        text = unmarked(without_copies(shown(world, chat)))
        assert asked_in(history) in ([hello(chat)], [hello(chat), CONTINUE])
        assert answers_in(history)[-1].ending is Ending.COMPLETE
        assert text.endswith(whole)
        assert whole.startswith(text.removesuffix(whole))
        assert text.startswith(world.moment.shown[chat])
        assert len(asked_in(history)) == 1 + (text != whole), (
            "what has been seen is not begun anew, and nothing else is"
        )


def check_ended(world: World) -> None:
    assert world.bot_ended.is_set()
    assert not world.tasks()
    assert not world.open_lines


async def restart(world: World) -> None:
    await world.start_bot()
    await world.wait_idle()
    await trio.sleep(QUIET)


async def check_killed(world: World) -> None:
    """What people had seen is stored, each answer once; what was on its way goes on with the next start."""
    check_ended(world)
    for chat in world.play.chats:
        history = await world.history(chat)
        stored = squeezed("".join(message.text for message in answers_in(history)))
        assert world.play.answer_to(chat).startswith(stored)
        check_kept(world, history, chat)
    await restart(world)
    await check_resumed(world)


# Faults


def break_model(world: World) -> None:
    """Every connection on which the model answers breaks, and one that is idle.

    More of these would be tried one by one: streams in memory do not tell, as a socket does, that nobody is there.
    """
    busy = {request.connection for request in world.model.requests if request.how == "open"}
    idle = [number for number in world.model.connections if number not in busy]
    for number in (*busy, *idle[:1]):
        close_now(world.model.connections[number])


def close_now(stream: Any) -> None:
    stream.send_stream.close()
    stream.receive_stream.close()


def cut_wires(world: World) -> None:
    """Every connection to Telegram breaks."""
    for wire in world.wires:
        close_now(wire)


def telegram_fails(action: ServerError | Delay) -> Callable[[World], None]:
    return lambda world: world.server.telegram.add_fault(Fault(action=action))


async def check_whole(world: World) -> None:
    for chat in world.play.chats:
        assert unmarked(shown(world, chat)) == world.play.answer_to(chat)
        await check_history(world, chat)


async def check_late(world: World) -> None:
    """The whole answer, which is stored as soon as the disk takes it; the operator knows."""
    await check_whole(world)
    told = {event["event"] for event in world.log}
    assert not world.moment.live or {"store.failing", "store.works_again", "turn.not_recorded"} <= told


STRIKES: Mapping[str, Strike] = {
    "stop": Strike(on_work(everybody_says("/stop")), check_beginning, Ending.STOPPED, last=True),
    "button": Strike(press, check_beginning, Ending.STOPPED, last=True, spares=frozenset({"conversation"})),
    "new": Strike(on_work(everybody_says("/new")), check_forgotten, Ending.STOPPED, last=True),
    "cancel": Strike(
        cancel, check_beginning, Ending.SHUTDOWN, last=True, resume="off", spares=frozenset({"conversation"})
    ),
    "message": Strike(on_work(everybody_says(AGAIN)), check_both),
    "message_stop": Strike(on_work(everybody_says(AGAIN, "/stop")), check_beginning, Ending.STOPPED, last=True),
    "interrupt": Strike(on_work(everybody_says(AGAIN)), check_newest, Ending.INTERRUPTED, busy="interrupt"),
    "steer": Strike(on_work(everybody_says(ASIDE)), check_steered, busy="steer"),
    "edit": Strike(on_work(edit_question), check_edited, Ending.INTERRUPTED),
    "block": Strike(
        on_work(leave),
        check_left,
        Ending.UNSEEN,
        last=True,
        leaves_previews=True,
        tolerated={"outbox.undelivered"},
    ),
    "shutdown": Strike(always(lambda world: world.shutdown.set()), check_shut_down, Ending.SHUTDOWN, at_delivery=True),
    "kill": Strike(
        always(lambda world: world.bot.cancel()),
        check_killed,
        Ending.SHUTDOWN,
        at_delivery=True,
    ),
    "broken_telegram": Strike(always(cut_wires), check_whole, at_delivery=True),
    "telegram_500": Strike(always(telegram_fails(ServerError(500))), check_whole, at_delivery=True),
    "slow_telegram": Strike(always(telegram_fails(Delay(before=8.0))), check_whole, at_delivery=True),
    "broken_model": Strike(on_work(break_model), check_whole),
    "model_500": Strike(on_work(lambda world: world.model.answer(refuse(500, "out of order"))), check_whole),
    "full_disk": Strike(
        on_work(lambda world: world.disk.break_down()),
        check_late,
        mend=lambda world: world.disk.recover(),
        tolerated={"turn.not_recorded", "store.failing"},
    ),
}


# What is played


def with_search(body: Any) -> list[Step]:
    return with_tools(body, "wire__search")


def with_tools(body: Any, *names: str) -> list[Step]:
    messages = body["messages"]
    asides = {GO_ON, ASIDE}
    asked = max(n for n, each in enumerate(messages) if each["role"] == "user" and each["content"] not in asides)
    if messages[-1]["content"] == ASIDE and messages[-2]["role"] != "tool":
        asked = len(messages) - 1
    if any(each["role"] == "tool" for each in messages[asked:]):
        return speak(*WORDS[:2])
    return call_tools(*(names or ("look", "count")), said="Let me see. ")


def greet(body: Any) -> list[Step]:
    """An answer to nobody else: whose conversation it is, the history tells."""
    [who] = {found[1] for each in body["messages"] for found in re.finditer(r"this is (-?\d+)", str(each["content"]))}
    return speak(*WORDS[:3], "is for ", who)


LONG = tuple(f"Line {number} of a long answer, which needs more than one message.\n" for number in range(150))

PLAYS: Mapping[str, Play] = {
    "drafts": Play(),
    "group": Play(chats=(GROUP,)),
    "fallback": Play(
        faults=(Fault(method="sendMessageDraft", skip=1, times=None, action=Refuse(400, "Bad Request: no drafts")),)
    ),
    "long": Play(lambda body: speak(*("".join(LONG[start : start + 50]) for start in (0, 50, 100))), "".join(LONG)),
    "tools": Play(with_tools, "Let me see. " + "".join(WORDS[:2]), tools={"look": 0.3, "count": 0.7}),
    "mcp": Play(with_search, "Let me see. " + "".join(WORDS[:2]), mcp=True),
    "responses": Play(lambda body: tell(RESPONSES, *WORDS), dialect=RESPONSES),
    "messages": Play(lambda body: tell(MESSAGES, *WORDS), dialect=MESSAGES),
    "retry": Play(first=(Pause(0.1), refuse(503, "overloaded"))),
    "flood": Play(faults=(Fault(method="sendMessageDraft", skip=2, action=Flood(8)),)),
    "commit": Play(only_committing=True),
    "five": Play(greet, "".join(WORDS[:3]) + "is for @", chats=(*CHATS, GROUP)),
}
