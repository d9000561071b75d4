"""Everything that can come between, at every moment of an answer: the screen and the history are right, and it goes on.

Ada asks "first". When the answer is at the moment, something happens; then she says "next", unless that is what
happens, and minutes later "last". Whatever else is asked is answered in its own words.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeAlias

import attrs
import pytest
import trio
from model_server import KEY, open_model_server, refuse, reply, say
from model_server import Hang as Silence
from model_server import Pause as Wait
from model_server import Step as Move
from scenes import ADA, CURSOR, Scene, open_scene, open_telegram, rest, said, scene_settings, tokens

from triolet.config import ModelSettings, Secret, StoreSettings, StreamingSettings
from triolet.core.commands import BusyMode
from triolet.core.conversation import Ending, Message, ToolResultPart
from triolet.core.ports import ModelRequest, Tool
from triolet.core.transcript import NOT_KNOWN, NOT_RUN
from triolet.emulator import Delay, Fault, Flood, Limits
from triolet.providers import open_provider
from triolet.providers.scripted import End, Pause, Say, Step
from triolet.tools import tool

NEXT, LAST = said(10, "next"), said(10, "last")
QUESTION = "🔐 May I use delete?"
UNANSWERED = f"{QUESTION}\n\n🚫 not answered, so not done"
DENIED = "the person did not allow it"

Told: TypeAlias = tuple[str, str, Ending]
"""A message of the history: whose, its text or its tool's result, and how it ended."""


def told(messages: Sequence[Message]) -> list[Told]:
    return [(each.role, _read(each).strip(), each.ending) for each in messages]


def _read(message: Message) -> str:
    return message.text + "".join(part.content for part in message.parts if isinstance(part, ToolResultPart))


def user(text: str) -> Told:
    return "user", text, Ending.COMPLETE


def answer(text: str, ending: Ending = Ending.COMPLETE) -> Told:
    return "assistant", text, ending


# The moments


@attrs.frozen
class Moment:
    """What the answer to "first" is at, 3 seconds after it was asked.

    ``rounds`` are what the model says, ``shown`` the messages that stand by now, ``partial`` the text that grows,
    ``rest`` the whole one.
    """

    rounds: list[list[Step]]
    rest: str
    partial: str = ""
    shown: tuple[str, ...] = ()
    result: str = ""
    """What the call gives, where there is one; or else what the history has, if the answer ends now."""
    lost: str = ""
    fault: Callable[[str], Fault] | None = None


def flood(method: str) -> Fault:
    return Fault(method=method, skip=1, times=1, action=Flood(15))


def hang(method: str) -> Fault:
    return Fault(method=method, skip=1, times=1, action=Delay(before=9.0))


def look(name: str) -> list[Step]:
    return [Say.text("I look."), Pause(1.0), Say.tool_call(name, "{}"), End("tool_calls")]


TEXT = [[*tokens(5), Pause(30.0), *tokens(5, word="more")]]
WHOLE = f"{said(5)} {said(5, 'more')}"

MOMENTS = {
    "before the first word": Moment([[Pause(30.0), *tokens(5)]], said(5)),
    "in mid-text": Moment(TEXT, WHOLE, said(5)),
    "while a tool runs": Moment(
        [look("search"), tokens(5)], said(5), shown=("I look.",), result="found", lost=NOT_KNOWN
    ),
    "while a person is asked": Moment(
        [look("delete"), tokens(5)], said(5), shown=("I look.", UNANSWERED), result=DENIED, lost=NOT_RUN
    ),
    "in a flood wait": Moment(TEXT, WHOLE, said(5), fault=flood),
    "while a Telegram call hangs": Moment(TEXT, WHOLE, said(5), fault=hang),
}


def play(moment: Moment) -> Callable[[ModelRequest], Sequence[Step]]:
    def script(request: ModelRequest) -> Sequence[Step]:
        *_, asked = (message.text for message in request.messages if message.role == "user")
        if asked != "first":
            return tokens(10, word=asked)
        return moment.rounds[sum(message.role == "tool" for message in request.messages)]

    return script


def watched_tools(ran: list[str]) -> list[Tool]:
    """``ran`` gets what became of each run."""

    async def search() -> str:
        """Search for half a minute."""
        try:
            await trio.sleep(30.0)
        except trio.Cancelled:
            ran.append("cancelled")
            raise
        ran.append("done")
        return "found"

    return [tool(search), tool(search, name="delete", has_effects=True)]


# What comes between

STOPPED, INTERRUPTED = "⏹ stopped", "⏹ interrupted"
FORGOTTEN = "A new conversation. What was said is forgotten."


@attrs.frozen
class Act:
    """What happens; ``ending`` is how the answer ends of it, None if it goes on."""

    ending: Ending | None = None
    mark: str = ""
    busy: BusyMode = "queue"
    says_next: bool = False
    """Whether it is "next" itself."""


ACTS = {
    "button": Act(Ending.STOPPED, STOPPED),
    "/stop": Act(Ending.STOPPED, STOPPED),
    "/new": Act(Ending.STOPPED, STOPPED),
    "queue": Act(says_next=True),
    "interrupt": Act(Ending.INTERRUPTED, INTERRUPTED, "interrupt", says_next=True),
    "steer": Act(None, "", "steer", says_next=True),
    "edit": Act(Ending.INTERRUPTED, f"{INTERRUPTED} · the question was edited", says_next=True),
    "block": Act(Ending.UNSEEN),
    "shutdown": Act(Ending.SHUTDOWN, "⏸ interrupted: the bot is restarting"),
}


async def happen(scene: Scene, how: str, first: int) -> None:
    if how == "button":
        press(scene)
    elif how == "edit":
        scene.server.edit(ADA, first, "next")
    elif how == "block":
        scene.server.block(ADA)
    elif how == "shutdown":
        scene.shutdown.set()
    else:
        scene.server.say(ADA, how if how.startswith("/") else "next")


def press(scene: Scene) -> None:
    """The draft's own button, or the one under the message that grows."""
    screen = scene.server.screen(ADA)
    under = [(message.id, button) for message in screen.messages for row in message.buttons for button in row]
    stops = [(number, button.data) for number, button in under if button.text == "⏹" and button.data]
    if stops:
        scene.server.press_button(ADA, *stops[-1])
    else:
        scene.server.press_stop(ADA)


SCREENS = {
    "draft": (StreamingSettings(), "sendMessageDraft"),
    "edit": (StreamingSettings(transport="edit"), "editMessageText"),
}


BUTTONLESS = {("before the first word", "edit"), ("while a person is asked", "edit")}
"""Where no message of the answer grows, and so nothing has a button that stops it."""

CASES = [
    (how, moment, screen)
    for how in ACTS
    for moment in MOMENTS
    for screen in SCREENS
    if how != "button" or (moment, screen) not in BUTTONLESS
]


@pytest.mark.case("C1", "I3", "I4", "I6", "I8")
@pytest.mark.parametrize(("how", "moment", "screen"), CASES)
async def test_what_comes_between(autojump_clock: object, tmp_path: Path, how: str, moment: str, screen: str) -> None:
    act, now = ACTS[how], MOMENTS[moment]
    streaming, growing = SCREENS[screen]
    settings = attrs.evolve(
        scene_settings(streaming=attrs.evolve(streaming, busy=act.busy), resume="off", grace=0.0),
        store=StoreSettings(path=tmp_path / "triolet.db"),
    )
    ran: list[str] = []
    script, tools, telegram = play(now), watched_tools(ran), open_telegram(Limits())

    async with open_scene(script=script, settings=settings, tools=tools, telegram=telegram) as scene:
        if now.fault is not None:
            telegram.add_fault(now.fault(growing))
        first = scene.server.say(ADA, "first")
        await trio.sleep(3.0)
        before = scene.bot_messages()
        await happen(scene, how, first)
        await trio.sleep(0.1)
        streams = 0 if now.shown else 1
        assert scene.provider.open_streams == (int(act.says_next) if act.ending is not None else streams)
        if how == "block":
            await rest(60)
            scene.server.unblock(ADA)
        if not act.says_next and how != "shutdown":
            scene.server.say(ADA, "next")
        await rest(700)
        if how != "shutdown":
            scene.server.say(ADA, "last")
            await rest(30)

    requests = scene.provider.requests
    if how == "shutdown":
        async with open_scene(script=script, settings=settings, tools=tools, telegram=telegram) as scene:
            for text in ("next", "last"):
                scene.server.say(ADA, text)
            await rest(60)
        requests += scene.provider.requests

    assert scene.provider.open_streams == 0
    assert ran == {"search": ["done" if act.ending is None else "cancelled"]}.get(_tool(now), [])
    assert told(requests[-1].messages) == [*expected_history(how, act, now), user("last")]
    shown = scene.bot_messages()
    if how == "block":  # what the bot has said until then is all that it could
        assert shown == [*before, NEXT, LAST]
    else:
        assert shown == [*expected_screen(how, act, now), NEXT, LAST]
    assert scene.server.screen(ADA).draft is None
    assert not any(CURSOR in text for text in shown) or how == "block"


def _tool(moment: Moment) -> str:
    return {"found": "search"}.get(moment.result, "")


def expected_screen(how: str, act: Act, now: Moment) -> list[str]:
    """Up to the answer to "next"."""
    if act.ending is None:
        steered = how == "steer" and now.result
        return [*now.shown, *([] if steered else [now.rest])]
    silent = act.ending is Ending.INTERRUPTED and not (now.partial or now.shown)
    marked = [] if silent else ["\n\n".join(filter(None, (now.partial, act.mark)))]
    return [*now.shown, *marked, *([FORGOTTEN] if how == "/new" else [])]


def expected_history(how: str, act: Act, now: Moment) -> list[Told]:
    """Up to the answer to "next", and that."""
    then = [user("next"), answer(NEXT)]
    if how == "/new":
        return then
    called = [answer("I look."), ("tool", now.result if act.ending is None else now.lost, Ending.COMPLETE)]
    begun = [user("first"), *(called if now.shown else [])]
    if act.ending is None:
        steered = how == "steer" and now.result
        return [*begun, *([] if steered else [answer(now.rest)]), *then]
    return [*begun, *([answer(now.partial, act.ending)] if now.partial else []), *then]


# The model's own silence


MODEL = ModelSettings(
    provider="openai-chat", name="test", base_url="http://model.test/v1", api_key=Secret(KEY), total_timeout=90.0
)
SAID = [say(f"word{number} ") for number in range(5)]
SILENCES: dict[str, tuple[list[Move], str]] = {
    "first byte": ([Silence()], "⚠ broken off · no end after 90 s"),
    "idle": ([*SAID, Silence()], f"{said(5)}\n\n⚠ broken off · the provider fell silent"),
    "total": (
        [*SAID, *(move for _ in range(500) for move in (say("more "), Wait(5.0)))],
        f"{said(5)} {' '.join(['more'] * 18)}\n\n⚠ broken off · no end after 90 s",
    ),
}
TROUBLES = {"smooth": None, "flood": Flood(120), "hang": Delay(before=9.0)}


@pytest.mark.case("I8")
@pytest.mark.parametrize("screen", SCREENS)
@pytest.mark.parametrize("trouble", TROUBLES)
@pytest.mark.parametrize("silence", SILENCES)
async def test_silence_ends_in_time_and_the_next_message_gets_a_whole_answer(
    autojump_clock: object, silence: str, trouble: str, screen: str
) -> None:
    moves, broken = SILENCES[silence]
    streaming, growing = SCREENS[screen]
    settings = attrs.evolve(scene_settings(streaming=streaming), model=MODEL)
    async with (
        open_model_server() as server,
        open_provider(MODEL, connect=server.connect) as provider,
        open_scene(providers=[provider], settings=settings) as scene,
    ):
        server.answer(*moves)
        server.script = lambda body: [Silence()] if silence == "first byte" else [refuse(503, "down")]
        action = TROUBLES[trouble]
        if action is not None:
            scene.telegram.add_fault(Fault(method=growing, times=1 if trouble == "flood" else None, action=action))
        scene.server.say(ADA, "first")
        await rest(95)
        assert {request.how for request in server.requests} <= {"client_left", "completed"}
        server.script = lambda body: reply("Here I am.")
        scene.server.say(ADA, "next")
        await rest(100)
        assert scene.bot_messages() == [broken, "Here I am."]
        assert scene.server.screen(ADA).draft is None
